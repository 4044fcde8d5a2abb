//! From an aggregation to InfluxQL, and from what is answered to parts of groups. Pure.
//!
//! What must stay true: a point is in one statement and no other. The points of years that InfluxDB does not know are read one by one, their
//! time is made up; so are those of the first and the last bins that it has, which it cuts at the ends of its own time (seen at 2.7). Its
//! sums wrap at 64 bits. Those of integers are of transactions that there have been, of alerts among them and of their scores, and do not come near that;
//! one of money surely has not where it is of few transactions, or where a double says that it is far from that. Where it may have, it is added up anew
//! from the points.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use wh_stores::influxdb::answer::{Datum, Series};
use wh_stores::influxdb::points::{SECONDS, second_and_block, text_of};

use super::dialect::{Condition, Kind, kind};
use super::place::place_of;
use super::selected::{Selected, are_held, computed, is_money, selected, transactions};
use super::statements::{Query, SOME_FIELD, asked, columns};
use crate::aggregate::{Aggregation, DAY, Function, Group, Measure};
use crate::partial::{Grid, Held, Part, Partial};
use crate::predicate::Predicate;
use crate::shape::Shape;

/// Microseconds in a second.
const SECOND: i64 = 1_000_000;
/// Longest bins: two of them at either end of time are read point by point.
const LONGEST: i64 = 366 * DAY;

/// Whether InfluxDB computes it exactly.
pub(super) fn takes(shape: &Shape, aggregation: &Aggregation) -> bool {
    let is_tag = |column: usize| matches!(kind(shape, column), Kind::Tag | Kind::Number);
    let (mut times, mut others) = (0, true);
    for group in &aggregation.groups {
        match group {
            group if grid_of(shape, group).is_some() => times += 1,
            Group::Column(column) => others &= is_tag(*column),
            Group::Time { .. } => others = false,
        }
    }
    let measured = aggregation.measures.iter().all(|measure| match (measure.function, measure.column) {
        // No column is ever missing in a point.
        (Function::Count, _) => true,
        (Function::CountDistinct, Some(column)) => is_tag(column) && times == 0,
        (Function::Sum | Function::Min | Function::Max, Some(column)) => kind(shape, column) == Kind::Field,
        (_, None) => false,
    });
    others && times <= 1 && measured
}

/// The bins of a grouping by time, where each second is in one of them as a whole.
fn grid_of(shape: &Shape, group: &Group) -> Option<Grid> {
    let grid = match group {
        Group::Column(column) if kind(shape, *column) == Kind::Time => Grid { micros: SECOND, first: 0, joined: None },
        Group::Time { column, bin } if kind(shape, *column) == Kind::Time => Grid::of(*bin)?,
        _ => return None,
    };
    (grid.micros % SECOND == 0 && grid.first % SECOND == 0 && grid.micros <= LONGEST).then_some(grid)
}

/// Whether the groups of one statement come more than once, so that all must be held.
pub(super) fn is_scattered(aggregation: &Aggregation) -> bool {
    aggregation.measures.iter().any(|measure| measure.function == Function::CountDistinct)
}

/// What is asked for an aggregation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Aggregated {
    /// All statements.
    pub(super) query: Query,
    /// How many of them give points one by one; the one behind them gives groups.
    pub(super) single: usize,
    /// What that one selects.
    pub(super) selected: Vec<Selected>,
    /// The seconds of that one, the first and the last.
    seconds: (i64, i64),
    condition: String,
    grid: Option<Grid>,
}

/// Columns that points are read with one by one.
fn needed(aggregation: &Aggregation) -> Vec<usize> {
    let of_group = |group: &Group| match group {
        Group::Column(column) | Group::Time { column, .. } => *column,
    };
    aggregation.groups.iter().map(of_group).chain(aggregation.measures.iter().filter_map(|measure| measure.column)).collect()
}

/// The statements for an aggregation of what these predicates find. `None` where InfluxDB cannot be asked.
pub(super) fn aggregated<'p>(shape: &Shape, aggregation: &Aggregation, predicates: impl IntoIterator<Item = &'p Predicate>) -> Option<Aggregated> {
    let mut query = Query::default();
    let Some(asked) = asked(shape, predicates)? else { return Some(Aggregated::default()) };
    let condition = query.condition(&asked);
    let needed: BTreeSet<usize> = needed(aggregation).into_iter().collect();
    let needed: Vec<usize> = needed.into_iter().collect();
    let single = |others: &[&str]| if needed.is_empty() { format!("\"{SOME_FIELD}\"") } else { columns(shape, &needed, others) };
    query.out_of_range(&single(&["second"]), &asked, &condition, "");
    let known = (asked.first.max(SECONDS.0), asked.last.min(SECONDS.1));
    let grid = aggregation.groups.iter().find_map(|group| grid_of(shape, group));
    let mut seconds = known;
    let mut by: Vec<String> = tags(shape, aggregation).into_iter().map(|tag| format!("\"{tag}\"")).collect();
    let mut behind = "";
    if let Some(grid) = grid {
        let (length, first) = (grid.micros / SECOND, grid.first / SECOND);
        let begins = |second: i64| (second - first).div_euclid(length) * length + first;
        let inner = (begins(SECONDS.0 + 2 * length) + length, begins(SECONDS.1 - 2 * length));
        query.in_range(&single(&[]), (known.0, known.1.min(inner.0 - 1)), &condition, "")?;
        query.in_range(&single(&[]), (known.0.max(inner.1), known.1), &condition, "")?;
        seconds = (known.0.max(inner.0), known.1.min(inner.1 - 1));
        by.push(format!("time({length}s, {first}s)"));
        behind = " fill(none)";
    }
    let by = if by.is_empty() { String::new() } else { format!(" GROUP BY {}{behind}", by.join(", ")) };
    let before = query.statements;
    let selected = selected(shape, aggregation);
    query.in_range(&computed(shape, &selected), seconds, &condition, &by)?;
    Some(Aggregated { query, single: before, selected, seconds, condition, grid })
}

/// The tags that a statement groups by: those of the groups, and those whose different values are counted.
fn tags<'s>(shape: &'s Shape, aggregation: &Aggregation) -> Vec<&'s str> {
    let of_group = |group: &Group| if let Group::Column(column) = group { Some(*column) } else { None };
    let counted = |measure: &Measure| measure.column.filter(|_| measure.function == Function::CountDistinct);
    let wanted = aggregation.groups.iter().filter_map(of_group).chain(aggregation.measures.iter().filter_map(counted));
    let mut tags: Vec<&str> = Vec::new();
    for column in wanted {
        let name = shape.schema.field(column).name().as_str();
        if kind(shape, column) != Kind::Time && !tags.contains(&name) {
            tags.push(name);
        }
    }
    tags
}

/// A group of an answer.
#[derive(Debug, PartialEq)]
pub(super) struct Found {
    pub(super) part: Part,
    /// Measures whose sums may not be what 64 bits hold.
    pub(super) doubtful: Vec<usize>,
}

/// Reads a row of the statement of the groups. Nothing where it lacks something.
pub(super) fn group(shape: &Shape, aggregation: &Aggregation, selected: &[Selected], series: &Series<'_>, row: &[Datum<'_>]) -> Option<Found> {
    let tag = |column: usize| {
        let tag = series.tags.get(shape.schema.field(column).name())?;
        if kind(shape, column) == Kind::Number { tag.parse().ok().map(Held::Int) } else { Some(Held::Text(text_of(tag).into_owned())) }
    };
    let mut values = Vec::with_capacity(aggregation.groups.len());
    for group in &aggregation.groups {
        values.push(match (grid_of(shape, group), group) {
            (Some(grid), _) => Held::Int(grid.start(second_of(row)?.checked_mul(SECOND)?)?),
            (None, Group::Column(column)) => tag(*column)?,
            (None, Group::Time { .. }) => return None,
        });
    }
    // Behind the time.
    let datum = |wanted: Selected| row.get(1 + selected.iter().position(|one| *one == wanted)?);
    let int = |wanted: Selected| datum(wanted)?.int();
    let (mut measures, mut doubtful) = (Vec::with_capacity(aggregation.measures.len()), Vec::new());
    for (place, measure) in aggregation.measures.iter().enumerate() {
        measures.push(match (measure.function, measure.column) {
            (Function::Count, _) => Partial::Count(int(Selected::Points)?),
            (Function::CountDistinct, Some(column)) => Partial::Distinct(BTreeSet::from([tag(column)?])),
            (Function::Min, Some(column)) => Partial::Min(Some(Held::Int(int(Selected::Least(column))?))),
            (Function::Max, Some(column)) => Partial::Max(Some(Held::Int(int(Selected::Greatest(column))?))),
            (Function::Sum, Some(column)) => {
                let sum = int(Selected::Sum(column))?;
                if is_money(shape, column) && !are_held(int(Selected::Sum(transactions(shape)?))?) {
                    doubtful.push(place);
                }
                Partial::Sum(Some(i128::from(sum)))
            }
            (_, None) => return None,
        });
    }
    Some(Found { part: Part { group: values, measures }, doubtful })
}

fn second_of(row: &[Datum<'_>]) -> Option<i64> {
    row.first().and_then(Datum::int).map(|time| second_and_block(time).0)
}

/// Reads a point. Nothing where it lacks something.
pub(super) fn point(shape: &Shape, aggregation: &Aggregation, series: &Series<'_>, row: &[Datum<'_>]) -> Option<Part> {
    let value = |column: usize| place_of(shape, column, series).cell(row, Held::of).flatten();
    let int = |column: usize| match value(column)? {
        Held::Int(value) => Some(value),
        Held::Null | Held::Text(_) => None,
    };
    let mut values = Vec::with_capacity(aggregation.groups.len());
    for group in &aggregation.groups {
        values.push(match (grid_of(shape, group), group) {
            (Some(grid), Group::Column(column) | Group::Time { column, .. }) => Held::Int(grid.start(int(*column)?)?),
            (None, Group::Column(column)) => value(*column)?,
            (None, Group::Time { .. }) => return None,
        });
    }
    let mut measures = Vec::with_capacity(aggregation.measures.len());
    for measure in &aggregation.measures {
        measures.push(match (measure.function, measure.column) {
            (Function::Count, _) => Partial::Count(1),
            (Function::CountDistinct, Some(column)) => Partial::Distinct(BTreeSet::from([value(column)?])),
            (Function::Min, Some(column)) => Partial::Min(Some(value(column)?)),
            (Function::Max, Some(column)) => Partial::Max(Some(value(column)?)),
            (Function::Sum, Some(column)) => Partial::Sum(Some(i128::from(int(column)?))),
            (_, None) => return None,
        });
    }
    Some(Part { group: values, measures })
}

impl Aggregated {
    /// The statement that selects something else of a group that was answered by these tags and this row.
    pub(super) fn again(&self, selected: &str, tags: &BTreeMap<String, String>, row: &[Datum<'_>]) -> Option<Query> {
        let mut query = Query { parameters: self.query.parameters.clone(), ..Query::default() };
        let mut condition = self.condition.clone();
        for (name, tag) in tags {
            condition.push_str(" AND ");
            Condition::Compare { name: name.clone(), sign: "=", value: Json::from(tag.as_str()) }.write(&mut condition, &mut query.parameters);
        }
        let seconds = match self.grid {
            None => self.seconds,
            Some(grid) => {
                let first = second_of(row)?;
                (self.seconds.0.max(first), self.seconds.1.min(first + grid.micros / SECOND - 1))
            }
        };
        query.in_range(selected, seconds, &condition, "")?;
        Some(query)
    }
}

#[cfg(test)]
#[path = "aggregates_tests.rs"]
mod tests;
