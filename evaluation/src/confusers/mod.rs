//! Honest events that look odd. Those that follow from a person's career or a day's duty (moves, stand-ins, leave, nights,
//! holidays, catch-up days, new hires, new vendors, refunds, prices below limits) are part of `work/`.

mod corrections;
mod money;
mod payroll;
mod purchases;

use crate::dice::Dice;
use crate::row::Row;
use crate::work::Trays;
use crate::world::World;
use crate::world::people::Role;

/// Names of all confusers, for tables.
pub const NAMES: [&str; 25] = [
    "agency_pay",
    "back_from_leave",
    "batch_import",
    "below_limit_price",
    "bonus_run",
    "bulk_correction",
    "cash_pooling",
    "catch_up",
    "department_move",
    "honest_refund",
    "instalments",
    "large_purchase",
    "month_end",
    "new_hire",
    "new_vendor",
    "night_shift",
    "pay_run",
    "public_holiday",
    "returned_transfer",
    "same_price_twice",
    "seasonal_vendor",
    "stand_in",
    "standing_invoice",
    "supplier_prepayment",
    "swapped_shift",
];

/// What happens on that day beside the ordinary.
pub(crate) fn of_the_day(world: &mut World, trays: &mut Trays, day: usize, dice: &mut Dice, rows: &mut Vec<Row>) {
    payroll::runs(world, day, dice, rows);
    corrections::bulk(world, trays, day, dice, rows);
    corrections::batch(world, day, dice, rows);
    corrections::instalments(world, day, dice, rows);
    corrections::same_price(world, day, dice, rows);
    money::pooling(world, day, dice, rows);
    money::returned(world, day, dice, rows);
    purchases::standing(world, day, dice, rows);
    purchases::single(world, day, dice, rows);
}

/// Somebody of these roles who is there on that day.
fn somebody(world: &World, roles: &[Role], day: usize, dice: &mut Dice) -> Option<usize> {
    let there: Vec<usize> = (0..world.people.len())
        .filter(|&u| {
            let person = &world.people[u];
            roles.contains(&person.role) && person.available(day) && person.shift.works(day, world.calendar.weekday(day))
        })
        .collect();
    dice.pick(&there).copied()
}

/// A moment of that person's duty.
fn moment(world: &World, user: usize, day: usize, dice: &mut Dice) -> i64 {
    let shift = &world.people[user].shift;
    day as i64 * crate::row::DAY + shift.start_on(day) + dice.from_to(600, shift.length - 600)
}
