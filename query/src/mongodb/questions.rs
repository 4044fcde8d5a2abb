//! Which questions are put to MongoDB for some ranges of keys, and how EXPLAIN shows them.
//!
//! What must stay true: pure; the answers together, one after another, are the documents with these keys that the filter matches, each once,
//! in the order of the key where that is asked for. Ranges are what leaves out the documents that a reader must not see: those on their
//! way, and those below the floor.

use std::fmt::Write as _;

use ::mongodb::bson::{Document, doc};

use super::columns::Table;
use super::dialect::{Asked, all, any};
use super::keys::{Range, unpacked};
use crate::table::Order;

/// Seqs up to which a range is asked together with others. More would make the server remember each document that it gave.
const SMALL: i64 = 1_000;
/// Ranges that are asked together.
const TOGETHER: usize = 200;

/// One question.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Find {
    pub(super) filter: Document,
    /// 1 or -1: by the key.
    pub(super) sort: Option<i32>,
    /// Where the index of transactions is asked: the ranges in which a document's key must lie to be seen. Elsewhere they are in the filter.
    pub(super) seen: Option<Vec<Range>>,
}

/// The questions whose answers together, one after another, are the documents with these keys that are asked for.
pub(super) fn finds(asked: &Asked<'_>, ranges: Vec<Range>, descending: Option<bool>) -> Vec<Find> {
    let sort = descending.map(|descending| if descending { -1 } else { 1 });
    if ranges.is_empty() {
        return Vec::new();
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
    if descending == Some(true) {
        groups.reverse();
    }
    let question = |group: Vec<Range>| {
        let mut filters = vec![within(&group)];
        if !asked.filter.is_empty() {
            filters.push(asked.filter.clone());
        }
        Find { filter: all(filters), sort, seen: None }
    };
    groups.into_iter().map(question).collect()
}

/// What matches the documents with these keys.
pub(super) fn within(ranges: &[Range]) -> Document {
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

/// What is asked, for EXPLAIN.
pub(super) fn shown(asked: &Asked<'_>, projection: &Document, ranges: &[Range], descending: Option<bool>, limit: Option<usize>, parts: usize) -> String {
    let counted = projection.len() == 1 && !asked.by_transaction;
    let mut text = if counted { format!("db.documents.find({})", asked.filter) } else { format!("db.documents.find({}, {projection})", asked.filter) };
    let mut add = |part: &str| text.push_str(part);
    if let Some(descending) = descending {
        add(if descending { ".sort({ \"_id\": -1 })" } else { ".sort({ \"_id\": 1 })" });
    }
    if let Some(limit) = limit {
        add(&format!(".limit({limit})"));
    }
    if asked.by_transaction {
        add(".hint(\"transaction_id\")");
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
