//! The servers, changed behind their backs.

use std::collections::BTreeSet;

use chrono_tz::Tz;
use mongodb::bson::{Bson, Document, doc};
use serde_json::json;
use wh_ops::reconcile::What;
use wh_schemas::position::SeqPosition;
use wh_sinks::elasticsearch::{ElasticsearchRows, SearchStore};
use wh_sinks::influxdb::{InfluxdbRows, MetricsStore};
use wh_sinks::mongodb::{DocumentsStore, MongodbRows};
use wh_sinks::postgres::{LedgerStore, PostgresRows};
use wh_stores::elasticsearch::Method;
use wh_stores::influxdb::points::{NANOS, THROUGHPUT, push_tag, second_and_block};
use wh_stores::mongodb::RawMongodb;
use wh_stores::mongodb::layout::DOCUMENTS;
use wh_stores::postgres::RawPostgres;

use super::{Bench, Place};
use crate::contract::servers::{elasticsearch, influxdb, mongodb as on_mongodb, own_name, postgres};

/// Of the rows below this `seq` a third each is edited, removed, and copied elsewhere.
const CHANGED: u64 = 999;

#[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES is not set")]
#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_on_postgresql_is_proven_equal_and_put_right() {
    let bench = Bench::new().await;
    let database = own_name(bench.folder.path());
    postgres::make(&database).await;
    let settings = postgres::settings(&database, &RawPostgres::default());
    let mut store = LedgerStore::open(&settings, Tz::UTC).await.unwrap();
    bench.fill(&mut store, 100).await;
    let mut rows = PostgresRows::new(&settings);
    let before = bench.compare(&mut rows, None).await;
    Bench::is_healthy("the ledger", &before);
    postgres::run(&settings, "UPDATE risk_alerts SET status = 'closed', acknowledged_by = 'somebody', acknowledged_at = now()").await;
    Bench::is_healthy("alerts that were closed", &bench.compare(&mut rows, None).await);
    let columns = [
        "timestamp = timestamp + interval '1 microsecond'",
        "amount = amount + 0.01",
        "user_id = user_id || '!'",
        "counterparty_account = coalesce(counterparty_account, '') || '!'",
        "description = coalesce(description, '') || '!'",
        "is_anomaly = NOT is_anomaly",
        "risk_score = risk_score + 1",
        "detection_rules = '[\"meddled\"]'",
        "metadata = coalesce(metadata, '{}') || '{\"meddled\": 1}'",
        "metadata_text = coalesce(metadata_text, '') || ' '",
        "transaction_id = transaction_id || '!'",
        "processed_at = processed_at - interval '1 second'",
    ];
    let all = "transaction_id || ' copy', timestamp, user_id, account_id, counterparty_account, department, transaction_type, amount, description, risk_score, risk_level, is_anomaly, \
         amount_score, time_score, frequency_score, behavior_score, metadata_score, detection_rules, ruleset, content_hash, processed_at, metadata, metadata_text";
    let mut wanted = BTreeSet::new();
    let mut statements = String::new();
    for row in &bench.records(wh_schemas::topics::RISK_SCORES, 0).await[..usize::try_from(CHANGED).unwrap()] {
        let scored = crate::records::score(row);
        if scored.risk_score.is_none() {
            continue;
        }
        let (at, seq) = (scored.position(), scored.seq);
        let pos = at.packed();
        match seq % 3 {
            0 => {
                statements.push_str(&format!("UPDATE transactions SET {} WHERE pos = {pos};", columns[usize::try_from(seq / 3).unwrap() % columns.len()]));
                wanted.insert((What::Different, "transactions", at));
            }
            1 => {
                statements.push_str(&format!("DELETE FROM transactions WHERE pos = {pos};"));
                wanted.insert((What::Missing, "transactions", at));
            }
            _ => {
                let elsewhere = if seq % 2 == 0 { pos + 50_000_000 } else { pos + (40 << 40) };
                statements.push_str(&format!("INSERT INTO transactions (pos, {}) SELECT {elsewhere}, {all} FROM transactions WHERE pos = {pos};", all.replace(" || ' copy'", "")));
                wanted.insert((What::Extra, "transactions", SeqPosition::unpacked(elsewhere)));
            }
        }
        if !scored.alerts.is_empty() {
            statements.push_str(&format!("UPDATE risk_alerts SET message = message || '!' WHERE pos = {pos};"));
            wanted.insert((What::Different, "risk_alerts", at));
        }
    }
    postgres::run(&settings, statements).await;
    bench.drill(&mut rows, &mut store, &wanted, before.0.rows).await;
    // Where the alert was written again, it is still closed.
    postgres::run(&settings, "DO $$ BEGIN ASSERT NOT EXISTS (SELECT 1 FROM risk_alerts WHERE status <> 'closed'), 'an alert was opened again'; END $$").await;
    drop((store, rows));
    postgres::drop_database(&database).await;
}

#[cfg_attr(not(has_mongodb), ignore = "WARDHOUSE_TEST_MONGODB is not set")]
#[tokio::test(flavor = "multi_thread")]
async fn the_documents_on_mongodb_are_proven_equal_and_put_right() {
    let bench = Bench::new().await;
    let database = own_name(bench.folder.path());
    let settings = on_mongodb::settings(&database, &RawMongodb::default());
    let mut store = DocumentsStore::open(&settings).await.unwrap();
    bench.fill(&mut store, 100).await;
    let mut rows = MongodbRows::open(&settings).await.unwrap();
    let before = bench.compare(&mut rows, None).await;
    Bench::is_healthy("the documents", &before);
    let connected = wh_stores::mongodb::connect(&settings).await.unwrap();
    let documents = connected.collection::<Document>(DOCUMENTS);
    let edits = [
        doc! { "$set": { "user_id": "meddled" } },
        doc! { "$inc": { "timestamp": 1_i64 } },
        doc! { "$set": { "metadata.meddled": 1 } },
        doc! { "$set": { "explanation.state_epoch": 99 } },
        doc! { "$set": { "explanation.risk_score": 12.5 } },
        doc! { "$unset": { "explanation.reasons": "" } },
        doc! { "$set": { "another": true } },
    ];
    let mut wanted = BTreeSet::new();
    let (mut removed, mut copies) = (Vec::new(), Vec::new());
    for row in &bench.records(wh_schemas::topics::RISK_SCORES, 0).await[..usize::try_from(CHANGED).unwrap()] {
        let scored = crate::records::score(row);
        if scored.risk_score.is_none() {
            continue;
        }
        let (at, seq, key) = (scored.position(), scored.seq, scored.position().packed());
        match seq % 3 {
            0 => {
                let edit = edits[usize::try_from(seq / 3).unwrap() % edits.len()].clone();
                assert_eq!(documents.update_one(doc! { "_id": key }, edit).bypass_document_validation(true).await.unwrap().modified_count, 1);
                wanted.insert((What::Different, "documents", at));
            }
            1 => {
                removed.push(key);
                wanted.insert((What::Missing, "documents", at));
            }
            _ => {
                let mut copy = documents.find_one(doc! { "_id": key }).await.unwrap().unwrap();
                let elsewhere = if seq % 2 == 0 { key + 50_000_000 } else { key + (40 << 40) };
                copy.insert("_id", Bson::Int64(elsewhere));
                copy.insert("transaction_id", format!("copy {seq}"));
                copies.push(copy);
                wanted.insert((What::Extra, "documents", SeqPosition::unpacked(elsewhere)));
            }
        }
    }
    documents.delete_many(doc! { "_id": { "$in": removed } }).await.unwrap();
    documents.insert_many(copies).await.unwrap();
    bench.drill(&mut rows, &mut store, &wanted, before.0.rows).await;
    on_mongodb::drop_database(&database).await;
}

#[cfg_attr(not(has_influxdb), ignore = "WARDHOUSE_TEST_INFLUXDB is not set")]
#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_on_influxdb_are_proven_equal_and_put_right() {
    let bench = Bench::new().await;
    let bucket = own_name(bench.folder.path());
    let settings = influxdb::settings(&bucket, &influxdb::raw());
    let mut store = MetricsStore::open(&settings).await.unwrap();
    bench.fill(&mut store, 100).await;
    let mut rows = InfluxdbRows::open(&settings).await.unwrap();
    let before = bench.compare(&mut rows, None).await;
    Bench::is_healthy("the metrics", &before);
    let client = wh_stores::influxdb::connect(&settings).await.unwrap();
    let statement = format!("SELECT \"transactions\", \"department\", \"partition\", \"risk_level\", \"transaction_type\" FROM \"{THROUGHPUT}\"");
    let (mut lines, mut found) = (Vec::new(), [0_u64; 3]);
    for (at, point) in client.fields(&statement).await.unwrap().iter().take(999).enumerate() {
        let (time, mut tags) = (point.int("time"), Vec::new());
        tags.extend_from_slice(b"throughput,department=");
        push_tag(point.text("department"), &mut tags);
        let rest = format!(",partition={},risk_level={},transaction_type={}", point.text("partition"), point.text("risk_level"), point.text("transaction_type"));
        tags.extend_from_slice(rest.as_bytes());
        match at % 3 {
            0 => lines.extend_from_slice(&[&tags[..], format!(" amount_sum=7777i {time}\n").as_bytes()].concat()),
            1 => {
                let predicate = ["department", "partition", "risk_level", "transaction_type"].map(|tag| format!("{tag}=\"{}\"", point.text(tag))).join(" AND ");
                client.delete(&format!("_measurement=\"{THROUGHPUT}\" AND {predicate}"), time, time).await.unwrap();
            }
            _ => {
                // Far from every second of the block, in the next second, and in a block that there is not.
                let (second, block) = second_and_block(time);
                let (second, block) = [(second + 40_000_000, block), (second + 1, block), (second, 4_000)][at / 3 % 3];
                let fields = " alerts=0i,amount_sum=1i,score_max=1i,score_sum=1i,transactions=1i ";
                let made_up = [b"throughput,department=made\\ up".as_slice(), rest.as_bytes(), fields.as_bytes(), format!("{}\n", second * NANOS + block).as_bytes()].concat();
                lines.extend_from_slice(&made_up);
            }
        }
        found[at % 3] += 1;
    }
    client.write(&lines).await.unwrap();
    let (summary, _) = bench.compare(&mut rows, None).await;
    assert_eq!([summary.different, summary.missing], [found[0], found[1]]);
    // Two that were made up may be one.
    assert!(summary.extra > found[2] / 2 && summary.extra <= found[2], "{summary:?} {found:?}");
    let (repaired, _) = bench.compare(&mut rows, Some(&mut store)).await;
    assert_eq!(repaired.left, 0, "{repaired:?}");
    assert_eq!(bench.compare(&mut rows, None).await.0, before.0);
    influxdb::drop_bucket(&settings, &bucket).await;
}

#[cfg_attr(not(has_elasticsearch), ignore = "WARDHOUSE_TEST_ELASTICSEARCH is not set")]
#[tokio::test(flavor = "multi_thread")]
async fn the_search_on_elasticsearch_is_proven_equal_and_put_right() {
    let bench = Bench::new().await;
    let namespace = own_name(bench.folder.path());
    let settings = elasticsearch::settings(&namespace, &elasticsearch::small());
    let mut store = SearchStore::open(settings.clone()).await.unwrap();
    bench.fill(&mut store, 100).await;
    let mut rows = ElasticsearchRows::open(&settings).await.unwrap();
    let before = bench.compare(&mut rows, None).await;
    Bench::is_healthy("the search", &before);
    let client = wh_stores::elasticsearch::connect(&settings).await.unwrap();
    let all = elasticsearch::ask(&client, Method::Post, &format!("{}/_search", settings.alerts()), Some(json!({ "size": 1_000 }))).await;
    let mut wanted: BTreeSet<Place> = BTreeSet::new();
    for (at, hit) in all["hits"]["hits"].as_array().unwrap().iter().enumerate() {
        let (index, id, source) = (hit["_index"].as_str().unwrap(), hit["_id"].as_str().unwrap(), &hit["_source"]);
        let number = |name: &str| source[name].as_u64().unwrap();
        let place = SeqPosition { partition: u32::try_from(number("partition")).unwrap(), seq: number("seq") };
        match at % 3 {
            0 => {
                let edit = [json!({ "message": "meddled" }), json!({ "risk_score": "71" }), json!({ "detection_rules": [] }), json!({ "created_at": 7 })][at / 3 % 4].clone();
                elasticsearch::ask(&client, Method::Post, &format!("{index}/_update/{id}"), Some(json!({ "doc": edit }))).await;
                wanted.insert((What::Different, "alerts", place));
            }
            1 => {
                elasticsearch::ask(&client, Method::Delete, &format!("{index}/_doc/{id}"), None).await;
                wanted.insert((What::Missing, "alerts", place));
            }
            _ => {
                let mut copy = source.clone();
                copy["seq"] = json!(place.seq + 50_000);
                elasticsearch::ask(&client, Method::Put, &format!("{index}/_doc/copy-{at}"), Some(copy)).await;
                wanted.insert((What::Extra, "alerts", SeqPosition { seq: place.seq + 50_000, ..place }));
            }
        }
    }
    assert!(wanted.len() > 50, "{}", wanted.len());
    bench.drill(&mut rows, &mut store, &wanted, before.0.rows).await;
    elasticsearch::delete(&client, &namespace).await;
}
