//! From predicates to Tantivy's queries.
//!
//! What must stay true: every document has every field, so that conditions have two truth values here and mean what SQL
//! means; `match` looks in its own column only; only what `match` finds has a relevance.

use std::ops::Bound;

use ::tantivy::query::{AllQuery, BooleanQuery, ConstScoreQuery, EmptyQuery, Occur, Query, QueryParser, QueryParserError, RangeQuery, TermQuery, TermSetQuery};
use ::tantivy::schema::{Field, IndexRecordOption};
use ::tantivy::{Index, TantivyError, Term};
use arrow::datatypes::Schema;

use crate::errors::QueryError;
use crate::fulltext::{Misuse, misplaced};
use crate::predicate::{Op, Predicate, Truth, Value};
use crate::search::{Kind, MAX_QUERY, fault, kind, parsed};
use crate::table::Support;

/// Longest whole value that the index holds.
const MAX_TERM: usize = 60_000;

/// How well the index answers a predicate; an error for a `match` that it can never answer.
pub(crate) fn support(schema: &Schema, predicate: &Predicate) -> Result<Support, QueryError> {
    let whole = |value: &Value| matches!(value, Value::Text(text) if text.len() < MAX_TERM);
    // A text has all the words of the text that it equals; that it has no others is checked above.
    if let Predicate::Compare { column, op: Op::Eq, value: Value::Text(text) } = predicate
        && kind(schema, *column) == Kind::Analysed
    {
        return Ok(if text.len() <= MAX_QUERY { Support::Inexact } else { Support::No });
    }
    let exact = match predicate {
        Predicate::Compare { column, op, value } => match kind(schema, *column) {
            Kind::Number => matches!(value, Value::Int(_)),
            Kind::Whole => matches!(op, Op::Eq | Op::NotEq) && whole(value),
            _ => false,
        },
        Predicate::In { column, values } => match kind(schema, *column) {
            Kind::Number => values.iter().all(|value| matches!(value, Value::Int(_))),
            Kind::Whole => values.iter().all(whole),
            _ => false,
        },
        Predicate::Match { column, query } => {
            if kind(schema, *column) != Kind::Analysed {
                return Err(misplaced(Misuse::Column));
            }
            parsed(query)?;
            true
        }
        Predicate::And(members) | Predicate::Or(members) => {
            let mut all = members.len() <= 200;
            for member in members {
                all &= support(schema, member)? == Support::Exact;
            }
            all
        }
        Predicate::Not(inner) | Predicate::Is { inner, .. } => support(schema, inner)? == Support::Exact,
        Predicate::Null { .. } | Predicate::Flag { .. } | Predicate::StartsWith { .. } | Predicate::Contains { .. } | Predicate::Member { .. } => false,
    };
    Ok(if exact { Support::Exact } else { Support::No })
}

/// The query for all of `predicates`.
pub(crate) fn query(schema: &Schema, predicates: &[Predicate], index: &Index) -> Result<Box<dyn Query>, QueryError> {
    let build = Build { schema, index };
    match predicates {
        [] => Ok(Box::new(AllQuery)),
        [one] => build.query(one),
        all => Ok(Box::new(BooleanQuery::intersection(build.all(all)?))),
    }
}

struct Build<'a> {
    schema: &'a Schema,
    index: &'a Index,
}

impl Build<'_> {
    fn field(&self, column: usize) -> Result<Field, QueryError> {
        let name = self.schema.field(column).name();
        self.index.schema().get_field(name).map_err(|_: TantivyError| QueryError::Store {
            role: "search",
            message: format!("the index has no field {name}"),
            remedy: "another version wrote it: rebuild it by `wardhouse replay`".to_owned(),
        })
    }

    fn term(&self, column: usize, value: &Value) -> Result<Term, QueryError> {
        let field = self.field(column)?;
        match value {
            Value::Int(value) => Ok(Term::from_field_i64(field, *value)),
            Value::Text(text) => Ok(Term::from_field_text(field, text)),
            Value::Float(_) => Err(QueryError::internal("the index has no real numbers")),
        }
    }

    /// The documents whose analysed text has every word of `text`.
    fn words(&self, column: usize, text: &str) -> Result<Box<dyn Query>, QueryError> {
        let field = self.field(column)?;
        let mut analyzer = self.index.tokenizer_for_field(field).map_err(QueryError::internal)?;
        let mut words: Vec<Box<dyn Query>> = Vec::new();
        let mut stream = analyzer.token_stream(text);
        while stream.advance() {
            words.push(Box::new(TermQuery::new(Term::from_field_text(field, &stream.token().text), IndexRecordOption::Basic)));
        }
        if words.is_empty() { Ok(Box::new(AllQuery)) } else { Ok(Box::new(BooleanQuery::intersection(words))) }
    }

    fn all(&self, predicates: &[Predicate]) -> Result<Vec<Box<dyn Query>>, QueryError> {
        predicates.iter().map(|predicate| self.query(predicate)).collect()
    }

    fn query(&self, predicate: &Predicate) -> Result<Box<dyn Query>, QueryError> {
        Ok(match predicate {
            Predicate::Compare { column, value: Value::Text(text), .. } if kind(self.schema, *column) == Kind::Analysed => unscored(self.words(*column, text)?),
            Predicate::Compare { column, op, value } => {
                let term = self.term(*column, value)?;
                match op {
                    Op::Eq => unscored(Box::new(TermQuery::new(term, IndexRecordOption::Basic))),
                    Op::NotEq => without(Box::new(TermQuery::new(term, IndexRecordOption::Basic))),
                    Op::Lt => unscored(Box::new(RangeQuery::new(Bound::Unbounded, Bound::Excluded(term)))),
                    Op::LtEq => unscored(Box::new(RangeQuery::new(Bound::Unbounded, Bound::Included(term)))),
                    Op::Gt => unscored(Box::new(RangeQuery::new(Bound::Excluded(term), Bound::Unbounded))),
                    Op::GtEq => unscored(Box::new(RangeQuery::new(Bound::Included(term), Bound::Unbounded))),
                }
            }
            Predicate::In { column, values } => {
                let terms = values.iter().map(|value| self.term(*column, value)).collect::<Result<Vec<_>, _>>()?;
                unscored(Box::new(TermSetQuery::new(terms)))
            }
            Predicate::Match { column, query } => {
                let mut parser = QueryParser::for_index(self.index, vec![self.field(*column)?]);
                parser.set_conjunction_by_default();
                let said = |error: QueryParserError| fault(query, error.to_string(), None);
                parser.build_query_from_user_input_ast(parsed(query)?).map_err(said)?
            }
            Predicate::And(members) if members.is_empty() => unscored(Box::new(AllQuery)),
            Predicate::Or(members) if members.is_empty() => Box::new(EmptyQuery),
            Predicate::And(members) => Box::new(BooleanQuery::intersection(self.all(members)?)),
            Predicate::Or(members) => Box::new(BooleanQuery::union(self.all(members)?)),
            Predicate::Not(inner) | Predicate::Is { inner, truth: Truth::False } => without(self.query(inner)?),
            Predicate::Is { inner, truth: Truth::True } => self.query(inner)?,
            Predicate::Is { truth: Truth::Unknown, .. } => Box::new(EmptyQuery),
            Predicate::Null { .. } | Predicate::Flag { .. } | Predicate::StartsWith { .. } | Predicate::Contains { .. } | Predicate::Member { .. } => {
                return Err(QueryError::internal("the index was asked what it cannot answer"));
            }
        })
    }
}

fn unscored(query: Box<dyn Query>) -> Box<dyn Query> {
    Box::new(ConstScoreQuery::new(query, 0.0))
}

fn without(query: Box<dyn Query>) -> Box<dyn Query> {
    let all: Box<dyn Query> = Box::new(AllQuery);
    unscored(Box::new(BooleanQuery::new(vec![(Occur::Must, all), (Occur::MustNot, query)])))
}

/// The query as its users would write it, for EXPLAIN.
pub(crate) fn text(schema: &Schema, predicates: &[Predicate]) -> String {
    if predicates.is_empty() {
        return "*".to_owned();
    }
    let members: Vec<String> = predicates.iter().map(|predicate| format!("+{}", one(schema, predicate))).collect();
    members.join(" ")
}

fn one(schema: &Schema, predicate: &Predicate) -> String {
    let name = |column: usize| schema.field(column).name().as_str();
    let said = |value: &Value| match value {
        Value::Text(text) => format!("{text:?}"),
        other => other.to_string(),
    };
    let joined = |members: &[Predicate], sign: &str| members.iter().map(|member| format!("{sign}{}", one(schema, member))).collect::<Vec<_>>().join(" ");
    match predicate {
        Predicate::Compare { column, op, value } => {
            let (name, value) = (name(*column), said(value));
            match op {
                Op::Eq => format!("{name}:{value}"),
                Op::NotEq => format!("(* -{name}:{value})"),
                Op::Lt => format!("{name}:{{* TO {value}}}"),
                Op::LtEq => format!("{name}:[* TO {value}]"),
                Op::Gt => format!("{name}:{{{value} TO *}}"),
                Op::GtEq => format!("{name}:[{value} TO *]"),
            }
        }
        Predicate::In { column, values } => format!("{}: IN [{}]", name(*column), values.iter().map(said).collect::<Vec<_>>().join(" ")),
        Predicate::Match { column, query } => format!("{}:({query})", name(*column)),
        Predicate::And(members) if members.is_empty() => "*".to_owned(),
        Predicate::Or(members) if members.is_empty() => "(* -*)".to_owned(),
        Predicate::And(members) => format!("({})", joined(members, "+")),
        Predicate::Or(members) => format!("({})", joined(members, "")),
        Predicate::Not(inner) | Predicate::Is { inner, truth: Truth::False } => format!("(* -{})", one(schema, inner)),
        Predicate::Is { inner, truth: Truth::True } => one(schema, inner),
        _ => "(* -*)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_asked_is_told_by_column() {
        let schema = wh_schemas::arrow::alerts();
        let column = |name: &str| schema.index_of(name).unwrap();
        let compare = |name: &str, op, value| Predicate::Compare { column: column(name), op, value };
        let told = |predicate: &Predicate| support(&schema, predicate).unwrap();
        assert_eq!(told(&compare("risk_score", Op::GtEq, Value::Int(70))), Support::Exact);
        assert_eq!(told(&compare("created_at", Op::Lt, Value::Int(7))), Support::Exact);
        assert_eq!(told(&compare("user_id", Op::Eq, Value::Text("u".into()))), Support::Exact);
        assert_eq!(told(&compare("user_id", Op::Lt, Value::Text("u".into()))), Support::No);
        assert_eq!(told(&compare("title", Op::Eq, Value::Text("u".into()))), Support::Inexact);
        assert_eq!(told(&compare("title", Op::Eq, Value::Text("u".into())).negated()), Support::No);
        assert_eq!(told(&compare("title", Op::Gt, Value::Text("u".into()))), Support::No);
        assert_eq!(told(&compare("_score", Op::Gt, Value::Float(1.0))), Support::No);
        assert_eq!(told(&Predicate::Match { column: column("message"), query: "x".into() }), Support::Exact);
        assert!(support(&schema, &Predicate::Match { column: column("user_id"), query: "x".into() }).is_err());
        assert!(support(&schema, &Predicate::Match { column: column("message"), query: "(x".into() }.negated()).is_err());
    }

    #[test]
    fn queries_are_shown_in_the_indexs_own_words() {
        let schema = wh_schemas::arrow::alerts();
        let column = |name: &str| schema.index_of(name).unwrap();
        let predicates = [
            Predicate::Match { column: column("message"), query: "refund AND night".into() },
            Predicate::Compare { column: column("risk_score"), op: Op::Gt, value: Value::Int(80) },
            Predicate::Compare { column: column("severity"), op: Op::NotEq, value: Value::Text("high".into()) },
        ];
        assert_eq!(text(&schema, &predicates), "+message:(refund AND night) +risk_score:{80 TO *} +(* -severity:\"high\")");
        assert_eq!(text(&schema, &[]), "*");
    }
}
