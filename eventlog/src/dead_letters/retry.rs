//! Sending a letter again on the way that its record took.
//!
//! What must stay true: what is sent again is the source's own bytes; sent twice it changes nothing, since the scorer knows a transaction by
//! its id and a store by its keys.

use bytes::Bytes;
use wh_schemas::Reaction;
use wh_schemas::dead_letter as header;
use wh_schemas::topics::HOSPITAL_TRANSACTIONS;

use super::{DeadLetter, Found};
use crate::{Log, Offset, Record, Stored};

/// Where a letter goes when it is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way<'l> {
    /// Its source record is appended to `hospital-transactions`.
    Source,
    /// Its record is written into this store again, past the fence.
    Store(&'l str),
}

/// On which way a letter can be sent again.
///
/// # Errors
/// Rejected where there is none.
pub fn way(letter: &DeadLetter) -> Result<Way<'_>, Reaction> {
    if let Some(store) = &letter.store {
        return Ok(Way::Store(store));
    }
    if letter.origin.topic == HOSPITAL_TRANSACTIONS {
        return Ok(Way::Source);
    }
    Err(Reaction::Rejected(format!(
        "{} was written by a stage, or by a stranger in its place: there is no source record to send again; see it with `wardhouse dead-letters show`, then discard it",
        letter.origin
    )))
}

/// The record that goes to `hospital-transactions`: a source's key, value and own headers, and which letter it is of.
fn again(source: &Stored, letter: &DeadLetter) -> Record {
    let mut headers: Vec<(String, Bytes)> = source.headers.iter().filter(|(name, _)| !header::OURS.contains(&name.as_str())).cloned().collect();
    let of = format!("{}/{}/{}", letter.stage, letter.store.as_deref().unwrap_or_default(), letter.origin);
    headers.push((header::RETRY_OF.to_owned(), Bytes::from(of)));
    Record { key: source.key.clone(), value: source.value.clone(), headers }
}

/// Appends the source record of a letter to `hospital-transactions` again, into the partition that it was in. Returns its place there.
///
/// # Errors
/// Rejected where it cannot be sent again; what the log says.
pub async fn retry(log: &dyn Log, found: &Found) -> Result<(u32, Offset), Reaction> {
    let (letter, origin) = (&found.letter, &found.letter.origin);
    if way(letter)? != Way::Source {
        return Err(Reaction::Rejected("this letter is of a sink: its record stands in the log, and is written into the store again".to_owned()));
    }
    // What intake could not take is the source's own; a later stage had a copy that intake made.
    let record = if letter.stage == "intake" && found.has_value() {
        again(&found.record, letter)
    } else {
        let bounds = log.bounds(&origin.topic, origin.partition).await?;
        let there = if (bounds.start..bounds.end).contains(&origin.offset) { log.read(&origin.topic, origin.partition, origin.offset, 1).await? } else { Vec::new() };
        let source = there.iter().find(|record| record.offset == origin.offset);
        again(source.ok_or_else(|| Reaction::Rejected(format!("the source record {origin} is no longer in the log")))?, letter)
    };
    let partitions = log.partitions(HOSPITAL_TRANSACTIONS).await?;
    let partition = origin.partition.min(partitions.saturating_sub(1));
    log.produce(HOSPITAL_TRANSACTIONS, partition, vec![record]).await.map(|offset| (partition, offset))
}
