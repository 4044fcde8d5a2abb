//! SQL over the topics of a cluster: it answers as over the embedded log.

use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use wh_eventlog::embedded::{EmbeddedLog, Settings};
use wh_eventlog::{Bytes, Log, Record};
use wh_schemas::topics::{self, DEAD_LETTERS};
use wh_stores::kafka::RawKafka;
use wh_stores::places::LogPlace;

use super::{Bench, record};
use crate::contract::servers::kafka::{at, raw};
use crate::sql::{engine, engine_with, rows, session};

/// The same records in both logs; what SQL shows of them but their append times.
async fn fill(log: &dyn Log) {
    for partition in 0..3_u32 {
        for batch in 0..4 {
            let number = |at: u32| partition * 1_000 + batch * 25 + at;
            let one = |at: u32| {
                record(&format!("k{}", number(at)), &format!("{{\"n\":{}}}", number(at))).with_header("wh-origin", format!("a/{at}")).with_header("odd", vec![255_u8, 34])
            };
            log.produce(DEAD_LETTERS, partition, (0..25).map(one).collect()).await.unwrap();
        }
    }
    log.produce(DEAD_LETTERS, 1, vec![Record { key: None, value: Bytes::from_static(&[0, 159, 146]), headers: Vec::new() }]).await.unwrap();
}

async fn embedded(place: &Path) -> Arc<EmbeddedLog> {
    let log = EmbeddedLog::open(&place.join("log"), Settings::default()).unwrap();
    log.ensure_topics(&topics::ALL, 3).await.unwrap();
    log
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_kafka), ignore = "WARDHOUSE_TEST_KAFKA names no server")]
async fn sql_answers_as_over_the_embedded_log() {
    let bench = Bench::new();
    let log = bench.open(&[DEAD_LETTERS]).await;
    fill(&*log).await;
    fill(&*embedded(bench.place.path()).await).await;
    let here = engine(bench.place.path());
    let there = engine_with(bench.place.path(), |places| places.log = LogPlace::Kafka(bench.settings.clone()));
    let columns = "partition, \"offset\", key, value, headers";
    for condition in [
        "true",
        "partition = 1",
        "partition IN (0, 2) AND \"offset\" BETWEEN 10 AND 80",
        "\"offset\" >= 95",
        "NOT (partition = 1) AND \"offset\" <> 3",
        "partition = 7",
        "\"offset\" > 10 AND \"offset\" < 5",
        "key IS NULL",
        "key = 'k1007'",
        "append_time > '2020-01-01' AND partition = 2",
        "append_time > '2200-01-01'",
    ] {
        let sql = format!("SELECT {columns} FROM log.dead_letters WHERE {condition} ORDER BY partition, \"offset\"");
        let (wanted, found) = (rows(&here, &sql).await, rows(&there, &sql).await);
        assert_eq!(found, wanted, "{condition}");
    }
    assert_eq!(rows(&there, "SELECT count(*) FROM log.dead_letters").await, [["301"]]);
    assert_eq!(rows(&there, "SELECT count(*) FROM (SELECT * FROM log.dead_letters LIMIT 7) AS some").await, [["7"]]);
    assert_eq!(rows(&there, "SELECT count(*) FROM log.risk_scores").await, [["0"]], "a topic that is not there yet is empty");
    let store = rows(&there, "SELECT kind, reachable FROM system.stores WHERE role = 'log'").await;
    assert_eq!(store, [["kafka", "true"]]);
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_kafka), ignore = "WARDHOUSE_TEST_KAFKA names no server")]
async fn sql_over_brokers_that_are_away_says_so() {
    let place = tempfile::tempdir().unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let away = at(&format!("kafka://{nobody}"), &RawKafka { connect_timeout_ms: 1_000, ..raw() });
    let engine = engine_with(place.path(), |places| places.log = LogPlace::Kafka(away));
    let Err(error) = session(&engine).query("SELECT * FROM log.risk_scores").await else { panic!("nobody answers") };
    assert!(error.to_string().contains("cannot be reached") && error.to_string().contains("once the brokers answer"), "{error}");
    assert_eq!(rows(&engine, "SELECT reachable FROM system.stores WHERE role = 'log'").await, [["false"]]);
}
