//! Pay runs, a bonus run, and weekly pay by hand for agency staff.

use super::{moment, somebody};
use crate::dice::{Dice, whole};
use crate::row::{Device, Row};
use crate::transaction::Kind;
use crate::work::row;
use crate::world::World;
use crate::world::people::Role;

/// Every second Thursday a run, once a bonus, on Fridays the agency staff.
pub(super) fn runs(world: &World, day: usize, dice: &mut Dice, rows: &mut Vec<Row>) {
    let weekday = world.calendar.weekday(day);
    if weekday == 3 && (day / 7).is_multiple_of(2) {
        run(world, day, dice, rows, "pay_run", |employee, _| (!employee.agency).then_some(employee.wage));
    }
    if day == world.days * 3 / 5 {
        run(world, day, dice, rows, "bonus_run", |employee, dice| {
            (!employee.agency && employee.wage % 3 != 0).then(|| whole(employee.wage as f64 * dice.between(0.1, 0.5)) / 5_000 * 5_000)
        });
    }
    if weekday == 4
        && let Some(clerk) = somebody(world, &[Role::PayrollClerk], day, dice)
    {
        let mut at = moment(world, clerk, day, dice);
        for employee in world.employees.iter().filter(|e| e.agency && e.since <= day) {
            at += 20 + whole(dice.waiting(90.0));
            let cents = if dice.chance(0.5) { employee.wage } else { whole(employee.wage as f64 * dice.between(0.5, 1.3)) };
            rows.push(row(clerk, Kind::Payroll, world.wages, Some(employee.bank_on(day)), cents).at(at).named("agency_pay"));
        }
    }
}

fn run(world: &World, day: usize, dice: &mut Dice, rows: &mut Vec<Row>, name: &'static str, amount: impl Fn(&crate::world::accounts::Employee, &mut Dice) -> Option<i64>) {
    let Some(first) = somebody(world, &[Role::PayrollClerk], day, dice) else { return };
    let second = somebody(world, &[Role::PayrollClerk], day, dice).unwrap_or(first);
    // The second half is often another clerk's, and some systems stamp the whole file at once.
    let file = dice.chance(0.3);
    let mut at = moment(world, first, day, dice);
    let turn = world.employees.len() / 2;
    for (i, employee) in world.employees.iter().enumerate() {
        let clerk = if i < turn { first } else { second };
        if i == turn && second != first {
            at = moment(world, second, day, dice);
        }
        if employee.since > day {
            continue;
        }
        if let Some(cents) = amount(employee, dice).filter(|c| *c > 0) {
            let cents = if name == "pay_run" && dice.chance(0.25) { whole(cents as f64 * dice.between(1.0, 1.2)) } else { cents };
            if !file {
                at += dice.from_to(1, 6);
            }
            let device = if file { Device::Batch(day * 8 + usize::from(i >= turn)) } else { Device::Usual };
            rows.push(row(clerk, Kind::Payroll, world.wages, Some(employee.bank_on(day)), cents).at(at).from_device(device).named(name));
        }
    }
}
