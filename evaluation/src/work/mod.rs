//! Honest work: day after day, everybody on duty enters what comes to their desk.

mod draw;

pub(crate) use draw::{internal, patient};

use std::collections::HashMap;

use crate::dice::Dice;
use crate::row::{DAY, Device, HOUR, Party, Row};
use crate::transaction::{Department, Kind};
use crate::world::World;
use crate::world::accounts::Patient;
use crate::world::rhythm::Duty;

/// A bill that somebody has yet to pay or to claim, or a payment that may be returned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) patient: Patient,
    pub(crate) cents: i64,
    pub(crate) reference: usize,
    pub(crate) day: usize,
}

/// An invoice that is due on some day.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payable {
    pub(crate) due: usize,
    pub(crate) vendor: usize,
    pub(crate) cost: usize,
    pub(crate) cents: i64,
    pub(crate) reference: usize,
}

/// The desk trays of the hospital while its days pass.
#[derive(Default)]
pub(crate) struct Trays {
    pub(crate) bills: Vec<Vec<Item>>,
    /// Bills that have yet to be claimed.
    pub(crate) unclaimed: Vec<Vec<Item>>,
    pub(crate) taken: Vec<Vec<Item>>,
    pub(crate) payables: Vec<Payable>,
}

/// Every honest row, those of the confusers included, in no order.
pub(crate) fn honest(world: &mut World, dice: &mut Dice) -> Vec<Row> {
    let mut rows = Vec::with_capacity(world.days * world.people.len() * 9);
    let mut trays = Trays { bills: vec![Vec::new(); 12], unclaimed: vec![Vec::new(); 12], taken: vec![Vec::new(); 12], payables: Vec::new() };
    let swaps: HashMap<(usize, usize), i64> =
        (0..world.people.len() * world.days / 350).map(|_| ((dice.below(world.people.len()), dice.below(world.days)), [6, 13, 15, 21][dice.below(4)] * HOUR)).collect();
    for day in 0..world.days {
        crate::confusers::of_the_day(world, &mut trays, day, dice, &mut rows);
        for user in 0..world.people.len() {
            if let Some(duty) = duty(world, &swaps, user, day, dice) {
                let n = dice.poisson(world.people[user].tempo * duty.press);
                let moments = duty.moments(dice, n);
                for at in moments {
                    if let Some(row) = draw::entry(world, &mut trays, user, user, day, dice) {
                        let scenario = if row.scenario == "ordinary" { duty.scenario } else { row.scenario };
                        rows.push(row.at(at).named(scenario));
                    }
                }
                stand_in(world, &mut trays, user, day, &duty, dice, &mut rows);
            }
        }
        for tray in trays.bills.iter_mut().chain(trays.unclaimed.iter_mut()).chain(trays.taken.iter_mut()) {
            tray.retain(|item| item.day + 30 > day);
        }
    }
    rows
}

fn duty(world: &World, swaps: &HashMap<(usize, usize), i64>, user: usize, day: usize, dice: &mut Dice) -> Option<Duty> {
    let person = &world.people[user];
    if !person.available(day) {
        return None;
    }
    let midnight = day as i64 * DAY;
    let shift = &person.shift;
    let round_the_clock = shift.rota.is_some();
    let finance = matches!(person.department(day), Department::Finance | Department::Administration);
    let pressed = world.calendar.press[day];
    let mut duty = Duty {
        from: midnight + shift.start_on(day) + dice.from_to(-900, 900),
        length: shift.length,
        lunch: shift.lunch,
        press: if finance { pressed } else { 1.0 + (pressed - 1.0) * 0.4 },
        scenario: if pressed > 1.0 { "month_end" } else { "ordinary" },
    };
    if person.shift.start >= 19 * HOUR {
        duty.scenario = "night_shift";
    }
    if let Some(start) = swaps.get(&(user, day)) {
        return Some(Duty { from: midnight + start, scenario: "swapped_shift", ..duty });
    }
    if !shift.works(day, world.calendar.weekday(day)) {
        // Called in, or clearing the desk on a day off.
        return dice.chance(0.025).then(|| Duty {
            from: midnight + dice.from_to(7, 17) * HOUR + dice.from_to(0, 3599),
            length: dice.from_to(1, 4) * HOUR,
            press: 0.4,
            scenario: "swapped_shift",
            ..duty
        });
    }
    if world.calendar.holiday[day] && !round_the_clock {
        return dice.chance(0.12).then_some(Duty { press: 0.6, scenario: "public_holiday", ..duty });
    }
    let returned = person.absences.iter().any(|&(from, back)| back >= from + 20 && (back..back + 10).contains(&day));
    if returned {
        duty.scenario = "back_from_leave";
        duty.press *= 1.3;
    } else if person.hired > 0 && day < person.hired + 14 {
        duty.scenario = "new_hire";
        duty.press *= 0.3 + 0.05 * (day - person.hired) as f64;
    } else if person.moved.is_some_and(|(from, _)| (from..from + 12).contains(&day)) {
        duty.scenario = "department_move";
    } else if dice.chance(0.012) {
        duty.scenario = "catch_up";
        duty.press *= 2.6;
        duty.length += dice.from_to(1, 3) * HOUR;
    }
    Some(duty)
}

/// Somebody does a part of an absent colleague's work beside the own.
fn stand_in(world: &mut World, trays: &mut Trays, user: usize, day: usize, duty: &Duty, dice: &mut Dice, rows: &mut Vec<Row>) {
    let n = world.people.len();
    let colleague = |offset: usize| (user + offset) % n;
    let absent = [1, 2, 3].map(colleague).into_iter().find(|&c| {
        let other = &world.people[c];
        // The one just before in the list stands in, if not absent itself: so one for each.
        let short = other.absences.iter().any(|&(from, back)| (from..back).contains(&day) && back < from + 20);
        let first = (1..=3).map(|k| (c + n - k) % n).find(|&s| world.people[s].available(day));
        short && first == Some(user) && (world.people[user].role == other.role || c % 3 == 0)
    });
    let Some(absent) = absent else { return };
    let many = dice.poisson(world.people[absent].tempo * 0.4);
    let moments = duty.moments(dice, many);
    for at in moments {
        if let Some(row) = draw::entry(world, trays, user, absent, day, dice) {
            let department = Some(world.people[absent].department(day));
            rows.push(Row { department, ..row }.at(at).named("stand_in"));
        }
    }
}

/// A row with what most rows have in common.
pub(crate) fn row(user: usize, kind: Kind, account: usize, counterparty: Option<usize>, cents: i64) -> Row {
    Row {
        at: 0,
        user,
        account: Party::Known(account),
        counterparty: counterparty.map(Party::Known),
        department: None,
        kind,
        cents: cents.max(1),
        reference: None,
        device: Device::Usual,
        scenario: "ordinary",
    }
}
