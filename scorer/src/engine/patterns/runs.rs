//! Runs: amounts far above the usual, work at odd hours, many events in minutes.

use wh_schemas::TransactionType;

use super::super::recent::Mark;
use super::{Aspects, Found, View, float, said};

const SPIKE_DAYS: f64 = 7.0;
const ODD_HOURS: f64 = 10.0;
/// Scales above the usual that no heavy tail explains twice in a week.
const EXTREME: f64 = 6.0;
/// Doublings above the largest amount before that no purchase explains: more than a thousand times.
const BOUNDLESS: f64 = 10.0;

/// Several amounts far above the usual within a week, beyond how often this user has such.
pub(super) fn spikes<'a>(view: &View<'a>) -> Option<Found<'a>> {
    let z = view.signals.deviation.z;
    if z < 2.2 || view.signals.deviation.count < 8 {
        return None;
    }
    let rows = view.marked(Mark::Spike, SPIKE_DAYS);
    let bits = view.bits(Mark::Spike, rows.len() + 1, SPIKE_DAYS, 0.01);
    let aspects = Aspects {
        surprise: bits.min(40.0) / 10.0,
        count: libm::log2(float(rows.len() + 1)),
        party: view.party_share(&rows),
        own: (z - 3.0).clamp(0.0, 4.0),
        habit: view.signals.price_z.map_or(0.0, |price| if price < 2.0 { 1.0 } else { 0.0 }),
        ..view.aspects()
    };
    let size = rows.len();
    let evidence =
        said(move || format!("{} amounts within {SPIKE_DAYS:.0} days lie 2.5 scales or more above this user's usual, this one {z:.1}; {bits:.0} bits against chance", size + 1));
    // Amounts of another order than all before, more than once: there is no honest one among them to be mistaken for.
    let far = |z: f64| z >= EXTREME && view.signals.deviation.count >= 20;
    let boundless = view.signals.deviation.above_largest >= BOUNDLESS;
    let least = if far(z) && (boundless || rows.iter().any(|row| far(f64::from(row.tenths) / 10.0))) { 1.0 } else { 0.0 };
    Some(Found { least, aspects, rows, evidence })
}

/// Several events within hours at a time of the week at which this user is hardly ever seen, with something else unusual about them.
pub(super) fn off_hours<'a>(view: &View<'a>) -> Option<Found<'a>> {
    let signals = view.signals;
    if signals.likelihood >= 0.4 {
        return None;
    }
    let rows = view.marked(Mark::OddHour, ODD_HOURS / 24.0);
    if rows.is_empty() && !signals.is(Mark::OddHour) {
        return None;
    }
    let bits = view.bits(Mark::OddHour, rows.len() + 1, ODD_HOURS / 24.0, 0.02);
    // A shift that was swapped brings ordinary work with it: the hour alone confirms nothing.
    let unusual = Mark::NewParty as u16 | Mark::Outside as u16 | Mark::Spike as u16 | Mark::NewMetadata as u16 | Mark::BelowLimit as u16;
    let fresh = rows.iter().filter(|row| row.marks & unusual != 0).count();
    let aspects = Aspects {
        surprise: bits.min(60.0) / 10.0,
        count: libm::log2(float(rows.len() + 1)),
        party: view.party_share(&rows),
        own: float(fresh) / float(rows.len().max(1)),
        habit: view.share(Mark::OddHour, 0.02).min(0.5) * 2.0,
        ..view.aspects()
    };
    let size = rows.len();
    let evidence = said(move || {
        format!(
            "{} events within {ODD_HOURS:.0} hours at a time of the week that has {:.0} % of an average hour's events of this user; {fresh} of them unusual besides",
            size + 1,
            signals.likelihood * 100.0
        )
    });
    Some(Found { least: 0.0, aspects, rows, evidence })
}

/// Many events within ten minutes, beyond what this user has had of this type, and not spread as a batch is.
pub(super) fn burst<'a>(view: &View<'a>) -> Option<Found<'a>> {
    let signals = view.signals;
    let count = f64::from(signals.ten_minutes.events);
    if signals.ten_minutes.events < 4 {
        return None;
    }
    let most = f64::from(view.user.bursts[view.observation.transaction_type.index()]);
    // Wages are paid in runs, corrections are booked in batches, by their nature.
    let natural = match view.observation.transaction_type {
        TransactionType::Payroll => 120.0,
        TransactionType::Adjustment | TransactionType::Billing => 12.0,
        TransactionType::Refund | TransactionType::InsuranceClaim => 8.0,
        _ => 4.0,
    };
    let base = most.max(natural).max(2.0 * signals.expected[0]);
    if count < base {
        return None;
    }
    let rows: Vec<_> = view.user.recent.within(view.at, 600).collect();
    let party = view.party_share(&rows);
    let aspects = Aspects {
        surprise: super::tail_bits(signals.ten_minutes.events as usize, signals.expected[0]).min(60.0) / 10.0,
        count: libm::log2(count),
        party,
        own: libm::log2(count / base).min(4.0),
        habit: libm::log2(most.max(1.0)) / 3.0,
        ..view.aspects()
    };
    let v = *view;
    let evidence = said(move || {
        format!(
            "{count:.0} events within 10 minutes, where this user had at most {most:.0} of type {}; {:.0} % of the last went to one party",
            v.observation.transaction_type,
            party * 100.0
        )
    });
    Some(Found { least: 0.0, aspects, rows, evidence })
}
