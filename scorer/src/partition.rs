//! One partition's scorer: from accepted records to emitted ones, with the state that a checkpoint holds. No I/O.

use std::collections::BTreeMap;

use hashbrown::HashSet;
use serde::{Deserialize, Serialize};
use wh_eventlog::dead_letters::{self, DeadLetter};
use wh_eventlog::lineage::Witness;
use wh_eventlog::{Bytes, Record, Stored};
use wh_schemas::position::{ORIGIN_HEADER, ORIGIN_TIME_HEADER, Origin, Seq, SeqPosition, Source};
use wh_schemas::{AcceptedTransaction, Micros, ids, topics};

use crate::account_activity;
use crate::control::{self, At, Change, ControlState, InForce};
use crate::dedup::{Ids, Seen, Verdict, fingerprints};
use crate::engine::stream_time::StreamTime;
use crate::engine::{Engine, Observation, Released, Ruleset, UserState};
use crate::output::{self, Context};

/// What became of the accepted records of a partition, since its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Scored and emitted.
    pub scored: u64,
    /// Sent twice by a producer, emitted with the position of the first.
    pub duplicates: u64,
    /// Copies that intake made after a crash, dropped.
    pub copies: u64,
    /// Not readable, or an id with another content.
    pub dead_letters: u64,
    /// Alerts raised.
    pub alerts: u64,
}

/// The part of a checkpoint that is the partition's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionRecord {
    /// Highest offset seen of each partition of the source topic.
    pub origins: BTreeMap<u32, u64>,
    /// What became of the records.
    pub counts: Counts,
    /// The stream's time.
    pub stream_time: StreamTime,
    /// Content hash of the ruleset.
    pub ruleset: String,
    /// Identity of the log that the positions are of.
    #[serde(default)]
    pub log: String,
    /// Control records: what is in force, what is to come, what became of them.
    #[serde(default)]
    pub control: ControlState,
    /// The last record of the input that was taken: a log that was set back holds another one there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Witness>,
}

/// What changed in a partition since it was last asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Users whose state changed, by name; one that was forgotten again is among `forgotten` instead.
    pub users: Vec<String>,
    /// Users that the engine no longer remembers, by name.
    pub forgotten: Vec<String>,
    /// Ids seen.
    pub ids: Vec<Seen>,
}

/// Where a partition's scorer stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Next `seq` to be emitted.
    pub next_seq: Seq,
    /// Next offset of `accepted-transactions` to be read.
    pub next_offset: u64,
    /// Raised by each cold start.
    pub state_epoch: u32,
}

/// What one run over some records emits.
#[derive(Debug, Default)]
pub struct Emitted {
    /// For `risk-scores`, with dense seqs.
    pub scores: Vec<Record>,
    /// For `account-activity`, each with the `seq` of its scored record.
    pub activities: Vec<(Seq, Record)>,
    /// For `risk-alerts`, each with the `seq` of its scored record.
    pub alerts: Vec<(Seq, Record)>,
    /// For `dead-letters`.
    pub dead_letters: Vec<Record>,
    /// `seq` of the first of `scores`.
    pub first_seq: Seq,
}

/// The scorer of one partition.
#[derive(Debug)]
pub struct PartitionScorer {
    partition: u32,
    position: Position,
    engine: Engine,
    ids: Ids,
    record: PartitionRecord,
    touched: HashSet<String>,
    new_ids: Vec<Seen>,
    ruleset_hash: String,
    build: String,
}

impl PartitionScorer {
    /// A scorer that begins with nothing, or goes on from a checkpoint.
    #[must_use]
    pub fn new(partition: u32, ruleset: Ruleset, position: Position, record: PartitionRecord, users: Vec<(String, UserState)>, ids: Ids, build: &str) -> PartitionScorer {
        let ruleset_hash = ruleset.content_hash();
        let engine = Engine::restored(ruleset, users, record.stream_time.clone());
        PartitionScorer { partition, position, engine, ids, record, touched: HashSet::new(), new_ids: Vec::new(), ruleset_hash, build: build.to_owned() }
    }

    /// Where it stands.
    #[must_use]
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// What became of the records so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.record.counts
    }

    /// The engine, for looking.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The partition's own part of a checkpoint taken now.
    #[must_use]
    pub fn record(&self) -> PartitionRecord {
        PartitionRecord { stream_time: self.engine.stream_time().clone(), ruleset: self.ruleset_hash.clone(), ..self.record.clone() }
    }

    /// Users touched and forgotten and ids seen since this was last called.
    pub fn take_changes(&mut self) -> Changes {
        let engine = &mut self.engine;
        let mut forgotten = engine.take_forgotten();
        // One that came back is a new user under the old name.
        forgotten.retain(|user| engine.user(user).is_none());
        forgotten.sort_unstable();
        forgotten.dedup();
        let mut users: Vec<String> = self.touched.drain().filter(|user| engine.user(user).is_some()).collect();
        users.sort_unstable();
        Changes { users, forgotten, ids: std::mem::take(&mut self.new_ids) }
    }

    /// What it knows of control records.
    #[must_use]
    pub fn control(&self) -> &ControlState {
        &self.record.control
    }

    /// Decides on a record of `scorer-control`, once everything emitted is scored here: whether it was for this partition.
    pub fn decide(&mut self, stored: &Stored, partitions: u32) -> bool {
        let engine = &self.engine;
        let at = At { partition: self.partition, partitions, next_seq: self.position.next_seq };
        control::decide(&mut self.record.control, at, stored, &|user: &str| engine.user(user).is_some())
    }

    /// Keeps which record of the input was taken last.
    pub fn witness(&mut self, last: &Stored) {
        self.record.last = Some(Witness::of(last));
    }

    /// Says that `system-events` holds every decision.
    pub fn told(&mut self) {
        self.record.control.told();
    }

    /// Lets take effect what counts from the next `seq` on.
    fn apply_due(&mut self) {
        if self.record.control.first_pending().is_none_or(|seq| seq > self.position.next_seq) {
            return;
        }
        for pending in self.record.control.take_due(self.position.next_seq) {
            // What was accepted was read then, and again by whoever began from a checkpoint: it can be read.
            let ruleset = match pending.change {
                Change::Ruleset { toml } => control::ruleset_of(&toml).ok(),
                Change::Priors { toml } => control::priors_of(&toml).ok().map(|priors| Ruleset { priors, ..self.engine.ruleset().clone() }),
                Change::Release { transaction } => {
                    if let Ok(transaction) = serde_json::from_str::<AcceptedTransaction<'_>>(&transaction) {
                        let observation = Observation::of(&transaction, self.engine.ruleset());
                        match self.engine.release(&observation) {
                            Released::Learnt => {
                                self.touched.insert(transaction.user_id.as_str().to_owned());
                            }
                            not => tracing::warn!(partition = self.partition, seq = pending.from_seq, "a release changed nothing: {not:?}"),
                        }
                    }
                    None
                }
            };
            let Some(ruleset) = ruleset else { continue };
            self.ruleset_hash = ruleset.content_hash();
            let in_force = InForce { hash: self.ruleset_hash.clone(), toml: control::text_of(&ruleset), from_seq: pending.from_seq, control_id: pending.control_id };
            self.record.control.in_force = Some(in_force);
            self.engine.set_ruleset(ruleset);
        }
    }

    /// Processes one accepted record.
    pub fn process(&mut self, stored: &Stored, out: &mut Emitted) {
        self.apply_due();
        self.position.next_offset = stored.offset + 1;
        if out.scores.is_empty() {
            out.first_seq = self.position.next_seq;
        }
        let origin = stored.header(ORIGIN_HEADER).and_then(Origin::parse);
        let Some(origin) = origin else {
            let here = Origin { topic: topics::ACCEPTED_TRANSACTIONS.to_owned(), partition: self.partition, offset: stored.offset };
            return self.bury(stored, here, "record:no_origin", "expected the header wh-origin, which intake writes, found none", out);
        };
        match self.record.origins.get_mut(&origin.partition) {
            Some(highest) if origin.offset <= *highest => {
                self.record.counts.copies += 1;
                return;
            }
            Some(highest) => *highest = origin.offset,
            None => {
                self.record.origins.insert(origin.partition, origin.offset);
            }
        }
        let transaction: AcceptedTransaction<'_> = match serde_json::from_slice(&stored.value) {
            Ok(transaction) => transaction,
            Err(error) => return self.bury(stored, origin, "record:not_accepted", &format!("expected an accepted transaction: {error}"), out),
        };
        let position = SeqPosition { partition: self.partition, seq: self.position.next_seq };
        let source = Source { partition: origin.partition, offset: origin.offset };
        let (id, content) = fingerprints(&transaction.transaction_id, &transaction.content_hash);
        let verdict = self.ids.verdict(id, content);
        if let Verdict::Conflict(first) = verdict {
            let message = format!("expected the content of the first record with this transaction_id ({}), found another", SeqPosition { partition: self.partition, seq: first });
            return self.bury(stored, origin, "transaction_id:conflict", &message, out);
        }
        let key = Bytes::copy_from_slice(transaction.transaction_id.as_bytes());
        let context = Context { position, source, ruleset: &self.ruleset_hash, state_epoch: self.position.state_epoch };
        let record = match verdict {
            Verdict::Duplicate(first) => {
                self.record.counts.duplicates += 1;
                output::duplicate(transaction, SeqPosition { partition: self.partition, seq: first }, &context)
            }
            _ => {
                let seen = Seen { id, content, seq: position.seq };
                self.ids.remember(seen);
                self.new_ids.push(seen);
                let observation = Observation::of(&transaction, self.engine.ruleset());
                let score = self.engine.score(&observation);
                if !self.touched.contains(observation.user_id) {
                    self.touched.insert(observation.user_id.to_owned());
                }
                self.record.counts.scored += 1;
                // Before the first plausible record the stream has no time: that of an implausible one, of the year 9999 say, would be the patterns' for ever.
                let stream_time = self.engine.stream_time().newest().unwrap_or(Micros::EARLIEST);
                out.activities.push((position.seq, account_activity::record(&transaction, &score, position, stream_time)));
                output::scored(transaction, score, &context)
            }
        };
        // Serialising these types cannot fail: no map has keys that are not text, no float stands in them.
        let value = serde_json::to_vec(&record).unwrap_or_default();
        for alert in &record.alerts {
            self.record.counts.alerts += 1;
            let text = std::str::from_utf8(&stored.value).unwrap_or("{}");
            if let Ok(value) = output::standalone_alert(alert, text) {
                out.alerts.push((position.seq, Record::new(Bytes::copy_from_slice(alert.alert_id.as_bytes()), value)));
            }
        }
        let mut emitted = Record { key: Some(key), value: Bytes::from(value), headers: Vec::new() };
        if let Some((name, time)) = stored.headers.iter().find(|(name, _)| name == ORIGIN_TIME_HEADER) {
            emitted.headers.push((name.clone(), time.clone()));
        }
        out.scores.push(emitted);
        self.position.next_seq += 1;
    }

    fn bury(&mut self, stored: &Stored, origin: Origin, class: &str, message: &str, out: &mut Emitted) {
        self.record.counts.dead_letters += 1;
        let letter = DeadLetter {
            origin,
            stage: "scorer".to_owned(),
            store: None,
            error_class: class.to_owned(),
            error_message: message.to_owned(),
            fingerprint: format!("{:016x}", ids::fingerprint(format!("scorer\0{class}").as_bytes())),
            position: None,
            attempts: 1,
        };
        out.dead_letters.push(dead_letters::record(stored, &letter, &self.build));
    }
}
