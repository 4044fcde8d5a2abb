//! Structuring: amounts kept just below a reporting or approval limit, one after another.

use super::super::recent::Mark;
use super::{Aspects, Found, View, float, said};

const DAYS: f64 = 5.0;

pub(super) fn structuring<'a>(view: &View<'a>) -> Option<Found<'a>> {
    let signals = view.signals;
    let limit = signals.below_limit?;
    let rows: Vec<_> = view.marked(Mark::BelowLimit, DAYS).into_iter().filter(|row| usize::from(row.kind) == view.observation.transaction_type.index()).collect();
    if rows.is_empty() {
        return None;
    }
    let bits = view.bits(Mark::BelowLimit, rows.len() + 1, DAYS, 0.02);
    let varied = rows.iter().filter(|row| row.cents != view.observation.amount.0).count();
    let known = signals.price_z.is_some_and(|z| z.abs() < 1.0) && signals.party.is_some_and(|(age, rows)| rows > 6 && age > 24 * 21);
    let aspects = Aspects {
        surprise: bits.min(40.0) / 10.0,
        count: libm::log2(float(rows.len() + 1)),
        party: view.party_share(&rows),
        own: float(varied) / float(rows.len()),
        habit: if known { 1.0 } else { 0.0 },
        ..view.aspects()
    };
    let v = *view;
    let size = rows.len();
    let evidence = said(move || {
        format!(
            "{} amounts within {DAYS:.0} days lie just below a limit, this one {} below {limit:.2}, {:.0} % of them to the same party; {bits:.0} bits against chance",
            size + 1,
            v.observation.amount.grouped(),
            100.0 * aspects.party
        )
    });
    Some(Found { least: 0.0, aspects, rows, evidence })
}
