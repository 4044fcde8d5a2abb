//! What the machine asks of whoever drives it, and what it is told.
//!
//! What must stay true: nothing here does anything. One task for the store and one for the log are under way at most, each with a
//! ticket of its own; an answer whose ticket is no longer waited for changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use wh_eventlog::{Bounds, Commit, Stored};
use wh_schemas::Reaction;

use crate::delivery::{Batch, StorePosition, Written};

/// Time since whoever drives the machine began. It never goes back.
pub type Moment = Duration;

/// Topic and partition.
pub type Place = (Arc<str>, u32);

/// How much the machine takes, how long it waits.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Records of one write at most.
    pub batch_rows: usize,
    /// Bytes of one write at most, but for a record that is larger by itself.
    pub batch_bytes: usize,
    /// How long a record may wait for others before it is written. At 0 what comes while a write is under way is written together.
    pub batch_age: Duration,
    /// Bytes of records that are read and not written. Beyond it partitions are paused until half of it is written; one fetch may
    /// come on top.
    pub memory_bytes: usize,
    /// Written rows become visible at the latest after this long.
    pub publish_every: Duration,
    /// Positions are committed to the log at most so often.
    pub commit_every: Duration,
    /// How long partitions that go to another member may take to settle what was read.
    pub drain: Duration,
    /// How long a stop may take to settle what was begun: the process that stops has more to end than this.
    pub stop: Duration,
    /// The shortest wait before a store is tried again.
    pub retry_first: Duration,
    /// The longest. A store that comes back is noticed within it.
    pub retry_longest: Duration,
    /// After so many failures in a row the store counts as away.
    pub opens_after: u32,
    /// Records of the first write into a store that was away.
    pub probe_rows: usize,
    /// How often rows beyond retention are removed; never where `None`.
    pub retain_every: Option<Duration>,
    /// How soon it goes on where some may be left: they go a step at a time, and writes come in between.
    pub retain_again: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            batch_rows: 5_000,
            batch_bytes: 4 * 1024 * 1024,
            batch_age: Duration::ZERO,
            memory_bytes: 16 * 1024 * 1024,
            publish_every: Duration::from_millis(200),
            commit_every: Duration::from_millis(500),
            drain: Duration::from_secs(10),
            stop: Duration::from_secs(7),
            retry_first: Duration::from_millis(50),
            retry_longest: Duration::from_secs(2),
            opens_after: 6,
            probe_rows: 100,
            retain_every: None,
            retain_again: Duration::from_secs(1),
        }
    }
}

/// Which question an answer is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub(super) u64);

/// What is to be done next.
#[derive(Debug)]
pub enum Action {
    /// To be begun, and answered under its ticket. Meanwhile the machine may be asked on.
    Do(Ticket, Task),
    /// The log is given positions of this group, which are to be answered before anything else by [`Answer::Committed`].
    Commit(Ticket, Vec<Commit>),
    /// Nothing but the log brings news: it is polled for at most so long, and a task that is under way looked after.
    Poll(Duration),
    /// The log is not to be polled: the task that is under way is waited for, at most so long.
    Await(Duration),
    /// Stopped: everything that could be settled is.
    End,
}

/// Something that is not the machine's to do.
#[derive(Debug)]
pub enum Task {
    /// The store is asked where it stands, then the log for the bounds of these partitions. Answered by [`Answer::Stands`].
    Ask {
        /// The topic.
        topic: Arc<str>,
        /// Partitions that are to be placed.
        partitions: Vec<u32>,
    },
    /// The store is to keep the log's mark: its positions were found to fit. Answered by [`Answer::Bound`].
    Bind,
    /// A batch is written. Answered by [`Answer::Wrote`].
    Write(Batch),
    /// A record goes to the dead letters. Answered by [`Answer::Buried`].
    Bury(Letter),
    /// What was written is made visible. Answered by [`Answer::Published`].
    Publish,
    /// Some of the rows beyond retention are removed. Answered by [`Answer::Retained`].
    Retain,
}

/// A record that the store can never take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: u32,
    /// The record.
    pub record: Stored,
    /// `partition:seq`, where it could be read.
    pub position: Option<String>,
    /// Class of the error.
    pub class: String,
    /// For a person.
    pub message: String,
    /// How often it was tried.
    pub attempts: u32,
}

/// What came of a task.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Where the store stands, and what the log has. Bounds are not looked at where the store did not answer.
    Stands {
        /// The store's own word.
        positions: Result<Vec<StorePosition>, Reaction>,
        /// Whether the store keeps this log's mark already.
        bound: bool,
        /// By partition.
        bounds: Result<BTreeMap<u32, Bounds>, Reaction>,
    },
    /// Whether the store keeps the log's mark.
    Bound(Result<(), Reaction>),
    /// How a write ended.
    Wrote(Result<Written, Reaction>),
    /// Whether the log holds the dead letter.
    Buried(Result<(), Reaction>),
    /// Whether what was written is visible.
    Published(Result<(), Reaction>),
    /// Whether the log took the positions.
    Committed(Result<(), Reaction>),
    /// Whether rows beyond retention may be left.
    Retained(Result<bool, Reaction>),
}

/// What the consumer, or who looks on, is to be told. Obeyed in order, before the log is polled again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// The store has said where to go on.
    Placed(Place, StorePosition),
    /// Rows up to here are visible.
    Visible(Place, StorePosition),
    /// The partition is another member's now.
    Left(Place),
    /// Reading goes on at this offset.
    Seek(Place, u64),
    /// Reading stops, or goes on.
    Pause(Place, bool),
}

impl Answer {
    /// What a failure says that may pass.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        let failure = match self {
            Answer::Stands { positions, bounds, .. } => positions.as_ref().err().or(bounds.as_ref().err()),
            Answer::Wrote(result) => result.as_ref().err(),
            Answer::Retained(result) => result.as_ref().err(),
            Answer::Bound(result) | Answer::Buried(result) | Answer::Published(result) | Answer::Committed(result) => result.as_ref().err(),
        };
        match failure {
            Some(Reaction::Transient { message, .. }) => Some(message.as_str()),
            _ => None,
        }
    }
}
