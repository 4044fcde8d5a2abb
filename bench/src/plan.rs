//! What to buy for a rate: from what a transaction cost here to cores, partitions, instances, memory and disk.
//!
//! What must stay true: every number is shown with the calculation that gave it; rounds that did not hold their rate, and those that the
//! plan is checked at, are never part of what it is computed from; the error of the check is told whatever it is; what is not known is
//! said and never counted as nothing.

mod check;
mod disk;
mod doubts;
pub mod fit;
mod machines;
mod needs;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::fit::{Fit, Point};
use crate::report::{ProcessUse, Report, Round};

pub use check::{Check, check};

/// The error that a plan may have where it is checked.
pub const ERROR_ALLOWED: f64 = 0.15;
/// Rates that differ by less than this part are the same rate.
const SAME_RATE: f64 = 0.01;
/// Cores below which a part of the whole is not checked, and its noise not told: the system counts CPU in hundredths of a second.
const LEAST_CORES: f64 = 0.05;

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Transactions a second, at the peak.
    pub rate: f64,
    /// The part of a core, of memory that is to be used at that rate; the rest is head room.
    pub use_at_most: f64,
    /// Cores that one instance of the pipeline may have.
    pub cores_per_instance: f64,
    /// Days that the log keeps records.
    pub log_days: f64,
    /// Days that the other stores keep rows.
    pub keep_days: f64,
    /// Rates of rounds that the plan is checked at, and not computed from.
    pub check: Vec<f64>,
}

impl Target {
    /// A rate with the usual head room (70 % use), instances of 2 cores, 7 days of log and 30 of rows.
    #[must_use]
    pub fn new(rate: f64) -> Target {
        Target { rate, use_at_most: 0.7, cores_per_instance: 2.0, log_days: 7.0, keep_days: 30.0, check: Vec::new() }
    }
}

/// Whether two rates are the same as far as rounds are told apart by them.
#[must_use]
pub fn same_rate(one: f64, other: f64) -> bool {
    (one - other).abs() <= SAME_RATE * one.max(other)
}

/// Why there is no plan.
#[derive(Debug, Error, PartialEq)]
pub enum NotPlanned {
    /// Not a rate.
    #[error("a target must be a number of transactions a second above 0, and not {0}")]
    Rate(f64),
    /// Not a part.
    #[error("the use must be above 0 and at most 1 (0.7 leaves 30 % as head room), and not {0}")]
    Use(f64),
    /// Not a size.
    #[error("an instance needs cores, days are not below 0: {0}")]
    Sizes(String),
    /// Nothing to compute from.
    #[error("no round held its rate beside those to check at ({0}): measure a lower rate")]
    NothingHeld(String),
    /// No round used CPU that could be read.
    #[error("the report holds no CPU of any process: measure on a system with /proc")]
    NoCosts,
    /// The instance is too small to exist.
    #[error("an instance of {cores} cores is used up by what the pipeline needs at no load ({fixed:.2} cores): give it more")]
    InstanceTooSmall {
        /// Its cores.
        cores: f64,
        /// What is fixed, cores.
        fixed: f64,
    },
}

/// What one process costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Its name.
    pub process: String,
    /// Whether it is of this project.
    pub ours: bool,
    /// By rate.
    pub fit: Fit,
    /// Cores at the target, without head room.
    #[serde(default)]
    pub cores_at_target: f64,
    /// By how many cores that may be off either way, with 95 %; `None` where too few rates were measured to tell.
    #[serde(default)]
    pub cores_error: Option<f64>,
    /// The part of its CPU that its busiest thread used, in the round in which it used most; 0 where that was not read.
    #[serde(default)]
    pub busiest_thread_part: f64,
    /// Most resident memory in any of the rounds.
    pub rss_bytes: f64,
    /// Bytes that it wrote to the disk, a transaction, in the mean of the rounds.
    pub written_bytes_per_tx: f64,
}

/// What is needed, head room included where it says so.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Needs {
    /// Instances of the pipeline; where stages were measured apart, of the stage that needs most.
    pub instances: u32,
    /// Partitions of the topics.
    pub partitions: u32,
    /// Cores for all instances, with head room.
    pub cores_ours: f64,
    /// Cores for the servers, with head room.
    pub cores_servers: f64,
    /// Those of all machines, each of whole cores.
    pub cores: u32,
    /// Memory for all instances, with head room.
    pub memory_ours_bytes: f64,
    /// Memory for the servers, with head room.
    pub memory_servers_bytes: f64,
    /// What the stores grow by in a day at that rate, as far as it is known; `None` where no store's is.
    pub disk_bytes_per_day: Option<f64>,
    /// What they hold once retention begins, as far as it is known.
    pub disk_bytes_kept: Option<f64>,
    /// Stores whose growth is not known.
    #[serde(default)]
    pub disk_not_known: Vec<String>,
    /// Processes of each stage, where stages were measured apart.
    #[serde(default)]
    pub stages: Vec<(String, u32)>,
}

/// What one store grows by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Disk {
    /// The role.
    pub role: String,
    /// Bytes a day; `None` where that is not known.
    pub a_day: Option<f64>,
    /// Bytes once retention begins; `None` where that is not known.
    pub kept: Option<f64>,
}

/// Machines of one kind to buy, or shares of machines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machines {
    /// What runs there.
    pub of: String,
    /// How many.
    pub count: u32,
    /// Cores of each; `None` where that is not known.
    pub cores: Option<u32>,
    /// Memory of each, with head room; `None` where that is not known.
    pub memory_bytes: Option<f64>,
    /// Disk of each; `None` where that is not known or nothing is kept there.
    pub disk_bytes: Option<f64>,
    /// What else to know.
    pub note: String,
}

/// One line of the calculation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// What is computed.
    pub of: String,
    /// From what.
    pub calculation: String,
    /// What it gives.
    pub result: String,
}

/// What to buy, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What was wanted.
    pub target: Target,
    /// Rates that it is computed from.
    pub measured: Vec<f64>,
    /// Unit costs.
    pub costs: Vec<Cost>,
    /// What is needed.
    pub needs: Needs,
    /// That, machine by machine.
    #[serde(default)]
    pub machines: Vec<Machines>,
    /// How that was computed.
    pub steps: Vec<Step>,
    /// How well it says what was measured elsewhere.
    pub checks: Vec<Check>,
    /// Why not to buy by it as it stands: sentences.
    #[serde(default)]
    pub doubts: Vec<String>,
    /// What it takes for granted: sentences.
    pub assumptions: Vec<String>,
}

/// The plan for a target from what a report measured.
///
/// # Errors
/// Why there is none.
pub fn plan(report: &Report, target: &Target) -> Result<Plan, NotPlanned> {
    sane(target)?;
    let held_back = |round: &Round| target.check.iter().any(|rate| same_rate(*rate, round.rate));
    let used: Vec<&Round> = report.rounds.iter().filter(|round| round.verdict.is_sustained() && !held_back(round)).collect();
    if used.is_empty() {
        let told: Vec<String> = target.check.iter().map(|rate| format!("{rate:.0}/s")).collect();
        return Err(NotPlanned::NothingHeld(if told.is_empty() { "none".to_owned() } else { told.join(", ") }));
    }
    let costs = costs(&used, target.rate);
    if !costs.iter().any(|cost| cost.cores_at_target > 0.0) {
        return Err(NotPlanned::NoCosts);
    }
    let mut checks: Vec<Check> = report.rounds.iter().filter(|round| held_back(round)).flat_map(|round| check(&costs, round)).collect();
    if target.check.is_empty() && used.len() >= 3 {
        // Each rate from the others (leave one out): no round is spent on the check alone.
        for (i, round) in used.iter().enumerate() {
            let others: Vec<&Round> = used.iter().enumerate().filter(|(k, _)| *k != i).map(|(_, round)| *round).collect();
            checks.extend(check(&self::costs(&others, target.rate), round));
        }
    }
    let mut measured: Vec<f64> = used.iter().map(|round| throughput(round)).collect();
    measured.sort_by(f64::total_cmp);
    let (needs, disks, steps) = needs::compute(report, target, &costs)?;
    let machines = machines::machines(report, target, &costs, &needs, &disks);
    let needs = Needs { cores: machines::cores(&machines), ..needs };
    let mut planned = Plan { target: target.clone(), measured, costs, needs, machines, steps, checks, doubts: Vec::new(), assumptions: Vec::new() };
    planned.doubts = doubts::doubts(report, &planned);
    planned.assumptions = doubts::assumptions(report, &planned);
    Ok(planned)
}

fn sane(target: &Target) -> Result<(), NotPlanned> {
    if !(target.rate > 0.0 && target.rate.is_finite()) {
        return Err(NotPlanned::Rate(target.rate));
    }
    if !(target.use_at_most > 0.0 && target.use_at_most <= 1.0) {
        return Err(NotPlanned::Use(target.use_at_most));
    }
    if !(target.cores_per_instance > 0.0 && target.log_days >= 0.0 && target.keep_days >= 0.0) {
        return Err(NotPlanned::Sizes(format!("{} cores, {} and {} days", target.cores_per_instance, target.log_days, target.keep_days)));
    }
    Ok(())
}

/// Transactions a second that a round really carried.
fn throughput(round: &Round) -> f64 {
    if round.seconds > 0.0 && round.sent > 0 { round.sent as f64 / round.seconds } else { round.rate }
}

/// The load generator, which also reads back, is no part of what is bought.
fn counts(process: &&ProcessUse) -> bool {
    process.name != "generator"
}

/// What each process costs, by the rounds in which it ran, and at the rate of a target.
fn costs(rounds: &[&Round], target: f64) -> Vec<Cost> {
    let mut names: Vec<(&str, bool)> = Vec::new();
    for process in rounds.iter().flat_map(|round| round.processes.iter()).filter(counts) {
        if !names.iter().any(|(name, _)| *name == process.name) {
            names.push((process.name.as_str(), process.ours));
        }
    }
    names.sort_by_key(|(_, ours)| !ours);
    let of = |(name, ours): (&str, bool)| {
        let seen: Vec<(f64, &ProcessUse)> = rounds.iter().filter_map(|round| Some((throughput(round), round.processes.iter().find(|process| process.name == name)?))).collect();
        let points: Vec<Point> = seen.iter().map(|(rate, process)| Point { rate: *rate, used: process.cores * 1e6 }).collect();
        let (sent, written) = rounds.iter().fold((0.0, 0.0), |(sent, written), round| {
            let process = round.processes.iter().find(|process| process.name == name);
            (sent + round.sent as f64, written + process.map_or(0.0, |process| process.written_bytes as f64))
        });
        let busiest = seen.iter().map(|(_, process)| *process).filter(|process| process.cores >= LEAST_CORES).max_by(|a, b| a.cores.total_cmp(&b.cores));
        let fit = Fit::of(&points)?;
        Some(Cost {
            process: name.to_owned(),
            ours,
            fit,
            cores_at_target: fit.cores_at(target),
            cores_error: fit.cores_error_at(target),
            busiest_thread_part: busiest.map_or(0.0, |process| process.busiest_thread_cores / process.cores),
            rss_bytes: seen.iter().map(|(_, process)| process.rss_bytes_max as f64).fold(0.0, f64::max),
            written_bytes_per_tx: if sent > 0.0 { written / sent } else { 0.0 },
        })
    };
    names.into_iter().filter_map(of).collect()
}
