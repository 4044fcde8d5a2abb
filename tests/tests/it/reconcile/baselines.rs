//! The baselines, changed behind their backs, against a state worked out from the log.

use rusqlite::{Connection, params};
use wh_ops::reconcile::baselines::{Scoring, reconcile};
use wh_ops::reconcile::{Finding, Options, Summary, Told, What};
use wh_schemas::topics::ACCEPTED_TRANSACTIONS;
use wh_scorer::dedup::DEFAULT_HORIZON;
use wh_scorer::engine::Ruleset;
use wh_scorer::partition::{Emitted, PartitionScorer};
use wh_scorer::state::sqlite::SqliteCheckpoints;
use wh_scorer::state::users::StoredUsers;
use wh_scorer::state::{CheckpointStore, Delta};
use wh_stores::redis::RawRedis;

use super::Bench;
use crate::contract::servers::{own_name, redis};
use crate::records::{accepted, hospital, scorer};

async fn compare(bench: &Bench, store: &mut dyn StoredUsers, repair: bool) -> (Summary, Vec<Finding>) {
    let scoring = Scoring { ruleset: Ruleset::default(), dedup_horizon: DEFAULT_HORIZON };
    let mut found = Vec::new();
    let mut tell = |told: Told<'_>| match told {
        Told::Finding(finding) => found.push(finding.clone()),
        Told::Note(note) => panic!("{note}"),
        _ => {}
    };
    let summary = reconcile(&*bench.log, store, &scoring, Options::default(), repair, &mut tell).await.unwrap();
    (summary, found)
}

/// A partition that was scored and checkpointed twice.
async fn scored_into(bench: &Bench, store: &mut dyn CheckpointStore) -> PartitionScorer {
    bench.append(ACCEPTED_TRANSACTIONS, 0, &accepted(&hospital(5, 900))).await;
    let records = bench.records(ACCEPTED_TRANSACTIONS, 0).await;
    let (owner_epoch, _) = store.take_over(0).await.unwrap();
    let mut scorer = scorer(0, DEFAULT_HORIZON);
    for part in records.chunks(500) {
        let mut emitted = Emitted::default();
        part.iter().for_each(|record| scorer.process(record, &mut emitted));
        let changes = scorer.take_changes();
        let users = changes.users.iter().map(|user| (user.clone(), scorer.engine().user(user).unwrap().clone())).collect();
        let delta = Delta {
            partition: 0,
            owner_epoch,
            position: scorer.position().clone(),
            record: scorer.record(),
            users,
            forgotten: changes.forgotten,
            ids: changes.ids,
            horizon: DEFAULT_HORIZON,
        };
        store.commit(delta).await.unwrap();
    }
    scorer
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_proven_equal_to_what_the_log_says_and_put_right() {
    let bench = Bench::empty().await;
    let path = bench.folder.path().join("baselines.db");
    let mut store = SqliteCheckpoints::open(&path).unwrap();
    let scorer = scored_into(&bench, &mut store).await;
    let users = scorer.engine().users().count();
    let before = compare(&bench, &mut store, false).await;
    Bench::is_healthy("the baselines", &before);
    assert_eq!(before.0.rows, users as u64 + 1, "every user, and the partition's own record");
    let connection = Connection::open(&path).unwrap();
    let mut names: Vec<&str> = scorer.engine().users().map(|(user, _)| user).collect();
    names.sort_unstable();
    let [one, other, gone, ..] = names[..] else { panic!("{names:?}") };
    connection.execute("UPDATE users SET alerts = alerts + 1 WHERE user_id = ?1", [one]).unwrap();
    connection.execute("UPDATE users SET state = (SELECT state FROM users WHERE user_id = ?1) WHERE user_id = ?2", params![one, other]).unwrap();
    connection.execute("DELETE FROM users WHERE user_id = ?1", [gone]).unwrap();
    connection
        .execute("INSERT INTO users SELECT partition, 'stranger', seq, transactions, amount_mean, home_department, last_event, alerts, state FROM users WHERE user_id = ?1", [one])
        .unwrap();
    connection
        .execute("INSERT INTO users SELECT 9, user_id, seq, transactions, amount_mean, home_department, last_event, alerts, state FROM users WHERE user_id = ?1", [other])
        .unwrap();
    let (summary, found) = compare(&bench, &mut store, false).await;
    let mut told: Vec<(What, &str, u32)> = found.iter().map(|finding| (finding.what, finding.id.as_str(), finding.at.partition)).collect();
    told.sort_unstable();
    let mut wanted = vec![(What::Different, one, 0), (What::Different, other, 0), (What::Missing, gone, 0), (What::Extra, "stranger", 0), (What::Extra, other, 9)];
    wanted.sort_unstable();
    assert_eq!((told, summary.findings()), (wanted, 5));
    assert_eq!(compare(&bench, &mut store, true).await.0.left, 0);
    assert_eq!(compare(&bench, &mut store, false).await.0, before.0);
}

#[cfg_attr(not(has_redis), ignore = "WARDHOUSE_TEST_REDIS is not set")]
#[tokio::test(flavor = "multi_thread")]
async fn users_on_redis_are_proven_equal_to_what_the_log_says_and_put_right() {
    let bench = Bench::empty().await;
    let namespace = own_name(bench.folder.path());
    let settings = redis::settings(&namespace, &RawRedis::default());
    let mut store = wh_scorer::state::redis::RedisCheckpoints::open(&settings).await.unwrap();
    let scorer = scored_into(&bench, &mut store).await;
    let before = compare(&bench, &mut store, false).await;
    Bench::is_healthy("the baselines", &before);
    let mut names: Vec<&str> = scorer.engine().users().map(|(user, _)| user).collect();
    names.sort_unstable();
    let mut connection = wh_stores::redis::connect(&settings).await.unwrap();
    let key = |user: &str| format!("{namespace}:{{p0}}:user:{user}");
    let mut changes = ::redis::pipe();
    changes.cmd("HSET").arg(key(names[0])).arg("alerts").arg(77).ignore();
    changes.cmd("UNLINK").arg(key(names[1])).ignore();
    changes.cmd("ZREM").arg(format!("{namespace}:{{p0}}:index")).arg(names[1]).ignore();
    changes.cmd("COPY").arg(key(names[2])).arg(key("stranger")).ignore();
    changes.cmd("HSET").arg(key(names[3])).arg("state").arg("no state").ignore();
    changes.query_async::<()>(&mut connection).await.unwrap();
    let (summary, _) = compare(&bench, &mut store, false).await;
    assert_eq!((summary.different, summary.missing, summary.extra), (2, 1, 1));
    assert_eq!(compare(&bench, &mut store, true).await.0.left, 0);
    assert_eq!(compare(&bench, &mut store, false).await.0, before.0);
    redis::delete(&mut connection, &namespace).await;
}
