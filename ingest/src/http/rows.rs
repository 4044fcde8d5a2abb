//! Rows → verdicts, and what the log gets: pure.

use wh_eventlog::{Bytes, Record};
use wh_schemas::ids;
use wh_schemas::validate::{Fault, Reading, decode_transaction};

/// What validation says of a row.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Good: a record of a partition's batch.
    Good {
        transaction_id: String,
        partition: u32,
        /// Its place in that batch, from 0.
        place: u64,
    },
    /// Bad, with every fault.
    Bad(Vec<Fault>),
}

/// A request's rows, validated.
#[derive(Debug)]
pub(super) struct Prepared {
    /// In the order of the rows.
    pub(super) verdicts: Vec<Verdict>,
    /// Good rows by partition.
    pub(super) records: Vec<Vec<Record>>,
}

/// Validates rows.
pub(super) fn prepare(rows: &[Bytes], reading: &Reading, partitions: u32) -> Prepared {
    let mut records: Vec<Vec<Record>> = vec![Vec::new(); partitions as usize];
    let verdict = |row: &Bytes| match decode_transaction(row, reading) {
        Ok(transaction) => {
            let partition = ids::partition_of(transaction.user_id.as_bytes(), partitions);
            let batch = &mut records[partition as usize];
            let place = batch.len() as u64;
            batch.push(Record::new(Bytes::copy_from_slice(transaction.transaction_id.as_bytes()), row.clone()));
            Verdict::Good { transaction_id: transaction.transaction_id.as_str().to_owned(), partition, place }
        }
        Err(rejection) => Verdict::Bad(rejection.faults),
    };
    let verdicts = rows.iter().map(verdict).collect();
    Prepared { verdicts, records }
}
