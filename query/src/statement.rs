//! What a statement may be: one that reads, or one that says how reading is done.
//!
//! What must stay true: what is not allowed here is refused before anything is planned; the list is of what is allowed.

use datafusion::common::DataFusionError;
use datafusion::sql::parser::{DFParserBuilder, ExplainStatement, Statement as DfStatement};
use datafusion::sql::sqlparser::ast::{Expr, Query, Set, SetExpr, Statement as SqlStatement, Value};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;

use crate::errors::QueryError;
use crate::fulltext;

/// How deep brackets and conditions may be nested.
const RECURSION: usize = 64;
/// Longest statement, in bytes.
const MAX_BYTES: usize = 1024 * 1024;
/// Name of the setting that [`Read`] is the value of.
pub(crate) const READ: &str = "wardhouse.read";

/// As of when tables are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Read {
    /// Each store as it is now.
    #[default]
    Latest,
    /// The lowest position that ledger, documents and search have all reached.
    Cut,
}

impl Read {
    /// The value in SQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Read::Latest => "latest",
            Read::Cut => "cut",
        }
    }
}

/// A statement that is allowed.
#[derive(Debug)]
pub(crate) enum Allowed {
    /// It reads.
    Query(Box<DfStatement>),
    /// `SET wardhouse.read = …`
    SetRead(Read),
    /// `SHOW wardhouse.read`
    ShowRead,
}

/// Reads one statement and checks that it is allowed.
pub(crate) fn read(sql: &str) -> Result<Allowed, QueryError> {
    if sql.len() > MAX_BYTES {
        return Err(refused("a statement is at most 1 MiB long"));
    }
    let parse = || -> Result<_, DataFusionError> { DFParserBuilder::new(sql).with_dialect(&PostgreSqlDialect {}).with_recursion_limit(RECURSION).build()?.parse_statements() };
    let mut statements = parse().map_err(QueryError::from)?;
    let statement = match (statements.pop_front(), statements.is_empty()) {
        (Some(statement), true) => statement,
        (Some(_), false) => return Err(refused("one statement at a time: send them one after the other")),
        (None, _) => return Err(QueryError::Syntax { message: "there is no statement".to_owned(), line: None, column: None, hint: None }),
    };
    allow(statement)
}

fn refused(message: impl Into<String>) -> QueryError {
    QueryError::Refused { message: message.into(), hint: None }
}

fn not_allowed(what: &str) -> QueryError {
    refused(format!("Wardhouse's SQL only reads: {what} is not allowed"))
}

fn allow(statement: DfStatement) -> Result<Allowed, QueryError> {
    match statement {
        DfStatement::Statement(sql) => match *sql {
            SqlStatement::Set(set) => setting(&set).map(Allowed::SetRead),
            SqlStatement::ShowVariable { ref variable } if is_read(variable.iter().map(|ident| ident.value.as_str())) => Ok(Allowed::ShowRead),
            mut other => {
                reads(&other)?;
                fulltext::rewrite_score(&mut other);
                Ok(Allowed::Query(Box::new(DfStatement::Statement(Box::new(other)))))
            }
        },
        DfStatement::Explain(ExplainStatement { options, statement }) => match allow_explained(*statement)? {
            Some(statement) => Ok(Allowed::Query(Box::new(DfStatement::Explain(ExplainStatement { options, statement: Box::new(statement) })))),
            None => Err(refused("EXPLAIN takes a query")),
        },
        DfStatement::CreateExternalTable(_) => Err(not_allowed("CREATE EXTERNAL TABLE")),
        DfStatement::CopyTo(_) => Err(not_allowed("COPY")),
        DfStatement::Reset(_) => Err(not_allowed("RESET")),
    }
}

/// What stands behind EXPLAIN; `None` when it is no query.
fn allow_explained(statement: DfStatement) -> Result<Option<DfStatement>, QueryError> {
    match statement {
        DfStatement::Statement(mut sql) => {
            reads(&sql)?;
            if !matches!(*sql, SqlStatement::Query(_)) {
                return Ok(None);
            }
            fulltext::rewrite_score(&mut *sql);
            Ok(Some(DfStatement::Statement(sql)))
        }
        other => allow(other).map(|_| None),
    }
}

/// Whether a statement only reads.
fn reads(statement: &SqlStatement) -> Result<(), QueryError> {
    match statement {
        SqlStatement::Query(query) => query_reads(query),
        SqlStatement::Explain { statement, .. } => reads(statement),
        SqlStatement::ExplainTable { .. }
        | SqlStatement::ShowTables { .. }
        | SqlStatement::ShowColumns { .. }
        | SqlStatement::ShowVariable { .. }
        | SqlStatement::ShowFunctions { .. } => Ok(()),
        other => Err(not_allowed(&verb(other))),
    }
}

/// The words with which a statement begins, as far as they name it.
fn verb(statement: &SqlStatement) -> String {
    let text = statement.to_string();
    let mut words = text.split_whitespace().map(str::to_uppercase);
    let first = words.next().unwrap_or_default();
    let second = words.next().filter(|_| matches!(first.as_str(), "CREATE" | "DROP" | "ALTER" | "SHOW")).filter(|word| word.chars().all(|c| c.is_ascii_alphabetic()));
    second.map_or(first.clone(), |second| format!("{first} {second}"))
}

fn query_reads(query: &Query) -> Result<(), QueryError> {
    for table in query.with.iter().flat_map(|with| &with.cte_tables) {
        query_reads(&table.query)?;
    }
    body_reads(&query.body)
}

fn body_reads(body: &SetExpr) -> Result<(), QueryError> {
    match body {
        SetExpr::Select(select) if select.into.is_some() => Err(not_allowed("SELECT INTO")),
        SetExpr::Select(_) | SetExpr::Values(_) | SetExpr::Table(_) => Ok(()),
        SetExpr::Query(query) => query_reads(query),
        SetExpr::SetOperation { left, right, .. } => {
            body_reads(left)?;
            body_reads(right)
        }
        SetExpr::Insert(_) => Err(not_allowed("INSERT")),
        SetExpr::Update(_) => Err(not_allowed("UPDATE")),
        SetExpr::Delete(_) => Err(not_allowed("DELETE")),
        SetExpr::Merge(_) => Err(not_allowed("MERGE")),
    }
}

fn is_read<'a>(name: impl Iterator<Item = &'a str>) -> bool {
    name.flat_map(|part| part.split('.')).map(str::to_ascii_lowercase).eq(READ.split('.').map(str::to_owned))
}

fn setting(set: &Set) -> Result<Read, QueryError> {
    let unknown = || QueryError::Refused { message: "this setting is not known".to_owned(), hint: Some(format!("SET {READ} = 'cut' or 'latest' is")) };
    let Set::SingleAssignment { variable, values, hivevar: false, .. } = set else { return Err(unknown()) };
    let name = fulltext::idents(variable).ok_or_else(unknown)?;
    if !is_read(name.iter().map(String::as_str)) {
        return Err(unknown());
    }
    let value = match values.as_slice() {
        [Expr::Value(value)] => match &value.value {
            Value::SingleQuotedString(text) => text.to_ascii_lowercase(),
            other => other.to_string(),
        },
        [Expr::Identifier(ident)] => ident.value.to_ascii_lowercase(),
        _ => String::new(),
    };
    match value.as_str() {
        "cut" => Ok(Read::Cut),
        "latest" => Ok(Read::Latest),
        _ => Err(QueryError::Refused { message: format!("{READ} is 'cut' or 'latest'"), hint: None }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(sql: &str) -> String {
        match read(sql) {
            Ok(Allowed::Query(statement)) => statement.to_string(),
            Ok(other) => format!("{other:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_reads_is_allowed() {
        for sql in [
            "SELECT 1",
            "select partition, seq, timestamp from transactions where timestamp > '2026-01-01' order by partition",
            "SELECT \"offset\", offset FROM log.risk_scores WHERE partition = 0 AND offset < 10 ORDER BY offset",
            "WITH a AS (SELECT 1 AS x) SELECT * FROM a UNION ALL SELECT 2",
            "VALUES (1, 'a')",
            "EXPLAIN SELECT 1",
            "EXPLAIN ANALYZE VERBOSE SELECT 1",
            "SHOW TABLES",
            "SHOW COLUMNS FROM transactions",
            "DESCRIBE ledger.transactions",
            "SHOW datafusion.execution.batch_size",
            "SELECT metadata->>'ip', metadata->'a'->>0 FROM transactions WHERE metadata->>'ip' = '10.0.0.1'",
            "SELECT 1;",
        ] {
            assert!(matches!(read(sql), Ok(Allowed::Query(_))), "{sql}: {}", told(sql));
        }
    }

    #[test]
    fn what_does_more_than_read_is_refused_by_its_name() {
        for (sql, what) in [
            ("INSERT INTO transactions VALUES (1)", "INSERT"),
            ("UPDATE transactions SET amount = 1", "UPDATE"),
            ("DELETE FROM transactions", "DELETE"),
            ("CREATE TABLE t (a INT)", "CREATE TABLE"),
            ("CREATE VIEW v AS SELECT 1", "CREATE VIEW"),
            ("DROP TABLE transactions", "DROP TABLE"),
            ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'", "CREATE EXTERNAL TABLE"),
            ("COPY transactions TO '/tmp/x.csv'", "COPY"),
            ("COPY (SELECT 1) TO '/tmp/x.csv'", "COPY"),
            ("SELECT 1 INTO t", "SELECT INTO"),
            ("EXPLAIN INSERT INTO transactions VALUES (1)", "INSERT"),
            ("EXPLAIN COPY transactions TO '/tmp/x'", "COPY"),
            ("TRUNCATE TABLE transactions", "TRUNCATE"),
            ("BEGIN", "BEGIN"),
            ("GRANT SELECT ON t TO u", "GRANT"),
        ] {
            assert_eq!(told(sql), format!("Wardhouse's SQL only reads: {what} is not allowed"), "{sql}");
        }
    }

    #[test]
    fn one_statement_at_a_time_and_at_least_one() {
        assert_eq!(told("SELECT 1; SELECT 2"), "one statement at a time: send them one after the other");
        assert_eq!(told("  -- nothing\n"), "there is no statement");
        assert!(told("SELECT 1 FROM t WHERE )").contains("line 1"), "{}", told("SELECT 1 FROM t WHERE )"));
        assert!(read(&format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000))).is_err());
    }

    #[test]
    fn the_way_of_reading_is_set_and_shown() {
        assert_eq!(told("SET wardhouse.read = 'cut'"), "SetRead(Cut)");
        assert_eq!(told("set wardhouse.read to latest"), "SetRead(Latest)");
        assert_eq!(told("SHOW wardhouse.read"), "ShowRead");
        assert_eq!(told("SET wardhouse.read = 'soon'"), "wardhouse.read is 'cut' or 'latest'");
        assert!(told("SET datafusion.execution.batch_size = 1").starts_with("this setting is not known"));
    }

    #[test]
    fn match_is_read_as_a_function() {
        assert_eq!(
            told("SELECT alert_id FROM search.alerts WHERE NOT match(message, 'a') AND match(title, 'b AND c') ORDER BY score() DESC"),
            "SELECT alert_id FROM search.alerts WHERE NOT match(message, 'a') AND match(title, 'b AND c') ORDER BY _score DESC"
        );
    }
}
