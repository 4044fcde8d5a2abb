//! Elasticsearch: `_bulk` with `create` of what the sink wrote into an index of the same mapping in a namespace of our own, as many bytes a
//! request as the sink may send, two at a time, and one refresh at the end.

use futures::{TryStreamExt, stream};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use wh_sinks::elasticsearch::SearchStore;
use wh_stores::elasticsearch::{Client, ElasticsearchSettings, Method, connect, layout};

use super::meter::{Meter, ServerCpu, Took};
use super::{Corpus, Run, Unmeasured, and_remove, counted, fill, own_name};
use crate::report::RawRate;

/// How it is called in reports.
pub const WAY: &str = "_bulk, two at a time (alerts)";

/// Documents that are read back at once.
const PAGE: usize = 5_000;
/// Requests under way at a time.
const AT_ONCE: usize = 2;

/// A document as `_bulk` takes it.
pub struct Document {
    /// The line before it.
    action: Vec<u8>,
    /// The document's line.
    source: Vec<u8>,
}

impl Document {
    fn bytes(&self) -> usize {
        self.action.len() + self.source.len() + 2
    }
}

async fn ask<T: DeserializeOwned>(client: &Client, method: Method, path: &str, body: Option<Value>) -> Result<T, Unmeasured> {
    Ok(client.ask(method, path, &[], body.as_ref()).await.map_err(|failure| client.reaction(&failure))?)
}

/// What the sink wrote, read back.
///
/// # Errors
/// As the store's.
pub async fn written(settings: &ElasticsearchSettings) -> Result<Vec<Document>, Unmeasured> {
    let client = connect(settings).await?;
    let (path, mut documents, mut after) = (format!("{}/_search", settings.alerts()), Vec::new(), None::<Value>);
    loop {
        let mut body = json!({ "size": PAGE, "sort": [{ "seq": "asc" }, { "alert_id": "asc" }], "query": { "match_all": {} } });
        if let Some(after) = &after {
            body["search_after"] = after.clone();
        }
        let found: Value = ask(&client, Method::Post, &path, Some(body)).await?;
        let hits = found["hits"]["hits"].as_array().map(Vec::as_slice).unwrap_or_default();
        let Some(last) = hits.last() else { return Ok(documents) };
        after = Some(last["sort"].clone());
        for hit in hits {
            let action = json!({ "create": { "_id": hit["_id"] } }).to_string().into_bytes();
            documents.push(Document { action, source: hit["_source"].to_string().into_bytes() });
        }
    }
}

/// Bodies of requests of at most so many bytes.
fn bodies(documents: &[Document], most: usize) -> Vec<Vec<u8>> {
    let (mut bodies, mut body) = (Vec::new(), Vec::new());
    for document in documents {
        if !body.is_empty() && body.len() + document.bytes() > most {
            bodies.push(std::mem::take(&mut body));
        }
        for line in [&document.action, &document.source] {
            body.extend_from_slice(line);
            body.push(b'\n');
        }
    }
    bodies.push(body);
    bodies
}

/// Writes documents into a namespace that holds none, so many requests at a time.
///
/// # Errors
/// As the store's.
pub async fn write(settings: &ElasticsearchSettings, documents: &[Document], append_time: i64, at_once: usize, cpu: &ServerCpu) -> Result<Took, Unmeasured> {
    let client = connect(settings).await?;
    layout::ensure(&client, settings).await?;
    let index = settings.index_of(append_time);
    layout::ensure_index(&client, settings, &index).await.map_err(|failure| client.reaction(&failure))?;
    // At least as many requests as are to be under way at a time.
    let bytes: usize = documents.iter().map(Document::bytes).sum();
    let bodies = bodies(documents, settings.bulk_bytes.min(bytes.div_ceil(at_once) + 1));
    let (bulk, refresh) = (format!("{index}/_bulk"), format!("{index}/_refresh"));
    let meter = Meter::start(cpu);
    stream::iter(bodies.iter().map(Ok))
        .try_for_each_concurrent(at_once, |body| {
            let (client, bulk) = (&client, &bulk);
            async move {
                let answer = client.send(Method::Post, bulk, &[("filter_path", "errors")], Some(body)).await.map_err(|failure| client.reaction(&failure))?;
                if answer == br#"{"errors":false}"# { Ok(()) } else { Err(Unmeasured::Failed(format!("{}: _bulk: {}", client.place(), String::from_utf8_lossy(&answer)))) }
            }
        })
        .await?;
    ask::<Value>(&client, Method::Post, &refresh, None).await?;
    let took = meter.stop(documents.len(), bytes);
    let found: Value = ask(&client, Method::Get, &format!("{index}/_count"), None).await?;
    counted(found["count"].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(0), documents.len())?;
    Ok(took)
}

/// Removes the indexes of a namespace, and what makes them.
///
/// # Errors
/// As the store's.
pub async fn remove(settings: &ElasticsearchSettings) -> Result<(), Unmeasured> {
    let client = connect(settings).await?;
    let found: Map<String, Value> = ask(&client, Method::Get, &format!("{}-*/_alias", settings.namespace), None).await?;
    for name in found.keys() {
        ask::<Value>(&client, Method::Delete, name, None).await?;
    }
    match client.ask::<Value>(Method::Delete, &format!("_index_template/{}", settings.alerts()), &[], None).await {
        Ok(_) => Ok(()),
        // It was not made yet.
        Err(failure) if failure.is(404, "index_template_missing_exception") => Ok(()),
        Err(failure) => Err(client.reaction(&failure).into()),
    }
}

/// When the first record was appended: it says which index they stand in.
#[must_use]
pub fn appended(corpus: &Corpus) -> i64 {
    corpus.alerting.first().and_then(|batch| batch.first()).map_or(0, |record| record.append_time)
}

/// Measures it.
pub(super) async fn measure(settings: &ElasticsearchSettings, run: &Run<'_>) -> Result<RawRate, Unmeasured> {
    let own = ElasticsearchSettings { namespace: own_name(), ..settings.clone() };
    let work = async {
        let mut store = SearchStore::open(own.clone()).await?;
        fill(&mut store, &run.corpus.alerting, run.stop).await?;
        drop(store);
        let documents = written(&own).await?;
        remove(&own).await?;
        let took = write(&own, &documents, appended(run.corpus), AT_ONCE, &run.cpu).await?;
        Ok::<_, Unmeasured>(took.raw_rate("search", WAY))
    };
    and_remove(run.stop, work, remove(&own)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_hold_all_documents_and_no_more_than_they_may() {
        let documents: Vec<Document> = (0..10).map(|number| Document { action: b"{}".to_vec(), source: vec![b'x'; 10 * number] }).collect();
        for most in [1, 100, 10_000] {
            let bodies = bodies(&documents, most);
            assert!(bodies.iter().all(|body| body.len() <= most || body.iter().filter(|byte| **byte == b'\n').count() == 2), "{most}");
            assert_eq!(bodies.concat().len(), documents.iter().map(Document::bytes).sum::<usize>(), "{most}");
        }
    }
}
