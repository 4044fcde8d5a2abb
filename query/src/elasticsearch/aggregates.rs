//! From an aggregation to Elasticsearch's own, and from what is answered to parts of groups. Pure.
//!
//! What must stay true: groups come from a composite aggregation, whose pages together hold each group once; nothing that the server
//! estimates is asked for. It computes in double precision, so that a number is believed only below 2^53: a sum is asked for only where it
//! stays below, and a least or greatest value that does not is asked for anew, as what it sorts by, which is of 64 bits.

use std::collections::BTreeMap;

use arrow::datatypes::Schema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use wh_stores::alerts;

use crate::aggregate::{Aggregation, Bin, CalendarUnit, Function, Group, Measure};
use crate::partial::{Grid, Held, Part, Partial};
use crate::search::{Kind, kind};

/// When the alert was appended, cut to milliseconds: what the server divides into bins.
const APPENDED: &str = "@timestamp";
/// Microseconds in a millisecond.
const MILLI: i64 = 1_000;
/// Whole numbers below it are exact in double precision.
const EXACT: f64 = 9_007_199_254_740_992.0;
/// Most columns of a group.
const MAX_GROUPS: usize = 16;
/// The source whose different values are counted.
const COUNTED: &str = "d";

/// Whether the server computes it exactly.
pub(super) fn takes(schema: &Schema, aggregation: &Aggregation) -> bool {
    let has = |column: usize, kinds: &[Kind]| kinds.contains(&kind(schema, column));
    let grouped = aggregation.groups.iter().all(|group| match group {
        Group::Column(column) => has(*column, &[Kind::Whole, Kind::Number]),
        Group::Time { column, bin } => schema.field(*column).name() == alerts::CREATED_AT && grid_of(*bin).is_some(),
    });
    let counted = counted(aggregation);
    let measured = aggregation.measures.iter().all(|measure| match (measure.function, measure.column) {
        (Function::Count, None) => true,
        // Every alert has every field.
        (Function::Count, Some(column)) => !schema.field(column).is_nullable(),
        (Function::CountDistinct, Some(column)) => has(column, &[Kind::Whole, Kind::Number]) && counted == Some(column),
        // From 0 to 100 each, so that no number of alerts reaches the bound.
        (Function::Sum, Some(column)) => schema.field(column).name() == alerts::RISK_SCORE,
        (Function::Min | Function::Max, Some(column)) => has(column, &[Kind::Number]),
        (_, None) => false,
    });
    grouped && measured && aggregation.groups.len() <= MAX_GROUPS
}

/// Bins of whole milliseconds, each of which is in one of them as a whole.
fn grid_of(bin: Bin) -> Option<Grid> {
    Grid::of(bin).filter(|grid| grid.micros % MILLI == 0 && grid.first % MILLI == 0)
}

/// The column whose different values are counted: the first.
fn counted(aggregation: &Aggregation) -> Option<usize> {
    aggregation.measures.iter().find(|measure| measure.function == Function::CountDistinct).and_then(|measure| measure.column)
}

/// Whether there are groups to be read page by page.
pub(super) fn is_paged(aggregation: &Aggregation) -> bool {
    !aggregation.groups.is_empty() || counted(aggregation).is_some()
}

/// The body of a search of one page of groups, or of all alerts as one.
pub(super) fn body(schema: &Schema, aggregation: &Aggregation, query: &Json, size: usize) -> Json {
    let mut measures = Map::new();
    for (place, Measure { function, column }) in aggregation.measures.iter().enumerate() {
        let word = match function {
            Function::Sum => "sum",
            Function::Min => "min",
            Function::Max => "max",
            Function::Count | Function::CountDistinct => continue,
        };
        if let Some(column) = column {
            measures.insert(format!("m{place}"), json!({ word: { "field": schema.field(*column).name() } }));
        }
    }
    if !is_paged(aggregation) {
        return json!({ "size": 0, "track_total_hits": true, "query": query, "aggs": measures });
    }
    let term = |column: usize| json!({ "terms": { "field": schema.field(column).name(), "missing_bucket": true } });
    let mut sources: Vec<Json> = Vec::new();
    for (place, group) in aggregation.groups.iter().enumerate() {
        let source = match group {
            Group::Column(column) => term(*column),
            Group::Time { bin, .. } => histogram(*bin),
        };
        sources.push(json!({ format!("g{place}"): source }));
    }
    sources.extend(counted(aggregation).map(|column| json!({ COUNTED: term(column) })));
    let mut groups = json!({ "composite": { "size": size, "sources": sources } });
    if !measures.is_empty() {
        groups["aggs"] = Json::Object(measures);
    }
    json!({ "size": 0, "track_total_hits": false, "query": query, "aggs": { "groups": groups } })
}

fn histogram(bin: Bin) -> Json {
    let mut histogram = json!({ "field": APPENDED, "missing_bucket": true });
    match (bin, grid_of(bin)) {
        (Bin::Calendar(CalendarUnit::Month), _) => histogram["calendar_interval"] = "month".into(),
        (Bin::Calendar(CalendarUnit::Quarter), _) => histogram["calendar_interval"] = "quarter".into(),
        (Bin::Calendar(CalendarUnit::Year), _) => histogram["calendar_interval"] = "year".into(),
        (_, Some(grid)) => {
            histogram["fixed_interval"] = format!("{}ms", grid.micros / MILLI).into();
            histogram["offset"] = format!("{}ms", grid.first / MILLI).into();
        }
        // Which was not taken.
        (_, None) => {}
    }
    json!({ "date_histogram": histogram })
}

/// One answer.
#[derive(Deserialize)]
pub(super) struct Answer {
    /// The view of the indexes that the next page is to be read in.
    #[serde(default)]
    pub(super) pit_id: Option<String>,
    #[serde(default)]
    hits: Hits,
    #[serde(default)]
    aggregations: Aggregations,
}

#[derive(Default, Deserialize)]
struct Hits {
    #[serde(default)]
    total: Total,
}

#[derive(Default, Deserialize)]
struct Total {
    value: i64,
}

#[derive(Default, Deserialize)]
struct Aggregations {
    #[serde(default)]
    groups: Composite,
    #[serde(flatten)]
    measures: BTreeMap<String, Computed>,
}

#[derive(Default, Deserialize)]
struct Composite {
    #[serde(default)]
    after_key: Option<Json>,
    #[serde(default)]
    buckets: Vec<Bucket>,
}

/// A group of an answer.
#[derive(Deserialize)]
pub(super) struct Bucket {
    key: BTreeMap<String, Json>,
    doc_count: i64,
    #[serde(flatten)]
    measures: BTreeMap<String, Computed>,
}

#[derive(Deserialize)]
struct Computed {
    value: Option<f64>,
}

impl Answer {
    /// Behind which group the next page begins.
    pub(super) fn behind(&mut self) -> Option<Json> {
        self.aggregations.groups.after_key.take()
    }

    /// Its groups.
    pub(super) fn groups(&self) -> &[Bucket] {
        &self.aggregations.groups.buckets
    }

    /// All alerts as one group.
    pub(super) fn whole(self) -> Bucket {
        Bucket { key: BTreeMap::new(), doc_count: self.hits.total.value, measures: self.aggregations.measures }
    }
}

/// A group, as far as the answer says it exactly.
#[derive(Debug, PartialEq)]
pub(super) struct Found {
    pub(super) part: Part,
    /// Measures that are to be asked for anew.
    pub(super) doubtful: Vec<usize>,
}

/// Reads a group. Nothing where it is not as it was asked for.
pub(super) fn found(aggregation: &Aggregation, bucket: &Bucket) -> Option<Found> {
    let mut group = Vec::with_capacity(aggregation.groups.len());
    for (place, of) in aggregation.groups.iter().enumerate() {
        let key = held(bucket.key.get(&format!("g{place}"))?)?;
        group.push(match (of, key) {
            (Group::Time { .. }, Held::Int(millis)) => Held::Int(millis.checked_mul(MILLI)?),
            (Group::Time { .. }, Held::Text(_)) => return None,
            (_, key) => key,
        });
    }
    let (mut measures, mut doubtful) = (Vec::with_capacity(aggregation.measures.len()), Vec::new());
    for (place, measure) in aggregation.measures.iter().enumerate() {
        let computed = || bucket.measures.get(&format!("m{place}")).map(|computed| computed.value);
        measures.push(match measure.function {
            Function::Count => Partial::Count(bucket.doc_count),
            Function::CountDistinct => Partial::Count(i64::from(bucket.key.get(COUNTED).is_some_and(|value| !value.is_null()))),
            // Of no alert it is 0 here.
            Function::Sum if bucket.doc_count == 0 => Partial::Sum(None),
            Function::Sum => Partial::Sum(Some(i128::from(whole(computed()??)?))),
            Function::Min | Function::Max => {
                let value = computed()?;
                let exact = value.and_then(whole);
                if value.is_some() && exact.is_none() {
                    doubtful.push(place);
                }
                let exact = exact.map(Held::Int);
                if measure.function == Function::Min { Partial::Min(exact) } else { Partial::Max(exact) }
            }
        });
    }
    Some(Found { part: Part { group, measures }, doubtful })
}

fn held(value: &Json) -> Option<Held> {
    match value {
        Json::Null => Some(Held::Null),
        Json::String(text) => Some(Held::Text(text.clone())),
        Json::Number(number) => number.as_i64().map(Held::Int),
        _ => None,
    }
}

/// The integer that a real number surely is.
fn whole(value: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
    let whole = |value: f64| value as i64;
    (value.abs() < EXACT && value.fract() == 0.0).then(|| whole(value))
}

/// The body of a search that finds the least or the greatest value of a column in a group, exactly: as what the first hit sorts by.
pub(super) fn edge(schema: &Schema, aggregation: &Aggregation, query: &Json, bucket: &Bucket, measure: &Measure) -> Option<Json> {
    let mut filter = vec![query.clone()];
    for (place, group) in aggregation.groups.iter().enumerate() {
        let key = bucket.key.get(&format!("g{place}"))?;
        filter.push(match group {
            Group::Column(column) => is(schema.field(*column).name(), key),
            Group::Time { .. } if key.is_null() => is(APPENDED, key),
            Group::Time { bin, .. } => {
                let millis = key.as_i64()?;
                let next = grid_of(*bin)?.next(millis.checked_mul(MILLI)?)?;
                json!({ "range": { APPENDED: { "gte": millis, "lt": next / MILLI, "format": "epoch_millis" } } })
            }
        });
    }
    if let (Some(column), Some(key)) = (counted(aggregation), bucket.key.get(COUNTED)) {
        filter.push(is(schema.field(column).name(), key));
    }
    let order = if measure.function == Function::Min { "asc" } else { "desc" };
    let name = schema.field(measure.column?).name();
    let sort = json!([{ name: { "order": order } }]);
    Some(json!({ "size": 1, "track_total_hits": false, "_source": false, "query": { "bool": { "filter": filter } }, "sort": sort }))
}

fn is(name: &str, value: &Json) -> Json {
    if value.is_null() { json!({ "bool": { "must_not": [{ "exists": { "field": name } }] } }) } else { json!({ "term": { name: { "value": value } } }) }
}

#[cfg(test)]
#[path = "aggregates_tests.rs"]
mod tests;
