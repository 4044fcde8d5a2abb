//! The metrics on an InfluxDB server: bad input told with what to do, the layout, and in `delivery` and `reading` what is written and read.

mod delivery;
mod errors;
mod reading;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use influxdb2::api::authorizations::CreateAuthorizationRequest;
use influxdb2::api::buckets::ListBucketsRequest;
use influxdb2::api::task::ListTasksRequest;
use influxdb2::models::permission::{Action, Permission};
use influxdb2::models::resource::{Resource, Type};
use influxdb2::models::retention_rule;
use influxdb2::models::{PostBucketRequest, RetentionRule};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use wh_eventlog::Stored;
use wh_query::Engine;
use wh_schemas::topics::RISK_SCORES;
use wh_sinks::delivery::{Batch, Store, StorePosition, Written};
use wh_sinks::influxdb::{MetricsStore, read_positions};
use wh_stores::influxdb::settings::Tls;
use wh_stores::influxdb::{InfluxdbSettings, RawInfluxdb, checks, connect, layout};
use wh_stores::places::MetricsPlace;
use wh_stores::{Durability, Level, Secret, ServerUrl};

use crate::content::{Role, assert_same, expected, read_back};
use crate::contract::servers::influxdb::{admin, drop_bucket, raw, settings};
use crate::contract::servers::{own_name, url};
use crate::records::stream;
use crate::sql::{engine_with, session};

/// A bucket of its own on the test server.
struct Bench {
    place: tempfile::TempDir,
    settings: InfluxdbSettings,
}

impl Bench {
    fn new() -> Bench {
        let place = tempfile::tempdir().unwrap();
        let settings = settings(&own_name(place.path()), &raw());
        Bench { place, settings }
    }

    async fn open(&self) -> MetricsStore {
        MetricsStore::open(&self.settings).await.unwrap()
    }

    fn engine(&self) -> Engine {
        engine_with(self.place.path(), |places| places.metrics = MetricsPlace::Influxdb(self.settings.clone()))
    }

    /// What the bucket holds is what it must hold of these records.
    async fn holds(&self, records: &[Stored]) {
        let found = read_back(Role::Metrics, &self.engine()).await;
        assert_same(&found, &expected(Role::Metrics, records), "the metrics on InfluxDB");
    }

    async fn published(&self) -> Vec<StorePosition> {
        read_positions(&self.settings, "scorer").await.unwrap()
    }

    /// Makes the bucket, kept for so many days.
    async fn make(&self, days: i32) -> String {
        let admin = admin(&self.settings);
        let org = influxdb2::api::organization::ListOrganizationRequest { org: Some(self.settings.org.clone()), ..Default::default() };
        let org_id = admin.list_organizations(org).await.unwrap().orgs[0].id.clone().unwrap();
        let rule = RetentionRule::new(retention_rule::Type::Expire, days * 86_400);
        let request = PostBucketRequest { retention_rules: vec![rule], ..PostBucketRequest::new(org_id.clone(), self.settings.bucket.clone()) };
        admin.create_bucket(Some(request)).await.unwrap();
        org_id
    }

    async fn lines(&self, text: &str) {
        connect(&self.settings).await.unwrap().write(text.as_bytes()).await.unwrap();
    }

    async fn done(self) {
        drop_bucket(&self.settings, &self.settings.bucket).await;
        drop_bucket(&self.settings, &self.settings.hourly_bucket()).await;
    }
}

fn batch(records: &[Stored]) -> Batch {
    Batch { topic: RISK_SCORES.into(), partition: 0, records: Arc::new(records.to_vec()), buried: BTreeSet::new() }
}

async fn write(store: &mut MetricsStore, records: &[Stored]) -> StorePosition {
    match store.write(batch(records)).await.unwrap() {
        Written::Done { position, .. } => position,
        refused @ Written::Refused { .. } => panic!("{refused:?}"),
    }
}

fn at(url: &str, raw: &RawInfluxdb) -> InfluxdbSettings {
    InfluxdbSettings::try_new(&ServerUrl::parse(url).unwrap(), raw, Durability::Warn).unwrap()
}

fn anyone() -> RawInfluxdb {
    RawInfluxdb { token: Some("t0ken".into()), connect_timeout_ms: 2_000, request_timeout_ms: 5_000, ..RawInfluxdb::default() }
}

/// Why a store cannot be opened: class and message.
async fn refused(settings: &InfluxdbSettings) -> (&'static str, String) {
    match MetricsStore::open(settings).await {
        Ok(_) => panic!("it was opened"),
        Err(reaction) => (reaction.class(), reaction.to_string()),
    }
}

async fn fatal(settings: &InfluxdbSettings) -> String {
    let (class, message) = refused(settings).await;
    assert_eq!(class, "fatal", "{message}");
    message
}

fn contains(message: &str, part: &str) {
    assert!(message.contains(part), "{part:?} is not in: {message}");
}

#[tokio::test]
async fn a_server_that_is_not_there_may_come() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (class, message) = refused(&at(&format!("influxdb://{nobody}/o/b"), &anyone())).await;
    assert_eq!(class, "transient");
    contains(&message, "cannot be reached");
}

/// Answers whatever is asked with `words`.
async fn somebody(words: String) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut said = [0; 4_096];
            if stream.read(&mut said).await.is_ok_and(|count| count > 0) {
                stream.write_all(words.as_bytes()).await.unwrap();
            }
        }
    });
    (address, task)
}

#[tokio::test]
async fn a_server_of_another_kind_or_version_is_told() {
    let http = |status: &str, body: &str| format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    let health = |version: &str, status: &str| format!(r#"{{"name":"influxdb","message":"starting","status":"{status}","checks":[],"version":"{version}","commit":"x"}}"#);
    for (words, class, told) in [
        (http("200 OK", "OK"), "fatal", "is no InfluxDB 2"),
        (http("404 Not Found", ""), "fatal", "is no InfluxDB 2"),
        (http("301 Moved Permanently", ""), "fatal", "elsewhere"),
        (http("200 OK", &health("1.8.10", "pass")), "fatal", "is InfluxDB 1.8.10: expected 2.7 or newer"),
        (http("200 OK", &health("v3.0.1", "pass")), "fatal", "is InfluxDB 3.0.1"),
        (http("503 Service Unavailable", &health("v2.7.12", "fail")), "transient", "not ready: starting"),
        (http("503 Service Unavailable", "<html>"), "transient", "not ready"),
        (http("400 Bad Request", "Client sent an HTTP request to an HTTPS server.\n"), "fatal", "influxdb.tls = true"),
        ("-ERR unknown command\r\n".to_owned(), "fatal", "does not speak HTTP"),
    ] {
        let (address, task) = somebody(words.clone()).await;
        let (found, message) = refused(&at(&format!("influxdb://{address}/o/b"), &anyone())).await;
        assert_eq!(found, class, "{words}: {message}");
        contains(&message, told);
        task.abort();
    }
}

#[tokio::test]
#[cfg_attr(not(has_influxdb), ignore = "WARDHOUSE_TEST_INFLUXDB names no server")]
async fn a_wrong_token_organisation_or_encryption_is_told() {
    let bench = Bench::new();
    let stranger = InfluxdbSettings { token: Secret::Value("wr0ng".into()), ..bench.settings.clone() };
    let message = fatal(&stranger).await;
    contains(&message, "does not know the token");
    assert!(!message.contains("wr0ng"), "{message}");
    contains(&fatal(&InfluxdbSettings { token: Secret::None, ..bench.settings.clone() }).await, "there is no token");
    contains(&fatal(&InfluxdbSettings { org: "nobody".to_owned(), ..bench.settings.clone() }).await, "organization name \"nobody\" not found");
    contains(&fatal(&InfluxdbSettings { tls: Some(Tls::default()), ..bench.settings.clone() }).await, "does not speak TLS");
    bench.done().await;
}

#[tokio::test]
#[cfg_attr(not(has_secure_influxdb), ignore = "WARDHOUSE_TEST_SECURE_INFLUXDB names no server")]
async fn an_encrypted_server_is_reached_as_its_settings_say_only() {
    let variable = |name: &str| std::env::var(format!("WARDHOUSE_TEST_SECURE_{name}")).unwrap();
    let raw = RawInfluxdb { token: Some(variable("INFLUXDB_TOKEN").into()), ca_file: Some(variable("CA").into()), tls: true, ..RawInfluxdb::default() };
    let good = at(&url("SECURE_INFLUXDB").unwrap(), &raw);
    assert!(connect(&good).await.is_ok());
    contains(&fatal(&InfluxdbSettings { tls: None, ..good.clone() }).await, "speaks TLS");
    contains(&fatal(&InfluxdbSettings { tls: Some(Tls::default()), ..good }).await, "certificate is refused");
}

#[tokio::test]
#[cfg_attr(not(has_influxdb), ignore = "WARDHOUSE_TEST_INFLUXDB names no server")]
async fn a_token_that_may_not_make_the_bucket_is_told_and_one_that_may_write_it_will_do() {
    let bench = Bench::new();
    let mut other = settings("wardhouse", &raw());
    other.bucket = format!("{}_other", bench.settings.bucket);
    let allowed = Bench { place: tempfile::tempdir().unwrap(), settings: other };
    let org_id = allowed.make(30).await;
    let admin = admin(&bench.settings);
    let found =
        admin.list_buckets(Some(ListBucketsRequest { name: Some(allowed.settings.bucket.clone()), org: Some(allowed.settings.org.clone()), ..Default::default() })).await.unwrap();
    let resource = Resource { id: found.buckets[0].id.clone(), org_id: Some(org_id.clone()), ..Resource::new(Type::Buckets) };
    let permissions = [Action::Read, Action::Write].map(|action| Permission::new(action, resource.clone())).to_vec();
    let narrow = admin.create_authorization(CreateAuthorizationRequest { org_id, permissions, ..Default::default() }).await.unwrap().token.unwrap();
    let with = |settings: &InfluxdbSettings| InfluxdbSettings { token: Secret::Value(narrow.clone().into()), downsample: true, ..settings.clone() };
    contains(&fatal(&with(&bench.settings)).await, "wardhouse migrate");
    // The sums by hour, which it may not make, are left out with a warning.
    let mut store = MetricsStore::open(&with(&allowed.settings)).await.unwrap();
    write(&mut store, &stream(0)[..10]).await;
    store.publish().await.unwrap();
    allowed.done().await;
    bench.done().await;
}

#[tokio::test]
#[cfg_attr(not(has_influxdb), ignore = "WARDHOUSE_TEST_INFLUXDB names no server")]
async fn a_layout_of_somebody_else_or_of_a_newer_wardhouse_is_refused_and_left_as_it_is() {
    let bench = Bench::new();
    bench.make(0).await;
    bench.lines("throughput,host=a requests=1i 1767225600000000000\n").await;
    contains(&fatal(&bench.settings).await, "did not write");
    bench.lines("wardhouse_layout version=9i 7258118399000000000\n").await;
    contains(&fatal(&bench.settings).await, "newer Wardhouse (layout 9");
    let told = session(&bench.engine()).query("SELECT count(*) FROM metrics.throughput").await.err().unwrap().to_string();
    contains(&told, "newer Wardhouse");
    bench.done().await;
}

#[tokio::test]
#[cfg_attr(not(has_influxdb), ignore = "WARDHOUSE_TEST_INFLUXDB names no server")]
async fn a_bucket_without_retention_is_told_and_refused_where_durability_is_strict() {
    let bench = Bench::new();
    drop(bench.open().await);
    let strict = InfluxdbSettings { durability: Durability::Strict, ..bench.settings.clone() };
    contains(&fatal(&strict).await, "has no retention");
    let findings = checks::examine(&bench.settings).await;
    let found = findings.iter().find(|finding| finding.subject == "retention").unwrap();
    assert_eq!(found.level, Level::Warning, "{found}");
    bench.done().await;
}

#[tokio::test]
#[cfg_attr(not(has_influxdb), ignore = "WARDHOUSE_TEST_INFLUXDB names no server")]
async fn a_look_at_the_server_finds_what_there_is() {
    let bench = Bench::new();
    let missing = checks::examine(&bench.settings).await;
    assert!(missing.iter().any(|finding| finding.subject == "bucket" && finding.level == Level::Fault), "{missing:?}");
    bench.make(30).await;
    drop(bench.open().await);
    let findings = checks::examine(&bench.settings).await;
    for subject in ["version", "encryption", "clock", "durability", "retention", "rights", "layout"] {
        assert!(findings.iter().any(|finding| finding.subject == subject && finding.level == Level::Fine), "{subject}: {findings:?}");
    }
    bench.done().await;
}

#[tokio::test]
#[cfg_attr(not(has_influxdb), ignore = "WARDHOUSE_TEST_INFLUXDB names no server")]
async fn what_is_missing_is_made_once() {
    let bench = Bench::new();
    let wanted = InfluxdbSettings { downsample: true, retention_days: 30, ..bench.settings.clone() };
    let client = connect(&wanted).await.unwrap();
    let (one, other) = tokio::join!(layout::ensure(&client), layout::ensure(&client));
    assert!(one.unwrap().len() + other.unwrap().len() >= 4);
    assert_eq!(layout::ensure(&client).await.unwrap(), Vec::<String>::new());
    assert_eq!(client.bucket().await.unwrap().unwrap().retention.unwrap().as_secs(), 30 * 86_400);
    let request = ListTasksRequest { name: Some(layout::task_name(&wanted.bucket)), org: Some(wanted.org.clone()), ..Default::default() };
    let tasks = admin(&wanted).list_tasks(request).await.unwrap().tasks;
    assert_eq!(tasks.len(), 1);
    admin(&wanted).delete_task(&tasks[0].id).await.unwrap();
    bench.done().await;
}
