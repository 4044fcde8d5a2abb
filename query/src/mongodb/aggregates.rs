//! From an aggregation to MongoDB's pipeline, and from what is answered to parts of groups. Pure.
//!
//! What must stay true: what is missing and what is null are one NULL, a group of its own, and no value to a measure; text is compared by its
//! bytes, as a collection without a collation does; nothing is computed in double precision that it does not hold: 64-bit integers are
//! added up in two halves, since a sum of theirs that does not fit becomes a double.

use ::mongodb::bson::{Bson, Document, RawBsonRef, RawDocument, doc};
use arrow::datatypes::DataType;
use wh_schemas::position::SEQ_BITS;

use super::columns::{Source, Table, cell};
use crate::aggregate::{Aggregation, Function, Group};
use crate::partial::{Grid, Held, Part, Partial};

/// Seqs of a partition: what a key is divided by.
const SEQS: i64 = 1 << SEQ_BITS;
/// What a number is divided by to be halved.
const HALF: i64 = 1 << 32;
/// Longest bins: what is computed with them stays within 64 bits.
const LONGEST: i64 = 1 << 60;
/// Most columns of a group.
const MAX_GROUPS: usize = 16;
/// Values that stay small however many are added up.
const SMALL: [&str; 2] = ["partition", "risk_score"];

/// In how many of the documents a text is kept beside, by which they are to be judged.
const TEXTS: &str = "x";

/// Whether there is one group, of whose documents it can be told how many have a text.
pub(super) fn is_one_group(aggregation: &Aggregation) -> bool {
    aggregation.groups.is_empty() && counted(aggregation).is_none()
}

/// Whether MongoDB computes it exactly.
pub(super) fn takes(table: &Table, aggregation: &Aggregation) -> bool {
    let known = |column: usize| expression(table, column).is_some();
    let grouped = aggregation.groups.iter().all(|group| match group {
        Group::Column(column) => known(*column),
        Group::Time { column, bin } => known(*column) && Grid::of(*bin).is_some_and(|grid| grid.micros <= LONGEST),
    });
    // Bins that are put together are that here, and different values are counted there.
    let joined = aggregation.groups.iter().filter_map(grid_of).filter(|grid| grid.joined.is_some()).count();
    let counted = counted(aggregation);
    let measured = aggregation.measures.iter().all(|measure| match (measure.function, measure.column) {
        (Function::Count, None) => true,
        (Function::Count | Function::Min | Function::Max, Some(column)) => known(column),
        (Function::Sum, Some(column)) => known(column) && matches!(type_of(table, column), DataType::Int32 | DataType::Int64),
        (Function::CountDistinct, Some(column)) => known(column) && counted == Some(column) && joined == 0,
        (_, None) => false,
    });
    grouped && measured && joined <= 1 && aggregation.groups.len() <= MAX_GROUPS
}

fn grid_of(group: &Group) -> Option<Grid> {
    match group {
        Group::Column(_) => None,
        Group::Time { bin, .. } => Grid::of(*bin),
    }
}

/// The column whose different values are counted: the first.
fn counted(aggregation: &Aggregation) -> Option<usize> {
    aggregation.measures.iter().find(|measure| measure.function == Function::CountDistinct).and_then(|measure| measure.column)
}

fn type_of(table: &Table, column: usize) -> &DataType {
    table.shape.schema.field(column).data_type()
}

fn is_small(table: &Table, column: usize) -> bool {
    table.shape.is_one_of(column, &SMALL)
}

/// A column as the server computes it; nothing where it does not have it.
fn expression(table: &Table, column: usize) -> Option<Bson> {
    let seq = || doc! { "$mod": ["$_id", SEQS] };
    Some(match table.sources.get(column)? {
        Source::Seq => seq().into(),
        // The lower half is taken off first, so that the quotient is whole.
        Source::Partition => doc! { "$toInt": { "$divide": [{ "$subtract": ["$_id", seq()] }, SEQS] } }.into(),
        source => format!("${}", source.path()?).into(),
    })
}

/// Start of the bin of a time. The remainder of a negative number is negative there.
fn start(time: Bson, grid: Grid) -> Bson {
    let remainder = doc! { "$mod": [{ "$subtract": [time.clone(), grid.first] }, grid.micros] };
    doc! { "$subtract": [time, { "$mod": [{ "$add": [remainder, grid.micros] }, grid.micros] }] }.into()
}

fn or_null(value: Bson) -> Bson {
    doc! { "$ifNull": [value, Bson::Null] }.into()
}

/// 1 where there is a value, 0 where there is none.
fn there(value: Bson) -> Bson {
    doc! { "$cond": [{ "$eq": [or_null(value), Bson::Null] }, 0, 1] }.into()
}

fn sum(value: impl Into<Bson>) -> Bson {
    let value: Bson = value.into();
    doc! { "$sum": value }.into()
}

/// The stages behind the one that finds the documents, which count those that have a field `text`, where one is named. Nothing where MongoDB
/// cannot be asked, which [`takes`] has said before.
pub(super) fn stages(table: &Table, aggregation: &Aggregation, text: Option<&str>) -> Option<Vec<Document>> {
    let counted = counted(aggregation);
    let (mut key, mut again, mut order, mut last) = (Document::new(), Document::new(), Document::new(), None);
    for (place, group) in aggregation.groups.iter().enumerate() {
        let name = format!("g{place}");
        let of = match group {
            Group::Column(column) => expression(table, *column)?,
            Group::Time { column, bin } => start(expression(table, *column)?, Grid::of(*bin)?),
        };
        key.insert(&name, or_null(of));
        again.insert(&name, format!("$_id.{name}"));
        if grid_of(group).is_some_and(|grid| grid.joined.is_some()) {
            last = Some(format!("_id.{name}"));
        } else {
            order.insert(format!("_id.{name}"), 1);
        }
    }
    if let Some(column) = counted {
        key.insert("d", or_null(expression(table, column)?));
    }
    let id = |key: Document| if key.is_empty() { Bson::Null } else { Bson::Document(key) };
    let (mut first, mut second) = (doc! { "_id": id(key) }, doc! { "_id": id(again) });
    for (place, measure) in aggregation.measures.iter().enumerate() {
        let name = format!("m{place}");
        let of = match measure.column {
            Some(column) => Some((column, expression(table, column)?)),
            None => None,
        };
        let once = match (measure.function, of) {
            (Function::Count, None) => sum(1),
            (Function::Count, Some((_, value))) => sum(there(value)),
            (Function::Min, Some((_, value))) => doc! { "$min": value }.into(),
            (Function::Max, Some((_, value))) => doc! { "$max": value }.into(),
            (Function::Sum, Some((column, value))) => {
                first.insert(format!("n{place}"), sum(there(value.clone())));
                second.insert(format!("n{place}"), sum(format!("$n{place}")));
                if is_small(table, column) {
                    sum(value)
                } else {
                    let low = doc! { "$mod": [value.clone(), HALF] };
                    let high = doc! { "$toLong": { "$divide": [{ "$subtract": [value, low.clone()] }, HALF] } };
                    first.insert(format!("h{place}"), sum(high));
                    second.insert(format!("h{place}"), sum(format!("$h{place}")));
                    sum(low)
                }
            }
            (Function::CountDistinct, _) => Bson::Null,
            (_, None) => return None,
        };
        if measure.function != Function::CountDistinct {
            first.insert(&name, once);
        }
        let again = match measure.function {
            Function::Count | Function::Sum => sum(format!("${name}")),
            Function::Min => doc! { "$min": format!("${name}") }.into(),
            Function::Max => doc! { "$max": format!("${name}") }.into(),
            Function::CountDistinct => sum(there("$_id.d".into())),
        };
        second.insert(name, again);
    }
    if let Some(text) = text {
        first.insert(TEXTS, sum(there(format!("${text}").into())));
    }
    let mut stages = vec![doc! { "$group": first }];
    if counted.is_some() {
        stages.push(doc! { "$group": second });
    }
    if let Some(last) = last {
        // What is put together follows one another.
        order.insert(last, 1);
        stages.push(doc! { "$sort": order });
    }
    Some(stages)
}

/// Of how many documents of a group it must be told by their texts whether they are asked for.
pub(super) fn texts(group: &RawDocument) -> Result<i64, String> {
    match held(TEXTS, got(group, TEXTS)?)? {
        Held::Int(texts) => Ok(texts),
        _ => Ok(0),
    }
}

/// Reads a group. An error says what is not as it should be.
pub(super) fn group(aggregation: &Aggregation, document: &RawDocument) -> Result<Part, String> {
    let key = got(document, "_id")?.and_then(RawBsonRef::as_document);
    let mut group = Vec::with_capacity(aggregation.groups.len());
    for (place, of) in aggregation.groups.iter().enumerate() {
        let name = format!("g{place}");
        let value = match key {
            Some(key) => held(&name, got(key, &name)?)?,
            None => return Err("a group without a key".to_owned()),
        };
        group.push(match (grid_of(of), value) {
            (Some(grid), Held::Int(at)) => Held::Int(grid.start(at).ok_or_else(|| format!("the time {at} is in no bin"))?),
            (_, value) => value,
        });
    }
    let mut measures = Vec::with_capacity(aggregation.measures.len());
    for (place, measure) in aggregation.measures.iter().enumerate() {
        let value = |letter: char| -> Result<Held, String> {
            let name = format!("{letter}{place}");
            held(&name, got(document, &name)?)
        };
        let int = |letter: char| match value(letter)? {
            Held::Int(value) => Ok(value),
            Held::Null => Ok(0),
            Held::Text(_) => Err(format!("{letter}{place} is a text")),
        };
        let some = |value: Held| (value != Held::Null).then_some(value);
        measures.push(match measure.function {
            Function::Count | Function::CountDistinct => Partial::Count(int('m')?),
            Function::Min => Partial::Min(some(value('m')?)),
            Function::Max => Partial::Max(some(value('m')?)),
            Function::Sum if int('n')? == 0 => Partial::Sum(None),
            Function::Sum => Partial::Sum(Some(i128::from(int('m')?) + i128::from(int('h')?) * i128::from(HALF))),
        });
    }
    Ok(Part { group, measures })
}

fn got<'d>(document: &'d RawDocument, name: &str) -> Result<Option<RawBsonRef<'d>>, String> {
    document.get(name).map_err(|_| "damaged BSON".to_owned())
}

fn held(name: &str, value: Option<RawBsonRef<'_>>) -> Result<Held, String> {
    Held::of(cell(name, value)?).ok_or_else(|| format!("{name} is no value of a group"))
}

#[cfg(test)]
#[path = "aggregates_tests.rs"]
mod tests;
