//! The documents on a MongoDB server: bad input told with what to do, the layout, and in `delivery` and `reading` what is written and read.

mod delivery;
mod errors;
mod reading;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::{Document, doc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use wh_eventlog::Stored;
use wh_query::Engine;
use wh_schemas::Reaction;
use wh_schemas::topics::RISK_SCORES;
use wh_sinks::delivery::{Batch, Store, StorePosition, Written};
use wh_sinks::mongodb::{DocumentsStore, read_positions};
use wh_stores::mongodb::{MongodbSettings, RawMongodb, connect, examine, layout};
use wh_stores::places::DocumentsPlace;
use wh_stores::{Durability, Level, ServerUrl};

use crate::content::{Role, assert_same, expected, read_back};
use crate::contract::servers::mongodb::{at, drop_database, settings, with_database};
use crate::contract::servers::{own_name, url};
use crate::sql::{engine_with, rows, session};

/// A database of its own on the test server.
struct Bench {
    place: tempfile::TempDir,
    name: String,
    settings: MongodbSettings,
}

impl Bench {
    fn new() -> Bench {
        let place = tempfile::tempdir().unwrap();
        let name = own_name(place.path());
        Bench { settings: settings(&name, &RawMongodb::default()), name, place }
    }

    async fn open(&self) -> DocumentsStore {
        DocumentsStore::open(&self.settings).await.unwrap()
    }

    fn engine(&self) -> Engine {
        engine_with(self.place.path(), |places| places.documents = DocumentsPlace::Mongodb(self.settings.clone()))
    }

    /// What the store shows is what it must show of these records.
    async fn holds(&self, records: &[Stored]) {
        let found = read_back(Role::Documents, &self.engine()).await;
        assert_same(&found, &expected(Role::Documents, records), "the documents on MongoDB");
    }

    async fn position(&self) -> StorePosition {
        read_positions(&self.settings, "scorer").await.unwrap()[0]
    }

    /// Runs a command behind the store's back.
    async fn run(&self, command: Document) -> Document {
        connect(&self.settings).await.unwrap().database().run_command(command).await.unwrap()
    }

    async fn done(self) {
        drop_database(&self.name).await;
    }
}

fn batch(records: &[Stored]) -> Batch {
    Batch { topic: RISK_SCORES.into(), partition: 0, records: Arc::new(records.to_vec()), buried: BTreeSet::new() }
}

/// Writes a batch that must go through, however often the store has to be asked.
async fn settle(store: &mut DocumentsStore, records: &[Stored]) -> StorePosition {
    for _ in 0..200 {
        match store.write(batch(records)).await {
            Ok(Written::Done { position, .. }) => return position,
            Ok(refused) => panic!("{refused:?}"),
            Err(Reaction::Transient { .. }) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(other) => panic!("{other}"),
        }
    }
    panic!("the store did not come back");
}

/// Why a store cannot be opened, and for how long.
async fn refused(settings: &MongodbSettings) -> (&'static str, String) {
    match DocumentsStore::open(settings).await {
        Err(reaction) => (reaction.class(), reaction.to_string()),
        Ok(_) => panic!("expected a failure, found an open store"),
    }
}

async fn is_fatal(settings: &MongodbSettings, part: &str) {
    let (class, message) = refused(settings).await;
    assert!(class == "fatal" && message.contains(part), "{part:?} is not in the {class} message: {message}");
}

fn hasty() -> RawMongodb {
    RawMongodb { server_selection_timeout_ms: 700, connect_timeout_ms: 500, operation_timeout_ms: 3_000, ..RawMongodb::default() }
}

#[tokio::test]
#[cfg_attr(not(has_mongodb), ignore = "WARDHOUSE_TEST_MONGODB is not set")]
async fn a_server_that_is_not_there_may_come() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let settings = at(&format!("mongodb://u:secret@{nobody}/w"), &hasty());
    let (class, message) = refused(&settings).await;
    assert!(class == "transient" && message.contains("cannot be reached") && !message.contains("secret"), "{class}: {message}");
    let findings = examine(&settings).await;
    assert_eq!(findings.iter().map(|finding| (finding.subject, finding.level)).collect::<Vec<_>>(), [("server", Level::Fault)]);
}

/// Gives the same answer to everything that is said.
async fn somebody(answer: &'static [u8]) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut said = [0; 4_096];
            while stream.read(&mut said).await.is_ok_and(|count| count > 0) && stream.write_all(answer).await.is_ok() {}
        }
    });
    (address, task)
}

#[tokio::test]
#[cfg_attr(not(has_mongodb), ignore = "WARDHOUSE_TEST_MONGODB is not set")]
async fn a_server_of_another_kind_is_told() {
    let (web, task) = somebody(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await;
    is_fatal(&at(&format!("mongodb://{web}/w"), &hasty()), "check host and port in stores.documents").await;
    task.abort();
}

#[tokio::test]
#[cfg_attr(not(has_mongodb), ignore = "WARDHOUSE_TEST_MONGODB names no server")]
async fn encryption_where_the_server_has_none_is_told() {
    let mut raw = RawMongodb { tls: true, ..hasty() };
    let server = with_database(&url("MONGODB").unwrap(), "whtest_none");
    is_fatal(&at(&server, &raw), "does not speak TLS there").await;
    raw.ca_file = Some("no-such-file.pem".into());
    is_fatal(&at(&server, &raw), "no-such-file.pem cannot be read").await;
}

#[tokio::test]
#[cfg_attr(not(has_secure_mongodb), ignore = "WARDHOUSE_TEST_SECURE_MONGODB names no server")]
async fn an_encrypted_server_is_reached_as_its_settings_say_only() {
    let variable = |name: &str| std::env::var(format!("WARDHOUSE_TEST_SECURE_{name}")).unwrap();
    let server = url("SECURE_MONGODB").unwrap();
    let raw = || RawMongodb { user: Some(variable("USER")), password: Some(variable("PASSWORD").into()), ca_file: Some(variable("CA").into()), ..hasty() };
    let findings = examine(&at(&server, &raw())).await;
    assert!(findings.iter().any(|finding| finding.subject == "tls" && finding.found == "TLS"), "{findings:?}");
    assert!(findings.iter().any(|finding| finding.subject == "rights" && finding.level == Level::Fine), "{findings:?}");

    is_fatal(&at(&server, &RawMongodb { password: Some("s3cret-of-mine".to_owned().into()), ..raw() }), "user or password is wrong").await;
    is_fatal(&at(&server, &RawMongodb { user: None, password: None, ..raw() }), "wants to know who asks").await;
    is_fatal(&at(&server, &RawMongodb { ca_file: None, ..raw() }), "name its CA in mongodb.ca_file").await;
    let plain = server.replace("tls=true", "tls=false");
    is_fatal(&at(&plain, &RawMongodb { ca_file: None, ..raw() }), "expects TLS: set mongodb.tls = true").await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_mongodb), ignore = "WARDHOUSE_TEST_MONGODB names no server")]
async fn a_layout_of_somebody_else_or_of_a_newer_wardhouse_is_refused_and_left_as_it_is() {
    let bench = Bench::new();
    bench.run(doc! { "insert": "documents", "documents": [{ "_id": 1 }] }).await;
    is_fatal(&bench.settings, "a collection that no Wardhouse made (documents)").await;
    assert_eq!(connect(&bench.settings).await.unwrap().collection::<Document>("documents").count_documents(doc! {}).await.unwrap(), 1);
    bench.run(doc! { "drop": "documents" }).await;
    drop(bench.open().await);
    bench.run(doc! { "update": "wardhouse_layout", "updates": [{ "q": {}, "u": { "$set": { "version": 9 } } }] }).await;
    is_fatal(&bench.settings, "newer Wardhouse (layout 9, this one knows 1)").await;
    assert!(read_positions(&bench.settings, "scorer").await.unwrap_err().to_string().contains("layout 9"));
    let Err(error) = session(&bench.engine()).query("SELECT * FROM documents.explanations").await else { panic!("a newer layout is not read") };
    assert!(error.to_string().contains("newer Wardhouse (layout 9"), "{error}");
    bench.done().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_mongodb), ignore = "WARDHOUSE_TEST_MONGODB names no server")]
async fn sql_over_a_database_without_documents_says_so() {
    let bench = Bench::new();
    let Err(error) = session(&bench.engine()).query("SELECT * FROM documents.explanations").await else { panic!("there is nothing to read") };
    assert!(error.to_string().contains("holds no documents of Wardhouse yet"), "{error}");
    assert!(read_positions(&bench.settings, "scorer").await.unwrap().is_empty());
    let places = rows(&bench.engine(), "SELECT kind, reachable, layout_version FROM system.stores WHERE role = 'documents'").await;
    assert_eq!(places, [["mongodb", "true", crate::sql::NULL]]);
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(has_mongodb), ignore = "WARDHOUSE_TEST_MONGODB names no server")]
async fn the_layout_is_made_once_and_put_right() {
    let bench = Bench::new();
    let making = (0..4).map(|_| async { layout::ensure(&connect(&bench.settings).await.unwrap(), &bench.settings).await.unwrap() });
    futures::future::join_all(making).await;
    let connected = connect(&bench.settings).await.unwrap();
    let ensure = async |settings: &MongodbSettings| layout::ensure(&connected, settings).await.unwrap();
    assert!(ensure(&bench.settings).await.is_empty());
    bench.run(doc! { "collMod": "documents", "validator": {} }).await;
    assert_eq!(ensure(&bench.settings).await, ["put back the validator of the collection documents"]);
    // Where the sink removes rows after 30 days, the server does what no sink did.
    let kept = bench.settings.clone().with_retention(Some(Duration::from_secs(30 * 86_400)));
    assert_eq!(ensure(&kept).await.len(), 1);
    assert_eq!((layout::expiry(&connected).await.unwrap(), ensure(&kept).await.len()), (Some(37 * 86_400), 0));
    let longer = bench.settings.clone().with_retention(Some(Duration::from_secs(60 * 86_400)));
    assert_eq!((ensure(&longer).await.len(), layout::expiry(&connected).await.unwrap()), (1, Some(67 * 86_400)));
    assert_eq!((ensure(&bench.settings).await.len(), layout::expiry(&connected).await.unwrap()), (1, None));
    bench.done().await;
}

#[tokio::test]
#[cfg_attr(not(has_mongodb), ignore = "WARDHOUSE_TEST_MONGODB names no server")]
async fn a_look_at_the_server_finds_what_there_is() {
    let bench = Bench::new();
    let before = examine(&bench.settings).await;
    assert!(before.iter().any(|finding| finding.subject == "layout" && finding.level == Level::Warning && finding.remedy.contains("wardhouse migrate")), "{before:?}");
    drop(bench.open().await);
    let findings = examine(&bench.settings).await;
    for subject in ["version", "tls", "rights", "durability", "clock", "layout", "retention"] {
        assert!(findings.iter().any(|finding| finding.subject == subject && finding.level < Level::Fault), "{subject}: {findings:?}");
    }
    bench.done().await;
}

#[tokio::test]
#[cfg_attr(not(has_mongodb), ignore = "WARDHOUSE_TEST_MONGODB names no server")]
async fn strict_durability_starts_on_a_replica_set_with_journals() {
    let bench = Bench::new();
    let server = with_database(&url("MONGODB").unwrap(), &bench.name);
    let strict = MongodbSettings::try_new(&ServerUrl::parse(&server).unwrap(), &RawMongodb::default(), Durability::Strict).unwrap();
    drop(DocumentsStore::open(&strict).await.unwrap());
    bench.done().await;
}
