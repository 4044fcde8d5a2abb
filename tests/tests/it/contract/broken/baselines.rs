//! A good baselines store behind a face that breaks the contract in one way.

use std::path::Path;

use async_trait::async_trait;
use wh_schemas::Reaction;
use wh_scorer::state::patterns::{PatternCheckpoint, PatternCheckpoints, PatternDelta};
use wh_scorer::state::{Checkpoint, CheckpointStore, Committed, Delta};

use crate::contract::baselines::{CheckpointAdapter, Embedded};

/// One way to break the contract of the baselines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Writes all of a checkpoint but one user.
    DropsAUser,
    /// Writes all of a checkpoint but the ids.
    ForgetsIds,
    /// Remembers ids beyond the horizon.
    KeepsEveryId,
    /// Knows of no earlier owner.
    ForgetsOwners,
    /// Says that it was done when it was refused.
    SwallowsErrors,
    MixesPartitions,
    /// Keeps what it was told to forget.
    Remembers,
    /// Keeps users that are forgotten.
    KeepsUsers,
    /// Takes a checkpoint at the position of the last for that one.
    TakesItForTheLast,
    /// Writes all of a checkpoint of patterns but one account.
    DropsAnAccount,
    /// Keeps accounts that were forgotten.
    KeepsAccounts,
    /// Writes of the stage's own record what it counted, and no decision.
    ForgetsDecisions,
}

/// What each fault makes fail of the contract of patterns.
pub(super) const PATTERN_FAULTS: &[(&str, Fault)] = &[
    ("a_checkpoint_of_patterns_reads_back_whole", Fault::DropsAnAccount),
    ("accounts_are_merged_and_forgotten", Fault::KeepsAccounts),
    ("each_takeover_of_patterns_raises_the_epoch", Fault::ForgetsOwners),
    ("an_older_owner_of_patterns_changes_nothing", Fault::ForgetsOwners),
    ("an_older_position_of_patterns_is_refused", Fault::SwallowsErrors),
    ("a_checkpoint_of_patterns_may_stand_where_the_last_one_did", Fault::ForgetsDecisions),
    ("patterns_that_were_forgotten_begin_anew", Fault::Remembers),
];

/// What each fault makes fail.
pub(super) const FAULTS: &[(&str, Fault)] = &[
    ("a_checkpoint_reads_back_whole", Fault::DropsAUser),
    ("a_scorer_goes_on_from_a_checkpoint_to_the_bit", Fault::ForgetsIds),
    ("what_changed_is_merged_into_what_was_there", Fault::ForgetsIds),
    ("ids_within_the_horizon_are_kept", Fault::KeepsEveryId),
    ("ids_within_the_horizon_are_kept", Fault::ForgetsIds),
    ("each_takeover_raises_the_epoch", Fault::ForgetsOwners),
    ("a_takeover_before_the_first_checkpoint_counts", Fault::ForgetsOwners),
    ("an_older_epoch_is_refused_and_changes_nothing", Fault::ForgetsOwners),
    ("an_older_position_is_refused_and_changes_nothing", Fault::SwallowsErrors),
    ("partitions_are_apart", Fault::MixesPartitions),
    ("a_forgotten_partition_begins_anew", Fault::Remembers),
    ("users_that_were_forgotten_are_gone", Fault::KeepsUsers),
    ("a_checkpoint_may_stand_where_the_last_one_did", Fault::TakesItForTheLast),
];

/// The embedded store with a fault.
pub(super) struct BrokenCheckpoints(pub(super) Fault);

#[async_trait]
impl CheckpointAdapter for BrokenCheckpoints {
    fn name(&self) -> &'static str {
        "a broken baselines store"
    }

    async fn open(&self, place: &Path) -> Box<dyn CheckpointStore> {
        Box::new(BrokenStore { inner: Embedded.open(place).await, fault: self.0, owners: 0, last: None })
    }

    async fn open_patterns(&self, place: &Path) -> Box<dyn PatternCheckpoints> {
        Box::new(BrokenPatterns { inner: Embedded.open_patterns(place).await, fault: self.0, owners: 0 })
    }

    async fn sweep(&self) {}
}

struct BrokenStore {
    inner: Box<dyn CheckpointStore>,
    fault: Fault,
    owners: u64,
    last: Option<u64>,
}

#[async_trait]
impl CheckpointStore for BrokenStore {
    async fn take_over(&mut self, partition: u32) -> Result<(u64, Option<Checkpoint>), Reaction> {
        let (epoch, checkpoint) = self.inner.take_over(partition).await?;
        Ok((if self.fault == Fault::ForgetsOwners { 1 } else { epoch }, checkpoint))
    }

    async fn forget(&mut self, partition: u32, owner_epoch: u64) -> Result<(), Reaction> {
        if self.fault == Fault::Remembers { Ok(()) } else { self.inner.forget(partition, owner_epoch).await }
    }

    async fn commit(&mut self, mut delta: Delta) -> Result<Committed, Reaction> {
        match self.fault {
            Fault::DropsAUser => drop(delta.users.pop()),
            Fault::ForgetsIds => delta.ids.clear(),
            Fault::KeepsEveryId => delta.horizon = usize::MAX,
            // Each commit comes as if from an owner later than all before.
            Fault::ForgetsOwners => {
                self.owners += 1_000;
                delta.owner_epoch = self.owners;
            }
            Fault::MixesPartitions => delta.partition = 0,
            Fault::KeepsUsers => delta.forgotten.clear(),
            Fault::TakesItForTheLast => {
                if self.last.replace(delta.position.next_offset) == Some(delta.position.next_offset) {
                    return Ok(Committed::Kept);
                }
            }
            Fault::SwallowsErrors | Fault::Remembers | Fault::DropsAnAccount | Fault::KeepsAccounts | Fault::ForgetsDecisions => {}
        }
        match self.inner.commit(delta).await {
            Err(_) if self.fault == Fault::SwallowsErrors => Ok(Committed::Kept),
            outcome => outcome,
        }
    }
}

struct BrokenPatterns {
    inner: Box<dyn PatternCheckpoints>,
    fault: Fault,
    owners: u64,
}

#[async_trait]
impl PatternCheckpoints for BrokenPatterns {
    async fn take_over_patterns(&mut self) -> Result<(u64, Option<PatternCheckpoint>), Reaction> {
        let (epoch, checkpoint) = self.inner.take_over_patterns().await?;
        Ok((if self.fault == Fault::ForgetsOwners { 1 } else { epoch }, checkpoint))
    }

    async fn forget_patterns(&mut self, owner_epoch: u64) -> Result<(), Reaction> {
        if self.fault == Fault::Remembers { Ok(()) } else { self.inner.forget_patterns(owner_epoch).await }
    }

    async fn commit_patterns(&mut self, mut delta: PatternDelta) -> Result<Committed, Reaction> {
        match self.fault {
            Fault::DropsAnAccount => drop(delta.accounts.pop()),
            Fault::KeepsAccounts => delta.removed.clear(),
            Fault::ForgetsDecisions => delta.record.pending.clear(),
            // Each commit comes as if from an owner later than all before.
            Fault::ForgetsOwners => {
                self.owners += 1_000;
                delta.owner_epoch = self.owners;
            }
            _ => {}
        }
        match self.inner.commit_patterns(delta).await {
            Err(_) if self.fault == Fault::SwallowsErrors => Ok(Committed::Kept),
            outcome => outcome,
        }
    }
}
