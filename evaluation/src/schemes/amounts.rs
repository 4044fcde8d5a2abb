//! Too much: single spikes, and a little more every week.

use super::Stage;
use crate::config::Grade;
use crate::dice::{Dice, whole};
use crate::row::{Party, Row};

/// Amounts far above what the user enters (blatant), above the user's maximum (medium), or within the user's range but far
/// above anything that this payee ever got (subtle).
pub fn spike(stage: &Stage<'_>, dice: &mut Dice, grade: Grade) -> Option<Vec<Row>> {
    let user = stage.spender(dice)?;
    let kind = stage.spending(user)?;
    let n = dice.count(grade.of(2, 2, 3), grade.of(4, 4, 5));
    let days = stage.days(dice, user, n, grade.of(4, 10, 30))?;
    let known = stage.vendors(user, days[0]);
    let small: Vec<Party> = known
        .into_iter()
        .filter(|v| {
            let got: Vec<i64> = stage.rows_of(user).filter(|r| r.counterparty == Some(*v)).map(|r| r.cents).collect();
            got.len() >= 4 && got.iter().all(|c| *c * 5 < stage.quantile(user, kind, 0.9))
        })
        .collect();
    let payee = if grade == Grade::Subtle { *dice.pick(&small)? } else { Party::Fresh(0) };
    let mut rows = Vec::new();
    for day in days {
        let row = stage.spend(dice, user, day)?;
        let top = stage.quantile(user, kind, 0.99) as f64;
        let cents = match grade {
            Grade::Blatant => whole(top * dice.between(6.0, 30.0)),
            Grade::Medium => whole(top * dice.between(1.0, 2.2)),
            Grade::Subtle => stage.amount(dice, user, kind, 0.86, 0.985),
        };
        let row = if grade == Grade::Medium && dice.chance(0.4) { row } else { row.to(payee) };
        rows.push(row.cents(cents));
    }
    Some(rows)
}

/// Small amounts to one own account that grow by about 5 % a week; blatant ones are daily and grow fast.
pub fn skimming(stage: &Stage<'_>, dice: &mut Dice, grade: Grade) -> Option<Vec<Row>> {
    let user = stage.spender(dice)?;
    let kind = stage.spending(user)?;
    let n = dice.count(grade.of(14, 9, 8), grade.of(20, 14, 12));
    let days = stage.days(dice, user, n, grade.of(16, 35, 60))?;
    let first = days[0];
    let base = stage.quantile(user, kind, grade.of(0.75, 0.4, 0.15)) as f64;
    days.into_iter()
        .map(|day| {
            let weeks = (day - first) as f64 / 7.0;
            let cents = base * libm::pow(1.0 + grade.of(0.6, 0.08, 0.05), weeks) * dice.between(grade.of(1.0, 0.95, 0.97), grade.of(1.05, 1.05, 1.03));
            Some(stage.spend(dice, user, day)?.to(Party::Fresh(0)).cents(whole(cents)))
        })
        .collect()
}
