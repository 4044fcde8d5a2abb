//! What to write instead, where a statement names a column that there is not: a text in double quotes, a key of JSON without quotes, a table that is not in FROM.
//!
//! What must stay true: pure; only what is said changes, and only where the statement itself shows what was meant.

use std::ops::ControlFlow;

use datafusion::sql::parser::{ExplainStatement, Statement as DfStatement};
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr as SqlExpr, Ident, Query, TableFactor, Visit, Visitor};

use crate::errors::QueryError;
use crate::fulltext::idents;

/// The error with what the statement shows.
pub(crate) fn advised(error: QueryError, statement: &DfStatement) -> QueryError {
    let (name, nearest, line, column) = match error {
        QueryError::Unknown { what: "column", name, nearest, line, column } => (name, nearest, line, column),
        other => return other,
    };
    let mut seen = Seen::default();
    walk(statement, &mut seen);
    let unquoted = name.replace('"', "");
    if seen.keys.contains(&unquoted) {
        let hint = Some(format!("a key of JSON is a text: write '{unquoted}' in single quotes"));
        return QueryError::Invalid { message: format!("there is no column {unquoted}"), line, column, hint };
    }
    if nearest.is_empty() && seen.quoted.contains(&unquoted) {
        let hint = Some(format!("a text takes single quotes: '{unquoted}'; double quotes are for names"));
        return QueryError::Invalid { message: format!("there is no column {unquoted}"), line, column, hint };
    }
    if let Some((table, _)) = unquoted.rsplit_once('.') {
        let bare = table.rsplit('.').next().unwrap_or(table);
        if !seen.tables.is_empty() && !seen.tables.iter().any(|known| known == bare) {
            let hint = Some(format!("FROM has {}; a table with an alias has no other name", seen.tables.join(", ")));
            return QueryError::Invalid { message: format!("there is no table {table} here"), line, column, hint };
        }
    }
    QueryError::Unknown { what: "column", name, nearest, line, column }
}

fn walk(statement: &DfStatement, seen: &mut Seen) {
    match statement {
        DfStatement::Statement(sql) => {
            let ControlFlow::Continue(()) = Visit::visit(&**sql, seen);
        }
        DfStatement::Explain(ExplainStatement { statement, .. }) => walk(statement, seen),
        _ => {}
    }
}

/// What a statement shows.
#[derive(Debug, Default)]
struct Seen {
    /// Names behind `->` and `->>`.
    keys: Vec<String>,
    /// Names in double quotes that are compared.
    quoted: Vec<String>,
    /// What tables are called in FROM.
    tables: Vec<String>,
}

impl Seen {
    fn compared(&mut self, expr: &SqlExpr) {
        if let SqlExpr::Identifier(Ident { value, quote_style: Some('"'), .. }) = expr {
            self.quoted.push(value.clone());
        }
    }

    fn table(&mut self, name: String) {
        if !self.tables.contains(&name) {
            self.tables.push(name);
        }
    }
}

impl Visitor for Seen {
    type Break = std::convert::Infallible;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        for table in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.table(read(&table.alias.name));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Self::Break> {
        let (alias, name) = match factor {
            TableFactor::Table { name, alias, .. } => (alias, idents(name).and_then(|mut parts| parts.pop())),
            TableFactor::Derived { alias, .. }
            | TableFactor::TableFunction { alias, .. }
            | TableFactor::Function { alias, .. }
            | TableFactor::UNNEST { alias, .. }
            | TableFactor::NestedJoin { alias, .. } => (alias, None),
            _ => return ControlFlow::Continue(()),
        };
        if let Some(name) = alias.as_ref().map(|alias| read(&alias.name)).or(name) {
            self.table(name);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &SqlExpr) -> ControlFlow<Self::Break> {
        match expr {
            SqlExpr::BinaryOp { op: BinaryOperator::Arrow | BinaryOperator::LongArrow, right, .. } => {
                if let SqlExpr::Identifier(ident) = &**right {
                    self.keys.push(read(ident));
                }
            }
            SqlExpr::BinaryOp { left, right, .. } => {
                self.compared(left);
                self.compared(right);
            }
            SqlExpr::InList { list, .. } => list.iter().for_each(|item| self.compared(item)),
            SqlExpr::Like { pattern, .. } | SqlExpr::ILike { pattern, .. } => self.compared(pattern),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// A name as SQL reads it.
fn read(ident: &Ident) -> String {
    if ident.quote_style.is_none() { ident.value.to_ascii_lowercase() } else { ident.value.clone() }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::parser::DFParserBuilder;

    use super::*;

    fn told(sql: &str, name: &str, nearest: &[&str]) -> QueryError {
        let statement = DFParserBuilder::new(sql).build().unwrap().parse_statement().unwrap();
        let nearest = nearest.iter().map(|name| (*name).to_owned()).collect();
        advised(QueryError::Unknown { what: "column", name: name.to_owned(), nearest, line: Some(1), column: Some(8) }, &statement)
    }

    #[test]
    fn what_was_meant_is_said() {
        let error = told("SELECT a FROM t WHERE department = \"IT\"", "\"IT\"", &[]);
        assert!(error.sqlstate() == "42703" && error.hint().is_some_and(|hint| hint.contains("'IT'")), "{error}");
        let error = told("SELECT x.amount FROM transactions t", "x.amount", &["amount"]);
        assert_eq!((error.headline().as_str(), error.sqlstate()), ("there is no table x here", "42P01"));
        assert_eq!(told("SELECT t.amonut FROM transactions t", "t.amonut", &["amount"]).headline(), "there is no column t.amonut; did you mean amount?");
        assert_eq!(told("WITH w AS (SELECT 1) SELECT w.a FROM t", "w.a", &[]).headline(), "there is no column w.a");
    }
}
