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
use wh_eventlog::dead_letters::{self, DeadLetter, DeadLetterWriter, LimitSettings};
use wh_eventlog::gauges::Gauges;
use wh_eventlog::lineage::Witness;
use wh_eventlog::retry::{tolerated, until_settled};
use wh_eventlog::{Bytes, Commit, Consumer, Event, Fetched, Log, Record, Stored, crash, incidents};
use wh_schemas::position::{ORIGIN_HEADER, ORIGIN_TIME_HEADER, Origin};
use wh_schemas::topics::{ACCEPTED_TRANSACTIONS, DEAD_LETTERS, HOSPITAL_TRANSACTIONS};
use wh_schemas::validate::{Fault, FaultCode, MAX_RECORD_BYTES, Reading, Rejection, decode_transaction};
use wh_schemas::{AcceptedTransaction, Reaction, ids};

/// Name of intake's consumer group, role and stage.
pub const GROUP: &str = "intake";

/// How often positions are committed at most.
const COMMIT_EVERY: Duration = Duration::from_millis(500);
/// How often at most records are taken that come little by little.
const PACE: Duration = Duration::from_millis(25);
/// Bytes of values from which nothing more is taken along with what is there.
const TOGETHER_BYTES: usize = 1 << 20;

/// How intake runs.
#[derive(Clone, Debug)]
pub struct IntakeSettings {
    /// How records are read.
    pub reading: Reading,
    /// Largest value of a source record, where the log takes less than [`MAX_RECORD_BYTES`]. A foreign producer may get a larger one into it by
    /// compressing it; the stages' own records, which are larger still, would not fit.
    pub record_max_bytes: usize,
    /// How many dead letters are too many.
    pub dead_letters: LimitSettings,
    /// Version and commit, for dead letters.
    pub build: String,
}

impl IntakeSettings {
    /// The defaults, for a way to read and a build.
    #[must_use]
    pub fn new(reading: Reading, build: &str) -> IntakeSettings {
        IntakeSettings { reading, record_max_bytes: MAX_RECORD_BYTES, dead_letters: LimitSettings::default(), build: build.to_owned() }
    }
}

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
    /// The last record that was read: a topic that was cut short or made anew holds another one there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Witness>,
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

/// What source records become.
#[derive(Debug, Default)]
struct Sorted {
    accepted: BTreeMap<u32, Vec<Record>>,
    dead_letters: Vec<Record>,
    read: Vec<Read>,
}

/// What was read of one partition at a time.
#[derive(Debug)]
struct Read {
    partition: u32,
    records: u64,
    next_offset: u64,
    /// Of these records alone.
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

/// Why a record is not read that is larger than the log takes what would become of it. Pure.
fn too_large(bytes: usize, most: usize) -> Rejection {
    let message = format!("expected at most {most} bytes, found {bytes}: send smaller records, or raise kafka.record_max_kib");
    Rejection { faults: vec![Fault { field: "record".to_owned(), code: FaultCode::RecordTooLarge, message }] }
}

fn sort(all: &[Fetched], partitions: u32, settings: &IntakeSettings) -> Sorted {
    let mut sorted = Sorted::default();
    for fetched in all {
        sort_one(&mut sorted, fetched, partitions, settings);
    }
    sorted
}

fn sort_one(sorted: &mut Sorted, fetched: &Fetched, partitions: u32, settings: &IntakeSettings) {
    let mut counts = Counts { last: fetched.records.last().map(Witness::of), ..Counts::default() };
    for stored in &fetched.records {
        let (bytes, most) = (stored.value.len(), settings.record_max_bytes);
        // One that is too large in any case is told so where it is read.
        let accepted = if bytes > most && bytes <= MAX_RECORD_BYTES { Err(too_large(bytes, most)) } else { accept(stored, fetched.partition, partitions, &settings.reading) };
        match accepted {
            Ok((to, record)) => {
                counts.accepted += 1;
                sorted.accepted.entry(to).or_default().push(record);
            }
            Err(rejection) => {
                counts.dead_letters += 1;
                sorted.dead_letters.push(dead_letter(stored, fetched.partition, &rejection, &settings.build));
            }
        }
    }
    let next_offset = fetched.records.last().map_or(0, |last| last.offset + 1);
    sorted.read.push(Read { partition: fetched.partition, records: fetched.records.len() as u64, next_offset, counts });
}

/// What the log has at once behind the first records, up to a bound, and what else happened then. Each of them would be written by itself
/// into every partition.
async fn together(consumer: &mut dyn Consumer, first: Fetched, gauges: &Gauges) -> Result<(Vec<Fetched>, Option<Event>), Reaction> {
    let weight = |fetched: &Fetched| fetched.records.iter().map(|record| record.value.len()).sum::<usize>();
    let mut bytes = weight(&first);
    let mut all = vec![first];
    while bytes < TOGETHER_BYTES {
        match tolerated(consumer.poll(Duration::ZERO).await, gauges).await?.unwrap_or(Event::Idle) {
            Event::Records(fetched) => {
                bytes += weight(&fetched);
                all.push(fetched);
            }
            Event::Idle => break,
            other => return Ok((all, Some(other))),
        }
    }
    Ok((all, None))
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
pub async fn run(log: Arc<dyn Log>, settings: IntakeSettings, gauges: Arc<Gauges>, stop: CancellationToken) -> Result<(), Reaction> {
    let Some(mut consumer) = until_settled(&stop, &gauges, || log.subscribe(GROUP, &[HOSPITAL_TRANSACTIONS])).await? else { return Ok(()) };
    let Some(partitions) = until_settled(&stop, &gauges, || log.partitions(ACCEPTED_TRANSACTIONS)).await? else { return Ok(()) };
    let Some(dead_letter_partitions) = until_settled(&stop, &gauges, || log.partitions(DEAD_LETTERS)).await? else { return Ok(()) };
    let mut letters = DeadLetterWriter::new(log.clone(), dead_letter_partitions, settings.dead_letters, gauges.clone());
    let settings = Arc::new(settings);
    let mut counts: BTreeMap<u32, Counts> = BTreeMap::new();
    let mut uncommitted: BTreeMap<u32, u64> = BTreeMap::new();
    let mut committed_at = Instant::now();
    let mut behind = None;
    consumer.set_pace(PACE);
    'running: while !stop.is_cancelled() {
        let event = match behind.take() {
            Some(event) => event,
            None => tokio::select! {
                () = stop.cancelled() => break,
                event = consumer.poll(COMMIT_EVERY) => tolerated(event, &gauges).await?.unwrap_or(Event::Idle),
            },
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
                    let known = assignment.committed.map(|(_, note)| Counts::parse(&note)).unwrap_or_default();
                    if let Some(last) = known.last
                        && until_settled(&stop, &gauges, || last.check(&*log, GROUP, HOSPITAL_TRANSACTIONS, assignment.partition)).await?.is_none()
                    {
                        break 'running;
                    }
                    counts.insert(assignment.partition, known);
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
                let (all, then) = together(&mut *consumer, fetched, &gauges).await?;
                behind = then;
                let settings = settings.clone();
                let sorting = tokio::task::spawn_blocking(move || sort(&all, partitions, &settings));
                let sorted = sorting.await.map_err(|e| Reaction::fatal(format!("validating records failed: {e}")))?;
                letters.rows(sorted.read.iter().map(|read| read.records).sum());
                crash::point("intake.read");
                let buries = !sorted.dead_letters.is_empty();
                match letters.bury(sorted.dead_letters, &stop).await {
                    Ok(true) if buries => crash::point("intake.buried"),
                    Ok(true) => {}
                    Ok(false) => break 'running,
                    Err(reaction) => {
                        // What was settled before stays so.
                        commit(&mut *consumer, &mut uncommitted, &counts, &gauges).await?;
                        return Err(reaction);
                    }
                }
                let all = futures::future::try_join_all(sorted.accepted.into_iter().map(|(to, records)| {
                    let (log, gauges, stop) = (&log, &gauges, &stop);
                    async move {
                        let produce = || async { log.produce(ACCEPTED_TRANSACTIONS, to, records.clone()).await.map_err(incidents::may_come_twice) };
                        until_settled(stop, gauges, produce).await
                    }
                }));
                if all.await?.iter().any(Option::is_none) {
                    break 'running;
                }
                crash::point("intake.produced");
                for Read { partition, records, next_offset, counts: read } in sorted.read {
                    let entry = counts.entry(partition).or_default();
                    let told = entry.accepted + entry.dead_letters + entry.gaps;
                    entry.gaps += next_offset.saturating_sub(told + records);
                    entry.accepted += read.accepted;
                    entry.dead_letters += read.dead_letters;
                    entry.last = read.last.or(entry.last);
                    uncommitted.insert(partition, next_offset);
                    gauges.reached(HOSPITAL_TRANSACTIONS, partition, next_offset);
                    Gauges::add(&gauges.records, records);
                }
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
async fn commit(consumer: &mut dyn Consumer, uncommitted: &mut BTreeMap<u32, u64>, counts: &BTreeMap<u32, Counts>, gauges: &Gauges) -> Result<(), Reaction> {
    let note = |partition: &u32| counts.get(partition).copied().unwrap_or_default().note();
    let commits = uncommitted.iter().map(|(partition, next_offset)| Commit {
        topic: HOSPITAL_TRANSACTIONS.into(),
        partition: *partition,
        next_offset: *next_offset,
        metadata: note(partition),
    });
    if tolerated(consumer.commit(commits.collect()).await, gauges).await?.is_some() {
        if !uncommitted.is_empty() {
            crash::point("intake.committed");
        }
        uncommitted.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_is_too_large_is_a_dead_letter_before_it_is_read() {
        let value = r#"{"transaction_id":"T-1","timestamp":"2026-01-01T00:00:00Z","user_id":"u","account_id":"a","department":"IT","transaction_type":"billing","amount":"1.00"}"#;
        let stored = |offset: u64| Stored { offset, append_time: 1, key: None, value: Bytes::from_static(value.as_bytes()), headers: Vec::new() };
        let fetched = Fetched { topic: HOSPITAL_TRANSACTIONS.into(), partition: 1, records: vec![stored(0), stored(1)] };
        let settings = |record_max_bytes: usize| IntakeSettings { record_max_bytes, ..IntakeSettings::new(Reading::default(), "test") };
        let told = |sorted: &Sorted| sorted.read.iter().map(|read| (read.partition, read.next_offset, read.counts.accepted, read.counts.dead_letters)).collect::<Vec<_>>();
        let other = Fetched { partition: 2, records: vec![stored(7)], ..fetched.clone() };
        let fits = sort(&[fetched.clone(), other], 3, &settings(value.len()));
        assert_eq!(told(&fits), [(1, 2, 2, 0), (2, 8, 1, 0)]);
        assert_eq!(fits.accepted.values().map(Vec::len).sum::<usize>(), 3, "together, by the user's partition");
        let large = sort(&[fetched], 3, &settings(value.len() - 1));
        assert_eq!(told(&large), [(1, 2, 0, 2)]);
        let header = |name: &str| large.dead_letters[1].headers.iter().find(|(of, _)| of == name).map(|(_, value)| String::from_utf8(value.to_vec()).unwrap());
        assert_eq!(header(wh_schemas::dead_letter::ERROR_CLASS).as_deref(), Some("record:record_too_large"));
        assert_eq!(header(wh_schemas::dead_letter::ORIGIN).as_deref(), Some("hospital-transactions/1/1"));
    }
}
