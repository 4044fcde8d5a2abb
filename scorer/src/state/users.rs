//! Users of the baselines store one by one, for whoever compares them with the log; and what they should be, worked out from the log again.
//!
//! What must stay true: reading writes nothing; what is put right is put right only while the checkpoint stands where it was compared; a state is worked out
//! by the scorer itself, from the last snapshot before the checkpoint and the records behind it.

use async_trait::async_trait;
use wh_eventlog::Reader;
use wh_schemas::Reaction;
use wh_schemas::position::Seq;
use wh_schemas::topics::ACCEPTED_TRANSACTIONS;

use super::{Checkpoint, rebuild};
use crate::control;
use crate::dedup::Ids;
use crate::engine::{Ruleset, UserState};
use crate::partition::{Emitted, PartitionRecord, PartitionScorer, Position};

const READ_BYTES: usize = 4 * 1024 * 1024;

/// What a store has of a user.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoredUser {
    /// Partition of the scorer.
    pub partition: u32,
    /// The user.
    pub user: String,
    /// The next `seq` of the checkpoint that wrote it; `None` where that is no number.
    pub seq: Option<Seq>,
    /// What is shown beside the state, as text: transactions, mean amount, home department, last event, alerts; `None` where it is missing.
    pub shown: [Option<String>; 5],
    /// The versioned bytes of the state; `None` where they are missing.
    pub state: Option<Vec<u8>>,
}

/// Names of what is shown beside a state.
pub const SHOWN: [&str; 5] = ["transactions", "amount_mean", "home_department", "last_event", "alerts"];

/// What is shown beside a state.
#[must_use]
pub fn shown(state: &UserState) -> [Option<String>; 5] {
    [state.events.to_string(), state.mean_amount().to_string(), state.home_department.clone(), state.last.to_string(), state.alerts.to_string()].map(Some)
}

/// What of a partition is to be put right.
#[derive(Clone, Debug, Default)]
pub struct Corrections {
    /// States to write.
    pub write: Vec<(String, UserState)>,
    /// Users to remove.
    pub remove: Vec<String>,
    /// The partition's own record, where it is another.
    pub record: Option<PartitionRecord>,
}

/// A baselines store whose users can be read one by one.
#[async_trait]
pub trait StoredUsers: Send {
    /// Each partition's last checkpoint but for users and ids.
    ///
    /// # Errors
    /// Where the store cannot be read.
    async fn checkpoints(&mut self) -> Result<Vec<(u32, Position, PartitionRecord)>, Reaction>;

    /// The users of a partition behind `after`, in the order of their bytes; none where there are no more.
    ///
    /// # Errors
    /// Where the store cannot be read.
    async fn page(&mut self, partition: u32, after: Option<&str>) -> Result<Vec<StoredUser>, Reaction>;

    /// At most `limit` users that stand in none of these partitions, or that no page of them gives.
    ///
    /// # Errors
    /// Where the store cannot be read.
    async fn strays(&mut self, partitions: &[u32], limit: usize) -> Result<Vec<StoredUser>, Reaction>;

    /// Puts a partition right where its checkpoint still stands at `at`; `false` where it does not, or moves on meanwhile. What was put right by then
    /// stays, and is right.
    ///
    /// # Errors
    /// Where the store cannot be written.
    async fn correct(&mut self, partition: u32, at: &Position, corrections: &Corrections) -> Result<bool, Reaction>;

    /// Removes strays.
    ///
    /// # Errors
    /// Where the store cannot be written.
    async fn remove_strays(&mut self, strays: &[StoredUser]) -> Result<(), Reaction>;
}

/// What the log says of a partition at a checkpoint.
#[derive(Debug)]
pub enum WorkedOut {
    /// The scorer as it stood there.
    There(Box<PartitionScorer>),
    /// The stream has gone on, and a later snapshot has taken the place of the one before the checkpoint.
    GoneOn,
    /// Why it cannot be told.
    Unknown(String),
}

/// Works a partition's state out from the log, up to a position. Takes as much memory as the scorer of the partition.
///
/// # Errors
/// Where the log cannot be read.
pub async fn work_out(log: &dyn Reader, partition: u32, at: &Position, settings: &Ruleset, horizon: usize) -> Result<WorkedOut, Reaction> {
    let input = log.bounds(ACCEPTED_TRANSACTIONS, partition).await?;
    let snapshot = rebuild::last_snapshot(log, partition, horizon).await?;
    let Checkpoint { position, mut record, users, ids } = match snapshot {
        Some(snapshot) if snapshot.position.next_offset > at.next_offset || snapshot.position.next_seq > at.next_seq => return Ok(WorkedOut::GoneOn),
        Some(snapshot) if snapshot.position.state_epoch == at.state_epoch && snapshot.position.next_offset >= input.start => snapshot,
        _ if input.start == 0 && at.state_epoch == 0 => Checkpoint { position: Position::default(), record: PartitionRecord::default(), users: Vec::new(), ids: Vec::new() },
        _ => {
            return Ok(WorkedOut::Unknown(format!(
                "there is no snapshot from which {ACCEPTED_TRANSACTIONS} could be read up to the checkpoint: it reaches back to offset {} only",
                input.start
            )));
        }
    };
    // A ruleset of the settings that no checkpoint knows counts for nothing that is compared.
    let begun = match control::begin(&mut record.control, settings, position.next_seq, at.next_seq) {
        Ok(begun) => begun,
        Err(why) => return Ok(WorkedOut::Unknown(why)),
    };
    let mut seen = Ids::new(horizon);
    ids.iter().for_each(|id| seen.remember(*id));
    let mut next = position.next_offset;
    let mut scorer = PartitionScorer::new(partition, begun.ruleset, position, record, users, seen, "reconcile");
    while next < at.next_offset {
        let records = log.read(ACCEPTED_TRANSACTIONS, partition, next, READ_BYTES).await?;
        let Some(last) = records.last() else { break };
        next = last.offset + 1;
        // What it emits stands in the log already.
        let mut emitted = Emitted::default();
        for record in records.iter().filter(|record| record.offset < at.next_offset) {
            scorer.process(record, &mut emitted);
        }
        tokio::task::yield_now().await;
    }
    Ok(WorkedOut::There(Box::new(scorer)))
}
