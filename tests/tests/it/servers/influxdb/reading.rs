//! SQL over the metrics: every text comes back and is found, and answers are those of the embedded store.

use wh_eventlog::Stored;
use wh_schemas::Micros;
use wh_schemas::json::Text;
use wh_sinks::delivery::Store;
use wh_sinks::sqlite;

use super::{Bench, batch, contains, write};
use crate::records::{score, stream};
use crate::sql::{engine, rows};

/// Departments that a tag cannot hold as they are.
const AWKWARD: [&str; 12] = ["", " ", "%", "%41", "trailing\\", "\\,", "a, b=c", "two\nlines\r\t", "nul\0", "O'Brien \"x\"", "Größe Ω 🩺 \u{85}\u{2028}\u{feff}", "#no comment"];

#[tokio::test]
#[cfg_attr(not(has_influxdb), ignore = "WARDHOUSE_TEST_INFLUXDB names no server")]
async fn every_department_comes_back_and_is_found() {
    let bench = Bench::new();
    let with = |(record, department): (&Stored, &str)| {
        let mut row = score(record);
        row.department = Text::from(department.to_owned());
        Stored { value: serde_json::to_vec(&row).unwrap().into(), ..record.clone() }
    };
    // No duplicate is among the first.
    let records: Vec<Stored> = stream(0).iter().zip(AWKWARD).map(with).collect();
    let mut store = bench.open().await;
    write(&mut store, &records).await;
    store.publish().await.unwrap();
    bench.holds(&records).await;
    let engine = bench.engine();
    for department in AWKWARD {
        let literal = department.replace('\'', "''");
        let count = |op: &str| format!("SELECT sum(transactions) FROM metrics.throughput WHERE department {op} '{literal}'");
        assert_eq!(rows(&engine, &count("=")).await, [["1"]], "{department:?}");
        assert_eq!(rows(&engine, &count("<>")).await, [["11"]], "{department:?}");
    }
    bench.done().await;
}

#[tokio::test]
#[cfg_attr(not(has_influxdb), ignore = "WARDHOUSE_TEST_INFLUXDB names no server")]
async fn sql_answers_as_over_the_embedded_store() {
    let bench = Bench::new();
    let mut records = stream(0)[..1_040].to_vec();
    for (at, timestamp) in [
        (3, "0001-01-01T00:00:00Z"),
        (4, "9999-12-31T23:59:59Z"),
        (5, "1677-09-21T00:12:43Z"),
        (6, "1677-09-21T00:12:44Z"),
        (7, "2262-04-11T23:47:15Z"),
        (8, "2262-04-11T23:47:16Z"),
    ] {
        let mut row: serde_json::Value = serde_json::from_slice(&records[at].value).unwrap();
        row["timestamp"] = timestamp.into();
        records[at].value = serde_json::to_vec(&row).unwrap().into();
    }
    let mut store = bench.open().await;
    write(&mut store, &records).await;
    store.publish().await.unwrap();
    let mut embedded = sqlite::MetricsStore::open(&bench.place.path().join("metrics.db")).unwrap();
    embedded.write(batch(&records)).await.unwrap();
    let (server, file) = (bench.engine(), engine(bench.place.path()));
    let noon = score(&records[500]).timestamp;
    let (second, later) = (Micros(noon.0.div_euclid(1_000_000) * 1_000_000), Micros(noon.0 + 3_600_000_000));
    let conditions = [
        "TRUE".to_owned(),
        "FALSE".to_owned(),
        "department = 'IT'".to_owned(),
        "NOT (department = 'IT' OR risk_level = 'low')".to_owned(),
        "department NOT IN ('IT', 'Finance', 'nowhere') AND transaction_type <> 'refund'".to_owned(),
        "department LIKE 'Em%' OR department > 'P'".to_owned(),
        "(alerts > 0 OR amount_sum >= 5000.5) AND score_max BETWEEN 10 AND 90".to_owned(),
        "\"partition\" = 0 AND \"block\" = 1".to_owned(),
        "\"partition\" = 7 OR \"partition\" IS NULL".to_owned(),
        "(department = 'IT') IS NOT TRUE".to_owned(),
        format!("time >= '{noon}' AND time < '{later}'"),
        format!("time > '{noon}' OR alerts = 1"),
        format!("time = '{second}'"),
        "time < '1700-01-01T00:00:00Z'".to_owned(),
        "time > '2200-01-01T00:00:00Z' AND transactions = 1".to_owned(),
        "time BETWEEN '1677-09-21T00:12:43.5Z' AND '2262-04-11T23:47:15.5Z' AND \"block\" = 0".to_owned(),
    ];
    for condition in conditions {
        for sql in [
            format!("SELECT * FROM metrics.throughput WHERE {condition} ORDER BY 1, 2, 3, 4, 5, 6"),
            format!("SELECT count(*), sum(amount_sum), max(score_max) FROM metrics.throughput WHERE {condition}"),
            format!("SELECT \"time\" FROM metrics.throughput WHERE {condition} ORDER BY 1 DESC LIMIT 3"),
        ] {
            assert_eq!(rows(&server, &sql).await, rows(&file, &sql).await, "{sql}");
        }
    }
    let plan = rows(&server, "EXPLAIN SELECT alerts FROM metrics.throughput WHERE department = 'IT' AND time >= '2026-01-01T00:00:00Z' LIMIT 5").await.concat().concat();
    for part in ["FROM \"throughput\" WHERE time >= 1767225600000000000", "\"department\" = $p0", "LIMIT 5"] {
        contains(&plan, part);
    }
    assert_eq!(rows(&server, "SELECT alerts FROM metrics.throughput LIMIT 7").await.len(), 7);
    assert_eq!(rows(&server, "SELECT store, next_seq FROM system.freshness WHERE store = 'metrics'").await, [["metrics", "1040"]]);
    let built = "SELECT count(*) FROM metrics.throughput t JOIN (SELECT DISTINCT department FROM metrics.throughput WHERE alerts > 0) d ON t.department = d.department";
    assert_eq!(rows(&server, built).await, rows(&file, built).await);
    bench.done().await;
}
