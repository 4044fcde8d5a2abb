//! CSV rows as the JSON objects that validation takes.
//!
//! Rows are told apart here and not by the `csv` crate, which reads the cells of each: a row is held only up to a limit,
//! its bytes are what the reject file shows, and a quote that is never closed costs its own line and not the rest of the file.
//! What must stay true: no line is lost between rows, and no cell that is not empty is left out of the object.

use std::io;

use ::csv::{ReaderBuilder, StringRecord, Terminator};
use serde_json::value::RawValue;
use wh_schemas::json::write_string;

use super::source::{Line, Lines, MAX_LINE_BYTES, without_line_end};

/// The fields that a row must have.
const REQUIRED: [&str; 7] = ["transaction_id", "timestamp", "user_id", "account_id", "department", "transaction_type", "amount"];

/// What is wrong with a row before its fields are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowFault {
    /// Longer than [`MAX_LINE_BYTES`].
    TooLong,
    /// A quote that is not closed within [`MAX_LINE_BYTES`] or the file; the row is its first line.
    OpenQuote,
}

/// One row as it stands in the file, over one line or several.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// Number of its first line.
    pub(super) line: u64,
    /// Its bytes, line ends included.
    bytes: Vec<u8>,
    /// All its bytes, counted.
    pub(super) length: u64,
    pub(super) fault: Option<RowFault>,
}

impl Row {
    /// With the line ends, as far as it is held.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Without the line end.
    pub(super) fn text(&self) -> &[u8] {
        without_line_end(&self.bytes)
    }
}

/// The rows of a CSV.
pub(super) struct Rows {
    lines: Lines,
    delimiter: u8,
    line: Line,
}

impl Rows {
    pub(super) fn new(lines: Lines, delimiter: u8) -> Rows {
        Rows { lines, delimiter, line: Line::default() }
    }

    /// The lines that rows are made of.
    pub(super) fn lines(&mut self) -> &mut Lines {
        &mut self.lines
    }

    /// Reads the next row into `row`; `false` at the end of the input.
    pub(super) fn next(&mut self, row: &mut Row) -> io::Result<bool> {
        if !self.lines.next(&mut self.line)? {
            return Ok(false);
        }
        row.line = self.line.number;
        row.length = self.line.length;
        row.fault = self.line.is_cut().then_some(RowFault::TooLong);
        row.bytes.clear();
        row.bytes.extend_from_slice(&self.line.bytes);
        let mut quotes = Quotes { delimiter: self.delimiter, place: Place::Start };
        if row.fault.is_some() || !quotes.are_open_after(&row.bytes) {
            return Ok(true);
        }
        let first = row.bytes.len();
        let mut following: Vec<Line> = Vec::new();
        let mut is_alone = self.line.alone;
        while !is_alone {
            let mut line = Line::default();
            if !self.lines.next(&mut line)? {
                break;
            }
            is_alone = line.is_cut() || row.bytes.len() as u64 + line.length > MAX_LINE_BYTES;
            row.bytes.extend_from_slice(&line.bytes);
            row.length += line.length;
            let closed = !quotes.are_open_after(&line.bytes);
            if closed && !is_alone {
                return Ok(true);
            }
            following.push(line);
        }
        // Never closed: the lines behind the first are rows of their own, each alone, so that none is read a third time.
        row.bytes.truncate(first);
        row.length = first as u64;
        row.fault = Some(RowFault::OpenQuote);
        for line in following.into_iter().rev() {
            self.lines.put_back(Line { alone: true, ..line });
        }
        Ok(true)
    }
}

#[derive(Clone, Copy)]
enum Place {
    Start,
    Bare,
    Quoted,
    Closed,
}

/// Whether a row goes on behind a line end: quoting as the `csv` crate has it.
struct Quotes {
    delimiter: u8,
    place: Place,
}

impl Quotes {
    fn are_open_after(&mut self, line: &[u8]) -> bool {
        if !line.contains(&b'"') {
            return matches!(self.place, Place::Quoted);
        }
        for byte in line {
            self.place = match (self.place, *byte) {
                (Place::Quoted, b'"') => Place::Closed,
                (Place::Quoted, _) | (Place::Start | Place::Closed, b'"') => Place::Quoted,
                (_, byte) if byte == self.delimiter || byte == b'\n' => Place::Start,
                _ => Place::Bare,
            };
        }
        matches!(self.place, Place::Quoted)
    }
}

/// What the cells of a column become: the beginning of a JSON member, its name and a colon.
#[derive(Debug, PartialEq, Eq)]
enum Column {
    /// A string.
    Text(String),
    /// A number where it is one, else a string for validation to name.
    Amount(String),
    /// The object `metadata`, where it is one.
    Metadata,
    /// A string inside `metadata`.
    Inside(String),
}

/// What a header row says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Columns {
    /// What separates cells.
    pub(super) delimiter: u8,
    columns: Vec<Column>,
}

impl Columns {
    /// Reads a header row.
    ///
    /// # Errors
    /// What is wrong with it, to be read behind `the header row of FILE`.
    pub(super) fn of(header: &[u8]) -> Result<Columns, String> {
        if std::str::from_utf8(header).is_err() {
            return Err("is not UTF-8: convert the file first, e.g. `iconv -f WINDOWS-1252 -t UTF-8`".to_owned());
        }
        let count = |delimiter: u8| header.iter().filter(|byte| **byte == delimiter).count();
        let delimiter = [b';', b'\t'].into_iter().fold(b',', |best, other| if count(other) > count(best) { other } else { best });
        let cells = cells(header, delimiter).unwrap_or_default();
        let mut names: Vec<String> = Vec::with_capacity(cells.len());
        for (cell, number) in cells.iter().zip(1..) {
            let name = if cell.trim().is_empty() { format!("column_{number}") } else { cell.trim().to_owned() };
            if names.contains(&name) {
                return Err(format!("names the column {name} twice: rename or remove one"));
            }
            names.push(name);
        }
        let missing: Vec<&str> = REQUIRED.into_iter().filter(|field| !names.iter().any(|name| name == field)).collect();
        if !missing.is_empty() {
            return Err(format!("names no column {}: it must name {}", missing.join(", "), REQUIRED.join(", ")));
        }
        let column = |name: &String| match name.strip_prefix("metadata.") {
            Some(inside) if !inside.is_empty() => Column::Inside(member(inside)),
            _ if name == "metadata" => Column::Metadata,
            _ if name == "amount" => Column::Amount(member(name)),
            _ => Column::Text(member(name)),
        };
        Ok(Columns { delimiter, columns: names.iter().map(column).collect() })
    }

    /// How many cells a row must have.
    pub(super) fn len(&self) -> usize {
        self.columns.len()
    }

    /// Writes a row as a JSON object.
    ///
    /// # Errors
    /// The number of its cells, where it is another than the header's.
    pub(super) fn write_json(&self, row: &str, out: &mut String) -> Result<(), usize> {
        let cells = cells(row.as_bytes(), self.delimiter).unwrap_or_default();
        if cells.len() != self.columns.len() {
            return Err(cells.len());
        }
        let mut metadata = None;
        let mut inside = String::new();
        out.clear();
        out.push('{');
        for (column, cell) in self.columns.iter().zip(&cells).filter(|(_, cell)| !cell.trim().is_empty()) {
            match column {
                Column::Text(name) => {
                    push_name(name, out);
                    write_string(cell, out);
                }
                Column::Amount(name) => {
                    push_name(name, out);
                    if is_number(cell.trim()) { out.push_str(cell.trim()) } else { write_string(cell, out) }
                }
                Column::Metadata => metadata = Some(cell),
                Column::Inside(name) => {
                    if !inside.is_empty() {
                        inside.push(',');
                    }
                    inside.push_str(name);
                    write_string(cell, &mut inside);
                }
            }
        }
        if metadata.is_some() || !inside.is_empty() {
            push_name("\"metadata\":", out);
            write_metadata(metadata, &inside, out);
        }
        out.push('}');
        Ok(())
    }
}

fn cells(row: &[u8], delimiter: u8) -> ::csv::Result<StringRecord> {
    let mut record = StringRecord::new();
    let mut builder = ReaderBuilder::new();
    // A row without quotes around it holds no line end: what stands here is one row, whatever it holds.
    builder.has_headers(false).flexible(true).delimiter(delimiter).terminator(Terminator::Any(b'\n')).buffer_capacity(row.len().clamp(64, 64 * 1024));
    builder.from_reader(row).read_record(&mut record)?;
    Ok(record)
}

fn member(name: &str) -> String {
    let mut text = String::new();
    write_string(name, &mut text);
    text.push(':');
    text
}

fn push_name(name: &str, out: &mut String) {
    if !out.ends_with('{') {
        out.push(',');
    }
    out.push_str(name);
}

fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) && serde_json::from_str::<&RawValue>(text).is_ok()
}

/// The cell `metadata` as it is where it is an object, with the members of `inside` added; else as a string, which
/// validation names as no object.
fn write_metadata(cell: Option<&str>, inside: &str, out: &mut String) {
    let cell = cell.unwrap_or("{}");
    let object = cell.trim();
    if !object.starts_with('{') || serde_json::from_str::<&RawValue>(object).is_err() {
        write_string(cell, out);
        return;
    }
    let members = object.strip_suffix('}').unwrap_or(object);
    out.push_str(members);
    if !inside.is_empty() && !members.trim_end().ends_with('{') {
        out.push(',');
    }
    out.push_str(inside);
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "amount,transaction_id,timestamp,user_id,account_id,department,transaction_type,metadata,metadata.shift,note";

    fn json(row: &str) -> Result<String, usize> {
        let mut out = String::new();
        Columns::of(HEADER.as_bytes()).unwrap().write_json(row, &mut out).map(|()| out)
    }

    #[test]
    fn a_row_becomes_an_object_with_its_amount_digit_by_digit() {
        let expected = r#"{"amount":12.50,"transaction_id":"T,1","timestamp":"2026-03-01T08:30:00Z","user_id":"U","account_id":"A","department":"IT","transaction_type":"billing","note":"say \"hi\"","metadata":{"a": 1,"shift":"night"}}"#;
        assert_eq!(json(r#" 12.50 ,"T,1",2026-03-01T08:30:00Z,U,A,IT,billing,"{""a"": 1}",night,"say ""hi""""#).unwrap(), expected);
    }

    #[test]
    fn empty_cells_are_absent_and_what_is_no_number_or_object_stays_text() {
        assert_eq!(
            json(r#""1,000",T,,U,A,IT,billing,{},, "#).unwrap(),
            r#"{"amount":"1,000","transaction_id":"T","user_id":"U","account_id":"A","department":"IT","transaction_type":"billing","metadata":{}}"#
        );
        assert_eq!(json("-,T,,,,,,[1],x,").unwrap(), r#"{"amount":"-","transaction_id":"T","metadata":"[1]"}"#);
        assert_eq!(json("01,T,,,,,,,x,").unwrap(), r#"{"amount":"01","transaction_id":"T","metadata":{"shift":"x"}}"#);
        assert_eq!((json("1,T"), json("1,,,,,,,,,,")), (Err(2), Err(11)));
    }

    #[test]
    fn a_header_that_cannot_be_used_says_what_it_lacks() {
        assert!(Columns::of(b"transaction_id,amount").unwrap_err().starts_with("names no column timestamp, user_id, account_id, department, transaction_type:"));
        assert!(Columns::of(b"a,b,a").unwrap_err().contains("the column a twice"));
        assert!(Columns::of(b"a,\xff").unwrap_err().contains("not UTF-8"));
        assert_eq!(Columns::of(HEADER.replace(',', ";").as_bytes()).unwrap().delimiter, b';');
    }

    #[test]
    fn quoting_is_followed_as_the_csv_crate_does() {
        for (text, open) in
            [("a,b\n", false), ("\"a\n", true), ("a\"b\n", false), ("\"a\"\"\n", true), ("\"a\"\"\"\n", false), ("\"a\"x\"\n", false), ("x,\"\n", true), (" \"a\n", false)]
        {
            assert_eq!(Quotes { delimiter: b',', place: Place::Start }.are_open_after(text.as_bytes()), open, "{text:?}");
            // Where the quote is open, the crate takes the next line into the same cell.
            let mut record = StringRecord::new();
            let both = format!("{text}z\n");
            ReaderBuilder::new().has_headers(false).flexible(true).from_reader(both.as_bytes()).read_record(&mut record).unwrap();
            assert_eq!(record.iter().any(|cell| cell.contains("\nz")), open, "{text:?}");
        }
    }
}
