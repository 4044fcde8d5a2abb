//! The measurements that the combination looks at: what the five dimensions measure, and what each pattern's detector saw.

use wh_schemas::scored::Dimension;

use super::super::Observation;
use super::super::patterns::Aspects;
use super::super::recent::Mark;
use super::super::signals::{Signals, YOUNG};

/// Names and dimensions of the measurements of one event, in their order.
const EVENT: [(&str, Dimension); 33] = [
    ("amount, to 1.5 scales", Dimension::Amount),
    ("amount, to 3 scales", Dimension::Amount),
    ("amount, beyond 3 scales", Dimension::Amount),
    ("doublings above the largest amount", Dimension::Amount),
    ("scales above this counterparty's price", Dimension::Amount),
    ("just below a limit", Dimension::Amount),
    ("unlikely hour", Dimension::Time),
    ("very unlikely hour", Dimension::Time),
    ("rate of ten minutes", Dimension::Frequency),
    ("rate of an hour", Dimension::Frequency),
    ("rate of a day", Dimension::Frequency),
    ("unusual day", Dimension::Frequency),
    ("unusual type", Dimension::Behavior),
    ("unusual department", Dimension::Behavior),
    ("new counterparty", Dimension::Behavior),
    ("new account", Dimension::Behavior),
    ("young party", Dimension::Behavior),
    ("rows with a young party", Dimension::Frequency),
    ("odd rows with a young party", Dimension::Behavior),
    ("repeated amount", Dimension::Behavior),
    ("rare reversal", Dimension::Behavior),
    ("new place", Dimension::Metadata),
    ("new places", Dimension::Metadata),
    ("dormant", Dimension::Behavior),
    ("idle time", Dimension::Behavior),
    ("party's amounts", Dimension::Amount),
    ("rows with the party", Dimension::Behavior),
    ("newness of the party", Dimension::Behavior),
    ("known price", Dimension::Amount),
    ("new work lately", Dimension::Behavior),
    ("batch", Dimension::Frequency),
    ("rate in batches", Dimension::Frequency),
    ("place in bits", Dimension::Metadata),
];

/// What is taken of every pattern.
const SEEN: [&str; 6] = ["seen at all", "surprise", "rows", "one party", "its own measure", "habit"];
/// What is taken besides of rows that gather on a new party.
const GATHERED: [&str; 12] = [
    "amount",
    "dear on average",
    "above the largest",
    "newness",
    "odd hours",
    "not the user's work",
    "new places",
    "below limits",
    "repeats",
    "rate",
    "known price",
    "user at new work",
];
/// Patterns, in the order in which the detectors are asked.
pub const PATTERNS: [(&str, Dimension); 12] = [
    ("amount_spikes", Dimension::Amount),
    ("off_hours_run", Dimension::Time),
    ("burst", Dimension::Frequency),
    ("structuring", Dimension::Amount),
    ("duplicate", Dimension::Behavior),
    ("refund_cycle", Dimension::Behavior),
    ("dormant_user", Dimension::Behavior),
    ("outside_role", Dimension::Behavior),
    ("escalating_payee", Dimension::Amount),
    ("intrusion", Dimension::Metadata),
    ("payee_run", Dimension::Behavior),
    ("gathering", Dimension::Frequency),
];
const PAYEE_RUN: usize = 10;

/// How many measurements there are.
pub const COUNT: usize = EVENT.len() + SEEN.len() * PATTERNS.len() + GATHERED.len();

/// The measurements of one event.
pub type Measures = [f32; COUNT];

/// What a measurement is called, and the dimension that it speaks to.
#[must_use]
pub fn name(index: usize) -> (String, Dimension) {
    if let Some((name, dimension)) = EVENT.get(index) {
        return ((*name).to_owned(), *dimension);
    }
    let index = index - EVENT.len();
    if let Some((pattern, dimension)) = PATTERNS.get(index / SEEN.len()) {
        return (format!("{}: {}", pattern.replace('_', " "), SEEN[index % SEEN.len()]), *dimension);
    }
    let what = GATHERED.get(index - SEEN.len() * PATTERNS.len()).copied().unwrap_or("amount");
    (format!("new party: {what}"), Dimension::Behavior)
}

/// Takes the measurements of one event; `found` are the aspects of each pattern that its detector sees anything of.
#[must_use]
pub fn measures(observation: &Observation<'_>, signals: &Signals, common: &Aspects, found: &[Option<Aspects>; PATTERNS.len()]) -> Measures {
    let between = |x: f64, from: f64, to: f64| (x - from).clamp(0.0, to - from);
    let when = |on: bool, x: f64| if on { x } else { 0.0 };
    let maturity = signals.maturity;
    let z = signals.deviation.z;
    let unlikely = -libm::log2(signals.likelihood.max(0.005));
    let halvings = |share: f64, from: f64| between(-libm::log2(share.max(0.004)), from, 8.0);
    let place = signals.metadata_bits.iter().copied().fold(0.0, f64::max);
    let (age, rows) = signals.party.unwrap_or((u32::MAX, 0));
    let (young, rows) = (age <= YOUNG, libm::log2(1.0 + f64::from(rows)));
    let rate = |count, expected| between(Signals::excess(count, expected), 1.0, 5.0) * maturity;
    let event = [
        between(z, 0.5, 1.5),
        between(z, 1.5, 3.0),
        between(z, 3.0, 6.0),
        signals.deviation.above_largest.min(4.0),
        signals.price_z.map_or(0.0, |z| between(z, 2.0, 10.0)),
        common.limit,
        between(unlikely, 0.5, 2.0) * maturity,
        between(unlikely, 2.0, 7.0) * maturity,
        rate(signals.ten_minutes, signals.expected[0]),
        rate(signals.one_hour, signals.expected[1]),
        rate(signals.one_day, signals.expected[2]),
        (signals.heat / 10.0).min(4.0),
        halvings(signals.type_share, 3.0) * maturity,
        halvings(signals.department_share, 3.0) * maturity,
        when(observation.counterparty.is_some(), between(signals.counterparty_bits, 1.0, 6.0) * maturity),
        between(signals.account_bits, 1.0, 6.0) * maturity,
        when(young, 1.0),
        when(young, rows.min(4.0)),
        when(young, (signals.party_heat.0 / 10.0).min(4.0)),
        when(signals.likeness.elsewhere == 0, common.repeat),
        when(signals.is(Mark::Reversal), halvings(signals.type_share, 2.0)),
        between(place, 1.0, 8.0),
        signals.metadata_bits.iter().map(|bits| (bits - 1.0).max(0.0)).sum::<f64>().min(12.0),
        signals.dormant.min(3.0),
        libm::log2(1.0 + signals.idle_hours / 48.0).min(4.0),
        signals.party_above.clamp(0.0, 4.0),
        rows.min(6.0),
        common.newness,
        common.price,
        common.moved,
        common.batch,
        common.rate,
        common.place,
    ];
    let mut measures = [0.0; COUNT];
    let seen = found.iter().flat_map(|aspects| match aspects {
        Some(a) => [1.0, a.surprise, a.count, a.party, a.own, a.habit],
        None => [0.0; SEEN.len()],
    });
    let gathered =
        found[PAYEE_RUN].map_or([0.0; GATHERED.len()], |a| [a.amount, a.amounts, a.largest, a.newness, a.hour, a.outside, a.place, a.limit, a.repeat, a.rate, a.price, a.moved]);
    for (slot, value) in measures.iter_mut().zip(event.into_iter().chain(seen).chain(gathered)) {
        *slot = super::super::amounts::stored(value);
    }
    measures
}
