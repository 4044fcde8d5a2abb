//! What a document holds, and how records are judged.

use wh_eventlog::Bytes;
use wh_stores::mongodb::json::text_of;

use super::*;

/// A scored record, as the topic holds it.
fn record(seq: u64, id: &str, hash: &str, metadata: &str) -> Stored {
    let value = format!(
        r#"{{"schema_version":1,"transaction_id":"{id}","timestamp":"2026-01-02T03:04:05.000001Z","user_id":"u","account_id":"a","department":"IT","transaction_type":"billing","amount":1.50,
        "metadata":{metadata},"content_hash":"{hash}","partition":1,"seq":{seq},"source":{{"partition":0,"offset":{seq}}},"risk_score":12,"risk_level":"low","is_anomaly":false,
        "dimensions":{{"amount":12,"time":0,"frequency":0,"behavior":0,"metadata":0}},"reasons":[{{"rule":"r","dimension":"amount","points":12,"evidence":"é \"x\""}}],"detection_rules":["r"],"ruleset":"h","state_epoch":3}}"#
    );
    Stored { offset: seq + 100, append_time: 1_769_904_000_000_999, key: None, value: Bytes::from(value), headers: Vec::new() }
}

fn made(record: &Stored) -> Row<'_> {
    row(record, serde_json::from_slice(&record.value).unwrap()).unwrap_or_else(|_| panic!("it is no record")).unwrap()
}

fn held(seq: u64, id: &str, hash: &str) -> Held {
    Held { key: SeqPosition { partition: 1, seq }.packed(), transaction_id: id.to_owned(), explanation: HeldExplanation { content_hash: hash.to_owned() } }
}

/// Rows of `(id, hash)` from seq 0 on, judged.
fn judged(rows: &[(&str, &str)], failed: &[(usize, Failed)], held: &[Held]) -> Result<Tally, (u64, &'static str)> {
    let records: Vec<Stored> = (0..).zip(rows).map(|(seq, (id, hash))| record(seq, id, hash, "{}")).collect();
    let rows: Vec<Row<'_>> = records.iter().map(made).collect();
    match settled("documents", &rows, &firsts(&rows), &failed.iter().cloned().collect(), held) {
        Ok(tally) => Ok(tally),
        Err(Halt::Refused(refused)) => Err((refused.offset, refused.class)),
        Err(Halt::Reaction(reaction)) => Err((0, reaction.class())),
    }
}

#[test]
fn a_document_holds_the_row_and_gives_it_back() {
    let record = record(7, "t", "hash", r#"{"a.b":{"$c":[1,2.50,null]},"z":"\u0001"}"#);
    let row = made(&record);
    let document = row.document();
    let names: Vec<&str> = document.iter().map(|field| field.unwrap().0.as_str()).collect();
    assert_eq!(names, ["_id", "transaction_id", "user_id", "timestamp", "processed_at", "appended_at", "metadata", "explanation"]);
    assert_eq!((document.get_i64("_id").unwrap(), row.key()), ((1 << 40) + 7, (1 << 40) + 7));
    assert_eq!(document.get_i64("timestamp").unwrap() % 1_000_000, 1);
    assert_eq!(document.get_datetime("appended_at").unwrap().timestamp_millis(), 1_769_904_000_000);
    let mut text = String::new();
    text_of(document.get_document("metadata").unwrap(), &mut text).unwrap();
    assert_eq!(text, r#"{"a.b":{"$c":[1,2.50,null]},"z":"\u0001"}"#);
    let explanation = document.get_document("explanation").unwrap();
    assert_eq!((explanation.get_i32("risk_score").unwrap(), explanation.get_str("content_hash").unwrap(), explanation.get_i32("state_epoch").unwrap()), (12, "hash", 3));
}

#[test]
fn what_bson_cannot_give_back_stands_beside_it_as_text() {
    let odd = record(0, "t", "hash", r#"{"a":1e400}"#);
    assert_eq!(made(&odd).document().get_str("metadata_text").unwrap(), r#"{"a":1e400}"#);
    // Zeros take two bytes as text and twelve as BSON.
    let large = record(0, "t", "hash", &format!("{{\"a\":[{}0]}}", "0,".repeat(2_000_000)));
    let row = made(&large);
    assert!(row.document().get_document("metadata").unwrap().is_empty());
    assert_eq!(row.document().get_str("metadata_text").unwrap().len(), 4_000_009);
    let endless = record(0, "t", "hash", &format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_DOCUMENT_BYTES)));
    let refused = row_refused(&endless);
    assert_eq!((refused.offset, refused.class), (100, "document:too_large"));
}

fn row_refused(record: &Stored) -> Refused {
    match row(record, serde_json::from_slice(&record.value).unwrap()) {
        Err(Halt::Refused(refused)) => refused,
        _ => panic!("it was taken"),
    }
}

#[test]
fn records_are_judged_one_after_another() {
    use Failed::AlreadyThere;
    let stored = |stored, duplicates| Ok(Tally { stored, duplicates, ..Tally::default() });
    assert_eq!(judged(&[("a", "1"), ("b", "2")], &[], &[]), stored(2, 0));
    // The same transaction again within a batch, and another with its id.
    assert_eq!(judged(&[("a", "1"), ("b", "2"), ("a", "1")], &[], &[]), stored(2, 1));
    assert_eq!(judged(&[("a", "1"), ("a", "2"), ("a", "1")], &[], &[]), Err((101, "transaction_id:conflict")));
    // What a write left behind that was broken off.
    assert_eq!(judged(&[("a", "1"), ("b", "2")], &[(0, AlreadyThere), (1, AlreadyThere)], &[held(0, "a", "1"), held(1, "b", "2")]), stored(2, 0));
    // What stands elsewhere: the same, another, and another at this place.
    assert_eq!(judged(&[("a", "1")], &[(0, AlreadyThere)], &[held(9, "a", "1")]), stored(0, 1));
    assert_eq!(judged(&[("a", "1")], &[(0, AlreadyThere)], &[held(9, "a", "2")]), Err((100, "transaction_id:conflict")));
    assert_eq!(judged(&[("a", "1")], &[(0, AlreadyThere)], &[held(0, "z", "9")]), Err((100, "transaction_id:conflict")));
    assert_eq!(judged(&[("a", "1")], &[(0, AlreadyThere)], &[held(0, "a", "2")]), Err((100, "transaction_id:conflict")));
    // The first that cannot be stored is told, whatever comes behind it.
    assert_eq!(judged(&[("a", "1"), ("b", "2"), ("b", "3")], &[(1, Failed::Bad("no".into()))], &[]), Err((101, "document:refused")));
    assert_eq!(judged(&[("a", "1"), ("a", "2")], &[(0, AlreadyThere)], &[held(9, "a", "2")]), Err((100, "transaction_id:conflict")));
    // Removed between the insert and the question.
    assert_eq!(judged(&[("a", "1")], &[(0, AlreadyThere)], &[]), Err((0, "transient")));
}
