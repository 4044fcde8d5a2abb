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

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_mongodb), ignore = "WARDHOUSE_TEST_MONGODB names no server")]
async fn members_are_judged_by_the_server_as_they_are_here_and_by_their_text_where_there_is_one() {
    let bench = Bench::new();
    let values = [
        r#""x""#,
        r#"["x"]"#,
        r#"[["x"]]"#,
        r#"{"b":"x"}"#,
        r#"[{"b":"x"}]"#,
        r#"{"b":["x"]}"#,
        r#"{"b":null}"#,
        r#"{"0":"x"}"#,
        "7",
        "7.0",
        "7.00",
        r#""7""#,
        "[7]",
        "1E5",
        r#""1E5""#,
        "1e400",
        r#""1e400""#,
        "-0",
        "12345678901",
        "true",
        r#""true""#,
        "[true]",
        "null",
        r#""null""#,
        "[null]",
        "[]",
        "{}",
        r#""""#,
        r#""é""#,
        r#""\u00e9""#,
    ];
    let mut awkward: Vec<String> = values.iter().map(|value| format!("{{\"a\":{value}}}")).collect();
    // Those of a text, and with more beside; and an object that has a key twice.
    awkward.extend(values.iter().map(|value| format!("{{\"a\":{value},\"n\":1E5}}")));
    awkward.extend(["{}", r#"{"0":"x"}"#, r#"{"a":"x","a":"y"}"#, r#"{"b":"x"}"#].map(str::to_owned));
    let fresh = stream(0).into_iter().filter(|record| score(record).risk_score.is_some());
    let records: Vec<Stored> = (0..).zip(fresh.zip(&awkward)).map(|(seq, (record, metadata))| numbered(&with_metadata(&record, metadata), seq)).collect();
    assert_eq!(records.len(), awkward.len());
    settle(&mut bench.open().await, &records).await;
    let engine = &bench.engine();
    let table = "documents.transaction_metadata";
    let conditions =
        ["'x'", "'7'", "'7.0'", "'7.00'", "'1E5'", "'1e400'", "'-0'", "'12345678901'", "'true'", "'null'", "''", "'é'", "'[\"x\"]'"].map(|text| format!("metadata->>'a' = {text}"));
    let others = [
        "metadata->>'a' IN ('x', '7', 'true')",
        "metadata->>'a' IN ('x', '7.0')",
        "metadata->>'a' IS NOT NULL",
        "metadata->>'a' IS NULL",
        "metadata->'a'->>'b' = 'x'",
        "metadata->'a'->>'b' IS NOT NULL",
        "metadata->'a'->>'0' = 'x'",
        "metadata->'a'->>0 = 'x'",
        "metadata->>'0' = 'x'",
        "metadata @> '{\"a\":\"7\"}'",
        "metadata->>'a' = 'x' AND metadata->>'n' = '1E5' AND seq < 50",
        "metadata->>'a' = 'x' OR seq = 3",
    ]
    .map(str::to_owned);
    for condition in conditions.iter().chain(&others) {
        let column = |sql: String| async move { rows(engine, &sql).await.into_iter().flatten().collect::<Vec<_>>() };
        let order = "ORDER BY \"timestamp\" DESC, transaction_id";
        let pushed = column(format!("SELECT transaction_id FROM {table} WHERE {condition} {order}")).await;
        let computed = column(format!("SELECT transaction_id FROM (SELECT * FROM {table} LIMIT 100000) AS t WHERE {condition} {order}")).await;
        assert_eq!(pushed, computed, "{condition}");
        let counted = column(format!("SELECT count(*), max(transaction_id) FROM {table} WHERE {condition}")).await;
        assert_eq!(counted[0], computed.len().to_string(), "{condition}");
        let some = column(format!("SELECT transaction_id FROM {table} WHERE {condition} LIMIT 2")).await;
        assert!(some.len() == computed.len().min(2) && some.iter().all(|one| computed.contains(one)), "{condition}");
        let first = column(format!("SELECT transaction_id FROM {table} WHERE {condition} {order} LIMIT 2")).await;
        assert_eq!(first, computed[..computed.len().min(2)], "{condition}");
    }
    let plan = rows(engine, &format!("EXPLAIN SELECT count(*) FROM {table} WHERE metadata->>'a' = 'x'")).await.concat().concat();
    assert!(plan.contains("db.documents.aggregate(") && !plan.contains("rechecked"), "{plan}");
    let plan = rows(engine, &format!("EXPLAIN SELECT count(*) FROM {table} WHERE metadata->>'a' = '7.0'")).await.concat().concat();
    assert!(plan.contains("db.documents.find(") && plan.contains("rechecked"), "{plan}");
    bench.done().await;
}
