//! What the plain writes write: made by the generator, by intake and by the scorer themselves, once, before anything is measured.
//!
//! What must stay true: the same seed gives the same records, whatever the machine.

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

use super::Unmeasured;

/// What one fetch of a sink aims at, in bytes.
pub const FETCH_BYTES: usize = 1024 * 1024;
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
pub struct Checkpointed {
    /// How far it had come.
    pub position: Position,
    /// The partition's own record.
    pub record: PartitionRecord,
    /// States of the users that changed.
    pub users: Vec<(String, UserState)>,
    /// Ids that it saw.
    pub ids: Vec<Seen>,
}

/// Records of one partition.
pub struct Corpus {
    /// Of `accepted-transactions`.
    pub accepted: Vec<Record>,
    /// Of `risk-scores`, in batches as a sink gets them.
    pub scored: Vec<Arc<Vec<Stored>>>,
    /// How many these are.
    pub rows: usize,
    /// The first of the same, each with an alert.
    pub alerting: Vec<Arc<Vec<Stored>>>,
    /// How many these are.
    pub alerting_rows: usize,
    /// The scorer's states on its way through them.
    pub checkpoints: Vec<Checkpointed>,
}

impl Corpus {
    /// Makes so many records; takes some 20 µs each.
    ///
    /// # Errors
    /// Where generator, intake and scorer do not agree, which is a fault of ours.
    pub fn new(rows: usize) -> Result<Corpus, Unmeasured> {
        let accepted = accepted(rows)?;
        let mut scorer = PartitionScorer::new(0, Ruleset::default(), Position::default(), PartitionRecord::default(), Vec::new(), Ids::new(DEFAULT_HORIZON), "bench");
        let (mut scores, mut checkpoints) = (Vec::with_capacity(rows), Vec::new());
        for chunk in stored(accepted.clone()).chunks(CHECKPOINT_RECORDS) {
            let mut emitted = Emitted::default();
            for record in chunk {
                scorer.process(record, &mut emitted);
            }
            scores.extend(emitted.scores);
            let changes = scorer.take_changes();
            let (names, ids) = (changes.users, changes.ids);
            let users = names.into_iter().filter_map(|name| scorer.engine().user(&name).cloned().map(|state| (name, state))).collect();
            checkpoints.push(Checkpointed { position: scorer.position().clone(), record: scorer.record(), users, ids });
        }
        let scores = stored(scores);
        if scores.len() != rows {
            return Err(Unmeasured::Failed(format!("the scorer gave {} records for {rows}: this is a fault of Wardhouse's own", scores.len())));
        }
        let alerting = scores.iter().take(ALERTING).map(alerting).collect::<Result<Vec<Stored>, _>>().map_err(unread)?;
        let alerting_rows = alerting.len();
        Ok(Corpus { accepted, scored: batches(scores), rows, alerting: batches(alerting), alerting_rows, checkpoints })
    }

    /// Bytes of a scored record, in the mean.
    #[must_use]
    pub fn record_bytes(&self) -> usize {
        self.scored.iter().flat_map(|batch| batch.iter()).map(size).sum::<usize>() / self.rows.max(1)
    }
}

pub(super) fn unread(error: serde_json::Error) -> Unmeasured {
    Unmeasured::new("a scored record cannot be read", error)
}

fn accepted(rows: usize) -> Result<Vec<Record>, Unmeasured> {
    let settings = GeneratorSettings { seed: 1, users: USERS, start: BEGUN, transactions_per_user_day: 130.0, anomaly_rate: 0.05, zone: Tz::UTC };
    let world = World::new(settings).map_err(|error| Unmeasured::new("the generator", error))?;
    let reading = Reading::default();
    let sources = world.take(rows).map(|generated| {
        let mut line = Vec::new();
        write_json(&generated.transaction, &mut line);
        Record::new("source", line)
    });
    let accepted = stored(sources.collect()).iter().map(|source| intake::accept(source, 0, 1, &reading).map(|(_, record)| record)).collect::<Result<Vec<Record>, _>>();
    accepted.map_err(|rejection| Unmeasured::new("intake does not accept what the generator made", rejection))
}

/// The records as a log would hold them.
fn stored(records: Vec<Record>) -> Vec<Stored> {
    let held = |(record, (offset, append_time)): (Record, (u64, i64))| Stored { offset, append_time, key: record.key, value: record.value, headers: record.headers };
    records.into_iter().zip((0..).zip(APPENDED..)).map(held).collect()
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
fn alerting(record: &Stored) -> Result<Stored, serde_json::Error> {
    let mut row: ScoreRecord<'_> = serde_json::from_slice(&record.value)?;
    if !row.alerts.is_empty() {
        return Ok(record.clone());
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
    Ok(Stored { value: serde_json::to_vec(&row)?.into(), ..record.clone() })
}
