//! One honest entry: what it books, on whose account, for how much.

use super::{Item, Payable, Trays, row};
use crate::dice::{Dice, whole};
use crate::row::Row;
use crate::transaction::{Department, Kind};
use crate::world::World;
use crate::world::accounts::{Owner, Patient};

/// What `user` enters while doing the work of `worker` (mostly the same person).
pub(super) fn entry(world: &mut World, trays: &mut Trays, user: usize, worker: usize, day: usize, dice: &mut Dice) -> Option<Row> {
    let person = &world.people[worker];
    let kind = person.mix[dice.weighted(person.mix.iter().map(|m| m.1))].0;
    let ward = person.department(day) as usize;
    let scale = person.scale;
    match kind {
        Kind::Billing => {
            let item = treat(world, worker, ward, day, dice);
            trays.bills[ward].push(item);
            trays.unclaimed[ward].push(item);
            let income = dice.chance(0.5).then(|| world.wards[ward].income);
            Some(Row { reference: Some(item.reference), ..row(user, kind, item.patient.account, income, item.cents) })
        }
        Kind::Payment if !world.buys(worker) => {
            let tray = &mut trays.bills[ward];
            let mut item = match take(tray, dice) {
                Some(item) => item,
                None => treat(world, worker, ward, day, dice),
            };
            if dice.chance(0.25) {
                // The patient's own share.
                item.cents = [500, 1_000, 1_500, 2_500, 4_000, 7_500][dice.zipf(6)];
            }
            trays.taken[ward].push(Item { day, ..item });
            Some(Row { reference: Some(item.reference), ..row(user, kind, item.patient.account, Some(item.patient.bank), item.cents) })
        }
        Kind::Payment => pay(world, trays, user, worker, day, dice),
        Kind::Refund => {
            let found = take(&mut trays.taken[ward], dice).or_else(|| take(&mut trays.bills[ward], dice))?;
            let cents = if dice.chance(0.6) { found.cents } else { part(found.cents, dice) };
            Some(Row { reference: Some(found.reference), scenario: "honest_refund", ..row(user, kind, found.patient.account, Some(found.patient.bank), cents) })
        }
        Kind::Adjustment => {
            let income = world.wards[ward].income;
            if matches!(person.department(day), Department::Finance | Department::Administration | Department::IT) || world.buys(worker) {
                let account = internal(world, dice, Some(ward));
                return Some(row(user, kind, account, Some(income), dice.price(5.5 + scale, 1.3)));
            }
            let item = dice.pick(&trays.bills[ward]).copied()?;
            let cents = match dice.below(100) {
                0..35 => item.cents,
                // What the patient need not pay, or a sum that looks fair.
                35..65 => [500, 1_000, 1_500, 2_500, 4_000, 7_500, 10_000][dice.zipf(7)],
                _ => part(item.cents, dice),
            };
            Some(Row { reference: Some(item.reference), ..row(user, kind, item.patient.account, dice.chance(0.6).then_some(income), cents) })
        }
        Kind::InsuranceClaim => {
            let item = match take(&mut trays.unclaimed[ward], dice) {
                Some(item) => item,
                None => treat(world, worker, ward, day, dice),
            };
            let cents = if dice.chance(0.7) { item.cents } else { item.cents + part(item.cents, dice) };
            Some(row(user, kind, item.patient.account, Some(item.patient.insurer), cents))
        }
        Kind::Transfer => {
            let own = dice.chance(0.67).then_some(ward);
            let from = internal(world, dice, own);
            let to = if dice.chance(0.04) { project(world, dice) } else { internal(world, dice, None) };
            let cents = dice.price(7.6 + scale, 1.2);
            let cents = if dice.chance(0.35) { (cents / 10_000).max(1) * 10_000 } else { cents };
            (from != to).then(|| row(user, kind, from, Some(to), cents))
        }
        Kind::Payroll => {
            let employee = &world.employees[dice.zipf(world.employees.len())];
            if day < employee.since {
                return None;
            }
            // Overtime, per diem, corrections.
            let cents = if dice.chance(0.4) { [2_500, 6_000, 12_000, 18_000, 24_000][dice.zipf(5)] } else { whole(employee.wage as f64 * dice.between(0.03, 0.6)) };
            Some(row(user, kind, world.wages, Some(employee.bank_on(day)), cents))
        }
        Kind::Procurement => {
            let vendor = vendor(world, worker, day, dice)?;
            let cents = world.vendors[vendor].amount(dice, scale, day);
            let reference = world.reference();
            let cost = world.wards[ward].cost;
            if dice.chance(0.6) {
                trays.payables.push(Payable { due: day + 2 + dice.below(25), vendor, cost, cents, reference });
            }
            Some(Row { reference: Some(reference), scenario: buying(world, vendor, day, cents), ..row(user, kind, cost, Some(world.vendors[vendor].account), cents) })
        }
    }
}

/// A project, fund or deposit that begins: the hospital has an account more.
fn project(world: &mut World, dice: &mut Dice) -> usize {
    let account = world.open(Owner::Internal);
    world.wards[dice.below(12)].further.push(account);
    account
}

fn pay(world: &mut World, trays: &mut Trays, user: usize, worker: usize, day: usize, dice: &mut Dice) -> Option<Row> {
    let clerks = world.people[worker].role == crate::world::people::Role::PayableClerk;
    if clerks && dice.chance(0.75) {
        // Each clerk has the vendors of a part of the alphabet.
        let due = trays.payables.iter().position(|p| p.due <= day && (p.vendor + worker) % 5 < 2);
        if let Some(at) = due {
            let p = trays.payables.swap_remove(at);
            let account = world.vendors[p.vendor].account;
            let scenario = buying(world, p.vendor, day, p.cents);
            return Some(Row { reference: Some(p.reference), scenario, ..row(user, Kind::Payment, p.cost, Some(account), p.cents) });
        }
    }
    let vendor = vendor(world, worker, day, dice)?;
    let cents = world.vendors[vendor].amount(dice, world.people[worker].scale, day);
    let ward = world.people[worker].department(day) as usize;
    let account = if clerks { internal(world, dice, None) } else { world.wards[ward].cost };
    let scenario = buying(world, vendor, day, cents);
    Some(Row { scenario, ..row(user, Kind::Payment, account, Some(world.vendors[vendor].account), cents) })
}

/// What is worth noting about buying there.
pub(crate) fn buying(world: &World, vendor: usize, day: usize, cents: i64) -> &'static str {
    let vendor = &world.vendors[vendor];
    if vendor.since > 0 && day < vendor.since + 25 {
        "new_vendor"
    } else if vendor.below_limit && vendor.items.contains(&cents) {
        "below_limit_price"
    } else {
        "ordinary"
    }
}

/// A vendor of that person, by use.
fn vendor(world: &World, worker: usize, day: usize, dice: &mut Dice) -> Option<usize> {
    let list = &world.people[worker].vendors;
    (0..6).find_map(|_| list.get(dice.zipf(list.len())).filter(|v| v.1 <= day).map(|v| v.0))
}

/// A treatment to be billed: a patient, new or known, and a tariff or a single price.
fn treat(world: &mut World, worker: usize, ward: usize, day: usize, dice: &mut Dice) -> Item {
    let patient = patient(world, ward, dice);
    let person = &world.people[worker];
    let tariffs = &world.wards[ward].tariffs;
    let tariff = tariffs[(dice.zipf(tariffs.len()) + worker * 7) % tariffs.len()];
    let cents = if dice.chance(0.72) { tariff } else { dice.price(libm::log(tariff as f64 / 100.0) + person.scale * 0.5, 0.9) };
    Item { patient, cents, reference: world.reference(), day }
}

/// A patient of the department: new, recent, or one who comes all the time.
pub(crate) fn patient(world: &mut World, ward: usize, dice: &mut Dice) -> Patient {
    let n = world.patients[ward].len();
    if n == 0 || dice.chance(0.22) {
        return world.admit(dice, ward);
    }
    let at = if dice.chance(0.3) { dice.below(n) } else { n - 1 - (crate::dice::index(whole(dice.waiting(45.0)))).min(n - 1) };
    world.patients[ward][at]
}

/// One of the hospital's own accounts, of that department or of any.
pub(crate) fn internal(world: &World, dice: &mut Dice, ward: Option<usize>) -> usize {
    let ward = &world.wards[ward.unwrap_or_else(|| dice.below(12))];
    let all = ward.internal();
    all[dice.zipf(all.len())]
}

/// Takes a recent item from a tray.
fn take(tray: &mut Vec<Item>, dice: &mut Dice) -> Option<Item> {
    let n = tray.len();
    if n == 0 || dice.chance(0.1) {
        return None;
    }
    let at = n - 1 - dice.zipf(n);
    Some(tray.remove(at))
}

fn part(cents: i64, dice: &mut Dice) -> i64 {
    let share = if dice.chance(0.5) { [0.05, 0.1, 0.2, 0.25, 0.5][dice.below(5)] } else { dice.between(0.03, 0.8) };
    whole(cents as f64 * share).max(100)
}
