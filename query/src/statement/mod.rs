//! What a statement may be: one that reads, one that says how reading is done, or one of the session's own that changes nothing.
//!
//! What must stay true: what is not allowed here is refused before anything is planned; the list is of what is allowed.

mod bounds;
mod commands;
mod copy;
mod cursors;
mod dialect;
mod effort;
mod forms;
mod ignored;
mod kept;
mod reading;
mod tokens;
mod windows;

use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::tokenizer::TokenWithSpan;

use crate::errors::QueryError;
use crate::prepared::Action;
use tokens::Cursor;

/// A statement that is allowed.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// It reads.
    Read(Reading),
    /// `SET name = value`
    Set { name: String, value: String },
    /// `RESET name`; without a name all of them.
    Reset(Option<String>),
    /// `SHOW name`; without a name all of them.
    Show(Option<String>),
    /// `PREPARE name AS …`
    Prepare { name: String, reading: Reading },
    /// `EXECUTE name (…)`, the values as a SELECT of them.
    Execute { name: String, values: Option<DfStatement> },
    /// What a session does without reading.
    Session(Action),
}

/// A statement that reads.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) statement: DfStatement,
    pub(crate) action: Action,
    /// How many parameters it has.
    pub(crate) parameters: usize,
}

/// The statements of a text: each as it is written, without its semicolon. Quotes and comments are respected.
///
/// # Errors
/// [`QueryError::Syntax`] where a quote or a comment is not closed; [`QueryError::TooComplex`] for a text of more than 1 MiB.
pub fn split(sql: &str) -> Result<Vec<String>, QueryError> {
    if sql.len() > bounds::MAX_BYTES {
        return Err(QueryError::TooComplex { message: "statements are at most 1 MiB long together".to_owned() });
    }
    tokens::split(sql)
}

/// Reads one statement and checks that it is allowed.
pub(crate) fn read(sql: &str) -> Result<Command, QueryError> {
    bounds::length(sql)?;
    let all = tokens::read(sql)?;
    let mut statements = tokens::statements(&all);
    let (first, second) = (statements.next(), statements.next());
    match (first, second) {
        (None, _) => Ok(Command::Session(Action::Empty)),
        (Some(_), Some(_)) => Err(refused("one statement at a time: send them one after the other")),
        (Some(statement), None) => one(sql, statement),
    }
}

/// A query as it is read, for whoever has rows of its own to ask.
pub(crate) fn plain(sql: &str) -> Result<DfStatement, QueryError> {
    reading::plain(&tokens::read(sql)?)
}

fn one(sql: &str, statement: &[TokenWithSpan]) -> Result<Command, QueryError> {
    let mut cursor = Cursor::of(statement);
    let word = cursor.peek_word().unwrap_or_default();
    match word.as_str() {
        "COPY" => copy::read(statement, cursor).map(Command::Read),
        "SHOW" => match commands::show(&mut cursor)? {
            Some(command) => Ok(command),
            None => reading::read(statement, Action::Show).map(Command::Read),
        },
        "DECLARE" => {
            let action = cursors::declare(sql, &mut cursor)?;
            if let Action::Declare { sql, .. } = &action {
                query(sql)?;
            }
            Ok(Command::Session(action))
        }
        "PREPARE" => kept::prepare(statement, &mut cursor),
        "EXECUTE" => kept::execute(statement, &mut cursor),
        "EXPLAIN" => reading::read(statement, Action::Explain).map(Command::Read),
        _ if commands::writes(&word) => Err(read_only(verb(cursor))),
        _ => match commands::session(&mut cursor)? {
            Some(command) => Ok(command),
            None => reading::read(statement, Action::Query).map(Command::Read),
        },
    }
}

/// What stands behind DECLARE … FOR.
fn query(sql: &str) -> Result<(), QueryError> {
    match read(sql)? {
        Command::Read(Reading { action: Action::Query, .. }) => Ok(()),
        _ => Err(refused("a cursor is for a query")),
    }
}

fn refused(message: impl Into<String>) -> QueryError {
    QueryError::Refused { message: message.into(), hint: None }
}

fn read_only(what: impl Into<String>) -> QueryError {
    QueryError::ReadOnly { what: what.into() }
}

/// The words with which a statement begins, as far as they name it.
fn verb(mut cursor: Cursor<'_>) -> String {
    const BETWEEN: [&str; 10] = ["OR", "REPLACE", "TEMP", "TEMPORARY", "UNLOGGED", "EXTERNAL", "MATERIALIZED", "UNIQUE", "GLOBAL", "LOCAL"];
    let mut words = Vec::new();
    while let Some(word) = cursor.peek_word() {
        cursor.next();
        let named = matches!(words.first().map(String::as_str), Some("CREATE" | "DROP" | "ALTER"));
        if !words.is_empty() && !named {
            break;
        }
        let ends = !words.is_empty() && !BETWEEN.contains(&word.as_str());
        words.push(word);
        if ends {
            break;
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(sql: &str) -> String {
        match read(sql) {
            Ok(Command::Read(reading)) => reading.statement.to_string(),
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
            "(SELECT 1)",
            "EXPLAIN SELECT 1",
            "EXPLAIN ANALYZE VERBOSE SELECT 1",
            "SHOW TABLES",
            "SHOW COLUMNS FROM transactions",
            "DESCRIBE ledger.transactions",
            "SHOW datafusion.execution.batch_size",
            "SELECT metadata->>'ip', metadata->'a'->>0 FROM transactions WHERE metadata->>'ip' = '10.0.0.1'",
            "SELECT 1;",
            "SELECT * FROM transactions WHERE user_id = $1 LIMIT $2",
        ] {
            assert!(matches!(read(sql), Ok(Command::Read(_))), "{sql}: {}", told(sql));
        }
    }

    #[test]
    fn what_does_more_than_read_is_refused_by_its_name() {
        for (sql, what) in [
            ("INSERT INTO transactions VALUES (1)", "INSERT"),
            ("UPDATE transactions SET amount = 1", "UPDATE"),
            ("DELETE FROM transactions", "DELETE"),
            ("CREATE TABLE t (a INT)", "CREATE TABLE"),
            ("CREATE OR REPLACE VIEW v AS SELECT 1", "CREATE OR REPLACE VIEW"),
            ("DROP TABLE transactions", "DROP TABLE"),
            ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'", "CREATE EXTERNAL TABLE"),
            ("COPY transactions TO '/tmp/x.csv'", "COPY TO a file"),
            ("COPY (SELECT 1) TO '/tmp/x.csv'", "COPY TO a file"),
            ("COPY (SELECT 1) TO PROGRAM 'sh'", "COPY TO a file"),
            ("COPY transactions FROM STDIN", "COPY FROM"),
            ("SELECT 1 INTO t", "SELECT INTO"),
            ("WITH a AS (INSERT INTO t VALUES (1) RETURNING x) SELECT * FROM a", "INSERT"),
            ("EXPLAIN INSERT INTO transactions VALUES (1)", "INSERT"),
            ("EXPLAIN ANALYZE DELETE FROM transactions", "DELETE"),
            ("TRUNCATE TABLE transactions", "TRUNCATE"),
            ("GRANT SELECT ON t TO u", "GRANT"),
            ("DO $$ BEGIN END $$", "DO"),
        ] {
            let error = read(sql).unwrap_err();
            assert_eq!((error.to_string(), error.sqlstate()), (format!("Wardhouse's SQL only reads: {what} is not allowed"), "25006"), "{sql}");
        }
        for sql in ["PREPARE p AS DELETE FROM t", "EXECUTE p ($1)", "EXPLAIN COPY transactions TO '/tmp/x'", "EXPLAIN EXPLAIN SELECT 1", "SET ROLE postgres", "LISTEN x"] {
            let code = read(sql).unwrap_err().sqlstate();
            assert!(["0A000", "25006"].contains(&code), "{sql}: {code}");
        }
        assert_eq!(read(&format!("{}SELECT 1", "EXPLAIN ".repeat(100_000))).unwrap_err().sqlstate(), "54001");
    }

    #[test]
    fn one_statement_at_a_time_and_none_is_none() {
        assert_eq!(told("SELECT 1; SELECT 2"), "one statement at a time: send them one after the other");
        assert_eq!(told("  -- nothing\n;"), "Session(Empty)");
        assert!(told("SELECT 1 FROM t WHERE )").contains("line 1"), "{}", told("SELECT 1 FROM t WHERE )"));
        assert!(read(&format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000))).is_err());
        assert_eq!(read(&"x".repeat(2 << 20)).unwrap_err().sqlstate(), "54001");
    }

    #[test]
    fn a_misspelt_beginning_brings_its_neighbour() {
        let told = told("SELEC 1");
        assert!(told.starts_with("line 1, column 1: ") && told.ends_with("did you mean SELECT?"), "{told}");
    }

    #[test]
    fn what_a_session_says_is_understood() {
        for (sql, what) in [
            ("SET wardhouse.read = 'cut'", r#"Set { name: "wardhouse.read", value: "cut" }"#),
            ("set session DateStyle to ISO, MDY", r#"Set { name: "datestyle", value: "ISO, MDY" }"#),
            ("SET LOCAL search_path TO \"$user\", search", r#"Set { name: "search_path", value: "\"$user\", search" }"#),
            ("SET extra_float_digits = -3", r#"Set { name: "extra_float_digits", value: "-3" }"#),
            ("SET TIME ZONE 'Europe/Berlin'", r#"Set { name: "timezone", value: "Europe/Berlin" }"#),
            ("SET TIME ZONE LOCAL", r#"Reset(Some("timezone"))"#),
            ("SET NAMES 'UTF8'", r#"Set { name: "client_encoding", value: "UTF8" }"#),
            ("SET statement_timeout TO DEFAULT", r#"Reset(Some("statement_timeout"))"#),
            ("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", r#"Set { name: "transaction_isolation", value: "repeatable read" }"#),
            ("SET TRANSACTION READ ONLY", r#"Set { name: "transaction_read_only", value: "on" }"#),
            ("RESET ALL", "Reset(None)"),
            ("RESET statement_timeout", r#"Reset(Some("statement_timeout"))"#),
            ("SHOW wardhouse.read", r#"Show(Some("wardhouse.read"))"#),
            ("SHOW ALL", "Show(None)"),
            ("SHOW TIME ZONE", r#"Show(Some("timezone"))"#),
            ("SHOW TRANSACTION ISOLATION LEVEL", r#"Show(Some("transaction_isolation"))"#),
            ("BEGIN", "Session(Begin)"),
            ("BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE", "Session(Begin)"),
            ("START TRANSACTION READ WRITE", "Session(Begin)"),
            ("SAVEPOINT a", "Session(Begin)"),
            ("RELEASE SAVEPOINT a", "Session(Begin)"),
            ("ROLLBACK TO SAVEPOINT a", "Session(Begin)"),
            ("COMMIT AND NO CHAIN", "Session(Commit)"),
            ("END", "Session(Commit)"),
            ("ROLLBACK WORK", "Session(Rollback)"),
            ("ABORT", "Session(Rollback)"),
            ("DISCARD ALL", "Session(Discard)"),
            ("UNLISTEN *", "Session(Empty)"),
            ("DEALLOCATE PREPARE ALL", "Session(Deallocate { name: None })"),
            ("DEALLOCATE \"S_1\"", r#"Session(Deallocate { name: Some("S_1") })"#),
            ("DECLARE c NO SCROLL CURSOR WITH HOLD FOR SELECT 1", r#"Session(Declare { cursor: "c", sql: "SELECT 1" })"#),
            ("FETCH FORWARD 100 FROM c", r#"Session(Fetch { cursor: "c", rows: Some(100) })"#),
            ("FETCH ALL IN c", r#"Session(Fetch { cursor: "c", rows: None })"#),
            ("FETCH c", r#"Session(Fetch { cursor: "c", rows: Some(1) })"#),
            ("FETCH 5 c", r#"Session(Fetch { cursor: "c", rows: Some(5) })"#),
            ("CLOSE ALL", "Session(Close { cursor: None })"),
            ("CLOSE c", r#"Session(Close { cursor: Some("c") })"#),
        ] {
            assert_eq!(told(sql), what, "{sql}");
        }
        for sql in [
            "FETCH BACKWARD 1 FROM c",
            "FETCH PRIOR FROM c",
            "DECLARE c CURSOR FOR DELETE FROM t",
            "DECLARE c CURSOR FOR BEGIN",
            "SET x",
            "SET = 1",
            "SET all = 1",
            "BEGIN nothing",
            "COMMIT now",
        ] {
            assert!(read(sql).is_err(), "{sql}: {}", told(sql));
        }
    }

    #[test]
    fn match_is_read_as_a_function() {
        assert_eq!(
            told("SELECT alert_id FROM search.alerts WHERE NOT match(message, 'a') AND match(title, 'b AND c') ORDER BY score() DESC"),
            "SELECT alert_id FROM search.alerts WHERE NOT match(message, 'a') AND match(title, 'b AND c') ORDER BY _score DESC"
        );
    }
}
