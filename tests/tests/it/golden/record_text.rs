//! Records of the log as text, so that a person sees what is committed: a line each for key, headers and value, a blank line between two.
//!
//! What must stay true: every byte reads back; what is no plain text is in hexadecimal.

use std::fmt::Write;

use wh_eventlog::{Bytes, Record};

/// Bytes as a word that says how they are written, and the bytes.
fn bytes_as_text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok("") => "empty".to_owned(),
        Ok(text) if !text.chars().any(char::is_control) && !text.ends_with(' ') => format!("text {text}"),
        _ => format!("hex {}", bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))),
    }
}

fn bytes_of_text(text: &str) -> Bytes {
    match text.split_once(' ') {
        None if text == "empty" => Bytes::new(),
        Some(("text", text)) => Bytes::copy_from_slice(text.as_bytes()),
        Some(("hex", digits)) => (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect::<Vec<u8>>().into(),
        _ => panic!("expected empty, text or hex, found {text:?}"),
    }
}

/// Records as text.
pub(super) fn write(records: &[Record]) -> Vec<u8> {
    let mut text = String::new();
    for (at, record) in records.iter().enumerate() {
        if at > 0 {
            text.push('\n');
        }
        if let Some(key) = &record.key {
            writeln!(text, "key {}", bytes_as_text(key)).unwrap();
        }
        for (name, value) in &record.headers {
            writeln!(text, "header {name} {}", bytes_as_text(value)).unwrap();
        }
        writeln!(text, "value {}", bytes_as_text(&record.value)).unwrap();
    }
    text.into_bytes()
}

/// The records of a text.
pub(super) fn read(bytes: &[u8]) -> Vec<Record> {
    let (mut records, mut record) = (Vec::new(), Record::default());
    for line in std::str::from_utf8(bytes).unwrap().lines().filter(|line| !line.is_empty()) {
        match line.split_once(' ') {
            Some(("key", key)) => record.key = Some(bytes_of_text(key)),
            Some(("header", header)) => {
                let (name, value) = header.split_once(' ').unwrap();
                record.headers.push((name.to_owned(), bytes_of_text(value)));
            }
            Some(("value", value)) => {
                record.value = bytes_of_text(value);
                records.push(std::mem::take(&mut record));
            }
            _ => panic!("expected key, header or value, found {line:?}"),
        }
    }
    records
}

/// Key and headers of a record, and what was read of its value.
pub(super) fn shown(record: &Record, content: &str) -> String {
    let mut text = String::new();
    if let Some(key) = &record.key {
        writeln!(text, "key {}", bytes_as_text(key)).unwrap();
    }
    for (name, value) in &record.headers {
        writeln!(text, "{name}: {}", bytes_as_text(value)).unwrap();
    }
    text + content.trim_end() + "\n"
}

#[test]
fn every_byte_reads_back() {
    let all: Vec<u8> = (0..=255).collect();
    let records = [
        Record::new("k", "v").with_header("a", "").with_header("b", "x y "),
        Record { key: None, value: Bytes::new(), headers: Vec::new() },
        Record::new(Bytes::new(), all).with_header("c", "é 🩺").with_header("d", "two\nlines"),
    ];
    assert_eq!(read(&write(&records)), records);
}
