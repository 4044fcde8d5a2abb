//! What differs between two runs beside their figures.
//!
//! What must stay true: whatever bears on a figure and can be set, or is given by the machine, is told where it differs.

use std::collections::BTreeMap;

use super::pairs::usable;
use super::side;
use crate::report::Report;

/// Sentences for whoever reads the figures.
pub(super) fn warnings(a: &Report, b: &Report) -> Vec<String> {
    let mut out = Vec::new();
    let (m, n) = (&a.machine, &b.machine);
    if m.cpus != n.cpus || m.cpu_model != n.cpu_model || m.memory_bytes.abs_diff(n.memory_bytes) > m.memory_bytes / 50 {
        out.push(format!("Other machines ({}; {}): a difference may be theirs.", side(a).machine, side(b).machine));
    } else if m.kernel != n.kernel || m.os != n.os {
        out.push(format!("Other systems ({} {}; {} {}): a difference may be theirs.", m.os, m.kernel, n.os, n.kernel));
    }
    for used in &a.settings.stores {
        let Some(other) = b.settings.stores.iter().find(|store| store.role == used.role) else { continue };
        if other.server != used.server {
            out.push(format!("Other versions of the {} ({}; {}).", used.role, used.server, other.server));
        }
        if other.durability != used.durability {
            let told = |text: &str| if text.is_empty() { "nothing remarkable".to_owned() } else { text.to_owned() };
            out.push(format!(
                "The {} kept its acknowledgements by other rules ({}; {}): its figures are not of the same work.",
                used.role,
                told(&used.durability),
                told(&other.durability)
            ));
        }
    }
    let (s, t) = (&a.settings, &b.settings);
    let mut differs = |what: &str, first: String, second: String| {
        if first != second {
            out.push(format!("Other {what} ({first}; {second})."));
        }
    };
    differs("build", a.profile.clone(), b.profile.clone());
    differs("arrivals, which change latencies", s.arrivals.clone(), t.arrivals.clone());
    differs("entrance of the load", s.entrance.clone(), t.entrance.clone());
    differs("number of partitions", s.partitions.to_string(), t.partitions.to_string());
    differs("number of users", s.users.to_string(), t.users.to_string());
    differs("seed of the data", s.seed.to_string(), t.seed.to_string());
    differs("interval between looks at a store, which is part of each latency", format!("{} ms", s.poll_ms), format!("{} ms", t.poll_ms));
    for key in s.pipeline.keys().chain(t.pipeline.keys().filter(|key| !s.pipeline.contains_key(*key))) {
        let told = |settings: &BTreeMap<String, String>| settings.get(key).cloned().unwrap_or_else(|| "not told".to_owned());
        differs(&format!("setting `{key}`"), told(&s.pipeline), told(&t.pipeline));
    }
    for (which, report) in [("first", a), ("second", b)] {
        if report.lost > 0 || report.doubled > 0 {
            out.push(format!("The {which} report lost {} and doubled {} transactions: its figures are those of a run that failed.", report.lost, report.doubled));
        }
        let left_out = report.rounds.len() - report.rounds.iter().filter(usable).count();
        if left_out > 0 {
            out.push(format!("The {which} report has {left_out} rounds that failed or that the load generator limited: they are left out."));
        }
    }
    out
}
