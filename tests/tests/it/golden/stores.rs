//! The embedded stores' files with their rows and positions, and the positions of servers that are documents.
//!
//! What must stay true: a store that an earlier version filled is read, and gone on with, as it is: no layout is changed under it.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use mongodb::bson;
use tantivy::{Index, IndexWriter, TantivyDocument};
use wh_eventlog::Record;
use wh_schemas::topics::{RISK_ALERTS, RISK_SCORES};
use wh_sinks::delivery::{Batch, Store, Written};
use wh_stores::elasticsearch::positions::{Held, Positions, Published};
use wh_stores::mongodb::layout::PositionDocument;
use wh_stores::tantivy::layout;

use super::wire::AT;
use super::{Format, sqlite_text, wait, wire};
use crate::content::{self, Role};
use crate::{records, sql};

pub(super) const LEDGER: Format = Format::new("ledger.sql", 1, || write_file(Role::Ledger), |bytes| read_file(Role::Ledger, bytes));
pub(super) const DOCUMENTS: Format = Format::new("documents.sql", 1, || write_file(Role::Documents), |bytes| read_file(Role::Documents, bytes));
pub(super) const METRICS: Format = Format::new("metrics.sql", 1, || write_file(Role::Metrics), |bytes| read_file(Role::Metrics, bytes));
pub(super) const SEARCH: Format = Format::new("search-positions.json", 1, write_search, read_search);
pub(super) const ELASTICSEARCH: Format = Format::new("elasticsearch-positions.json", 1, || serde_json::to_vec(&positions()).unwrap(), read_elasticsearch);
pub(super) const MONGODB: Format = Format::new("mongodb-position.bson", 1, || bson::serialize_to_vec(&position_document()).unwrap(), read_mongodb);

/// What the clock had a part in.
const MASKS: &str = "UPDATE positions SET updated_at = 1772350200000000;";
/// The mark of the log that the stores are filled from.
const MARK: u64 = 0x000a_bcde_f012_3456;

/// Everything that a topic holds in these tests.
fn of_topic(topic: &str) -> Vec<Record> {
    match topic {
        RISK_SCORES => [wire::scored(), vec![wire::duplicate()]].concat(),
        RISK_ALERTS => wire::risk_alerts(),
        _ => wire::events(),
    }
}

fn batch(topic: &str, records: Vec<Record>) -> Batch {
    Batch { topic: topic.into(), partition: 0, records: Arc::new(records::stored(records, 0)), buried: BTreeSet::new() }
}

/// Fills a store that is there or not.
async fn fill(role: Role, folder: &Path) {
    let mut store = content::open(role, folder).unwrap();
    store.bind(MARK).await.unwrap();
    for topic in store.topics() {
        let written = store.write(batch(topic, of_topic(topic))).await.unwrap();
        assert!(matches!(written, Written::Done { .. }), "{topic}: {written:?}");
    }
    store.publish().await.unwrap();
}

/// What a store says of itself, and how it goes on: everything comes again, with a record more.
async fn going_on(store: &mut dyn Store) -> String {
    let mut text = format!("log {:?}\n", store.log().await.unwrap());
    for topic in store.topics() {
        writeln!(text, "{topic}: {:?}", store.positions(topic).await.unwrap()).unwrap();
    }
    let more = [of_topic(RISK_SCORES), vec![wire::next()]].concat();
    writeln!(text, "going on: {:?}", store.write(batch(RISK_SCORES, more)).await.unwrap()).unwrap();
    store.publish().await.unwrap();
    text
}

fn write_file(role: Role) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    wait(fill(role, folder.path()));
    sqlite_text::dump(&folder.path().join(format!("{}.db", role.name())), MASKS)
}

fn read_file(role: Role, bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    sqlite_text::load(bytes, &folder.path().join(format!("{}.db", role.name())));
    wait(async {
        let rows = async |what: &str| {
            let rows = content::read_back(role, &sql::engine(folder.path())).await;
            rows.into_iter().fold(format!("{what}\n"), |text, (id, content)| text + &format!("  {id}: {content}\n"))
        };
        let before = rows("as it was").await;
        let said = going_on(&mut *content::open(role, folder.path()).unwrap()).await;
        before + &said + &rows("with a record more").await
    })
}

/// The payload of the index's last commit: its positions. What else is in an index is Tantivy's to keep readable.
fn write_search() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    wait(fill(Role::Search, folder.path()));
    let index = Index::open_in_dir(folder.path().join("search")).unwrap();
    let mut payload: serde_json::Value = serde_json::from_str(&index.load_metas().unwrap().payload.unwrap()).unwrap();
    for partitions in payload.as_object_mut().unwrap().values_mut() {
        for published in partitions.as_object_mut().unwrap().values_mut() {
            if let Some(updated_at) = published.get_mut("updated_at") {
                *updated_at = AT.into();
            }
        }
    }
    payload.to_string().into_bytes()
}

fn read_search(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    drop(content::open(Role::Search, folder.path()).unwrap());
    {
        let index = Index::open_in_dir(folder.path().join("search")).unwrap();
        layout::register_analyzer(&index);
        let mut writer: IndexWriter<TantivyDocument> = index.writer_with_num_threads(1, 20_000_000).unwrap();
        let mut commit = writer.prepare_commit().unwrap();
        commit.set_payload(std::str::from_utf8(bytes).unwrap());
        commit.commit().unwrap();
    }
    wait(async {
        let published = ["scorer", "patterns"].map(|stream| format!("{stream}: {:?}\n", content::published_of(Role::Search, folder.path(), stream).unwrap()));
        published.concat() + &going_on(&mut *content::open(Role::Search, folder.path()).unwrap()).await
    })
}

fn positions() -> Positions {
    let first = Published { next_seq: 9, next_offset: 12, stored: 2, duplicates: 1, dead_letters: 3, discarded: 3, unreadable: 1, floor_seq: 4, updated_at: AT };
    let second = Published { next_seq: 1, next_offset: 1, discarded: 1, updated_at: AT + 1, ..Published::default() };
    Positions { stream: "scorer".to_owned(), updated_at: AT + 1, partitions: [(0, first), (12, second)].into() }
}

fn read_elasticsearch(bytes: &[u8]) -> String {
    // As the server answers with it.
    let answer = format!(r#"{{"_index":"x-positions","_id":"scorer","_version":4,"_seq_no":3,"_primary_term":1,"found":true,"_source":{}}}"#, std::str::from_utf8(bytes).unwrap());
    format!("{:#?}\n", serde_json::from_str::<Held>(&answer).unwrap())
}

fn position_document() -> PositionDocument {
    PositionDocument {
        id: "scorer/2".to_owned(),
        stream: "scorer".to_owned(),
        partition: 2,
        next_seq: 9,
        next_offset: 12,
        stored: 2,
        duplicates: 1,
        dead_letters: 3,
        discarded: 3,
        unreadable: 1,
        floor_seq: 4,
        updated_at: AT,
    }
}

fn read_mongodb(bytes: &[u8]) -> String {
    format!("{:#?}\n", bson::deserialize_from_slice::<PositionDocument>(bytes).unwrap())
}
