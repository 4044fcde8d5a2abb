//! From tests of members of JSON to SQLite's SQL.
//!
//! What must stay true: pure; the path is a bound value as the texts are, and a key that a path cannot say is not asked about. To SQLite a
//! number is a number and `true` is 1: they are compared by what they are in JSON (`->`), strings by what they are as text (`->>`). What is
//! no JSON is let through, where SQLite would end the statement with an error.

use std::fmt::Write as _;

use super::dialect::Sql;
use super::tables::Table;
use crate::json::{Beside, MemberTest, Step};
use crate::predicate::Value;

/// Farthest element from either end of an array: SQLite counts in 32 bits, and does not tell where it has lost count.
const MAX_ELEMENT: u64 = 1_000_000;

/// How many values a test binds at most: the path, and each text once as text and once as JSON.
pub(super) fn values(test: &MemberTest) -> usize {
    1 + 2 * test.texts().len()
}

/// Whether SQLite can be asked.
pub(super) fn can_be_asked(table: &Table, column: usize, path: &[Step], test: &MemberTest) -> bool {
    // It ends a string at U+0000.
    let texts = test.texts().iter().all(|text| !text.contains('\0'));
    texts && table.json(column).is_some_and(|(_, from)| place(from, path).is_some())
}

/// The path from that of a document on; `None` where SQLite would read it otherwise.
fn place(from: &str, path: &[Step]) -> Option<String> {
    let mut place = from.to_owned();
    for step in path {
        // Writing to a string does not fail.
        match step {
            Step::Key(key) if key.chars().all(|c| !matches!(c, '"' | '\\') && !c.is_control()) => write!(place, ".\"{key}\"").ok()?,
            Step::Element(index) if index.unsigned_abs() <= MAX_ELEMENT => {
                let from_end = if *index < 0 { "#" } else { "" };
                write!(place, "[{from_end}{index}]").ok()?;
            }
            Step::Key(_) | Step::Element(_) => return None,
        }
    }
    Some(place)
}

/// Appends the condition. `None` where SQLite cannot be asked, which `can_be_asked` has said before.
pub(super) fn write(table: &Table, column: usize, path: &[Step], test: &MemberTest, sql: &mut Sql) -> Option<()> {
    let (document, from) = table.json(column)?;
    let place = sql.place(Value::Text(place(from, path)?));
    // 5: JSON as text, or as JSONB.
    sql.push(&format!("CASE WHEN json_valid({document}, 5) THEN "));
    let texts: Vec<&String> = test.texts().iter().collect();
    if texts.is_empty() {
        sql.push(&format!("{document} ->> {place} IS NOT NULL"));
    } else {
        one_of(&format!("{document} ->> {place}"), &texts, sql);
        let scalars: Vec<&String> = texts.iter().copied().filter(|text| Beside::string(text) == Beside::Scalar).collect();
        if !scalars.is_empty() {
            sql.push(" OR ");
            one_of(&format!("{document} -> {place}"), &scalars, sql);
        }
        if texts.iter().any(|text| Beside::string(text) == Beside::Container) {
            sql.push(&format!(" OR json_type({document}, {place}) IN ('object', 'array')"));
        }
    }
    sql.push(" ELSE 1 END");
    Some(())
}

fn one_of(expression: &str, texts: &[&String], sql: &mut Sql) {
    sql.push(expression);
    sql.push(" IN (");
    for (i, text) in texts.iter().enumerate() {
        sql.push(if i > 0 { ", " } else { "" });
        sql.bind(Value::Text((*text).clone()));
    }
    sql.push(")");
}

#[cfg(test)]
#[path = "members_tests.rs"]
mod tests;
