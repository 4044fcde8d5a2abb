//! Money that comes in and is taken out again: refunds to the cashier, write-offs of what was paid, lapping.

use super::Stage;
use crate::config::Grade;
use crate::dice::{Dice, whole};
use crate::row::{HOUR, Party, Row};
use crate::transaction::Kind;

/// Payments that this cashier took within the days before, of patients not yet used.
fn taken<'a>(stage: &Stage<'a>, user: usize, day: usize, back: usize, used: &[Party]) -> Vec<&'a Row> {
    stage.rows_of(user).filter(|r| r.kind == Kind::Payment && r.day() + back >= day && r.day() < day && !used.contains(&r.account)).collect()
}

/// What pays best of a few: the bolder, the more are looked at.
pub(super) fn largest<'a>(dice: &mut Dice, rows: &[&'a Row], grade: Grade) -> Option<&'a Row> {
    (0..grade.of(4, 2, 1)).filter_map(|_| dice.pick(rows).copied()).max_by_key(|r| r.cents)
}

fn cashier(stage: &Stage<'_>, dice: &mut Dice) -> Option<usize> {
    (0..30).find_map(|_| {
        let user = stage.doer(dice, Kind::Refund, 6)?;
        (stage.rows_of(user).filter(|r| r.kind == Kind::Payment).count() > 60).then_some(user)
    })
}

/// Refunds of other people's payments to one own account: many in days (blatant), some in weeks (medium), few and partial in
/// two months to two own accounts (subtle).
pub fn refunds(stage: &Stage<'_>, dice: &mut Dice, grade: Grade) -> Option<Vec<Row>> {
    let user = cashier(stage, dice)?;
    let n = dice.count(grade.of(9, 7, 6), grade.of(15, 11, 9));
    let days = stage.days(dice, user, n, grade.of(3, 16, 45))?;
    let own = [Party::Fresh(0), if grade == Grade::Subtle { Party::Known(stage.world.people[user].bank) } else { Party::Fresh(0) }];
    let (mut rows, mut used) = (Vec::new(), Vec::new());
    for (i, day) in days.into_iter().enumerate() {
        let Some(paid) = largest(dice, &taken(stage, user, day, grade.of(3, 7, 14), &used), grade) else { continue };
        used.push(paid.account);
        let cents = if grade == Grade::Blatant || dice.chance(0.6) { paid.cents } else { whole(paid.cents as f64 * dice.between(0.2, 0.9)) };
        rows.push(Row { kind: Kind::Refund, scenario: "", cents, ..paid.clone() }.to(own[i % 2]).at(stage.moment(dice, user, day)));
    }
    Some(rows)
}

/// The payment of a bill is kept and the bill is written off in full by the same person: payment and write-off come within
/// hours, on one patient's account again and again (blatant), within days on several (medium), in parts and weeks later (subtle).
pub fn write_offs(stage: &Stage<'_>, dice: &mut Dice, grade: Grade) -> Option<Vec<Row>> {
    let user = (0..30).find_map(|_| cashier(stage, dice).filter(|&u| stage.rows_of(u).any(|r| r.kind == Kind::Adjustment)))?;
    let n = dice.count(grade.of(6, 6, 5), grade.of(10, 9, 8));
    let days = stage.days(dice, user, n, grade.of(3, 18, 45))?;
    let first = *dice.pick(&taken(stage, user, days[0], 20, &[]))?;
    let (mut rows, mut used) = (Vec::new(), Vec::new());
    for day in days {
        let Some(adjustment) = stage.entry(dice, user, Kind::Adjustment, day) else { continue };
        let Some(paid) = largest(dice, &taken(stage, user, day, grade.of(3, 5, 16), &used), grade) else { continue };
        used.push(paid.account);
        match grade {
            Grade::Blatant => {
                let at = stage.moment(dice, user, day);
                let cents = stage.amount(dice, user, Kind::Payment, 0.75, 1.0);
                rows.push(Row { scenario: "", cents, reference: None, at, ..first.clone() });
                rows.push(adjustment.on(first.account).cents(cents).at(at + dice.from_to(300, 2 * HOUR)));
            }
            Grade::Medium => rows.push(adjustment.on(paid.account).cents(paid.cents).about(paid.reference)),
            Grade::Subtle => {
                let cents = if dice.chance(0.5) { paid.cents } else { whole(paid.cents as f64 * 0.5) };
                rows.push(adjustment.on(paid.account).cents(cents).about(paid.reference));
            }
        }
    }
    Some(rows)
}

/// What A paid is kept; B's payment is then booked on A, C's on B, and so on: for each link the amount is taken off the payer
/// and put on the one before.
pub fn lapping(stage: &Stage<'_>, dice: &mut Dice, grade: Grade) -> Option<Vec<Row>> {
    let user = (0..30).find_map(|_| cashier(stage, dice).filter(|&u| stage.rows_of(u).any(|r| r.kind == Kind::Adjustment)))?;
    let links = dice.count(grade.of(6, 5, 4), grade.of(9, 7, 6));
    let days = stage.days(dice, user, links, grade.of(3, 14, 30))?;
    let mut before: Option<&Row> = None;
    let (mut rows, mut used) = (Vec::new(), Vec::new());
    for day in days {
        let Some(paid) = largest(dice, &taken(stage, user, day, grade.of(2, 3, 5), &used), grade) else { continue };
        used.push(paid.account);
        if let (Some(earlier), Some(adjustment)) = (before, stage.entry(dice, user, Kind::Adjustment, day)) {
            let cents = if grade == Grade::Subtle { paid.cents.min(earlier.cents) } else { earlier.cents };
            let at = stage.moment(dice, user, day);
            rows.push(adjustment.on(paid.account).cents(cents).at(at));
            let gap = grade.of(dice.from_to(30, 300), dice.from_to(120, HOUR), dice.from_to(600, 3 * HOUR));
            rows.push(Row { scenario: "", cents, reference: earlier.reference, at: at + gap, account: earlier.account, ..paid.clone() });
        }
        before = Some(paid);
    }
    Some(rows)
}
