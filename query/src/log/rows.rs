//! The rows of a topic on their way out, whichever log its records are in.
//!
//! What must stay true: the same record gives the same row, byte by byte, over the embedded log and over Kafka.

use std::fmt::Display;

use wh_eventlog::{Headers, Stored};
use wh_schemas::arrow::LETTER_COLUMNS;
use wh_schemas::dead_letter;
use wh_schemas::json::write_string;

use super::dialect::{APPEND_TIME, HEADERS, KEY, LETTER, OFFSET, PARTITION, Place, VALUE};
use crate::batch::{BatchBuilder, Cell};
use crate::errors::QueryError;
use crate::exec::Sink;

/// Rows that are collected into batches and handed over.
pub(crate) struct Rows<'a> {
    projection: &'a [usize],
    batch: BatchBuilder,
    sink: &'a mut Sink,
    misfit: &'a dyn Fn(&dyn Display) -> QueryError,
}

impl<'a> Rows<'a> {
    /// None yet. `misfit` says what it means that a record does not fit the columns.
    pub(crate) fn new(projection: &'a [usize], sink: &'a mut Sink, misfit: &'a dyn Fn(&dyn Display) -> QueryError) -> Result<Rows<'a>, QueryError> {
        let batch = BatchBuilder::new(sink.schema(), sink.batch_rows()).ok_or_else(|| QueryError::internal("a column has a type that no store gives"))?;
        Ok(Rows { projection, batch, sink, misfit })
    }

    /// Where they go.
    pub(crate) fn sink(&self) -> &Sink {
        self.sink
    }

    /// Hands over what there is. Returns `false` when no more rows are wanted.
    pub(crate) fn flush(&mut self) -> Result<bool, QueryError> {
        if self.batch.is_empty() {
            return Ok(true);
        }
        let batch = self.batch.finish().map_err(|error| (self.misfit)(&error))?;
        Ok(self.sink.send(batch))
    }

    /// Adds the record at `place`; `None` where no column is wanted for which it is read. Returns `false` when no more rows are wanted.
    pub(crate) fn push(&mut self, place: Place, stored: Option<&Stored>) -> Result<bool, QueryError> {
        let mut text = String::new();
        for (index, column) in self.projection.iter().enumerate() {
            let cell = match *column {
                PARTITION => Cell::Int(place.partition),
                OFFSET => Cell::Int(place.offset),
                APPEND_TIME => Cell::Int(place.append_time),
                KEY => stored.and_then(|record| record.key.as_ref()).map_or(Cell::Null, |key| Cell::Text(key)),
                VALUE => stored.map_or(Cell::Null, |record| Cell::Text(&record.value)),
                HEADERS => {
                    text.clear();
                    write_headers(stored.map(|record| &record.headers), &mut text);
                    Cell::Text(text.as_bytes())
                }
                other => match other.checked_sub(LETTER).and_then(|at| LETTER_COLUMNS.get(at)) {
                    Some((_, header)) => letter_cell(stored, header),
                    None => return Err(QueryError::internal("a topic has six columns, and that of dead letters those of its headers")),
                },
            };
            if let Err(misfit) = self.batch.push(index, cell) {
                return Err((self.misfit)(&misfit));
            }
        }
        self.batch.end_row();
        if self.batch.is_full() { self.flush() } else { Ok(true) }
    }
}

/// What a header of a dead letter says; NULL where it is not there, or not text.
fn letter_cell<'r>(stored: Option<&'r Stored>, header: &str) -> Cell<'r> {
    let Some(said) = stored.and_then(|record| record.header(header)) else { return Cell::Null };
    if header == dead_letter::ATTEMPTS { said.parse().map_or(Cell::Null, Cell::Int) } else { Cell::Text(said.as_bytes()) }
}

/// Headers as a JSON object; of two with one name the last is kept, what is not UTF-8 shows as U+FFFD.
fn write_headers(headers: Option<&Headers>, out: &mut String) {
    out.push('{');
    let headers = headers.map(Vec::as_slice).unwrap_or_default();
    let mut first = true;
    for (place, (name, value)) in headers.iter().enumerate() {
        if headers.iter().skip(place + 1).any(|(later, _)| later == name) {
            continue;
        }
        if !first {
            out.push(',');
        }
        first = false;
        write_string(name, out);
        out.push(':');
        write_string(&String::from_utf8_lossy(value), out);
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_become_an_object() {
        let headers: Headers = vec![("a".into(), "1".into()), ("b".into(), "x\"y".into()), ("a".into(), "2".into())];
        let mut text = String::new();
        write_headers(Some(&headers), &mut text);
        assert_eq!(text, "{\"b\":\"x\\\"y\",\"a\":\"2\"}");
        text.clear();
        write_headers(None, &mut text);
        assert_eq!(text, "{}");
    }
}
