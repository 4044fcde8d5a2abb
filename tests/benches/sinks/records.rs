//! What the benchmark writes: made by the generator, by intake and by the scorer themselves.

use std::sync::Arc;

use chrono_tz::Tz;
use wh_eventlog::{Bytes, Record, Stored};
use wh_ingest::generator::{GeneratorSettings, World, write_json};
use wh_ingest::intake;
use wh_schemas::json::Text;
use wh_schemas::scored::RiskLevel;
use wh_schemas::validate::Reading;
use wh_schemas::{Alert, Micros, ScoreRecord, Severity, ids};
use wh_scorer::dedup::{DEFAULT_HORIZON, Ids, Seen};
use wh_scorer::engine::{Ruleset, UserState};
use wh_scorer::partition::{Emitted, PartitionRecord, PartitionScorer, Position};

/// What one fetch of the runner aims at.
pub(crate) const FETCH_BYTES: usize = 1024 * 1024;
/// When the first record was appended: 2026-02-01T00:00:00Z. Each is a microsecond later than the one before, so that all alerts stand in one index.
const APPENDED: i64 = 1_769_904_000_000_000;
/// Where the generator begins: 2026-01-01T00:00:00Z.
const BEGUN: Micros = Micros(1_767_225_600_000_000);
/// People who do transactions.
const USERS: u32 = 300;
/// Records of one checkpoint of the scorer: what half a second brings at 4,000 a second.
const CHECKPOINT_RECORDS: usize = 2_000;
/// Records that each raise an alert, at most.
const ALERTING: usize = 25_000;

/// What the scorer writes down now and then.
pub(crate) struct Checkpointed {
    pub(crate) position: Position,
    pub(crate) record: PartitionRecord,
    pub(crate) users: Vec<(String, UserState)>,
    pub(crate) ids: Vec<Seen>,
}

/// Records of one partition.
pub(crate) struct Corpus {
    /// Of `accepted-transactions`.
    pub(crate) accepted: Vec<Record>,
    /// Of `risk-scores`, in batches as the runner gives them.
    pub(crate) scored: Vec<Arc<Vec<Stored>>>,
    /// How many these are.
    pub(crate) rows: usize,
    /// The first of the same, each with an alert.
    pub(crate) alerting: Vec<Arc<Vec<Stored>>>,
    /// How many these are.
    pub(crate) alerting_rows: usize,
    /// The scorer's states on its way through them.
    pub(crate) checkpoints: Vec<Checkpointed>,
}

impl Corpus {
    pub(crate) fn new(rows: usize) -> Corpus {
        let accepted = accepted(rows);
        let mut scorer = PartitionScorer::new(0, Ruleset::default(), Position::default(), PartitionRecord::default(), Vec::new(), Ids::new(DEFAULT_HORIZON), "bench");
        let (mut scores, mut checkpoints) = (Vec::with_capacity(rows), Vec::new());
        for chunk in stored(accepted.clone()).chunks(CHECKPOINT_RECORDS) {
            let mut emitted = Emitted::default();
            for record in chunk {
                scorer.process(record, &mut emitted);
            }
            assert!(emitted.dead_letters.is_empty(), "the scorer took them all");
            scores.extend(emitted.scores);
            let changes = scorer.take_changes();
            let (names, ids) = (changes.users, changes.ids);
            let users = names.into_iter().filter_map(|name| scorer.engine().user(&name).cloned().map(|state| (name, state))).collect();
            checkpoints.push(Checkpointed { position: scorer.position().clone(), record: scorer.record(), users, ids });
        }
        let scores = stored(scores);
        assert_eq!(scores.len(), rows);
        let alerting: Vec<Stored> = scores.iter().take(ALERTING).map(alerting).collect();
        let alerting_rows = alerting.len();
        Corpus { accepted, scored: batches(scores), rows, alerting: batches(alerting), alerting_rows, checkpoints }
    }

    /// Bytes of a scored record, in the mean.
    pub(crate) fn record_bytes(&self) -> usize {
        self.scored.iter().flat_map(|batch| batch.iter()).map(size).sum::<usize>() / self.rows.max(1)
    }
}

fn accepted(rows: usize) -> Vec<Record> {
    let world = World::new(GeneratorSettings { seed: 1, users: USERS, start: BEGUN, transactions_per_user_day: 130.0, anomaly_rate: 0.05, zone: Tz::UTC }).unwrap();
    let reading = Reading::default();
    let sources = world.take(rows).map(|generated| {
        let mut line = Vec::new();
        write_json(&generated.transaction, &mut line);
        Record::new("source", line)
    });
    stored(sources.collect()).iter().map(|source| intake::accept(source, 0, 1, &reading).unwrap().1).collect()
}

/// The records as a log would hold them.
fn stored(records: Vec<Record>) -> Vec<Stored> {
    let held = |(record, offset): (Record, u64)| {
        let append_time = APPENDED + i64::try_from(offset).unwrap();
        Stored { offset, append_time, key: record.key, value: record.value, headers: record.headers }
    };
    records.into_iter().zip(0..).map(held).collect()
}

/// Bytes of a record.
fn size(record: &Stored) -> usize {
    record.value.len() + record.key.as_ref().map_or(0, Bytes::len) + record.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
}

fn batches(records: Vec<Stored>) -> Vec<Arc<Vec<Stored>>> {
    let (mut batches, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
    for record in records {
        bytes += size(&record);
        batch.push(record);
        if bytes >= FETCH_BYTES {
            batches.push(Arc::new(std::mem::take(&mut batch)));
            bytes = 0;
        }
    }
    if !batch.is_empty() {
        batches.push(Arc::new(batch));
    }
    batches
}

/// The same record with an alert, in the scorer's words.
fn alerting(record: &Stored) -> Stored {
    let mut row: ScoreRecord<'_> = serde_json::from_slice(&record.value).unwrap();
    if !row.alerts.is_empty() {
        return record.clone();
    }
    let (user, amount, kind) = (row.user_id.to_string(), row.amount.grouped(), row.transaction_type.as_str());
    let title = format!("Amount unusual: a {kind} of {amount} by {user}");
    let message = format!(
        "{user} made a {kind} of {amount} in {} on account {} at {}, risk 80 of 100: {amount} is far above what this user does; it is outside of the usual hours.",
        row.department, row.account_id, row.timestamp
    );
    row.risk_score = Some(80);
    row.risk_level = Some(RiskLevel::of(80));
    row.is_anomaly = Some(true);
    row.alerts = vec![Alert {
        alert_id: Text::from(ids::alert_id(&row.transaction_id, "amount_unusual").to_string()),
        transaction_id: row.transaction_id.clone(),
        alert_type: Text::from("amount_unusual"),
        severity: Severity::of(80),
        risk_score: 80,
        title: Text::from(title),
        message: Text::from(message),
        detection_rules: vec![Text::from("amount_unusual"), Text::from("hour_unusual")],
        transaction: None,
        pattern: None,
        position: None,
        reasons: Vec::new(),
        members: Vec::new(),
    }];
    Stored { value: serde_json::to_vec(&row).unwrap().into(), ..record.clone() }
}
