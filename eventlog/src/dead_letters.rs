//! Writing what a stage could not take: the original bytes, with everything else in headers.

use bytes::Bytes;
use wh_schemas::dead_letter as header;
use wh_schemas::position::{ORIGIN_HEADER, Origin};
use wh_schemas::topics::DEAD_LETTERS;
use wh_schemas::{Reaction, ids};

use crate::{Log, Offset, Producer, Reader, Record, Stored};

/// What is known of a record that could not be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where it came from: for a copy that intake made, the source record's place.
    pub origin: Origin,
    /// Stage that could not take it.
    pub stage: String,
    /// Store that could not take it, where a sink wrote.
    pub store: Option<String>,
    /// Class of the error.
    pub error_class: String,
    /// For a person.
    pub error_message: String,
    /// The same for records that fail alike.
    pub fingerprint: String,
    /// `partition:seq`, where the record has one.
    pub position: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
}

/// The record of `dead-letters` for `original`: key and value are its own bytes.
#[must_use]
pub fn record(original: &Stored, letter: &DeadLetter, build: &str) -> Record {
    let mut headers = vec![
        (header::ORIGIN.to_owned(), Bytes::from(letter.origin.to_string())),
        (header::ORIGIN_TIME.to_owned(), Bytes::from(original.append_time.to_string())),
        (header::STAGE.to_owned(), Bytes::from(letter.stage.clone())),
        (header::ERROR_CLASS.to_owned(), Bytes::from(letter.error_class.clone())),
        (header::ERROR_MESSAGE.to_owned(), Bytes::from(letter.error_message.clone())),
        (header::FINGERPRINT.to_owned(), Bytes::from(letter.fingerprint.clone())),
        (header::ATTEMPTS.to_owned(), Bytes::from(letter.attempts.to_string())),
        (header::BUILD.to_owned(), Bytes::from(build.to_owned())),
    ];
    headers.extend(letter.store.as_ref().map(|s| (header::STORE.to_owned(), Bytes::from(s.clone()))));
    headers.extend(letter.position.as_ref().map(|p| (header::POSITION.to_owned(), Bytes::from(p.clone()))));
    headers.extend(original.headers.iter().filter(|(name, _)| name != ORIGIN_HEADER && !headers.iter().any(|(n, _)| n == name)).cloned().collect::<Vec<_>>());
    Record { key: original.key.clone(), value: original.value.clone(), headers }
}

/// The partition of a dead letter: by its key.
#[must_use]
pub fn partition(record: &Record, partitions: u32) -> u32 {
    ids::partition_of(record.key.as_deref().unwrap_or_default(), partitions)
}

/// Writes dead letters and returns once the log holds them all.
///
/// # Errors
/// What the log says; nothing may be settled then.
pub async fn write(producer: &dyn Producer, partitions: u32, letters: Vec<Record>) -> Result<(), Reaction> {
    let mut by_partition: Vec<Vec<Record>> = vec![Vec::new(); partitions.max(1) as usize];
    for letter in letters {
        let at = partition(&letter, partitions) as usize;
        by_partition[at].push(letter);
    }
    for (at, letters) in by_partition.into_iter().enumerate().filter(|(_, l)| !l.is_empty()) {
        producer.produce(DEAD_LETTERS, u32::try_from(at).unwrap_or(0), letters).await?;
    }
    Ok(())
}

/// A dead letter as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Partition of `dead-letters`.
    pub partition: u32,
    /// Offset in it.
    pub offset: Offset,
    /// What the headers say.
    pub letter: DeadLetter,
    /// The record.
    pub record: Stored,
}

/// Reads every dead letter that the log still holds.
///
/// # Errors
/// Fatal where the log cannot be read.
pub async fn read_all(log: &dyn Reader) -> Result<Vec<Found>, Reaction> {
    let mut found = Vec::new();
    for partition in 0..log.partitions(DEAD_LETTERS).await? {
        let bounds = log.bounds(DEAD_LETTERS, partition).await?;
        let mut next = bounds.start;
        while next < bounds.end {
            let records = log.read(DEAD_LETTERS, partition, next, 8 * 1024 * 1024).await?;
            let Some(last) = records.last() else { break };
            next = last.offset + 1;
            found.extend(records.into_iter().map(|record| Found { partition, offset: record.offset, letter: parse(&record), record }));
        }
    }
    // Its identity is (stage, store, origin): a stage that was killed may have written one again.
    let mut seen = hashbrown::HashSet::new();
    found.retain(|f: &Found| seen.insert((f.letter.stage.clone(), f.letter.store.clone(), f.letter.origin.clone())));
    Ok(found)
}

fn parse(record: &Stored) -> DeadLetter {
    let text = |name: &str| record.header(name).unwrap_or_default().to_owned();
    DeadLetter {
        origin: Origin::parse(&text(header::ORIGIN)).unwrap_or(Origin { topic: String::new(), partition: 0, offset: 0 }),
        stage: text(header::STAGE),
        store: record.header(header::STORE).map(str::to_owned),
        error_class: text(header::ERROR_CLASS),
        error_message: text(header::ERROR_MESSAGE),
        fingerprint: text(header::FINGERPRINT),
        position: record.header(header::POSITION).map(str::to_owned),
        attempts: text(header::ATTEMPTS).parse().unwrap_or(0),
    }
}

/// The record that puts a dead letter back to where its stage reads: original key and value, its own headers.
///
/// # Errors
/// Rejected for a letter of a sink: those are written again by `wardhouse replay`.
pub fn retry_record(found: &Found) -> Result<Record, Reaction> {
    if found.letter.store.is_some() {
        return Err(Reaction::Rejected("this letter is of a sink: its record stands in risk-scores; use `wardhouse replay` for its position".to_owned()));
    }
    let headers = found.record.headers.iter().filter(|(name, _)| !name.starts_with("wh-")).cloned().collect();
    Ok(Record { key: found.record.key.clone(), value: found.record.value.clone(), headers })
}

/// Appends the records of dead letters to `hospital-transactions` again, by the same partitions.
///
/// # Errors
/// What the log says.
pub async fn retry(log: &dyn Log, found: &Found) -> Result<Offset, Reaction> {
    let mut record = retry_record(found)?;
    if found.letter.stage != "intake" && found.letter.origin.topic == wh_schemas::topics::HOSPITAL_TRANSACTIONS {
        // What a later stage could not take is a copy of the source record: the source's own bytes go again.
        let origin = &found.letter.origin;
        let source = log.read(&origin.topic, origin.partition, origin.offset, 1).await?.into_iter().find(|r| r.offset == origin.offset);
        let Some(source) = source else {
            return Err(Reaction::Rejected(format!("the source record {origin} is no longer in the log")));
        };
        record = Record { key: source.key, value: source.value, headers: source.headers };
    }
    let partitions = log.partitions(wh_schemas::topics::HOSPITAL_TRANSACTIONS).await?;
    let partition = ids::partition_of(record.key.as_deref().unwrap_or_default(), partitions);
    log.produce(wh_schemas::topics::HOSPITAL_TRANSACTIONS, partition, vec![record]).await
}
