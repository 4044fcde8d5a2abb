//! The command `wardhouse sql`: one statement and its result, or a shell of them.
//!
//! It exists for the analyst at a terminal; everything that a query means is `wh_query`'s. What must stay true: this module
//! sends SQL and writes what comes back, and neither reads the SQL's meaning nor changes a value; results are written as they
//! come, never held whole; what a person is told goes to standard error, so that standard output is the result alone.
//!
//! - [`statement`], [`complete`], [`commands`], [`table`]: pure, tested without a terminal
//! - [`output`], [`render`], [`shell`]: the files, the query and the terminal
//! - [`connection`], [`remote`]: the stores themselves, or a server that runs

mod commands;
mod complete;
mod connection;
mod output;
mod remote;
mod render;
mod shell;
mod statement;
mod table;

use std::path::PathBuf;

use output::Destination;
use render::{Ended, Request};

pub(crate) use connection::Connection;
pub(crate) use remote::Remote;

/// How a result is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns for people, at most 10,000 rows
    #[default]
    Table,
    /// RFC 4180 with a header; lines end in a line feed, NULL is an empty field
    Csv,
    /// One JSON array of objects
    Json,
    /// One JSON object a line
    Ndjson,
    /// A Parquet file, zstd; needs --output
    Parquet,
}

/// What is to become of results.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunOptions {
    /// How they are written.
    pub(crate) format: Format,
    /// The file to write to, in place of standard output.
    pub(crate) output: Option<PathBuf>,
    /// Whether to say how long each took.
    pub(crate) timing: bool,
}

/// Why a statement has no result. Messages are for the person who typed it.
#[derive(Debug, thiserror::Error)]
enum SqlError {
    /// The engine refused the statement, or failed at it.
    #[error("{0}")]
    Query(String),
    /// The result could not be written in this format to this place.
    #[error("cannot write to {target}: {reason}")]
    Write { target: String, reason: String },
    /// What was asked for cannot be done.
    #[error("{0}")]
    Usage(String),
    /// The terminal could not be read.
    #[error("cannot read what is typed: {0}")]
    Input(String),
    /// Ctrl-C.
    #[error("cancelled")]
    Cancelled,
}

impl miette::Diagnostic for SqlError {}

/// Runs the statements of `sql`, one after the other, and writes their results.
///
/// With `output` there may be one statement only; its file appears when the result is whole. A reader that stops reading
/// (`| head`) ends the run as a success.
///
/// # Errors
/// When a statement fails, its result cannot be written, Ctrl-C is pressed, or the options don't go together.
pub(crate) async fn run_once(connection: &Connection, sql: &str, options: &RunOptions) -> miette::Result<()> {
    let statements = statement::all(sql);
    check(&statements, options)?;
    let destination = options.output.clone().map_or(Destination::Screen, Destination::Replace);
    let request = Request { format: options.format, destination: &destination, timing: options.timing };
    for sql in statements {
        if render::run(connection, sql, request).await? == Ended::ReaderGone {
            break;
        }
    }
    Ok(())
}

/// The shell: reads statements and commands until it is told to quit. Blocks, and must be called outside the runtime's own
/// threads; the runtime must be a multi-threaded one, since Ctrl-C is heard by its driver.
///
/// Standard input should be a terminal; statements from a pipe are for [`run_once`].
///
/// # Errors
/// When the terminal cannot be read, or the options don't go together.
pub(crate) fn interactive(connection: Connection, runtime: &tokio::runtime::Handle, history: Option<PathBuf>, options: RunOptions) -> miette::Result<()> {
    shell::run(connection, runtime.clone(), history, options)?;
    Ok(())
}

/// Refuses, before any query is run, what could not be written afterwards.
fn check(statements: &[&str], options: &RunOptions) -> Result<(), SqlError> {
    let fault = if statements.is_empty() {
        "there is no statement to run"
    } else if options.format == Format::Parquet && options.output.is_none() {
        "a Parquet result is a file: name it with --output FILE"
    } else if options.output.is_some() && statements.len() > 1 {
        "one file holds the result of one statement: run them one by one, each with its own --output"
    } else {
        return Ok(());
    };
    Err(SqlError::Usage(fault.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(format: Format, output: Option<&str>) -> RunOptions {
        RunOptions { format, output: output.map(PathBuf::from), timing: false }
    }

    #[test]
    fn parquet_without_a_file_is_refused_before_the_query() {
        let refused = check(&["SELECT 1"], &options(Format::Parquet, None)).unwrap_err();
        assert!(refused.to_string().contains("--output FILE"));
        assert!(check(&["SELECT 1"], &options(Format::Parquet, Some("a.parquet"))).is_ok());
    }

    #[test]
    fn two_statements_never_share_a_file() {
        assert!(check(&["SELECT 1", "SELECT 2"], &options(Format::Csv, Some("a.csv"))).is_err());
        assert!(check(&["SELECT 1", "SELECT 2"], &options(Format::Csv, None)).is_ok());
    }

    #[test]
    fn nothing_to_run_is_a_fault() {
        assert!(check(&[], &options(Format::Table, None)).is_err());
    }
}
