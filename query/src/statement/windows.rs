//! Functions of windows where there are no windows yet: in WHERE, GROUP BY and HAVING.
//!
//! What must stay true: pure; what is in a subquery there has clauses of its own, and is looked at in its turn.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, GroupByExpr, ObjectNamePart, Query, Select, Visit, Visitor};

use crate::errors::QueryError;

/// Refuses a SELECT in which there is one.
pub(super) fn check(select: &Select) -> ControlFlow<QueryError> {
    if let Some(condition) = &select.selection {
        condition.visit(&mut Clause { name: "WHERE", depth: 0 })?;
    }
    if let GroupByExpr::Expressions(groups, _) = &select.group_by {
        groups.visit(&mut Clause { name: "GROUP BY", depth: 0 })?;
    }
    if let Some(condition) = &select.having {
        condition.visit(&mut Clause { name: "HAVING", depth: 0 })?;
    }
    ControlFlow::Continue(())
}

struct Clause {
    name: &'static str,
    /// Of queries inside.
    depth: usize,
}

impl Visitor for Clause {
    type Break = QueryError;

    fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<QueryError> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<QueryError> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &SqlExpr) -> ControlFlow<QueryError> {
        let SqlExpr::Function(function) = expr else { return ControlFlow::Continue(()) };
        if self.depth > 0 || function.over.is_none() {
            return ControlFlow::Continue(());
        }
        let start = match function.name.0.first() {
            Some(ObjectNamePart::Identifier(ident)) if ident.span.start.line > 0 => Some(ident.span.start),
            _ => None,
        };
        ControlFlow::Break(QueryError::Invalid {
            message: format!("window functions are not allowed in {}", self.name),
            line: start.map(|start| start.line),
            column: start.map(|start| start.column),
            hint: Some("compute it in a subquery: SELECT * FROM (SELECT …, rank() OVER (…) AS place FROM …) AS t WHERE place < 3".to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::statement::read;

    #[test]
    fn a_window_in_a_condition_is_told() {
        let error = read("SELECT user_id FROM transactions\nWHERE rank() OVER (ORDER BY amount) < 3").unwrap_err();
        assert_eq!((error.headline().as_str(), error.sqlstate()), ("window functions are not allowed in WHERE", "42P20"));
        assert!(error.to_string().starts_with("line 2, column 7: "), "{error}");
        for sql in ["SELECT count(*) FROM t GROUP BY row_number() OVER ()", "SELECT a FROM t GROUP BY a HAVING rank() OVER (ORDER BY a) < 3"] {
            assert_eq!(read(sql).unwrap_err().sqlstate(), "42P20", "{sql}");
        }
    }

    #[test]
    fn elsewhere_it_is_taken() {
        for sql in [
            "SELECT * FROM (SELECT a, rank() OVER (ORDER BY a) AS place FROM t) AS u WHERE place < 3",
            "SELECT a FROM t WHERE a IN (SELECT first_value(a) OVER (ORDER BY b) FROM t)",
            "SELECT a FROM t QUALIFY rank() OVER (ORDER BY a) < 3",
        ] {
            assert!(read(sql).is_ok(), "{sql}");
        }
    }
}
