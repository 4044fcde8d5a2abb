//! The metrics on an InfluxDB server: bad input told with what to do, breaks and other instances in between that lose and double
//! nothing, and SQL that answers as over the embedded store.

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
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use wh_eventlog::Stored;
use wh_query::Engine;
use wh_schemas::json::Text;
use wh_schemas::topics::RISK_SCORES;
use wh_schemas::{Micros, Reaction};
use wh_sinks::delivery::{Batch, Store, StorePosition, Written};
use wh_sinks::influxdb::dialect::Lines;
use wh_sinks::influxdb::request::send;
use wh_sinks::influxdb::{MetricsStore, read_positions};
use wh_sinks::sqlite;
use wh_stores::influxdb::settings::Tls;
use wh_stores::influxdb::{InfluxdbSettings, RawInfluxdb, checks, connect, layout};
use wh_stores::places::MetricsPlace;
use wh_stores::{Durability, Level, Secret, ServerUrl};

use crate::content::{Role, assert_same, expected, read_back};
use crate::contract::servers::influxdb::{admin, drop_bucket, raw, settings};
use crate::contract::servers::{own_name, url};
use crate::records::{score, stream};
use crate::sql::{engine, engine_with, rows};

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
    let told = bench.engine().query("SELECT count(*) FROM metrics.throughput").await.err().unwrap().to_string();
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
