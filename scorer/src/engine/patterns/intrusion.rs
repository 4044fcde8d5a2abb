//! Several independent things at once that are each unusual: a place, an hour, a payee, an amount, a kind of work.

use wh_schemas::time::{DAY, SECOND};

use super::super::recent::Mark;
use super::{Aspects, Found, View, float, said};

/// A user awake after long dormancy who does what they never did.
pub(super) fn dormant<'a>(view: &View<'a>) -> Option<Found<'a>> {
    let (signals, user) = (view.signals, view.user);
    let awake = view.observation.timestamp.0.saturating_sub(user.woke);
    let just = signals.dormant > 0.0 || (user.woke > 0 && (0..2 * DAY).contains(&awake));
    if !just {
        return None;
    }
    let rows: Vec<_> = user.recent.within(view.at, 2 * DAY / SECOND).filter(|row| row.at * SECOND >= user.woke).collect();
    // Who comes back from leave goes on with their own work.
    let unusual = Mark::NewParty as u16 | Mark::Outside as u16 | Mark::Spike as u16 | Mark::NewMetadata as u16 | Mark::OddHour as u16;
    let fresh = rows.iter().filter(|row| row.marks & unusual != 0).count();
    let days = f64::from(user.longest_gap).max(signals.idle_hours) / 24.0;
    let aspects = Aspects {
        surprise: libm::log2((days / 10.0).max(1.0)),
        count: libm::log2(float(rows.len() + 1)),
        party: view.party_share(&rows),
        own: float(fresh) / float(rows.len().max(1)),
        ..view.aspects()
    };
    let size = rows.len();
    let evidence = said(move || {
        format!(
            "awake again after {days:.0} days without an event, with an amount {:.1} scales from the usual; {fresh} of the {} rows since are unusual",
            signals.deviation.z, size
        )
    });
    Some(Found { least: 0.0, aspects, rows, evidence })
}

/// Work of a type and in a department that are not the user's, with an amount or a party that is not either.
pub(super) fn outside_role<'a>(view: &View<'a>) -> Option<Found<'a>> {
    let signals = view.signals;
    if !signals.is(Mark::Outside) {
        return None;
    }
    let rows = view.marked(Mark::Outside, 3.0);
    let bits = view.bits(Mark::Outside, rows.len() + 1, 3.0, 0.02);
    let aspects = Aspects {
        surprise: bits.min(40.0) / 10.0,
        count: libm::log2(float(rows.len() + 1)),
        party: view.party_share(&rows),
        own: if signals.type_share < 0.03 && signals.department_share < 0.03 { 1.0 } else { 0.0 },
        // A stand-in or a move does all of the new department's work.
        habit: view.share(Mark::Outside, 0.02).min(0.5) * 2.0,
        ..view.aspects()
    };
    let v = *view;
    let size = rows.len();
    let evidence = said(move || {
        format!(
            "the user did type {} on {:.0} % and worked in {} on {:.0} % of their days; {} such rows within 3 days, {bits:.0} bits against chance",
            v.observation.transaction_type,
            signals.type_share * 100.0,
            v.observation.department,
            signals.department_share * 100.0,
            size + 1
        )
    });
    Some(Found { least: 0.0, aspects, rows, evidence })
}

/// A place never seen together with an unusual hour, payee or amount.
pub(super) fn intrusion<'a>(view: &View<'a>) -> Option<Found<'a>> {
    let signals = view.signals;
    let bits = [
        signals.metadata_bits.iter().copied().fold(0.0, f64::max) - 1.0,
        -libm::log2(signals.likelihood.max(0.005) / 0.3),
        signals.counterparty_bits.max(signals.account_bits) - 1.0,
        2.0 * (signals.deviation.z - 1.5),
        -libm::log2(signals.type_share.max(1e-3) / 0.04),
        -libm::log2(signals.department_share.max(1e-3) / 0.04),
    ];
    let unusual = bits.iter().filter(|bits| **bits >= 1.0).count();
    if unusual < 2 {
        return None;
    }
    let sum: f64 = bits.iter().map(|bits| bits.clamp(0.0, 5.0)).sum();
    let rows = view.marked(Mark::NewMetadata, 2.0);
    let aspects = Aspects { surprise: sum / 5.0, count: libm::log2(float(rows.len() + 1)), own: float(unusual - 2), ..view.aspects() };
    Some(Found {
        least: 0.0,
        aspects,
        rows,
        evidence: said(move || format!("{unusual} independent things are unusual at once, {sum:.0} bits in all: place, hour, party, amount or kind of work")),
    })
}
