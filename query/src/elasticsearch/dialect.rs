//! From predicates to Elasticsearch's query language.
//!
//! What must stay true: pure; values are members of JSON, never written into a text; every alert has every field, so that conditions have two
//! truth values here and mean what SQL means; text is whole and compared by the bytes of its UTF-8, numbers are of 64 bits; only what `match`
//! finds has a relevance. Whatever is asked is asked below the published positions: rows above them may be there, and are nobody's yet.

use arrow::datatypes::Schema;
use serde_json::{Value as Json, json};

use super::matching::{depth, matching};
use crate::errors::QueryError;
use crate::fulltext::{Misuse, misplaced};
use crate::predicate::{Op, Predicate, Truth, Value};
use crate::search::{Kind, kind};
use crate::table::{Order, Request, Support};

/// Longest text of a condition: the server indexes at most 32,766 bytes as one term.
const MAX_TERM: usize = 32_766;
/// Longest text of which the words are looked up.
const MAX_WORDS: usize = 1_000;
/// Most values of one list: the server's own bound.
const MAX_VALUES: usize = 65_536;
/// Most members of one condition.
const MAX_MEMBERS: usize = 200;
/// Deepest condition: the server takes 30 levels, of which some are around it.
const MAX_DEPTH: usize = 28;

/// How well the server answers a predicate; an error for a `match` that it can never answer.
pub(super) fn support(schema: &Schema, predicate: &Predicate) -> Result<Support, QueryError> {
    // A text has all the words of the text that it equals; that it has no others is checked above.
    if let Predicate::Compare { column, op: Op::Eq, value: Value::Text(text) } = predicate
        && kind(schema, *column) == Kind::Analysed
    {
        return Ok(if text.len() <= MAX_WORDS { Support::Inexact } else { Support::No });
    }
    if is_exact(schema, predicate)? {
        return Ok(if depth(&scored(schema, predicate)?) <= MAX_DEPTH { Support::Exact } else { Support::No });
    }
    // What is wrong with a query is told wherever it stands.
    readable(schema, predicate)?;
    Ok(Support::No)
}

/// An error for a query of a `match` that cannot be read.
fn readable(schema: &Schema, predicate: &Predicate) -> Result<(), QueryError> {
    match predicate {
        Predicate::Match { column, query } => matching(name(schema, *column), query).map(drop),
        Predicate::And(members) | Predicate::Or(members) => members.iter().try_for_each(|member| readable(schema, member)),
        Predicate::Not(inner) | Predicate::Is { inner, .. } => readable(schema, inner),
        _ => Ok(()),
    }
}

/// Whether the server is asked, but for how deep it is. The queries of a `match` are not read.
fn is_exact(schema: &Schema, predicate: &Predicate) -> Result<bool, QueryError> {
    let fits = |column: usize, value: &Value| match (kind(schema, column), value) {
        (Kind::Number, Value::Int(_)) => true,
        (Kind::Whole, Value::Text(text)) => text.len() < MAX_TERM,
        _ => false,
    };
    Ok(match predicate {
        Predicate::Compare { column, value, .. } => fits(*column, value),
        Predicate::In { column, values } => values.len() <= MAX_VALUES && values.iter().all(|value| fits(*column, value)),
        Predicate::StartsWith { column, text } => kind(schema, *column) == Kind::Whole && text.len() < MAX_TERM,
        Predicate::Match { column, .. } if kind(schema, *column) != Kind::Analysed => return Err(misplaced(Misuse::Column)),
        Predicate::Match { .. } => true,
        Predicate::And(members) | Predicate::Or(members) => {
            let mut all = members.len() <= MAX_MEMBERS;
            for member in members {
                all &= is_exact(schema, member)?;
            }
            all
        }
        Predicate::Not(inner) | Predicate::Is { inner, .. } => is_exact(schema, inner)?,
        Predicate::Null { .. } | Predicate::Flag { .. } | Predicate::Contains { .. } | Predicate::Member { .. } => false,
    })
}

/// Whether the server sorts by these columns: it has all but the texts in columns of their own, and relevance.
pub(super) fn sorts(schema: &Schema, order: &[Order]) -> bool {
    order.iter().all(|by| matches!(kind(schema, by.column), Kind::Number | Kind::Whole | Kind::Computed))
}

fn name(schema: &Schema, column: usize) -> &str {
    schema.field(column).name()
}

fn json_of(value: &Value) -> Json {
    match value {
        Value::Int(value) => json!(value),
        Value::Float(value) => json!(value),
        Value::Text(text) => json!(text),
    }
}

/// What a predicate asks, without relevance.
fn plain(schema: &Schema, predicate: &Predicate) -> Result<Json, QueryError> {
    let all = |members: &[Predicate]| members.iter().map(|member| plain(schema, member)).collect::<Result<Vec<_>, _>>();
    let without = |inner: Json| json!({ "bool": { "must_not": [inner] } });
    Ok(match predicate {
        Predicate::Compare { column, value: Value::Text(text), .. } if kind(schema, *column) == Kind::Analysed => {
            json!({ "match": { name(schema, *column): { "query": text, "operator": "and", "zero_terms_query": "all" } } })
        }
        Predicate::Compare { column, op, value } => {
            let (name, value) = (name(schema, *column), json_of(value));
            match op {
                Op::Eq => json!({ "term": { name: { "value": value } } }),
                Op::NotEq => without(json!({ "term": { name: { "value": value } } })),
                Op::Lt => json!({ "range": { name: { "lt": value } } }),
                Op::LtEq => json!({ "range": { name: { "lte": value } } }),
                Op::Gt => json!({ "range": { name: { "gt": value } } }),
                Op::GtEq => json!({ "range": { name: { "gte": value } } }),
            }
        }
        Predicate::In { column, values } => json!({ "terms": { name(schema, *column): values.iter().map(json_of).collect::<Vec<_>>() } }),
        Predicate::StartsWith { column, text } => json!({ "prefix": { name(schema, *column): { "value": text } } }),
        Predicate::Match { column, query } => matching(name(schema, *column), query)?,
        Predicate::And(members) if members.is_empty() => json!({ "match_all": {} }),
        Predicate::Or(members) if members.is_empty() => json!({ "match_none": {} }),
        Predicate::And(members) => json!({ "bool": { "filter": all(members)? } }),
        Predicate::Or(members) => json!({ "bool": { "should": all(members)?, "minimum_should_match": 1 } }),
        Predicate::Not(inner) | Predicate::Is { inner, truth: Truth::False } => without(plain(schema, inner)?),
        Predicate::Is { inner, truth: Truth::True } => plain(schema, inner)?,
        Predicate::Is { truth: Truth::Unknown, .. } => json!({ "match_none": {} }),
        Predicate::Null { .. } | Predicate::Flag { .. } | Predicate::Contains { .. } | Predicate::Member { .. } => {
            return Err(QueryError::internal("Elasticsearch was asked what it cannot answer"));
        }
    })
}

/// What a predicate asks, with the relevance of what `match` finds in it; all else has none.
fn scored(schema: &Schema, predicate: &Predicate) -> Result<Json, QueryError> {
    let all = |members: &[Predicate]| members.iter().map(|member| scored(schema, member)).collect::<Result<Vec<_>, _>>();
    Ok(match predicate {
        Predicate::Match { .. } => plain(schema, predicate)?,
        Predicate::And(members) if predicate.has_match() => json!({ "bool": { "must": all(members)? } }),
        Predicate::Or(members) if predicate.has_match() => json!({ "bool": { "should": all(members)?, "minimum_should_match": 1 } }),
        Predicate::Is { inner, truth: Truth::True } => scored(schema, inner)?,
        other => json!({ "constant_score": { "filter": plain(schema, other)?, "boost": 0 } }),
    })
}

/// Rows below the published positions: partition and first `seq` that is not seen.
fn visible(positions: &[(i64, i64)]) -> Json {
    if positions.is_empty() {
        return json!({ "match_none": {} });
    }
    let below = |(partition, next): &(i64, i64)| json!({ "bool": { "filter": [{ "term": { "partition": { "value": partition } } }, { "range": { "seq": { "lt": next } } }] } });
    json!({ "bool": { "should": positions.iter().map(below).collect::<Vec<_>>(), "minimum_should_match": 1 } })
}

/// Whether relevance is wanted, and there is any.
pub(super) fn is_scored(schema: &Schema, request: &Request, predicates: &[&Predicate]) -> bool {
    let wanted = request.projection.iter().copied().chain(request.order.iter().map(|by| by.column)).any(|column| kind(schema, column) == Kind::Computed);
    wanted && predicates.iter().any(|predicate| predicate.has_match())
}

/// The query for all of these, below these positions where they are known.
pub(super) fn query(schema: &Schema, predicates: &[&Predicate], is_scored: bool, positions: Option<&[(i64, i64)]>) -> Result<Json, QueryError> {
    let (mut must, mut filter) = (Vec::new(), Vec::new());
    for predicate in predicates {
        if is_scored && predicate.has_match() {
            must.push(scored(schema, predicate)?);
        } else {
            filter.push(plain(schema, predicate)?);
        }
    }
    filter.extend(positions.map(visible));
    Ok(match (must.is_empty(), filter.is_empty()) {
        (true, true) => json!({ "match_all": {} }),
        (true, false) => json!({ "bool": { "filter": filter } }),
        (false, true) => json!({ "bool": { "must": must } }),
        (false, false) => json!({ "bool": { "must": must, "filter": filter } }),
    })
}

/// The order in which rows come: as wanted, or as they lie in the index, which `any` names.
pub(super) fn order(schema: &Schema, order: &[Order], is_scored: bool, any: &str) -> Json {
    let by = |by: &Order| {
        let direction = if by.descending { "desc" } else { "asc" };
        match kind(schema, by.column) {
            Kind::Computed if is_scored => Some(json!({ "_score": { "order": direction } })),
            // It is NULL in every row.
            Kind::Computed => None,
            _ => Some(json!({ name(schema, by.column): { "order": direction, "missing": if by.nulls_first { "_first" } else { "_last" } } })),
        }
    };
    let keys: Vec<Json> = order.iter().filter_map(by).collect();
    if keys.is_empty() { json!([{ any: "asc" }]) } else { Json::Array(keys) }
}

/// The columns that are read of each document.
pub(super) fn source(schema: &Schema, request: &Request) -> Json {
    let names: Vec<&str> = request.projection.iter().filter(|column| kind(schema, **column) != Kind::Computed).map(|column| name(schema, *column)).collect();
    if names.is_empty() { json!(false) } else { json!(names) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str) -> usize {
        wh_schemas::arrow::alerts().index_of(name).unwrap()
    }

    fn compare(name: &str, op: Op, value: impl Into<Asked>) -> Predicate {
        Predicate::Compare { column: column(name), op, value: value.into().0 }
    }

    struct Asked(Value);

    impl From<i64> for Asked {
        fn from(value: i64) -> Self {
            Asked(Value::Int(value))
        }
    }

    impl From<&str> for Asked {
        fn from(text: &str) -> Self {
            Asked(Value::Text(text.to_owned()))
        }
    }

    fn asked(predicates: &[&Predicate], is_scored: bool) -> String {
        query(&wh_schemas::arrow::alerts(), predicates, is_scored, None).unwrap().to_string()
    }

    fn matched(query: &str) -> Predicate {
        Predicate::Match { column: column("message"), query: query.to_owned() }
    }

    #[test]
    fn what_can_be_asked_is_told_by_column() {
        let schema = wh_schemas::arrow::alerts();
        let told = |predicate: &Predicate| support(&schema, predicate).unwrap();
        assert_eq!(told(&compare("risk_score", Op::GtEq, 70_i64)), Support::Exact);
        assert_eq!(told(&compare("user_id", Op::Lt, "u")), Support::Exact);
        assert_eq!(told(&Predicate::StartsWith { column: column("user_id"), text: "u".into() }.negated()), Support::Exact);
        assert_eq!(told(&Predicate::Contains { column: column("user_id"), text: "u".into() }), Support::No);
        assert_eq!(told(&compare("title", Op::Eq, "u")), Support::Inexact);
        assert_eq!(told(&compare("title", Op::Eq, "u").negated()), Support::No);
        assert_eq!(told(&compare("title", Op::Gt, "u")), Support::No);
        assert_eq!(told(&compare("detection_rules", Op::Eq, "[]")), Support::No);
        assert_eq!(told(&compare("user_id", Op::Eq, "x".repeat(40_000).as_str())), Support::No);
        assert_eq!(told(&matched("x").negated()), Support::Exact);
        assert!(support(&schema, &Predicate::Match { column: column("user_id"), query: "x".into() }).is_err());
        assert!(support(&schema, &matched("(x").negated()).is_err());
        let tower = (0..40).fold(matched("x"), |inner, i| if i % 2 == 0 { Predicate::Or(vec![inner, compare("seq", Op::Eq, 1_i64)]) } else { inner.negated() });
        assert_eq!(told(&tower), Support::No);
    }

    #[test]
    fn conditions_are_said_in_json() {
        assert_eq!(asked(&[], false), r#"{"match_all":{}}"#);
        let (score, user) = (compare("risk_score", Op::Gt, 80_i64), compare("user_id", Op::NotEq, "it's \"u\""));
        assert_eq!(
            asked(&[&score, &user], false),
            r#"{"bool":{"filter":[{"range":{"risk_score":{"gt":80}}},{"bool":{"must_not":[{"term":{"user_id":{"value":"it's \"u\""}}}]}}]}}"#
        );
        let either = Predicate::Or(vec![compare("seq", Op::Eq, 5_i64), Predicate::In { column: column("severity"), values: vec![Value::Text("high".into())] }]);
        assert_eq!(
            asked(&[&either.clone().is(Truth::False)], false),
            r#"{"bool":{"filter":[{"bool":{"must_not":[{"bool":{"should":[{"term":{"seq":{"value":5}}},{"terms":{"severity":["high"]}}],"minimum_should_match":1}}]}}]}}"#
        );
        assert_eq!(asked(&[&either.is(Truth::Unknown)], false), r#"{"bool":{"filter":[{"match_none":{}}]}}"#);
    }

    #[test]
    fn only_what_match_finds_has_a_relevance() {
        let (found, score) = (matched("refund"), compare("risk_score", Op::Gt, 80_i64));
        assert_eq!(asked(&[&found, &score], true), r#"{"bool":{"must":[{"match_phrase":{"message":{"query":"refund","slop":0}}}],"filter":[{"range":{"risk_score":{"gt":80}}}]}}"#);
        let either = Predicate::Or(vec![found.clone(), score]);
        assert!(asked(&[&either], true).contains(r#"{"constant_score":{"filter":{"range":{"risk_score":{"gt":80}}},"boost":0}}"#));
        assert!(!asked(&[&found], false).contains("must"));
    }

    #[test]
    fn rows_above_the_positions_are_not_asked_for() {
        let schema = wh_schemas::arrow::alerts();
        let all = query(&schema, &[], false, Some(&[(0, 7), (2, 9)])).unwrap().to_string();
        assert!(all.contains(r#"{"bool":{"filter":[{"term":{"partition":{"value":2}}},{"range":{"seq":{"lt":9}}}]}}"#), "{all}");
        assert_eq!(query(&schema, &[], false, Some(&[])).unwrap().to_string(), r#"{"bool":{"filter":[{"match_none":{}}]}}"#);
    }

    #[test]
    fn columns_and_orders_are_named() {
        let schema = wh_schemas::arrow::alerts();
        let by = |name: &str, descending: bool| Order { column: column(name), descending, nulls_first: true };
        let request = Request { projection: vec![column("seq"), column("_score")], predicates: Vec::new(), order: vec![by("_score", true)], limit: None, parts: 1 };
        assert_eq!(source(&schema, &request).to_string(), r#"["seq"]"#);
        assert!(is_scored(&schema, &request, &[&matched("x")]) && !is_scored(&schema, &request, &[]));
        assert!(sorts(&schema, &request.order) && sorts(&schema, &[by("user_id", false)]) && !sorts(&schema, &[by("message", false)]));
        let keys = [by("_score", true), by("user_id", false)];
        assert_eq!(order(&schema, &keys, true, "_doc").to_string(), r#"[{"_score":{"order":"desc"}},{"user_id":{"order":"asc","missing":"_first"}}]"#);
        assert_eq!(order(&schema, &keys[..1], false, "_shard_doc").to_string(), r#"[{"_shard_doc":"asc"}]"#);
    }
}
