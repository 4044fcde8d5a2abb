//! Each server's sink against the store's own bulk write of the same rows, at the same durability, in the same run.
//!
//! `eval "$(tests/stack env)"; cargo bench --workspace --bench sinks [-- STORE…]`, STORE being postgres, mongodb, elasticsearch, influxdb,
//! redis or kafka; those that `WARDHOUSE_TEST_…` names where none is. The limit is a ratio of 0.7. `WH_BENCH_ROWS` (100,000) and
//! `WH_BENCH_ROUNDS` (3) change how much is measured.
//!
//! What must stay true: what the raw ways write was read back from what the sink wrote, or is made by the same code; it is prepared outside
//! of the time that is measured; sink and raw ways alternate, each in a place of its own (`whbench_…`) that is removed behind it; each round's
//! rows are counted afterwards.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

#[path = "sinks/baselines.rs"]
mod baselines;
#[path = "sinks/documents.rs"]
mod documents;
#[path = "sinks/event_log.rs"]
mod event_log;
#[path = "sinks/ledger.rs"]
mod ledger;
#[path = "sinks/metrics.rs"]
mod metrics;
#[path = "sinks/search.rs"]
mod search;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wh_bench::raw::{self, Corpus, ServerCpu, Took};
use wh_eventlog::Stored;
use wh_schemas::topics::RISK_SCORES;
use wh_sinks::delivery::{Batch, Store, Written};

/// How often the runner publishes.
const PUBLISH_EVERY: Duration = Duration::from_millis(200);

/// What one way of writing took in one round.
#[derive(Clone, Copy)]
struct Measured {
    /// Rows a second.
    rate: f64,
    /// CPU-µs of this process a row; none where another process wrote.
    ours: Option<f64>,
    /// CPU-µs of the server a row, where its processes are known.
    server: Option<f64>,
}

impl Measured {
    fn of(took: &Took) -> Measured {
        Measured { rate: took.rate(), ours: Some(took.client_micros()), server: took.server_micros() }
    }
}

/// Time and CPU since it was started.
struct Meter(raw::Meter);

impl Meter {
    /// Begins, for a server as `tests/stack` calls it.
    fn start(server: &'static str) -> Meter {
        Meter(raw::Meter::start(&cpu(server)))
    }

    /// Ends, this process having written so many rows.
    fn stop(self, rows: usize) -> Measured {
        Measured::of(&self.0.stop(rows, 0))
    }

    /// Ends, another process having written so many rows at a rate that it tells itself.
    fn told(self, rows: usize, rate: f64) -> Measured {
        Measured { rate, ours: None, ..self.stop(rows) }
    }
}

/// What tells the CPU of a server as `tests/stack` calls it.
fn cpu(server: &'static str) -> ServerCpu {
    Arc::new(move || served(server))
}

/// CPU seconds of a server, where it is one of `tests/stack`.
fn served(server: &str) -> Option<f64> {
    let told = Command::new("bash").args(["stack", "cpu", server]).current_dir(folder()).output().ok()?;
    let told = String::from_utf8(told.stdout).ok()?;
    told.split_whitespace().nth(1)?.parse().ok()
}

/// The folder `tests`.
fn folder() -> PathBuf {
    // Asked while running: clones that share a target folder share the compiled benchmark.
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from)
}

/// One way of writing.
struct Way {
    name: &'static str,
    compared: bool,
    rounds: Vec<Measured>,
}

/// A sink and the raw ways beside it.
struct Contest {
    /// How it is called in the last lines.
    name: &'static str,
    /// What is counted.
    unit: &'static str,
    /// The sink, then the raw way that decides the ratio, then others.
    ways: Vec<Way>,
    /// What is to be known beside the figures.
    notes: Vec<String>,
}

impl Contest {
    /// `beside` are ways that are measured and compared with nothing.
    fn new(name: &'static str, unit: &'static str, compared: &[&'static str], beside: &[&'static str]) -> Contest {
        let way = |name: &'static str, compared: bool| Way { name, compared, rounds: Vec::new() };
        let ways = compared.iter().copied().map(|name| way(name, true)).chain(beside.iter().copied().map(|name| way(name, false))).collect();
        Contest { name, unit, ways, notes: Vec::new() }
    }

    /// The ways in the order of a round: every other round begins at the other end.
    fn order(&self, round: usize) -> Vec<usize> {
        let ways = 0..self.ways.len();
        if round.is_multiple_of(2) { ways.collect() } else { ways.rev().collect() }
    }

    fn add(&mut self, way: usize, measured: Measured) {
        eprintln!("{}: {}: {:.0} {} a second", self.name, self.ways[way].name, measured.rate, self.unit);
        self.ways[way].rounds.push(measured);
    }

    /// The median over rounds of the sink's rate by a way's rate in the same round.
    fn ratio(&self, way: usize) -> f64 {
        median(self.ways[0].rounds.iter().zip(&self.ways[way].rounds).map(|(sink, raw)| sink.rate / raw.rate))
    }

    fn print(&self) {
        let said = |figures: Vec<Option<f64>>| match figures.into_iter().collect::<Option<Vec<f64>>>() {
            Some(figures) => format!("{:.1}", median(figures.into_iter())),
            None => "–".to_owned(),
        };
        for (number, way) in self.ways.iter().enumerate() {
            let rate = median(way.rounds.iter().map(|round| round.rate));
            let ratio = if way.compared && number > 0 { format!("{:.2}", self.ratio(number)) } else { String::new() };
            let ours = said(way.rounds.iter().map(|round| round.ours).collect());
            let server = said(way.rounds.iter().map(|round| round.server).collect());
            println!("| {} | {} | {rate:.0} {} | {ratio} | {ours} | {server} |", self.name, way.name, self.unit);
        }
    }
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    if figures.len().is_multiple_of(2) { (figures[middle - 1] + figures[middle]) / 2.0 } else { figures[middle] }
}

/// Writes batches as the runner does.
async fn write(store: &mut dyn Store, batches: &[Arc<Vec<Stored>>]) {
    let topic: Arc<str> = Arc::from(RISK_SCORES);
    let mut unpublished: Option<Instant> = None;
    for records in batches {
        let begun = Instant::now();
        let batch = Batch { topic: Arc::clone(&topic), partition: 0, records: Arc::clone(records), buried: BTreeSet::new() };
        let written = store.write(batch).await;
        assert!(matches!(written, Ok(Written::Done { .. })), "{written:?}");
        if unpublished.get_or_insert(begun).elapsed() >= PUBLISH_EVERY {
            store.publish().await.unwrap();
            unpublished = None;
        }
    }
    store.publish().await.unwrap();
}

/// Sees that every record can be read, by the store's own word.
async fn check(store: &mut dyn Store, records: usize) {
    let positions = store.positions(RISK_SCORES).await.unwrap();
    let visible: Vec<(u32, u64)> = positions.iter().map(|position| (position.partition, position.visible_seq)).collect();
    assert_eq!(visible, [(0, records as u64)], "{}", store.role());
}

/// A number that the environment gives.
fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} = {value:?}: expected a number")))
}

async fn run() {
    let (rows, rounds) = (number("WH_BENCH_ROWS", 100_000), number("WH_BENCH_ROUNDS", 3).max(1));
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let corpus = Corpus::new(rows).unwrap();
    println!("{rows} records of {} bytes in {} batches, {rounds} rounds", corpus.record_bytes(), corpus.scored.len());
    let mut contests: Vec<Contest> = Vec::new();
    for server in ["postgres", "mongodb", "elasticsearch", "influxdb", "redis", "kafka"] {
        if !wanted.is_empty() && !wanted.iter().any(|name| name == server) {
            continue;
        }
        let variable = format!("WARDHOUSE_TEST_{}", server.to_uppercase());
        let Some(url) = std::env::var(&variable).ok().filter(|url| !url.is_empty()) else {
            println!("{server}: left out, {variable} is not set");
            continue;
        };
        match server {
            "postgres" => contests.push(ledger::contest(&url, &corpus, rounds).await),
            "mongodb" => contests.push(documents::contest(&url, &corpus, rounds).await),
            "elasticsearch" => contests.push(search::contest(&url, &corpus, rounds).await),
            "influxdb" => contests.push(metrics::contest(&url, &corpus, rounds).await),
            "redis" => contests.push(baselines::contest(&url, &corpus, rounds).await),
            _ => contests.extend(event_log::contests(&url, &corpus, rounds).await),
        }
    }
    println!("\n| store | what | rate, a second | sink ÷ raw | our CPU-µs each | server's CPU-µs each |\n|---|---|---|---|---|---|");
    for contest in &contests {
        contest.print();
    }
    println!();
    for note in contests.iter().flat_map(|contest| &contest.notes) {
        println!("{note}");
    }
    for contest in &contests {
        println!("{} ratio {:.2}", contest.name, contest.ratio(1));
    }
}

fn main() {
    tokio::runtime::Runtime::new().unwrap().block_on(run());
}
