//! Money that wanders: in circles, from many to one, from one to many.

use super::Stage;
use crate::config::Grade;
use crate::dice::{Dice, whole};
use crate::row::{DAY, HOUR, Party, Row};
use crate::transaction::Kind;

/// People who book transfers, with their days.
fn movers(stage: &Stage<'_>, dice: &mut Dice, n: usize) -> Option<Vec<usize>> {
    let mut out: Vec<usize> = Vec::new();
    for _ in 0..n * 8 {
        let user = stage.doer(dice, Kind::Transfer, 15)?;
        if !out.contains(&user) && out.len() < n {
            out.push(user);
        }
    }
    (!out.is_empty()).then_some(out)
}

/// The first of the mover's entries at or after that moment.
fn next(stage: &Stage<'_>, dice: &mut Dice, user: usize, at: i64) -> Option<i64> {
    let day = crate::dice::index(at / DAY);
    stage.workdays(user).iter().filter(|&&d| d >= day && d <= day + 4).find_map(|&d| (0..6).map(|_| stage.moment(dice, user, d)).find(|m| *m >= at))
}

/// A→B→C→A, less a fee at each hop: within hours by one person in new accounts, again and again (blatant), within two days by two
/// (medium), over a week by several through the hospital's own accounts (subtle).
pub fn round_trip(stage: &Stage<'_>, dice: &mut Dice, grade: Grade) -> Option<Vec<Row>> {
    let people = movers(stage, dice, grade.of(1, 2, 3))?;
    let start = stage.days(dice, people[0], 1, 12)?[0];
    let hops = dice.count(3, grade.of(3, 4, 5));
    let home = Party::Known(crate::work::internal(stage.world, dice, None));
    let accounts: Vec<Party> = (0..hops)
        .map(|i| match i {
            0 => home,
            _ if grade == Grade::Subtle => Party::Known(crate::work::internal(stage.world, dice, Some((i * 3 + start) % 12))),
            _ => Party::Fresh(i),
        })
        .collect();
    let mut cents = stage.amount(dice, people[0], Kind::Transfer, grade.of(0.9, 0.6, 0.3), grade.of(1.0, 0.98, 0.9));
    let mut at = stage.moment(dice, people[0], start);
    let mut rows = Vec::new();
    for _ in 0..grade.of(3, 2, 1) {
        for hop in 0..hops {
            let (from, to) = (accounts[hop], accounts[(hop + 1) % hops]);
            if from == to {
                return None;
            }
            let user = people[rows.len() % people.len()];
            let row = stage.entry(dice, user, Kind::Transfer, start)?;
            rows.push(row.on(from).to(to).cents(cents).at(at));
            cents = whole(cents as f64 * (1.0 - dice.between(0.001, 0.02)));
            let wait = grade.of(dice.from_to(600, 2 * HOUR), dice.from_to(2 * HOUR, 14 * HOUR), dice.from_to(12 * HOUR, 50 * HOUR));
            let next_user = people[rows.len() % people.len()];
            at = if grade == Grade::Blatant { at + wait } else { next(stage, dice, next_user, at + wait)? };
        }
    }
    Some(rows)
}

/// Many accounts pay into one: within a day (blatant), days (medium), weeks with usual amounts (subtle).
pub fn many_to_one(stage: &Stage<'_>, dice: &mut Dice, grade: Grade) -> Option<Vec<Row>> {
    fan(stage, dice, grade, false)
}

/// One account pays out to many that nobody knows.
pub fn one_to_many(stage: &Stage<'_>, dice: &mut Dice, grade: Grade) -> Option<Vec<Row>> {
    fan(stage, dice, grade, true)
}

fn fan(stage: &Stage<'_>, dice: &mut Dice, grade: Grade, out: bool) -> Option<Vec<Row>> {
    let user = movers(stage, dice, 1)?[0];
    let n = dice.count(grade.of(10, 8, 6), grade.of(15, 10, 8));
    let days = stage.days(dice, user, n, grade.of(1, 4, 22))?;
    // In the subtle grade the one in the middle is an account that exists.
    let middle = if grade == Grade::Subtle && !out { Party::Known(stage.world.people[user].bank) } else { Party::Fresh(0) };
    let source = Party::Known(crate::work::internal(stage.world, dice, None));
    let mut rows = Vec::new();
    for (i, day) in days.into_iter().enumerate() {
        let row = stage.entry(dice, user, Kind::Transfer, day)?;
        let cents = stage.amount(dice, user, Kind::Transfer, grade.of(0.4, 0.4, 0.15), grade.of(0.99, 0.97, 0.8));
        let row = if out { row.on(source).to(Party::Fresh(1 + i)) } else { row.on(Party::Known(crate::work::internal(stage.world, dice, Some(i % 12)))).to(middle) };
        rows.push(row.cents(cents));
    }
    Some(rows)
}
