//! The same thing twice.

use super::Stage;
use crate::config::Grade;
use crate::dice::{Dice, whole};
use crate::row::{Device, Row};
use crate::transaction::Kind;
use crate::world::accounts::Owner;

/// Claims once more, for the same patient and insurer.
pub fn claim(stage: &Stage<'_>, dice: &mut Dice, grade: Grade) -> Option<Vec<Row>> {
    let user = stage.doer(dice, Kind::InsuranceClaim, 60)?;
    again(stage, dice, grade, user, &|row| row.kind == Kind::InsuranceClaim)
}

/// Invoices once more, to the same vendor.
pub fn payment(stage: &Stage<'_>, dice: &mut Dice, grade: Grade) -> Option<Vec<Row>> {
    let user = stage.spender(dice)?;
    let kind = stage.spending(user)?;
    let vendor = |row: &Row| matches!(row.counterparty, Some(crate::row::Party::Known(c)) if stage.world.accounts[c] == Owner::Vendor);
    again(stage, dice, grade, user, &|row| row.kind == kind && vendor(row))
}

/// Blatant: exact copies on the same day, some of them twice, with the same number. Medium: on one of the next days with
/// another number. Subtle: weeks later, changed by cents or about a percent, with another number.
fn again(stage: &Stage<'_>, dice: &mut Dice, grade: Grade, user: usize, fits: &dyn Fn(&Row) -> bool) -> Option<Vec<Row>> {
    let originals: Vec<&Row> =
        stage.rows_of(user).filter(|r| fits(r) && r.day() + 2 >= stage.warm_up() && r.day() + 4 < stage.end() && !matches!(r.device, Device::Batch(_))).collect();
    let n = dice.count(grade.of(4, 4, 4), grade.of(7, 7, 7));
    let mut rows = Vec::new();
    // From one stretch of the books.
    let stretch = grade.of(40, 120, 300).min(originals.len());
    let from = dice.below(originals.len() + 1 - stretch);
    let mut stretch: Vec<&Row> = originals[from..from + stretch].to_vec();
    for _ in 0..n {
        let original = super::undoing::largest(dice, &stretch, grade)?;
        stretch.retain(|r| r.at != original.at);
        let copy = Row { scenario: "", device: Device::Usual, ..original.clone() };
        let later = |days: usize| stage.workdays(user).iter().copied().find(|&d| d >= original.day() + days);
        match grade {
            Grade::Blatant => {
                let mut at = original.at;
                for _ in 0..dice.count(1, 3) {
                    at += 60 + whole(dice.waiting(1_500.0));
                    rows.push(copy.clone().at(at));
                }
            }
            Grade::Medium => {
                let day = later(dice.count(1, 3))?;
                rows.push(copy.about(None).at(stage.moment(dice, user, day)));
            }
            Grade::Subtle => {
                let Some(day) = later(dice.count(5, 20)) else { continue };
                let cents = match dice.below(3) {
                    0 => copy.cents,
                    1 => copy.cents + dice.from_to(1, 9),
                    _ => whole(copy.cents as f64 * dice.between(0.985, 1.015)),
                };
                rows.push(copy.about(None).cents(cents).at(stage.moment(dice, user, day)));
            }
        }
    }
    Some(rows)
}
