//! Alerts on Elasticsearch read back by their position, each field as it stands in `_source`.
//!
//! What must stay true: nothing is written but that what was written becomes one that is found; what is expected is the very line that the sink sends.

use std::borrow::Cow;
use std::collections::BTreeSet;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use wh_eventlog::Stored;
use wh_schemas::Reaction;
use wh_schemas::position::SeqPosition;
use wh_schemas::topics::{RISK_ALERTS, RISK_SCORES};
use wh_stores::elasticsearch::{Client, ElasticsearchSettings, Failure, Method, connect};

use super::dialect::{self, Bulk};
use super::positions::Documents;
use crate::delivery::walk::{Positioned, stream_of};
use crate::pattern::PatternRow;
use crate::reconcile::{Expected, Field, Known, NOWHERE, Plain, Reached, Row, Span, StoredRows};

/// What rows are of.
const ALERTS: &str = "alerts";
/// Ids that one request looks for.
const IDS: usize = 1_000;
/// What is wanted of the answer to a search.
const WANTED: &str = "hits.hits._index,hits.hits._id,hits.hits._source";

#[derive(Default, Deserialize)]
#[serde(default)]
struct Found {
    hits: Hits,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Hits {
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
struct Hit {
    _index: String,
    _id: String,
    #[serde(default)]
    _source: Map<String, Value>,
}

/// The alerts of a store on Elasticsearch.
pub struct ElasticsearchRows {
    client: Client,
    settings: ElasticsearchSettings,
}

impl ElasticsearchRows {
    /// Connects.
    ///
    /// # Errors
    /// As [`connect()`].
    pub async fn open(settings: &ElasticsearchSettings) -> Result<ElasticsearchRows, Reaction> {
        Ok(ElasticsearchRows { client: connect(settings).await?, settings: settings.clone() })
    }

    /// At most `size` alerts of which a query holds.
    async fn search(&self, query: &Value, size: usize) -> Result<Vec<Hit>, Reaction> {
        let body = json!({ "size": size, "query": query, "track_total_hits": false, "sort": ["_doc"] });
        let parameters = [("allow_partial_search_results", "false"), ("filter_path", WANTED)];
        match self.client.ask::<Found>(Method::Post, &format!("{}/_search", self.settings.alerts()), &parameters, Some(&body)).await {
            Ok(found) => Ok(found.hits.hits),
            // There is no alert yet.
            Err(failure) if failure.is(404, "index_not_found_exception") => Ok(Vec::new()),
            Err(failure) => Err(self.client.reaction(&failure)),
        }
    }
}

/// Makes every alert of an alias one that can be found.
pub(super) async fn refresh(client: &Client, settings: &ElasticsearchSettings) -> Result<(), Failure> {
    let parameters = [("ignore_unavailable", "true"), ("filter_path", "_shards.failed")];
    match client.ask::<Value>(Method::Post, &format!("{}/_refresh", settings.alerts()), &parameters, None).await {
        Ok(_) => Ok(()),
        Err(failure) if failure.status == Some(404) => Ok(()),
        Err(failure) => Err(failure),
    }
}

/// The row of an alert.
fn row(id: String, index: String, source: &Map<String, Value>) -> Row {
    let number = |name: &str| source.get(name).and_then(Value::as_u64);
    let partition = number("partition").and_then(|partition| u32::try_from(partition).ok());
    let at = partition.zip(number("seq")).map_or(NOWHERE, |(partition, seq)| SeqPosition { partition, seq });
    // With quotation marks, so that a number is not taken for its text.
    let fields: Vec<Field> = source.iter().map(|(name, value)| (Cow::Owned(name.clone()), Some(value.to_string()))).collect();
    let time = source.get("created_at").and_then(Value::as_i64).unwrap_or(0);
    Row { key: id.clone(), id, place: index, time, ..Row::new(ALERTS, at, fields) }
}

/// Appends the rows of a record.
fn expect(settings: &ElasticsearchSettings, topic: &str, record: &Stored, out: &mut Vec<Row>) {
    let mut bulk = Bulk::default();
    let none = BTreeSet::new();
    let added = if topic == RISK_ALERTS {
        let Ok(Some(pattern)) = PatternRow::read(record) else { return };
        bulk.add(settings, record, pattern.position(), pattern.told().into_iter(), &none)
    } else {
        let Ok(scored) = serde_json::from_slice::<dialect::Row<'_>>(&record.value) else { return };
        if scored.risk_score.is_none() {
            return;
        }
        bulk.add(settings, record, scored.position(), scored.told(), &none)
    };
    if added.is_err() {
        return;
    }
    let body = bulk.body(bulk.lines());
    // Each alert is two lines: what is done, and the document.
    let sources = body.split(|byte| *byte == b'\n').skip(1).step_by(2);
    for (line, source) in bulk.lines().iter().zip(sources) {
        if let Ok(source) = serde_json::from_slice::<Map<String, Value>>(source) {
            out.push(row(line.id.clone(), line.index.to_string(), &source));
        }
    }
}

#[async_trait]
impl StoredRows for ElasticsearchRows {
    fn role(&self) -> &'static str {
        "search"
    }

    fn topics(&self) -> &'static [&'static str] {
        &[RISK_SCORES, RISK_ALERTS]
    }

    fn grain(&self) -> u64 {
        1
    }

    async fn refresh(&mut self) -> Result<(), Reaction> {
        refresh(&self.client, &self.settings).await.map_err(|failure| self.client.reaction(&failure))
    }

    async fn reached(&mut self, topic: &str) -> Result<Vec<Reached>, Reaction> {
        match Documents::default().read(&self.client, &self.settings, stream_of(topic)).await {
            Ok(held) => Ok(held.partitions.iter().map(|(partition, at)| Reached { partition: *partition, visible: at.next_seq, floor: at.floor_seq }).collect()),
            Err(failure) if failure.is(404, "index_not_found_exception") => Ok(Vec::new()),
            Err(failure) => Err(self.client.reaction(&failure)),
        }
    }

    async fn kept_since(&mut self, _now: i64) -> Result<Option<i64>, Reaction> {
        Ok(None)
    }

    fn expected(&self, topic: &'static str) -> Box<dyn Expected> {
        let settings = self.settings.clone();
        Box::new(Plain::new(topic, move |topic, record, out| expect(&settings, topic, record, out)))
    }

    async fn stored(&mut self, _topic: &'static str, span: &Span, _expected: &[Row]) -> Result<Vec<Row>, Reaction> {
        let page = self.settings.page_rows.max(1);
        let (mut rows, mut open) = (Vec::new(), vec![(span.from, span.to)]);
        while let Some((from, to)) = open.pop() {
            let query = json!({ "bool": { "filter": [{ "term": { "partition": span.rows } }, { "range": { "seq": { "gte": from, "lt": to } } }] } });
            let found = self.search(&query, page).await?;
            if found.len() >= page && to - from > 1 {
                // There may be more: each half by itself.
                let middle = from + (to - from) / 2;
                open.extend([(middle, to), (from, middle)]);
                continue;
            }
            rows.extend(found.into_iter().map(|hit| row(hit._id, hit._index, &hit._source)));
        }
        Ok(rows)
    }

    async fn elsewhere(&mut self, ids: &[&str]) -> Result<Vec<(String, SeqPosition)>, Reaction> {
        let mut found = Vec::new();
        for ids in ids.chunks(IDS) {
            let hits = self.search(&json!({ "ids": { "values": ids } }), self.settings.page_rows.max(ids.len())).await?;
            found.extend(hits.into_iter().map(|hit| row(hit._id, hit._index, &hit._source)).map(|row| (row.id, row.at)));
        }
        Ok(found)
    }

    async fn strays(&mut self, known: &[Known], limit: usize) -> Result<Vec<Row>, Reaction> {
        let place = |known: &Known| json!({ "bool": { "filter": [{ "term": { "partition": known.rows } }, { "range": { "seq": { "gte": 0, "lt": known.below } } }] } });
        let places: Vec<Value> = known.iter().map(place).collect();
        let hits = self.search(&json!({ "bool": { "must_not": places } }), limit.min(self.settings.page_rows)).await?;
        Ok(hits.into_iter().map(|hit| row(hit._id, hit._index, &hit._source)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wh_stores::elasticsearch::RawElasticsearch;
    use wh_stores::{Durability, ServerUrl};

    #[test]
    fn what_is_expected_is_the_line_that_is_sent() {
        let settings = ElasticsearchSettings::try_new(&ServerUrl::parse("elasticsearch://h?namespace=x").unwrap(), &RawElasticsearch::default(), Durability::Warn).unwrap();
        let alert =
            r#"{"alert_id":"a","transaction_id":"t","alert_type":"night","severity":"high","risk_score":70,"title":"Night","message":"line\nline","detection_rules":["n"]}"#;
        let value = format!(r#"{{"partition":1,"seq":7,"timestamp":"1970-01-01T00:00:00.000005Z","user_id":"u","department":"IT","risk_score":70,"alerts":[{alert}]}}"#);
        let record = Stored { offset: 7, append_time: 1_769_904_000_000_001, key: None, value: value.into_bytes().into(), headers: Vec::new() };
        let mut rows = Vec::new();
        expect(&settings, RISK_SCORES, &record, &mut rows);
        let [row] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!((row.at, row.id.as_str(), row.place.as_str(), row.time), (SeqPosition { partition: 1, seq: 7 }, "a", "x-alerts-2026.02", 1_769_904_000_000_001));
        assert_eq!((row.field("risk_score"), row.field("user_id"), row.field("message")), (Some("70"), Some("\"u\""), Some("\"line\\nline\"")));
    }
}
