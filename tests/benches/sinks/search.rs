//! The search on Elasticsearch, given records that each raise an alert: of the others it writes nothing. Raw: `_bulk` with `create` of the
//! same documents into an index of the same mapping, as many bytes a request as the sink may send, and one refresh at the end.

use futures::{StreamExt, stream};
use serde_json::{Map, Value, json};
use wh_sinks::elasticsearch::SearchStore;
use wh_stores::elasticsearch::{Client, ElasticsearchSettings, Method, RawElasticsearch, connect, layout};
use wh_stores::{Durability, ServerUrl};

use crate::records::Corpus;
use crate::{Contest, Measured, Meter, check, own_name, write};

const SERVER: &str = "elasticsearch";
/// Documents that are read back at once.
const PAGE: usize = 5_000;

/// Settings for a namespace of its own; a server of one node has no place for copies.
fn own_namespace(url: &str) -> ElasticsearchSettings {
    let sign = if url.contains('?') { '&' } else { '?' };
    let url = ServerUrl::parse(&format!("{url}{sign}namespace={}", own_name())).unwrap();
    ElasticsearchSettings::try_new(&url, &RawElasticsearch { replicas: 0, ..RawElasticsearch::default() }, Durability::Warn).unwrap()
}

async fn remove(settings: &ElasticsearchSettings) {
    let client = connect(settings).await.unwrap();
    let found: Map<String, Value> = ask(&client, Method::Get, &format!("{}-*/_alias", settings.namespace), None).await;
    for name in found.keys() {
        ask::<Value>(&client, Method::Delete, name, None).await;
    }
    ask::<Value>(&client, Method::Delete, &format!("_index_template/{}", settings.alerts()), None).await;
}

async fn ask<T: serde::de::DeserializeOwned>(client: &Client, method: Method, path: &str, body: Option<Value>) -> T {
    client.ask(method, path, &[], body.as_ref()).await.unwrap_or_else(|failure| panic!("{path}: {failure:?}"))
}

async fn sink(settings: &ElasticsearchSettings, corpus: &Corpus, alerting: bool) -> Measured {
    let (batches, rows) = if alerting { (&corpus.alerting, corpus.alerting_rows) } else { (&corpus.scored, corpus.rows) };
    let mut store = SearchStore::open(settings.clone()).await.unwrap();
    let meter = Meter::start(SERVER);
    write(&mut store, batches).await;
    let measured = meter.stop(rows);
    check(&mut store, rows).await;
    measured
}

/// A document as `_bulk` takes it.
struct Document {
    /// The line before it.
    action: Vec<u8>,
    /// The document's line.
    source: Vec<u8>,
}

/// What the sink wrote, read back.
async fn written(settings: &ElasticsearchSettings) -> Vec<Document> {
    let client = connect(settings).await.unwrap();
    let (path, mut documents, mut after) = (format!("{}/_search", settings.alerts()), Vec::new(), None::<Value>);
    loop {
        let mut body = json!({ "size": PAGE, "sort": [{ "seq": "asc" }, { "alert_id": "asc" }], "query": { "match_all": {} } });
        if let Some(after) = &after {
            body["search_after"] = after.clone();
        }
        let found: Value = ask(&client, Method::Post, &path, Some(body)).await;
        let hits = found["hits"]["hits"].as_array().unwrap();
        let Some(last) = hits.last() else { return documents };
        after = Some(last["sort"].clone());
        for hit in hits {
            let action = serde_json::to_vec(&json!({ "create": { "_id": hit["_id"] } })).unwrap();
            documents.push(Document { action, source: serde_json::to_vec(&hit["_source"]).unwrap() });
        }
    }
}

/// Bodies of requests of at most so many bytes.
fn bodies(documents: &[Document], most: usize) -> Vec<Vec<u8>> {
    let mut bodies: Vec<Vec<u8>> = vec![Vec::new()];
    for Document { action, source } in documents {
        if bodies.last().is_some_and(|body| !body.is_empty() && body.len() + action.len() + source.len() + 2 > most) {
            bodies.push(Vec::new());
        }
        if let Some(body) = bodies.last_mut() {
            for line in [action, source] {
                body.extend_from_slice(line);
                body.push(b'\n');
            }
        }
    }
    bodies
}

async fn raw(settings: &ElasticsearchSettings, documents: &[Document], corpus: &Corpus, at_once: usize) -> Measured {
    let client = connect(settings).await.unwrap();
    layout::ensure(&client, settings).await.unwrap();
    let index = settings.index_of(corpus.alerting[0][0].append_time);
    layout::ensure_index(&client, settings, &index).await.unwrap();
    // At least as many requests as are to be under way at a time.
    let bytes: usize = documents.iter().map(|document| document.action.len() + document.source.len() + 2).sum();
    let bodies = bodies(documents, settings.bulk_bytes.min(bytes.div_ceil(at_once) + 1));
    let (bulk, refresh) = (format!("{index}/_bulk"), format!("{index}/_refresh"));
    let meter = Meter::start(SERVER);
    stream::iter(&bodies)
        .for_each_concurrent(at_once, |body| {
            let (client, bulk) = (&client, &bulk);
            async move {
                let answer = client.send(Method::Post, bulk, &[("filter_path", "errors")], Some(body)).await.unwrap();
                assert_eq!(answer, br#"{"errors":false}"#, "{}", String::from_utf8_lossy(&answer));
            }
        })
        .await;
    ask::<Value>(&client, Method::Post, &refresh, None).await;
    let measured = meter.stop(documents.len());
    let counted: Value = ask(&client, Method::Get, &format!("{index}/_count"), None).await;
    assert_eq!(counted["count"].as_u64(), Some(documents.len() as u64));
    measured
}

pub(crate) async fn contest(url: &str, corpus: &Corpus, rounds: usize) -> Contest {
    let compared = ["sink, each record with an alert", "raw: _bulk", "raw: _bulk, two at a time"];
    let mut contest = Contest::new(SERVER, "alerts", &compared, &["sink, records as they come (records, not alerts)"]);
    let first = own_namespace(url);
    sink(&first, corpus, true).await;
    let documents = written(&first).await;
    remove(&first).await;
    for round in 0..rounds {
        for way in contest.order(round) {
            let settings = own_namespace(url);
            let measured = match way {
                0 => sink(&settings, corpus, true).await,
                3 => sink(&settings, corpus, false).await,
                at_once => raw(&settings, &documents, corpus, at_once).await,
            };
            remove(&settings).await;
            contest.add(way, measured);
        }
    }
    contest.notes.push(format!("elasticsearch: {} alerts of as many records", documents.len()));
    contest
}
