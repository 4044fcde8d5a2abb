//! A CSV as the import reads it.
//!
//! Holds: every byte of the file is in its header or in one row, in order; what a row becomes is a JSON object; a row whose cells are quoted is read cell by
//! cell as it was written.

use serde_json::value::RawValue;
use wh_ingest::import::{CsvOutcome, CsvRead, read_csv};
use wh_schemas::json::{Text, members};
use wh_schemas::validate::{Reading, decode_transaction};

use super::choices::Choices;

/// Columns that every file must have.
const REQUIRED: [&str; 7] = ["transaction_id", "timestamp", "user_id", "account_id", "department", "transaction_type", "amount"];

/// Takes the bytes as a file, as what stands behind a header row, and as the cells of one row.
pub fn run(data: &[u8]) {
    if let Ok(read) = read_csv(data) {
        is_whole(data, &read);
    }
    let header = format!("{},description,metadata,metadata.shift,note\n", REQUIRED.join(","));
    let content = [header.as_bytes(), data].concat();
    is_whole(&content, &read_csv(&content).unwrap());
    is_read_cell_by_cell(&mut Choices::new(data));
}

fn is_whole(content: &[u8], read: &CsvRead) {
    let mut bytes = read.header.clone();
    let mut before = 0;
    for row in &read.rows {
        assert!(row.line > before, "row {} comes behind row {before}", row.line);
        before = row.line;
        // One that is too long to be held is longer than what a fuzzer makes.
        assert!(row.length == row.bytes.len() as u64 && row.outcome != CsvOutcome::TooLong, "row {}", row.line);
        bytes.extend_from_slice(&row.bytes);
        if let CsvOutcome::Object(json) = &row.outcome {
            assert!(json.starts_with('{') && serde_json::from_str::<&RawValue>(json).is_ok(), "row {}: {json}", row.line);
            // What becomes of it is validation's.
            drop(decode_transaction(json.as_bytes(), &Reading::default()));
        }
    }
    assert!(bytes == content, "{} bytes of {} are in no row, or in another order", content.len().abs_diff(bytes.len()), content.len());
}

fn is_read_cell_by_cell(choices: &mut Choices<'_>) {
    let delimiter = [",", ";", "\t"][usize::from(choices.below(3))];
    let columns = [&REQUIRED[..], &["description"]].concat();
    let cells: Vec<String> = columns.iter().map(|_| String::from_utf8_lossy(choices.bytes(24)).into_owned()).collect();
    let quoted: Vec<String> = cells.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\""))).collect();
    let content = format!("{}\n{}\nbehind", columns.join(delimiter), quoted.join(delimiter));
    let read = read_csv(content.as_bytes()).unwrap();
    assert_eq!(read.rows.len(), 2, "{content:?}");
    // A row of blanks alone is none; with quotes around them there is one.
    let CsvOutcome::Object(json) = &read.rows[0].outcome else { panic!("{:?} of {content:?}", read.rows[0].outcome) };
    let found = members(json).unwrap();
    let mut filled = 0;
    for (name, cell) in columns.iter().zip(&cells).filter(|(_, cell)| !cell.trim().is_empty()) {
        filled += 1;
        let (_, value) = found.iter().find(|(key, _)| key.as_str() == *name).unwrap_or_else(|| panic!("{name} is not in {json}"));
        match serde_json::from_str::<Text<'_>>(value.get()) {
            Ok(text) => assert_eq!(text.as_str(), cell, "{name}"),
            // A number is taken over digit by digit.
            Err(_) => assert!(*name == "amount" && value.get() == cell.trim(), "{name}: {json}"),
        }
    }
    assert_eq!(found.len(), filled, "{json}");
}
