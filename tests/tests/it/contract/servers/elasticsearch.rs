//! The search on an Elasticsearch server, for its suite: each place has a namespace of its own.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use wh_query::Engine;
use wh_schemas::position::Seq;
use wh_sinks::delivery::{Store, StorePosition};
use wh_sinks::elasticsearch::{SearchStore, read_positions};
use wh_stores::elasticsearch::{Client, ElasticsearchSettings, Method, RawElasticsearch, Rollover, connect};
use wh_stores::places::SearchPlace;
use wh_stores::{Durability, ServerUrl};

use super::{own_name, url};
use crate::content::Role;
use crate::contract::sinks::SinkAdapter;
use crate::sql::engine_with;

/// Names that stand in one request: its first line is bounded.
const NAMES: usize = 40;

/// The adapter of the server.
pub(in crate::contract) fn search() -> Arc<dyn SinkAdapter> {
    Arc::new(OnElasticsearch { raw: small(), opened: Mutex::default() })
}

/// The same, where nearly every batch takes several requests, every answer several pages, and every alert an index of its day.
pub(in crate::contract) fn search_in_parts() -> Arc<dyn SinkAdapter> {
    let raw = RawElasticsearch { bulk_kib: 64, page_rows: 3, rollover: Rollover::Day, compression: true, ..small() };
    Arc::new(OnElasticsearch { raw, opened: Mutex::default() })
}

struct OnElasticsearch {
    raw: RawElasticsearch,
    /// Namespaces of the places that were opened: other tests of this process have theirs.
    opened: Mutex<BTreeSet<String>>,
}

/// What a server of one node takes without a complaint.
pub(crate) fn small() -> RawElasticsearch {
    RawElasticsearch { replicas: 0, ..RawElasticsearch::default() }
}

/// Settings for a namespace of a server.
pub(crate) fn at(url: &str, namespace: &str, raw: &RawElasticsearch) -> ElasticsearchSettings {
    let sign = if url.contains('?') { '&' } else { '?' };
    let url = ServerUrl::parse(&format!("{url}{sign}namespace={namespace}")).unwrap();
    ElasticsearchSettings::try_new(&url, raw, Durability::Warn).unwrap()
}

/// Settings for a namespace of the test server.
pub(crate) fn settings(namespace: &str, raw: &RawElasticsearch) -> ElasticsearchSettings {
    at(&url("ELASTICSEARCH").unwrap(), namespace, raw)
}

/// Asks the server behind the store's back.
pub(crate) async fn ask(client: &Client, method: Method, path: &str, body: Option<Value>) -> Value {
    client.ask(method, path, &[], body.as_ref()).await.unwrap_or_else(|failure| panic!("{path}: {failure:?}"))
}

/// Deletes the indexes and templates whose names begin so.
pub(crate) async fn delete(client: &Client, prefix: &str) {
    let found: Map<String, Value> = client.ask(Method::Get, &format!("{prefix}*/_alias"), &[], None).await.unwrap();
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    for names in names.chunks(NAMES) {
        ask(client, Method::Delete, &names.join(","), None).await;
    }
    let found: Value = client.ask(Method::Get, &format!("_index_template/{prefix}*"), &[], None).await.unwrap();
    for template in found["index_templates"].as_array().unwrap() {
        ask(client, Method::Delete, &format!("_index_template/{}", template["name"].as_str().unwrap()), None).await;
    }
}

impl OnElasticsearch {
    fn settings(&self, place: &Path) -> ElasticsearchSettings {
        settings(&own_name(place), &self.raw)
    }
}

#[async_trait]
impl SinkAdapter for OnElasticsearch {
    fn name(&self) -> &'static str {
        if self.raw.page_rows > 100 { "the search on Elasticsearch" } else { "the search on Elasticsearch, in parts" }
    }

    fn role(&self) -> Role {
        Role::Search
    }

    async fn open(&self, place: &Path) -> Box<dyn Store> {
        self.opened.lock().unwrap().insert(own_name(place));
        Box::new(SearchStore::open(self.settings(place)).await.unwrap())
    }

    async fn engine(&self, place: &Path) -> Engine {
        engine_with(place, |places| places.search = SearchPlace::Elasticsearch(self.settings(place)))
    }

    async fn published(&self, place: &Path) -> Vec<StorePosition> {
        read_positions(&self.settings(place), "scorer").await.unwrap()
    }

    async fn lose(&self, place: &Path, partition: u32, seqs: Range<Seq>) {
        let settings = self.settings(place);
        let client = connect(&settings).await.unwrap();
        let lost = json!([{ "term": { "partition": partition } }, { "range": { "seq": { "gte": seqs.start, "lt": seqs.end } } }]);
        let path = format!("{}/_delete_by_query?refresh=true", settings.alerts());
        ask(&client, Method::Post, &path, Some(json!({ "query": { "bool": { "filter": lost } } }))).await;
    }

    async fn sweep(&self) {
        let opened = std::mem::take(&mut *self.opened.lock().unwrap());
        let client = connect(&settings("whtest", &self.raw)).await.unwrap();
        for namespace in opened {
            delete(&client, &namespace).await;
        }
    }
}
