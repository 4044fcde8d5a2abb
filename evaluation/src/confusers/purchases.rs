//! Standing invoices, large single purchases, seasonal vendors, and prepayments that grow.

use super::{moment, somebody};
use crate::dice::Dice;
use crate::row::Row;
use crate::transaction::Kind;
use crate::work::row;
use crate::world::World;
use crate::world::people::Role;

const PAYERS: &[Role] = &[Role::PayableClerk, Role::Secretary, Role::ItBuyer];
const BUYERS: &[Role] = &[Role::ProcurementOfficer, Role::PharmacyBuyer, Role::ItBuyer, Role::Secretary];

/// Rent, leases, licences: every week or every four, the same to the cent; one person mostly does each.
pub(super) fn standing(world: &World, day: usize, dice: &mut Dice, rows: &mut Vec<Row>) {
    if !world.calendar.business(day) {
        return;
    }
    for (v, vendor) in world.vendors.iter().enumerate() {
        let every = match v % 9 {
            0 => 5,
            2 | 5 => 20,
            _ => continue,
        };
        let weekdays = day / 7 * 5 + world.calendar.weekday(day);
        if vendor.since > day || vendor.seasonal || weekdays % every != (v * 7) % every {
            continue;
        }
        let usual: Vec<usize> = (0..world.people.len()).filter(|&u| PAYERS.contains(&world.people[u].role)).collect();
        let clerk = usual.get(v % usual.len().max(1)).copied().filter(|&u| world.people[u].available(day));
        let Some(user) = clerk.or_else(|| somebody(world, PAYERS, day, dice)) else { continue };
        let cents = vendor.items[v % vendor.items.len()];
        let account = world.wards[v % 12].cost;
        let at = moment(world, user, day, dice);
        rows.push(row(user, Kind::Payment, account, Some(vendor.account), cents).at(at).named("standing_invoice"));
    }
}

/// Things that happen a few times a quarter.
pub(super) fn single(world: &mut World, day: usize, dice: &mut Dice, rows: &mut Vec<Row>) {
    let size = world.people.len() as f64 / 120.0;
    if !world.calendar.business(day) {
        return;
    }
    for _ in 0..dice.poisson(0.35 * size) {
        let Some(user) = somebody(world, BUYERS, day, dice) else { continue };
        let list = &world.people[user].vendors;
        let Some(vendor) = list.get(dice.zipf(list.len())).filter(|v| v.1 <= day).map(|v| &world.vendors[v.0]) else { continue };
        let more = dice.between(2.4, 4.0);
        let (cents, at) = (dice.price(vendor.level + more, 0.4), moment(world, user, day, dice));
        let account = world.wards[world.people[user].department(day) as usize].cost;
        rows.push(row(user, Kind::Procurement, account, Some(vendor.account), cents).at(at).named("large_purchase"));
    }
    for _ in 0..dice.poisson(0.4 * size) {
        let Some(user) = somebody(world, BUYERS, day, dice) else { continue };
        let seasonal: Vec<usize> = (0..world.vendors.len()).filter(|&v| world.vendors[v].seasonal).collect();
        let Some(vendor) = dice.pick(&seasonal).map(|&v| world.vendors[v].clone()) else { continue };
        let account = world.wards[world.people[user].department(day) as usize].cost;
        for _ in 0..dice.count(1, 3) {
            let (cents, at) = (vendor.amount(dice, 0.0, day), moment(world, user, day, dice));
            rows.push(row(user, Kind::Procurement, account, Some(vendor.account), cents).at(at).named("seasonal_vendor"));
        }
    }
    // A supplier is paid in growing parts while a building or a device comes along; booked as an order first.
    if dice.chance(0.1 * size)
        && let (Some(buyer), Some(payer)) = (somebody(world, BUYERS, day, dice), somebody(world, &[Role::PayableClerk], day, dice))
    {
        let list = &world.people[buyer].vendors;
        let Some(account) = list.get(dice.below(list.len())).filter(|v| v.1 <= day).map(|v| world.vendors[v.0].account) else { return };
        let cost = world.wards[world.people[buyer].department(day) as usize].cost;
        let reference = Some(world.reference());
        let parts = dice.count(3, 6);
        let first = dice.price(6.8, 0.6);
        let at = moment(world, buyer, day, dice);
        rows.push(row(buyer, Kind::Procurement, cost, Some(account), first * (parts * parts) as i64).about(reference).at(at).named("supplier_prepayment"));
        for part in 1..=parts {
            let on = day + part * 7;
            if on < world.days && world.people[payer].available(on) {
                let at = moment(world, payer, on, dice);
                rows.push(row(payer, Kind::Payment, cost, Some(account), first * part as i64).about(reference).at(at).named("supplier_prepayment"));
            }
        }
    }
}
