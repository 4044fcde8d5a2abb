//! Which rounds of two reports asked the same of the pipeline.
//!
//! What must stay true: a round is compared with one of the same load or with none; one that failed, or that the load generator limited, is
//! never compared; what is left out is told.

use crate::report::{Report, Round, Verdict};

/// Rates that differ by less than this part are the same rate.
const SAME_RATE: f64 = 0.005;
/// The same of what their schedules came to: of random and of repeated shapes, a run has a little more or less.
const SAME_LOAD: f64 = 0.02;

/// A round whose figures are those of the pipeline.
pub(super) fn usable(round: &&Round) -> bool {
    !matches!(round.verdict, Verdict::GeneratorLimited { .. } | Verdict::Failed { .. })
}

pub(super) fn rates(report: &Report) -> String {
    let told = |round: &Round| {
        let (named, mean) = (round.rate, round.load.intended_rate);
        if mean > 0.0 && (mean - named).abs() > SAME_LOAD * named { format!("{named:.0}/s, of which {mean:.0}/s in the mean") } else { format!("{named:.0}/s") }
    };
    let rates: Vec<String> = report.rounds.iter().filter(usable).map(told).collect();
    if rates.is_empty() { "none that counts".to_owned() } else { rates.join(", ") }
}

/// Whether two rounds asked the same of the pipeline: their rates are named alike, and their schedules came to as much. (A burst in a run that
/// is shorter than its period, or a ramp, sends less in the mean than the rate that it is named by.)
pub(super) fn same_load(round: &Round, other: &Round) -> bool {
    let same = |a: f64, b: f64, part: f64| (a - b).abs() <= part * a;
    let (a, b) = (round.load.intended_rate, other.load.intended_rate);
    same(round.rate, other.rate, SAME_RATE) && (a <= 0.0 || b <= 0.0 || same(a, b, SAME_LOAD))
}

/// The round that the figures of a whole report are of: the limit's, else the last.
pub(super) fn costed(report: &Report) -> Option<&Round> {
    let at_limit = report.limit.as_ref().and_then(|limit| report.rounds.iter().rev().find(|round| round.rate == limit.rate && round.verdict.is_sustained()));
    at_limit.or(report.rounds.last())
}

/// Rounds of the same rate, each taken once.
pub(super) fn pairs<'r>(a: &'r Report, b: &'r Report) -> Vec<(&'r Round, &'r Round)> {
    let mut left: Vec<&Round> = b.rounds.iter().filter(usable).collect();
    let mut pairs = Vec::new();
    for round in a.rounds.iter().filter(usable) {
        if let Some(at) = left.iter().position(|other| same_load(round, other)) {
            pairs.push((round, left.remove(at)));
        }
    }
    pairs
}

/// Rates that only one of them measured: nothing is said of those.
pub(super) fn left_out(a: &Report, b: &Report, pairs: &[(&Round, &Round)]) -> Option<String> {
    let compared = pairs.iter().flat_map(|(a, b)| [std::ptr::from_ref::<Round>(*a), std::ptr::from_ref::<Round>(*b)]).collect::<Vec<_>>();
    let alone = |report: &Report| {
        let rates: Vec<String> =
            report.rounds.iter().filter(usable).filter(|round| !compared.contains(&std::ptr::from_ref::<Round>(*round))).map(|round| format!("{:.0}/s", round.rate)).collect();
        if rates.is_empty() { "none".to_owned() } else { rates.join(", ") }
    };
    let (first, second) = (alone(a), alone(b));
    // A search tries rates as it goes: that they differ is no news.
    let searched = a.limit.is_some() && b.limit.is_some();
    (!searched && (first != "none" || second != "none")).then(|| format!("Rates that only one report measured are left out (first: {first}; second: {second})."))
}
