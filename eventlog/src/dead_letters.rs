//! Dead letters: what a stage could not take, as the original bytes, with everything else in headers.
//!
//! What must stay true: a letter's identity is (stage, store, origin), whatever wrote it how often; what an operator did with one stands
//! behind it in the same partition, so that whoever reads on finds it; a letter that the log does not take whole is written without its
//! bytes and says so, never left out.

mod dispose;
mod filter;
mod limit;
mod read;
mod retry;
mod writer;

use bytes::Bytes;
use wh_schemas::dead_letter as header;
use wh_schemas::position::Origin;
use wh_schemas::topics::DEAD_LETTERS;
use wh_schemas::{Reaction, ids};

pub use self::dispose::{Disposition, dispose, disposition_record};
pub use self::filter::Filter;
pub(crate) use self::limit::TOO_MANY;
pub use self::limit::{Limit, LimitSettings};
pub use self::read::{Dispositions, Found, Letters, Summary, letter_at, read_all, summary};
pub use self::retry::{Way, retry, way};
pub use self::writer::DeadLetterWriter;
use crate::{Producer, Record, Stored};

/// Longest error message of a letter: what is wrong with a record may quote it.
const MESSAGE_BYTES: usize = 4_096;
/// Longest key that is kept of a letter without its bytes.
const KEY_BYTES: usize = 1_024;

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

/// A letter's identity in 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LetterId(u128);

impl LetterId {
    /// The identity of a letter of a stage, of the store that a sink wrote (empty: none), and of a record's place.
    #[must_use]
    pub fn new(stage: &str, store: &str, origin: &str) -> LetterId {
        let half = |side: &str| u128::from(ids::fingerprint(format!("{side}\0{stage}\0{store}\0{origin}").as_bytes()));
        LetterId(half("letter") << 64 | half("identity"))
    }

    /// The identity that a record of the topic bears: a letter's own, or that of the letter that a disposition is about.
    #[must_use]
    pub fn of(record: &Stored) -> LetterId {
        let text = |name: &str| record.header(name).unwrap_or_default();
        LetterId::new(text(header::STAGE), text(header::STORE), text(header::ORIGIN))
    }
}

impl DeadLetter {
    /// What tells it from every other.
    #[must_use]
    pub fn id(&self) -> LetterId {
        LetterId::new(&self.stage, self.store.as_deref().unwrap_or_default(), &self.origin.to_string())
    }
}

/// A text cut to so many bytes, at a character's end.
fn cut(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let end = (0..=bytes).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// The record of `dead-letters` for `original`: key and value are its own bytes.
#[must_use]
pub fn record(original: &Stored, letter: &DeadLetter, build: &str) -> Record {
    let mut headers = vec![
        (header::ORIGIN.to_owned(), Bytes::from(letter.origin.to_string())),
        (header::ORIGIN_TIME.to_owned(), Bytes::from(original.append_time.to_string())),
        (header::STAGE.to_owned(), Bytes::from(letter.stage.clone())),
        (header::ERROR_CLASS.to_owned(), Bytes::from(letter.error_class.clone())),
        (header::ERROR_MESSAGE.to_owned(), Bytes::copy_from_slice(cut(&letter.error_message, MESSAGE_BYTES).as_bytes())),
        (header::FINGERPRINT.to_owned(), Bytes::from(letter.fingerprint.clone())),
        (header::ATTEMPTS.to_owned(), Bytes::from(letter.attempts.to_string())),
        (header::BUILD.to_owned(), Bytes::from(build.to_owned())),
    ];
    headers.extend(letter.store.as_ref().map(|s| (header::STORE.to_owned(), Bytes::from(s.clone()))));
    headers.extend(letter.position.as_ref().map(|p| (header::POSITION.to_owned(), Bytes::from(p.clone()))));
    // A stranger's header of a name of ours would make the letter another one.
    headers.extend(original.headers.iter().filter(|(name, _)| !header::OURS.contains(&name.as_str())).cloned());
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
    for (at, letters) in (0..).zip(by_partition).filter(|(_, letters)| !letters.is_empty()) {
        write_to(producer, at, letters).await?;
    }
    Ok(())
}

/// Letters that the log does not take together are written in halves, one that it does not take alone without its bytes.
async fn write_to(producer: &dyn Producer, partition: u32, letters: Vec<Record>) -> Result<(), Reaction> {
    let mut open = vec![letters];
    while let Some(mut some) = open.pop() {
        match producer.produce(DEAD_LETTERS, partition, some.clone()).await {
            Ok(_) => {}
            Err(Reaction::Rejected(_)) if some.len() > 1 => {
                let rest = some.split_off(some.len() / 2);
                open.extend([rest, some]);
            }
            Err(Reaction::Rejected(why)) => {
                let bare = some.first().and_then(without_bytes);
                open.push(vec![bare.ok_or_else(|| Reaction::fatal(format!("{DEAD_LETTERS}: a letter cannot be written even without its bytes: {why}")))?]);
            }
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

/// The letter without its value, and without a long key and the record's own headers; `None` for one that is so already.
fn without_bytes(letter: &Record) -> Option<Record> {
    if letter.headers.iter().any(|(name, _)| name == header::VALUE_LEFT_OUT) {
        return None;
    }
    let mut headers: Vec<(String, Bytes)> = letter.headers.iter().filter(|(name, _)| header::OURS.contains(&name.as_str())).cloned().collect();
    headers.push((header::VALUE_LEFT_OUT.to_owned(), Bytes::from(letter.value.len().to_string())));
    let key = letter.key.clone().filter(|key| key.len() <= KEY_BYTES);
    if let Some(left_out) = letter.key.as_ref().filter(|_| key.is_none()) {
        headers.push((header::KEY_LEFT_OUT.to_owned(), Bytes::from(left_out.len().to_string())));
    }
    Some(Record { key, value: Bytes::new(), headers })
}

#[cfg(test)]
mod tests;
