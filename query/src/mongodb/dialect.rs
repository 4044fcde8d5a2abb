//! From predicates to what MongoDB's `find` is asked.
//!
//! What must stay true: pure; a filter matches a document exactly where SQL says TRUE. SQL has three truth values and MongoDB two, so that a
//! condition is written in two ways, by what makes it true and by what makes it false, and NOT exchanges them; a field that is missing
//! or null makes a comparison neither. Values of other types are never compared, text is compared by its bytes. What is asked of
//! partition and seq is left to the ranges of keys that `questions` puts beside the filter. Of members of JSON alone a filter matches more
//! documents than it should (`members`): those with a text beside, whose texts a reader judges, and where it is not exact, others too.

use ::mongodb::bson::{Bson, Document, doc};

use super::columns::Table;
use super::members;
use crate::predicate::{Op, Predicate, Truth, Value, after_all_that_begin_with};
use crate::table::Support;

/// Most values of one condition: a late one has as many.
const MAX_VALUES: usize = 4_000;
/// Deepest condition: MongoDB nests at most a hundred deep, and each of ours takes two.
const MAX_DEPTH: usize = 20;
/// Most members of one condition.
const MAX_MEMBERS: usize = 200;
/// Longest text that is searched for.
const MAX_PATTERN: usize = 1_000;

/// How well MongoDB answers a predicate.
pub(super) fn support(table: &Table, predicate: &Predicate) -> Support {
    let mut members = Vec::new();
    unfold(predicate, &mut members);
    let asked = members.len() <= MAX_MEMBERS && predicate.may_be_wide() && members.iter().all(|member| table.keys.cover(member) || can_be_asked(table, member, 0));
    if !asked {
        return Support::No;
    }
    if members.iter().all(|member| is_exact(table, member)) { Support::Exact } else { Support::Inexact }
}

fn is_exact(table: &Table, predicate: &Predicate) -> bool {
    match predicate {
        Predicate::Member { column, path, test } => table.sources.get(*column).is_some_and(|source| members::is_exact(*source, path, test)),
        // For a text that is judged later, it would have to be known whether the other conditions hold.
        other => !other.has_member(),
    }
}

fn can_be_asked(table: &Table, predicate: &Predicate, depth: usize) -> bool {
    let field = |column: &usize| path(table, *column).is_some();
    let plain = |value: &Value| !matches!(value, Value::Float(_));
    match predicate {
        Predicate::Compare { column, value, .. } => field(column) && plain(value),
        Predicate::In { column, values } => field(column) && values.len() <= MAX_VALUES && values.iter().all(plain),
        Predicate::Null { column } | Predicate::StartsWith { column, .. } => field(column),
        Predicate::Contains { column, text } => field(column) && text.len() <= MAX_PATTERN && !text.contains('\0'),
        Predicate::Flag { .. } | Predicate::Match { .. } => false,
        Predicate::Member { column, path, test } => table.sources.get(*column).is_some_and(|source| members::filter(*source, path, test).is_some()),
        Predicate::And(members) | Predicate::Or(members) => {
            depth < MAX_DEPTH && members.len() <= MAX_MEMBERS && members.iter().all(|member| can_be_asked(table, member, depth + 1))
        }
        Predicate::Not(inner) | Predicate::Is { inner, .. } => depth < MAX_DEPTH && can_be_asked(table, inner, depth + 1),
    }
}

/// The members of a conjunction, nested ones unfolded.
fn unfold<'a>(predicate: &'a Predicate, out: &mut Vec<&'a Predicate>) {
    match predicate {
        Predicate::And(members) => members.iter().for_each(|member| unfold(member, out)),
        other => out.push(other),
    }
}

fn path(table: &Table, column: usize) -> Option<&'static str> {
    table.sources.get(column).and_then(|source| source.path())
}

/// What is asked, taken apart.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    /// Conditions on the key.
    pub(super) keyed: Vec<&'a Predicate>,
    /// All else.
    pub(super) filter: Document,
    /// Whether it names the transactions, of which the index knows where they are.
    pub(super) by_transaction: bool,
    /// Of all else, the conditions on members: what a text says that is kept beside a document is to be judged by them.
    pub(super) members: Vec<&'a Predicate>,
}

/// Takes conditions apart, all of which must hold. Nothing where MongoDB cannot be asked, which [`support`] has said before.
pub(super) fn taken_apart<'a>(table: &Table, predicates: impl Iterator<Item = &'a Predicate>) -> Option<Asked<'a>> {
    let mut members = Vec::new();
    predicates.for_each(|predicate| unfold(predicate, &mut members));
    let (mut keyed, mut filters, mut by_transaction, mut of_json) = (Vec::new(), Vec::new(), false, Vec::new());
    for member in members {
        if table.keys.cover(member) {
            keyed.push(member);
            continue;
        }
        if let Predicate::Member { .. } = member {
            of_json.push(member);
        }
        if let Predicate::Compare { column, op: Op::Eq, .. } | Predicate::In { column, .. } = member {
            by_transaction |= table.shape.is_unique(*column);
        }
        filters.push(holds(table, member)?);
    }
    Some(Asked { keyed, filter: all(filters), by_transaction, members: of_json })
}

/// What makes it true.
fn holds(table: &Table, predicate: &Predicate) -> Option<Document> {
    Some(match predicate {
        Predicate::Compare { column, op, value } => compared(path(table, *column)?, *op, value),
        Predicate::In { column, values } => one(path(table, *column)?, doc! { "$in": values.iter().map(bson).collect::<Vec<_>>() }),
        Predicate::Null { column } => one(path(table, *column)?, doc! { "$eq": Bson::Null }),
        Predicate::StartsWith { column, text } => match after_all_that_begin_with(text) {
            Some(next) => one(path(table, *column)?, doc! { "$gte": text, "$lt": next }),
            None => one(path(table, *column)?, doc! { "$gte": text }),
        },
        Predicate::Contains { column, text } => one(path(table, *column)?, doc! { "$regex": pattern(text) }),
        Predicate::Member { column, path, test } => members::filter(*table.sources.get(*column)?, path, test)?,
        Predicate::Flag { .. } | Predicate::Match { .. } => return None,
        Predicate::And(members) => all(each(members, |member| holds(table, member))?),
        Predicate::Or(members) => any(each(members, |member| holds(table, member))?),
        Predicate::Not(inner) => fails(table, inner)?,
        Predicate::Is { inner, truth: Truth::True } => holds(table, inner)?,
        Predicate::Is { inner, truth: Truth::False } => fails(table, inner)?,
        Predicate::Is { inner, truth: Truth::Unknown } => none_of(vec![holds(table, inner)?, fails(table, inner)?]),
    })
}

/// What makes it false.
fn fails(table: &Table, predicate: &Predicate) -> Option<Document> {
    Some(match predicate {
        Predicate::Compare { column, op, value } => compared(path(table, *column)?, op.negated(), value),
        Predicate::In { column, values } => one(path(table, *column)?, doc! { "$nin": values.iter().map(bson).chain([Bson::Null]).collect::<Vec<_>>() }),
        Predicate::Null { column } => one(path(table, *column)?, doc! { "$ne": Bson::Null }),
        Predicate::StartsWith { column, text } => {
            let path = path(table, *column)?;
            let after = after_all_that_begin_with(text).map(|next| one(path, doc! { "$gte": next }));
            any(std::iter::once(one(path, doc! { "$lt": text })).chain(after).collect())
        }
        Predicate::Contains { column, text } => one(path(table, *column)?, doc! { "$not": { "$regex": pattern(text) }, "$ne": Bson::Null }),
        Predicate::Flag { .. } | Predicate::Match { .. } | Predicate::Member { .. } => return None,
        Predicate::And(members) => any(each(members, |member| fails(table, member))?),
        Predicate::Or(members) => all(each(members, |member| fails(table, member))?),
        Predicate::Not(inner) => holds(table, inner)?,
        Predicate::Is { inner, truth: Truth::True } => none_of(vec![holds(table, inner)?]),
        Predicate::Is { inner, truth: Truth::False } => none_of(vec![fails(table, inner)?]),
        Predicate::Is { inner, truth: Truth::Unknown } => any(vec![holds(table, inner)?, fails(table, inner)?]),
    })
}

fn each(members: &[Predicate], write: impl Fn(&Predicate) -> Option<Document>) -> Option<Vec<Document>> {
    members.iter().map(write).collect()
}

fn one(path: &str, condition: Document) -> Document {
    doc! { path: condition }
}

fn compared(path: &str, op: Op, value: &Value) -> Document {
    let value = bson(value);
    one(
        path,
        match op {
            Op::Eq => doc! { "$eq": value },
            // Without the null it would match what has no such field.
            Op::NotEq => doc! { "$nin": [value, Bson::Null] },
            Op::Lt => doc! { "$lt": value },
            Op::LtEq => doc! { "$lte": value },
            Op::Gt => doc! { "$gt": value },
            Op::GtEq => doc! { "$gte": value },
        },
    )
}

fn bson(value: &Value) -> Bson {
    match value {
        Value::Int(value) => Bson::Int64(*value),
        Value::Float(value) => Bson::Double(*value),
        Value::Text(text) => Bson::String(text.clone()),
    }
}

/// What matches all of them.
pub(super) fn all(mut filters: Vec<Document>) -> Document {
    if filters.len() > 1 {
        doc! { "$and": filters }
    } else {
        filters.pop().unwrap_or_default()
    }
}

/// What matches one of them.
pub(super) fn any(mut filters: Vec<Document>) -> Document {
    if filters.len() > 1 {
        doc! { "$or": filters }
    } else {
        filters.pop().unwrap_or_else(|| doc! { "_id": { "$in": [] } })
    }
}

/// What matches none of them.
pub(super) fn none_of(filters: Vec<Document>) -> Document {
    doc! { "$nor": filters }
}

/// A regular expression that finds this text: letters and digits as they are, so that nothing else can mean something.
fn pattern(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut pattern, c| {
        if c.is_ascii_alphanumeric() || !c.is_ascii() {
            pattern.push(c);
        } else {
            pattern.push_str(&format!("\\x{{{:02X}}}", u32::from(c)));
        }
        pattern
    })
}

#[cfg(test)]
#[path = "dialect_tests.rs"]
mod tests;
