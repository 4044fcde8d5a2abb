//! What one transaction costs on one core: the engine alone, and a partition's scorer from accepted bytes to emitted bytes.
//!
//! `cargo bench --workspace --bench engine`. The limit is 10 µs a transaction.

use std::hint::black_box;
use std::time::Instant;

use wh_eventlog::Stored;
use wh_ingest::generator::{GeneratorSettings, World, write_json};
use wh_schemas::validate::Reading;
use wh_schemas::{AcceptedTransaction, Micros};
use wh_scorer::dedup::Ids;
use wh_scorer::engine::{Engine, Observation, Ruleset};
use wh_scorer::partition::{Emitted, PartitionRecord, PartitionScorer, Position};

const ROWS: usize = 300_000;

fn accepted(users: u32) -> Vec<Stored> {
    let settings = GeneratorSettings { seed: 1, users, start: Micros(1_767_225_600_000_000), transactions_per_user_day: 130.0, anomaly_rate: 0.15, zone: chrono_tz::Tz::UTC };
    let world = World::new(settings).unwrap_or_else(|error| panic!("{error}"));
    let mut records = Vec::with_capacity(ROWS);
    for (offset, generated) in (0..).zip(world.take(ROWS)) {
        let mut value = Vec::new();
        write_json(&generated.transaction, &mut value);
        let source = Stored { offset, append_time: 0, key: None, value: value.into(), headers: Vec::new() };
        match wh_ingest::intake::accept(&source, 0, 1, &Reading::default()) {
            Ok((_, record)) => records.push(Stored { offset, append_time: 0, key: record.key, value: record.value, headers: record.headers }),
            Err(rejection) => panic!("{rejection}"),
        }
    }
    records
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn told(name: &str, begun: Instant) {
    let micros = begun.elapsed().as_secs_f64() * 1e6 / ROWS as f64;
    println!("{name}: {micros:.2} µs a transaction, {:.0} tx/s on one core", 1e6 / micros);
}

fn main() {
    for users in [50, 10_000] {
        let records = accepted(users);
        let transactions: Vec<AcceptedTransaction<'_>> = records.iter().filter_map(|r| serde_json::from_slice(&r.value).ok()).collect();
        assert_eq!(transactions.len(), ROWS);
        let mut engine = Engine::new(Ruleset::default());
        let begun = Instant::now();
        for transaction in &transactions {
            black_box(engine.score(&Observation::of(transaction, engine.ruleset())));
        }
        told(&format!("engine, {users} users"), begun);
        let largest = engine.users().filter_map(|(_, state)| state.to_bytes().ok()).map(|bytes| bytes.len()).max();
        println!("largest state: {} bytes", largest.unwrap_or(0));

        let mut scorer = PartitionScorer::new(0, Ruleset::default(), Position::default(), PartitionRecord::default(), Vec::new(), Ids::new(1_000_000), "bench");
        let begun = Instant::now();
        for chunk in records.chunks(2_000) {
            let mut emitted = Emitted::default();
            for record in chunk {
                scorer.process(record, &mut emitted);
            }
            black_box(emitted);
        }
        told(&format!("scorer from bytes to bytes, {users} users"), begun);
    }
}
