//! Delivery of one stream into one store: what every sink shares.

pub mod fence;
pub mod identity;
pub mod machine;
pub mod runner;
#[cfg(test)]
mod simulation;
pub mod walk;
pub mod witness;

use std::collections::BTreeSet;

use async_trait::async_trait;
use wh_eventlog::Stored;
use wh_schemas::Reaction;
use wh_schemas::position::Seq;

/// What became of rows, in numbers that add up to the seqs settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// In the store.
    pub stored: u64,
    /// Recognised duplicates: in the store once.
    pub duplicates: u64,
    /// In the dead letters.
    pub dead_letters: u64,
    /// Left out on purpose, e.g. rows without an alert for the search store.
    pub discarded: u64,
}

impl Tally {
    /// All of them.
    #[must_use]
    pub fn sum(self) -> u64 {
        self.stored + self.duplicates + self.dead_letters + self.discarded
    }

    /// Adds another tally.
    pub fn add(&mut self, other: Tally) {
        self.stored += other.stored;
        self.duplicates += other.duplicates;
        self.dead_letters += other.dead_letters;
        self.discarded += other.discarded;
    }
}

/// How far a store has come in one partition of a stream, by its own word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorePosition {
    /// Partition of the stream.
    pub partition: u32,
    /// Every `seq` below it is settled.
    pub next_seq: Seq,
    /// Offset of the topic from which reading goes on.
    pub next_offset: u64,
    /// Every `seq` below it can be read in the store.
    pub visible_seq: Seq,
    /// Every record of the topic below it is settled or can be read: behind `next_offset` only by an open block.
    pub visible_offset: u64,
    /// Buried records behind the last `seq` taken that could not be read: each may stand for the next one.
    pub unreadable: u64,
    /// What became of the seqs below `next_seq`.
    pub tally: Tally,
}

/// Records of one partition on their way into a store.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The topic that they come from.
    pub topic: std::sync::Arc<str>,
    /// The partition.
    pub partition: u32,
    /// In order of their offsets.
    pub records: std::sync::Arc<Vec<Stored>>,
    /// Offsets of records that the dead letters hold already: they count as settled and are not written. In a [replay](Store::replay), of
    /// those that were never written: what the store sums up beside its rows has not counted them.
    pub buried: BTreeSet<u64>,
}

/// How a write ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// Every record is settled. `position` is published once [`Store::publish`] returned, or at once where it is visible.
    Done {
        /// Where the store stands now, as it will publish.
        position: StorePosition,
        /// Alerts among the rows.
        alerts: u64,
    },
    /// Nothing was written: this record can never be stored. It goes to the dead letters, then the batch is tried again.
    Refused {
        /// Offset of the record.
        offset: u64,
        /// `partition:seq`, where it could be read.
        position: Option<String>,
        /// Class of the error.
        class: String,
        /// For a person.
        message: String,
    },
}

/// A store that a sink writes.
#[async_trait]
pub trait Store: Send {
    /// The role: name of the sink's group and stage.
    fn role(&self) -> &'static str;

    /// Topics that this store takes rows from.
    fn topics(&self) -> Vec<&'static str>;

    /// The [mark](wh_schemas::ids::log_mark) of the log that the store is filled from, as it keeps it beside its positions. `None` where it
    /// keeps none yet: a new store, or one that an earlier version filled.
    ///
    /// # Errors
    /// As [`Store::positions`].
    async fn log(&mut self) -> Result<Option<u64>, Reaction>;

    /// Keeps the mark of a log where none is kept yet, and returns the one that is kept then: of two writers one is the first.
    ///
    /// # Errors
    /// As [`Store::positions`].
    async fn bind(&mut self, log: u64) -> Result<u64, Reaction>;

    /// What the store keeps of the last records that it has taken, as [`witness::of`] made it.
    ///
    /// # Errors
    /// As [`Store::positions`].
    async fn witnesses(&mut self) -> Result<Vec<StorePosition>, Reaction> {
        Ok(Vec::new())
    }

    /// Keeps it in place of what it kept of the same partitions: at the latest with the next [`Store::publish`].
    ///
    /// # Errors
    /// As [`Store::positions`].
    async fn remember(&mut self, _taken: &[StorePosition]) -> Result<(), Reaction> {
        Ok(())
    }

    /// How far the store has come with a topic, by its own word. A partition that is missing stands at 0.
    ///
    /// # Errors
    /// Transient while the store is away, fatal where it is damaged.
    async fn positions(&mut self, topic: &str) -> Result<Vec<StorePosition>, Reaction>;

    /// Writes a batch with its position: all of it or nothing.
    ///
    /// # Errors
    /// Transient while the store is busy, fatal on a gap of seqs or where the store cannot be written. Rejected where it takes the batch
    /// not at all for a row that it does not name: the batch is halved then until that row stands alone. Never for a row that it can name.
    async fn write(&mut self, batch: Batch) -> Result<Written, Reaction>;

    /// Writes records again that were settled before, past the fence: the store's keys alone decide what changes, and no position
    /// moves. For the metrics store a batch is whole blocks. Returns how many rows were not there (metrics: how many were summed).
    ///
    /// # Errors
    /// As [`Store::write`].
    async fn replay(&mut self, batch: Batch) -> Result<u64, Reaction>;

    /// Makes everything written visible to readers, where that is a step of its own. Returns `false` where nothing was pending.
    ///
    /// # Errors
    /// As [`Store::write`].
    async fn publish(&mut self) -> Result<bool, Reaction>;

    /// Removes rows whose records were appended before `before` (microseconds), and publishes the floor. Returns the rows removed.
    ///
    /// # Errors
    /// As [`Store::write`].
    async fn retain(&mut self, before: i64) -> Result<u64, Reaction>;
}
