//! The wrong time: nights, rushes, people who should not be there at all.

use super::Stage;
use crate::config::Grade;
use crate::dice::{Dice, whole};
use crate::row::{DAY, Device, HOUR, Party, Row};
use crate::transaction::Kind;
use crate::world::people::Role;

fn day_worker(stage: &Stage<'_>, dice: &mut Dice) -> Option<usize> {
    (0..20).find_map(|_| stage.spender(dice).filter(|&u| stage.world.people[u].role != Role::NightRegistrar))
}

/// Payments at night (blatant), in the evening (medium), or at the very edges of the shift, to the same payee (subtle).
pub fn off_hours(stage: &Stage<'_>, dice: &mut Dice, grade: Grade) -> Option<Vec<Row>> {
    let user = day_worker(stage, dice)?;
    let n = dice.count(grade.of(6, 4, 5), grade.of(12, 8, 8));
    let days = stage.days(dice, user, grade.of(2, n, n), grade.of(8, 25, 50))?;
    let shift = stage.world.people[user].shift.clone();
    let mut rows = Vec::new();
    let starts: Vec<i64> = days.iter().map(|_| dice.from_to(HOUR, 3 * HOUR)).collect();
    for i in 0..n {
        let d = i % days.len();
        let midnight = days[d] as i64 * DAY;
        let at = match grade {
            Grade::Blatant => midnight + starts[d] + dice.from_to(0, HOUR),
            Grade::Medium => midnight + shift.start_on(days[d]) + shift.length + dice.from_to(HOUR, 4 * HOUR),
            Grade::Subtle => {
                let edge = if dice.chance(0.5) { dice.from_to(-500, 900) } else { shift.length + dice.from_to(-600, 1_500) };
                midnight + shift.start_on(days[d]) + edge
            }
        };
        let payee = Party::Fresh(if grade == Grade::Blatant { i % 2 } else { 0 });
        rows.push(stage.spend(dice, user, days[d])?.to(payee).at(at));
    }
    Some(rows)
}

/// Dozens of payments within minutes (blatant), a dozen within the hour (medium), a handful to two accounts (subtle).
pub fn burst(stage: &Stage<'_>, dice: &mut Dice, grade: Grade) -> Option<Vec<Row>> {
    let user = stage.spender(dice)?;
    let n = dice.count(grade.of(18, 9, 5), grade.of(28, 12, 7));
    let day = stage.days(dice, user, 1, 10)?[0];
    let mut at = stage.moment(dice, user, day);
    let payees = grade.of(3, 2, 2);
    let mut rows = Vec::new();
    for i in 0..n {
        at += 5 + whole(dice.waiting(grade.of(25.0, 180.0, 900.0)));
        let row = stage.spend(dice, user, day)?.at(at);
        rows.push(row.to(Party::Fresh(i % payees)));
    }
    Some(rows)
}

/// The login of somebody who has left (blatant), or is on a long leave (medium, subtle), is used.
pub fn dormant_user(stage: &Stage<'_>, dice: &mut Dice, grade: Grade) -> Option<Vec<Row>> {
    let kinds = [Kind::Payment, Kind::Procurement, Kind::Refund, Kind::Transfer, Kind::Adjustment, Kind::InsuranceClaim, Kind::Billing];
    let mut asleep: Vec<(usize, usize, usize)> = Vec::new();
    for (u, person) in stage.world.people.iter().enumerate() {
        let before = stage.workdays(u).iter().filter(|&&d| d < person.left.min(stage.end())).count();
        let quiet = stage.end() / 5;
        if before >= 6 && person.left + quiet < stage.end() {
            asleep.push((u, (person.left + quiet).max(stage.warm_up()), stage.end()));
        }
        let long = person.absences.iter().find(|a| a.1 >= a.0 + stage.end() / 4 && a.0 > 4);
        if let (true, Some(&(from, back))) = (before >= 6, long) {
            asleep.push((u, (from + quiet).max(stage.warm_up()), back.min(stage.end())));
        }
    }
    asleep.retain(|a| a.2 > a.1 + 1);
    let &(user, from, to) = dice.pick(&asleep)?;
    let kind = kinds.into_iter().find(|&k| stage.rows_of(user).filter(|r| r.kind == k).count() >= 4)?;
    let n = dice.count(grade.of(6, 4, 2), grade.of(11, 7, 4));
    let start = dice.count(from, to - 1);
    let span = grade.of(1, 4, 12);
    let shift = stage.world.people[user].shift.clone();
    let mut rows = Vec::new();
    for i in 0..n {
        let day = (start + dice.below(span)).min(to - 1);
        let at = day as i64 * DAY + shift.start_on(day) + dice.from_to(0, shift.length);
        let row = stage.entry(dice, user, kind, day)?;
        let cents = stage.amount(dice, user, kind, grade.of(0.9, 0.4, 0.05), grade.of(1.0, 0.95, 0.9));
        // Money goes elsewhere only in kinds that send money.
        let sends = matches!(kind, Kind::Payment | Kind::Procurement | Kind::Refund | Kind::Transfer);
        let row = if !sends || grade == Grade::Subtle && i % 2 == 0 { row } else { row.to(Party::Fresh(0)) };
        rows.push(row.at(at).cents(cents * grade.of(2, 1, 1)));
    }
    Some(rows)
}

/// Somebody else at the user's account: another device, another payee; at night and large (blatant), by day (medium),
/// between the user's own entries with usual amounts and partly usual payees (subtle).
pub fn takeover(stage: &Stage<'_>, dice: &mut Dice, grade: Grade) -> Option<Vec<Row>> {
    let user = day_worker(stage, dice)?;
    let kind = stage.spending(user)?;
    let n = dice.count(grade.of(6, 5, 4), grade.of(11, 9, 7));
    let days = stage.days(dice, user, grade.of(1, 2, 3), grade.of(2, 4, 8))?;
    let mut rows = Vec::new();
    let night = dice.from_to(21, 27) * HOUR;
    for i in 0..n {
        let day = days[i % days.len()];
        let row = stage.spend(dice, user, day)?;
        let (at, cents) = match grade {
            Grade::Blatant => (day as i64 * DAY + night + dice.from_to(0, HOUR), stage.amount(dice, user, kind, 0.9, 1.0) * 2),
            Grade::Medium => (row.at, stage.amount(dice, user, kind, 0.8, 1.0)),
            Grade::Subtle => (row.at, stage.amount(dice, user, kind, 0.1, 0.9)),
        };
        let payee = if grade == Grade::Subtle && i % 3 == 0 { row.counterparty? } else { Party::Fresh(i % grade.of(1, 2, 1)) };
        rows.push(row.to(payee).at(at).cents(cents).from_device(Device::Strange(0)));
    }
    Some(rows)
}
