//! A cluster as the store of the search role.
//!
//! What must stay true: making one does no I/O; the connection is made by the first who asks, and made anew where that failed.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use wh_schemas::alert::PATTERN_ROWS;
use wh_stores::elasticsearch::positions::{self, Held, Published};
use wh_stores::elasticsearch::{Client, ElasticsearchSettings, Failure, Method, connect, layout};

use super::scan::AlertsScan;
use crate::errors::QueryError;
use crate::positions::Position;
use crate::settled::Settled;
use crate::shape;
use crate::store::{RoleStore, SinkStore, wait};
use crate::table::Relation;

/// The streams that have alerts, and what is added to a partition's number where its rows stand.
const STREAMS: [(&str, u32); 2] = [("scorer", 0), ("patterns", PATTERN_ROWS)];

/// How far one partition of a stream is published.
pub(super) struct Reached {
    stream: &'static str,
    partition: u32,
    /// Under which partition its rows stand.
    pub(super) rows: i64,
    pub(super) at: Published,
}

/// Partitions, and of each the first `seq` that is not seen.
pub(super) type Positions = Vec<(i64, i64)>;

/// The alerts of an Elasticsearch.
pub(crate) struct ElasticsearchAlerts {
    pub(super) settings: ElasticsearchSettings,
    client: Mutex<Option<Client>>,
    pub(super) settled: Settled<Positions>,
}

impl fmt::Debug for ElasticsearchAlerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ElasticsearchAlerts").field("place", &self.settings.place()).finish_non_exhaustive()
    }
}

/// Documents that were asked for together.
#[derive(Deserialize)]
struct Together {
    docs: Vec<One>,
}

/// One of them, where it is there.
#[derive(Deserialize)]
struct One {
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_source")]
    source: Option<positions::Positions>,
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Counted {
    count: usize,
}

impl ElasticsearchAlerts {
    pub(crate) fn new(settings: ElasticsearchSettings) -> ElasticsearchAlerts {
        ElasticsearchAlerts { settings, client: Mutex::new(None), settled: Settled::default() }
    }

    /// The client, connected.
    pub(super) async fn client(&self) -> Result<Client, Failure> {
        let known = self.client.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(client) = known {
            return Ok(client);
        }
        let client = connect::open(&self.settings).await?;
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = Some(client.clone());
        Ok(client)
    }

    /// What a failure says.
    pub(super) fn failed(&self, failure: &Failure) -> QueryError {
        if failure.is(404, "index_not_found_exception") {
            return QueryError::Store {
                role: "search",
                message: format!("there is no layout of Wardhouse in {} yet", self.settings),
                remedy: "start the sink of search, or run `wardhouse migrate`; or name another namespace".to_owned(),
            };
        }
        QueryError::Store { role: "search", message: format!("{}: {}", self.settings, failure.message), remedy: failure.remedy.clone() }
    }

    /// What an answer says that is not as it should be.
    pub(super) fn damaged(&self, what: &dyn fmt::Display) -> QueryError {
        QueryError::Store {
            role: "search",
            message: format!("{}: {what}", self.settings),
            remedy: "another program wrote into its indexes: delete them, and the log fills them anew as far as it reaches back".to_owned(),
        }
    }

    /// The published positions of each stream, as they are at this moment.
    pub(super) async fn published(&self, client: &Client) -> Result<Vec<Reached>, Failure> {
        let body = json!({ "ids": STREAMS.map(|(stream, _)| stream) });
        let together: Together = client.ask(Method::Post, &format!("{}/_mget", self.settings.positions()), &[], Some(&body)).await?;
        if together.docs.iter().all(|one| one.error.is_none()) {
            let of = |(stream, rows): (&'static str, u32)| {
                let source = together.docs.iter().find(|one| one.id == stream).and_then(|one| one.source.as_ref());
                let partitions = source.map(|source| source.partitions.clone()).unwrap_or_default();
                partitions.into_iter().map(move |(partition, at)| Reached { stream, partition, rows: i64::from(rows + partition), at })
            };
            return Ok(STREAMS.into_iter().flat_map(of).collect());
        }
        // Each by itself says what is wrong.
        let each = STREAMS.map(|(stream, rows)| self.published_of(client, stream, rows));
        Ok(futures::future::try_join_all(each).await?.into_iter().flatten().collect())
    }

    async fn published_of(&self, client: &Client, stream: &'static str, rows: u32) -> Result<Vec<Reached>, Failure> {
        let path = format!("{}/_doc/{stream}", self.settings.positions());
        match client.ask::<Held>(Method::Get, &path, &[], None).await {
            Ok(held) => {
                let reached = |(partition, at): (u32, Published)| Reached { stream, partition, rows: i64::from(rows + partition), at };
                Ok(held.positions.partitions.into_iter().map(reached).collect())
            }
            // Of an index that is not there, the server says so by a name.
            Err(failure) if failure.status == Some(404) && failure.kind.is_empty() => Ok(Vec::new()),
            Err(failure) => Err(failure),
        }
    }

    /// How many alerts there are, published or not: the server knows it without looking at them.
    pub(super) async fn size(&self) -> Result<Option<usize>, Failure> {
        let client = self.client().await?;
        match client.ask::<Counted>(Method::Post, &format!("{}/_count", self.settings.alerts()), &[], None).await {
            Ok(Counted { count }) => Ok(Some(count)),
            Err(failure) if failure.is(404, "index_not_found_exception") => Ok(Some(0)),
            Err(failure) => Err(failure),
        }
    }
}

impl RoleStore for ElasticsearchAlerts {
    fn kind(&self) -> &'static str {
        "elasticsearch"
    }

    fn place(&self) -> String {
        self.settings.place()
    }

    fn layout(&self) -> Result<Option<i64>, QueryError> {
        let version = wait(async { layout::version(&self.client().await?, &self.settings).await });
        version.map_err(|failure| self.failed(&failure))
    }

    fn bytes(&self) -> Option<u64> {
        let path = format!("{}/_stats/store", self.settings.alerts());
        let query = [("filter_path", "_all.total.store.size_in_bytes")];
        let stats: Value = wait(async { self.client().await?.ask(Method::Get, &path, &query, None).await }).ok()?;
        stats.pointer("/_all/total/store/size_in_bytes").and_then(Value::as_u64)
    }

    fn relations(self: Arc<Self>) -> Vec<Relation> {
        let shape = shape::search();
        let scan = AlertsScan { store: self, schema: Arc::clone(&shape.schema), surveys: Arc::default() };
        vec![Relation::new("search", &shape, Arc::new(scan))]
    }
}

impl SinkStore for ElasticsearchAlerts {
    fn positions(&self) -> Result<Vec<Position>, QueryError> {
        let published = wait(async { self.published(&self.client().await?).await }).map_err(|failure| self.failed(&failure))?;
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let position = |Reached { stream, partition, at, .. }: Reached| Position {
            stream: stream.to_owned(),
            partition: i64::from(partition),
            next_seq: number(at.next_seq),
            next_offset: number(at.next_offset),
            stored: number(at.stored),
            duplicates: number(at.duplicates),
            dead_letters: number(at.dead_letters),
            discarded: number(at.discarded),
            updated_at: at.updated_at,
            floor_seq: number(at.floor_seq),
        };
        Ok(published.into_iter().map(position).collect())
    }
}
