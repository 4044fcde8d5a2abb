//! What a measurement says, as data: the JSON file that `bench` writes, `bench compare` reads, and the page and the text are made from.
//!
//! What must stay true: a report holds no secret (stores are told by role, scheme, address and version); figures of the load generator and
//! of the readers stand apart from those of the pipeline; a field that is new has a default, so that older reports are still read.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};
use serde::{Deserialize, Serialize};

/// The version of this form; raised where an older reader would misread it.
pub const VERSION: u32 = 1;

/// A measurement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`VERSION`] of whoever wrote it.
    pub version: u32,
    /// Version of the program that was measured.
    pub wardhouse: String,
    /// How it was built: `release`, `debug`.
    #[serde(default)]
    pub profile: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// What it ran on.
    pub machine: Machine,
    /// What was asked for.
    pub settings: Settings,
    /// What was sent, over all rounds.
    pub load: Load,
    /// One for a plain run; with `--find-limit` one for each rate that was tried, in the order of trying.
    pub rounds: Vec<Round>,
    /// With `--find-limit`.
    #[serde(default)]
    pub limit: Option<Limit>,
    /// With `--against raw`: what each store takes by its own fastest way.
    #[serde(default)]
    pub raw: Vec<RawRate>,
    /// Unit costs, of the round that tells the most (the limit's, else the last).
    #[serde(default)]
    pub stages: Vec<StageCost>,
    /// Bytes that each store holds for one transaction at the end, by role, where they could be read.
    #[serde(default)]
    pub bytes_per_tx: BTreeMap<String, f64>,
    /// What each store held before the first round and after the last, by which `bytes_per_tx` is computed.
    #[serde(default)]
    pub kept: Vec<Kept>,
    /// With `bench plan`: what follows for the target.
    #[serde(default)]
    pub plan: Option<Box<crate::plan::Plan>>,
    /// What went wrong or limits what this says: sentences.
    #[serde(default)]
    pub faults: Vec<String>,
    /// Transactions that were acknowledged by the log and are missing in a store, summed over stores.
    pub lost: u64,
    /// Rows that a store holds beyond those that were sent, summed over stores.
    pub doubled: u64,
}

/// The machine that everything named `ours` ran on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Cores that this process may use.
    pub cpus: u32,
    /// As `/proc/cpuinfo` names it.
    pub cpu_model: String,
    /// Memory in all.
    pub memory_bytes: u64,
    /// Kernel and its release.
    pub kernel: String,
    /// The operating system's own name.
    #[serde(default)]
    pub os: String,
}

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Each role's store.
    pub stores: Vec<StoreUsed>,
    /// Partitions of the topics.
    pub partitions: u32,
    /// Shape of the arrivals: `constant`, `poisson`, `ramp`, `burst`, `file:NAME`.
    pub arrivals: String,
    /// Transactions a second that were asked for; with `--find-limit` where the search began.
    pub rate: f64,
    /// Seconds that a round is measured.
    pub duration_s: f64,
    /// Seconds before that of the same load, which no figure holds.
    pub warmup_s: f64,
    /// Seed of the data and of random arrivals.
    pub seed: u64,
    /// Users that the transactions are of.
    pub users: u32,
    /// One transaction of how many is looked for in the stores.
    #[serde(default)]
    pub sample_every: u64,
    /// Milliseconds between two looks at a store.
    #[serde(default)]
    pub poll_ms: u64,
    /// Where the load enters: `kafka` (produced into the topic), `http` (posted to the intake of the measured process).
    #[serde(default)]
    pub entrance: String,
    /// Mean bytes of a transaction as it is sent.
    #[serde(default)]
    pub bytes_sent_per_tx: f64,
    /// Settings of the pipeline that bear on its speed, as `section.name` and value.
    #[serde(default)]
    pub pipeline: BTreeMap<String, String>,
}

/// A role's store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StoreUsed {
    /// `log`, `ledger`, `documents`, `metrics`, `baselines`, `search`.
    pub role: String,
    /// `kafka`, `postgres`, `sqlite` and so on.
    pub scheme: String,
    /// Host and port; empty where it is embedded.
    pub address: String,
    /// What the server says of itself; empty where it does not.
    pub server: String,
    /// What the program knows of how durable its acknowledgements are; empty where nothing is remarkable.
    #[serde(default)]
    pub durability: String,
}

/// What a role's store held.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The role.
    pub role: String,
    /// Bytes before anything was sent: what an empty store takes. `None` where it was not there yet.
    pub bytes_empty: Option<u64>,
    /// Bytes after the last round.
    pub bytes: u64,
    /// Rows after the last round: transactions; of search, alerts.
    pub rows: u64,
}

/// What was sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Transactions a second that the schedule intended, in the mean of the last round.
    pub intended_rate: f64,
    /// Transactions that the schedule intended.
    pub offered: u64,
    /// Transactions that the log acknowledged.
    pub sent: u64,
    /// Transactions a second that were acknowledged, in the mean of the last round.
    pub achieved_rate: f64,
    /// How late the generator itself handed over a transaction, at most; not the log's time to acknowledge.
    pub generator_behind_us_max: u64,
    /// Whether the generator could not keep its schedule: then the round says nothing of the pipeline's limit.
    pub limited_by_generator: bool,
    /// CPU of the generator and the readers together, a transaction.
    #[serde(default)]
    pub generator_cpu_us_per_tx: f64,
}

/// One rate, held for a while.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Intended transactions a second, in the mean.
    pub rate: f64,
    /// Transactions a second that reached `risk-scores`.
    #[serde(default)]
    pub scored_rate: f64,
    /// Seconds measured, without the warm-up.
    pub seconds: f64,
    /// Transactions sent within them.
    pub sent: u64,
    /// Transactions scored, warm-up and draining included: of all that were sent in the round.
    pub scored: u64,
    /// Transactions of the round in each store once it was drained, by role (`search`: alerts).
    pub stored: BTreeMap<String, u64>,
    /// Records sent and not yet in the slowest store, at the start of the measured time.
    pub lag_start: f64,
    /// The same at its end.
    pub lag_end: f64,
    /// Slope of the lag over the last 30 seconds (or as many as were measured), by least squares.
    pub lag_slope_per_s: f64,
    /// Seconds from the last transaction sent until every store had everything.
    #[serde(default)]
    pub drained_s: f64,
    /// From the intended time of a transaction on, by stage and store.
    pub latencies: Vec<Latency>,
    /// CPU, memory and files of each process within the measured time.
    pub processes: Vec<ProcessUse>,
    /// Part of the measured time in which something on the machine waited for its disks (`/proc/pressure/io`); 0 where that is not told.
    #[serde(default)]
    pub disk_waits: f64,
    /// Cores that were busy with anything but these processes: on a quiet machine, some hundredths.
    #[serde(default)]
    pub other_cores: f64,
    /// What the round says.
    pub verdict: Verdict,
    /// How it went, second by second.
    pub series: Vec<Second>,
    /// The generator's part.
    #[serde(default)]
    pub load: Load,
}

/// What a round says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// The rate was carried: the lag did not grow, and p99 stayed below the bound.
    #[default]
    Sustained,
    /// Records came faster than they were stored.
    LagGrew {
        /// Records a second.
        by_per_s: f64,
    },
    /// Nothing speaks against the rate, but the round was shorter than what tells whether a lag grows.
    TooShort {
        /// Seconds measured.
        seconds: f64,
        /// Seconds that tell.
        needed: f64,
    },
    /// The lag was bounded, but what was slowest was too slow.
    Slow {
        /// Which latency, e.g. `published→ledger`.
        stage: String,
        /// Its p99.
        p99_us: u64,
    },
    /// The load generator could not send as intended: the round says nothing of the pipeline.
    GeneratorLimited {
        /// How far behind its schedule it was.
        behind_us: u64,
    },
    /// The pipeline failed or lost something.
    Failed {
        /// The sentence.
        why: String,
    },
}

impl Verdict {
    /// Whether nothing speaks against the rate: it was carried, or at least while it was measured.
    #[must_use]
    pub fn is_sustained(&self) -> bool {
        matches!(self, Verdict::Sustained | Verdict::TooShort { .. })
    }

    /// Whether the round was too short to tell.
    #[must_use]
    pub fn is_too_short(&self) -> bool {
        matches!(self, Verdict::TooShort { .. })
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Verdict::Sustained => f.write_str("sustained"),
            Verdict::TooShort { seconds, needed } => write!(f, "held for {seconds:.0} s, too short to tell whether it is sustained ({needed:.0} s)"),
            Verdict::LagGrew { by_per_s } => write!(f, "the lag grew by {by_per_s:.0} a second"),
            #[expect(clippy::cast_precision_loss, reason = "a latency for people")]
            Verdict::Slow { stage, p99_us } => write!(f, "too slow: p99 of {stage} is {:.0} ms", *p99_us as f64 / 1e3),
            #[expect(clippy::cast_precision_loss, reason = "a latency for people")]
            Verdict::GeneratorLimited { behind_us } => write!(f, "the load generator fell {:.0} ms behind its schedule: no figure of the pipeline", *behind_us as f64 / 1e3),
            Verdict::Failed { why } => write!(f, "failed: {why}"),
        }
    }
}

/// One second of a round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Seconds since the round began; the warm-up is below 0.
    pub t_s: f64,
    /// Transactions acknowledged within it.
    pub sent: u64,
    /// Transactions that reached `risk-scores` within it.
    pub scored: u64,
    /// Positions that became visible within it, by role.
    pub by_store: BTreeMap<String, u64>,
    /// Records sent and not yet in the slowest store, at its end.
    pub lag: f64,
    /// p99 of the slowest store's latencies seen within it; `None` where no sample was.
    pub p99_us: Option<u64>,
    /// CPU of all processes of ours, in cores.
    #[serde(default)]
    pub cpu_ours: f64,
    /// CPU of the servers on this machine, in cores.
    #[serde(default)]
    pub cpu_servers: f64,
    /// Resident memory of the pipeline.
    #[serde(default)]
    pub rss_bytes: u64,
}

/// How long something took, from the time at which the schedule intended a transaction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// `published→scored`, `published→ledger` and so on.
    pub name: String,
    /// Samples.
    pub count: u64,
    /// Mean in microseconds.
    pub mean_us: f64,
    /// Median.
    pub p50_us: u64,
    /// 90th percentile.
    pub p90_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// 99.9th percentile.
    pub p999_us: u64,
    /// The longest.
    pub max_us: u64,
    /// The histogram itself (microseconds, three digits) in `HdrHistogram`'s V2 form, base64.
    pub hdr: String,
}

impl Latency {
    /// The figures of a histogram of microseconds.
    #[must_use]
    pub fn of(name: &str, histogram: &Histogram<u64>) -> Latency {
        let mut bytes = Vec::new();
        // A vector takes every byte; a histogram that cannot be written is left out, its figures are not.
        let hdr = V2Serializer::new().serialize(histogram, &mut bytes).map(|_| STANDARD.encode(&bytes)).unwrap_or_default();
        Latency {
            name: name.to_owned(),
            count: histogram.len(),
            mean_us: histogram.mean(),
            p50_us: histogram.value_at_quantile(0.5),
            p90_us: histogram.value_at_quantile(0.9),
            p99_us: histogram.value_at_quantile(0.99),
            p999_us: histogram.value_at_quantile(0.999),
            max_us: histogram.max(),
            hdr,
        }
    }

    /// The histogram, where the report holds a readable one.
    #[must_use]
    pub fn histogram(&self) -> Option<Histogram<u64>> {
        let bytes = STANDARD.decode(&self.hdr).ok().filter(|bytes| !bytes.is_empty())?;
        Deserializer::new().deserialize(&mut bytes.as_slice()).ok()
    }
}

/// What a process used within the measured time of a round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProcessUse {
    /// `pipeline`, `generator` (which also reads back), or the name of a server: `kafka`, `postgres` …
    pub name: String,
    /// Whether it is of this project; a server is not.
    pub ours: bool,
    /// CPU seconds.
    pub cpu_s: f64,
    /// CPU of one transaction sent.
    pub cpu_us_per_tx: f64,
    /// Cores that it kept busy, in the mean.
    pub cores: f64,
    /// Most resident memory.
    pub rss_bytes_max: u64,
    /// Open files at the end.
    pub fds: u64,
    /// Bytes that reached the disk.
    #[serde(default)]
    pub written_bytes: u64,
    /// CPU of its busiest thread, in cores; 0 where that was not read.
    #[serde(default)]
    pub busiest_thread_cores: f64,
    /// The name of that thread.
    #[serde(default)]
    pub busiest_thread: String,
}

/// What `--find-limit` found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// Highest rate that was carried, transactions a second.
    pub rate: f64,
    /// Lowest rate that was not; `None` where none was tried that failed.
    #[serde(default)]
    pub failed_rate: Option<f64>,
    /// What was saturated first: `machine`, `pipeline`, `postgres`, `partitions` …
    pub saturated: String,
    /// How that is known: a sentence with the figures.
    pub why: String,
    /// What one more core would buy, with the calculation.
    pub one_more_core: String,
    /// What one more partition would buy, with the calculation.
    pub one_more_partition: String,
}

/// What a store takes by its own fastest documented way, and what the pipeline brought it to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RawRate {
    /// The role or store.
    pub store: String,
    /// How: `COPY into a staging table`, `unordered insertMany` …
    pub way: String,
    /// Rows a second.
    pub rows_per_s: f64,
    /// Bytes of a row as they were sent.
    pub bytes_per_row: f64,
    /// CPU of the client, a row.
    pub client_cpu_us: f64,
    /// CPU of the server, a row; `None` where it is not on this machine or has no process of its own.
    pub server_cpu_us: Option<f64>,
    /// Rows a second that the pipeline wrote in the same run; `None` where it was not measured.
    pub pipeline_rows_per_s: Option<f64>,
    /// `pipeline_rows_per_s` by `rows_per_s`.
    pub ratio: Option<f64>,
}

/// What one transaction costs in one place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageCost {
    /// `pipeline` or one of its stages, or a server's name.
    pub stage: String,
    /// CPU microseconds a transaction.
    pub cpu_us_per_tx: f64,
    /// Bytes a transaction that it wrote to the disk (a process) or keeps (a store).
    pub bytes_per_tx: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_is_read_back_from_a_report() {
        let mut histogram = Histogram::<u64>::new(3).unwrap();
        for value in 1..10_000_u64 {
            histogram.record(value).unwrap();
        }
        let latency = Latency::of("published→ledger", &histogram);
        assert_eq!(latency.histogram().unwrap(), histogram);
        assert!(latency.p50_us.abs_diff(5_000) < 20, "{latency:?}");
        let report =
            Report { version: VERSION, rounds: vec![Round { latencies: vec![latency], verdict: Verdict::LagGrew { by_per_s: 2.0 }, ..Round::default() }], ..Report::default() };
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }
}
