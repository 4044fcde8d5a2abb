//! The plan's cores beside measured ones.
//!
//! What must stay true: each server and each stage is compared by itself beside the sums, in which errors cancel.

use serde::{Deserialize, Serialize};

use super::{Cost, ERROR_ALLOWED, LEAST_CORES, counts, throughput};
use crate::report::Round;

/// One part of the whole at one rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Transactions a second.
    pub rate: f64,
    /// `pipeline`, `servers`, `all`, or the name of one stage or server.
    pub of: String,
    /// By the plan, without head room.
    pub predicted_cores: f64,
    /// In the round.
    pub measured_cores: f64,
    /// By how much the plan is off, as a part of what was measured.
    pub error: f64,
    /// Whether that is at most [`ERROR_ALLOWED`].
    pub within: bool,
}

/// Cores by the costs beside those of a round: for ours, the servers and all, and for each where there are several.
#[must_use]
pub fn check(costs: &[Cost], round: &Round) -> Vec<Check> {
    let rate = throughput(round);
    let of = |name: &str, part: &dyn Fn(&str, bool) -> bool| {
        let predicted_cores: f64 = costs.iter().filter(|cost| part(&cost.process, cost.ours)).map(|cost| cost.fit.cores_at(rate)).sum();
        let measured_cores: f64 = round.processes.iter().filter(counts).filter(|process| part(&process.name, process.ours)).map(|process| process.cores).sum();
        let error = (predicted_cores - measured_cores) / measured_cores;
        (measured_cores >= LEAST_CORES).then(|| Check { rate, of: name.to_owned(), predicted_cores, measured_cores, error, within: error.abs() <= ERROR_ALLOWED })
    };
    let mut found: Vec<Check> =
        [of("pipeline", &|_: &str, ours: bool| ours), of("servers", &|_: &str, ours: bool| !ours), of("all", &|_: &str, _: bool| true)].into_iter().flatten().collect();
    for ours in [true, false] {
        let group: Vec<&Cost> = costs.iter().filter(|cost| cost.ours == ours).collect();
        if group.len() > 1 {
            found.extend(group.iter().filter_map(|cost| of(&cost.process, &|name: &str, _: bool| name == cost.process)));
        }
    }
    found
}
