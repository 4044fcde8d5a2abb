//! Several instances, breaks in between, links that fail, retention: nothing is lost, nothing is doubled.

use std::net::SocketAddr;
use std::time::Duration;

use mongodb::bson::doc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use wh_schemas::Reaction;
use wh_sinks::delivery::{Store, StorePosition};
use wh_sinks::mongodb::DocumentsStore;
use wh_stores::ServerUrl;
use wh_stores::mongodb::{RawMongodb, connect, layout};

use super::{Bench, batch, hasty, settle};
use crate::contract::servers::mongodb::at;
use crate::contract::servers::url;
use crate::records::{moved, score, stream};
use crate::sql::rows;

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_mongodb), ignore = "WARDHOUSE_TEST_MONGODB names no server")]
async fn a_late_writer_moves_no_position_back_and_doubles_nothing() {
    let bench = Bench::new();
    let (mut one, mut other, records) = (bench.open().await, bench.open().await, stream(0));
    settle(&mut one, &records[..300]).await;
    settle(&mut other, &records[200..700]).await;
    // What it had read before the partition went to the other one.
    let late = one.write(batch(&records[300..500])).await;
    assert!(matches!(&late, Err(Reaction::Transient { message, .. }) if message.contains("another instance went on with partition 0")), "{late:?}");
    let late = settle(&mut one, &records[300..500]).await;
    assert_eq!((late.next_seq, late.tally.sum()), (700, 700));
    settle(&mut one, &records[500..800]).await;
    bench.holds(&records[..800]).await;
    // Two that begin at once.
    let fresh = Bench::new();
    let (mut one, mut other) = (fresh.open().await, fresh.open().await);
    let both = tokio::join!(settle(&mut one, &records[..500]), settle(&mut other, &records[..500]));
    assert_eq!(both.0, both.1);
    fresh.holds(&records[..500]).await;
    bench.done().await;
    fresh.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_mongodb), ignore = "WARDHOUSE_TEST_MONGODB names no server")]
async fn what_a_broken_write_left_behind_is_not_seen_and_counts_once() {
    let bench = Bench::new();
    let (mut store, records) = (bench.open().await, stream(0));
    settle(&mut store, &records[..100]).await;
    let before = bench.position().await;
    // Rows without their position, as a process leaves them that is killed in between.
    assert!(store.replay(batch(&records[100..140])).await.unwrap() > 30);
    assert_eq!(bench.position().await, before);
    bench.holds(&records[..100]).await;
    assert_eq!(rows(&bench.engine(), "SELECT count(*) FROM documents.explanations").await, [[before.tally.stored.to_string()]]);
    let twin = Bench::new();
    let wanted = settle(&mut twin.open().await, &records[..200]).await;
    assert_eq!(settle(&mut store, &records[100..200]).await, wanted);
    bench.holds(&records[..200]).await;
    bench.done().await;
    twin.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_mongodb), ignore = "WARDHOUSE_TEST_MONGODB names no server")]
async fn retention_removes_the_head_and_publishes_the_floor() {
    let bench = Bench::new();
    let (mut store, records) = (bench.open().await, stream(0));
    let position = settle(&mut store, &records).await;
    let before = records[400].append_time;
    let gone = records[..400].iter().filter(|record| score(record).risk_score.is_some()).count() as u64;
    assert_eq!((store.retain(before).await.unwrap(), store.retain(before).await.unwrap()), (gone, 0));
    bench.holds(&records[400..]).await;
    assert_eq!(bench.position().await, StorePosition { visible_offset: position.next_offset, ..position });
    let positions = connect(&bench.settings).await.unwrap().collection::<layout::PositionDocument>(layout::POSITIONS);
    let floor = positions.find_one(doc! {}).await.unwrap().unwrap().floor_seq;
    let first_kept = records[400..].iter().map(score).find(|row| row.risk_score.is_some()).unwrap().seq;
    assert_eq!(floor, i64::try_from(first_kept).unwrap());
    assert_eq!(store.retain(i64::MAX).await.unwrap(), position.tally.stored - gone);
    bench.holds(&[]).await;
    // What comes later is kept, and the head does not come back.
    let later = moved(&records[records.len() - 1..], position.next_offset);
    assert_eq!(settle(&mut store, &later).await.tally, position.tally);
    bench.done().await;
}

/// What the link to the server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Passes,
    /// Takes what is said and passes nothing on.
    Stalls,
    /// Hangs up, and takes no new connection.
    Cut,
}

/// A link to the test server that can fail; gives its address.
async fn link(mode: watch::Receiver<Link>) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = ServerUrl::parse(&url("MONGODB").unwrap()).unwrap().hosts()[0].with_port(27_017);
    let task = tokio::spawn(async move {
        let mut ways = JoinSet::new();
        loop {
            let (near, _) = listener.accept().await.unwrap();
            if *mode.borrow() == Link::Cut {
                continue;
            }
            let Ok(far) = TcpStream::connect(&server).await else { continue };
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            ways.spawn(passed(near_in, far_out, mode.clone()));
            ways.spawn(passed(far_in, near_out, mode.clone()));
        }
    });
    (address, task)
}

async fn passed(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mode: watch::Receiver<Link>) {
    let mut bytes = vec![0; 1 << 16];
    loop {
        let now = *mode.borrow_and_update();
        if now == Link::Cut {
            return;
        }
        tokio::select! {
            changed = mode.changed() => if changed.is_err() { return },
            count = from.read(&mut bytes), if now == Link::Passes => {
                let Ok(count) = count else { return };
                if count == 0 || to.write_all(&bytes[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_mongodb), ignore = "WARDHOUSE_TEST_MONGODB names no server")]
async fn a_link_that_fails_loses_and_doubles_nothing() {
    let (bench, records) = (Bench::new(), stream(0));
    let (change, mode) = watch::channel(Link::Passes);
    let (address, task) = link(mode).await;
    let raw = RawMongodb { operation_timeout_ms: 1_000, batch_documents: 50, ..hasty() };
    let mut store = DocumentsStore::open(&at(&format!("mongodb://{address}/{}?directConnection=true", bench.name), &raw)).await.unwrap();
    let mut next = 0;
    for link in [Link::Stalls, Link::Cut, Link::Stalls, Link::Cut] {
        settle(&mut store, &records[next..next + 100]).await;
        change.send(link).unwrap();
        // A half-open connection is noticed, too.
        let outcome = tokio::time::timeout(Duration::from_secs(20), store.write(batch(&records[next + 100..next + 250]))).await.unwrap();
        assert!(matches!(outcome, Err(Reaction::Transient { .. })), "{link:?}: {outcome:?}");
        change.send(Link::Passes).unwrap();
        settle(&mut store, &records[next + 100..next + 250]).await;
        next += 250;
    }
    bench.holds(&records[..next]).await;
    let whole = Bench::new();
    assert_eq!(settle(&mut whole.open().await, &records[..next]).await.tally, bench.position().await.tally);
    task.abort();
    bench.done().await;
    whole.done().await;
}
