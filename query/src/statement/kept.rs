//! `PREPARE name (types) AS query` and `EXECUTE name (values)`.
//!
//! What must stay true: what is prepared is a query; a parameter has the type that is written for it, as a cast of it would give; nothing is
//! computed here.

use std::ops::ControlFlow;

use datafusion::common::DataFusionError;
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{CastKind, DataType as SqlType, Expr as SqlExpr, Value, ValueWithSpan, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::tokens::{Cursor, says};
use super::{Command, Reading, commands, read_only, reading, refused, verb};
use crate::errors::QueryError;
use crate::prepared::Action;

/// `PREPARE name (type, …) AS query`
pub(super) fn prepare(statement: &[TokenWithSpan], cursor: &mut Cursor<'_>) -> Result<Command, QueryError> {
    cursor.must("PREPARE")?;
    let name = cursor.name()?;
    let types = if cursor.peek().is_some_and(|token| token.token == Token::LParen) { types(cursor)? } else { Vec::new() };
    cursor.must("AS")?;
    let reads = cursor.peek().is_some_and(|token| token.token == Token::LParen) || cursor.peek_word().is_some_and(|word| ["SELECT", "WITH", "VALUES"].contains(&word.as_str()));
    if cursor.peek_word().is_some_and(|word| commands::writes(&word)) {
        return Err(read_only(verb(cursor.clone())));
    }
    let (Some(first), true) = (place(statement, cursor), reads) else { return Err(cursor.expected("a query")) };
    let Reading { mut statement, action, parameters } = reading::read(statement.get(first..).unwrap_or_default(), Action::Query)?;
    let parameters = parameters.max(types.len());
    if let DfStatement::Statement(sql) = &mut statement {
        let ControlFlow::Continue(()) = VisitMut::visit(&mut **sql, &mut Typed { types: &types });
    }
    Ok(Command::Prepare { name, reading: Reading { statement, action, parameters } })
}

/// `EXECUTE name (value, …)`; the values as a SELECT of them.
pub(super) fn execute(statement: &[TokenWithSpan], cursor: &mut Cursor<'_>) -> Result<Command, QueryError> {
    cursor.must("EXECUTE")?;
    let name = cursor.name()?;
    if cursor.peek().is_none() {
        return Ok(Command::Execute { name, values: None });
    }
    let open = place(statement, cursor);
    if !cursor.took_token(&Token::LParen) {
        return Err(cursor.expected("values in brackets"));
    }
    let close = statement.iter().rposition(says);
    let (Some(open), Some(close)) = (open, close) else { return Err(cursor.expected("values in brackets")) };
    let (Some(inside), Some(Token::RParen)) = (statement.get(open + 1..close), statement.get(close).map(|token| &token.token)) else {
        return Err(cursor.expected("values in brackets"));
    };
    let select = TokenWithSpan::wrap(Token::make_word("SELECT", None));
    let Reading { statement, parameters, .. } = reading::read(&[std::slice::from_ref(&select), inside].concat(), Action::Query)?;
    if parameters > 0 {
        return Err(refused("EXECUTE takes values, and no parameters of its own"));
    }
    Ok(Command::Execute { name, values: Some(statement) })
}

/// Where in the statement the cursor is.
fn place(statement: &[TokenWithSpan], cursor: &Cursor<'_>) -> Option<usize> {
    let next = cursor.peek()?;
    statement.iter().position(|token| std::ptr::eq(token, next))
}

/// The types in brackets; nothing for one that is left open.
fn types(cursor: &mut Cursor<'_>) -> Result<Vec<Option<SqlType>>, QueryError> {
    let mut inside = Vec::new();
    let mut open = 0_usize;
    while let Some(token) = cursor.next() {
        inside.push(token.clone());
        match token.token {
            Token::LParen => open += 1,
            Token::RParen => open -= 1,
            _ => {}
        }
        if open == 0 {
            break;
        }
    }
    if open > 0 {
        return Err(cursor.expected(")"));
    }
    let dialect = PostgreSqlDialect {};
    let mut parser = Parser::new(&dialect).with_tokens_with_locations(inside);
    let told = |error: ParserError| QueryError::from(DataFusionError::from(error));
    parser.expect_token(&Token::LParen).map_err(told)?;
    let types = parser.parse_comma_separated(Parser::parse_data_type).map_err(told)?;
    parser.expect_token(&Token::RParen).map_err(told)?;
    Ok(types.into_iter().map(|data_type| if data_type.to_string().eq_ignore_ascii_case("unknown") { None } else { Some(data_type) }).collect())
}

/// Casts parameters to their types.
struct Typed<'t> {
    types: &'t [Option<SqlType>],
}

impl VisitorMut for Typed<'_> {
    type Break = std::convert::Infallible;

    fn post_visit_expr(&mut self, expr: &mut SqlExpr) -> ControlFlow<Self::Break> {
        let SqlExpr::Value(ValueWithSpan { value: Value::Placeholder(name), .. }) = &*expr else { return ControlFlow::Continue(()) };
        let number = name.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok()).and_then(|number| number.checked_sub(1));
        if let Some(data_type) = number.and_then(|number| self.types.get(number)).cloned().flatten() {
            *expr = SqlExpr::Cast { kind: CastKind::Cast, expr: Box::new(expr.clone()), data_type, array: false, format: None };
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::read;

    fn prepared(sql: &str) -> (String, String, usize) {
        match read(sql) {
            Ok(Command::Prepare { name, reading }) => (name, reading.statement.to_string(), reading.parameters),
            other => panic!("{sql}: {other:?}"),
        }
    }

    #[test]
    fn parameters_have_the_types_that_are_written_for_them() {
        let (name, sql, parameters) = prepared("PREPARE \"By user\" (text, unknown, numeric(15, 2), int[]) AS SELECT * FROM t WHERE a = $1 AND b = $2 AND c > $3");
        assert_eq!((name.as_str(), parameters), ("By user", 4));
        assert_eq!(sql, "SELECT * FROM t WHERE a = CAST($1 AS TEXT) AND b = $2 AND c > CAST($3 AS NUMERIC(15,2))");
        assert_eq!(prepared("prepare p as values (1)"), ("p".to_owned(), "VALUES (1)".to_owned(), 0));
    }

    #[test]
    fn values_are_read_as_expressions() {
        let values = |sql: &str| match read(sql) {
            Ok(Command::Execute { values, .. }) => values.map(|values| values.to_string()),
            other => panic!("{sql}: {other:?}"),
        };
        assert_eq!(values("EXECUTE p"), None);
        assert_eq!(values("EXECUTE p ('a;b', -1, (1 + 2) * 3)").as_deref(), Some("SELECT 'a;b', -1, (1 + 2) * 3"));
    }

    #[test]
    fn what_is_neither_is_refused() {
        for sql in [
            "PREPARE p AS INSERT INTO t VALUES (1)",
            "PREPARE p AS SET a = 1",
            "PREPARE p AS EXECUTE q",
            "PREPARE p (int AS SELECT 1",
            "PREPARE p (no such type) AS SELECT 1",
            "PREPARE AS SELECT 1",
            "EXECUTE",
            "EXECUTE p 1",
            "EXECUTE p (1",
            "EXECUTE p (1) + (2)",
            "EXECUTE p ($1)",
        ] {
            assert!(read(sql).is_err(), "{sql}");
        }
    }
}
