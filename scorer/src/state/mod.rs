//! The scorer's checkpoints, and those of patterns by account: one atomic compare-and-set a partition, and what is needed when the store is lost.

pub mod patterns;
pub mod rebuild;
pub mod redis;
pub mod sqlite;
pub mod users;

use async_trait::async_trait;
use wh_schemas::Reaction;

use crate::dedup::Seen;
use crate::engine::UserState;
use crate::partition::{PartitionRecord, Position};

/// A partition's state as it was checkpointed.
#[derive(Debug)]
pub struct Checkpoint {
    /// Where the scorer stood.
    pub position: Position,
    /// The partition's own record.
    pub record: PartitionRecord,
    /// Every user's state.
    pub users: Vec<(String, UserState)>,
    /// The ids seen, oldest first.
    pub ids: Vec<Seen>,
}

/// What changed since the checkpoint before.
#[derive(Debug)]
pub struct Delta {
    /// The partition.
    pub partition: u32,
    /// The owner's epoch: an older one is refused.
    pub owner_epoch: u64,
    /// Where the scorer stands now; a position behind the stored one is refused.
    pub position: Position,
    /// The partition's own record.
    pub record: PartitionRecord,
    /// States of the users touched.
    pub users: Vec<(String, UserState)>,
    /// Users that are forgotten: what is kept of them goes. None of them is among `users`.
    pub forgotten: Vec<String>,
    /// Ids seen.
    pub ids: Vec<Seen>,
    /// How many ids are remembered at most; older ones may go.
    pub horizon: usize,
}

/// Where checkpoints are kept.
#[async_trait]
pub trait CheckpointStore: Send {
    /// Raises a partition's owner epoch by one, so that an older owner's commits are refused. Returns the epoch and
    /// the last checkpoint, if there is one.
    ///
    /// # Errors
    /// Fatal where the store is damaged or of another version.
    async fn take_over(&mut self, partition: u32) -> Result<(u64, Option<Checkpoint>), Reaction>;

    /// Writes a checkpoint: all of it or nothing. The same one may be written again; one at the position of the last replaces its record.
    ///
    /// # Errors
    /// Fatal under an older epoch or behind the stored position; transient while the store is busy.
    async fn commit(&mut self, delta: Delta) -> Result<Committed, Reaction>;

    /// Removes what is kept of a partition but its owner's epoch: what it is begun anew from comes from elsewhere.
    ///
    /// # Errors
    /// Fatal under an older epoch; transient while the store is busy.
    async fn forget(&mut self, partition: u32, owner_epoch: u64) -> Result<(), Reaction>;
}

/// How a checkpoint ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// The store keeps it.
    Kept,
    /// The store no longer has what this delta belongs to, as after a crash that took its last second, or another owner has it: where it is
    /// still ours, the partition is to be taken over anew.
    Lost(String),
}
