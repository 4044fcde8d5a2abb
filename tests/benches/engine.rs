//! What one transaction costs on one core: the engine with all patterns by user, with the account engine behind it, and a partition's scorer from
//! accepted bytes to emitted bytes; and what a user and an account take in a checkpoint.
//!
//! `cargo bench --workspace --bench engine`. The limits are 10 µs a transaction with both engines, 4 KB a user, 2 KB an account.

use std::hint::black_box;
use std::time::Instant;

use wh_eventlog::Stored;
use wh_ingest::generator::{GeneratorSettings, World, write_json};
use wh_schemas::transaction::SCHEMA_VERSION;
use wh_schemas::validate::Reading;
use wh_schemas::{AcceptedTransaction, Activity, Micros};
use wh_scorer::dedup::Ids;
use wh_scorer::engine::{Engine, Observation, Ruleset};
use wh_scorer::partition::{Emitted, PartitionRecord, PartitionScorer, Position};
use wh_scorer::patterns::{AccountEngine, AccountRules};

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

/// Mean, 99th percentile and largest of what is kept of each.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn sizes(name: &str, mut bytes: Vec<usize>) {
    bytes.sort_unstable();
    let count = bytes.len().max(1);
    let mean = bytes.iter().sum::<usize>() as f64 / count as f64;
    let at = |share: usize| bytes.get((count * share / 100).min(count - 1)).copied().unwrap_or(0);
    println!("{name}: {count}, {mean:.0} bytes in the mean, p99 {}, largest {}", at(99), at(100));
}

/// What the scorer tells the account engine of a transaction.
fn activity<'a>(transaction: &AcceptedTransaction<'a>, risk_score: u8, seq: u64, stream_time: Micros) -> Activity<'a> {
    Activity {
        schema_version: SCHEMA_VERSION,
        transaction_id: transaction.transaction_id.clone(),
        timestamp: transaction.timestamp,
        user_id: transaction.user_id.clone(),
        account_id: transaction.account_id.clone(),
        counterparty_account: transaction.counterparty_account.clone(),
        department: transaction.department.clone(),
        transaction_type: transaction.transaction_type,
        amount: transaction.amount,
        risk_score,
        partition: 0,
        seq,
        stream_time,
        implausible: false,
    }
}

fn main() {
    for users in [50, 10_000] {
        let records = accepted(users);
        let transactions: Vec<AcceptedTransaction<'_>> = records.iter().filter_map(|r| serde_json::from_slice(&r.value).ok()).collect();
        assert_eq!(transactions.len(), ROWS);
        let mut engine = Engine::new(Ruleset::default());
        let mut scores = Vec::with_capacity(ROWS);
        let begun = Instant::now();
        for transaction in &transactions {
            scores.push(black_box(engine.score(&Observation::of(transaction, engine.ruleset()))).risk_score());
        }
        told(&format!("engine with all patterns by user, {users} users"), begun);
        sizes("users", engine.users().filter_map(|(_, state)| state.to_bytes().ok()).map(|bytes| bytes.len()).collect());

        let mut accounts = AccountEngine::new(AccountRules::default());
        let mut found = Vec::new();
        let begun = Instant::now();
        let mut stream_time = Micros(i64::MIN);
        for ((seq, transaction), risk_score) in (0_u64..).zip(&transactions).zip(&scores) {
            stream_time = stream_time.max(transaction.timestamp);
            accounts.take(&activity(transaction, *risk_score, seq, stream_time), &mut found);
        }
        accounts.flush(&mut found);
        told(&format!("account engine alone, {users} users, {} patterns", found.len()), begun);
        sizes("accounts", accounts.take_changes().accounts.into_iter().map(|(_, bytes)| bytes.len()).collect());

        let (mut engine, mut accounts) = (Engine::new(Ruleset::default()), AccountEngine::new(AccountRules::default()));
        found.clear();
        let begun = Instant::now();
        for (seq, transaction) in (0_u64..).zip(&transactions) {
            let score = engine.score(&Observation::of(transaction, engine.ruleset()));
            let stream_time = engine.stream_time().newest().unwrap_or(transaction.timestamp);
            accounts.take(&activity(transaction, score.risk_score(), seq, stream_time), &mut found);
        }
        accounts.flush(&mut found);
        told(&format!("both engines, {users} users"), begun);

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
