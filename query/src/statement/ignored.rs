//! Clauses that the planner takes and does not obey, though they change what is answered.
//!
//! What must stay true: pure; each is refused by its name, so that nobody takes rows for an answer that are none. The one collation that there is
//! may be named, as clients of PostgreSQL do.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, ObjectName, Query, Select, SetExpr, SetOperator, SetQuantifier, TableFactor, TopQuantity, Visit, Visitor};

use super::{forms, windows};
use crate::errors::QueryError;
use crate::fulltext::idents;

/// Names of the collation by code points, in small letters.
const COLLATIONS: [&str; 6] = ["default", "c", "posix", "ucs_basic", "c.utf-8", "c.utf8"];

/// Refuses a statement in which there is one.
pub(super) fn check<T: Visit>(statement: &T) -> Result<(), QueryError> {
    match statement.visit(&mut Ignored) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(fault) => Err(fault),
    }
}

fn refused(message: impl Into<String>, hint: &str) -> ControlFlow<QueryError> {
    ControlFlow::Break(QueryError::Refused { message: message.into(), hint: Some(hint.to_owned()) })
}

struct Ignored;

impl Visitor for Ignored {
    type Break = QueryError;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<QueryError> {
        if let Some(lock) = query.locks.first() {
            return refused(format!("{lock} is not supported: nothing is written here, so that nothing is locked"), "leave it out");
        }
        sets(&query.body)
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<QueryError> {
        if let Some(top) = &select.top {
            let rows = match &top.quantity {
                Some(TopQuantity::Constant(rows)) => rows.to_string(),
                _ => "5".to_owned(),
            };
            return refused("TOP is not supported", &format!("write LIMIT {rows} at the end of the query"));
        }
        windows::check(select)
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<QueryError> {
        match factor {
            TableFactor::Table { sample: Some(_), .. } | TableFactor::Derived { sample: Some(_), .. } => {
                refused("TABLESAMPLE is not supported", "WHERE random() < 0.1 keeps about a tenth of the rows")
            }
            TableFactor::Table { with_ordinality: true, .. } | TableFactor::Function { with_ordinality: true, .. } | TableFactor::UNNEST { with_ordinality: true, .. } => {
                refused("WITH ORDINALITY is not supported", "number the rows in the select list: row_number() OVER ()")
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &SqlExpr) -> ControlFlow<QueryError> {
        match expr {
            SqlExpr::Collate { collation, .. } if !is_by_code_points(collation) => {
                refused(format!("there is no collation {collation}: text is compared by its code points"), "leave COLLATE out, or sort by lower(…)")
            }
            SqlExpr::SimilarTo { .. } if forms::untranslated(expr) => {
                refused("SIMILAR TO takes a pattern of SQL that is written in the statement", "compare with a regular expression: text ~ '^(…)$'")
            }
            SqlExpr::Function(function) => match forms::unknown_pattern(function) {
                Some(pattern) => refused(format!("not all of the pattern '{pattern}' is known to to_char"), "write it in the signs of strftime: to_char(timestamp, '%A %d %B')"),
                None => ControlFlow::Continue(()),
            },
            _ => ControlFlow::Continue(()),
        }
    }
}

/// INTERSECT ALL and EXCEPT ALL count how often each row is there, which the planner does not: it keeps all that the other side has, or none.
fn sets(body: &SetExpr) -> ControlFlow<QueryError> {
    let SetExpr::SetOperation { left, op, set_quantifier, right } = body else { return ControlFlow::Continue(()) };
    if *op != SetOperator::Union && matches!(set_quantifier, SetQuantifier::All | SetQuantifier::AllByName) {
        return refused(format!("{op} ALL is not supported"), "without ALL each row is there once; or number equal rows by row_number()");
    }
    sets(left)?;
    sets(right)
}

fn is_by_code_points(collation: &ObjectName) -> bool {
    idents(collation).and_then(|mut parts| parts.pop()).is_some_and(|name| COLLATIONS.contains(&name.to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use crate::statement::read;

    #[test]
    fn what_would_be_ignored_is_refused() {
        for (sql, word) in [
            ("SELECT * FROM transactions TABLESAMPLE SYSTEM (10)", "TABLESAMPLE"),
            ("SELECT count(*) FROM (SELECT 1 INTERSECT ALL SELECT 1) AS t", "INTERSECT ALL"),
            ("WITH t AS (SELECT 1 UNION SELECT 2 EXCEPT ALL SELECT 3) SELECT * FROM t", "EXCEPT ALL"),
            ("SELECT user_id FROM transactions ORDER BY user_id COLLATE \"de_DE\"", "de_DE"),
            ("SELECT user_id FROM transactions LIMIT 1 FOR UPDATE", "FOR UPDATE"),
            ("SELECT TOP 5 * FROM transactions", "TOP"),
            ("SELECT to_char(timestamp, 'Day') FROM transactions", "'Day'"),
            ("SELECT * FROM unnest(ARRAY[1]) WITH ORDINALITY AS t (a, b)", "WITH ORDINALITY"),
            ("SELECT * FROM transactions WHERE user_id SIMILAR TO description", "SIMILAR TO"),
            ("EXPLAIN SELECT user_id COLLATE \"en-x-icu\" FROM transactions", "en-x-icu"),
        ] {
            let error = read(sql).unwrap_err();
            assert!(error.sqlstate() == "0A000" && error.headline().contains(word), "{sql}: {error}");
        }
    }

    #[test]
    fn what_is_obeyed_is_taken() {
        for sql in [
            "SELECT 1 UNION ALL SELECT 1 INTERSECT SELECT 1 EXCEPT SELECT 2",
            "SELECT relname FROM pg_class WHERE relname OPERATOR(pg_catalog.~) '^(t)$' COLLATE pg_catalog.default",
            "SELECT user_id FROM transactions ORDER BY user_id COLLATE \"C\"",
            "SELECT to_char(timestamp, 'YYYY-MM-DD HH24:MI'), to_char(timestamp, '%A'), to_char(timestamp, $1) FROM transactions",
        ] {
            assert!(read(sql).is_ok(), "{sql}");
        }
    }
}
