//! Reading groups of `search.alerts` page by page.
//!
//! What must stay true: the positions are read before the indexes are looked at, so that every row below them is counted, and no other; all
//! pages are of one view of the indexes; one page is held at a time; a view is closed when its groups are no longer wanted.

use serde::Deserialize;
use serde_json::{Value, json};
use wh_stores::elasticsearch::connect::decode;
use wh_stores::elasticsearch::{Client, Failure, Method};

use super::aggregates::{self, Answer, Bucket, Found};
use super::dialect;
use super::scan::{AlertsScan, Answered, KEEP_ALIVE, close};
use super::store::Positions;
use crate::aggregate::{Aggregation, Function};
use crate::errors::QueryError;
use crate::exec::Sink;
use crate::partial::{Groups, Held, Partial};
use crate::predicate::Predicate;
use crate::table::{Prepared, Request};

/// What is wanted of an answer.
const WANTED: &str = "pit_id,hits.total,hits.hits.sort,aggregations";

/// An aggregation, ready to run.
#[derive(Debug)]
pub(super) struct AlertsAggregate {
    scan: AlertsScan,
    request: Request,
    aggregation: Aggregation,
    shown: String,
}

impl AlertsAggregate {
    /// Writes its search. Pure.
    pub(super) fn new(scan: AlertsScan, request: Request, aggregation: Aggregation) -> Result<AlertsAggregate, QueryError> {
        let predicates: Vec<&Predicate> = request.predicates.iter().collect();
        let query = dialect::query(&scan.schema, &predicates, false, None)?;
        let body = aggregates::body(&scan.schema, &aggregation, &query, scan.store.settings.page_rows);
        let shown = format!("POST {}/_search {body}", scan.store.settings.alerts());
        Ok(AlertsAggregate { scan, request, aggregation, shown })
    }
}

impl Prepared for AlertsAggregate {
    fn text(&self) -> String {
        format!("{} (below the published positions)", self.shown)
    }

    fn parts(&self) -> usize {
        1
    }

    fn run(&self, _part: usize, late: &[Predicate], sink: &mut Sink) -> Result<(), QueryError> {
        let out = Groups::new(&self.aggregation, sink)?;
        let Some(client) = out.sink().wait(self.scan.client()) else { return Ok(()) };
        let client = client?;
        let predicates: Vec<&Predicate> = self.request.predicates.iter().chain(late).collect();
        let size = self.scan.store.settings.page_rows;
        let ask = async |positions: &Positions| -> Result<(Value, Value, Answered), QueryError> {
            let query = dialect::query(&self.scan.schema, &predicates, false, Some(positions))?;
            let body = aggregates::body(&self.scan.schema, &self.aggregation, &query, size);
            let first = self.send(&client, &self.scan.path(), &body).await?;
            Ok((query, body, first))
        };
        let Some(begun) = out.sink().wait(self.scan.below_positions(&client, ask)) else { return Ok(()) };
        let (query, body, first) = begun?;
        let mut reading = Reading { of: self, client, query, body, size, first: Some(first), view: None, out };
        let outcome = reading.read();
        if let Some(view) = reading.view.take() {
            close(&reading.client, &view);
        }
        if outcome? { reading.out.end().map_err(|fault| self.scan.store.damaged(&fault)) } else { Ok(()) }
    }
}

impl AlertsAggregate {
    async fn send(&self, client: &Client, path: &str, body: &Value) -> Result<Answered, QueryError> {
        let body = serde_json::to_vec(body).map_err(QueryError::internal)?;
        let query = [("allow_partial_search_results", "false"), ("filter_path", WANTED)];
        Ok(client.send(Method::Post, path, &query, Some(&body)).await)
    }
}

/// A search on its way.
struct Reading<'a> {
    of: &'a AlertsAggregate,
    client: Client,
    query: Value,
    /// What is sent next.
    body: Value,
    /// Groups of one page.
    size: usize,
    /// The first answer, before it is read.
    first: Option<Answered>,
    /// The view of the indexes, where there is more than one page.
    view: Option<String>,
    out: Groups<'a>,
}

/// The one hit of a search for the least or the greatest value.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Edges {
    hits: Hits,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Hits {
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
struct Hit {
    sort: Vec<i64>,
}

impl Reading<'_> {
    fn failed(&self, failure: &Failure) -> QueryError {
        self.of.scan.store.failed(failure)
    }

    fn damaged(&self, what: &dyn std::fmt::Display) -> QueryError {
        self.of.scan.store.damaged(what)
    }

    /// Sends a search. `None` when no more rows are wanted; nothing in it where there is no index yet.
    fn search(&self, body: &Value) -> Result<Option<Option<Vec<u8>>>, QueryError> {
        let path = if self.view.is_some() { "_search".to_owned() } else { self.of.scan.path() };
        let Some(answer) = self.out.sink().wait(self.of.send(&self.client, &path, body)) else { return Ok(None) };
        self.answered(answer?).map(Some)
    }

    fn answered(&self, answer: Answered) -> Result<Option<Vec<u8>>, QueryError> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(failure) if failure.is(404, "index_not_found_exception") => Ok(None),
            Err(failure) => Err(self.failed(&failure)),
        }
    }

    /// Hands over group after group. Returns `false` when no more rows are wanted.
    fn read(&mut self) -> Result<bool, QueryError> {
        loop {
            let answer = match self.first.take() {
                Some(first) => Some(self.answered(first)?),
                None => self.search(&self.body)?,
            };
            let Some(answer) = answer else { return Ok(false) };
            let Some(answer) = answer else { return Ok(true) };
            let mut answer: Answer = decode(&answer).map_err(|failure| self.failed(&failure))?;
            if !aggregates::is_paged(&self.of.aggregation) {
                return self.hand_over(&answer.whole());
            }
            let is_last = answer.groups().len() < self.size;
            if !is_last && self.view.is_none() {
                // Nothing was handed over yet: all pages are to be of one view.
                let Some(view) = self.out.sink().wait(self.of.scan.view(&self.client)) else { return Ok(false) };
                let Some(view) = view? else { return Ok(true) };
                self.look_at(view);
                continue;
            }
            for bucket in answer.groups() {
                if !self.hand_over(bucket)? {
                    return Ok(false);
                }
            }
            let (false, Some(behind)) = (is_last, answer.behind()) else { return Ok(true) };
            self.body["aggs"]["groups"]["composite"]["after"] = behind;
            if let Some(view) = answer.pit_id {
                self.look_at(view);
            }
        }
    }

    fn look_at(&mut self, view: String) {
        self.body["pit"] = json!({ "id": view.as_str(), "keep_alive": KEEP_ALIVE });
        self.view = Some(view);
    }

    fn hand_over(&mut self, bucket: &Bucket) -> Result<bool, QueryError> {
        let found = aggregates::found(&self.of.aggregation, bucket).ok_or_else(|| self.damaged(&"a group lacks what was asked for"))?;
        let Found { mut part, doubtful } = found;
        for place in doubtful {
            let Some(exact) = self.exact(bucket, place)? else { return Ok(false) };
            if let Some(measure) = part.measures.get_mut(place) {
                *measure = exact;
            }
        }
        self.out.add(part).map_err(|fault| self.of.scan.store.damaged(&fault))
    }

    /// The least or the greatest value of a group. `None` when no more rows are wanted.
    fn exact(&self, bucket: &Bucket, place: usize) -> Result<Option<Partial>, QueryError> {
        let aggregation = &self.of.aggregation;
        let unknown = || QueryError::internal("a group of search.alerts cannot be asked for again");
        let measure = aggregation.measures.get(place).ok_or_else(unknown)?;
        let mut body = aggregates::edge(&self.of.scan.schema, aggregation, &self.query, bucket, measure).ok_or_else(unknown)?;
        if let Some(view) = &self.view {
            body["pit"] = json!({ "id": view, "keep_alive": KEEP_ALIVE });
        }
        let Some(answer) = self.search(&body)? else { return Ok(None) };
        let edges: Edges = match answer {
            Some(answer) => decode(&answer).map_err(|failure| self.failed(&failure))?,
            None => Edges::default(),
        };
        // Without a view an alert may have been removed in between.
        let value = edges.hits.hits.first().and_then(|hit| hit.sort.first()).copied().map(Held::Int);
        Ok(Some(if measure.function == Function::Min { Partial::Min(value) } else { Partial::Max(value) }))
    }
}
