//! Which questions are put to MongoDB for some ranges of keys, and how EXPLAIN shows them.
//!
//! What must stay true: pure; the answers together, one after another, are the documents with these keys that the filter matches, each once,
//! in the order that is asked for. Ranges are what leaves out the documents that a reader must not see: those on their way, and those below
//! the floor. Where a question names transactions, their index is the only one that can answer it: no range stands in it as a range. What is missing and what is null sort before all else there, and so they do where an order is asked for.

use std::fmt::Write as _;

use ::mongodb::bson::{Document, doc};

use super::columns::Table;
use super::dialect::{Asked, all, any, none_of};
use super::keys::{Range, unpacked};
use crate::table::Order;

/// Seqs up to which a range is asked together with others. More would make the server remember each document that it gave.
const SMALL: i64 = 1_000;
/// Ranges that are asked together.
const TOGETHER: usize = 200;
/// Most fields that the server sorts by: its own bound is 32.
const MAX_FIELDS: usize = 16;

/// In which order documents are asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Sorting {
    /// In any.
    Any,
    /// By the key.
    Key { descending: bool },
    /// By fields, which a limit goes with: the server finds the first of all documents.
    Fields(Document),
}

impl Sorting {
    /// What the server sorts by.
    fn keys(&self) -> Option<Document> {
        match self {
            Sorting::Any => None,
            Sorting::Key { descending } => Some(doc! { "_id": direction(*descending) }),
            Sorting::Fields(fields) => Some(fields.clone()),
        }
    }
}

fn direction(descending: bool) -> i32 {
    if descending { -1 } else { 1 }
}

/// One question.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Find {
    pub(super) filter: Document,
    pub(super) sort: Option<Document>,
    /// Where they are not in the filter: the ranges in which a document's key must lie to be seen.
    pub(super) seen: Option<Vec<Range>>,
}

/// The questions whose answers together, one after another, are the documents with these keys that are asked for.
pub(super) fn finds(asked: &Asked<'_>, ranges: Vec<Range>, sorting: &Sorting) -> Vec<Find> {
    let sort = sorting.keys();
    if ranges.is_empty() {
        return Vec::new();
    }
    if let Sorting::Fields(_) = sorting {
        // The first of all of them are found by one question, which has to know what may be seen.
        return vec![Find { filter: seen_within(asked, &ranges), sort, seen: None }];
    }
    if asked.by_transaction {
        return vec![Find { filter: asked.filter.clone(), sort, seen: Some(ranges) }];
    }
    let mut groups: Vec<Vec<Range>> = Vec::new();
    for range in ranges {
        let small = |(from, to): &Range| to - from <= SMALL;
        match groups.last_mut() {
            Some(group) if group.len() < TOGETHER && small(&range) && group.iter().all(small) => group.push(range),
            _ => groups.push(vec![range]),
        }
    }
    if *sorting == (Sorting::Key { descending: true }) {
        groups.reverse();
    }
    groups.iter().map(|group| Find { filter: seen_within(asked, group), sort: sort.clone(), seen: None }).collect()
}

/// What matches the documents with these keys that are asked for.
pub(super) fn seen_within(asked: &Asked<'_>, ranges: &[Range]) -> Document {
    let keys = if asked.by_transaction { not_outside(ranges) } else { within(ranges) };
    let filters = std::iter::once(keys).chain((!asked.filter.is_empty()).then(|| asked.filter.clone()));
    all(filters.collect())
}

/// The same as [`within`], which every key can be judged by and none is looked for by: a server that prefers the key's own index would read
/// all of a range for a few transactions. A hint would name the other index, by which such a server (seen: secantus 0.5) then reads all of it.
fn not_outside(ranges: &[Range]) -> Document {
    any(ranges.iter().map(|(from, to)| none_of(vec![doc! { "_id": { "$lt": *from } }, doc! { "_id": { "$gte": *to } }])).collect())
}

/// What matches the documents with these keys.
fn within(ranges: &[Range]) -> Document {
    let (single, wide): (Vec<&Range>, Vec<&Range>) = ranges.iter().partition(|(from, to)| to - from == 1);
    let mut filters: Vec<Document> = wide.into_iter().map(|(from, to)| doc! { "_id": { "$gte": *from, "$lt": *to } }).collect();
    if !single.is_empty() {
        filters.push(doc! { "_id": { "$in": single.into_iter().map(|(from, _)| *from).collect::<Vec<_>>() } });
    }
    any(filters)
}

/// Whether the order is that of the key, and which way.
pub(super) fn key_order(table: &Table, order: &[Order]) -> Option<bool> {
    let first = order.first().filter(|by| by.column == table.keys.partition)?;
    match order.get(1) {
        // Behind partition and seq there is nothing left to sort.
        Some(second) if second.column != table.keys.seq || second.descending != first.descending => None,
        _ => Some(first.descending),
    }
}

/// The order as the server is asked for it, where it is that of a few fields and has what is missing at the same end. Each name stands in it once.
fn field_order(table: &Table, order: &[Order]) -> Option<Document> {
    let mut fields = Document::new();
    for by in order {
        let path = table.sources.get(by.column)?.path()?;
        let is_nullable = table.shape.schema.fields().get(by.column)?.is_nullable();
        if is_nullable && by.nulls_first == by.descending {
            return None;
        }
        if !fields.contains_key(path) {
            fields.insert(path, direction(by.descending));
        }
    }
    (fields.len() <= MAX_FIELDS).then_some(fields)
}

/// How documents are asked for in an order; `None` where the server has another one.
pub(super) fn sorting(table: &Table, order: &[Order]) -> Option<Sorting> {
    if order.is_empty() {
        return Some(Sorting::Any);
    }
    match key_order(table, order) {
        Some(descending) => Some(Sorting::Key { descending }),
        None => field_order(table, order).map(Sorting::Fields),
    }
}

/// What is asked, for EXPLAIN.
pub(super) fn shown(asked: &Asked<'_>, projection: &Document, ranges: &[Range], sorting: &Sorting, limit: Option<usize>, parts: usize) -> String {
    let counted = projection.len() == 1 && !asked.by_transaction;
    let mut text = if counted { format!("db.documents.find({})", asked.filter) } else { format!("db.documents.find({}, {projection})", asked.filter) };
    let mut add = |part: &str| text.push_str(part);
    if let Some(keys) = sorting.keys() {
        add(&format!(".sort({keys})"));
    }
    // What is judged when it is read has no limit there.
    if let Some(limit) = limit.filter(|_| asked.members.is_empty()) {
        add(&format!(".limit({limit})"));
    }
    add(&keys_shown(ranges));
    if parts > 1 {
        add(&format!(" (in {parts} parts by _id)"));
    }
    text
}

/// The keys that are asked for, for EXPLAIN.
pub(super) fn keys_shown(ranges: &[Range]) -> String {
    let mut keys = String::new();
    for (from, to) in ranges.iter().take(4) {
        let ((partition, first), behind) = (unpacked(*from), unpacked(to - 1).1 + 1);
        // Writing to a string does not fail.
        if write!(keys, "{}{partition}:{first}..{behind}", if keys.is_empty() { "" } else { ", " }).is_err() {
            break;
        }
    }
    format!(" with _id in [{keys}{}]", if ranges.len() > 4 { ", …" } else { "" })
}

#[cfg(test)]
#[path = "questions_tests.rs"]
mod tests;
