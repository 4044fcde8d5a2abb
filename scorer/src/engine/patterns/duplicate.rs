//! Duplicates: the same claim or payment made again.

use super::super::recent::Mark;
use super::{Aspects, Found, View, said};

pub(super) fn duplicate<'a>(view: &View<'a>) -> Option<Found<'a>> {
    let likeness = view.signals.likeness;
    if likeness.same == 0 {
        return None;
    }
    let rows: Vec<_> = view.user.recent.rows().filter(|row| view.same_party(row) && row.account == view.account && (row.cents - view.observation.amount.0).abs() <= 1).collect();
    // How often this user's rows repeat an earlier one: standing invoices and list prices do.
    let share = view.share(Mark::Repeat, 0.01);
    let aspects = Aspects {
        surprise: -libm::log2(share.max(1e-4)) / 5.0,
        count: libm::log2(f64::from(likeness.same) + 1.0),
        // A standing invoice comes back after a day, a week or a month; a duplicate within hours.
        own: libm::log2(300.0 / (f64::from(likeness.hours_ago) + 2.0)) / 2.0,
        habit: view.signals.party.map_or(0.0, |(age, rows)| (libm::log2(1.0 + f64::from(rows)) / 3.0 * (f64::from(age) / 240.0).min(1.0)).min(2.0)),
        ..view.aspects()
    };
    let v = *view;
    let evidence = said(move || {
        format!(
            "{} of the same parties, type and amount ({}), the last {} hours before, where {:.1} % of this user's rows repeat one",
            likeness.same,
            v.observation.amount.grouped(),
            likeness.hours_ago,
            share * 100.0
        )
    });
    Some(Found { least: 0.0, aspects, rows, evidence })
}
