//! Checkpoints of patterns by account: what changed in the engine, where it stands in its input and its output, and who owns it, all in
//! one compare-and-set. The stage has one instance, hence one checkpoint.
//!
//! What must stay true: a checkpoint is kept whole or not at all; an older owner's, and one behind what is kept, is refused.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use wh_eventlog::lineage::Witness;
use wh_schemas::Reaction;
use wh_schemas::position::Seq;

use super::Committed;
use crate::patterns::Changes;

/// Where the stage stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatternPosition {
    /// Next `seq` of the stream `patterns`.
    pub next_seq: Seq,
    /// Next offset of `account-activity` to be read.
    pub next_offset: u64,
}

/// What became of the records of `account-activity`; the first four add up to the next offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatternCounts {
    /// Taken into the engine.
    pub taken: u64,
    /// Copies that a scorer made after a crash, dropped.
    pub copies: u64,
    /// Not readable.
    pub dead_letters: u64,
    /// Offsets without a record, or whose record was gone before this state began.
    pub missing: u64,
    /// Patterns emitted.
    pub patterns: u64,
    /// Those of them that are alerts.
    pub alerts: u64,
}

/// Whether a partition of the scorer is awaited: a decision that the clock had a part in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The partition.
    pub partition: u32,
    /// Whether it may hold the watermark back.
    pub awaited: bool,
}

/// The part of a checkpoint that is the stage's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PatternRecord {
    /// What became of the input.
    pub counts: PatternCounts,
    /// Identity of the log that the position is of.
    pub log: String,
    /// Decisions that are taken exactly here, before the next record. They are kept before they take effect, so that whoever goes on
    /// from here takes them at the same place.
    pub pending: Vec<Decision>,
    /// Partitions that are not awaited.
    pub unawaited: BTreeSet<u32>,
    /// Every pattern below the next `seq` stands before this offset of the output, and none from it on, unless `rebuilding`.
    pub output_offset: u64,
    /// The state was begun anew behind patterns that stand in the output: what is found again is known by its id and not emitted again.
    pub rebuilding: bool,
    /// The last record of the input that was taken: a log that was set back holds another one there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Witness>,
}

/// A state as it was checkpointed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatternCheckpoint {
    /// Where the stage stood.
    pub position: PatternPosition,
    /// Its own record.
    pub record: PatternRecord,
    /// The engine's header.
    pub header: Vec<u8>,
    /// Every account's state.
    pub accounts: Vec<(String, Vec<u8>)>,
}

/// What changed since the checkpoint before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatternDelta {
    /// The owner's epoch: an older one is refused.
    pub owner_epoch: u64,
    /// Where the stage stands now; a position behind the stored one is refused.
    pub position: PatternPosition,
    /// Its own record.
    pub record: PatternRecord,
    /// The engine's header, which replaces the one before.
    pub header: Vec<u8>,
    /// Accounts that changed.
    pub accounts: Vec<(String, Vec<u8>)>,
    /// Accounts that were forgotten.
    pub removed: Vec<String>,
}

/// Where these checkpoints are kept: beside the scorer's.
#[async_trait]
pub trait PatternCheckpoints: Send {
    /// Raises the owner epoch by one, so that an older owner's commits are refused. Returns the epoch and the last checkpoint, if there
    /// is one.
    ///
    /// # Errors
    /// Fatal where the store is damaged or of another version.
    async fn take_over_patterns(&mut self) -> Result<(u64, Option<PatternCheckpoint>), Reaction>;

    /// Writes a checkpoint: all of it or nothing. The same one may be written again.
    ///
    /// # Errors
    /// Fatal under an older epoch or behind the stored position; transient while the store is busy.
    async fn commit_patterns(&mut self, delta: PatternDelta) -> Result<Committed, Reaction>;

    /// Removes what is kept but the owner's epoch.
    ///
    /// # Errors
    /// Fatal under an older epoch; transient while the store is busy.
    async fn forget_patterns(&mut self, owner_epoch: u64) -> Result<(), Reaction>;
}

/// Changes that no checkpoint holds yet, merged while the store is away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsaved {
    header: Vec<u8>,
    accounts: BTreeMap<String, Vec<u8>>,
    removed: BTreeSet<String>,
}

impl Unsaved {
    /// Adds later changes.
    pub fn add(&mut self, changes: Changes) {
        self.header = changes.header;
        for name in changes.removed {
            self.accounts.remove(&name);
            self.removed.insert(name);
        }
        for (name, state) in changes.accounts {
            self.removed.remove(&name);
            self.accounts.insert(name, state);
        }
    }

    /// What a checkpoint has to write.
    #[must_use]
    pub fn delta(&self, owner_epoch: u64, position: PatternPosition, record: PatternRecord) -> PatternDelta {
        PatternDelta {
            owner_epoch,
            position,
            record,
            header: self.header.clone(),
            accounts: self.accounts.iter().map(|(name, state)| (name.clone(), state.clone())).collect(),
            removed: self.removed.iter().cloned().collect(),
        }
    }

    /// Forgets them: a checkpoint holds them.
    pub fn clear(&mut self) {
        *self = Unsaved::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(header: u8, accounts: &[(&str, u8)], removed: &[&str]) -> Changes {
        Changes {
            header: vec![header],
            accounts: accounts.iter().map(|(name, state)| ((*name).to_owned(), vec![*state])).collect(),
            removed: removed.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn the_last_change_of_an_account_is_what_is_written() {
        let mut unsaved = Unsaved::default();
        unsaved.add(changes(1, &[("a", 1), ("b", 1)], &["c"]));
        unsaved.add(changes(2, &[("a", 2), ("c", 2)], &["b", "d"]));
        let delta = unsaved.delta(3, PatternPosition::default(), PatternRecord::default());
        assert_eq!((delta.header, delta.accounts, delta.removed), (vec![2], vec![("a".to_owned(), vec![2]), ("c".to_owned(), vec![2])], vec!["b".to_owned(), "d".to_owned()]));
        unsaved.clear();
        assert_eq!(unsaved, Unsaved::default());
    }
}
