//! Refund and write-off cycles: reversals that gather on one party, or that undo what the same user booked.

use super::super::recent::Mark;
use super::{Aspects, Found, View, float, said, tail_bits};

const DAYS: f64 = 14.0;

pub(super) fn refund_cycle<'a>(view: &View<'a>) -> Option<Found<'a>> {
    let signals = view.signals;
    if !signals.is(Mark::Reversal) {
        return None;
    }
    let kind = view.observation.transaction_type.index();
    let same: Vec<_> = view.marked(Mark::Reversal, DAYS).into_iter().filter(|row| usize::from(row.kind) == kind && view.same_party(row)).collect();
    if same.is_empty() && signals.type_share > 0.05 {
        return None;
    }
    let count = same.len() + 1;
    let rows = signals.party.map_or(0, |(_, rows)| rows);
    // How many of this party's rows are to be expected among the user's reversals.
    let reversals = view.share(Mark::Reversal, 0.05) * view.user.expected_events(DAYS).max(1.0);
    #[expect(clippy::cast_precision_loss, reason = "a count of events")]
    let share = ((f64::from(rows) - float(same.len())).max(0.0) + 0.3) / (view.user.learnt as f64 + 10.0);
    let bits = tail_bits(count, reversals * share.max(0.02));
    let aspects = Aspects {
        surprise: bits.min(40.0) / 10.0,
        count: libm::log2(float(count)),
        own: (-libm::log2(signals.type_share.max(0.004)) - 3.0).clamp(0.0, 5.0),
        habit: view.share(Mark::Reversal, 0.05),
        ..view.aspects()
    };
    let v = *view;
    let evidence = said(move || {
        format!("{count} rows of type {} within {DAYS:.0} days with one party that this user had {rows} rows with; {bits:.0} bits against chance", v.observation.transaction_type)
    });
    Some(Found { least: 0.0, aspects, rows: same, evidence })
}
