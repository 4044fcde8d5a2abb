//! What breaks while alerts are written, and loses none and doubles none.

use std::time::Duration;

use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use wh_eventlog::Stored;
use wh_schemas::Reaction;
use wh_schemas::json::Text;
use wh_schemas::time::DAY;
use wh_sinks::delivery::{Store, Written};
use wh_stores::elasticsearch::{ElasticsearchSettings, Method};

use super::{Bench, RISK_SCORES, batch, contains, delete, settle};
use crate::contract::servers::elasticsearch::{ask, at, small};
use crate::contract::servers::url;
use crate::records::{moved, score, stream};

/// The same records, those from the 500th on appended forty days later: in the next month.
fn of_two_months() -> Vec<Stored> {
    let later = |record: Stored| Stored { append_time: record.append_time + if record.offset < 500 { 0 } else { 40 * DAY }, ..record };
    stream(0).into_iter().map(later).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_elasticsearch), ignore = "WARDHOUSE_TEST_ELASTICSEARCH is not set")]
async fn a_row_is_seen_when_its_position_is_published_and_not_before() {
    let (bench, records) = (Bench::new().await, stream(0));
    let mut store = bench.open().await;
    settle(&mut store, &records[..300]).await;
    store.publish().await.unwrap();
    settle(&mut store, &records[300..900]).await;
    // Whoever refreshes the indexes does not publish them.
    ask(&bench.client, Method::Post, &format!("{}/_refresh", bench.settings.alerts()), None).await;
    bench.holds(&records[..300]).await;
    assert!(store.publish().await.unwrap());
    assert!(!store.publish().await.unwrap(), "nothing is pending");
    bench.holds(&records[..900]).await;
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_elasticsearch), ignore = "WARDHOUSE_TEST_ELASTICSEARCH is not set")]
async fn an_alert_stays_in_the_index_of_its_period_and_is_there_once() {
    let (bench, records) = (Bench::new().await, of_two_months());
    let mut store = bench.open().await;
    settle(&mut store, &records).await;
    store.publish().await.unwrap();
    bench.holds(&records).await;
    let aliased = ask(&bench.client, Method::Get, &format!("{}/_alias", bench.settings.alerts()), None).await;
    let mut indexes: Vec<&str> = aliased.as_object().unwrap().keys().map(String::as_str).collect();
    indexes.sort_unstable();
    assert_eq!(indexes.iter().map(|index| index.rsplit('-').next().unwrap()).collect::<Vec<_>>(), ["2026.02", "2026.03"]);

    // Copies that were appended much later belong to other indexes, and are not written there.
    let copies: Vec<Stored> = moved(&records, 5_000).into_iter().map(|record| Stored { append_time: record.append_time + 80 * DAY, ..record }).collect();
    assert_eq!(store.replay(batch(&copies)).await.unwrap(), 0);
    store.publish().await.unwrap();
    bench.holds(&records).await;
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_elasticsearch), ignore = "WARDHOUSE_TEST_ELASTICSEARCH is not set")]
async fn retention_drops_months_and_rows_and_publishes_the_floor() {
    let (bench, records) = (Bench::new().await, of_two_months());
    let mut store = bench.open().await;
    settle(&mut store, &records).await;
    store.publish().await.unwrap();
    let before = records[700].append_time;
    let position = bench.position().await;
    let gone = |record: &&Stored| record.append_time < before;
    let alerts: usize = records.iter().filter(gone).map(|record| score(record).alerts.len()).sum();
    assert_eq!(store.retain(before).await.unwrap(), alerts as u64);
    assert_eq!(store.retain(before).await.unwrap(), 0);
    bench.holds(records.iter().filter(|record| !gone(record))).await;
    assert_eq!(bench.position().await, position, "no position moves");
    let document = ask(&bench.client, Method::Get, &format!("{}/_doc/scorer", bench.settings.positions()), None).await;
    let first = records.iter().map(score).find(|row| row.seq >= 700 && !row.alerts.is_empty()).unwrap();
    assert_eq!(document["_source"]["partitions"]["0"]["floor_seq"], first.seq);
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_elasticsearch), ignore = "WARDHOUSE_TEST_ELASTICSEARCH is not set")]
async fn two_instances_with_one_partition_lose_nothing_and_never_go_back() {
    let (bench, records) = (Bench::new().await, stream(0));
    let (mut late, mut owner) = (bench.open().await, bench.open().await);
    settle(&mut late, &records[..500]).await;
    settle(&mut owner, &records[..700]).await;
    owner.publish().await.unwrap();
    let reached = bench.position().await;
    late.publish().await.unwrap();
    assert_eq!(bench.position().await, reached, "the late one does not move it back");
    settle(&mut late, &records[500..800]).await;
    late.publish().await.unwrap();
    settle(&mut owner, &records[700..]).await;
    owner.publish().await.unwrap();
    assert_eq!(bench.position().await.next_seq, records.len() as u64);
    bench.holds(&records).await;
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_elasticsearch), ignore = "WARDHOUSE_TEST_ELASTICSEARCH is not set")]
async fn a_write_block_is_waited_for() {
    let (bench, records) = (Bench::new().await, stream(0));
    let mut store = bench.open().await;
    settle(&mut store, &records[..500]).await;
    store.publish().await.unwrap();
    let block = |blocked: bool| json!({ "index.blocks.write": blocked });
    let path = format!("{}/_settings", bench.settings.alerts());
    bench.ask(Method::Put, &path, block(true)).await;
    for _ in 0..2 {
        let Err(Reaction::Transient { message, .. }) = store.write(batch(&records[500..])).await else { panic!("expected to wait") };
        contains(&message, "index.blocks.write");
    }
    bench.ask(Method::Put, &path, block(false)).await;
    settle(&mut store, &records[500..]).await;
    store.publish().await.unwrap();
    bench.holds(&records).await;
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_elasticsearch), ignore = "WARDHOUSE_TEST_ELASTICSEARCH is not set")]
async fn a_row_that_can_never_be_stored_is_refused_alone() {
    let (bench, mut records) = (Bench::new().await, stream(0)[..600].to_vec());
    let at = (0..600).filter(|at| !score(&records[*at]).alerts.is_empty()).nth(3).unwrap();
    for (id, user) in [("a", "x".repeat(40_000)), (&*"i".repeat(600), "u".to_owned())] {
        let value = {
            let mut spoilt = score(&records[at]);
            spoilt.user_id = Text::from(user);
            spoilt.alerts[0].alert_id = Text::from(id.to_owned());
            serde_json::to_vec(&spoilt).unwrap()
        };
        let kept = std::mem::replace(&mut records[at].value, value.into());
        let mut store = bench.open().await;
        let mut all = batch(&records);
        let Written::Refused { offset, message, .. } = store.write(all.clone()).await.unwrap() else { panic!("expected to be refused") };
        assert!(offset == at as u64 && !message.contains("xxx") && !message.contains("iii"), "{offset}: {message}");
        all.buried.insert(offset);
        let Written::Done { position, .. } = store.write(all).await.unwrap() else { panic!("expected to go through") };
        assert_eq!((position.next_seq, position.tally.dead_letters), (600, 1));
        store.publish().await.unwrap();
        records[at].value = kept;
        bench.holds(records.iter().filter(|record| record.offset != offset)).await;
        delete(&bench.client, &bench.settings.namespace).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_elasticsearch), ignore = "WARDHOUSE_TEST_ELASTICSEARCH is not set")]
async fn a_store_that_was_emptied_behind_its_back_is_told() {
    let (bench, records) = (Bench::new().await, stream(0));
    let mut store = bench.open().await;
    settle(&mut store, &records[..500]).await;
    store.publish().await.unwrap();
    ask(&bench.client, Method::Delete, &format!("{}/_doc/scorer", bench.settings.positions()), None).await;
    settle(&mut store, &records[500..600]).await;
    let Err(Reaction::Fatal(message)) = store.publish().await else { panic!("expected to stop") };
    contains(&message, "was restored or emptied");
    assert!(store.positions(RISK_SCORES).await.unwrap().is_empty());
    settle(&mut store, &records).await;
    store.publish().await.unwrap();
    bench.holds(&records).await;
    bench.done().await;
}

/// A line to the server that can be cut.
struct Line {
    address: std::net::SocketAddr,
    open: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Line {
    async fn to(settings: &ElasticsearchSettings) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (open, seen) = watch::channel(true);
        let node = &settings.nodes[0];
        let server = format!("{}:{}", node.host_str().unwrap(), node.port().unwrap());
        let task = tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let (server, mut seen) = (server.clone(), seen.clone());
                tokio::spawn(async move {
                    if !*seen.borrow() {
                        return;
                    }
                    let mut far = TcpStream::connect(&server).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = seen.wait_for(|open| !*open) => {}
                    }
                });
            }
        });
        Line { address, open, task }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_elasticsearch), ignore = "WARDHOUSE_TEST_ELASTICSEARCH is not set")]
async fn a_server_that_was_away_gets_what_waited() {
    let (bench, records) = (Bench::new().await, stream(0));
    assert!(!url("ELASTICSEARCH").unwrap().contains("tls=true"), "the line is a plain one");
    let line = Line::to(&bench.settings).await;
    let here = at(&format!("elasticsearch://{}", line.address), &bench.settings.namespace, &small());
    let mut store = wh_sinks::elasticsearch::SearchStore::open(here).await.unwrap();
    settle(&mut store, &records[..500]).await;
    store.publish().await.unwrap();
    settle(&mut store, &records[500..800]).await;
    line.open.send(false).unwrap();
    for outcome in [store.publish().await.map(drop), store.write(batch(&records[800..])).await.map(drop), store.positions(RISK_SCORES).await.map(drop)] {
        assert!(matches!(outcome, Err(Reaction::Transient { .. })), "{outcome:?}");
    }
    line.open.send(true).unwrap();
    let back = async {
        while let Err(reaction) = store.write(batch(&records[800..])).await {
            assert!(matches!(reaction, Reaction::Transient { .. }), "{reaction}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), back).await.unwrap();
    store.publish().await.unwrap();
    bench.holds(&records).await;
    bench.done().await;
}
