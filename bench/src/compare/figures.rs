//! Figure by figure: what is taken from a report, its ratio and what that says.
//!
//! What must stay true: a figure is compared with the same one at the same rate; one that is 0 in the first report has no ratio and is told;
//! seconds of the warm-up and of the draining count in none.

use std::collections::BTreeSet;

use wh_stores::Role;

use super::interval::{Interval, QUANTILES, quantile, ratio_of_means};
use super::pairs::{costed, same_load};
use super::{Basis, Figure, Group, Says};
use crate::report::{Latency, Limit, Report, Round, Second};

/// Figures in the order in which they are shown.
pub(super) fn all(a: &Report, b: &Report, pairs: &[(&Round, &Round)], warnings: &mut Vec<String>) -> Vec<Figure> {
    let mut out = Out { figures: Vec::new(), warnings };
    if let (Some(a), Some(b)) = (&a.limit, &b.limit) {
        out.push(Group::Limit, None, "highest rate carried", (a.rate, b.rate), bracket(a, b));
    }
    for (a, b) in pairs {
        rates(&mut out, a, b);
        latencies(&mut out, a, b);
        cpu(&mut out, a, b);
        memory(&mut out, a, b);
    }
    let same = costed(a).zip(costed(b)).is_none_or(|(a, b)| same_load(a, b));
    if !same && !a.stages.is_empty() && !b.stages.is_empty() {
        let at = |report: &Report| costed(report).map_or(0.0, |round| round.rate);
        out.warnings.push(format!("Unit costs are of {:.0}/s in the first report and of {:.0}/s in the second: they are not compared.", at(a), at(b)));
    }
    for stage in a.stages.iter().filter(|_| same) {
        if let Some(other) = b.stages.iter().find(|other| other.stage == stage.stage) {
            out.push(Group::Cpu, None, &format!("{}, unit cost", stage.stage), (stage.cpu_us_per_tx, other.cpu_us_per_tx), ONE);
        }
    }
    for (role, bytes) in &a.bytes_per_tx {
        if let Some(other) = b.bytes_per_tx.get(role) {
            out.push(Group::Disk, None, &format!("{role} keeps"), (*bytes, *other), ONE);
        }
    }
    for raw in &a.raw {
        let other = b.raw.iter().find(|other| other.store == raw.store && other.way == raw.way);
        if let (Some(first), Some(second)) = (raw.ratio, other.and_then(|other| other.ratio)) {
            out.push(Group::Raw, None, &format!("{} ÷ {}", raw.store, raw.way), (first, second), ONE);
        }
    }
    let mut figures = out.figures;
    // Stable: within a group the order of pushing, by rate.
    figures.sort_by_key(|figure| figure.group);
    figures
}

/// An interval and what it stands on.
type Sure = (Option<Interval>, Basis);

const ONE: Sure = (None, Basis::OneNumber);

fn sure(interval: Option<Interval>, basis: Basis) -> Sure {
    (interval, if interval.is_some() { basis } else { Basis::TooFew })
}

struct Out<'w> {
    figures: Vec<Figure>,
    warnings: &'w mut Vec<String>,
}

impl Out<'_> {
    fn push(&mut self, group: Group, rate: Option<f64>, name: &str, (a, b): (f64, f64), (interval, basis): Sure) {
        if !(a > 0.0 && a.is_finite() && b.is_finite()) {
            if b > 0.0 {
                self.warnings.push(format!("{name} is 0 in the first report and not in the second: it has no ratio."));
            }
            return;
        }
        let ratio = b / a;
        self.figures.push(Figure { group, rate, name: name.to_owned(), a, b, ratio, interval, basis, says: says(group, ratio, interval, basis) });
    }
}

/// What a ratio says: see [`super::Group::least_difference`].
pub(super) fn says(group: Group, ratio: f64, interval: Option<Interval>, basis: Basis) -> Says {
    let excluded = match basis {
        Basis::TooFew => return Says::CannotTell,
        Basis::OneNumber => true,
        Basis::Seconds | Basis::Samples | Basis::Bracket => interval.is_some_and(|interval| !interval.holds(1.0)),
    };
    // A hair below the bound is not the bound: 1.1 / 1 - 1 is 0.10000000000000009.
    if !excluded || (ratio - 1.0).abs() + 1e-9 < group.least_difference(basis) || ratio == 1.0 {
        Says::WithinNoise
    } else if (ratio > 1.0) == group.more_is_better() {
        Says::Better
    } else {
        Says::Worse
    }
}

/// The true limit lies between the highest rate that was carried and the lowest that was not.
fn bracket(a: &Limit, b: &Limit) -> Sure {
    match (a.failed_rate, b.failed_rate) {
        (Some(a_high), Some(b_high)) => sure(Interval { low: b.rate, high: b_high.max(b.rate) }.over(Interval { low: a.rate, high: a_high.max(a.rate) }), Basis::Bracket),
        _ => ONE,
    }
}

fn measured(round: &Round) -> impl Iterator<Item = &Second> {
    let end = round.seconds;
    round.series.iter().filter(move |second| second.t_s >= 0.0 && second.t_s < end)
}

fn rates(out: &mut Out<'_>, a: &Round, b: &Round) {
    let mut rate = |name: &str, of: &dyn Fn(&Second) -> f64| {
        let series = |round: &Round| -> Vec<(f64, f64)> { measured(round).map(|second| (of(second), 1.0)).collect() };
        let (first, second) = (series(a), series(b));
        if !first.is_empty() && !second.is_empty() {
            out.push(Group::Rate, Some(a.rate), name, (mean(&first), mean(&second)), sure(ratio_of_means(&first, &second), Basis::Seconds));
        }
    };
    rate("acknowledged by the log", &|second: &Second| second.sent as f64);
    rate("scored", &|second: &Second| second.scored as f64);
    let roles: BTreeSet<&String> = measured(a).flat_map(|second| second.by_store.keys()).collect();
    // Of search, a second counts what it has passed, most of which are no alerts: that is no figure of what is visible there.
    for role in roles.into_iter().filter(|role| role.as_str() != Role::Search.as_str()) {
        rate(&format!("visible in {role}"), &|second: &Second| second.by_store.get(role).copied().unwrap_or(0) as f64);
    }
}

fn mean(series: &[(f64, f64)]) -> f64 {
    let (top, bottom) = series.iter().fold((0.0, 0.0), |sum, second| (sum.0 + second.0, sum.1 + second.1));
    if bottom > 0.0 { top / bottom } else { 0.0 }
}

fn latencies(out: &mut Out<'_>, a: &Round, b: &Round) {
    for first in &a.latencies {
        let Some(second) = b.latencies.iter().find(|second| second.name == first.name) else { continue };
        let told = |latency: &Latency| [latency.p50_us, latency.p90_us, latency.p99_us, latency.p999_us].map(|us| us as f64);
        let histograms = first.histogram().zip(second.histogram());
        for ((q, us_a), us_b) in QUANTILES.into_iter().zip(told(first)).zip(told(second)) {
            let interval = histograms.as_ref().and_then(|(a, b)| quantile(b, q)?.over(quantile(a, q)?));
            out.push(Group::Latency, Some(a.rate), &format!("{} {}", first.name, q.name), (us_a, us_b), sure(interval, Basis::Samples));
        }
    }
}

fn cpu(out: &mut Out<'_>, a: &Round, b: &Round) {
    let mut total = |name: &str, cores: &dyn Fn(&Second) -> f64| {
        let series = |round: &Round| -> Vec<(f64, f64)> { measured(round).map(|second| (cores(second) * 1e6, second.sent as f64)).collect() };
        let (first, second) = (series(a), series(b));
        out.push(Group::Cpu, Some(a.rate), name, (mean(&first), mean(&second)), sure(ratio_of_means(&first, &second), Basis::Seconds));
    };
    total("all of ours", &|second: &Second| second.cpu_ours);
    total("all servers", &|second: &Second| second.cpu_servers);
    for process in &a.processes {
        if let Some(other) = b.processes.iter().find(|other| other.name == process.name) {
            out.push(Group::Cpu, Some(a.rate), &process.name, (process.cpu_us_per_tx, other.cpu_us_per_tx), ONE);
        }
    }
}

fn memory(out: &mut Out<'_>, a: &Round, b: &Round) {
    let series = |round: &Round| -> Vec<(f64, f64)> { measured(round).map(|second| (second.rss_bytes as f64, 1.0)).collect() };
    let (first, second) = (series(a), series(b));
    out.push(Group::Memory, Some(a.rate), "pipeline, mean", (mean(&first), mean(&second)), sure(ratio_of_means(&first, &second), Basis::Seconds));
    for process in &a.processes {
        if let Some(other) = b.processes.iter().find(|other| other.name == process.name) {
            out.push(Group::Memory, Some(a.rate), &format!("{}, most", process.name), (process.rss_bytes_max as f64, other.rss_bytes_max as f64), ONE);
        }
    }
}
