//! What bounds a statement: its length, how deep it is nested, how many tables and columns it names.
//!
//! What must stay true: these are checked before anything is parsed (depth) or planned (width). Trees of expressions are parsed in
//! loops and taken down by recursion, so that a chain of ten thousand `+` would end the process with its stack; a chain of WITH in
//! which each names the one before it twice doubles the plan with each link.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{ObjectName, Query, Select, Value, ValueWithSpan, Visit, Visitor};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::tokens::{quoted, says};
use crate::errors::QueryError;
use crate::fulltext;

/// How deep brackets may be nested.
pub(super) const RECURSION: usize = 64;
/// Longest statement, in bytes.
pub(super) const MAX_BYTES: usize = 1024 * 1024;
/// Longest chain of operators, brackets in it counted.
const MAX_DEPTH: usize = 500;
/// Most tables that a plan may read, each time that it does.
const MAX_TABLES: u64 = 128;
/// Most queries in front of one statement by WITH: each is planned again with all that it names.
const MAX_WITH: usize = 128;
/// What a step into a document counts for in a chain of operators: each is planned with the whole path before it in its name.
const STEP: usize = 8;
/// Most columns of one SELECT, as in PostgreSQL.
const MAX_COLUMNS: usize = 1_664;
/// Most parameters, as in PostgreSQL's protocol.
const MAX_PARAMETERS: usize = 65_535;

fn too_complex(message: impl Into<String>) -> QueryError {
    QueryError::TooComplex { message: message.into() }
}

/// Refuses a text that is too long.
pub(super) fn length(sql: &str) -> Result<(), QueryError> {
    if sql.len() > MAX_BYTES { Err(too_complex("a statement is at most 1 MiB long")) } else { Ok(()) }
}

/// What stands between two brackets, or in none: how deep its present expression is. `a OR b AND c + d` is a tree whose depth is the
/// number of OR, of AND between two OR, and of other operators between two AND.
#[derive(Clone, Copy, Default)]
struct Level {
    or: usize,
    and: usize,
    other: usize,
    deepest_and: usize,
    deepest_other: usize,
    /// Of the brackets in the present expression.
    inside: usize,
    /// Of the expressions before it, beside which it stands.
    before: usize,
    /// UNION and its like.
    sets: usize,
}

impl Level {
    fn expression_ends(&mut self) {
        *self = Level { before: self.deepest(), sets: self.sets, ..Level::default() };
    }

    fn depth(&self) -> usize {
        self.or + self.deepest_and.max(self.and) + self.deepest_other.max(self.other) + self.inside
    }

    fn deepest(&self) -> usize {
        self.before.max(self.depth())
    }
}

/// Refuses a statement that would be parsed into too deep a tree.
pub(super) fn depth(tokens: &[TokenWithSpan]) -> Result<(), QueryError> {
    let mut levels = vec![Level::default()];
    for token in tokens.iter().filter(|token| says(token)) {
        let within = levels.len() > 1;
        let Some(level) = levels.last_mut() else { break };
        match &token.token {
            Token::LParen | Token::LBracket => levels.push(Level::default()),
            Token::RParen | Token::RBracket if within => {
                let inside = levels.pop().map_or(0, |level| level.deepest() + level.sets + 1);
                if let Some(level) = levels.last_mut() {
                    level.inside = level.inside.max(inside);
                }
            }
            Token::Comma => level.expression_ends(),
            Token::Word(Word { value, quote_style: None, .. }) => word(level, value),
            Token::Word(_) | Token::Number(..) | Token::Period | Token::Placeholder(_) | Token::SemiColon | Token::RParen | Token::RBracket => {}
            Token::Arrow | Token::LongArrow | Token::HashArrow | Token::HashLongArrow => level.other += STEP,
            sign if quoted(sign).is_some() => {}
            _ => level.other += 1,
        }
        // More brackets than the parser takes are its to refuse.
        let total: usize = levels.iter().map(|level| level.depth() + level.sets).sum();
        if total > MAX_DEPTH || levels.len() > MAX_DEPTH {
            return Err(too_complex(format!("a chain of operators, or of UNION, has at most {MAX_DEPTH} members: write IN (…) or VALUES instead")));
        }
    }
    Ok(())
}

fn word(level: &mut Level, word: &str) {
    match word.to_ascii_uppercase().as_str() {
        "OR" | "XOR" => {
            level.or += 1;
            level.deepest_and = level.deepest_and.max(level.and);
            level.deepest_other = level.deepest_other.max(level.other);
            (level.and, level.other) = (0, 0);
        }
        "AND" => {
            level.and += 1;
            level.deepest_other = level.deepest_other.max(level.other);
            level.other = 0;
        }
        "IS" | "ISNULL" | "NOTNULL" | "NOT" | "LIKE" | "ILIKE" | "RLIKE" | "REGEXP" | "SIMILAR" | "BETWEEN" | "IN" | "AT" | "COLLATE" | "OVERLAPS" | "OPERATOR" | "DIV" | "MOD"
        | "MEMBER" | "MATCH" => level.other += 1,
        "UNION" | "INTERSECT" | "EXCEPT" | "MINUS" => {
            level.sets += 1;
            level.expression_ends();
        }
        "SELECT" | "FROM" | "WHERE" | "GROUP" | "HAVING" | "ORDER" | "LIMIT" | "OFFSET" | "ON" | "WHEN" | "THEN" | "ELSE" | "VALUES" | "JOIN" | "QUALIFY" => {
            level.expression_ends()
        }
        _ => {}
    }
}

/// What a statement names, told in one walk over its tree.
#[derive(Default)]
pub(super) struct Width {
    /// Highest number of a parameter.
    pub(super) parameters: usize,
    tables: Vec<u64>,
    /// How many tables each WITH reads, what it names counted in.
    with: HashMap<String, u64>,
    /// How many queries of WITH there are.
    withs: usize,
    /// The queries of WITH, by where they lie in memory.
    named: HashMap<usize, String>,
    fault: Option<QueryError>,
}

impl Width {
    /// Looks at a statement.
    pub(super) fn of<T: Visit>(statement: &T) -> Result<Width, QueryError> {
        let mut width = Width { tables: vec![0], ..Width::default() };
        if statement.visit(&mut width).is_break() {
            return Err(width.fault.take().unwrap_or_else(|| too_complex("this statement is too wide")));
        }
        Ok(width)
    }

    fn stop(&mut self, fault: QueryError) -> ControlFlow<()> {
        self.fault = Some(fault);
        ControlFlow::Break(())
    }

    fn read(&mut self, tables: u64) -> ControlFlow<()> {
        let Some(present) = self.tables.last_mut() else { return ControlFlow::Continue(()) };
        *present = present.saturating_add(tables);
        if *present > MAX_TABLES {
            return self.stop(too_complex(format!("a statement reads at most {MAX_TABLES} tables, one that is named twice being two")));
        }
        ControlFlow::Continue(())
    }
}

impl Visitor for Width {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.withs += query.with.iter().map(|with| with.cte_tables.len()).sum::<usize>();
        if self.withs > MAX_WITH {
            return self.stop(too_complex(format!("WITH stands before at most {MAX_WITH} queries of a statement")));
        }
        for table in query.with.iter().flat_map(|with| &with.cte_tables) {
            let alias = &table.alias.name;
            let name = if alias.quote_style.is_none() { alias.value.to_ascii_lowercase() } else { alias.value.clone() };
            self.named.insert(std::ptr::from_ref::<Query>(&table.query).addr(), name);
        }
        self.tables.push(0);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let tables = self.tables.pop().unwrap_or_default();
        match self.named.remove(&std::ptr::from_ref(query).addr()) {
            Some(name) => {
                let most = self.with.entry(name).or_default();
                *most = tables.max(*most);
                ControlFlow::Continue(())
            }
            None => self.read(tables),
        }
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let name = fulltext::idents(relation).unwrap_or_default();
        let tables = match name.as_slice() {
            [bare] => self.with.get(bare).copied().unwrap_or(1).max(1),
            _ => 1,
        };
        self.read(tables)
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        if select.projection.len() > MAX_COLUMNS {
            return self.stop(too_complex(format!("a SELECT has at most {MAX_COLUMNS} columns")));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_value(&mut self, value: &ValueWithSpan) -> ControlFlow<()> {
        let Value::Placeholder(name) = &value.value else { return ControlFlow::Continue(()) };
        let number = name.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok()).filter(|number| (1..=MAX_PARAMETERS).contains(number));
        match number {
            Some(number) => {
                self.parameters = self.parameters.max(number);
                ControlFlow::Continue(())
            }
            None => {
                let place = value.span.start;
                let known = place.line > 0;
                self.stop(QueryError::Syntax {
                    message: format!("{name} is no parameter"),
                    line: known.then_some(place.line),
                    column: known.then_some(place.column),
                    hint: Some("parameters are $1, $2, …".to_owned()),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokens;
    use super::*;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    fn deep(sql: &str) -> bool {
        depth(&tokens::read(sql).unwrap()).is_err()
    }

    fn wide(sql: &str) -> Result<usize, String> {
        let statements = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap();
        Width::of(&statements[0]).map(|width| width.parameters).map_err(|error| error.to_string())
    }

    #[test]
    fn long_chains_are_refused_and_long_lists_are_not() {
        assert!(deep(&format!("SELECT 1{}", " + 1".repeat(600))));
        assert!(deep(&format!("SELECT a{}", "::int".repeat(600))));
        assert!(deep(&format!("SELECT a{}", " IS NULL".repeat(600))));
        assert!(deep(&format!("SELECT 1{}", " UNION SELECT 1".repeat(600))));
        assert!(deep(&format!("SELECT {}1{} + 1", "(1 + ".repeat(300), " + 1)".repeat(300))));
        assert!(deep(&format!("SELECT * FROM t WHERE a = 1{}", " OR a = 1".repeat(600))));
        assert!(deep(&format!("SELECT a{}", " -> 'a'".repeat(70))) && !deep(&format!("SELECT a{}", " -> 'a'".repeat(50))));
        assert!(!deep(&format!("SELECT * FROM t WHERE a = 1{}", " OR a = 1 AND b = 2".repeat(400))));
        assert!(!deep(&format!("SELECT * FROM t WHERE a IN (1{})", ", 2".repeat(20_000))));
        assert!(!deep(&format!("VALUES (1 + 1, -1){}", ", (1 + 1, -1)".repeat(5_000))));
        assert!(!deep(&format!("SELECT a + 1{}", ", a + 1".repeat(1_000))));
    }

    #[test]
    fn tables_are_counted_as_often_as_they_are_read() {
        let links: Vec<String> = (1..20).map(|i| format!("t{i} AS (SELECT * FROM t{0}, t{0} AS u)", i - 1)).collect();
        let doubling = format!("WITH t0 AS (SELECT * FROM transactions), {} SELECT * FROM t19", links.join(", "));
        assert!(wide(&doubling).unwrap_err().contains("at most 128 tables"));
        assert_eq!(wide("WITH a AS (SELECT $2 AS x) SELECT * FROM a, a AS b WHERE x IN (SELECT $1)"), Ok(2));
        assert!(wide(&format!("SELECT 1{}", ", 1".repeat(2_000))).is_err());
        assert!(wide("SELECT $name").unwrap_err().contains("$name is no parameter"));
    }
}
