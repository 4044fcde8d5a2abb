//! Structuring: one sum in parts that each stay below a limit.

use super::Stage;
use crate::config::Grade;
use crate::dice::{Dice, whole};
use crate::row::{Party, Row};
use crate::world::amounts::LIMITS;

/// Parts just below a limit that the user usually stays well below or reaches now and then: one vendor on one day (blatant),
/// one vendor within a week (medium), two or three known vendors within weeks (subtle).
pub fn structuring(stage: &Stage<'_>, dice: &mut Dice, grade: Grade) -> Option<Vec<Row>> {
    let user = stage.spender(dice)?;
    let kind = stage.spending(user)?;
    let fits: Vec<i64> = LIMITS
        .into_iter()
        .filter(|l| {
            *l > stage.quantile(user, kind, grade.of(0.5, 0.35, 0.3)) && *l < whole(stage.quantile(user, kind, grade.of(0.985, 0.97, 0.95)) as f64 * grade.of(1.6, 1.2, 1.0))
        })
        .collect();
    let limit = *dice.pick(&fits)?;
    let n = dice.count(grade.of(6, 5, 5), grade.of(11, 9, 8));
    let days = stage.days(dice, user, grade.of(1, 4, n), grade.of(3, 7, 24))?;
    let known = stage.vendors(user, days[0]);
    let mut payees: Vec<Party> = (0..grade.of(1, 1, dice.count(2, 3))).filter_map(|_| dice.pick(&known).copied()).collect();
    if grade != Grade::Subtle && dice.chance(0.5) {
        payees = vec![Party::Fresh(0)];
    }
    let mut rows = Vec::new();
    for i in 0..n {
        let share = dice.between(grade.of(0.95, 0.9, 0.86), 0.999);
        let cents = whole(limit as f64 * share);
        let cents = if dice.chance(0.4) { cents / 1_000 * 1_000 } else { cents };
        let payee = *payees.get(i % payees.len().max(1))?;
        rows.push(stage.spend(dice, user, days[i % days.len()])?.to(payee).cents(cents));
    }
    Some(rows)
}
