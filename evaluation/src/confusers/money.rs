//! Cash pooling, funding, and transfers that come back.

use super::{moment, somebody};
use crate::dice::{Dice, whole};
use crate::row::{DAY, Device, HOUR, Row};
use crate::transaction::Kind;
use crate::work::row;
use crate::world::World;
use crate::world::people::Role;

/// Every evening the desks' takings go to one account; on Mondays it funds the departments.
pub(super) fn pooling(world: &World, day: usize, dice: &mut Dice, rows: &mut Vec<Row>) {
    if !world.calendar.business(day) {
        return;
    }
    let Some(user) = somebody(world, &[Role::Treasury], day, dice) else { return };
    let mut at = day as i64 * DAY + 17 * HOUR + dice.from_to(0, HOUR);
    let file = dice.chance(0.5);
    for ward in &world.wards {
        if dice.chance(0.7) {
            at += if file { 0 } else { dice.from_to(4, 50) };
            let device = if file { Device::Batch(day * 8 + 4) } else { Device::Usual };
            rows.push(row(user, Kind::Transfer, ward.desk, Some(world.pool), dice.price(7.6, 0.6)).at(at).from_device(device).named("cash_pooling"));
        }
    }
    if world.calendar.weekday(day) == 0 {
        at = moment(world, user, day, dice);
        for ward in &world.wards {
            at += dice.from_to(10, 90);
            let cents = dice.from_to(5, 90) * 100_000;
            rows.push(row(user, Kind::Transfer, world.pool, Some(ward.cost), cents).at(at).named("cash_pooling"));
        }
    }
}

/// A wrong account number: the money goes out, comes back some days later, and sometimes goes out again to the right one.
pub(super) fn returned(world: &World, day: usize, dice: &mut Dice, rows: &mut Vec<Row>) {
    if !dice.chance(world.people.len() as f64 / 360.0) {
        return;
    }
    let Some(user) = somebody(world, &[Role::Treasury, Role::Controller, Role::Secretary], day, dice) else { return };
    let (from, wrong, right) = (crate::work::internal(world, dice, None), crate::work::internal(world, dice, None), crate::work::internal(world, dice, None));
    if from == wrong || from == right {
        return;
    }
    let cents = dice.price(7.4, 1.1);
    let mut at = moment(world, user, day, dice);
    let mut book = |user: usize, at: i64, a: usize, b: usize| rows.push(row(user, Kind::Transfer, a, Some(b), cents).at(at).named("returned_transfer"));
    book(user, at, from, wrong);
    let back = day + dice.count(0, 4);
    let other = somebody(world, &[Role::Treasury, Role::Controller], back, dice).unwrap_or(user);
    if back < world.days {
        at = if back == day { at + 2 * HOUR + whole(dice.waiting(2_000.0)) } else { moment(world, other, back, dice) };
        book(other, at, wrong, from);
        if dice.chance(0.7) {
            book(other, at + dice.from_to(60, 2_400), from, right);
        }
    }
}
