//! SQL over the documents: what was written comes back byte by byte, and conditions mean what they mean in DataFusion.

use std::borrow::Cow;

use mongodb::bson::doc;
use serde_json::value::RawValue;
use wh_eventlog::Stored;
use wh_schemas::json::RawObject;
use wh_sinks::delivery::{Batch, Store, Tally};

use super::{Bench, batch, settle};
use crate::records::{score, stream};
use crate::sql::rows;

/// The same scored record with other metadata, as somebody might have put it into the topic.
fn with_metadata(record: &Stored, metadata: &str) -> Stored {
    let mut row = score(record);
    row.metadata = RawObject(Cow::Owned(RawValue::from_string(metadata.to_owned()).unwrap()));
    Stored { value: serde_json::to_vec(&row).unwrap().into(), ..record.clone() }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_mongodb), ignore = "WARDHOUSE_TEST_MONGODB names no server")]
async fn metadata_that_bson_cannot_hold_comes_back_byte_by_byte() {
    let bench = Bench::new();
    let deep = format!("{}0{}", "{\"a\":".repeat(150), "}".repeat(150));
    let wide = format!("{{\"a\":[{}0]}}", "0,".repeat(1_500_000));
    let odd = [r#"{"a":1,"a":2}"#, r#"{"a\u0000b":1}"#, r#"{"n":1e400,"m":1E5,"o":-0}"#, r#"{"s":"\u00e9\/\ud834\udd1e"}"#, r#"{"$ref":"x","$id":1,"":{"$gt":""}}"#, &deep, &wide];
    let fresh = stream(0).into_iter().filter(|record| score(record).risk_score.is_some());
    let records: Vec<Stored> = fresh.zip(odd).map(|(record, metadata)| with_metadata(&record, metadata)).collect();
    // As if they were the first of their partition.
    let records: Vec<Stored> = (0..).zip(records).map(|(seq, record)| numbered(&record, seq)).collect();
    let position = settle(&mut bench.open().await, &records).await;
    assert_eq!(position.tally, Tally { stored: records.len() as u64, ..Tally::default() });
    bench.holds(&records).await;
    bench.done().await;
}

fn numbered(record: &Stored, seq: u64) -> Stored {
    let mut row = score(record);
    row.seq = seq;
    Stored { value: serde_json::to_vec(&row).unwrap().into(), offset: seq, ..record.clone() }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_mongodb), ignore = "WARDHOUSE_TEST_MONGODB names no server")]
async fn conditions_mean_the_same_in_the_store_and_in_datafusion() {
    let bench = Bench::new();
    let (mut store, records) = (bench.open().await, stream(0));
    settle(&mut store, &records).await;
    let one: Vec<Stored> = stream(1)[..200].to_vec();
    store.write(Batch { partition: 1, ..batch(&one) }).await.unwrap();
    // As a value of another instance, or of somebody's hand, might be.
    bench.run(doc! { "update": "documents", "updates": [{ "q": { "_id": { "$lt": 50_i64 } }, "u": { "$set": { "explanation.ruleset": null } }, "multi": true }] }).await;
    let engine = &bench.engine();
    let ids: Vec<String> = records.iter().step_by(97).map(|record| format!("'{}'", score(record).transaction_id)).collect();
    let ids = format!("transaction_id IN ({}, 'none')", ids.join(", "));
    let user = score(&records[0]).user_id.to_string();
    let (beginning, part) = (format!("user_id LIKE '{}%'", &user[..user.len() - 1]), format!("user_id NOT LIKE '%{}%'", &user[1..]));
    for condition in [
        "risk_score >= 50",
        "NOT (risk_score > 20 AND risk_score < 80)",
        "risk_score IN (10, 20, 30) OR risk_level = 'high'",
        "risk_score NOT IN (10, 20, 30)",
        "risk_level <> 'low'",
        "ruleset IS NULL",
        "ruleset IS NOT NULL AND partition = 0",
        "ruleset <> 'x'",
        "(ruleset = 'x') IS NOT TRUE",
        "(ruleset = 'x') IS UNKNOWN",
        "ruleset IS DISTINCT FROM 'x'",
        "state_epoch = 0",
        "timestamp < '2026-01-02T00:00:00Z'",
        "seq < 3 OR (partition = 1 AND seq >= 190)",
        "partition IN (0, 1, 2) AND seq IN (5, 6, 7, 150)",
        "NOT (partition = 0) AND risk_score < 90",
        "partition = 7",
        "seq = 5 OR risk_score = 0",
        "reasons LIKE '%hour%'",
        "user_id > 'm'",
        &ids,
        &beginning,
        &part,
    ] {
        let column = |sql: String| async move { rows(engine, &sql).await.into_iter().flatten().collect::<Vec<_>>() };
        let table = "documents.explanations";
        let pushed = column(format!("SELECT transaction_id FROM {table} WHERE {condition} ORDER BY transaction_id")).await;
        let computed = column(format!("SELECT transaction_id FROM (SELECT * FROM {table} LIMIT 100000) AS t WHERE {condition} ORDER BY transaction_id")).await;
        assert_eq!(pushed, computed, "{condition}");
        let counted = column(format!("SELECT count(*) FROM {table} WHERE {condition}")).await;
        assert_eq!(counted, [computed.len().to_string()], "{condition}");
        let some = column(format!("SELECT transaction_id FROM {table} WHERE {condition} LIMIT 3")).await;
        assert_eq!(some.len(), computed.len().min(3), "{condition}");
    }
    let last = rows(engine, "SELECT \"partition\", seq FROM documents.transaction_metadata ORDER BY \"partition\" DESC, seq DESC LIMIT 2").await;
    let seqs: Vec<u64> = one.iter().map(score).filter(|row| row.risk_score.is_some()).map(|row| row.seq).collect();
    assert_eq!(last, [["1".to_owned(), seqs[seqs.len() - 1].to_string()], ["1".to_owned(), seqs[seqs.len() - 2].to_string()]]);
    let plan = rows(engine, "EXPLAIN SELECT \"partition\", seq FROM documents.transaction_metadata ORDER BY \"partition\", seq LIMIT 2").await.concat().concat();
    assert!(plan.contains("db.documents.find(") && plan.contains(".limit(2)") && !plan.contains("SortExec"), "{plan}");
    bench.done().await;
}
