//! Statements that read, and the check that they do nothing else.

use std::ops::ControlFlow;

use datafusion::common::DataFusionError;
use datafusion::sql::parser::{DFParserBuilder, ExplainStatement, Statement as DfStatement};
use datafusion::sql::sqlparser::ast::{Query, Select, SetExpr, Statement as SqlStatement, Visit, Visitor};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::bounds::{self, RECURSION, Width};
use super::dialect::Statements;
use super::tokens::{Cursor, says};
use super::{Reading, effort, forms, ignored, read_only, refused};
use crate::errors::{QueryError, nearest};
use crate::fulltext;
use crate::json;
use crate::prepared::Action;
use crate::snippet;

/// EXPLAIN before EXPLAIN is parsed by recursion without a bound.
const MAX_EXPLAINS: usize = 4;

/// Parses the tokens of one statement and checks that it only reads.
pub(super) fn read(tokens: &[TokenWithSpan], action: Action) -> Result<Reading, QueryError> {
    bounds::depth(tokens)?;
    effort::bounded(tokens)?;
    let explains = tokens.iter().filter(|token| matches!(&token.token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("EXPLAIN"))).count();
    if explains > MAX_EXPLAINS {
        return Err(QueryError::TooComplex { message: "EXPLAIN takes one query".to_owned() });
    }
    let kept = obeyed(tokens)?;
    let parse = || -> Result<_, DataFusionError> { DFParserBuilder::new(kept).with_dialect(&Statements).with_recursion_limit(RECURSION).build()?.parse_statements() };
    let mut statements = parse().map_err(|error| suggest(QueryError::from(error), tokens))?;
    let (Some(statement), true) = (statements.pop_front(), statements.is_empty()) else {
        return Err(refused("one statement at a time: send them one after the other"));
    };
    let (statement, parameters) = allowed(statement)?;
    Ok(Reading { statement, action, parameters })
}

/// A query in the words of the engine, without what only its own tables know: `match()`, `score()`, `snippet()`.
pub(super) fn plain(tokens: &[TokenWithSpan]) -> Result<DfStatement, QueryError> {
    let mut parser = DFParserBuilder::new(tokens.to_vec()).with_dialect(&Statements).with_recursion_limit(RECURSION).build()?;
    match parser.parse_statement()? {
        DfStatement::Statement(mut sql) => {
            json::rewrite(&mut *sql);
            forms::rewrite(&mut *sql);
            Ok(DfStatement::Statement(sql))
        }
        _ => Err(refused("only what reads has rows to compare")),
    }
}

/// The words with which statements begin.
const BEGINNINGS: &str = "SELECT WITH VALUES EXPLAIN DESCRIBE SHOW SET RESET COPY BEGIN START COMMIT \
                          END ROLLBACK ABORT SAVEPOINT RELEASE DISCARD DEALLOCATE DECLARE FETCH CLOSE UNLISTEN DESC PREPARE EXECUTE";

/// Adds to an error at the first word what it may have been.
fn suggest(error: QueryError, tokens: &[TokenWithSpan]) -> QueryError {
    let cursor = Cursor::of(tokens);
    let names: Vec<String> = BEGINNINGS.split(' ').map(str::to_owned).collect();
    let Some(word) = cursor.peek_word().filter(|word| !names.contains(word)) else { return error };
    let start = cursor.peek().map(|token| token.span.start);
    match error {
        QueryError::Syntax { message, line, column, hint: None } => {
            let hint = nearest(&word, &names).into_iter().next().map(|like| format!("did you mean {like}?"));
            QueryError::Syntax { message, line: line.or(start.map(|at| at.line)), column: column.or(start.map(|at| at.column)), hint }
        }
        other => other,
    }
}

/// Checks a statement, and puts `_score` where it says `score()`.
fn allowed(statement: DfStatement) -> Result<(DfStatement, usize), QueryError> {
    match statement {
        DfStatement::Statement(mut sql) => {
            reads(&sql)?;
            let width = only_reads(&*sql)?;
            ignored::check(&*sql)?;
            fulltext::rewrite_score(&mut *sql);
            snippet::bind(&mut *sql);
            json::rewrite(&mut *sql);
            forms::rewrite(&mut *sql);
            Ok((DfStatement::Statement(sql), width.parameters))
        }
        DfStatement::Explain(ExplainStatement { options, statement }) => {
            let query = matches!(&*statement, DfStatement::Statement(sql) if matches!(**sql, SqlStatement::Query(_)));
            let (statement, parameters) = allowed(*statement)?;
            if !query {
                return Err(refused("EXPLAIN takes a query"));
            }
            Ok((DfStatement::Explain(ExplainStatement { options, statement: Box::new(statement) }), parameters))
        }
        DfStatement::CreateExternalTable(_) => Err(read_only("CREATE EXTERNAL TABLE")),
        DfStatement::CopyTo(_) => Err(read_only("COPY")),
        DfStatement::Reset(_) => Err(refused("EXPLAIN takes a query")),
    }
}

/// Options of EXPLAIN that PostgreSQL has, and that say nothing here.
const WITHOUT_EFFECT: [&str; 6] = ["BUFFERS", "GENERIC_PLAN", "MEMORY", "SERIALIZE", "SETTINGS", "WAL"];
/// Those that are obeyed.
const OBEYED: [&str; 8] = ["ANALYZE", "VERBOSE", "FORMAT", "METRICS", "LEVEL", "TIMING", "SUMMARY", "COSTS"];

/// The tokens without those options of `EXPLAIN (…)` that have no effect; what is not known is refused by its name.
fn obeyed(tokens: &[TokenWithSpan]) -> Result<Vec<TokenWithSpan>, QueryError> {
    let as_they_are = || Ok(tokens.to_vec());
    let mut saying = tokens.iter().enumerate().filter(|(_, token)| says(token));
    let (Some((_, first)), Some((open, second))) = (saying.next(), saying.next()) else { return as_they_are() };
    let explains = matches!(&first.token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("EXPLAIN"));
    let Some(close) = tokens.iter().position(|token| token.token == Token::RParen).filter(|close| explains && second.token == Token::LParen && *close > open) else {
        return as_they_are();
    };
    let (before, rest) = tokens.split_at(open);
    let (inner, behind) = rest.split_at(close - open);
    let mut kept = before.to_vec();
    let mut some = false;
    for option in inner.get(1..).unwrap_or_default().split(|token| token.token == Token::Comma) {
        let mut cursor = Cursor::of(option);
        // `EXPLAIN (SELECT …)`
        let Some(name) = cursor.peek_word().filter(|name| !["SELECT", "WITH", "VALUES", "TABLE"].contains(&name.as_str())) else { return as_they_are() };
        cursor.next();
        let is_text = name == "FORMAT" && cursor.peek_word().is_some_and(|format| format == "TEXT");
        if WITHOUT_EFFECT.contains(&name.as_str()) || is_text {
            continue;
        }
        if !OBEYED.contains(&name.as_str()) {
            let hint = Some("there are ANALYZE, VERBOSE and FORMAT".to_owned());
            return Err(QueryError::Refused { message: format!("EXPLAIN has no option {name} here"), hint });
        }
        kept.push(TokenWithSpan { token: if some { Token::Comma } else { Token::LParen }, span: second.span });
        kept.extend_from_slice(option);
        some = true;
    }
    kept.extend_from_slice(if some { behind } else { behind.get(1..).unwrap_or_default() });
    Ok(kept)
}

/// Whether it is a statement that reads.
fn reads(statement: &SqlStatement) -> Result<(), QueryError> {
    match statement {
        SqlStatement::Query(_) => Ok(()),
        SqlStatement::Explain { statement, .. } => reads(statement),
        SqlStatement::ExplainTable { .. }
        | SqlStatement::ShowTables { .. }
        | SqlStatement::ShowColumns { .. }
        | SqlStatement::ShowVariable { .. }
        | SqlStatement::ShowFunctions { .. } => Ok(()),
        SqlStatement::Insert(_) => Err(read_only("INSERT")),
        SqlStatement::Update(_) => Err(read_only("UPDATE")),
        SqlStatement::Delete(_) => Err(read_only("DELETE")),
        SqlStatement::Merge(_) => Err(read_only("MERGE")),
        other => {
            let text = other.to_string();
            let word = text.split_whitespace().next().unwrap_or_default().to_uppercase();
            Err(refused(format!("{word} is not understood here: Wardhouse's SQL only reads")))
        }
    }
}

/// Whether all queries inside only read, and how wide they are.
fn only_reads<T: Visit>(statement: &T) -> Result<Width, QueryError> {
    let mut check = OnlyReads { found: None };
    if statement.visit(&mut check).is_break() {
        return Err(read_only(check.found.unwrap_or("this")));
    }
    Width::of(statement)
}

struct OnlyReads {
    found: Option<&'static str>,
}

impl OnlyReads {
    fn body(&mut self, body: &SetExpr) -> ControlFlow<()> {
        self.found = match body {
            SetExpr::Insert(_) => Some("INSERT"),
            SetExpr::Update(_) => Some("UPDATE"),
            SetExpr::Delete(_) => Some("DELETE"),
            SetExpr::Merge(_) => Some("MERGE"),
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left)?;
                return self.body(right);
            }
            // Queries and selects inside are visited in their turn.
            SetExpr::Query(_) | SetExpr::Select(_) | SetExpr::Values(_) | SetExpr::Table(_) => None,
        };
        if self.found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Visitor for OnlyReads {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.body(&query.body)
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        if select.into.is_some() {
            self.found = Some("SELECT INTO");
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}
