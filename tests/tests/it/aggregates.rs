//! Aggregates that a store computes are those that DataFusion computes of its rows: the same statements with push-down on and off, over
//! awkward rows.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::util::display::array_value_to_string;
use futures::TryStreamExt;
use mongodb::bson::doc;
use serde_json::Value;
use wh_eventlog::Stored;
use wh_query::{Engine, Principal, Session, Way};
use wh_schemas::topics::RISK_SCORES;
use wh_sinks::delivery::{Batch, Store, Written};
use wh_sinks::{elasticsearch, influxdb, mongodb as documents};
use wh_stores::elasticsearch::RawElasticsearch;
use wh_stores::mongodb::RawMongodb;
use wh_stores::places::{DocumentsPlace, MetricsPlace, SearchPlace};

use crate::content::{self, Role};
use crate::contract::servers;
use crate::records::{score, stream};
use crate::sql::{NULL, engine, engine_with};

/// Texts that are easily taken for one another, or for nothing.
const TEXTS: [&str; 9] = ["", " ", "IT", "it", "It", "Größe Ω 🩺", "Gro\u{308}ße", "a, b=c'\"", "%41\\"];
/// Times at the ends of what there is, and of what stores have.
const TIMES: [&str; 9] = [
    "0001-01-01T00:00:00Z",
    "1677-09-21T00:12:43Z",
    "1677-09-21T00:12:44Z",
    "1969-12-31T23:59:59.999999Z",
    "2024-02-29T23:59:59Z",
    "2255-06-05T23:47:34.740992Z",
    "2262-04-11T23:47:15Z",
    "2262-04-11T23:47:16Z",
    "9999-12-31T23:59:59Z",
];

/// Scored records, many of them of awkward users, departments and times.
fn awkward() -> Vec<Stored> {
    let mut records = stream(0);
    let (mut texts, mut times) = (TEXTS.iter().cycle(), TIMES.iter().cycle());
    for (at, record) in records.iter_mut().enumerate() {
        let mut row: Value = serde_json::from_slice(&record.value).unwrap();
        if row["duplicate_of"].is_string() {
            continue;
        }
        if at % 3 == 0 {
            row["department"] = (*texts.next().unwrap()).into();
        }
        if at % 4 == 0 {
            row["user_id"] = (*texts.next().unwrap()).into();
        }
        if at % 5 == 0 {
            row["timestamp"] = (*times.next().unwrap()).into();
        }
        record.value = serde_json::to_vec(&row).unwrap().into();
    }
    records
}

async fn write(store: &mut dyn Store, records: &[Stored]) {
    let batch = Batch { topic: RISK_SCORES.into(), partition: 0, records: Arc::new(records.to_vec()), buried: std::collections::BTreeSet::new() };
    let written = store.write(batch).await.unwrap();
    assert!(matches!(written, Written::Done { .. }), "{written:?}");
    store.publish().await.unwrap();
}

fn session(engine: &Engine, pushdown: &str) -> Session {
    let session = engine.session(Principal::local(Way::Cli));
    session.set("wardhouse.pushdown", pushdown).unwrap();
    session
}

async fn answer(session: &Session, sql: &str) -> Vec<String> {
    let result = session.query(sql).await.unwrap_or_else(|error| panic!("{sql}\n{error}"));
    let batches: Vec<RecordBatch> = result.stream.try_collect().await.unwrap_or_else(|error| panic!("{sql}\n{error}"));
    let cell = |column: &dyn Array, row: usize| if column.is_null(row) { NULL.to_owned() } else { array_value_to_string(column, row).unwrap() };
    let row = |batch: &RecordBatch, row: usize| batch.columns().iter().map(|column| cell(column, row)).collect::<Vec<_>>().join(" | ");
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |at| row(batch, at))).collect()
}

/// Asks each statement both ways. `native` is what the store's own query says where it computes; those of `pushed` must say it.
async fn same(engine: &Engine, native: &str, pushed: &[&str], others: &[&str]) {
    let (on, off) = (session(engine, "on"), session(engine, "off"));
    for (at, sql) in pushed.iter().chain(others).enumerate() {
        let (mut found, mut wanted) = (answer(&on, sql).await, answer(&off, sql).await);
        found.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(found, wanted, "{sql}");
        let plan = answer(&on, &format!("EXPLAIN {sql}")).await.concat();
        assert!(at >= pushed.len() || plan.contains(native), "{native:?} is not in the plan of {sql}\n{plan}");
        let plan = answer(&off, &format!("EXPLAIN {sql}")).await.concat();
        assert!(!plan.contains(native), "{native:?} is in the plan of {sql} with push-down off\n{plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_mongodb), ignore = "WARDHOUSE_TEST_MONGODB names no server")]
async fn aggregates_in_mongodb_are_those_of_datafusion() {
    let place = tempfile::tempdir().unwrap();
    let name = servers::own_name(place.path());
    let settings = servers::mongodb::settings(&name, &RawMongodb::default());
    let mut store = documents::DocumentsStore::open(&settings).await.unwrap();
    write(&mut store, &awkward()).await;
    // As another instance, or somebody's hand, might have left them: null, missing, and numbers whose sum a double does not hold.
    let database = wh_stores::mongodb::connect(&settings).await.unwrap().database().clone();
    for (first, last, change) in [
        (0, 60, doc! { "$set": { "explanation.ruleset": null } }),
        (60, 120, doc! { "$unset": { "explanation.ruleset": "" } }),
        (120, 140, doc! { "$set": { "explanation.ruleset": "" } }),
        (140, 160, doc! { "$set": { "explanation.state_epoch": i64::MAX / 100 } }),
        (160, 165, doc! { "$set": { "explanation.state_epoch": i64::MIN / 100 } }),
    ] {
        let update = doc! { "q": { "_id": { "$gte": first, "$lt": last } }, "u": change, "multi": true };
        database.run_command(doc! { "update": "documents", "updates": [update] }).await.unwrap();
    }
    let engine = engine_with(place.path(), |places| places.documents = DocumentsPlace::Mongodb(settings.clone()));
    let pushed = [
        "SELECT count(*), count(ruleset), min(ruleset), max(ruleset), sum(risk_score), max(timestamp) FROM documents.explanations",
        "SELECT ruleset, count(*), count(ruleset), sum(state_epoch), min(timestamp) FROM documents.explanations GROUP BY ruleset",
        "SELECT user_id, risk_level, count(*), avg(risk_score), max(seq) FROM documents.explanations GROUP BY user_id, risk_level",
        "SELECT \"partition\", count(*), sum(seq), min(user_id) FROM documents.explanations WHERE risk_score > 10 GROUP BY \"partition\"",
        "SELECT count(DISTINCT ruleset), count(*) FROM documents.explanations",
        "SELECT risk_level, count(DISTINCT user_id), count(*), max(risk_score), sum(state_epoch) FROM documents.explanations GROUP BY risk_level",
        "SELECT DISTINCT user_id FROM documents.transaction_metadata WHERE seq < 700",
        "SELECT count(*), max(user_id), sum(seq) FROM documents.explanations WHERE user_id = 'nobody'",
        "SELECT user_id, count(*) FROM documents.explanations WHERE user_id = 'nobody' GROUP BY user_id",
        "SELECT date_trunc('hour', timestamp) AS t, count(*) FROM documents.explanations GROUP BY t",
        "SELECT date_trunc('week', timestamp) AS t, count(*), max(risk_score) FROM documents.explanations GROUP BY t",
        "SELECT date_trunc('month', timestamp) AS t, risk_level, count(*), min(user_id) FROM documents.explanations GROUP BY t, risk_level",
        "SELECT date_trunc('quarter', timestamp) AS t, sum(risk_score) FROM documents.explanations GROUP BY t",
        "SELECT date_trunc('year', timestamp) AS t, count(*) FROM documents.explanations WHERE ruleset IS NULL GROUP BY t HAVING count(*) > 1",
        "SELECT date_bin(INTERVAL '7 minutes', timestamp) AS t, count(*) FROM documents.explanations GROUP BY t",
    ];
    let others = [
        "SELECT reasons, count(*) FROM documents.explanations GROUP BY reasons",
        "SELECT count(DISTINCT user_id), count(DISTINCT ruleset) FROM documents.explanations",
        "SELECT date_trunc('month', timestamp) AS t, count(DISTINCT user_id) FROM documents.explanations GROUP BY t",
    ];
    same(&engine, "db.documents.aggregate(", &pushed, &others).await;
    servers::mongodb::drop_database(&name).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_elasticsearch), ignore = "WARDHOUSE_TEST_ELASTICSEARCH is not set")]
async fn aggregates_in_elasticsearch_are_those_of_datafusion() {
    let place = tempfile::tempdir().unwrap();
    // Pages of seven groups: each answer takes several.
    let settings = servers::elasticsearch::settings(&servers::own_name(place.path()), &RawElasticsearch { page_rows: 7, ..servers::elasticsearch::small() });
    let client = wh_stores::elasticsearch::connect(&settings).await.unwrap();
    let mut store = elasticsearch::SearchStore::open(settings.clone()).await.unwrap();
    let records = awkward();
    let late = records.iter().map(score).filter(|row| !row.alerts.is_empty() && row.timestamp.0.abs() > 1 << 53).count();
    assert!(late > 0, "no time that double precision does not hold");
    write(&mut store, &records).await;
    let engine = engine_with(place.path(), |places| places.search = SearchPlace::Elasticsearch(settings.clone()));
    let pushed = [
        "SELECT count(*), sum(risk_score), avg(risk_score), min(timestamp), max(timestamp), max(created_at), min(seq) FROM search.alerts",
        "SELECT department, count(*), min(timestamp), max(timestamp) FROM search.alerts GROUP BY department",
        "SELECT user_id, severity, count(*), sum(risk_score) FROM search.alerts WHERE risk_score > 75 GROUP BY user_id, severity",
        "SELECT risk_score, count(title) FROM search.alerts GROUP BY risk_score",
        "SELECT timestamp, count(*) FROM search.alerts GROUP BY timestamp",
        "SELECT seq, \"partition\", max(risk_score) FROM search.alerts GROUP BY seq, \"partition\"",
        "SELECT count(DISTINCT user_id) FROM search.alerts",
        "SELECT department, count(DISTINCT user_id), count(*), max(timestamp), sum(risk_score) FROM search.alerts GROUP BY department",
        "SELECT DISTINCT alert_type FROM search.alerts",
        "SELECT count(*), max(seq), sum(risk_score) FROM search.alerts WHERE user_id = 'nobody'",
        "SELECT date_trunc('hour', created_at) AS t, count(*), max(timestamp) FROM search.alerts GROUP BY t",
        "SELECT date_trunc('week', created_at) AS t, count(*) FROM search.alerts GROUP BY t",
        "SELECT date_trunc('quarter', created_at) AS t, severity, count(*), min(timestamp) FROM search.alerts GROUP BY t, severity",
        "SELECT date_bin(INTERVAL '1 millisecond', created_at) AS t, count(*) FROM search.alerts GROUP BY t",
        "SELECT severity, count(*) FROM search.alerts WHERE match(message, 'usual OR refund') GROUP BY severity",
    ];
    let others = [
        "SELECT date_trunc('day', timestamp) AS t, count(*) FROM search.alerts GROUP BY t",
        "SELECT title, count(*) FROM search.alerts GROUP BY title",
        "SELECT min(user_id), sum(seq), count(DISTINCT severity), count(DISTINCT department) FROM search.alerts",
    ];
    same(&engine, "\"size\":0", &pushed, &others).await;
    servers::elasticsearch::delete(&client, &settings.namespace).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_influxdb), ignore = "WARDHOUSE_TEST_INFLUXDB names no server")]
async fn aggregates_in_influxdb_are_those_of_datafusion() {
    let place = tempfile::tempdir().unwrap();
    let settings = servers::influxdb::settings(&servers::own_name(place.path()), &servers::influxdb::raw());
    let mut store = influxdb::MetricsStore::open(&settings).await.unwrap();
    write(&mut store, &awkward()).await;
    // Sums of money beyond 64 bits, in one hour and over all.
    let huge: String = (0..4)
        .map(|block| {
            let values = format!("transactions=9224i,amount_sum={}i,score_sum=1i,score_max=1i,alerts=0i", i64::MAX);
            format!("throughput,department=IT,partition=9,risk_level=low,transaction_type=refund {values} {}\n", 1_767_268_800_000_000_000_i64 + block)
        })
        .collect();
    wh_stores::influxdb::connect(&settings).await.unwrap().write(huge.as_bytes()).await.unwrap();
    let engine = engine_with(place.path(), |places| places.metrics = MetricsPlace::Influxdb(settings.clone()));
    let pushed = [
        "SELECT count(*), sum(transactions), sum(amount_sum), sum(score_sum), min(amount_sum), max(score_max) FROM metrics.throughput",
        "SELECT department, count(*), sum(amount_sum), max(amount_sum) FROM metrics.throughput GROUP BY department",
        "SELECT \"partition\", risk_level, transaction_type, sum(alerts), sum(amount_sum) FROM metrics.throughput WHERE score_max > 10 OR alerts = 0 GROUP BY \"partition\", risk_level, transaction_type",
        "SELECT count(DISTINCT department), count(DISTINCT risk_level), sum(amount_sum) FROM metrics.throughput",
        "SELECT risk_level, count(DISTINCT department), count(*) FROM metrics.throughput GROUP BY risk_level",
        "SELECT DISTINCT department FROM metrics.throughput",
        "SELECT count(*), max(alerts), sum(amount_sum) FROM metrics.throughput WHERE department = 'nowhere'",
        "SELECT department, sum(amount_sum) FROM metrics.throughput WHERE \"time\" >= '2026-01-01' AND \"time\" < '2026-01-02T12:34:56.7Z' GROUP BY department",
        "SELECT \"time\", count(*), sum(transactions) FROM metrics.throughput GROUP BY \"time\"",
        "SELECT date_trunc('hour', \"time\") AS t, department, sum(amount_sum), count(*) FROM metrics.throughput GROUP BY t, department",
        "SELECT date_trunc('day', \"time\") AS t, sum(transactions) FROM metrics.throughput GROUP BY t",
        "SELECT date_trunc('week', \"time\") AS t, sum(amount_sum), max(score_max) FROM metrics.throughput GROUP BY t",
        "SELECT date_trunc('month', \"time\") AS t, risk_level, sum(amount_sum) FROM metrics.throughput GROUP BY t, risk_level",
        "SELECT date_trunc('year', \"time\") AS t, min(amount_sum), count(*) FROM metrics.throughput WHERE \"time\" < '2100-01-01' GROUP BY t",
        "SELECT date_bin(INTERVAL '90 minutes', \"time\") AS t, sum(alerts) FROM metrics.throughput GROUP BY t",
    ];
    let others = [
        "SELECT \"block\", count(*) FROM metrics.throughput GROUP BY \"block\"",
        "SELECT max(\"time\"), min(department), sum(\"partition\") FROM metrics.throughput",
        "SELECT date_bin(INTERVAL '90 minutes', \"time\", TIMESTAMP '2026-01-01T00:10:00Z') AS t, sum(alerts) FROM metrics.throughput GROUP BY t",
        "SELECT date_trunc('day', \"time\") AS t, count(DISTINCT department) FROM metrics.throughput GROUP BY t",
    ];
    same(&engine, "\") AS \"m0\"", &pushed, &others).await;
    servers::influxdb::drop_bucket(&settings, &settings.bucket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_in_the_index_are_those_of_datafusion() {
    let place = tempfile::tempdir().unwrap();
    let mut store = content::open(Role::Search, place.path()).unwrap();
    write(store.as_mut(), &awkward()).await;
    let pushed = [
        "SELECT count(*) FROM search.alerts",
        "SELECT count(title) FROM search.alerts WHERE risk_score > 75 AND department <> 'IT'",
        "SELECT count(*) FROM search.alerts WHERE match(message, 'usual NOT refund')",
        "SELECT count(*) FROM search.alerts WHERE user_id = 'nobody'",
    ];
    let others = ["SELECT count(score()) FROM search.alerts", "SELECT department, count(*) FROM search.alerts GROUP BY department"];
    same(&engine(place.path()), "count of ", &pushed, &others).await;
}
