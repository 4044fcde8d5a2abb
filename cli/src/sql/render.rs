//! One result, from the stream of record batches to the bytes of a format.
//!
//! What must stay true: a result is never held whole, whatever its length: each batch is written before the next is asked
//! for, a table stops after [`TABLE_ROWS`] rows, and dropping the future (Ctrl-C) drops the stream, which cancels the query.
//! The choice of format changes how values are written, never which.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, ArrayRef, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::EncoderOptions;
use arrow::json::writer::{JsonArray, LineDelimited, make_encoder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::{Stream, StreamExt};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::connection::Connection;
use super::output::{self, Destination, Output};
use super::statement;
use super::table::{self, Column, Look, Table};
use super::{Format, SqlError};

/// Rows after which a table ends with a note: nobody reads more, and a terminal keeps no more.
const TABLE_ROWS: usize = 10_000;
/// What a Parquet row group may take in memory before it is written.
const ROW_GROUP_BYTES: usize = 64 * 1024 * 1024;

/// What is to become of a result.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    /// How it is written.
    pub(super) format: Format,
    /// Where to.
    pub(super) destination: &'a Destination,
    /// Whether to say how long it took.
    pub(super) timing: bool,
}

/// How a result ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// All of it was written.
    Complete,
    /// Whoever read it wanted no more, as in `| head`: no failure, but nothing more can be written.
    ReaderGone,
}

/// Runs one statement and writes its result, until it is written or Ctrl-C is pressed.
///
/// # Errors
/// [`SqlError`]; [`SqlError::Cancelled`] for Ctrl-C.
pub(super) async fn run(connection: &Connection, sql: &str, request: Request<'_>) -> Result<Ended, SqlError> {
    tokio::select! {
        // First, so that the signal is listened for before the query begins.
        biased;
        Ok(()) = tokio::signal::ctrl_c() => {
            connection.cancel().await;
            Err(SqlError::Cancelled)
        }
        ended = execute(connection, sql, request) => ended,
    }
}

async fn execute(connection: &Connection, sql: &str, request: Request<'_>) -> Result<Ended, SqlError> {
    let started = Instant::now();
    let mut result = connection.query(sql).await?;
    for notice in &result.notices {
        say_notice(notice);
    }
    let schema: SchemaRef = Arc::clone(&result.schema);
    if schema.fields().is_empty() {
        // `SET` and its kind: there is nothing to write, in no format.
        while let Some(batch) = result.stream.next().await {
            batch.map_err(SqlError::Query)?;
        }
        if result.notices.is_empty() {
            anstream::eprintln!("OK");
        }
        return Ok(Ended::Complete);
    }
    let look = look(request, sql);
    let target = request.destination.to_string();
    let failed = |reason: String| SqlError::Write { target: target.clone(), reason };
    let (output, pending) = output::open(request.destination, look.styled).map_err(|error| failed(error.to_string()))?;
    let gone = output.reader_gone();
    let outcome = match Body::open(request.format, &schema, output, look) {
        Ok(body) => copy(&mut result.stream, body, started, request.timing).await,
        Err(reason) => Err(Failure::Write(reason)),
    };
    match outcome {
        Ok(rows) => {
            for notice in result.late.await {
                say_notice(&notice);
            }
            pending.commit().map_err(|error| failed(error.to_string()))?;
            say_done(request, rows, started.elapsed());
            Ok(Ended::Complete)
        }
        Err(_) if gone.get() => Ok(Ended::ReaderGone),
        Err(Failure::Query(message)) => Err(SqlError::Query(message)),
        Err(Failure::Write(reason)) => Err(failed(reason)),
    }
}

enum Failure {
    Query(String),
    Write(String),
}

/// Writes the stream's batches as they come; gives the number of rows that were written.
async fn copy<S, E>(stream: &mut S, mut body: Body, started: Instant, timing: bool) -> Result<usize, Failure>
where
    S: Stream<Item = Result<RecordBatch, E>> + Unpin,
    E: ToString,
{
    let mut rows = 0;
    let mut more = false;
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(|error| Failure::Query(error.to_string()))?;
        let taken = batch.num_rows().min(body.most_rows() - rows);
        if taken > 0 {
            body.write(&batch.slice(0, taken)).map_err(Failure::Write)?;
            rows += taken;
        }
        more = taken < batch.num_rows();
        if more {
            break;
        }
        // A stream that is always ready must still let Ctrl-C be seen.
        tokio::task::yield_now().await;
    }
    let elapsed = timing.then(|| started.elapsed());
    body.finish(rows, more, elapsed).map_err(Failure::Write)?;
    Ok(rows)
}

/// A format's writer over the output. Errors are messages: nothing is decided by their kind.
enum Body {
    Table(Box<Table>, Output),
    Csv(Box<arrow::csv::Writer<Output>>),
    Json(arrow::json::Writer<Output, JsonArray>),
    Ndjson(arrow::json::Writer<Output, LineDelimited>),
    Parquet(Box<ArrowWriter<Output>>),
}

impl Body {
    fn open(format: Format, schema: &SchemaRef, output: Output, look: Look) -> Result<Self, String> {
        // A row says `null` rather than lacking the key: each row then has the same keys.
        let json = || arrow::json::WriterBuilder::new().with_explicit_nulls(true);
        Ok(match format {
            Format::Table => Self::Table(Box::new(Table::new(columns(schema), look)), output),
            Format::Csv => {
                let mut writer = arrow::csv::WriterBuilder::new().build(output);
                // The header stands over no rows, too.
                let empty = flat(&RecordBatch::new_empty(Arc::clone(schema))).map_err(|error| error.to_string())?;
                writer.write(&empty).map_err(|error| error.to_string())?;
                Self::Csv(Box::new(writer))
            }
            Format::Json => Self::Json(json().build(output)),
            Format::Ndjson => Self::Ndjson(json().build(output)),
            Format::Parquet => {
                let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).set_max_row_group_bytes(Some(ROW_GROUP_BYTES)).build();
                let writer = ArrowWriter::try_new(output, Arc::clone(schema), Some(properties)).map_err(|error| error.to_string())?;
                Self::Parquet(Box::new(writer))
            }
        })
    }

    /// The rows after which nothing more is taken.
    fn most_rows(&self) -> usize {
        match self {
            Self::Table(..) => TABLE_ROWS,
            _ => usize::MAX,
        }
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), String> {
        match self {
            Self::Table(table, output) => write_cells(table, output, batch),
            Self::Csv(writer) => flat(batch).and_then(|batch| writer.write(&batch)).map_err(|error| error.to_string()),
            Self::Json(writer) => writer.write(batch).map_err(|error| error.to_string()),
            Self::Ndjson(writer) => writer.write(batch).map_err(|error| error.to_string()),
            Self::Parquet(writer) => writer.write(batch).map_err(|error| error.to_string()),
        }
    }

    /// Writes what a format ends with, and everything that is still buffered.
    fn finish(self, rows: usize, more: bool, elapsed: Option<Duration>) -> Result<(), String> {
        let text = |error: std::io::Error| error.to_string();
        match self {
            Self::Table(mut table, mut output) => {
                table.finish(&mut output).map_err(text)?;
                if more {
                    writeln!(output, "… more rows; use --format csv").map_err(text)?;
                }
                writeln!(output, "{}", summary(rows, elapsed)).map_err(text)?;
                output.flush().map_err(text)
            }
            // Flushed with each batch.
            Self::Csv(_) => Ok(()),
            Self::Json(mut writer) => {
                writer.finish().map_err(|error| error.to_string())?;
                let output = writer.get_mut();
                output.write_all(b"\n").and_then(|()| output.flush()).map_err(text)
            }
            Self::Ndjson(mut writer) => {
                writer.finish().map_err(|error| error.to_string())?;
                writer.get_mut().flush().map_err(text)
            }
            Self::Parquet(writer) => {
                let mut output = writer.into_inner().map_err(|error| error.to_string())?;
                output.flush().map_err(text)
            }
        }
    }
}

fn columns(schema: &Schema) -> Vec<Column> {
    let column = |field: &FieldRef| {
        let number = field.data_type().is_numeric();
        Column { name: field.name().clone(), right: number, cuttable: !number && !field.data_type().is_temporal() }
    };
    schema.fields().iter().map(column).collect()
}

fn write_cells(table: &mut Table, output: &mut Output, batch: &RecordBatch) -> Result<(), String> {
    let batch = flat(batch).map_err(|error| error.to_string())?;
    let options = FormatOptions::default();
    let mut readers = Vec::with_capacity(batch.num_columns());
    for column in batch.columns() {
        let formatter = ArrayFormatter::try_new(column.as_ref(), &options).map_err(|error| error.to_string())?;
        readers.push((column.logical_nulls(), formatter));
    }
    for row in 0..batch.num_rows() {
        let mut cells = Vec::with_capacity(readers.len());
        for (nulls, formatter) in &readers {
            let null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
            cells.push(if null { None } else { Some(formatter.value(row).try_to_string().map_err(|error| error.to_string())?) });
        }
        table.push(cells, output).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// The batch with lists, structs and maps as their JSON text, for the formats that have no such thing.
fn flat(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    if !schema.fields().iter().any(|field| field.data_type().is_nested()) {
        return Ok(batch.clone());
    }
    let mut fields = Vec::with_capacity(batch.num_columns());
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        if field.data_type().is_nested() {
            fields.push(Arc::new(Field::new(field.name(), DataType::Utf8, true)));
            columns.push(json_text(field, column)?);
        } else {
            fields.push(Arc::clone(field));
            columns.push(Arc::clone(column));
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn json_text(field: &FieldRef, column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let mut encoder = make_encoder(field, column.as_ref(), &options)?;
    let mut texts = StringBuilder::new();
    let mut bytes = Vec::new();
    for row in 0..column.len() {
        if encoder.is_null(row) {
            texts.append_null();
        } else {
            bytes.clear();
            encoder.encode(row, &mut bytes);
            texts.append_value(String::from_utf8_lossy(&bytes));
        }
    }
    Ok(Arc::new(texts.finish()))
}

/// Styles and the terminal's width count only where a table is shown on a terminal; a plan is never cut.
fn look(request: Request<'_>, sql: &str) -> Look {
    if request.format != Format::Table || *request.destination != Destination::Screen {
        return Look::default();
    }
    let look = screen_look();
    if statement::is_explain(sql) { Look { width: None, ..look } } else { look }
}

/// How tables may look on standard output.
pub(super) fn screen_look() -> Look {
    let stdout = std::io::stdout();
    let styled = anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never;
    let width = if stdout.is_terminal() { terminal_size::terminal_size_of(&stdout).map(|(width, _)| usize::from(width.0)) } else { None };
    Look { styled, width }
}

fn summary(rows: usize, elapsed: Option<Duration>) -> String {
    let mut text = format!("({rows} {}", if rows == 1 { "row" } else { "rows" });
    if let Some(elapsed) = elapsed {
        text.push_str(", ");
        text.push_str(&duration(elapsed));
    }
    text.push(')');
    text
}

/// A duration as a person says it: `3.4 ms`, `34 ms`, `1.25 s`, `2 min 5 s`.
fn duration(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    if seconds < 0.01 {
        format!("{:.1} ms", seconds * 1_000.0)
    } else if seconds < 0.9995 {
        format!("{:.0} ms", seconds * 1_000.0)
    } else if seconds < 60.0 {
        format!("{seconds:.2} s")
    } else {
        format!("{} min {} s", elapsed.as_secs() / 60, elapsed.as_secs() % 60)
    }
}

fn say_notice(notice: &str) {
    let style = anstyle::AnsiColor::Yellow.on_default();
    anstream::eprintln!("{style}NOTICE:{style:#} {}", table::printable(notice));
}

/// What a person who looks on wants to know, and no program: a table has said it in its last line.
fn say_done(request: Request<'_>, rows: usize, elapsed: Duration) {
    let elapsed = request.timing.then_some(elapsed);
    match request.destination.path() {
        Some(path) if request.timing || std::io::stderr().is_terminal() => {
            anstream::eprintln!("{} written to {}", summary(rows, elapsed), path.display());
        }
        None if request.timing && request.format != Format::Table => anstream::eprintln!("{}", summary(rows, elapsed)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
