//! Reading groups of `metrics.throughput` from a bucket.
//!
//! What must stay true: an answer that breaks off is an error, never a short result; of the groups only those are held that may come
//! again, and no more than are said here.

use std::collections::BTreeMap;

use wh_schemas::Reaction;
use wh_stores::influxdb::Client;
use wh_stores::influxdb::answer::{Datum, Part as Answered, Reader, Series};
use wh_stores::influxdb::errors::of_answer;

use super::aggregates::{self, Aggregated, Found};
use super::scan::ThroughputScan;
use super::selected;
use super::statements::Query;
use crate::aggregate::Aggregation;
use crate::errors::QueryError;
use crate::exec::Sink;
use crate::partial::{Groups, Held, Part, Partial};
use crate::predicate::Predicate;
use crate::table::{Prepared, Request};

/// Most groups that are held: of the years that InfluxDB does not know, and where values are counted that differ.
const MAX_HELD: usize = 200_000;
/// Lines of one answer.
const LINES: usize = 2_000;

/// An aggregation, ready to run.
#[derive(Debug)]
pub(super) struct ThroughputAggregate {
    scan: ThroughputScan,
    request: Request,
    aggregation: Aggregation,
    shown: Query,
}

impl ThroughputAggregate {
    /// Writes its statements. Pure.
    pub(super) fn new(scan: ThroughputScan, request: Request, aggregation: Aggregation) -> Result<ThroughputAggregate, QueryError> {
        let shown = asked(&scan, &aggregation, &request, &[])?.query;
        Ok(ThroughputAggregate { scan, request, aggregation, shown })
    }
}

fn asked(scan: &ThroughputScan, aggregation: &Aggregation, request: &Request, late: &[Predicate]) -> Result<Aggregated, QueryError> {
    aggregates::aggregated(&scan.shape, aggregation, request.predicates.iter().chain(late))
        .ok_or_else(|| QueryError::internal("metrics.throughput was asked for groups that InfluxDB cannot give"))
}

impl Prepared for ThroughputAggregate {
    fn text(&self) -> String {
        self.shown.shown()
    }

    fn parts(&self) -> usize {
        1
    }

    fn run(&self, _part: usize, late: &[Predicate], sink: &mut Sink) -> Result<(), QueryError> {
        let asked = asked(&self.scan, &self.aggregation, &self.request, late)?;
        let out = Groups::new(&self.aggregation, sink)?;
        if asked.query.statements == 0 {
            return out.end().map_err(|fault| self.scan.damaged(&fault));
        }
        let Some(client) = out.sink().wait(self.scan.store.client()) else { return Ok(()) };
        let mut reading = Reading { of: self, asked: &asked, client: client?, held: BTreeMap::new(), scattered: aggregates::is_scattered(&self.aggregation), out };
        if reading.read()? { reading.end() } else { Ok(()) }
    }
}

/// An answer on its way.
struct Reading<'a> {
    of: &'a ThroughputAggregate,
    asked: &'a Aggregated,
    client: Client,
    /// Groups of which more may come.
    held: BTreeMap<Vec<Held>, Part>,
    /// Whether all groups are held.
    scattered: bool,
    out: Groups<'a>,
}

impl Reading<'_> {
    fn damaged(&self, what: &dyn std::fmt::Display) -> QueryError {
        self.of.scan.damaged(what)
    }

    /// Asks, and gives each part of the answer to `take`, until it says that no more is wanted. Returns what it said last.
    fn each(&mut self, query: &Query, mut take: impl FnMut(&mut Self, &Answered<'_>) -> Result<bool, QueryError>) -> Result<bool, QueryError> {
        let (of, client) = (self.of, self.client.clone());
        let failed = |reaction: Reaction| of.scan.store.failed(&reaction);
        let Some(answer) = self.out.sink().wait(client.ask(&query.text, &query.parameters, LINES)) else { return Ok(false) };
        let mut answer = answer.map_err(failed)?;
        let mut reader = Reader::new(query.statements);
        loop {
            let Some(line) = self.out.sink().wait(answer.line()) else { return Ok(false) };
            let Some(line) = line.map_err(failed)? else { break };
            for part in &reader.read(&line).map_err(|fault| failed(of_answer(client.place(), &fault)))? {
                if !take(self, part)? {
                    return Ok(false);
                }
            }
        }
        reader.end().map_err(|fault| failed(of_answer(client.place(), &fault)))?;
        Ok(true)
    }

    /// Returns `false` when no more rows are wanted.
    fn read(&mut self) -> Result<bool, QueryError> {
        let asked = self.asked;
        self.each(&asked.query, |reading, part| {
            for series in &part.series {
                for row in &series.values {
                    let wanted = if part.statement_id < asked.single { reading.point(series, row)? } else { reading.group(series, row)? };
                    if !wanted {
                        return Ok(false);
                    }
                }
            }
            Ok(true)
        })
    }

    fn point(&mut self, series: &Series<'_>, row: &[Datum<'_>]) -> Result<bool, QueryError> {
        let part = aggregates::point(&self.of.scan.shape, &self.of.aggregation, series, row).ok_or_else(|| self.damaged(&"it lacks a value"))?;
        self.hold(part)
    }

    fn group(&mut self, series: &Series<'_>, row: &[Datum<'_>]) -> Result<bool, QueryError> {
        let found = aggregates::group(&self.of.scan.shape, &self.of.aggregation, &self.asked.selected, series, row).ok_or_else(|| self.damaged(&"the answer lacks a value"))?;
        let Found { mut part, doubtful } = found;
        for place in doubtful {
            let Some(sum) = part.measures.get_mut(place) else { continue };
            if !self.make_exact(sum, place, series, row)? {
                return Ok(false);
            }
        }
        if self.scattered {
            return self.hold(part);
        }
        let part = match self.held.remove(&part.group) {
            Some(known) => known.and(part),
            None => part,
        };
        self.out.add(part).map_err(|fault| self.of.scan.damaged(&fault))
    }

    fn hold(&mut self, part: Part) -> Result<bool, QueryError> {
        let part = match self.held.remove(&part.group) {
            Some(known) => known.and(part),
            None => part,
        };
        self.held.insert(part.group.clone(), part);
        if self.held.len() <= MAX_HELD {
            return Ok(true);
        }
        Err(QueryError::Store {
            role: "metrics",
            message: format!("there are more than {MAX_HELD} groups that cannot be handed over before all points are read"),
            remedy: "name the times that are wanted, such as \"time\" >= '2026-01-01' AND \"time\" < '2027-01-01', or fewer columns in GROUP BY".to_owned(),
        })
    }

    /// Makes the sum of money of a group what more than 64 bits would hold: where a double does not say that it is so already, the points are
    /// added up one by one. Returns `false` when no more rows are wanted.
    fn make_exact(&mut self, sum: &mut Partial, place: usize, series: &Series<'_>, row: &[Datum<'_>]) -> Result<bool, QueryError> {
        let unknown = || QueryError::internal("a group of metrics.throughput cannot be asked for again");
        let (asked, of) = (self.asked, self.of);
        let shape = &of.scan.shape;
        let column = of.aggregation.measures.get(place).and_then(|measure| measure.column).ok_or_else(unknown)?;
        let again = |selected: &str| asked.again(selected, &series.tags, row).ok_or_else(unknown);
        let mut is_exact = false;
        let wanted = self.each(&again(&selected::rough(shape, column))?, |_, part| {
            let mut values = part.series.iter().flat_map(|series| &series.values);
            // Behind the time.
            is_exact = values.next().and_then(|value| value.get(1)).and_then(selected::is_held).unwrap_or(false);
            Ok(true)
        })?;
        if !wanted || is_exact {
            return Ok(wanted);
        }
        let mut total: i128 = 0;
        let wanted = self.each(&again(&format!("\"{}\"", shape.schema.field(column).name()))?, |reading, part| {
            for value in part.series.iter().flat_map(|series| &series.values) {
                total += i128::from(value.get(1).and_then(Datum::int).ok_or_else(|| reading.damaged(&"it lacks a value"))?);
            }
            Ok(true)
        })?;
        *sum = Partial::Sum(Some(total));
        Ok(wanted)
    }

    /// Hands over what is held.
    fn end(mut self) -> Result<(), QueryError> {
        for part in std::mem::take(&mut self.held).into_values() {
            if !self.out.add(part).map_err(|fault| self.of.scan.damaged(&fault))? {
                return Ok(());
            }
        }
        self.out.end().map_err(|fault| self.of.scan.damaged(&fault))
    }
}
