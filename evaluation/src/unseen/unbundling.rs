//! One treatment, claimed as the sum of its parts and more.

use std::collections::HashMap;

use super::complete;
use crate::config::Grade;
use crate::dice::Dice;
use crate::row::{Party, Row};
use crate::schemes::{Scheme, Stage};
use crate::transaction::Kind;

/// A patient's bill that has a tariff of its own is claimed as several smaller tariffs that add up to more. Blatant: five or six
/// parts within minutes, about twice the bill. Medium: three or four parts in a day, half as much again. Subtle: two parts on
/// different days, about a quarter more.
#[derive(Clone, Copy, Debug)]
pub struct Unbundling;

/// Different tariffs below the bill whose sum is that many times the bill.
fn parts(dice: &mut Dice, tariffs: &[i64], bill: i64, n: usize, (low, high): (f64, f64)) -> Option<Vec<i64>> {
    let smaller: Vec<i64> = tariffs.iter().copied().filter(|t| t * 100 > bill * 8 && t * 100 < bill * 88).collect();
    (0..200).find_map(|_| {
        let mut found: Vec<i64> = Vec::with_capacity(n);
        for _ in 0..n {
            let part = *dice.pick(&smaller)?;
            if !found.contains(&part) {
                found.push(part);
            }
        }
        let ratio = found.iter().sum::<i64>() as f64 / bill as f64;
        (found.len() == n && (low..high).contains(&ratio)).then_some(found)
    })
}

/// A bill of these patients from the days before that nobody claims.
fn unclaimed<'a>(stage: &Stage<'a>, dice: &mut Dice, patients: &HashMap<Party, usize>, day: usize, used: &[Party], looks: usize) -> Option<&'a Row> {
    let bills = stage.between(day.saturating_sub(5), day, |r| r.kind == Kind::Billing && patients.contains_key(&r.account) && !used.contains(&r.account));
    let free = |bill: &&Row| stage.between(bill.day(), bill.day() + 31, |r| r.kind == Kind::InsuranceClaim && r.account == bill.account).is_empty();
    (0..looks).filter_map(|_| (0..20).find_map(|_| dice.pick(&bills).copied().filter(free))).max_by_key(|bill| bill.cents)
}

/// When the parts of one bill are entered.
fn moments(stage: &Stage<'_>, dice: &mut Dice, user: usize, day: usize, n: usize, grade: Grade) -> Vec<i64> {
    let mut at = stage.moment(dice, user, day);
    match grade {
        Grade::Blatant => (0..n)
            .map(|_| {
                at += dice.from_to(25, 240);
                at
            })
            .collect(),
        Grade::Medium => (0..n).map(|_| stage.moment(dice, user, day)).collect(),
        Grade::Subtle => {
            let near: Vec<usize> = stage.workdays(user).iter().copied().filter(|d| (day..day + 9).contains(d)).collect();
            let step = dice.count(1, 2);
            near.into_iter().step_by(step).take(n).map(|d| stage.moment(dice, user, d)).collect()
        }
    }
}

impl Scheme for Unbundling {
    fn name(&self) -> &'static str {
        "unbundling"
    }

    fn incident(&self, stage: &Stage<'_>, dice: &mut Dice, grade: Grade) -> Option<Vec<Row>> {
        let user = stage.doer(dice, Kind::InsuranceClaim, 60)?;
        let bills = dice.count(grade.of(3, 4, 4), grade.of(4, 5, 7));
        let days = stage.days(dice, user, bills, grade.of(4, 15, 40))?;
        let (mut rows, mut used) = (Vec::new(), Vec::new());
        for day in days {
            let ward = stage.world.people[user].department(day) as usize;
            let insurers: HashMap<Party, usize> = stage.world.patients[ward].iter().map(|p| (Party::Known(p.account), p.insurer)).collect();
            let found = (0..8).find_map(|_| {
                let bill = unclaimed(stage, dice, &insurers, day, &used, grade.of(4, 2, 1))?;
                let n = grade.of(dice.count(5, 6), dice.count(3, 4), 2);
                let ratio = grade.of((1.7, 2.8), (1.35, 1.8), (1.12, 1.42));
                Some((bill, parts(dice, &stage.world.wards[ward].tariffs, bill.cents, n, ratio)?))
            });
            let Some((bill, parts)) = found else { continue };
            let moments = moments(stage, dice, user, day, parts.len(), grade);
            if moments.len() < parts.len() {
                continue;
            }
            used.push(bill.account);
            for (cents, at) in parts.into_iter().zip(moments) {
                let claim = stage.entry(dice, user, Kind::InsuranceClaim, day)?;
                rows.push(claim.on(bill.account).to(Party::Known(*insurers.get(&bill.account)?)).cents(cents).at(at));
            }
        }
        // Of one patient alone it could be a mistake.
        (used.len() >= grade.of(2, 3, 3)).then(|| complete(stage, rows))?
    }
}
