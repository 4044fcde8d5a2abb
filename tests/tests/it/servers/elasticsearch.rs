//! The search on an Elasticsearch server: bad input told with what to do, and in `delivery` and `reading` what is written and read.

mod delivery;
mod errors;
mod reading;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use wh_eventlog::Stored;
use wh_query::Engine;
use wh_schemas::Reaction;
use wh_schemas::topics::RISK_SCORES;
use wh_sinks::delivery::{Batch, Store, StorePosition, Written};
use wh_sinks::elasticsearch::{SearchStore, read_positions};
use wh_stores::elasticsearch::{Client, ElasticsearchSettings, Method, RawElasticsearch, Rollover, checks, connect, layout};
use wh_stores::places::SearchPlace;
use wh_stores::{Durability, Level, ServerUrl};

use crate::content::{Role, assert_same, expected, read_back};
use crate::contract::servers::elasticsearch::{ask, at, delete, settings, small};
use crate::contract::servers::{own_name, url};
use crate::sql::engine_with;

/// A namespace of its own on the test server, and a look behind the store's back.
struct Bench {
    place: tempfile::TempDir,
    settings: ElasticsearchSettings,
    client: Client,
}

impl Bench {
    async fn new() -> Bench {
        Bench::with(&small()).await
    }

    async fn with(raw: &RawElasticsearch) -> Bench {
        let place = tempfile::tempdir().unwrap();
        let settings = settings(&own_name(place.path()), raw);
        let client = connect(&settings).await.unwrap();
        Bench { place, settings, client }
    }

    async fn open(&self) -> SearchStore {
        SearchStore::open(self.settings.clone()).await.unwrap()
    }

    fn engine(&self) -> Engine {
        engine_with(self.place.path(), |places| places.search = SearchPlace::Elasticsearch(self.settings.clone()))
    }

    /// What the store shows is what it must show of these records.
    async fn holds<'r>(&self, records: impl IntoIterator<Item = &'r Stored>) {
        let found = read_back(Role::Search, &self.engine()).await;
        assert_same(&found, &expected(Role::Search, records), "the search on Elasticsearch");
    }

    async fn position(&self) -> StorePosition {
        read_positions(&self.settings, "scorer").await.unwrap()[0]
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        ask(&self.client, method, path, Some(body)).await
    }

    async fn done(self) {
        delete(&self.client, &self.settings.namespace).await;
    }
}

fn batch(records: &[Stored]) -> Batch {
    Batch { topic: RISK_SCORES.into(), partition: 0, records: Arc::new(records.to_vec()), buried: BTreeSet::new() }
}

/// Writes a batch that must go through.
async fn settle(store: &mut SearchStore, records: &[Stored]) -> StorePosition {
    match store.write(batch(records)).await.unwrap() {
        Written::Done { position, .. } => position,
        refused @ Written::Refused { .. } => panic!("{refused:?}"),
    }
}

/// Why a store cannot be opened for good.
async fn fatal(settings: &ElasticsearchSettings) -> String {
    match SearchStore::open(settings.clone()).await.map(drop) {
        Err(Reaction::Fatal(message)) => message,
        other => panic!("expected a fatal reaction, found {other:?}"),
    }
}

/// Why a store cannot be opened for now.
async fn transient(settings: &ElasticsearchSettings) -> String {
    match SearchStore::open(settings.clone()).await.map(drop) {
        Err(Reaction::Transient { message, .. }) => message,
        other => panic!("expected a transient reaction, found {other:?}"),
    }
}

#[track_caller]
fn contains(message: &str, part: &str) {
    assert!(message.contains(part), "{part:?} is not in: {message}");
}

#[tokio::test]
async fn a_server_that_is_not_there_may_come() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let message = transient(&at(&format!("elasticsearch://u:s3cret@{nobody}"), "x", &small())).await;
    contains(&message, "refuses the connection");
    assert!(!message.contains("s3cret"), "{message}");
}

/// Answers every request so.
async fn somebody(answer: &'static str) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut said = [0; 4_096];
            if stream.read(&mut said).await.is_ok_and(|count| count > 0) {
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    });
    (address, task)
}

#[tokio::test]
async fn a_server_of_another_kind_or_too_old_is_told() {
    for (answer, part) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\n{\"status\":\"\"}", "a server of another kind"),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "a server of another kind"),
        ("HTTP/1.1 200 OK\r\nX-elastic-product: Elasticsearch\r\nContent-Length: 31\r\nConnection: close\r\n\r\n{\"version\":{\"number\":\"7.17.9\"}}", "needs 8.0 or newer"),
    ] {
        let (address, task) = somebody(answer).await;
        contains(&fatal(&at(&format!("elasticsearch://{address}"), "x", &small())).await, part);
        task.abort();
    }
}

#[tokio::test]
#[cfg_attr(not(has_elasticsearch), ignore = "WARDHOUSE_TEST_ELASTICSEARCH is not set")]
async fn encryption_where_the_server_has_none_is_told() {
    contains(&fatal(&settings("whtest", &RawElasticsearch { tls: true, ..small() })).await, "does not speak TLS");
}

#[tokio::test]
#[cfg_attr(not(has_elasticsearch), ignore = "WARDHOUSE_TEST_ELASTICSEARCH is not set")]
async fn indexes_of_somebody_else_are_refused_and_left_as_they_are() {
    let bench = Bench::new().await;
    let (alerts, positions) = (bench.settings.alerts(), bench.settings.positions());
    let foreign = json!({ "mappings": { "properties": { "user_id": { "type": "long" } } } });
    for index in [format!("{alerts}-2026.02"), alerts.clone(), positions.clone()] {
        bench.ask(Method::Put, &index, foreign.clone()).await;
        contains(&fatal(&bench.settings).await, if index == alerts { "needs an alias" } else { "not as Wardhouse makes it" });
        let mapping = ask(&bench.client, Method::Get, &format!("{index}/_mapping"), None).await;
        assert_eq!(mapping[&index]["mappings"]["properties"]["user_id"]["type"], "long");
        ask(&bench.client, Method::Delete, &index, None).await;
    }
    let template = json!({ "index_patterns": [format!("{alerts}-*")], "priority": 400 });
    bench.ask(Method::Put, &format!("_index_template/{alerts}"), template).await;
    contains(&fatal(&bench.settings).await, "index template");
    assert!(read_positions(&bench.settings, "scorer").await.unwrap().is_empty(), "nothing was made");
    bench.done().await;
}

#[tokio::test]
#[cfg_attr(not(has_elasticsearch), ignore = "WARDHOUSE_TEST_ELASTICSEARCH is not set")]
async fn a_newer_layout_and_another_rollover_are_refused() {
    let bench = Bench::new().await;
    assert_eq!(layout::ensure(&bench.client, &bench.settings).await.unwrap().len(), 2);
    assert!(layout::ensure(&bench.client, &bench.settings).await.unwrap().is_empty(), "nothing is left to be made");
    let daily = settings(&bench.settings.namespace, &RawElasticsearch { rollover: Rollover::Day, ..small() });
    contains(&fatal(&daily).await, "set elasticsearch.rollover = \"month\"");
    let newer = json!({ "_meta": { "wardhouse": { "layout": 99, "rollover": "month" } } });
    bench.ask(Method::Put, &format!("{}/_mapping", bench.settings.positions()), newer).await;
    contains(&fatal(&bench.settings).await, "newer Wardhouse (layout 99");
    bench.done().await;
}

#[tokio::test]
#[cfg_attr(not(has_elasticsearch), ignore = "WARDHOUSE_TEST_ELASTICSEARCH is not set")]
async fn one_copy_of_each_alert_is_warned_of_or_refused() {
    let bench = Bench::new().await;
    let strict = ElasticsearchSettings { durability: Durability::Strict, ..bench.settings.clone() };
    contains(&fatal(&strict).await, "each alert is kept once");
    let findings = checks::examine(&bench.settings).await;
    for subject in ["version", "encryption", "rights", "clock", "durability", "blocks", "layout"] {
        assert!(findings.iter().any(|finding| finding.subject == subject && finding.level < Level::Fault), "{subject}: {findings:?}");
    }
    bench.done().await;
}

#[tokio::test]
#[cfg_attr(not(has_secure_elasticsearch), ignore = "WARDHOUSE_TEST_SECURE_ELASTICSEARCH is not set")]
async fn an_encrypted_server_is_reached_as_its_settings_say_only() {
    let variable = |name: &str| std::env::var(format!("WARDHOUSE_TEST_SECURE_{name}")).unwrap();
    let (server, place) = (url("SECURE_ELASTICSEARCH").unwrap(), tempfile::tempdir().unwrap());
    let raw = RawElasticsearch { ca_file: Some(variable("CA").into()), user: Some(variable("USER")), password: Some(variable("PASSWORD").into()), ..small() };
    let with = |raw: &RawElasticsearch| at(&server, &own_name(place.path()), raw);
    let good = with(&raw);
    assert!(SearchStore::open(good.clone()).await.is_ok());
    let worst = checks::examine(&good).await.into_iter().max_by_key(|finding| finding.level).unwrap();
    assert!(worst.level < Level::Fault, "{worst}");
    let key = RawElasticsearch { user: None, password: None, api_key: Some(variable("ELASTICSEARCH_API_KEY").into()), ..raw.clone() };
    assert!(SearchStore::open(with(&key)).await.is_ok());

    for wrong in [
        RawElasticsearch { password: Some("wrong".into()), ..raw.clone() },
        RawElasticsearch { user: None, password: None, ..raw.clone() },
        RawElasticsearch { api_key: Some("d3Jvbmc6d3Jvbmc=".into()), ..key.clone() },
    ] {
        contains(&fatal(&with(&wrong)).await, "does not take these credentials");
    }
    contains(&fatal(&with(&RawElasticsearch { api_key: Some("two\r\nlines".into()), ..key })).await, "elasticsearch.api_key is none");
    contains(&fatal(&with(&RawElasticsearch { ca_file: None, ..raw })).await, "certificate is not accepted");
    let plain = ServerUrl::parse(&server.replace("tls=true", "tls=false")).unwrap();
    let plain = ElasticsearchSettings::try_new(&plain, &small(), Durability::Warn).unwrap();
    contains(&fatal(&plain).await, "takes encrypted connections only");
    delete(&connect(&good).await.unwrap(), &good.namespace).await;
}
