//! Snapshots of several owners in one topic.

use std::sync::Arc;

use super::*;
use wh_eventlog::embedded::{EmbeddedLog, Settings};
use wh_eventlog::{Log, Producer};
use wh_schemas::topics;

async fn log(folder: &std::path::Path) -> Arc<EmbeddedLog> {
    let log = EmbeddedLog::open(folder, Settings::default()).unwrap();
    log.ensure_topics(&topics::ALL, 1).await.unwrap();
    log
}

fn at(next_offset: u64) -> Position {
    Position { next_offset, ..Position::default() }
}

fn of(owner: Owner, next_offset: u64, users: &[&str], whole: bool) -> Vec<Record> {
    let states = users.iter().map(|user| ((*user).to_owned(), UserState::new(wh_schemas::Micros(0)))).collect();
    records(owner, &at(next_offset), &PartitionRecord::default(), &Users { states, forgotten: Vec::new(), whole }).unwrap()
}

async fn last(log: &EmbeddedLog) -> Option<(u64, Vec<String>)> {
    let found = last_snapshot(log, 0, 10).await.unwrap()?;
    let mut users: Vec<String> = found.users.into_iter().map(|(user, _)| user).collect();
    users.sort_unstable();
    Some((found.position.next_offset, users))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_late_owner_writes_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path()).await;
    let (one, two) = (owner(&*log, 0, 4).await.unwrap(), Owner { generation: 0, epoch: 5 });
    assert_eq!(one, Owner { generation: 0, epoch: 4 });
    log.produce(SCORER_STATE, 0, of(one, 10, &["a", "b"], true)).await.unwrap();
    // The late one's records come between those of the next owner, and behind them.
    let (next, late) = (of(two, 20, &["a", "b", "c"], true), of(one, 15, &["b"], false));
    log.produce(SCORER_STATE, 0, next[..2].to_vec()).await.unwrap();
    log.produce(SCORER_STATE, 0, late.clone()).await.unwrap();
    log.produce(SCORER_STATE, 0, next[2..].to_vec()).await.unwrap();
    let wanted = Some((20, vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]));
    assert_eq!(last(&log).await, wanted);
    log.produce(SCORER_STATE, 0, late).await.unwrap();
    assert_eq!(last(&log).await, wanted);
    // What an earlier version wrote says nothing of its owner.
    let bare = of(two, 30, &["d"], false).into_iter().map(|record| Record { headers: Vec::new(), ..record }).collect();
    log.produce(SCORER_STATE, 0, bare).await.unwrap();
    assert_eq!(last(&log).await.unwrap().0, 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_which_a_late_owner_took_a_part_away_counts_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path()).await;
    let (one, two) = (Owner { generation: 0, epoch: 4 }, Owner { generation: 0, epoch: 5 });
    // As compaction leaves it: the later record of user b is the late owner's.
    log.produce(SCORER_STATE, 0, of(two, 20, &["a"], true)).await.unwrap();
    log.produce(SCORER_STATE, 0, of(one, 15, &["b"], false)[..1].to_vec()).await.unwrap();
    assert_eq!(last(&log).await, None);
    log.produce(SCORER_STATE, 0, of(two, 25, &["b"], false)).await.unwrap();
    assert_eq!(last(&log).await, Some((25, vec!["a".to_owned(), "b".to_owned()])), "it is whole again once the owner has written the user again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_is_later_than_the_last_one_even_where_the_store_counts_from_lower_on_again() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path()).await;
    let before = Owner { generation: 2, epoch: 9 };
    log.produce(SCORER_STATE, 0, of(before, 10, &["a"], true)).await.unwrap();
    let unfinished: Vec<String> = (0..5_000).map(|i| format!("u{i}")).collect();
    let unfinished: Vec<&str> = unfinished.iter().map(String::as_str).collect();
    let mut behind = of(before, 20, &unfinished, false);
    behind.pop();
    log.produce(SCORER_STATE, 0, behind).await.unwrap();
    for (epoch, wanted) in [(10, Owner { generation: 2, epoch: 10 }), (9, Owner { generation: 3, epoch: 9 }), (1, Owner { generation: 3, epoch: 1 })] {
        let now = owner(&*log, 0, epoch).await.unwrap();
        assert_eq!(now, wanted);
        assert!(now > before);
    }
}
