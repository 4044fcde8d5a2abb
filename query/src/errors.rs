//! What can go wrong with a query, said to the analyst who wrote it: what, where, and what to try.
//!
//! What must stay true: every failure of DataFusion, Arrow or a store ends in one [`QueryError`]; one that a scan made travels
//! through DataFusion unchanged; a record's content is in a message only where it could not be converted as the query asks, so that messages are
//! for who asked, and never for the log.

use std::fmt;

use arrow::error::ArrowError;
use datafusion::common::utils::datafusion_strsim::levenshtein;
use datafusion::common::{Column, DataFusionError, Diagnostic, SchemaError};
use wh_schemas::arrow::SCORE_COLUMN;

use crate::catalog::PATH;
use crate::engine::SPILL_BYTES;
use crate::sentences::{self, Said};
use crate::unknown;

/// Why there is no answer, or why it ends early.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The statement cannot be read.
    #[error("{}{message}{}", Place(*line, *column), Try(hint.as_deref()))]
    Syntax {
        /// What is wrong.
        message: String,
        /// Line of the statement, from 1, where it is known.
        line: Option<u64>,
        /// Column of that line, from 1.
        column: Option<u64>,
        /// What to try.
        hint: Option<String>,
    },
    /// The statement can be read but makes no sense, or a value in it cannot be computed.
    #[error("{}{message}{}", Place(*line, *column), Try(hint.as_deref()))]
    Invalid {
        /// What is wrong.
        message: String,
        /// Line of the statement, from 1, where it is known.
        line: Option<u64>,
        /// Column of that line, from 1.
        column: Option<u64>,
        /// What to try.
        hint: Option<String>,
    },
    /// A name that nothing has.
    #[error("{}there is no {what} {name}{}", Place(*line, *column), Nearest(nearest))]
    Unknown {
        /// `table`, `column` or `function`.
        what: &'static str,
        /// The name as the statement has it.
        name: String,
        /// Names that are like it, the likest first.
        nearest: Vec<String>,
        /// Line of the statement, from 1, where it is known.
        line: Option<u64>,
        /// Column of that line, from 1.
        column: Option<u64>,
    },
    /// A name that something has already.
    #[error("there is a {what} {name} already: {remedy}")]
    Exists {
        /// What it would be the name of.
        what: &'static str,
        /// The name as the statement has it.
        name: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// What this SQL does not do.
    #[error("{message}{}", Try(hint.as_deref()))]
    Refused {
        /// What is not done.
        message: String,
        /// What to try.
        hint: Option<String>,
    },
    /// What would write.
    #[error("Wardhouse's SQL only reads: {what} is not allowed")]
    ReadOnly {
        /// The statement's first words.
        what: String,
    },
    /// A setting that there is not, or a value that it cannot have.
    #[error("{message}{}", Try(hint.as_deref()))]
    Setting {
        /// What is wrong.
        message: String,
        /// What to try.
        hint: Option<String>,
        /// Whether there is such a setting.
        known: bool,
    },
    /// A statement that is too long, too deep or too wide to be planned in bounded time and memory.
    #[error("{message}")]
    TooComplex {
        /// Which bound it does not keep.
        message: String,
    },
    /// A value, or the values of a batch, that a function may not give.
    #[error("{message}")]
    TooLarge {
        /// Which function, and how much.
        message: String,
    },
    /// Somebody cancelled it.
    #[error("canceled on user request")]
    Cancelled,
    /// It ran longer than it may.
    #[error("canceled: it ran longer than statement_timeout allows")]
    Timeout,
    /// More rows than the role may read.
    #[error("the role {role} may read {rows} rows: say LIMIT, group, or ask for less")]
    Limit {
        /// The role.
        role: String,
        /// Its limit.
        rows: u64,
    },
    /// As many queries of the role run as may.
    #[error("{queries} queries of the role {role} run already, and no more may: wait for one to end, or cancel one")]
    TooMany {
        /// The role.
        role: String,
        /// Its limit.
        queries: usize,
    },
    /// As many stores are read at the same time as may be, and none of these scans came to its end.
    #[error("{scans} scans run already, and no more may: read the rows of open portals and cursors, or close them, and ask again")]
    Busy {
        /// How many may run.
        scans: usize,
    },
    /// A store did not answer.
    #[error("{role}: {message}: {remedy}")]
    Store {
        /// Its role.
        role: &'static str,
        /// What failed, on what.
        message: String,
        /// What to do about it.
        remedy: String,
    },
    /// What does not fit into memory was written into the temporary folder, and does not fit there either.
    #[error("sorting, grouping or joining does not fit into memory, and {message}: read fewer columns or rows, group before joining, or {remedy}")]
    Disk {
        /// Why no more can be written.
        message: String,
        /// What the operator can do about it.
        remedy: &'static str,
    },
    /// The query needs more memory than it may have.
    #[error("the query needs more memory than it may have ({message}): read fewer columns or rows, group before joining, or raise sql.memory_mib")]
    Memory {
        /// What asked for how much.
        message: String,
    },
    /// A mistake of Wardhouse's own.
    #[error("this statement cannot be answered, by a mistake of the engine: {message}")]
    Internal {
        /// What was not expected.
        message: String,
    },
}

struct Place(Option<u64>, Option<u64>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (Some(line), Some(column)) => write!(f, "line {line}, column {column}: "),
            _ => Ok(()),
        }
    }
}

struct Try<'a>(Option<&'a str>);

impl fmt::Display for Try<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |hint| write!(f, "\n{hint}"))
    }
}

struct Nearest<'a>(&'a [String]);

impl fmt::Display for Nearest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "; did you mean {}?", self.0.join(", ")) }
    }
}

impl QueryError {
    /// A mistake of Wardhouse's own.
    pub(crate) fn internal(message: impl fmt::Display) -> QueryError {
        QueryError::Internal { message: message.to_string() }
    }

    /// What a failure of DataFusion says, `tables` being the names that a table might have had.
    pub(crate) fn told(error: &DataFusionError, tables: &[String]) -> QueryError {
        let diagnostic = error.diagnostic();
        let span = diagnostic.and_then(|d| d.span);
        let (line, column) = span.map_or((None, None), |span| (Some(span.start.line), Some(span.start.column)));
        let first = error.iter().next().unwrap_or(error);
        match first.find_root() {
            DataFusionError::External(inner) => match inner.downcast_ref::<QueryError>() {
                Some(told) => told.clone(),
                // Several lines that draw where the fault is, the last of which says what it is.
                None if inner.to_string().starts_with("regex parse error") => {
                    let text = inner.to_string();
                    let fault = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
                    QueryError::Invalid { message: format!("invalid regular expression: {fault}"), line, column, hint: None }
                }
                None => QueryError::internal(inner),
            },
            DataFusionError::SQL(parser, note) => syntax(&parser.to_string(), note.as_deref().unwrap_or_default()),
            DataFusionError::SchemaError(schema, _) => in_schema(schema, line, column),
            DataFusionError::Plan(message) => planning(message, tables, line, column, diagnostic),
            DataFusionError::ResourcesExhausted(message) => QueryError::Memory { message: first_line(message) },
            DataFusionError::NotImplemented(message) => not_done(message, line, column),
            DataFusionError::Execution(message) | DataFusionError::Configuration(message) => invalid(message, line, column, diagnostic),
            DataFusionError::Internal(message) => in_the_engine(message, line, column),
            DataFusionError::ArrowError(arrow, _) => match &**arrow {
                // Its own message holds the numbers.
                ArrowError::ArithmeticOverflow(_) => QueryError::Invalid { message: "a number is out of range".to_owned(), line, column, hint: None },
                ArrowError::IoError(message, _) => spilling(message),
                other => invalid(&other.to_string(), line, column, None),
            },
            DataFusionError::IoError(io) => spilling(&io.to_string()),
            other => QueryError::internal(other.strip_backtrace()),
        }
    }
}

impl From<DataFusionError> for QueryError {
    fn from(error: DataFusionError) -> Self {
        QueryError::told(&error, &[])
    }
}

impl From<QueryError> for DataFusionError {
    fn from(error: QueryError) -> Self {
        DataFusionError::External(Box::new(error))
    }
}

/// What a failure to write to a disk says: nothing else is written to one while a query runs.
fn spilling(message: &str) -> QueryError {
    // `FileSpillWriter` in datafusion-execution, and what the C library says of ENOSPC.
    if message.contains("used disk space") {
        let message = format!("the {} GiB that all queries together may write into the temporary folder are used up", SPILL_BYTES >> 30);
        QueryError::Disk { message, remedy: "raise sql.memory_mib" }
    } else if message.contains("No space left on device") {
        QueryError::Disk { message: "the temporary folder is full".to_owned(), remedy: "free space there, or have TMPDIR name another folder" }
    } else {
        QueryError::Disk { message: format!("the temporary folder cannot be used: {}", first_line(message)), remedy: "have TMPDIR name a folder that can be written" }
    }
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().trim_end_matches('.').to_owned()
}

fn help(diagnostic: Option<&Diagnostic>) -> Option<String> {
    diagnostic.and_then(|d| d.helps.first()).map(|h| h.message.clone())
}

/// The parser ends its messages in ` at Line: 1, Column: 8`.
fn syntax(message: &str, note: &str) -> QueryError {
    let message = message.strip_prefix("sql parser error: ").unwrap_or(message);
    if message.starts_with("recursion limit exceeded") {
        return QueryError::TooComplex { message: "the statement is nested too deeply".to_owned() };
    }
    let number = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
    let (text, line, column) = match message.rsplit_once(" at Line: ") {
        Some((text, place)) => (text, number(place), place.split_once("Column: ").and_then(|(_, column)| number(column))),
        None => (message, None, None),
    };
    let hint = text.contains("found: EOF").then(|| "the statement ends too early: is a bracket or quote still open?".to_owned());
    QueryError::Syntax { message: format!("{text}{note}"), line, column, hint }
}

fn in_schema(error: &SchemaError, line: Option<u64>, column: Option<u64>) -> QueryError {
    match error {
        SchemaError::FieldNotFound { field, .. } if field.name == SCORE_COLUMN => {
            QueryError::Invalid { message: "score() works where search.alerts is in FROM".to_owned(), line, column, hint: None }
        }
        SchemaError::FieldNotFound { field, valid_fields } => {
            let names: Vec<String> = valid_fields.iter().map(Column::name).filter(|name| *name != SCORE_COLUMN).map(str::to_owned).collect();
            QueryError::Unknown { what: "column", name: field.flat_name(), nearest: nearest(&field.name, &names), line, column }
        }
        SchemaError::AmbiguousReference { field } => QueryError::Invalid {
            message: format!("the column {} is in more than one of the tables", field.flat_name()),
            line,
            column,
            hint: Some("write the table's name or alias before it".to_owned()),
        },
        other => QueryError::Invalid { message: first_line(&other.to_string()), line, column, hint: None },
    }
}

fn planning(message: &str, tables: &[String], line: Option<u64>, column: Option<u64>, diagnostic: Option<&Diagnostic>) -> QueryError {
    if let Some(name) = message.strip_prefix("table '").and_then(|rest| rest.split_once("' not found")).map(|(name, _)| name) {
        let name = name.strip_prefix("wardhouse.").unwrap_or(name);
        // A name without its schema was looked for along search_path.
        let name = if name.starts_with(PATH) { name.rsplit_once('.').map_or(name, |(_, bare)| bare) } else { name };
        return QueryError::Unknown { what: "table", name: name.to_owned(), nearest: nearest(name, tables), line, column };
    }
    if let Some((name, rest)) = message.strip_prefix("Invalid function '").and_then(|rest| rest.split_once('\'')) {
        let like = rest.split_once("Did you mean '").and_then(|(_, rest)| rest.split_once('\'')).map(|(like, _)| like);
        return unknown::function(name, like, line, column);
    }
    invalid(message, line, column, diagnostic)
}

fn invalid(message: &str, line: Option<u64>, column: Option<u64>, diagnostic: Option<&Diagnostic>) -> QueryError {
    let Said { message, hint } = sentences::of(message);
    QueryError::Invalid { message, line, column, hint: hint.or_else(|| help(diagnostic).map(|help| crate::spelling::message(&help))) }
}

/// What the engine has not: a sentence that says so, or one of a kind of its own.
fn not_done(message: &str, line: Option<u64>, column: Option<u64>) -> QueryError {
    if message.contains("WindowFunction") || message.starts_with("Unsupported SQL type ") {
        return invalid(message, line, column, None);
    }
    let Said { message, hint } = sentences::of(message);
    QueryError::Refused { message, hint }
}

/// The engine takes for a fault of its own what often is one of the statement.
fn in_the_engine(message: &str, line: Option<u64>, column: Option<u64>) -> QueryError {
    let Said { message, hint } = sentences::of(message);
    if hint.is_some() { QueryError::Invalid { message, line, column, hint } } else { QueryError::internal(message) }
}

/// At most three of `names` that are like `name`, the likest first. A table's name is also tried without its schema.
pub(crate) fn nearest(name: &str, names: &[String]) -> Vec<String> {
    let bare = |name: &str| name.rsplit('.').next().unwrap_or(name).to_lowercase();
    let wanted = bare(name);
    let allowed = (wanted.chars().count() / 3).max(2);
    let mut like: Vec<(usize, &String)> = names
        .iter()
        .map(|known| {
            let bare = bare(known);
            let part = bare.len() > 3 && wanted.len() > 3 && (bare.contains(&wanted) || wanted.contains(&bare));
            let distance = levenshtein(&bare, &wanted).min(levenshtein(&known.to_lowercase(), &name.to_lowercase()));
            (if part { distance.min(allowed) } else { distance }, known)
        })
        .filter(|(distance, _)| *distance <= allowed)
        .collect();
    like.sort();
    like.into_iter().take(3).map(|(_, known)| known.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parsers_place_is_taken_out_of_its_text() {
        let error = syntax("sql parser error: Expected: an expression, found: FROM at Line: 2, Column: 15", "");
        assert_eq!(error.to_string(), "line 2, column 15: Expected: an expression, found: FROM");
        let error = syntax("sql parser error: Expected: ), found: EOF", "");
        assert_eq!(error.to_string(), "Expected: ), found: EOF\nthe statement ends too early: is a bracket or quote still open?");
    }

    #[test]
    fn a_misspelt_name_brings_its_neighbours() {
        let tables = ["ledger.transactions".to_owned(), "ledger.risk_alerts".to_owned(), "search.alerts".to_owned(), "baselines.users".to_owned()];
        assert_eq!(nearest("ledger.transaction", &tables), ["ledger.transactions"]);
        assert_eq!(nearest("ledger.alerts", &tables), ["search.alerts", "ledger.risk_alerts"]);
        assert_eq!(nearest("zebra", &tables), Vec::<String>::new());
        let error = planning("table 'wardhouse.ledger.trasactions' not found", &tables, Some(1), Some(15), None);
        assert_eq!(error.to_string(), "line 1, column 15: there is no table ledger.trasactions; did you mean ledger.transactions?");
    }

    #[test]
    fn what_does_not_fit_on_the_disk_says_what_to_do() {
        let limit = "The used disk space during the spilling process has exceeded the allowable limit of 2.0 GB. Please try increasing the config";
        for (message, word) in
            [(limit, "the 2 GiB that all queries together"), ("No space left on device (os error 28)", "the temporary folder is full"), ("denied", "cannot be used")]
        {
            let io = std::io::Error::other(message);
            let error = QueryError::from(DataFusionError::from(ArrowError::IoError(message.to_owned(), io)).context("while sorting"));
            assert!(error.sqlstate() == "53100" && error.to_string().contains(word) && error.hint().is_some(), "{error}");
        }
    }

    #[test]
    fn what_a_store_said_comes_through_datafusion_unchanged() {
        let said = QueryError::Store { role: "ledger", message: "no".into(), remedy: "wait".into() };
        let wrapped = DataFusionError::from(said.clone()).context("while scanning").context("while joining");
        assert_eq!(QueryError::from(wrapped), said);
        assert_eq!(said.to_string(), "ledger: no: wait");
    }
}
