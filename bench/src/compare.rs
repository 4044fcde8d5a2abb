//! Two reports side by side: what became better or worse, and what is noise.
//!
//! What must stay true: reports of other stores are never compared; what differs beside the figures is told; a figure is called better or
//! worse only if its interval excludes 1 and the difference is one that matters; a figure of which there is one number a run has no
//! interval, and that is said. The intervals hold what varied *within* the two runs: what varies from run to run is seen only by repeating.

mod figures;
pub mod interval;
mod pairs;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::interval::Interval;
use self::pairs::{left_out, pairs, rates};
use crate::report::{Report, VERSION};

/// Why a report could not be read.
#[derive(Debug, Error)]
pub enum Unreadable {
    /// The file itself.
    #[error("{path} cannot be read: is it there, and may this user read it?")]
    File {
        /// Which.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// What stands in it.
    #[error("{path} is not a report of `wardhouse bench`: name the JSON file that `bench --report DIR` wrote")]
    NotAReport {
        /// Which.
        path: String,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// Another form.
    #[error("{path} is a report of version {version}, and this program reads version {supported}: read it with the program that wrote it", supported = VERSION)]
    Version {
        /// Which.
        path: String,
        /// Its version.
        version: u32,
    },
}

/// Why two reports say nothing of each other.
#[derive(Debug, Error, PartialEq)]
pub enum Incomparable {
    /// Their forms differ.
    #[error("one report is of version {a}, the other of version {b}: measure both with one program")]
    Versions {
        /// Of the first.
        a: u32,
        /// Of the second.
        b: u32,
    },
    /// Their stores differ.
    #[error("the stores differ, so the figures are of different things: {role} was on {a}, then on {b}; measure both on the same kinds of store")]
    Stores {
        /// Which role, the first that differs.
        role: String,
        /// Scheme in the first.
        a: String,
        /// Scheme in the second.
        b: String,
    },
    /// No rate was measured in both.
    #[error("no rate was measured in both (first: {a}; second: {b}): repeat one with `--rate` and `--arrivals` of the other")]
    Rates {
        /// Usable rates of the first.
        a: String,
        /// Usable rates of the second.
        b: String,
    },
}

/// What a figure is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// The highest rate that was carried.
    Limit,
    /// Transactions a second.
    Rate,
    /// From the intended time on.
    Latency,
    /// CPU of a transaction.
    Cpu,
    /// Resident memory.
    Memory,
    /// Bytes that a store keeps of a transaction.
    Disk,
    /// Against the store's own bulk way.
    Raw,
}

impl Group {
    /// The part by which two figures must differ to be called different, however sure the difference is: below it nobody would act. With
    /// one number a run and no interval, what repeated runs on one machine differ by.
    #[must_use]
    pub fn least_difference(self, basis: Basis) -> f64 {
        match (self, basis) {
            (Group::Disk, _) => 0.02,
            (_, Basis::OneNumber) => 0.10,
            (Group::Limit, _) => 0.0,
            (Group::Rate, _) => 0.01,
            (Group::Cpu, _) => 0.03,
            (Group::Latency | Group::Memory | Group::Raw, _) => 0.05,
        }
    }

    /// Whether more of it is better.
    #[must_use]
    pub fn more_is_better(self) -> bool {
        matches!(self, Group::Limit | Group::Rate | Group::Raw)
    }
}

/// What the interval stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Bootstrap over blocks of seconds.
    Seconds,
    /// Order statistics of the histograms.
    Samples,
    /// The rates between which each limit lies.
    Bracket,
    /// One number a run: no interval.
    OneNumber,
    /// Too few samples or seconds: no interval, and nothing is said.
    TooFew,
}

/// What a ratio says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// The second report's figure is the better.
    Better,
    /// It is the worse.
    Worse,
    /// No difference that is more than noise.
    WithinNoise,
    /// Too few samples or seconds to say anything.
    CannotTell,
}

impl std::fmt::Display for Says {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Says::Better => "better",
            Says::Worse => "worse",
            Says::WithinNoise => "within noise",
            Says::CannotTell => "cannot tell",
        })
    }
}

/// One figure of both reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What it is of; its unit follows: transactions a second, microseconds, bytes, a ratio.
    pub group: Group,
    /// The rate at which it was measured; `None` for those of the whole report.
    pub rate: Option<f64>,
    /// `published→ledger p99`, `pipeline` and so on.
    pub name: String,
    /// In the first report.
    pub a: f64,
    /// In the second.
    pub b: f64,
    /// `b` by `a`.
    pub ratio: f64,
    /// Its 95 % interval.
    pub interval: Option<Interval>,
    /// What that stands on.
    pub basis: Basis,
    /// What it says.
    pub says: Says,
}

/// What identifies a report for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// Version of the program.
    pub wardhouse: String,
    /// When it was measured.
    pub started: String,
    /// On what.
    pub machine: String,
}

/// Two reports side by side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The first.
    pub a: Side,
    /// The second.
    pub b: Side,
    /// What else differs: sentences.
    pub warnings: Vec<String>,
    /// Figures, by group and rate.
    pub figures: Vec<Figure>,
}

/// Reads a report that was written by `bench`.
///
/// # Errors
/// Why it cannot be read.
pub fn read(path: &Path) -> Result<Report, Unreadable> {
    /// A newer form may not be readable as a [`Report`]; its version is.
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    // The folder that was named to `bench --report`.
    let inside = path.join("report.json");
    let path = if path.is_dir() { inside.as_path() } else { path };
    let name = || path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| Unreadable::File { path: name(), source })?;
    let Versioned { version } = serde_json::from_str(&text).map_err(|source| Unreadable::NotAReport { path: name(), source })?;
    if version != VERSION {
        return Err(Unreadable::Version { path: name(), version });
    }
    serde_json::from_str(&text).map_err(|source| Unreadable::NotAReport { path: name(), source })
}

/// Compares the second report with the first.
///
/// # Errors
/// Why they say nothing of each other.
pub fn compare(a: &Report, b: &Report) -> Result<Comparison, Incomparable> {
    if a.version != b.version {
        return Err(Incomparable::Versions { a: a.version, b: b.version });
    }
    let (stores_a, stores_b) = (schemes(a), schemes(b));
    for role in stores_a.keys().chain(stores_b.keys()) {
        let scheme = |stores: &BTreeMap<&str, &str>| stores.get(*role).map_or_else(|| "none".to_owned(), |scheme| (*scheme).to_owned());
        let (scheme_a, scheme_b) = (scheme(&stores_a), scheme(&stores_b));
        if scheme_a != scheme_b {
            return Err(Incomparable::Stores { role: (*role).to_owned(), a: scheme_a, b: scheme_b });
        }
    }
    let pairs = pairs(a, b);
    if pairs.is_empty() && (a.limit.is_none() || b.limit.is_none()) {
        return Err(Incomparable::Rates { a: rates(a), b: rates(b) });
    }
    let mut warnings = settings::warnings(a, b);
    warnings.extend(left_out(a, b, &pairs));
    let figures = figures::all(a, b, &pairs, &mut warnings);
    Ok(Comparison { a: side(a), b: side(b), warnings, figures })
}

fn side(report: &Report) -> Side {
    let machine = &report.machine;
    Side {
        wardhouse: report.wardhouse.clone(),
        started: report.started.clone(),
        machine: format!("{} cores of {}, {:.0} GB, {}", machine.cpus, machine.cpu_model, machine.memory_bytes as f64 / 1e9, machine.kernel),
    }
}

fn schemes(report: &Report) -> BTreeMap<&str, &str> {
    report.settings.stores.iter().map(|store| (store.role.as_str(), store.scheme.as_str())).collect()
}
