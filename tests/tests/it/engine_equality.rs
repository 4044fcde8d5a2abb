//! The engine offline and the stage on the log are one engine: the same lines give the same scores.

use std::collections::BTreeMap;
use std::io;

use serde_json::{Map, Value, json};
use wh_schemas::scored::ALERT_SCORE;
use wh_schemas::topics::RISK_SCORES;
use wh_schemas::validate::Reading;
use wh_scorer::engine::Ruleset;
use wh_scorer::offline::score::{self, Order, Rejects, ScoreSettings, Summary};

use crate::pipeline::{PARTITIONS, Pipeline};
use crate::records::{hospital, topic};

/// Classes of the lines that were rejected.
#[derive(Default)]
struct Classes(Vec<String>);

impl Rejects for Classes {
    fn reject(&mut self, _line: u64, class: &str, _reason: &str, _raw: &[u8]) -> io::Result<()> {
        self.0.push(class.to_owned());
        Ok(())
    }
}

fn offline(lines: &[Vec<u8>]) -> (Summary, Vec<Value>, Vec<String>) {
    let input = lines.join(&b'\n');
    let (mut output, mut rejects) = (Vec::new(), Classes::default());
    let settings = ScoreSettings { ruleset: Ruleset::default(), reading: Reading::default(), order: Order::File, partitions: PARTITIONS, threads: 2 };
    let summary = score::run(&mut input.as_slice(), &mut output, &mut rejects, &settings).unwrap();
    let rows = output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| serde_json::from_slice(line).unwrap()).collect();
    (summary, rows, rejects.0)
}

/// What `wardhouse score` writes of a record of `risk-scores`, but for alerts and patterns.
fn as_offline(record: &Value) -> Value {
    let mut row = Map::new();
    for key in ["transaction_id", "risk_score", "risk_level", "ruleset"] {
        row.insert(key.to_owned(), record[key].clone());
    }
    row.insert("dimensions".to_owned(), record["dimensions"].clone());
    row.insert("reasons".to_owned(), record.get("reasons").cloned().unwrap_or_else(|| json!([])));
    if let Some(late) = record.get("late") {
        row.insert("late".to_owned(), late.clone());
    }
    Value::Object(row)
}

/// A line of `wardhouse score` without its alerts, which those of patterns by account stand among, and its patterns; and the ids of its alerts.
fn without_alerts(row: &Value) -> (Value, Vec<Value>) {
    let Value::Object(mut fields) = row.clone() else { panic!("{row}") };
    fields.retain(|name, _| !["alert", "alerts", "patterns"].contains(&name.as_str()));
    (Value::Object(fields), row["alerts"].as_array().into_iter().flatten().map(|alert| alert["alert_id"].clone()).collect())
}

/// Rows with duplicates, a conflict, lines that are none, and two from other years.
fn input() -> Vec<Vec<u8>> {
    let mut lines = hospital(21, 3_000);
    let edited = |line: &[u8], field: &str, value: Value| {
        let mut row: Value = serde_json::from_slice(line).unwrap();
        row[field] = value;
        serde_json::to_vec(&row).unwrap()
    };
    let conflict = edited(&lines[10], "amount", json!(1.25));
    let mut early = edited(&lines[20], "timestamp", json!("1999-01-01T00:00:00Z"));
    early = edited(&early, "transaction_id", json!("from-another-century"));
    let mut late = edited(&lines[30], "timestamp", time_of(&lines[5]));
    late = edited(&late, "transaction_id", json!("late"));
    let again = lines[40].clone();
    drop(lines.splice(2_000..2_000, [conflict, early, late, again, b"{\"no\":\"transaction\"}".to_vec(), b"nothing".to_vec()]));
    lines
}

fn time_of(line: &[u8]) -> Value {
    serde_json::from_slice::<Value>(line).unwrap()["timestamp"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_offline_and_the_stage_on_the_log_give_the_same_scores() {
    let lines = input();
    let (summary, rows, classes) = offline(&lines);
    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = Pipeline::open(folder.path()).await;
    pipeline.start_all(&["intake", "scorer"]);
    pipeline.feed(&lines).await;
    let status = pipeline.settle().await;
    pipeline.stop().await;

    let mut live: BTreeMap<String, (Value, Vec<Value>)> = BTreeMap::new();
    let mut duplicates = 0;
    for record in topic(&*pipeline.log, RISK_SCORES).await.concat() {
        let value: Value = serde_json::from_slice(&record.value).unwrap();
        if value.get("duplicate_of").is_some() {
            duplicates += 1;
            continue;
        }
        let alerts = value["alerts"].as_array().into_iter().flatten().map(|alert| alert["alert_id"].clone()).collect();
        let before = live.insert(value["transaction_id"].as_str().unwrap().to_owned(), (as_offline(&value), alerts));
        assert!(before.is_none(), "no id is scored twice");
    }
    assert_eq!((summary.scored, summary.duplicates), (live.len() as u64, duplicates));
    assert_eq!((summary.scored, summary.duplicates, summary.rejected), (3_002, 1, 3));
    assert!(summary.alerts > 10, "{summary:?}");
    for row in &rows {
        let (scored, alerts) = without_alerts(row);
        let (recorded, raised) = &live[row["transaction_id"].as_str().unwrap()];
        assert_eq!(&scored, recorded);
        // Those of patterns by account have no place in the scored record.
        assert!(raised.iter().all(|alert| alerts.contains(alert)) && row["alert"] == !alerts.is_empty(), "{row}");
        assert_eq!(!raised.is_empty(), row["risk_score"].as_u64().unwrap() >= u64::from(ALERT_SCORE));
    }
    let buried: u64 = status.stages.iter().flat_map(|line| &line.parts).filter(|(name, _)| *name == "dead-lettered").map(|(_, count)| count).sum();
    assert_eq!(buried, classes.len() as u64, "{classes:?}");
}
