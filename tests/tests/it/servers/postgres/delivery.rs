//! Several instances, sessions that end in between, rows that are refused, retention: nothing is lost, nothing is doubled.

use chrono_tz::Tz;
use serde_json::json;
use wh_eventlog::{Record, Stored};
use wh_schemas::Reaction;
use wh_schemas::topics::SYSTEM_EVENTS;
use wh_sinks::delivery::{Batch, Store, Tally, Written};
use wh_sinks::postgres::{LedgerStore, read_positions};
use wh_stores::postgres::RawPostgres;

use super::{Bench, batch_of, contains, settle};
use crate::contract::servers::postgres::run;
use crate::records::{moved, score, stored, stream};
use crate::sql::rows;

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES names no server")]
async fn a_late_writer_moves_no_position_back_and_doubles_nothing() {
    let bench = Bench::new().await;
    let (mut one, mut other, records) = (bench.open().await, bench.open().await, stream(0));
    settle(&mut one, &batch_of(0, &records[..300])).await;
    settle(&mut other, &batch_of(0, &records[200..700])).await;
    // What it had read before the partition went to the other one.
    let late = settle(&mut one, &batch_of(0, &records[300..500])).await;
    assert_eq!((late.next_seq, late.tally.sum()), (700, 700));
    settle(&mut one, &batch_of(0, &records[500..800])).await;
    bench.holds(&records[..800]).await;
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES names no server")]
async fn instances_that_write_at_once_lose_no_count() {
    // The same users in both partitions, and each partition written by two instances that race.
    let bench = Bench::new().await;
    let zero = stream(0);
    let one: Vec<Stored> = zero.iter().map(of_partition_one).collect();
    let racing = [(0, &zero), (1, &one), (0, &zero), (1, &one)].map(|(partition, records)| {
        let settings = bench.settings.clone();
        async move {
            let mut store = LedgerStore::open(&settings, Tz::UTC).await.unwrap();
            for end in (40..=1_000).step_by(40) {
                settle(&mut store, &batch_of(partition, &records[end - 40..end])).await;
            }
        }
    });
    futures::future::join_all(racing).await;
    bench.holds(&[&zero[..1_000], &one[..1_000]].concat()).await;
    bench.done().await;
}

/// The same scored record, of another transaction in partition 1.
fn of_partition_one(record: &Stored) -> Stored {
    let mut row = score(record);
    row.partition = 1;
    row.transaction_id = format!("{}-1", row.transaction_id.as_str()).into();
    for alert in &mut row.alerts {
        alert.transaction_id = row.transaction_id.clone();
        alert.alert_id = format!("{}-1", alert.alert_id.as_str()).into();
    }
    Stored { value: serde_json::to_vec(&row).unwrap().into(), ..record.clone() }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES names no server")]
async fn a_session_that_was_ended_is_replaced_and_nothing_is_lost() {
    let bench = Bench::new().await;
    let (mut store, records, server) = (bench.open().await, stream(0), bench.engine());
    settle(&mut store, &batch_of(0, &records[..100])).await;
    assert_eq!(rows(&server, "SELECT count(*) FROM transactions").await, rows(&bench.engine(), "SELECT count(*) FROM transactions").await);
    run(&bench.settings, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()").await;
    let outcome = store.write(batch_of(0, &records[100..200])).await;
    assert!(matches!(outcome, Err(Reaction::Transient { .. })), "{outcome:?}");
    settle(&mut store, &batch_of(0, &records[100..200])).await;
    bench.holds(&records[..200]).await;
    let stored = rows(&server, "SELECT count(*) FROM transactions").await;
    assert_eq!(stored, rows(&bench.engine(), "SELECT count(*) FROM transactions").await, "the same engine reads on");
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES names no server")]
async fn a_row_that_the_server_refuses_is_told_by_its_record() {
    let bench = Bench::with(&RawPostgres { batch_rows: 16, ..RawPostgres::default() }).await;
    let (mut store, records) = (bench.open().await, stream(0)[..100].to_vec());
    let poison = records.iter().position(|record| score(record).risk_score.is_some() && score(record).seq == 61).unwrap();
    let hash = score(&records[poison]).content_hash.to_string();
    run(&bench.settings, format!("ALTER TABLE transactions ADD CONSTRAINT no_poison CHECK (content_hash <> '{hash}')")).await;
    let mut batch = batch_of(0, &records);
    match store.write(batch.clone()).await.unwrap() {
        Written::Refused { offset, class, message, .. } => {
            assert_eq!((offset, class.as_str()), (records[poison].offset, "row:rejected"));
            contains(&message, "no_poison");
            assert!(!message.contains(&hash), "{message}");
        }
        done @ Written::Done { .. } => panic!("{done:?}"),
    }
    assert!(read_positions(&bench.settings, "scorer").await.unwrap().is_empty(), "nothing was written");
    batch.buried.insert(records[poison].offset);
    let position = settle(&mut store, &batch).await;
    assert_eq!((position.next_seq, position.tally.dead_letters), (100, 1));
    bench.holds(&[&records[..poison], &records[poison + 1..]].concat()).await;
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES names no server")]
async fn an_id_that_no_index_holds_is_refused_by_its_record() {
    let bench = Bench::new().await;
    let mut records = stream(0)[..20].to_vec();
    let mut row = score(&records[7]);
    row.user_id = "x".repeat(3_000).into();
    let value = serde_json::to_vec(&row).unwrap();
    records[7].value = value.into();
    match bench.open().await.write(batch_of(0, &records)).await.unwrap() {
        Written::Refused { offset, class, .. } => assert_eq!((offset, class.as_str()), (7, "record:too-long")),
        done @ Written::Done { .. } => panic!("{done:?}"),
    }
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES names no server")]
async fn rows_beyond_retention_go_and_the_stream_goes_on() {
    let bench = Bench::new().await;
    let (mut store, records) = (bench.open().await, stream(0));
    settle(&mut store, &batch_of(0, &records[..900])).await;
    let before = records[600].append_time;
    let fresh: Vec<Stored> = records[600..900].to_vec();
    assert!(store.retain(before).await.unwrap() > 500);
    assert_eq!(store.retain(before).await.unwrap(), 0);
    let kept = i64::try_from(fresh.iter().filter(|record| score(record).risk_score.is_some()).count()).unwrap();
    assert_eq!(bench.number("SELECT count(*) FROM transactions").await, kept);
    assert_eq!(bench.number("SELECT count(*) FROM risk_alerts WHERE pos < 600").await, 0);
    let floor = bench.number("SELECT floor_seq FROM positions WHERE stream = 'scorer'").await;
    assert!((600..620).contains(&floor), "{floor}");
    assert_eq!(settle(&mut store, &batch_of(0, &records[900..1_000])).await.next_seq, 1_000);
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES names no server")]
async fn events_are_kept_once() {
    let bench = Bench::new().await;
    let mut store = bench.open().await;
    let audit = json!({"kind": "audit", "event_id": "e1", "event_type": "stage_started", "source": "up", "principal": "local", "severity": "info",
        "data": {"z": 1, "a": {"text": "\u{0}", "big": 1e300}}, "timestamp": "2026-02-01T00:00:00Z"});
    let metric = json!({"kind": "metric", "name": "lag", "value": 0.1, "unit": "records", "labels": {"stage": "x"}, "timestamp": "2026-02-01T00:00:00.000001Z"});
    let lines = [audit.to_string(), metric.to_string(), audit.to_string(), metric.to_string()];
    let records = stored(lines.into_iter().map(|line| Record::new("e", line.into_bytes())).collect(), 0);
    let batch = Batch { topic: SYSTEM_EVENTS.into(), ..batch_of(0, &records) };
    let position = settle(&mut store, &batch).await;
    assert_eq!((position.next_seq, position.tally), (4, Tally { stored: 3, duplicates: 1, ..Tally::default() }));
    assert_eq!(settle(&mut store, &batch).await, position);
    let later = moved(&records, 4);
    let position = settle(&mut store, &Batch { topic: SYSTEM_EVENTS.into(), ..batch_of(0, &later) }).await;
    assert_eq!(position.tally, Tally { stored: 5, duplicates: 3, ..Tally::default() });
    let data = rows(&bench.engine(), "SELECT event_id, data, \"timestamp\" FROM audit_log").await;
    assert_eq!(data, [["e1".to_owned(), audit["data"].to_string(), "1769904000000000".to_owned()]]);
    assert_eq!(rows(&bench.engine(), "SELECT count(*), min(value), max(labels) FROM system_metrics WHERE value > 0.05").await, [["4", "0.1", "{\"stage\":\"x\"}"]]);
    bench.done().await;
}
