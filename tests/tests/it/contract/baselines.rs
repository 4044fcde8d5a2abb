//! The contract of the baselines store, which holds the scorer's checkpoints, check by check.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tempfile::TempDir;
use wh_eventlog::{Record, Stored};
use wh_schemas::Reaction;
use wh_scorer::dedup::{DEFAULT_HORIZON, Ids};
use wh_scorer::engine::Ruleset;
use wh_scorer::engine::ruleset::StateRules;
use wh_scorer::partition::{Changes, Emitted, PartitionRecord, PartitionScorer, Position};
use wh_scorer::state::patterns::PatternCheckpoints;
use wh_scorer::state::sqlite::SqliteCheckpoints;
use wh_scorer::state::{Checkpoint, CheckpointStore, Committed, Delta};

use super::Check;
use crate::records::{accepted, scorer, small_hospital};

/// A way to keep checkpoints.
#[async_trait]
pub(super) trait CheckpointAdapter: Send + Sync {
    fn name(&self) -> &'static str;
    /// Opens the store of a place, made when it is not there.
    async fn open(&self, place: &Path) -> Box<dyn CheckpointStore>;
    /// The same place, for patterns by account.
    async fn open_patterns(&self, place: &Path) -> Box<dyn PatternCheckpoints>;
    /// Removes what every place of this process left behind.
    async fn sweep(&self);
}

/// The adapter of the embedded default.
pub(super) fn embedded() -> Arc<dyn CheckpointAdapter> {
    Arc::new(Embedded)
}

/// The embedded default.
pub(super) struct Embedded;

#[async_trait]
impl CheckpointAdapter for Embedded {
    fn name(&self) -> &'static str {
        "the baselines on SQLite"
    }

    async fn open(&self, place: &Path) -> Box<dyn CheckpointStore> {
        Box::new(SqliteCheckpoints::open(&place.join("baselines.db")).unwrap())
    }

    async fn open_patterns(&self, place: &Path) -> Box<dyn PatternCheckpoints> {
        Box::new(SqliteCheckpoints::open(&place.join("baselines.db")).unwrap())
    }

    async fn sweep(&self) {}
}

type Adapter = Arc<dyn CheckpointAdapter>;

/// The suite.
pub(super) const CHECKS: &[Check<Adapter>] = checks![
    a_checkpoint_reads_back_whole,
    a_scorer_goes_on_from_a_checkpoint_to_the_bit,
    what_changed_is_merged_into_what_was_there,
    ids_within_the_horizon_are_kept,
    each_takeover_raises_the_epoch,
    a_takeover_before_the_first_checkpoint_counts,
    an_older_epoch_is_refused_and_changes_nothing,
    an_older_position_is_refused_and_changes_nothing,
    partitions_are_apart,
    a_forgotten_partition_begins_anew,
    users_that_were_forgotten_are_gone,
    a_checkpoint_may_stand_where_the_last_one_did,
];

/// A store in a place of its own.
struct Bench {
    adapter: Adapter,
    place: TempDir,
    store: Option<Box<dyn CheckpointStore>>,
}

impl Bench {
    async fn new(adapter: Adapter) -> Bench {
        let mut bench = Bench { adapter, place: tempfile::tempdir().unwrap(), store: None };
        bench.open().await;
        bench
    }

    /// Closes the store without a word and opens it anew.
    async fn open(&mut self) {
        self.store = None;
        self.store = Some(self.adapter.open(self.place.path()).await);
    }

    fn store(&mut self) -> &mut dyn CheckpointStore {
        self.store.as_deref_mut().unwrap()
    }

    async fn take_over(&mut self, partition: u32) -> (u64, Option<Checkpoint>) {
        self.store().take_over(partition).await.unwrap()
    }

    async fn refused(&mut self, delta: Delta) {
        let outcome = self.store().commit(delta).await;
        assert!(matches!(outcome, Err(Reaction::Fatal(_)) | Ok(Committed::Lost(_))), "{outcome:?}");
    }
}

/// What has changed in a scorer since this was last asked, as the stage checkpoints it.
fn delta(scorer: &mut PartitionScorer, partition: u32, owner_epoch: u64, horizon: usize) -> Delta {
    let Changes { users: names, forgotten, ids } = scorer.take_changes();
    let state = |name: String| {
        let state = scorer.engine().user(&name).unwrap().clone();
        (name, state)
    };
    let users = names.into_iter().map(state).collect();
    Delta { partition, owner_epoch, position: scorer.position().clone(), record: scorer.record(), users, forgotten, ids, horizon }
}

fn process(scorer: &mut PartitionScorer, records: &[Stored]) -> Vec<Record> {
    let mut emitted = Emitted::default();
    for record in records {
        scorer.process(record, &mut emitted);
    }
    emitted.scores
}

fn restored(partition: u32, checkpoint: Checkpoint) -> PartitionScorer {
    let mut ids = Ids::new(DEFAULT_HORIZON);
    checkpoint.ids.into_iter().for_each(|seen| ids.remember(seen));
    PartitionScorer::new(partition, Ruleset::default(), checkpoint.position, checkpoint.record, checkpoint.users, ids, "test")
}

/// Accepted records with a duplicate at the end, which only who remembers the ids recognises.
fn input() -> Vec<Stored> {
    let mut lines = small_hospital(11, 400);
    lines.push(lines[3].clone());
    accepted(&lines)
}

/// Asserts that a checkpoint is what a scorer is now.
fn assert_is(checkpoint: Checkpoint, scorer: &PartitionScorer) {
    assert_eq!((&checkpoint.position, &checkpoint.record), (scorer.position(), &scorer.record()));
    let mut users: Vec<_> = scorer.engine().users().map(|(name, state)| (name.to_owned(), state.clone())).collect();
    let mut found = checkpoint.users;
    users.sort_by(|a, b| a.0.cmp(&b.0));
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(found == users, "{} users instead of {}, or other states", found.len(), users.len());
}

async fn a_checkpoint_reads_back_whole(adapter: Adapter) {
    let (mut bench, mut scorer) = (Bench::new(adapter).await, scorer(0, DEFAULT_HORIZON));
    let (epoch, nothing) = bench.take_over(0).await;
    assert!(nothing.is_none());
    process(&mut scorer, &input()[..300]);
    let delta = delta(&mut scorer, 0, epoch, DEFAULT_HORIZON);
    let ids = delta.ids.clone();
    bench.store().commit(delta).await.unwrap();
    bench.open().await;
    let checkpoint = bench.take_over(0).await.1.unwrap();
    assert_eq!(checkpoint.ids, ids);
    assert_is(checkpoint, &scorer);
}

async fn a_scorer_goes_on_from_a_checkpoint_to_the_bit(adapter: Adapter) {
    let (mut bench, records) = (Bench::new(adapter).await, input());
    let wanted = process(&mut scorer(0, DEFAULT_HORIZON), &records);
    let mut found = Vec::new();
    for part in [&records[..130], &records[130..131], &records[131..320], &records[320..]] {
        bench.open().await;
        let (epoch, checkpoint) = bench.take_over(0).await;
        let mut scorer = checkpoint.map_or_else(|| scorer(0, DEFAULT_HORIZON), |checkpoint| restored(0, checkpoint));
        found.extend(process(&mut scorer, part));
        bench.store().commit(delta(&mut scorer, 0, epoch, DEFAULT_HORIZON)).await.unwrap();
    }
    assert_eq!(found.len(), wanted.len());
    assert!(found.iter().zip(&wanted).all(|(found, wanted)| found == wanted), "every emitted record is the same to the byte");
}

async fn what_changed_is_merged_into_what_was_there(adapter: Adapter) {
    let (mut bench, mut scorer, records) = (Bench::new(adapter).await, scorer(0, DEFAULT_HORIZON), input());
    let epoch = bench.take_over(0).await.0;
    let mut ids = Vec::new();
    for part in records.chunks(40) {
        process(&mut scorer, part);
        let delta = delta(&mut scorer, 0, epoch, DEFAULT_HORIZON);
        ids.extend(delta.ids.iter().copied());
        bench.store().commit(delta).await.unwrap();
    }
    let checkpoint = bench.take_over(0).await.1.unwrap();
    assert_eq!(checkpoint.ids, ids, "every id, oldest first");
    assert_is(checkpoint, &scorer);
}

async fn ids_within_the_horizon_are_kept(adapter: Adapter) {
    const HORIZON: usize = 100;
    let (mut bench, mut scorer, records) = (Bench::new(adapter).await, scorer(0, HORIZON), input());
    let epoch = bench.take_over(0).await.0;
    let mut ids = Vec::new();
    for part in records[..400].chunks(30) {
        process(&mut scorer, part);
        let delta = delta(&mut scorer, 0, epoch, HORIZON);
        ids.extend(delta.ids.iter().copied());
        bench.store().commit(delta).await.unwrap();
    }
    let checkpoint = bench.take_over(0).await.1.unwrap();
    assert!(checkpoint.ids.ends_with(&ids[ids.len() - HORIZON..]), "the last {HORIZON} ids, oldest first");
    assert!(checkpoint.ids.len() < ids.len(), "those beyond the horizon go");
}

async fn each_takeover_raises_the_epoch(adapter: Adapter) {
    let (mut bench, mut scorer) = (Bench::new(adapter).await, scorer(0, DEFAULT_HORIZON));
    let first = bench.take_over(0).await.0;
    process(&mut scorer, &input()[..20]);
    bench.store().commit(delta(&mut scorer, 0, first, DEFAULT_HORIZON)).await.unwrap();
    assert_eq!(bench.take_over(0).await.0, first + 1);
    bench.open().await;
    assert_eq!(bench.take_over(0).await.0, first + 2);
}

async fn a_takeover_before_the_first_checkpoint_counts(adapter: Adapter) {
    let (mut bench, mut late, mut scorer) = (Bench::new(adapter).await, scorer(0, DEFAULT_HORIZON), scorer(0, DEFAULT_HORIZON));
    let first = bench.take_over(0).await.0;
    let (second, nothing) = bench.take_over(0).await;
    assert!(nothing.is_none(), "there is no checkpoint to go on from");
    assert_eq!(second, first + 1, "two owners have two epochs");
    process(&mut late, &input()[..50]);
    bench.refused(delta(&mut late, 0, first, DEFAULT_HORIZON)).await;
    process(&mut scorer, &input()[..20]);
    bench.store().commit(delta(&mut scorer, 0, second, DEFAULT_HORIZON)).await.unwrap();
    assert_is(bench.take_over(0).await.1.unwrap(), &scorer);
}

async fn an_older_epoch_is_refused_and_changes_nothing(adapter: Adapter) {
    let (mut bench, mut late, mut scorer) = (Bench::new(adapter).await, scorer(0, DEFAULT_HORIZON), scorer(0, DEFAULT_HORIZON));
    let first = bench.take_over(0).await.0;
    process(&mut scorer, &input()[..100]);
    bench.store().commit(delta(&mut scorer, 0, first, DEFAULT_HORIZON)).await.unwrap();
    bench.take_over(0).await;
    // The old owner is further than the new one, and has other states.
    process(&mut late, &input()[..200]);
    bench.refused(delta(&mut late, 0, first, DEFAULT_HORIZON)).await;
    let checkpoint = bench.take_over(0).await.1.unwrap();
    assert_eq!(checkpoint.ids.len(), 100);
    assert_is(checkpoint, &scorer);
}

async fn an_older_position_is_refused_and_changes_nothing(adapter: Adapter) {
    let (mut bench, mut early, mut scorer) = (Bench::new(adapter).await, scorer(0, DEFAULT_HORIZON), scorer(0, DEFAULT_HORIZON));
    let epoch = bench.take_over(0).await.0;
    process(&mut scorer, &input()[..200]);
    bench.store().commit(delta(&mut scorer, 0, epoch, DEFAULT_HORIZON)).await.unwrap();
    process(&mut early, &input()[..150]);
    bench.refused(delta(&mut early, 0, epoch, DEFAULT_HORIZON)).await;
    let checkpoint = bench.take_over(0).await.1.unwrap();
    assert_eq!(checkpoint.ids.len(), 200);
    assert_is(checkpoint, &scorer);
}

async fn partitions_are_apart(adapter: Adapter) {
    let (mut bench, mut zero, mut two) = (Bench::new(adapter).await, scorer(0, DEFAULT_HORIZON), scorer(2, DEFAULT_HORIZON));
    let records = input();
    let epochs = (bench.take_over(0).await.0, bench.take_over(2).await.0);
    process(&mut zero, &records[..100]);
    process(&mut two, &records[..250]);
    bench.store().commit(delta(&mut zero, 0, epochs.0, DEFAULT_HORIZON)).await.unwrap();
    bench.store().commit(delta(&mut two, 2, epochs.1, DEFAULT_HORIZON)).await.unwrap();
    bench.open().await;
    assert!(bench.take_over(1).await.1.is_none());
    assert_is(bench.take_over(0).await.1.unwrap(), &zero);
    assert_is(bench.take_over(2).await.1.unwrap(), &two);
}

async fn a_forgotten_partition_begins_anew(adapter: Adapter) {
    let (mut bench, mut zero, mut one) = (Bench::new(adapter).await, scorer(0, DEFAULT_HORIZON), scorer(1, DEFAULT_HORIZON));
    let records = input();
    let epochs = (bench.take_over(0).await.0, bench.take_over(1).await.0);
    process(&mut zero, &records[..300]);
    process(&mut one, &records[..100]);
    bench.store().commit(delta(&mut zero, 0, epochs.0, DEFAULT_HORIZON)).await.unwrap();
    bench.store().commit(delta(&mut one, 1, epochs.1, DEFAULT_HORIZON)).await.unwrap();
    let (epoch, found) = bench.take_over(0).await;
    assert!(found.is_some());
    bench.store().forget(0, epoch).await.unwrap();
    bench.open().await;
    let (next, nothing) = bench.take_over(0).await;
    assert!(nothing.is_none() && next > epoch, "nothing is left but the epoch");
    // What is written behind it is not mixed with what was there.
    let mut anew = crate::records::scorer(0, DEFAULT_HORIZON);
    process(&mut anew, &records[..20]);
    bench.store().commit(delta(&mut anew, 0, next, DEFAULT_HORIZON)).await.unwrap();
    assert_is(bench.take_over(0).await.1.unwrap(), &anew);
    assert_is(bench.take_over(1).await.1.unwrap(), &one);
}

/// A scorer of one partition that remembers so many users.
fn forgetful(users: u32) -> PartitionScorer {
    let ruleset = Ruleset { state: StateRules { max_users_per_partition: users }, ..Ruleset::default() };
    PartitionScorer::new(0, ruleset, Position::default(), PartitionRecord::default(), Vec::new(), Ids::new(DEFAULT_HORIZON), "test")
}

async fn users_that_were_forgotten_are_gone(adapter: Adapter) {
    // The small hospital has eight people: some go and come back between two checkpoints, some are away at one.
    let (mut bench, mut scorer) = (Bench::new(adapter).await, forgetful(5));
    let epoch = bench.take_over(0).await.0;
    let mut forgotten = 0;
    for part in input().chunks(7) {
        process(&mut scorer, part);
        let delta = delta(&mut scorer, 0, epoch, DEFAULT_HORIZON);
        forgotten += delta.forgotten.len();
        bench.store().commit(delta).await.unwrap();
    }
    assert!(forgotten > 10, "{forgotten} forgotten");
    assert_is(bench.take_over(0).await.1.unwrap(), &scorer);
}

async fn a_checkpoint_may_stand_where_the_last_one_did(adapter: Adapter) {
    let (mut bench, mut scorer, records) = (Bench::new(adapter).await, scorer(0, DEFAULT_HORIZON), input());
    // Before the first record, too: what a partition begins under is kept before anything is scored.
    for part in [&records[..0], &records[..100]] {
        let epoch = bench.take_over(0).await.0;
        process(&mut scorer, part);
        bench.store().commit(delta(&mut scorer, 0, epoch, DEFAULT_HORIZON)).await.unwrap();
        let mut again = delta(&mut scorer, 0, epoch, DEFAULT_HORIZON);
        again.record.control.next_offset = 7;
        let wanted = again.record.clone();
        bench.store().commit(again).await.unwrap();
        let found = bench.take_over(0).await.1.unwrap();
        assert_eq!((&found.position, &found.record), (scorer.position(), &wanted));
    }
}
