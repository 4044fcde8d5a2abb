//! The documents on a MongoDB server, for its suite: each place has a database of its own.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use mongodb::bson::{Document, doc};
use wh_query::Engine;
use wh_schemas::SeqPosition;
use wh_schemas::position::Seq;
use wh_sinks::delivery::{Store, StorePosition};
use wh_sinks::mongodb::{DocumentsStore, read_positions};
use wh_stores::mongodb::{MongodbSettings, RawMongodb, connect, layout};
use wh_stores::places::DocumentsPlace;
use wh_stores::{Durability, ServerUrl};

use super::{own_name, url};
use crate::content::Role;
use crate::contract::sinks::SinkAdapter;
use crate::sql::engine_with;

/// The adapter of the server.
pub(in crate::contract) fn documents() -> Arc<dyn SinkAdapter> {
    Arc::new(OnMongodb { batch_documents: RawMongodb::default().batch_documents, opened: Mutex::default() })
}

/// The same, where nearly every batch takes several inserts.
pub(in crate::contract) fn documents_in_parts() -> Arc<dyn SinkAdapter> {
    Arc::new(OnMongodb { batch_documents: 7, opened: Mutex::default() })
}

struct OnMongodb {
    batch_documents: u64,
    /// Databases of the places that were opened: other tests of this process have theirs.
    opened: Mutex<BTreeSet<String>>,
}

/// A server's URL, with another database.
pub(crate) fn with_database(url: &str, database: &str) -> String {
    let (place, query) = url.split_once('?').map_or((url, String::new()), |(place, query)| (place, format!("?{query}")));
    let host = place.find("://").map_or(0, |at| at + 3);
    let end = place[host..].find('/').map_or(place.len(), |at| host + at);
    format!("{}/{database}{query}", &place[..end])
}

/// Settings for a URL.
pub(crate) fn at(url: &str, raw: &RawMongodb) -> MongodbSettings {
    MongodbSettings::try_new(&ServerUrl::parse(url).unwrap(), raw, Durability::Warn).unwrap()
}

/// Settings for a database of the test server.
pub(crate) fn settings(database: &str, raw: &RawMongodb) -> MongodbSettings {
    at(&with_database(&url("MONGODB").unwrap(), database), raw)
}

/// Drops a database.
pub(crate) async fn drop_database(database: &str) {
    connect(&settings(database, &RawMongodb::default())).await.unwrap().database().drop().await.unwrap();
}

impl OnMongodb {
    fn settings(&self, place: &Path) -> MongodbSettings {
        settings(&own_name(place), &RawMongodb { batch_documents: self.batch_documents, parallel_inserts: 3, ..RawMongodb::default() })
    }
}

#[async_trait]
impl SinkAdapter for OnMongodb {
    fn name(&self) -> &'static str {
        if self.batch_documents > 100 { "the documents on MongoDB" } else { "the documents on MongoDB, in parts" }
    }

    fn role(&self) -> Role {
        Role::Documents
    }

    async fn open(&self, place: &Path) -> Box<dyn Store> {
        self.opened.lock().unwrap().insert(own_name(place));
        Box::new(DocumentsStore::open(&self.settings(place)).await.unwrap())
    }

    async fn engine(&self, place: &Path) -> Engine {
        engine_with(place, |places| places.documents = DocumentsPlace::Mongodb(self.settings(place)))
    }

    async fn published(&self, place: &Path) -> Vec<StorePosition> {
        read_positions(&self.settings(place), "scorer").await.unwrap()
    }

    async fn lose(&self, place: &Path, partition: u32, seqs: Range<Seq>) {
        let at = |seq| SeqPosition { partition, seq }.packed();
        let connected = connect(&self.settings(place)).await.unwrap();
        connected.collection::<Document>(layout::DOCUMENTS).delete_many(doc! { "_id": { "$gte": at(seqs.start), "$lt": at(seqs.end) } }).await.unwrap();
    }

    async fn sweep(&self) {
        let opened = std::mem::take(&mut *self.opened.lock().unwrap());
        for database in opened {
            drop_database(&database).await;
        }
    }
}
