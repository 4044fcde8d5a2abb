//! What `tests/instructions` counts: the instructions that a fixed piece of work takes, a piece a run, under `valgrind --tool=callgrind`.
//!
//! `cargo bench --workspace --bench instructions` runs every piece once and counts nothing; `instructions NAME` runs one.
//!
//! What must stay true: what is counted is what happens inside [`measured`], which callgrind is told by its name, so that making the records
//! and starting the process are none of it; the same seed makes the same records, so that a count differs between two runs by what the keys of
//! hash tables bring alone, a few in a thousand; no query engine is linked.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;

use wh_eventlog::{Record, Stored};
use wh_ingest::generator::{GeneratorSettings, World, write_json};
use wh_ingest::intake;
use wh_schemas::topics::RISK_SCORES;
use wh_schemas::validate::Reading;
use wh_schemas::{AcceptedTransaction, Micros, ScoreRecord};
use wh_scorer::dedup::Ids;
use wh_scorer::engine::{Engine, Observation, Ruleset};
use wh_scorer::partition::{Emitted, PartitionRecord, PartitionScorer, Position};
use wh_sinks::delivery::Batch;
use wh_sinks::influxdb::dialect::{Lines, take_again};
use wh_stores::elasticsearch::{ElasticsearchSettings, RawElasticsearch};
use wh_stores::{Durability, ServerUrl};

/// Records of each piece.
const ROWS: usize = 5_000;
/// Records of one batch.
const BATCH: usize = 500;
/// Names of the pieces, as in the baseline.
const PIECES: [&str; 7] = ["engine", "codec", "scorer", "postgres", "mongodb", "elasticsearch", "influxdb"];

/// Callgrind counts what happens in here and nothing else.
#[inline(never)]
fn measured(work: &mut dyn FnMut() -> usize) -> usize {
    let done = work();
    // Behind the call, so that it is no jump out of this function.
    black_box(done)
}

fn stored(records: impl Iterator<Item = Record>) -> Vec<Stored> {
    let held = |(record, (offset, append_time)): (Record, (u64, i64))| Stored { offset, append_time, key: record.key, value: record.value, headers: record.headers };
    records.zip((0..).zip(1_769_904_000_000_000..)).map(held).collect()
}

/// As sources write them.
fn sources() -> Vec<Stored> {
    let start = Micros(1_767_225_600_000_000);
    let settings = GeneratorSettings { seed: 1, users: 50, start, transactions_per_user_day: 130.0, anomaly_rate: 0.15, zone: chrono_tz::Tz::UTC };
    let world = World::new(settings).unwrap();
    stored(world.take(ROWS).map(|generated| {
        let mut line = Vec::new();
        write_json(&generated.transaction, &mut line);
        Record::new("source", line)
    }))
}

fn accepted(sources: &[Stored], reading: &Reading) -> Vec<Stored> {
    stored(sources.iter().map(|source| intake::accept(source, 0, 1, reading).unwrap().1))
}

fn scorer() -> PartitionScorer {
    PartitionScorer::new(0, Ruleset::default(), Position::default(), PartitionRecord::default(), Vec::new(), Ids::new(1_000_000), "bench")
}

fn scored(accepted: &[Stored]) -> Vec<Stored> {
    let (mut scorer, mut emitted) = (scorer(), Emitted::default());
    for record in accepted {
        scorer.process(record, &mut emitted);
    }
    stored(emitted.scores.into_iter())
}

/// Transactions through the scorer's engine.
fn engine(accepted: &[Stored]) -> usize {
    let transactions: Vec<AcceptedTransaction<'_>> = accepted.iter().map(|record| serde_json::from_slice(&record.value).unwrap()).collect();
    let mut engine = Engine::new(Ruleset::default());
    measured(&mut || transactions.iter().map(|transaction| usize::from(engine.score(&Observation::of(transaction, engine.ruleset())).risk_score())).sum())
}

/// A source's bytes read, judged and written as accepted; those read; a scored record written.
fn codec(sources: &[Stored], scored: &[Stored], reading: &Reading) -> usize {
    let scores: Vec<ScoreRecord<'_>> = scored.iter().map(|record| serde_json::from_slice(&record.value).unwrap()).collect();
    measured(&mut || {
        let mut bytes = 0;
        for (source, score) in sources.iter().zip(&scores) {
            let (_, record) = intake::accept(source, 0, 1, reading).unwrap();
            let transaction: AcceptedTransaction<'_> = serde_json::from_slice(&record.value).unwrap();
            black_box(&transaction);
            bytes += record.value.len() + serde_json::to_vec(score).unwrap().len();
        }
        bytes
    })
}

/// A partition's scorer from accepted bytes to emitted bytes.
fn partition(accepted: &[Stored]) -> usize {
    let mut scorer = scorer();
    measured(&mut || {
        let mut count = 0;
        for batch in accepted.chunks(BATCH) {
            let mut emitted = Emitted::default();
            for record in batch {
                scorer.process(record, &mut emitted);
            }
            count += emitted.scores.len();
            black_box(&emitted);
        }
        count
    })
}

fn elasticsearch(scored: &[Stored]) -> usize {
    let url = ServerUrl::parse("elasticsearch://host").unwrap();
    let settings = ElasticsearchSettings::try_new(&url, &RawElasticsearch::default(), Durability::Warn).unwrap();
    measured(&mut || scored.chunks(BATCH).map(|batch| wh_sinks::elasticsearch::encode::alerts(&settings, batch)).sum())
}

fn influxdb(scored: Vec<Stored>) -> usize {
    let batch = Batch { topic: Arc::from(RISK_SCORES), partition: 0, records: Arc::new(scored), buried: BTreeSet::new() };
    measured(&mut || {
        let mut lines = Lines::default();
        for block in take_again(&batch, i64::MIN).0 {
            block.write(true, &mut lines);
        }
        lines.len()
    })
}

fn run(piece: &str) -> usize {
    let reading = Reading::default();
    let sources = sources();
    let accepted = accepted(&sources, &reading);
    match piece {
        "engine" => engine(&accepted),
        "codec" => codec(&sources, &scored(&accepted), &reading),
        "scorer" => partition(&accepted),
        "postgres" => {
            let scored = scored(&accepted);
            measured(&mut || scored.chunks(BATCH).map(wh_sinks::postgres::encode::transactions).sum())
        }
        "mongodb" => {
            let scored = scored(&accepted);
            measured(&mut || scored.chunks(BATCH).map(wh_sinks::mongodb::encode::documents).sum())
        }
        "elasticsearch" => elasticsearch(&scored(&accepted)),
        "influxdb" => influxdb(scored(&accepted)),
        other => panic!("there is no piece {other}: {}", PIECES.join(", ")),
    }
}

fn main() {
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if named.iter().any(|name| name == "list") {
        println!("{}", PIECES.join("\n"));
        return;
    }
    let pieces: Vec<&str> = if named.is_empty() { PIECES.to_vec() } else { named.iter().map(String::as_str).collect() };
    for piece in pieces {
        let done = run(piece);
        assert!(done > 0, "{piece} did nothing");
        println!("{piece}: {done}");
    }
}
