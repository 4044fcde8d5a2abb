//! Payees that should not be: one that gets more and more, one that only colluding people know, one that had been forgotten.

use super::Stage;
use crate::config::Grade;
use crate::dice::{Dice, whole};
use crate::row::{Party, Row};
use crate::world::accounts::Owner;

/// One new payee gets growing sums: doubling (blatant), by a third (medium), by about a tenth within the user's range (subtle).
pub fn escalating(stage: &Stage<'_>, dice: &mut Dice, grade: Grade) -> Option<Vec<Row>> {
    let user = stage.spender(dice)?;
    let kind = stage.spending(user)?;
    let n = dice.count(grade.of(6, 6, 6), grade.of(8, 8, 9));
    let days = stage.days(dice, user, n, grade.of(10, 20, 40))?;
    let mut cents = stage.quantile(user, kind, grade.of(0.7, 0.6, 0.35)) as f64;
    days.into_iter()
        .map(|day| {
            let row = stage.spend(dice, user, day)?.to(Party::Fresh(0)).cents(whole(cents));
            cents *= grade.of(dice.between(1.6, 2.1), dice.between(1.2, 1.4), dice.between(1.06, 1.16));
            Some(row)
        })
        .collect()
}

/// Several employees pay one new vendor that delivers nothing: much within days (blatant), within weeks (medium), usual amounts
/// over a month and a half (subtle). Round sums, or the same few sums again.
pub fn shell(stage: &Stage<'_>, dice: &mut Dice, grade: Grade) -> Option<Vec<Row>> {
    let people = stage.spenders(dice, grade.of(4, 4, 3));
    let n = dice.count(grade.of(9, 8, 7), grade.of(14, 12, 10));
    let lead = *people.first()?;
    let window = stage.days(dice, lead, 2, grade.of(6, 20, 45))?;
    let (from, to) = (window[0], (window[0] + grade.of(6, 20, 45)).min(stage.end()));
    let mut rows = Vec::new();
    for i in 0..n {
        let user = people[i % people.len()];
        let there: Vec<usize> = stage.workdays(user).iter().copied().filter(|d| (from..to).contains(d)).collect();
        let Some(&day) = dice.pick(&there) else { continue };
        let kind = stage.spending(user)?;
        let cents = stage.amount(dice, user, kind, grade.of(0.88, 0.75, 0.3), grade.of(1.0, 0.98, 0.85));
        let cents = if dice.chance(0.7) { (cents / 5_000).max(1) * 5_000 } else { cents };
        rows.push(stage.spend(dice, user, day)?.to(Party::Fresh(0)).cents(cents));
    }
    Some(rows)
}

/// An account without any movement for long is paid again: large sums in days (blatant), usual ones (medium), few and small (subtle).
pub fn dormant_account(stage: &Stage<'_>, dice: &mut Dice, grade: Grade) -> Option<Vec<Row>> {
    let user = stage.spender(dice)?;
    let kind = stage.spending(user)?;
    let n = dice.count(grade.of(6, 5, 4), grade.of(9, 8, 6));
    let days = stage.days(dice, user, n, grade.of(4, 14, 30))?;
    let mut asleep = stage.asleep_after(Owner::Vendor, days[0].saturating_sub(grade.of(28, 24, 21)));
    asleep.extend(stage.asleep_after(Owner::Internal, days[0].saturating_sub(grade.of(28, 24, 21))));
    if asleep.is_empty() {
        asleep = stage.asleep_after(Owner::PatientBank, days[0].saturating_sub(40));
    }
    let payee = Party::Known(*dice.pick(&asleep)?);
    days.into_iter()
        .map(|day| {
            let cents = stage.amount(dice, user, kind, grade.of(0.92, 0.7, 0.15), grade.of(1.0, 0.99, 0.8)) * grade.of(2, 1, 1);
            Some(stage.spend(dice, user, day)?.to(payee).cents(cents))
        })
        .collect()
}
