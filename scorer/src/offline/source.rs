//! Where the records of a pass come from: lines of NDJSON as they stand, or sorted by event time.
//!
//! What must stay true: a source gives the same records in the same order each time; it judges none of them.

use std::io::{self, BufRead};

use bytes::Bytes;
use wh_schemas::Micros;
use wh_schemas::validate::{Reading, decode_transaction};

/// Where a record of `accepted-transactions` stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logged {
    /// Its partition.
    pub partition: u32,
    /// Partition and offset of the record of `hospital-transactions` behind it, where its header says so: one at or below the highest
    /// seen is a copy that intake made.
    pub origin: Option<(u32, u64)>,
}

/// One record.
#[derive(Clone, Debug)]
pub struct Input {
    /// Line of the file, from one on; offset in the log.
    pub number: u64,
    /// Its bytes.
    pub text: Bytes,
    /// An accepted transaction of the log; a producer's line where `None`.
    pub logged: Option<Logged>,
}

/// A history, in the order in which it is scored.
pub trait Source {
    /// The next records, about `most` of them; none at the end.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn read(&mut self, most: usize) -> io::Result<Vec<Input>>;
}

/// Lines of NDJSON in the order of the file. Blank ones are left out, and counted.
pub struct Lines<R> {
    input: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// The lines of `input`.
    pub fn new(input: R) -> Lines<R> {
        Lines { input, number: 0 }
    }
}

impl<R: BufRead> Source for Lines<R> {
    fn read(&mut self, most: usize) -> io::Result<Vec<Input>> {
        let mut lines = Vec::with_capacity(most);
        let mut text = Vec::with_capacity(512);
        while lines.len() < most {
            text.clear();
            if self.input.read_until(b'\n', &mut text)? == 0 {
                break;
            }
            self.number += 1;
            while text.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
                text.pop();
            }
            if !text.iter().all(u8::is_ascii_whitespace) {
                lines.push(Input { number: self.number, text: Bytes::copy_from_slice(&text), logged: None });
            }
        }
        Ok(lines)
    }
}

/// Records sorted by event time, then by `transaction_id`, then as they stood. All of them are in memory.
#[derive(Debug)]
pub struct Sorted {
    records: std::vec::IntoIter<Input>,
}

impl Sorted {
    /// Reads a source to its end. What cannot be decoded stands first.
    ///
    /// # Errors
    /// Where the source cannot be read.
    pub fn new(source: &mut dyn Source, reading: &Reading) -> io::Result<Sorted> {
        let mut keyed: Vec<(Option<(Micros, String)>, Input)> = Vec::new();
        loop {
            let records = source.read(4_096)?;
            if records.is_empty() {
                break;
            }
            keyed.extend(records.into_iter().map(|record| (decode_transaction(&record.text, reading).ok().map(|t| (t.timestamp, t.transaction_id.to_string())), record)));
        }
        keyed.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.number.cmp(&b.1.number)));
        let records: Vec<Input> = keyed.into_iter().map(|(_, record)| record).collect();
        Ok(Sorted { records: records.into_iter() })
    }
}

impl Source for Sorted {
    fn read(&mut self, most: usize) -> io::Result<Vec<Input>> {
        Ok(self.records.by_ref().take(most).collect())
    }
}
