//! Rows → what the log gets and what is rejected: pure, no I/O.
//!
//! What must stay true: a row that is handed in is counted once, as accepted or as rejected, and its bytes are in
//! [`Batch::records`] or in [`Batch::rejects`] (or were acknowledged by an earlier run).

use std::collections::BTreeMap;

use wh_eventlog::{Bytes, Record};
use wh_schemas::ids;
use wh_schemas::json::write_string;
use wh_schemas::validate::{FaultCode, MAX_RECORD_BYTES, Reading, decode_transaction};

/// Bytes of records and rejects from which a batch is full whatever its rows: bounds the memory, and stays far below what
/// the log takes at a time.
const FULL_BYTES: usize = 4 * 1024 * 1024;

/// Rows that are produced, acknowledged and remembered at once.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Good rows, by partition.
    pub(super) records: Vec<Vec<Record>>,
    /// Good rows, those included that an earlier run has produced.
    pub(super) accepted: u64,
    /// Bad rows.
    pub(super) rejected: u64,
    /// Bad rows as lines of the reject file; empty where there is none.
    pub(super) rejects: String,
    /// How many bad rows by the first thing that is wrong with them.
    pub(super) reasons: BTreeMap<&'static str, u64>,
    /// Lines of the input up to the batch's end.
    pub(super) lines: u64,
    /// Bytes of the input, as stored, that were read up to then.
    pub(super) bytes_read: u64,
    /// The input ends with this batch.
    pub(super) last: bool,
}

/// Why a row is rejected, for the reject file.
pub(super) struct Reason<'a> {
    /// The fault's name, of a fixed set: it stands in the log's summary.
    pub(super) code: &'static str,
    /// `field:code` of each fault.
    pub(super) class: &'a str,
    /// For a person.
    pub(super) message: &'a str,
}

/// Makes batches of rows.
pub(super) struct Builder {
    reading: Reading,
    partitions: u32,
    max_rows: usize,
    keeps_rejects: bool,
    /// By partition, the last line up to which an earlier run has produced.
    ahead: Vec<u64>,
    rows: usize,
    bytes: usize,
    batch: Batch,
}

impl Builder {
    pub(super) fn new(reading: Reading, partitions: u32, max_rows: usize, keeps_rejects: bool, ahead: Vec<u64>, lines: u64) -> Builder {
        let batch = Batch { records: vec![Vec::new(); partitions as usize], lines, ..Batch::default() };
        Builder { reading, partitions, max_rows: max_rows.max(1), keeps_rejects, ahead, rows: 0, bytes: 0, batch }
    }

    /// Takes a row: `json` is validated and produced as it is, `raw` is what the input has (the same for NDJSON).
    pub(super) fn row(&mut self, line: u64, json: &[u8], raw: &[u8]) {
        let rejection = match decode_transaction(json, &self.reading) {
            Ok(transaction) => {
                let partition = ids::partition_of(transaction.user_id.as_bytes(), self.partitions) as usize;
                self.rows += 1;
                self.batch.accepted += 1;
                if self.ahead.get(partition).is_none_or(|ahead| line > *ahead) {
                    let key = Bytes::copy_from_slice(transaction.transaction_id.as_bytes());
                    self.bytes += json.len() + key.len();
                    self.batch.records[partition].push(Record::new(key, Bytes::copy_from_slice(json)));
                }
                return;
            }
            Err(rejection) => rejection,
        };
        let code = rejection.faults.first().map_or("unknown", |fault| fault.code.as_str());
        self.reject(line, &Reason { code, class: &rejection.class(), message: &rejection.to_string() }, raw, raw.len() as u64);
    }

    /// Takes a row of `length` bytes that is too long to be held, of which `raw` is the beginning.
    pub(super) fn too_long(&mut self, line: u64, raw: &[u8], length: u64) {
        let code = FaultCode::RecordTooLarge.as_str();
        let message = format!("record: expected at most {MAX_RECORD_BYTES} bytes, found {length}");
        self.reject(line, &Reason { code, class: &format!("record:{code}"), message: &message }, raw, length);
    }

    /// Takes a bad row of `length` bytes.
    pub(super) fn reject(&mut self, line: u64, reason: &Reason<'_>, raw: &[u8], length: u64) {
        self.rows += 1;
        self.batch.rejected += 1;
        *self.batch.reasons.entry(reason.code).or_insert(0) += 1;
        if !self.keeps_rejects {
            return;
        }
        let out = &mut self.batch.rejects;
        let before = out.len();
        out.push_str(&format!("{{\"line\":{line},\"reason\":"));
        write_string(reason.message, out);
        out.push_str(",\"class\":");
        write_string(reason.class, out);
        out.push_str(",\"raw\":");
        write_string(&String::from_utf8_lossy(raw), out);
        if std::str::from_utf8(raw).is_err() {
            out.push_str(",\"raw_hex\":\"");
            write_hex(raw, out);
            out.push('"');
        }
        if length > raw.len() as u64 {
            out.push_str(&format!(",\"raw_bytes\":{length}"));
        }
        out.push_str("}\n");
        self.bytes += out.len() - before;
    }

    /// Notes that the input's first `lines` lines are in this batch or an earlier one.
    pub(super) fn passed(&mut self, lines: u64) {
        self.batch.lines = lines;
    }

    /// Lines of the input that are in this batch or an earlier one.
    pub(super) fn lines(&self) -> u64 {
        self.batch.lines
    }

    /// Whether the batch should go.
    pub(super) fn is_full(&self) -> bool {
        self.rows >= self.max_rows || self.bytes >= FULL_BYTES
    }

    /// Whether there is anything in it.
    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The batch, and an empty one for what follows.
    pub(super) fn take(&mut self, bytes_read: u64, last: bool) -> Batch {
        let next = Batch { records: vec![Vec::new(); self.partitions as usize], lines: self.batch.lines, ..Batch::default() };
        (self.rows, self.bytes) = (0, 0);
        Batch { bytes_read, last, ..std::mem::replace(&mut self.batch, next) }
    }
}

fn write_hex(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.reserve(bytes.len() * 2);
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}
