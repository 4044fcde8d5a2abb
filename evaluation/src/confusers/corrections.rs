//! Bulk corrections after a tariff error, file imports, instalments, and one tariff for two patients.

use super::{moment, somebody};
use crate::dice::{Dice, whole};
use crate::row::{DAY, Device, Row};
use crate::transaction::Kind;
use crate::work::{Trays, row};
use crate::world::World;
use crate::world::people::Role;

/// Every few weeks a tariff was wrong, and dozens of bills are put right within the hour.
pub(super) fn bulk(world: &World, trays: &Trays, day: usize, dice: &mut Dice, rows: &mut Vec<Row>) {
    if !world.calendar.business(day) || !dice.chance(world.people.len() as f64 / 900.0) {
        return;
    }
    let Some(user) = somebody(world, &[Role::BillingClerk, Role::Controller, Role::Cashier], day, dice) else { return };
    let ward = (0..12).max_by_key(|&w| trays.bills[w].len() * (1 + (w + day) % 3)).unwrap_or(0);
    let kind = if dice.chance(0.5) { Kind::Adjustment } else { Kind::Refund };
    let share = [0.05, 0.1, 0.2, 1.0][dice.below(4)];
    let many = dice.count(18, 45);
    let mut at = moment(world, user, day, dice);
    for item in trays.bills[ward].iter().rev().take(many) {
        at += 8 + whole(dice.waiting(50.0));
        let to = if kind == Kind::Refund { item.patient.bank } else { world.wards[ward].income };
        let cents = whole(item.cents as f64 * share).max(50);
        let department = Some(world.wards[ward].department);
        rows.push(Row { department, reference: Some(item.reference), ..row(user, kind, item.patient.account, Some(to), cents) }.at(at).named("bulk_correction"));
    }
}

/// Some departments send their bills and claims as files: all rows of one carry one second.
pub(super) fn batch(world: &mut World, day: usize, dice: &mut Dice, rows: &mut Vec<Row>) {
    if !world.calendar.business(day) || !dice.chance(world.people.len() as f64 / 400.0) {
        return;
    }
    let claims = dice.chance(0.4);
    let roles: &[Role] = if claims { &[Role::ClaimsClerk] } else { &[Role::BillingClerk] };
    let Some(user) = somebody(world, roles, day, dice) else { return };
    let ward = world.people[user].department(day) as usize;
    let at = moment(world, user, day, dice);
    for _ in 0..dice.count(12, 50) {
        let patient = crate::work::patient(world, ward, dice);
        let tariffs = &world.wards[ward].tariffs;
        let cents = tariffs[dice.zipf(tariffs.len())];
        let (kind, to) = if claims { (Kind::InsuranceClaim, Some(patient.insurer)) } else { (Kind::Billing, None) };
        rows.push(row(user, kind, patient.account, to, cents).at(at).from_device(Device::Batch(day * 8 + 3)).named("batch_import"));
    }
}

/// A patient pays a large bill in equal parts, weekly or every second week, at whatever desk is open.
pub(super) fn instalments(world: &mut World, day: usize, dice: &mut Dice, rows: &mut Vec<Row>) {
    if !dice.chance(world.people.len() as f64 / 250.0) {
        return;
    }
    let ward = dice.below(9);
    let patient = crate::work::patient(world, ward, dice);
    let reference = world.reference();
    let cents = dice.from_to(4, 60) * 1_000;
    let step = 7 * dice.count(1, 2);
    for k in 0..dice.count(3, 7) {
        let on = day + k * step;
        if on < world.days
            && let Some(user) = somebody(world, &[Role::Cashier, Role::NightRegistrar], on, dice)
        {
            let at = moment(world, user, on, dice);
            rows.push(row(user, Kind::Payment, patient.account, Some(patient.bank), cents).about(Some(reference)).at(at).named("instalments"));
        }
    }
}

/// The same price twice within hours, honestly: two patients of one treatment, two deliveries of one vendor, two claims of one
/// patient for two sittings.
pub(super) fn same_price(world: &mut World, day: usize, dice: &mut Dice, rows: &mut Vec<Row>) {
    for _ in 0..dice.poisson(world.people.len() as f64 / 60.0) {
        let which = dice.below(3);
        let roles: &[Role] = [&[Role::Cashier, Role::BillingClerk][..], &[Role::PharmacyBuyer, Role::ProcurementOfficer, Role::PayableClerk], &[Role::ClaimsClerk]][which];
        let Some(user) = somebody(world, roles, day, dice) else { continue };
        let ward = world.people[user].department(day) as usize;
        let mut at = moment(world, user, day, dice);
        let tariff = world.wards[ward].tariffs[dice.zipf(world.wards[ward].tariffs.len())];
        let patient = crate::work::patient(world, ward, dice);
        let list = &world.people[user].vendors;
        let deal = list.get(dice.zipf(list.len())).filter(|v| v.1 <= day).map(|v| &world.vendors[v.0]);
        let base = match (which, deal) {
            (1, Some(vendor)) => row(user, Kind::Procurement, world.wards[ward].cost, Some(vendor.account), vendor.items[dice.zipf(vendor.items.len())]),
            (1, None) => continue,
            (2, _) => row(user, Kind::InsuranceClaim, patient.account, Some(patient.insurer), tariff),
            _ => row(user, Kind::Billing, patient.account, None, tariff),
        };
        rows.push(base.clone().at(at).named("same_price_twice"));
        for _ in 0..dice.count(1, 2) {
            at += 300 + whole(dice.waiting(5_000.0)).min(4 * 3_600);
            // Some sittings are on the next days.
            let later = if which == 2 { DAY * dice.from_to(1, 9) } else { 0 };
            let other = if which == 0 { base.clone().on(crate::row::Party::Known(crate::work::patient(world, ward, dice).account)) } else { base.clone() };
            rows.push(other.at(at + later).named("same_price_twice"));
        }
    }
}
