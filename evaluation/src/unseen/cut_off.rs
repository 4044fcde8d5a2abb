//! Income that exists only on the day of the books' closing.

use chrono::Datelike;

use super::complete;
use crate::config::Grade;
use crate::dice::{Dice, index, whole};
use crate::row::{Party, Row};
use crate::schemes::{Scheme, Stage};
use crate::transaction::Kind;
use crate::world::accounts::Owner;

/// Treatments that nobody had are billed before a month's end and taken back after it. Blatant: top amounts on three patients in the
/// last days, all cancelled by the same person in the first ones. Medium: upper amounts on several patients, cancelled within a week, some
/// under another number. Subtle: usual amounts in the last week, cancelled within half a month by a colleague, mostly under
/// another number and not always in full.
#[derive(Clone, Copy, Debug)]
pub struct CutOff;

/// Last days of months with enough of the stream on either side.
fn closings(stage: &Stage<'_>) -> Vec<usize> {
    let month = |day: usize| stage.world.calendar.date(day).month();
    (stage.warm_up()..stage.end().saturating_sub(3)).filter(|&d| month(d) != month(d + 1)).collect()
}

fn on_patient(stage: &Stage<'_>, row: &Row) -> bool {
    matches!(row.account, Party::Known(a) if stage.world.accounts[a] == Owner::Patient)
}

/// Whether that person corrects patients' bills now and then.
fn corrects(stage: &Stage<'_>, user: usize) -> bool {
    !stage.world.buys(user) && stage.rows_of(user).filter(|r| r.kind == Kind::Adjustment && on_patient(stage, r)).count() >= 4
}

fn there(stage: &Stage<'_>, user: usize, from: usize, to: usize) -> Vec<usize> {
    let from = from.max(stage.warm_up());
    stage.workdays(user).iter().copied().filter(|d| (from..=to).contains(d)).collect()
}

fn on_patients(stage: &Stage<'_>, dice: &mut Dice, user: usize, kind: Kind, day: usize) -> Option<Row> {
    (0..12).find_map(|_| stage.entry(dice, user, kind, day).filter(|row| on_patient(stage, row)))
}

impl Scheme for CutOff {
    fn name(&self) -> &'static str {
        "cut_off"
    }

    fn incident(&self, stage: &Stage<'_>, dice: &mut Dice, grade: Grade) -> Option<Vec<Row>> {
        let (before, after) = (grade.of(2, 4, 6), grade.of(3, 7, 16));
        let (user, last) = (0..60).find_map(|_| {
            let last = *dice.pick(&closings(stage))?;
            let user = stage.doer(dice, Kind::Billing, 40)?;
            let settled = stage.workdays(user).iter().filter(|d| **d + before < last).count() >= 12;
            let fits = settled && corrects(stage, user) && !there(stage, user, last - before.min(last), last).is_empty() && !there(stage, user, last + 1, last + after).is_empty();
            fits.then_some((user, last))
        })?;
        let ward = stage.world.people[user].department(last);
        let colleagues: Vec<usize> = (0..stage.world.people.len())
            .filter(|&u| u != user && stage.world.people[u].department(last) == ward && corrects(stage, u) && !there(stage, u, last + 1, last + after).is_empty())
            .collect();
        let other = if grade == Grade::Subtle { dice.pick(&colleagues).copied().unwrap_or(user) } else { user };
        let (early, late) = (there(stage, user, last - before.min(last), last), there(stage, other, last + 1, last + after));
        let mut patients: Vec<Party> = Vec::new();
        let mut rows = Vec::new();
        for i in 0..dice.count(grade.of(8, 5, 4), grade.of(11, 8, 6)) {
            let day = *dice.pick(&early)?;
            let cents = stage.quantile(user, Kind::Billing, dice.between(grade.of(0.93, 0.65, 0.3), grade.of(1.0, 0.97, 0.88)));
            let mut bill = on_patients(stage, dice, user, Kind::Billing, day)?.cents(cents);
            if grade == Grade::Blatant && patients.len() >= 3 {
                bill.account = patients[i % 3];
            }
            patients.push(bill.account);
            // A number far beyond those given out: numbers on the wire do not show their size.
            let number = Some(index(dice.from_to(1 << 40, 1 << 48)));
            let day = *dice.pick(&late)?;
            let back = on_patients(stage, dice, other, Kind::Adjustment, day)?.on(bill.account);
            let share = if grade == Grade::Subtle && dice.chance(0.4) { dice.between(0.85, 0.99) } else { 1.0 };
            rows.push(back.cents(whole(bill.cents as f64 * share)).about(number.filter(|_| dice.chance(grade.of(1.0, 0.6, 0.3)))));
            rows.push(bill.about(number));
        }
        complete(stage, rows)
    }
}
