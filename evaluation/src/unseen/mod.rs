//! Schemes that are apart from the standard ones, for measuring a detector on fraud that nobody tuned it to.

pub mod cut_off;
pub mod diversion;
#[cfg(test)]
mod tests;
pub mod unbundling;

use crate::row::Row;
use crate::schemes::{Scheme, Stage};

/// The schemes, for [`generate_with`](crate::generate_with).
pub static UNSEEN: [&dyn Scheme; 3] = [&diversion::Diversion, &cut_off::CutOff, &unbundling::Unbundling];

/// The rows within the days on which fraud may occur, if they still make an incident.
fn complete(stage: &Stage<'_>, mut rows: Vec<Row>) -> Option<Vec<Row>> {
    rows.retain(|row| (stage.warm_up()..stage.end()).contains(&row.day()));
    rows.sort_by_key(|row| row.at);
    (3..=25).contains(&rows.len()).then_some(rows)
}
