//! A CSV that is held in memory, row by row: what an import reads of it, for tests that look at each row.
//!
//! What must stay true: rows, cells and objects are made by what an import makes them by; nothing is decided here.

use std::io::Cursor;

use super::csv::{Columns, Row, RowFault, Rows};
use super::source::{Line, Lines};

/// What an import reads of a CSV.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsvRead {
    /// Every line up to the header row and it, with their ends.
    pub header: Vec<u8>,
    /// What stands behind it.
    pub rows: Vec<CsvRow>,
}

/// One row, over one line or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvRow {
    /// Number of its first line, from 1.
    pub line: u64,
    /// Its bytes with its line ends, cut where it is too long to be held.
    pub bytes: Vec<u8>,
    /// All its bytes, counted.
    pub length: u64,
    /// What it becomes.
    pub outcome: CsvOutcome,
}

/// What a row becomes before its fields are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CsvOutcome {
    /// Nothing: it is blank.
    Blank,
    /// The object that is validated and produced.
    Object(String),
    /// Too long to be held.
    TooLong,
    /// A quote is not closed.
    OpenQuote,
    /// It is not UTF-8.
    InvalidUtf8,
    /// Another number of cells than the header's.
    Ragged,
}

/// Reads a CSV.
///
/// # Errors
/// What is wrong with its header row, to be read behind `the header row`.
pub fn read_csv(content: &[u8]) -> Result<CsvRead, String> {
    let mut lines = Lines::new(Box::new(Cursor::new(content.to_vec())));
    let (mut read, mut header) = (CsvRead::default(), Line::default());
    while header.text().trim_ascii().is_empty() {
        if !lines.next(&mut header).map_err(|error| error.to_string())? {
            return Err("is not there: the file is empty".to_owned());
        }
        read.header.extend_from_slice(&header.bytes);
    }
    let columns = Columns::of(header.text())?;
    let (mut rows, mut row, mut json) = (Rows::new(lines, columns.delimiter), Row::default(), String::new());
    while rows.next(&mut row).map_err(|error| error.to_string())? {
        let outcome = match (row.fault, std::str::from_utf8(row.text())) {
            (Some(RowFault::TooLong), _) => CsvOutcome::TooLong,
            (Some(RowFault::OpenQuote), _) => CsvOutcome::OpenQuote,
            (None, _) if row.text().trim_ascii().is_empty() => CsvOutcome::Blank,
            (None, Err(_)) => CsvOutcome::InvalidUtf8,
            (None, Ok(text)) => match columns.write_json(text, &mut json) {
                Ok(()) => CsvOutcome::Object(json.clone()),
                Err(_) => CsvOutcome::Ragged,
            },
        };
        read.rows.push(CsvRow { line: row.line, bytes: row.bytes().to_vec(), length: row.length, outcome });
    }
    Ok(read)
}
