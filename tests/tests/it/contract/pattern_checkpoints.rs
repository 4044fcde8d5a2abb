//! The contract of the baselines store for the checkpoint of patterns by account, check by check.

use std::collections::BTreeMap;
use std::sync::Arc;

use tempfile::TempDir;
use wh_schemas::Reaction;
use wh_scorer::state::Committed;
use wh_scorer::state::patterns::{Decision, PatternCheckpoint, PatternCheckpoints, PatternCounts, PatternDelta, PatternPosition, PatternRecord};

use super::Check;
use super::baselines::CheckpointAdapter;

type Adapter = Arc<dyn CheckpointAdapter>;

/// The suite.
pub(super) const CHECKS: &[Check<Adapter>] = checks![
    a_checkpoint_of_patterns_reads_back_whole,
    accounts_are_merged_and_forgotten,
    each_takeover_of_patterns_raises_the_epoch,
    an_older_owner_of_patterns_changes_nothing,
    an_older_position_of_patterns_is_refused,
    a_checkpoint_of_patterns_may_stand_where_the_last_one_did,
    patterns_that_were_forgotten_begin_anew,
];

/// A store in a place of its own.
struct Bench {
    adapter: Adapter,
    place: TempDir,
    store: Box<dyn PatternCheckpoints>,
}

impl Bench {
    async fn new(adapter: Adapter) -> Bench {
        let place = tempfile::tempdir().unwrap();
        let store = adapter.open_patterns(place.path()).await;
        Bench { adapter, place, store }
    }

    /// Opens the store anew beside the one that is there.
    async fn open(&mut self) {
        self.store = self.adapter.open_patterns(self.place.path()).await;
    }

    async fn take_over(&mut self) -> (u64, Option<PatternCheckpoint>) {
        self.store.take_over_patterns().await.unwrap()
    }

    async fn commit(&mut self, delta: PatternDelta) {
        assert_eq!(self.store.commit_patterns(delta).await.unwrap(), Committed::Kept);
    }

    async fn refused(&mut self, delta: PatternDelta) {
        let outcome = self.store.commit_patterns(delta).await;
        assert!(matches!(outcome, Err(Reaction::Fatal(_)) | Ok(Committed::Lost(_))), "{outcome:?}");
    }
}

/// A checkpoint with accounts of these numbers.
fn delta(owner_epoch: u64, next: u64, accounts: impl IntoIterator<Item = u8>, removed: &[u8]) -> PatternDelta {
    let name = |number: u8| format!("account {number} / ü \u{1}");
    PatternDelta {
        owner_epoch,
        position: PatternPosition { next_seq: next / 2, next_offset: next },
        record: PatternRecord {
            counts: PatternCounts { taken: next, ..PatternCounts::default() },
            log: "a log".to_owned(),
            pending: vec![Decision { partition: 2, awaited: next.is_multiple_of(2) }],
            unawaited: [1].into(),
            output_offset: next,
            rebuilding: false,
            last: None,
        },
        header: (0..=255).chain([u8::try_from(next % 256).unwrap()]).collect(),
        accounts: accounts.into_iter().map(|number| (name(number), vec![0, number, 255, u8::try_from(next % 256).unwrap()])).collect(),
        removed: removed.iter().map(|number| name(*number)).collect(),
    }
}

/// Asserts that a checkpoint is what these deltas come to.
fn assert_is(found: Option<PatternCheckpoint>, deltas: &[PatternDelta]) {
    let mut accounts = BTreeMap::new();
    for delta in deltas {
        for name in &delta.removed {
            accounts.remove(name);
        }
        accounts.extend(delta.accounts.iter().cloned());
    }
    let last = deltas.last().unwrap();
    let wanted = PatternCheckpoint { position: last.position, record: last.record.clone(), header: last.header.clone(), accounts: accounts.into_iter().collect() };
    let mut found = found.unwrap();
    found.accounts.sort();
    assert!(found == wanted, "{} accounts instead of {}, or another state", found.accounts.len(), wanted.accounts.len());
}

async fn a_checkpoint_of_patterns_reads_back_whole(adapter: Adapter) {
    let mut bench = Bench::new(adapter).await;
    let (epoch, nothing) = bench.take_over().await;
    assert!(nothing.is_none());
    let delta = delta(epoch, 10, 0..100, &[]);
    bench.commit(delta.clone()).await;
    bench.open().await;
    assert_is(bench.take_over().await.1, &[delta]);
}

async fn accounts_are_merged_and_forgotten(adapter: Adapter) {
    let mut bench = Bench::new(adapter).await;
    let epoch = bench.take_over().await.0;
    let deltas = [delta(epoch, 10, 0..30, &[]), delta(epoch, 20, 20..40, &[1, 2, 39]), delta(epoch, 30, [1, 50], &[3, 77])];
    for delta in &deltas {
        bench.commit(delta.clone()).await;
    }
    assert_is(bench.take_over().await.1, &deltas);
}

async fn each_takeover_of_patterns_raises_the_epoch(adapter: Adapter) {
    let mut bench = Bench::new(adapter).await;
    let first = bench.take_over().await.0;
    assert_eq!(bench.take_over().await.0, first + 1, "also before the first checkpoint");
    bench.commit(delta(first + 1, 10, 0..3, &[])).await;
    bench.open().await;
    assert_eq!(bench.take_over().await.0, first + 2);
}

async fn an_older_owner_of_patterns_changes_nothing(adapter: Adapter) {
    let mut bench = Bench::new(adapter).await;
    let first = bench.take_over().await.0;
    let kept = delta(first, 10, 0..9, &[]);
    bench.commit(kept.clone()).await;
    bench.take_over().await;
    // The old owner is further than the new one.
    bench.refused(delta(first, 20, 5..15, &[1])).await;
    assert_is(bench.take_over().await.1, &[kept]);
}

async fn an_older_position_of_patterns_is_refused(adapter: Adapter) {
    let mut bench = Bench::new(adapter).await;
    let epoch = bench.take_over().await.0;
    let kept = delta(epoch, 20, 0..9, &[]);
    bench.commit(kept.clone()).await;
    bench.refused(delta(epoch, 10, 5..15, &[1])).await;
    assert_is(bench.take_over().await.1, &[kept]);
}

async fn a_checkpoint_of_patterns_may_stand_where_the_last_one_did(adapter: Adapter) {
    let mut bench = Bench::new(adapter).await;
    let epoch = bench.take_over().await.0;
    let first = delta(epoch, 10, 0..9, &[]);
    // A decision is kept at the same place, with what it came to.
    let mut second = delta(epoch, 10, 5..12, &[1]);
    second.record.pending = vec![Decision { partition: 0, awaited: false }, Decision { partition: 1, awaited: true }];
    bench.commit(first.clone()).await;
    bench.commit(second.clone()).await;
    // The same one again, as where the answer was lost.
    bench.commit(second.clone()).await;
    bench.open().await;
    assert_is(bench.take_over().await.1, &[first, second]);
}

async fn patterns_that_were_forgotten_begin_anew(adapter: Adapter) {
    let mut bench = Bench::new(adapter).await;
    let epoch = bench.take_over().await.0;
    bench.commit(delta(epoch, 20, 0..30, &[])).await;
    bench.store.forget_patterns(epoch).await.unwrap();
    bench.open().await;
    let (next, nothing) = bench.take_over().await;
    assert!(nothing.is_none() && next > epoch, "nothing is left but the epoch");
    // What is written behind it is not mixed with what was there.
    let anew = delta(next, 10, 40..50, &[]);
    bench.commit(anew.clone()).await;
    assert_is(bench.take_over().await.1, &[anew]);
}
