//! Patterns by account through the whole pipeline: found over several partitions of the scorer, and in every store that keeps them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wh_eventlog::Reader;
use wh_eventlog::gauges::Gauges;
use wh_query::Engine;
use wh_schemas::topics::{ACCOUNT_ACTIVITY, RISK_SCORES};
use wh_schemas::{Activity, ScoreRecord};
use wh_scorer::pattern_stage;
use wh_scorer::state::patterns::PatternCheckpoints;
use wh_scorer::state::sqlite::{SqliteCheckpoints, read_patterns};

use crate::pipeline::{PARTITIONS, Pipeline, STAGES, pattern_settings, until};
use crate::records::{apart, round_trip, topic};
use crate::sql;

const SOON: Duration = Duration::from_millis(400);

async fn one(engine: &Engine, query: &str) -> Vec<String> {
    let mut rows = sql::rows(engine, query).await;
    assert_eq!(rows.len(), 1, "{query}: {rows:?}");
    rows.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_trip_over_two_partitions_reaches_ledger_and_search() {
    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = Pipeline::open(folder.path()).await;
    // The third partition brings nothing: it is let go.
    pipeline.idle_after = SOON;
    pipeline.start_all(&STAGES);
    pipeline.feed(&round_trip(PARTITIONS)).await;
    pipeline.settle().await;
    let engine = sql::engine(folder.path());
    until("the round trip is in the ledger", async || {
        let found = sql::rows(&engine, "SELECT 1 FROM ledger.risk_alerts WHERE alert_type = 'round_trip'").await;
        (found.len() == 1).then_some(())
    })
    .await;
    let status = pipeline.settle().await;
    assert!(status.settled(), "{status:#?}");
    pipeline.stop().await;

    let [mover, _] = apart(PARTITIONS);
    let alert = "SELECT alert_id, transaction_id, user_id, status, \"partition\", risk_score >= 70 FROM ledger.risk_alerts WHERE alert_type = 'round_trip'";
    let found = one(&engine, alert).await;
    assert_eq!(found[1..], ["hop 2", mover.as_str(), "open", "1000000", "true"]);
    let pattern = one(&engine, "SELECT pattern_id, user_id, accounts, members, description <> '' FROM transaction_patterns WHERE pattern_type = 'round_trip'").await;
    assert_eq!(pattern, [found[0].as_str(), sql::NULL, r#"["round A","round B","round C"]"#, r#"["hop 0","hop 1","hop 2"]"#, "true"]);
    let searched = one(&engine, "SELECT alert_id, transaction_id FROM search.alerts WHERE alert_type = 'round_trip' AND match(message, 'came back')").await;
    assert_eq!(searched, found[..2]);
    let lags = sql::rows(&engine, "SELECT store, lag_rows FROM system.freshness WHERE stream = 'patterns' AND \"partition\" = 0 ORDER BY store").await;
    assert_eq!(lags, [["ledger", "0"], ["search", "0"]]);

    // As of a cut they are there all the same, and the reader is told.
    let connection = sql::session(&engine);
    connection.query("SET wardhouse.read = 'cut'").await.unwrap();
    assert_eq!(sql::rows_of(&connection, alert).await, [found]);
    let told = connection.query("SELECT count(*) FROM search.alerts").await.unwrap().notices;
    assert!(told.len() == 1 && told[0].contains("pattern alerts as they are now"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_scored_record_and_no_duplicate_has_its_activity_in_the_one_partition() {
    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = Pipeline::open(folder.path()).await;
    let mut lines = round_trip(PARTITIONS);
    lines.push(lines[0].clone());
    pipeline.start_all(&["intake", "scorer"]);
    pipeline.feed(&lines).await;
    pipeline.settle().await;
    pipeline.stop().await;
    let activities = topic(&*pipeline.log, ACCOUNT_ACTIVITY).await;
    assert_eq!(activities.len(), 1, "one partition");
    let mut found = Vec::new();
    for record in &activities[0] {
        let activity: Activity<'_> = serde_json::from_slice(&record.value).unwrap();
        let key = activity.counterparty_account.as_ref().unwrap_or(&activity.account_id);
        assert_eq!(record.key.as_deref(), Some(key.as_bytes()));
        found.push((activity.partition, activity.seq, activity.transaction_id.to_string(), activity.risk_score));
    }
    let mut wanted = Vec::new();
    for record in topic(&*pipeline.log, RISK_SCORES).await.concat() {
        let row: ScoreRecord<'_> = serde_json::from_slice(&record.value).unwrap();
        wanted.extend(row.risk_score.map(|score| (row.partition, row.seq, row.transaction_id.to_string(), score)));
    }
    found.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(found, wanted);
    assert_eq!(found.len(), lines.len() - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scorer_that_is_down_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = Pipeline::open(folder.path()).await;
    pipeline.idle_after = SOON;
    pipeline.start_all(&["intake", "scorer"]);
    let lines = round_trip(PARTITIONS);
    let (before, after) = lines.split_at(6);
    pipeline.feed(before).await;
    pipeline.settle().await;
    pipeline.kill("scorer").await;
    pipeline.feed(after).await;
    pipeline.settle().await;

    // Two partitions have something before them that nobody scores.
    let gauges = Arc::new(Gauges::new(pattern_stage::GROUP));
    let checkpoints = Box::new(SqliteCheckpoints::open(&folder.path().join("baselines.db")).unwrap());
    let stop = CancellationToken::new();
    let stage = tokio::spawn(pattern_stage::run(pipeline.log.clone(), checkpoints, pattern_settings(SOON), gauges.clone(), stop.clone()));
    until("the idle partition is let go", async || (gauges.waiting.load(Ordering::Relaxed) == 2).then_some(())).await;
    tokio::time::sleep(SOON * 4).await;
    assert_eq!(gauges.waiting.load(Ordering::Relaxed), 2, "the others are not");
    stop.cancel();
    stage.await.unwrap().unwrap();
    let (_, record) = read_patterns(&folder.path().join("baselines.db")).unwrap().unwrap();
    assert_eq!(record.unawaited.len(), 1);

    pipeline.start_all(&["scorer", "patterns"]);
    until("the round trip is found", async || (read_patterns(&folder.path().join("baselines.db")).unwrap()?.1.counts.alerts > 0).then_some(())).await;
    pipeline.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_of_another_log_is_refused() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut pipeline = Pipeline::open(folder.path()).await;
    pipeline.start_all(&STAGES[..3]);
    pipeline.feed(&round_trip(PARTITIONS)).await;
    pipeline.settle().await;
    pipeline.stop().await;
    let elsewhere = Pipeline::open(other.path()).await;
    let checkpoints: Box<dyn PatternCheckpoints> = Box::new(SqliteCheckpoints::open(&folder.path().join("baselines.db")).unwrap());
    let gauges = Arc::new(Gauges::new(pattern_stage::GROUP));
    let outcome = pattern_stage::run(elsewhere.log.clone(), checkpoints, pattern_settings(SOON), gauges, CancellationToken::new()).await;
    assert!(outcome.unwrap_err().to_string().contains("another log"));
    assert_eq!(elsewhere.log.bounds(ACCOUNT_ACTIVITY, 0).await.unwrap().end, 0);
}
