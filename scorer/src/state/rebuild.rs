//! Snapshots in `scorer-state`, so that losing the baselines store loses nothing.
//!
//! A snapshot is one record a user touched since the one before, an empty one where the user was forgotten, then the partition's own record,
//! which makes it count. An owner's first snapshot is whole: a record before it says so, and no user of an earlier one is taken along.
//! Records behind the last partition record belong to no snapshot and are ignored. The ids seen are not in it: they
//! stand in `risk-scores`.
//!
//! Each record says whose it is. What an owner wrote after the next one had begun its own is passed over; where it has taken the place of
//! what it came after, as compaction does by key, the snapshot is not whole any more and counts for nothing.

mod owner;

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};
use wh_eventlog::{Bytes, Reader, Record};
use wh_schemas::Reaction;
use wh_schemas::json::Text;
use wh_schemas::position::Seq;
use wh_schemas::topics::{RISK_ALERTS, RISK_SCORES, SCORER_STATE};

pub use self::owner::{Owner, owner};
use super::Checkpoint;
use crate::dedup::{Seen, fingerprints};
use crate::engine::UserState;
use crate::partition::{PartitionRecord, Position};

/// Records at the end of the output among which the highest `seq` is: more than two owners can have under way.
const TAIL: u64 = 10_000;
const READ_BYTES: usize = 4 * 1024 * 1024;
const PARTITION_KEY: &[u8] = b"partition";
const WHOLE_KEY: &[u8] = b"whole";
const USER_KEY: &[u8] = b"user:";

#[derive(Serialize, Deserialize)]
struct Marker {
    position: Position,
    record: PartitionRecord,
}

/// What a snapshot says of users.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Users {
    /// States of those that changed.
    pub states: Vec<(String, UserState)>,
    /// Those that are forgotten.
    pub forgotten: Vec<String>,
    /// Whether the states are those of all users there are.
    pub whole: bool,
}

/// The records of an owner's snapshot, to be produced in this order.
///
/// # Errors
/// Never for states that the engine made.
pub fn records(owner: Owner, position: &Position, record: &PartitionRecord, users: &Users) -> Result<Vec<Record>, Reaction> {
    let unwritable = |e: &dyn std::fmt::Display| Reaction::fatal(format!("a snapshot cannot be written: {e}"));
    let mut records = Vec::with_capacity(users.states.len() + users.forgotten.len() + 2);
    if users.whole {
        records.push(Record::new(WHOLE_KEY, "{}"));
    }
    let key = |user: &str| Bytes::from([USER_KEY, user.as_bytes()].concat());
    for (user, state) in &users.states {
        records.push(Record::new(key(user), state.to_bytes().map_err(|e| unwritable(&e))?));
    }
    for user in &users.forgotten {
        records.push(Record::new(key(user), Bytes::new()));
    }
    let marker = Marker { position: position.clone(), record: record.clone() };
    records.push(Record::new(PARTITION_KEY, serde_json::to_vec(&marker).map_err(|e| unwritable(&e))?));
    let written = owner.written();
    Ok(records.into_iter().map(|record| record.with_header(owner::HEADER, written.clone())).collect())
}

/// The last snapshot of a partition, its ids read back from `risk-scores`.
///
/// # Errors
/// Fatal where the log cannot be read or a snapshot is of another version.
pub async fn last_snapshot(log: &dyn Reader, partition: u32, horizon: usize) -> Result<Option<Checkpoint>, Reaction> {
    let bounds = log.bounds(SCORER_STATE, partition).await?;
    let damaged = |e: &dyn std::fmt::Display| Reaction::fatal(format!("{SCORER_STATE} partition {partition}: {e}"));
    let (mut pending, mut users): (HashMap<String, Bytes>, HashMap<String, Bytes>) = (HashMap::new(), HashMap::new());
    let (mut marker, mut whole): (Option<Marker>, bool) = (None, false);
    let (mut newest, mut late): (Option<Owner>, HashSet<String>) = (None, HashSet::new());
    let mut next = bounds.start;
    while next < bounds.end {
        let batch = log.read(SCORER_STATE, partition, next, READ_BYTES).await?;
        let Some(last) = batch.last() else { break };
        next = last.offset + 1;
        for record in batch {
            let key = record.key.as_deref().unwrap_or_default();
            // One of an earlier version says nothing of its owner, and is taken for the last one's.
            let owner = Owner::of(&record).or(newest);
            if owner < newest {
                late.extend(key.strip_prefix(USER_KEY).map(|user| String::from_utf8_lossy(user).into_owned()));
                continue;
            }
            newest = owner;
            if key == PARTITION_KEY {
                marker = Some(serde_json::from_slice(&record.value).map_err(|e| damaged(&e))?);
                if std::mem::take(&mut whole) {
                    users.clear();
                }
                for (user, state) in pending.drain() {
                    // An empty one says that the user is forgotten.
                    if state.is_empty() {
                        users.remove(&user)
                    } else {
                        users.insert(user, state)
                    };
                }
            } else if key == WHOLE_KEY {
                // What an earlier owner did not finish belongs to nothing.
                pending.clear();
                whole = true;
            } else if let Some(user) = key.strip_prefix(USER_KEY) {
                pending.insert(String::from_utf8_lossy(user).into_owned(), record.value);
            }
        }
    }
    let Some(Marker { position, record }) = marker else { return Ok(None) };
    if late.iter().any(|user| !users.contains_key(user)) {
        // The latest state of a user, or that it is forgotten, was removed when an earlier owner's came behind it.
        tracing::warn!(partition, late = late.len(), "the last snapshot in {SCORER_STATE} is not whole: an earlier owner wrote behind it");
        return Ok(None);
    }
    let users = users.into_iter().map(|(user, bytes)| UserState::from_bytes(&bytes).map(|state| (user, state))).collect::<Result<Vec<_>, _>>().map_err(|e| damaged(&e))?;
    let ids = ids_before(log, partition, position.next_seq, record.counts.duplicates, horizon).await?;
    Ok(Some(Checkpoint { position, record, users, ids }))
}

/// What is read of an emitted record to know its id and place.
#[derive(Deserialize)]
struct Emitted<'a> {
    #[serde(borrow)]
    transaction_id: Text<'a>,
    content_hash: Text<'a>,
    seq: Seq,
    #[serde(default)]
    state_epoch: u32,
    #[serde(default)]
    duplicate_of: Option<serde::de::IgnoredAny>,
}

/// The last `horizon` ids that stand in the output below `next_seq`, of which so many were duplicates.
///
/// # Errors
/// Fatal where the log cannot be read.
pub async fn ids_before(log: &dyn Reader, partition: u32, next_seq: Seq, duplicates: u64, horizon: usize) -> Result<Vec<Seen>, Reaction> {
    let bounds = log.bounds(RISK_SCORES, partition).await?;
    // Each seq is an id or a duplicate.
    let first = next_seq.saturating_sub((horizon as u64).saturating_add(duplicates));
    let mut ids = Vec::new();
    // An offset is never below its record's seq: nothing else is written there.
    let mut next = first.clamp(bounds.start, bounds.end);
    while next < bounds.end {
        let batch = log.read(RISK_SCORES, partition, next, READ_BYTES).await?;
        let Some(last) = batch.last() else { break };
        next = last.offset + 1;
        for record in &batch {
            let Ok(emitted) = serde_json::from_slice::<Emitted<'_>>(&record.value) else { continue };
            if emitted.seq >= next_seq {
                return Ok(last_of(ids, horizon));
            }
            if emitted.seq >= first && emitted.duplicate_of.is_none() {
                let (id, content) = fingerprints(&emitted.transaction_id, &emitted.content_hash);
                ids.push(Seen { id, content, seq: emitted.seq });
            }
        }
    }
    Ok(last_of(ids, horizon))
}

fn last_of(mut ids: Vec<Seen>, horizon: usize) -> Vec<Seen> {
    ids.drain(..ids.len().saturating_sub(horizon));
    ids
}

/// Ids of the last alerts that stand in the output of a partition: more than any one batch raises.
///
/// # Errors
/// Fatal where the log cannot be read.
pub async fn last_alerts(log: &dyn Reader, partition: u32) -> Result<HashSet<Bytes>, Reaction> {
    const ALERTS: u64 = 20_000;
    let bounds = log.bounds(RISK_ALERTS, partition).await?;
    let mut next = bounds.end.saturating_sub(ALERTS).max(bounds.start);
    let mut ids = HashSet::new();
    while next < bounds.end {
        let batch = log.read(RISK_ALERTS, partition, next, READ_BYTES).await?;
        let Some(last) = batch.last() else { break };
        next = last.offset + 1;
        // A copy: a slice would keep the whole batch in memory.
        ids.extend(batch.iter().filter_map(|record| record.key.as_deref().map(Bytes::copy_from_slice)));
    }
    Ok(ids)
}

/// What stands last in the output of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its `seq`.
    pub seq: Seq,
    /// The epoch of the state that scored it; 0 where that is not known.
    pub state_epoch: u32,
}

/// The highest `seq` that stands in the output of a partition.
///
/// # Errors
/// Fatal where the log cannot be read.
pub async fn last_emitted(log: &dyn Reader, partition: u32) -> Result<Option<Standing>, Reaction> {
    let bounds = log.bounds(RISK_SCORES, partition).await?;
    let mut highest: Option<Standing> = None;
    // What a late owner wrote again may stand behind it.
    let mut next = bounds.end.saturating_sub(TAIL).max(bounds.start);
    while next < bounds.end {
        let batch = log.read(RISK_SCORES, partition, next, READ_BYTES).await?;
        let Some(last) = batch.last() else { break };
        next = last.offset + 1;
        for record in &batch {
            let Ok(emitted) = serde_json::from_slice::<Emitted<'_>>(&record.value) else { continue };
            if highest.is_none_or(|highest| highest.seq < emitted.seq) {
                highest = Some(Standing { seq: emitted.seq, state_epoch: emitted.state_epoch });
            }
        }
    }
    Ok(highest)
}

#[cfg(test)]
mod tests;
