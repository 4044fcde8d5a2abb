//! Scanning `search.alerts` page by page.
//!
//! What must stay true: the positions are read before the view of the indexes is opened, so that every row below them is in it; rows above
//! them are not asked for; one page is held at a time; a view is closed when its rows are no longer wanted. Where one page is likely to be
//! all, no view is opened; where it was not, nothing of it was handed over.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use serde::Deserialize;
use serde_json::{Value, json};
use wh_stores::elasticsearch::connect::decode;
use wh_stores::elasticsearch::{Client, Failure, Method};

use super::aggregate_scan::AlertsAggregate;
use super::aggregates;
use super::dialect;
use super::page::{Column, Page};
use super::store::{ElasticsearchAlerts, Positions};
use crate::aggregate::Aggregation;
use crate::batch::BatchBuilder;
use crate::errors::QueryError;
use crate::exec::Sink;
use crate::predicate::Predicate;
use crate::store::wait;
use crate::surveys::Surveys;
use crate::table::{Order, Prepared, Request, Scan, Support, Survey};

/// How long a view stays open between two pages: as long as whoever reads may take over one.
pub(super) const KEEP_ALIVE: &str = "5m";
/// How long closing a view may take; one that is not closed ends by itself.
const CLOSING: Duration = Duration::from_secs(2);
/// What is wanted of the answer to a search.
const WANTED: &str = "pit_id,hits.hits._source,hits.hits._score,hits.hits.sort";

/// The alerts, as something that can be scanned.
#[derive(Clone, Debug)]
pub(crate) struct AlertsScan {
    pub(super) store: Arc<ElasticsearchAlerts>,
    pub(super) schema: SchemaRef,
    pub(super) surveys: Arc<Surveys>,
}

impl Scan for AlertsScan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn support(&self, predicate: &Predicate) -> Result<Support, QueryError> {
        dialect::support(&self.schema, predicate)
    }

    fn sorts(&self, order: &[Order]) -> bool {
        dialect::sorts(&self.schema, order)
    }

    fn is_unique(&self, column: usize) -> bool {
        self.schema.field(column).name() == wh_stores::alerts::ALERT_ID
    }

    fn survey(&self) -> Result<Survey, QueryError> {
        self.surveys.recent(|| {
            let rows = wait(self.store.size()).map_err(|failure| self.store.failed(&failure))?;
            Ok(Survey { rows, keys: Vec::new() })
        })
    }

    fn surveyed(&self) -> Option<Survey> {
        self.surveys.known()
    }

    fn prepare(&self, request: &Request, survey: &Survey) -> Result<Arc<dyn Prepared>, QueryError> {
        let predicates: Vec<&Predicate> = request.predicates.iter().collect();
        let is_scored = dialect::is_scored(&self.schema, request, &predicates);
        let query = dialect::query(&self.schema, &predicates, is_scored, None)?;
        let shown = if request.projection.is_empty() {
            format!("POST {}/_count {}", self.store.settings.alerts(), json!({ "query": query }))
        } else {
            let sort = dialect::order(&self.schema, &request.order, is_scored, "_shard_doc");
            let body = json!({ "query": query, "sort": sort, "_source": dialect::source(&self.schema, request) });
            format!("POST {}/_search {body}", self.store.settings.alerts())
        };
        Ok(Arc::new(AlertsQuery { scan: self.clone(), request: request.clone(), rows: survey.rows, shown }))
    }

    fn aggregates(&self, _request: &Request, aggregation: &Aggregation) -> bool {
        aggregates::takes(&self.schema, aggregation)
    }

    fn prepare_aggregate(&self, request: &Request, aggregation: &Aggregation, _survey: &Survey) -> Result<Arc<dyn Prepared>, QueryError> {
        Ok(Arc::new(AlertsAggregate::new(self.clone(), request.clone(), aggregation.clone())?))
    }
}

impl AlertsScan {
    /// Where it is searched without a view.
    pub(super) fn path(&self) -> String {
        format!("{}/_search", self.store.settings.alerts())
    }

    /// The client, connected.
    pub(super) async fn client(&self) -> Result<Client, QueryError> {
        self.store.client().await.map_err(|failure| self.store.failed(&failure))
    }

    /// The published positions.
    async fn positions(&self, client: &Client) -> Result<Positions, QueryError> {
        let published = self.store.published(client).await.map_err(|failure| self.store.failed(&failure))?;
        let below = |next: u64| i64::try_from(next).unwrap_or(i64::MAX);
        Ok(published.into_iter().map(|reached| (reached.rows, below(reached.at.next_seq))).collect())
    }

    /// What is answered by the published positions.
    pub(super) async fn below_positions<A>(&self, client: &Client, ask: impl AsyncFn(&Positions) -> Result<A, QueryError>) -> Result<A, QueryError> {
        let (_, answer) = self.store.settled.at_once(async || self.positions(client).await, ask).await?;
        Ok(answer)
    }

    /// Opens a view of the indexes; `None` where there is none yet.
    pub(super) async fn view(&self, client: &Client) -> Result<Option<String>, QueryError> {
        let path = format!("{}/_pit", self.store.settings.alerts());
        match client.ask::<Opened>(Method::Post, &path, &[("keep_alive", KEEP_ALIVE)], None).await {
            Ok(Opened { id }) => Ok(Some(id)),
            Err(failure) if failure.is(404, "index_not_found_exception") => Ok(None),
            Err(failure) => Err(self.store.failed(&failure)),
        }
    }
}

/// A search, ready to run.
#[derive(Debug)]
struct AlertsQuery {
    scan: AlertsScan,
    request: Request,
    /// About how many rows there are in all.
    rows: Option<usize>,
    shown: String,
}

#[derive(Deserialize)]
struct Counted {
    count: usize,
}

/// A view of the indexes.
#[derive(Deserialize)]
struct Opened {
    id: String,
}

/// What the server answers to a search.
pub(super) type Answered = Result<Vec<u8>, Failure>;

/// A search on its way.
struct Running {
    client: Client,
    path: String,
    /// What is sent next.
    body: Value,
    is_scored: bool,
    /// Whether no more than one page is wanted.
    is_one_page: bool,
    /// The view of the indexes, where there is more than one page.
    view: Option<String>,
}

impl Prepared for AlertsQuery {
    fn text(&self) -> String {
        format!("{} (below the published positions)", self.shown)
    }

    fn parts(&self) -> usize {
        1
    }

    fn run(&self, _part: usize, late: &[Predicate], sink: &mut Sink) -> Result<(), QueryError> {
        let predicates: Vec<&Predicate> = self.request.predicates.iter().chain(late).collect();
        if self.request.projection.is_empty() {
            return match sink.wait(self.count(&predicates)) {
                Some(counted) => self.hand_over_rows(counted?, sink),
                None => Ok(()),
            };
        }
        let Some(begun) = sink.wait(self.begin(&predicates)) else { return Ok(()) };
        let Some((mut running, first)) = begun? else { return Ok(()) };
        let outcome = self.hand_over(&mut running, first, sink);
        if let Some(view) = running.view.take() {
            close(&running.client, &view);
        }
        outcome
    }
}

/// Ends a view, as far as that goes.
pub(super) fn close(client: &Client, view: &str) {
    let body = json!({ "id": view });
    let closed = wait(async { tokio::time::timeout(CLOSING, client.ask::<Value>(Method::Delete, "_pit", &[], Some(&body))).await });
    if !matches!(closed, Ok(Ok(_))) {
        tracing::debug!(store = "search", "a view was not closed; it ends by itself after {KEEP_ALIVE}");
    }
}

impl AlertsQuery {
    fn failed(&self, failure: &Failure) -> QueryError {
        self.scan.store.failed(failure)
    }

    async fn count(&self, predicates: &[&Predicate]) -> Result<usize, QueryError> {
        let client = self.scan.client().await?;
        let ask = async |positions: &Positions| -> Result<usize, QueryError> {
            let body = json!({ "query": dialect::query(&self.scan.schema, predicates, false, Some(positions))? });
            match client.ask::<Counted>(Method::Post, &format!("{}/_count", self.scan.store.settings.alerts()), &[], Some(&body)).await {
                Ok(Counted { count }) => Ok(count),
                // There are positions and no alert yet.
                Err(failure) if failure.is(404, "index_not_found_exception") => Ok(0),
                Err(failure) => Err(self.failed(&failure)),
            }
        };
        self.scan.below_positions(&client, ask).await
    }

    fn builder(sink: &Sink) -> Result<BatchBuilder, QueryError> {
        BatchBuilder::new(sink.schema(), sink.batch_rows()).ok_or_else(|| QueryError::internal("a column has a type that no store gives"))
    }

    /// Hands over rows without columns.
    fn hand_over_rows(&self, counted: usize, sink: &mut Sink) -> Result<(), QueryError> {
        let mut left = self.request.limit.map_or(counted, |limit| counted.min(limit));
        let mut batch = Self::builder(sink)?;
        while left > 0 {
            let rows = left.min(sink.batch_rows().max(1));
            left -= rows;
            batch.end_rows(rows);
            if !sink.send(batch.finish().map_err(|error| self.scan.store.damaged(&error))?) {
                break;
            }
        }
        Ok(())
    }

    /// What one page holds at most.
    fn page_rows(&self) -> usize {
        self.scan.store.settings.page_rows
    }

    /// Begins the search, with its first page where no view is needed for it; `None` where there can be no row.
    async fn begin(&self, predicates: &[&Predicate]) -> Result<Option<(Running, Option<Answered>)>, QueryError> {
        let client = self.scan.client().await?;
        let is_one_page = self.request.limit.is_some_and(|limit| limit <= self.page_rows());
        if is_one_page || self.is_few(predicates) {
            let ask = async |positions: &Positions| -> Result<Option<(Running, Option<Answered>)>, QueryError> {
                let Some(running) = self.search(&client, predicates, positions, is_one_page)? else { return Ok(None) };
                let first = running.next().await;
                Ok(Some((running, Some(first))))
            };
            return self.scan.below_positions(&client, ask).await;
        }
        let positions = self.scan.positions(&client).await?;
        let Some(mut running) = self.search(&client, predicates, &positions, is_one_page)? else { return Ok(None) };
        let Some(view) = self.scan.view(&client).await? else { return Ok(None) };
        self.look_at(&mut running, view);
        Ok(Some((running, None)))
    }

    /// The search of what is below these positions; `None` where nothing is.
    fn search(&self, client: &Client, predicates: &[&Predicate], positions: &[(i64, i64)], is_one_page: bool) -> Result<Option<Running>, QueryError> {
        if positions.is_empty() {
            return Ok(None);
        }
        let schema = &self.scan.schema;
        let is_scored = dialect::is_scored(schema, &self.request, predicates);
        let body = json!({
            "query": dialect::query(schema, predicates, is_scored, Some(positions))?,
            "sort": dialect::order(schema, &self.request.order, is_scored, "_doc"),
            "_source": dialect::source(schema, &self.request),
            "size": self.request.limit.map_or(self.page_rows(), |limit| limit.min(self.page_rows())),
            "track_total_hits": false,
            "track_scores": is_scored,
        });
        Ok(Some(Running { client: client.clone(), path: self.scan.path(), body, is_scored, is_one_page, view: None }))
    }

    /// From here on, pages are of this view.
    fn look_at(&self, running: &mut Running, view: String) {
        running.body["sort"] = dialect::order(&self.scan.schema, &self.request.order, running.is_scored, "_shard_doc");
        running.body["pit"] = json!({ "id": view, "keep_alive": KEEP_ALIVE });
        (running.path, running.view) = ("_search".to_owned(), Some(view));
    }

    /// Whether one page is likely to hold all.
    fn is_few(&self, predicates: &[&Predicate]) -> bool {
        let Some(rows) = self.rows else { return false };
        let all = rows as f64;
        let unique = |column: usize| self.scan.is_unique(column);
        let share: f64 = predicates.iter().map(|predicate| predicate.selectivity(all, &unique)).product();
        all * share < self.page_rows() as f64
    }

    /// Hands over page after page, of which the first may be there.
    fn hand_over(&self, running: &mut Running, mut first: Option<Answered>, sink: &mut Sink) -> Result<(), QueryError> {
        let store = &self.scan.store;
        let columns = self.request.projection.iter().map(|index| Column::at(&self.scan.schema, *index)).collect::<Option<Vec<_>>>();
        let columns = columns.ok_or_else(|| QueryError::internal("a column is in no document"))?;
        let mut batch = Self::builder(sink)?;
        let (mut text, size) = (String::new(), running.body["size"].as_u64().and_then(|size| usize::try_from(size).ok()).unwrap_or(0));
        loop {
            let Some(answer) = first.take().or_else(|| sink.wait(running.next())) else { return Ok(()) };
            let answer = match answer {
                Err(failure) if failure.is(404, "index_not_found_exception") => return Ok(()),
                answer => answer.map_err(|failure| self.failed(&failure))?,
            };
            let page: Page<'_> = decode(&answer).map_err(|failure| self.failed(&failure))?;
            let is_full = page.hits().len() >= size;
            if is_full && running.view.is_none() && !running.is_one_page {
                // There may be more, and all pages are to be of one view.
                let Some(view) = sink.wait(self.scan.view(&running.client)) else { return Ok(()) };
                let Some(view) = view? else { return Ok(()) };
                self.look_at(running, view);
                continue;
            }
            for hit in page.hits() {
                for (place, column) in columns.iter().enumerate() {
                    batch.push(place, column.cell(hit, running.is_scored, &mut text)).map_err(|misfit| store.damaged(&misfit))?;
                }
                batch.end_row();
                if batch.is_full() && !sink.send(batch.finish().map_err(|error| store.damaged(&error))?) {
                    return Ok(());
                }
            }
            if running.view.is_none() || !is_full {
                break;
            }
            let Some(behind) = page.behind() else { break };
            if let Some(view) = page.pit_id {
                running.body["pit"]["id"] = view.as_str().into();
                running.view = Some(view);
            }
            running.body["search_after"] = behind;
        }
        if !batch.is_empty() {
            sink.send(batch.finish().map_err(|error| store.damaged(&error))?);
        }
        Ok(())
    }
}

impl Running {
    /// The next page.
    async fn next(&self) -> Answered {
        let body = serde_json::to_vec(&self.body).map_err(|error| Failure::fatal(format!("a search cannot be written: {error}"), ""))?;
        let mut query = vec![("allow_partial_search_results", "false"), ("filter_path", WANTED)];
        if self.is_scored {
            // Relevance by the words of all indexes, not of each by itself.
            query.push(("search_type", "dfs_query_then_fetch"));
        }
        self.client.send(Method::Post, &self.path, &query, Some(&body)).await
    }
}
