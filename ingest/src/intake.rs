//! The intake stage: decode, validate, strip labels, repartition by user; the rest to `dead-letters` with its original bytes.
//!
//! Intake keeps no state: after a crash it may copy records again, and the scorer drops those copies by their origin. Its
//! counts stand beside its committed offsets; they are exact, since what becomes of a record depends on the record alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wh_eventlog::dead_letters::{self, DeadLetter};
use wh_eventlog::gauges::Gauges;
use wh_eventlog::retry::{tolerated, until_settled};
use wh_eventlog::{Bytes, Commit, Event, Fetched, Log, Record, Stored};
use wh_schemas::position::{ORIGIN_HEADER, ORIGIN_TIME_HEADER, Origin};
use wh_schemas::topics::{ACCEPTED_TRANSACTIONS, DEAD_LETTERS, HOSPITAL_TRANSACTIONS};
use wh_schemas::validate::{Reading, Rejection, decode_transaction};
use wh_schemas::{AcceptedTransaction, Reaction, ids};

/// Name of intake's consumer group, role and stage.
pub const GROUP: &str = "intake";

/// How often positions are committed at most.
const COMMIT_EVERY: Duration = Duration::from_millis(500);

/// What became of the source records of a partition up to its committed offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Written to `accepted-transactions`.
    pub accepted: u64,
    /// Written to `dead-letters`.
    pub dead_letters: u64,
    /// Offsets that hold no record: those before the topic's first, and the marks of a producer's transactions.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gaps: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Counts {
    /// Reads the note beside a committed offset.
    #[must_use]
    pub fn parse(note: &str) -> Counts {
        serde_json::from_str(note).unwrap_or_default()
    }

    fn note(self) -> String {
        serde_json::to_string(&self).unwrap_or_default()
    }
}

/// What a batch of source records becomes.
#[derive(Debug, Default)]
struct Sorted {
    accepted: BTreeMap<u32, Vec<Record>>,
    dead_letters: Vec<Record>,
    counts: Counts,
}

/// The accepted record of a valid source record, with its partition, or why there is none. Pure.
///
/// # Errors
/// Every fault of the record.
pub fn accept(stored: &Stored, partition: u32, partitions: u32, reading: &Reading) -> Result<(u32, Record), Rejection> {
    let accepted = AcceptedTransaction::new(decode_transaction(&stored.value, reading)?);
    let to = ids::partition_of(accepted.user_id.as_bytes(), partitions);
    let key = Bytes::copy_from_slice(accepted.transaction_id.as_bytes());
    let origin = Origin { topic: HOSPITAL_TRANSACTIONS.to_owned(), partition, offset: stored.offset };
    let value = serde_json::to_vec(&accepted).unwrap_or_default();
    let record = Record::new(key, value).with_header(ORIGIN_HEADER, origin.to_string()).with_header(ORIGIN_TIME_HEADER, stored.append_time.to_string());
    Ok((to, record))
}

/// The dead letter of a source record that is no transaction. Pure.
#[must_use]
pub fn dead_letter(stored: &Stored, partition: u32, rejection: &Rejection, build: &str) -> Record {
    let letter = DeadLetter {
        origin: Origin { topic: HOSPITAL_TRANSACTIONS.to_owned(), partition, offset: stored.offset },
        stage: GROUP.to_owned(),
        store: None,
        error_class: rejection.class(),
        error_message: rejection.to_string(),
        fingerprint: rejection.fingerprint(),
        position: None,
        attempts: 1,
    };
    dead_letters::record(stored, &letter, build)
}

fn sort(fetched: &Fetched, partitions: u32, reading: &Reading, build: &str) -> Sorted {
    let mut sorted = Sorted::default();
    for stored in &fetched.records {
        match accept(stored, fetched.partition, partitions, reading) {
            Ok((to, record)) => {
                sorted.counts.accepted += 1;
                sorted.accepted.entry(to).or_default().push(record);
            }
            Err(rejection) => {
                sorted.counts.dead_letters += 1;
                sorted.dead_letters.push(dead_letter(stored, fetched.partition, &rejection, build));
            }
        }
    }
    sorted
}

/// The first offset of a partition whose position is gone though intake was here before: there is no silent beginning anew.
async fn forgotten(log: &dyn Log, partition: u32) -> Result<Option<u64>, Reaction> {
    let start = log.bounds(HOSPITAL_TRANSACTIONS, partition).await?.start;
    if start == 0 {
        return Ok(None);
    }
    for accepted in 0..log.partitions(ACCEPTED_TRANSACTIONS).await? {
        if log.bounds(ACCEPTED_TRANSACTIONS, accepted).await?.end > 0 {
            return Ok(Some(start));
        }
    }
    Ok(None)
}

/// Runs the stage until it is stopped.
///
/// # Errors
/// What ends a stage: a fatal reaction of the log.
pub async fn run(log: Arc<dyn Log>, reading: Reading, build: String, gauges: Arc<Gauges>, stop: CancellationToken) -> Result<(), Reaction> {
    let Some(mut consumer) = until_settled(&stop, &gauges, || log.subscribe(GROUP, &[HOSPITAL_TRANSACTIONS])).await? else { return Ok(()) };
    let Some(partitions) = until_settled(&stop, &gauges, || log.partitions(ACCEPTED_TRANSACTIONS)).await? else { return Ok(()) };
    let Some(dead_letter_partitions) = until_settled(&stop, &gauges, || log.partitions(DEAD_LETTERS)).await? else { return Ok(()) };
    let reading = Arc::new(reading);
    let mut counts: BTreeMap<u32, Counts> = BTreeMap::new();
    let mut uncommitted: BTreeMap<u32, u64> = BTreeMap::new();
    let mut committed_at = Instant::now();
    'running: while !stop.is_cancelled() {
        let event = tokio::select! {
            () = stop.cancelled() => break,
            event = consumer.poll(COMMIT_EVERY) => tolerated(event, &gauges).await?.unwrap_or(Event::Idle),
        };
        match event {
            Event::Assigned { partitions, .. } => {
                for assignment in partitions {
                    if assignment.committed.is_none()
                        && let Some(Some(start)) = until_settled(&stop, &gauges, || forgotten(&*log, assignment.partition)).await?
                    {
                        return Err(Reaction::fatal(format!(
                            "{HOSPITAL_TRANSACTIONS} partition {}: the log has forgotten how far the group {GROUP} was, and reaches back to offset {start} only: \
                             what stood before may not have been read; set the group's offset by hand (kafka-consumer-groups --reset-offsets), then start again",
                            assignment.partition
                        )));
                    }
                    gauges.reached(HOSPITAL_TRANSACTIONS, assignment.partition, assignment.committed.as_ref().map_or(0, |c| c.0));
                    counts.insert(assignment.partition, assignment.committed.map(|(_, note)| Counts::parse(&note)).unwrap_or_default());
                }
            }
            Event::Revoked { partitions } => {
                commit(&mut *consumer, &mut uncommitted, &counts, &gauges).await?;
                for (_, partition) in partitions {
                    counts.remove(&partition);
                    uncommitted.remove(&partition);
                    gauges.left(HOSPITAL_TRANSACTIONS, partition);
                }
            }
            Event::Records(fetched) => {
                let (partition, taken) = (fetched.partition, fetched.records.len() as u64);
                let next_offset = fetched.records.last().map_or(0, |r| r.offset + 1);
                let (reading, name) = (reading.clone(), build.clone());
                let sorting = tokio::task::spawn_blocking(move || sort(&fetched, partitions, &reading, &name));
                let sorted = sorting.await.map_err(|e| Reaction::fatal(format!("validating records failed: {e}")))?;
                if !sorted.dead_letters.is_empty() {
                    let written = until_settled(&stop, &gauges, || dead_letters::write(&*log, dead_letter_partitions, sorted.dead_letters.clone())).await?;
                    if written.is_none() {
                        break 'running;
                    }
                }
                let all = futures::future::try_join_all(sorted.accepted.into_iter().map(|(to, records)| {
                    let (log, gauges, stop) = (&log, &gauges, &stop);
                    async move { until_settled(stop, gauges, || log.produce(ACCEPTED_TRANSACTIONS, to, records.clone())).await }
                }));
                if all.await?.iter().any(Option::is_none) {
                    break 'running;
                }
                let entry = counts.entry(partition).or_default();
                let told = entry.accepted + entry.dead_letters + entry.gaps;
                entry.gaps += next_offset.saturating_sub(told + taken);
                entry.accepted += sorted.counts.accepted;
                entry.dead_letters += sorted.counts.dead_letters;
                uncommitted.insert(partition, next_offset);
                gauges.reached(HOSPITAL_TRANSACTIONS, partition, next_offset);
                Gauges::add(&gauges.records, taken);
                Gauges::add(&gauges.dead_letters, sorted.counts.dead_letters);
            }
            Event::Idle => {}
        }
        if committed_at.elapsed() >= COMMIT_EVERY {
            commit(&mut *consumer, &mut uncommitted, &counts, &gauges).await?;
            committed_at = Instant::now();
        }
    }
    commit(&mut *consumer, &mut uncommitted, &counts, &gauges).await
}

/// Commits what is settled. What cannot be committed now is covered by the next commit, or read again by whoever comes next.
async fn commit(consumer: &mut dyn wh_eventlog::Consumer, uncommitted: &mut BTreeMap<u32, u64>, counts: &BTreeMap<u32, Counts>, gauges: &Gauges) -> Result<(), Reaction> {
    let note = |partition: &u32| counts.get(partition).copied().unwrap_or_default().note();
    let commits = uncommitted.iter().map(|(partition, next_offset)| Commit {
        topic: HOSPITAL_TRANSACTIONS.into(),
        partition: *partition,
        next_offset: *next_offset,
        metadata: note(partition),
    });
    if tolerated(consumer.commit(commits.collect()).await, gauges).await?.is_some() {
        uncommitted.clear();
    }
    Ok(())
}
