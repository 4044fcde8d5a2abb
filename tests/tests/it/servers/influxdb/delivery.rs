//! Bad lines, retention, breaks and other instances in between: nothing is lost, nothing is doubled.

use std::net::SocketAddr;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use wh_eventlog::Stored;
use wh_schemas::Reaction;
use wh_schemas::topics::RISK_SCORES;
use wh_sinks::delivery::Store;
use wh_sinks::influxdb::MetricsStore;
use wh_sinks::influxdb::dialect::Lines;
use wh_sinks::influxdb::request::send;
use wh_stores::influxdb::{InfluxdbSettings, connect};

use super::{Bench, contains, write};
use crate::records::{score, stream};

#[tokio::test]
#[cfg_attr(not(has_influxdb), ignore = "WARDHOUSE_TEST_INFLUXDB names no server")]
async fn one_bad_line_loses_no_other_and_is_not_repeated() {
    let bench = Bench::new();
    drop(bench.open().await);
    let client = connect(&bench.settings).await.unwrap();
    let mut lines = Lines::default();
    for n in 0..100 {
        let line = if n == 77 { "check,d=s3cret".to_owned() } else { format!("check value={n}i {n}") };
        lines.push(|text| std::io::Write::write_all(text, format!("{line}\n").as_bytes()));
    }
    let error = send(&client, &lines).await.unwrap_err();
    assert_eq!(error.class(), "fatal");
    contains(&error.to_string(), "cannot read 1 of 100 points");
    assert!(!error.to_string().contains("s3cret"), "{error}");
    assert_eq!(client.fields("SELECT count(\"value\") AS \"stored\" FROM \"check\"").await.unwrap()[0].int("stored"), 99);
    bench.done().await;
}

#[tokio::test]
#[cfg_attr(not(has_influxdb), ignore = "WARDHOUSE_TEST_INFLUXDB names no server")]
async fn rows_beyond_retention_are_left_out_and_add_up() {
    let bench = Bench::new();
    // Every record is older than a day.
    bench.make(1).await;
    let mut store = bench.open().await;
    let records = stream(0);
    let position = write(&mut store, &records[..1_000]).await;
    store.publish().await.unwrap();
    assert_eq!((position.tally.stored, position.tally.sum()), (0, 1_000));
    assert!(position.tally.discarded > 900, "{position:?}");
    bench.holds(&[]).await;
    assert_eq!(bench.published().await[0].visible_seq, 1_000);
    bench.done().await;
}

#[tokio::test]
#[cfg_attr(not(has_influxdb), ignore = "WARDHOUSE_TEST_INFLUXDB names no server")]
async fn what_retention_takes_is_gone_and_the_position_stays() {
    let bench = Bench::new();
    let mut store = bench.open().await;
    let records = stream(0);
    write(&mut store, &records[..900]).await;
    store.publish().await.unwrap();
    let floor = score(&records[450]).timestamp.0;
    let removed = store.retain(floor).await.unwrap();
    let kept: Vec<Stored> = records[..900].iter().filter(|record| score(record).timestamp.0.div_euclid(1_000_000) * 1_000_000 >= floor).cloned().collect();
    assert!(removed > 100 && kept.len() > 100, "{removed} removed, {} kept", kept.len());
    bench.holds(&kept).await;
    assert_eq!(bench.published().await[0].visible_seq, 900);
    bench.done().await;
}

/// Whether a line to the server carries anything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// Requests go through, answers do not.
    Deaf,
    Closed,
}

/// A line to the server that can be broken.
struct Line {
    address: SocketAddr,
    way: watch::Sender<Way>,
    task: JoinHandle<()>,
}

impl Line {
    async fn to(settings: &InfluxdbSettings) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (way, seen) = watch::channel(Way::Open);
        let server = settings.authority.clone();
        let task = tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                if *seen.borrow() != Way::Closed {
                    let far = TcpStream::connect(&server).await.unwrap();
                    tokio::spawn(carry(near, far, seen.clone()));
                }
            }
        });
        Line { address, way, task }
    }

    /// The server at the other end of it.
    fn settings(&self, of: &InfluxdbSettings) -> InfluxdbSettings {
        InfluxdbSettings { authority: self.address.to_string(), request_timeout: std::time::Duration::from_secs(5), ..of.clone() }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(mut near: TcpStream, mut far: TcpStream, mut way: watch::Receiver<Way>) {
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => return,
        _ = way.wait_for(|way| *way != Way::Open) => {}
    }
    if *way.borrow() == Way::Closed {
        return;
    }
    // What was asked is done; the line breaks in place of the answer.
    let ((mut from_near, _), (mut from_far, mut to_far)) = (near.split(), far.split());
    let mut answer = [0; 1_024];
    tokio::select! {
        _ = tokio::io::copy(&mut from_near, &mut to_far) => {}
        _ = from_far.read(&mut answer) => {}
    }
}

#[tokio::test]
#[cfg_attr(not(has_influxdb), ignore = "WARDHOUSE_TEST_INFLUXDB names no server")]
async fn a_break_or_a_lost_answer_loses_and_doubles_nothing() {
    let (bench, records) = (Bench::new(), stream(0));
    let line = Line::to(&bench.settings).await;
    let mut store = MetricsStore::open(&line.settings(&bench.settings)).await.unwrap();
    let mut next = 0;
    for (until, way) in [(300, Way::Closed), (700, Way::Deaf), (1_020, Way::Closed), (1_050, Way::Deaf)] {
        write(&mut store, &records[next..until]).await;
        line.way.send(way).unwrap();
        let broken = store.publish().await.unwrap_err();
        assert!(matches!(broken, Reaction::Transient { .. }), "{broken}");
        line.way.send(Way::Open).unwrap();
        store.publish().await.unwrap();
        bench.holds(&records[..until]).await;
        assert_eq!(bench.published().await[0].visible_seq, until as u64);
        next = until;
    }
    bench.done().await;
}

#[tokio::test]
#[cfg_attr(not(has_influxdb), ignore = "WARDHOUSE_TEST_INFLUXDB names no server")]
async fn an_instance_that_was_cut_off_gives_way_to_the_one_that_went_on() {
    let (bench, records) = (Bench::new(), stream(0));
    let line = Line::to(&bench.settings).await;
    let mut late = MetricsStore::open(&line.settings(&bench.settings)).await.unwrap();
    write(&mut late, &records[..300]).await;
    late.publish().await.unwrap();
    write(&mut late, &records[300..400]).await;
    line.way.send(Way::Closed).unwrap();
    assert!(late.publish().await.is_err());
    // Meanwhile the partition is another's.
    let mut other = bench.open().await;
    let next = usize::try_from(other.positions(RISK_SCORES).await.unwrap()[0].next_offset).unwrap();
    write(&mut other, &records[next..700]).await;
    other.publish().await.unwrap();
    // What the late one has is less, and changes nothing.
    line.way.send(Way::Open).unwrap();
    late.publish().await.unwrap();
    bench.holds(&records[..700]).await;
    assert_eq!(bench.published().await[0].visible_seq, 700);
    // It gets the partition back, further on.
    write(&mut other, &records[700..1_010]).await;
    other.publish().await.unwrap();
    let next = usize::try_from(late.positions(RISK_SCORES).await.unwrap()[0].next_offset).unwrap();
    assert_eq!(next, 1_000);
    write(&mut late, &records[next..1_040]).await;
    late.publish().await.unwrap();
    bench.holds(&records[..1_040]).await;
    bench.done().await;
}
