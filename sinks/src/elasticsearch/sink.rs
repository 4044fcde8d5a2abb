//! Writing the indexes. A row is written at once and shown to no reader: queries look below the published positions, and those move in
//! `publish`, once every row below them can be found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use wh_eventlog::crash;
use wh_schemas::Reaction;
use wh_schemas::alert::PATTERN_ROWS;
use wh_schemas::topics::{RISK_ALERTS, RISK_SCORES};
use wh_stores::elasticsearch::errors::Row as Outcome;
use wh_stores::elasticsearch::{Client, ElasticsearchSettings, Failure, Method, checks, connect, layout};

use super::dialect::{self, Bulk, Line, Row};
use super::positions::{Documents, Step, position, unpublished};
use super::retention;
use crate::delivery::walk::{self, DISCARDED, DUPLICATE, Halt, Positioned, Refused, STORED, stream_of};
use crate::delivery::{Batch, Store, StorePosition, Written};
use crate::pattern::PatternRow;

/// Indexes that one request refreshes: their names stand in its first line, which the server bounds.
const NAMES: usize = 40;
/// Ids that one request looks for.
const IDS: usize = 1_000;
/// What is wanted of the answer to `_bulk`.
const OUTCOMES: [(&str, &str); 1] = [("filter_path", "items.*.status,items.*.error.type,items.*.error.reason")];

/// A stream's partition.
type Key = (String, u32);

/// The search store on Elasticsearch.
pub struct SearchStore {
    pub(super) client: Client,
    pub(super) settings: ElasticsearchSettings,
    documents: Documents,
    /// Positions as the store has them.
    published: BTreeMap<Key, StorePosition>,
    /// Positions as they will be once published.
    written: BTreeMap<Key, StorePosition>,
    /// Indexes with rows that may not be found yet.
    touched: BTreeSet<Arc<str>>,
    /// Indexes that are there.
    made: BTreeSet<Arc<str>>,
    /// Ids of the alerts of a batch that did not go through as a whole: they are not sent again.
    held: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Refreshed {
    #[serde(rename = "_shards")]
    shards: Shards,
}

#[derive(Deserialize)]
struct Shards {
    failed: u64,
}

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
    _id: String,
}

impl SearchStore {
    /// Connects, and makes template and indexes where they are missing.
    ///
    /// # Errors
    /// Transient where the cluster is away; fatal on wrong credentials, missing rights, a foreign or newer layout.
    pub async fn open(settings: ElasticsearchSettings) -> Result<SearchStore, Reaction> {
        let client = connect(&settings).await?;
        for sentence in layout::ensure(&client, &settings).await? {
            tracing::info!(store = "search", place = client.place(), "{sentence}");
        }
        checks::durable(&client, &settings).await?;
        let mut store = SearchStore {
            client,
            settings,
            documents: Documents::default(),
            published: BTreeMap::new(),
            written: BTreeMap::new(),
            touched: BTreeSet::new(),
            made: BTreeSet::new(),
            held: BTreeSet::new(),
        };
        store.go_back_to_published(stream_of(RISK_SCORES)).await?;
        Ok(store)
    }

    fn reaction(&self, failure: &Failure) -> Reaction {
        self.client.reaction(failure)
    }

    /// Forgets what was written and not published, of every stream: what it touched may not be found yet.
    async fn go_back_to_published(&mut self, stream: &str) -> Result<(), Reaction> {
        let positions = self.documents.read(&self.client, &self.settings, stream).await.map_err(|failure| self.client.reaction(&failure))?;
        self.published.retain(|(of, _), _| of != stream);
        self.published.extend(positions.partitions.iter().map(|(partition, at)| ((stream.to_owned(), *partition), position(*partition, at))));
        self.written = self.published.clone();
        self.touched.clear();
        self.held.clear();
        Ok(())
    }

    /// Makes the indexes that these lines belong to.
    async fn prepare(&mut self, part: &[Line]) -> Result<(), Reaction> {
        for line in part {
            if !self.made.contains(&line.index) {
                layout::ensure_index(&self.client, &self.settings, &line.index).await.map_err(|failure| self.reaction(&failure))?;
                self.made.insert(Arc::clone(&line.index));
            }
            self.touched.insert(Arc::clone(&line.index));
        }
        Ok(())
    }

    /// Sends lines. Returns those that can never be stored; every other one is in the store.
    async fn deliver(&mut self, bulk: &Bulk) -> Result<Vec<Refused>, Reaction> {
        let mut open = bulk.parts(self.settings.bulk_bytes);
        open.reverse();
        let (mut refused, mut again) = (Vec::new(), None);
        while let Some(part) = open.pop() {
            self.prepare(part).await?;
            let answer = self.client.send(Method::Post, "_bulk", &OUTCOMES, Some(&bulk.body(part))).await;
            let outcomes = answer.and_then(|answer| dialect::outcomes(&answer, part.len()));
            match (outcomes, part) {
                (Ok(outcomes), _) => {
                    for (line, outcome) in part.iter().zip(outcomes) {
                        match outcome {
                            Outcome::Held => {
                                self.held.insert(line.id.clone());
                            }
                            Outcome::Refused(message) => refused.push(refusal(line, "alert:refused", message)),
                            Outcome::Homeless => {
                                self.made.remove(&line.index);
                                let gone = Failure::transient(format!("the index {} was removed meanwhile", line.index), "it is made anew");
                                again = again.or(Some(gone));
                            }
                            Outcome::Again(failure) => again = again.or(Some(failure)),
                            Outcome::Stop(failure) => return Err(self.reaction(&failure)),
                        }
                    }
                }
                (Err(failure), [line]) if is_of_one_row(&failure) => refused.push(refusal(line, "alert:refused", format!("the index takes no such alert ({})", failure.message))),
                (Err(failure), part) if is_of_one_row(&failure) => {
                    let (left, right) = part.split_at(part.len() / 2);
                    open.extend([right, left]);
                }
                (Err(failure), _) => return Err(self.reaction(&failure)),
            }
        }
        match again {
            // What is refused is buried first: the rest is sent again with what comes then.
            Some(failure) if refused.is_empty() => Err(self.reaction(&failure)),
            _ => Ok(refused),
        }
    }

    /// Makes every row that was written one that can be found.
    async fn refresh(&mut self) -> Result<(), Failure> {
        let touched: Vec<Arc<str>> = self.touched.iter().cloned().collect();
        for names in touched.chunks(NAMES) {
            // One that retention removed is not missed.
            let query = [("ignore_unavailable", "true"), ("filter_path", "_shards.failed")];
            let refreshed: Refreshed = self.client.ask(Method::Post, &format!("{}/_refresh", names.join(",")), &query, None).await?;
            if refreshed.shards.failed > 0 {
                return Err(Failure::transient(format!("{} shards could not be refreshed", refreshed.shards.failed), "see the health of the cluster; it is tried again"));
            }
            for name in names {
                self.touched.remove(name);
            }
        }
        Ok(())
    }

    /// Which of these alerts are in any index.
    async fn present(&self, ids: &[&str]) -> Result<BTreeSet<String>, Failure> {
        let mut present = BTreeSet::new();
        let alias = self.settings.alerts();
        for ids in ids.chunks(IDS) {
            let body = json!({ "size": ids.len(), "_source": false, "query": { "ids": { "values": ids } } });
            let query = [("filter_path", "hits.hits._id"), ("allow_partial_search_results", "false")];
            match self.client.ask::<Found>(Method::Post, &format!("{alias}/_search"), &query, Some(&body)).await {
                Ok(found) => present.extend(found.hits.hits.into_iter().map(|hit| hit._id)),
                Err(failure) if failure.is(404, "index_not_found_exception") => return Ok(present),
                Err(failure) => return Err(failure),
            }
        }
        Ok(present)
    }

    /// Moves the positions that were reached.
    async fn advance(&mut self) -> Result<bool, Reaction> {
        let mut steps: BTreeMap<String, Vec<Step>> = BTreeMap::new();
        for ((stream, partition), to) in &self.written {
            let key = (stream.clone(), *partition);
            let from = self.published.get(&key).copied().unwrap_or_else(|| unpublished(*partition));
            if from != *to {
                steps.entry(key.0).or_default().push(Step { from, to: *to });
            }
        }
        let moves = !steps.is_empty();
        for (stream, steps) in steps {
            let reached = self.documents.advance(&self.client, &self.settings, &stream, &steps).await.map_err(|failure| self.client.reaction(&failure))?;
            for there in reached {
                let key = (stream.clone(), there.partition);
                // Another instance may have come further: what it has settled comes as copies.
                self.written.insert(key.clone(), there);
                self.published.insert(key, there);
            }
        }
        Ok(moves)
    }
}

fn refusal(line: &Line, class: &'static str, message: String) -> Refused {
    Refused { offset: line.offset, position: Some(line.position), class, message }
}

/// Whether a request failed as a whole for one of its rows.
fn is_of_one_row(failure: &Failure) -> bool {
    failure.status == Some(413) || failure.is(400, "action_request_validation_exception")
}

fn unwritable(error: serde_json::Error) -> Reaction {
    Reaction::fatal(format!("search: an alert cannot be written as JSON: {error}"))
}

#[async_trait]
impl Store for SearchStore {
    fn role(&self) -> &'static str {
        "search"
    }

    fn topics(&self) -> Vec<&'static str> {
        vec![RISK_SCORES, RISK_ALERTS]
    }

    async fn log(&mut self) -> Result<Option<u64>, Reaction> {
        self.documents.log(&self.client, &self.settings).await.map_err(|failure| self.client.reaction(&failure))
    }

    async fn bind(&mut self, log: u64) -> Result<u64, Reaction> {
        self.documents.bind(&self.client, &self.settings, log).await.map_err(|failure| self.client.reaction(&failure))
    }

    async fn witnesses(&mut self) -> Result<Vec<StorePosition>, Reaction> {
        self.documents.witnesses(&self.client, &self.settings).await.map_err(|failure| self.client.reaction(&failure))
    }

    async fn remember(&mut self, taken: &[StorePosition]) -> Result<(), Reaction> {
        self.documents.remember(&self.client, &self.settings, taken).await.map_err(|failure| self.client.reaction(&failure))
    }

    async fn positions(&mut self, topic: &str) -> Result<Vec<StorePosition>, Reaction> {
        let stream = stream_of(topic);
        self.go_back_to_published(stream).await?;
        Ok(self.published.iter().filter(|((of, _), _)| of == stream).map(|(_, position)| *position).collect())
    }

    async fn write(&mut self, batch: Batch) -> Result<Written, Reaction> {
        let key = (stream_of(&batch.topic).to_owned(), batch.partition);
        let start = self.written.get(&key).copied().unwrap_or_else(|| unpublished(batch.partition));
        let (mut bulk, mut alerts) = (Bulk::default(), 0);
        let walked: Result<StorePosition, Halt> = if &*batch.topic == RISK_ALERTS {
            walk::walk_some(&batch, &start, PatternRow::read, |record, row, _| {
                if !row.is_raised() {
                    return Ok(DISCARDED);
                }
                let added = bulk.add(&self.settings, record, row.position(), row.told().into_iter(), &self.held);
                alerts += added.map_err(|error| Halt::Reaction(unwritable(error)))?;
                Ok(STORED)
            })
        } else {
            walk::walk(
                &batch,
                &start,
                |record| serde_json::from_slice::<Row<'_>>(&record.value),
                |record, row, _| {
                    if row.risk_score.is_none() {
                        return Ok(DUPLICATE);
                    }
                    if row.alerts.is_empty() {
                        return Ok(DISCARDED);
                    }
                    alerts += bulk.add(&self.settings, record, row.position(), row.told(), &self.held).map_err(|error| Halt::Reaction(unwritable(error)))?;
                    Ok(STORED)
                },
            )
        };
        let position = match walked {
            Ok(position) => position,
            Err(halt) => return halt.outcome(),
        };
        if let Some(refused) = self.deliver(&bulk).await?.into_iter().min_by_key(|refused| refused.offset) {
            return Ok(refused.into());
        }
        self.held.clear();
        self.written.insert(key, position);
        Ok(Written::Done { position, alerts })
    }

    async fn replay(&mut self, batch: Batch) -> Result<u64, Reaction> {
        let (mut bulk, mut seen) = (Bulk::default(), BTreeSet::new());
        for record in batch.records.iter() {
            if &*batch.topic == RISK_ALERTS {
                let Ok(Some(row)) = PatternRow::read(record) else { continue };
                bulk.add(&self.settings, record, row.position(), row.told().into_iter(), &seen).map_err(unwritable)?;
                seen.insert(row.alert.alert_id.to_string());
                continue;
            }
            let Ok(row) = serde_json::from_slice::<Row<'_>>(&record.value) else { continue };
            bulk.add(&self.settings, record, row.position(), row.told(), &seen).map_err(unwritable)?;
            seen.extend(row.alerts.iter().map(|alert| alert.alert_id.to_string()));
        }
        // A copy of a record may have been appended in another period than the one that was stored: `create` would not meet it.
        self.prepare(bulk.lines()).await?;
        self.refresh().await.map_err(|failure| self.client.reaction(&failure))?;
        let ids: Vec<&str> = bulk.lines().iter().map(|line| line.id.as_str()).collect();
        let present = self.present(&ids).await.map_err(|failure| self.client.reaction(&failure))?;
        bulk.without(&present);
        // One that is refused is in the dead letters.
        let refused = self.deliver(&bulk).await?.len();
        self.held.clear();
        Ok((bulk.lines().len() - refused) as u64)
    }

    async fn publish(&mut self) -> Result<bool, Reaction> {
        let wrote = !self.touched.is_empty();
        self.refresh().await.map_err(|failure| self.client.reaction(&failure))?;
        if wrote {
            crash::point("sink.rows");
        }
        let moved = self.advance().await?;
        Ok(wrote || moved)
    }

    async fn retain(&mut self, before: i64) -> Result<u64, Reaction> {
        let removed = retention::remove(&self.client, &self.settings, before).await.map_err(|failure| self.client.reaction(&failure))?;
        for index in &removed.indexes {
            self.made.remove(index.as_str());
            self.touched.remove(index.as_str());
        }
        if removed.rows > 0 {
            let (patterns, scores): (BTreeMap<u32, u64>, BTreeMap<u32, u64>) = removed.left.into_iter().partition(|(partition, _)| *partition >= PATTERN_ROWS);
            let patterns = patterns.into_iter().map(|(partition, seq)| (partition - PATTERN_ROWS, seq)).collect();
            for (topic, left) in [(RISK_SCORES, scores), (RISK_ALERTS, patterns)] {
                let raised = self.documents.raise(&self.client, &self.settings, stream_of(topic), &left).await;
                raised.map_err(|failure| self.client.reaction(&failure))?;
            }
        }
        Ok(removed.rows)
    }
}
