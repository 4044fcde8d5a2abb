//! Dead letters, what an operator did with one, and a record that is sent again.

use std::fmt::Write;
use std::sync::Mutex;

use async_trait::async_trait;
use wh_eventlog::dead_letters::{self, DeadLetter, Disposition, Dispositions, Found, disposition_record, read_all, summary};
use wh_eventlog::{Bytes, Offset, Producer, Reader, Record, Stored};
use wh_ingest::intake;
use wh_schemas::position::Origin;
use wh_schemas::topics::{DEAD_LETTERS, HOSPITAL_TRANSACTIONS, RISK_SCORES};
use wh_schemas::validate::Reading;
use wh_schemas::{Reaction, dead_letter};

use super::wire::{AT, FULL};
use super::{Format, log, record_text, wait};
use crate::records;

pub(super) const LETTERS: Format = Format::new("dead-letters.records", 1, || record_text::write(&letters()), read_letters);
pub(super) const SENT_AGAIN: Format = Format::new("sent-again.records", 1, || record_text::write(&[sent_again()]), read_sent_again);

/// A log that takes no value above a hundred bytes.
#[derive(Default)]
struct Narrow(Mutex<Vec<Record>>);

#[async_trait]
impl Producer for Narrow {
    async fn produce(&self, _: &str, _: u32, records: Vec<Record>) -> Result<Offset, Reaction> {
        if records.iter().any(|record| record.value.len() > 100) {
            return Err(Reaction::Rejected("it is too large".to_owned()));
        }
        self.0.lock().unwrap().extend(records);
        Ok(0)
    }
}

fn letter(stage: &str, store: Option<&str>, topic: &str, offset: u64) -> DeadLetter {
    DeadLetter {
        origin: Origin { topic: topic.to_owned(), partition: 0, offset },
        stage: stage.to_owned(),
        store: store.map(str::to_owned),
        error_class: "amount:not_positive".to_owned(),
        error_message: "amount: expected more than 0, found \"-1\"".to_owned(),
        fingerprint: "00000000000000ab".to_owned(),
        position: store.map(|_| "0:5".to_owned()),
        attempts: 3,
    }
}

/// A record with a stranger's headers, one of them of a name of ours.
fn original(offset: u64, value: impl Into<Bytes>) -> Stored {
    let headers = vec![("trace".to_owned(), Bytes::from_static(b"abc \xff")), (dead_letter::STAGE.to_owned(), Bytes::from_static(b"forged"))];
    Stored { offset, append_time: AT + i64::try_from(offset).unwrap(), key: Some(Bytes::from_static(b"k\x00\xfe")), value: value.into(), headers }
}

fn record(original: &Stored, letter: &DeadLetter) -> Record {
    dead_letters::record(original, letter, "0.1.0 (abcdef0)")
}

/// Letters of intake and of a sink, one that the log did not take whole, and what was done with the first.
fn letters() -> Vec<Record> {
    let of_intake = record(&original(11, b"{\"transaction_id\":\"BAD\xff".as_slice()), &letter("intake", None, HOSPITAL_TRANSACTIONS, 11));
    let of_a_sink = record(&original(5, FULL), &letter("sink", Some("ledger"), RISK_SCORES, 5));
    let long_key = Stored { key: Some(Bytes::from(vec![b'k'; 2_000])), ..original(12, FULL) };
    let narrow = Narrow::default();
    wait(dead_letters::write(&narrow, 1, vec![record(&long_key, &letter("intake", None, HOSPITAL_TRANSACTIONS, 12))])).unwrap();
    let first = records::stored(vec![of_intake.clone()], 0).remove(0);
    let found = Found { partition: 0, offset: 0, letter: letter("intake", None, HOSPITAL_TRANSACTIONS, 11), record: first };
    let said = disposition_record(&found, Disposition::Discarded, "local", "a test of the producer's");
    let bare = narrow.0.into_inner().unwrap();
    [vec![of_intake, of_a_sink], bare, vec![said]].concat()
}

fn read_letters(bytes: &[u8]) -> String {
    let records = record_text::read(bytes);
    wait(async {
        let (_folder, log) = log::holding(DEAD_LETTERS, &records).await;
        let dispositions = Dispositions::read(&*log).await.unwrap();
        let mut text = String::new();
        for found in read_all(&*log).await.unwrap() {
            writeln!(text, "{:#?}\nwith its value: {}, {:?}\n", found.letter, found.has_value(), dispositions.of(&found.letter)).unwrap();
        }
        writeln!(text, "{:?}", summary(&*log).await.unwrap()).unwrap();
        text
    })
}

/// A record of `hospital-transactions` that was a letter of intake.
fn sent_again() -> Record {
    wait(async {
        let (_folder, log) = log::holding(DEAD_LETTERS, &[record(&original(0, FULL), &letter("intake", None, HOSPITAL_TRANSACTIONS, 0))]).await;
        let found = read_all(&*log).await.unwrap().remove(0);
        let (partition, offset) = dead_letters::retry(&*log, &found).await.unwrap();
        let Stored { key, value, headers, .. } = log.read(HOSPITAL_TRANSACTIONS, partition, offset, 1).await.unwrap().remove(0);
        Record { key, value, headers }
    })
}

fn read_sent_again(bytes: &[u8]) -> String {
    let mut text = String::new();
    for stored in records::stored(record_text::read(bytes), 0) {
        let (partition, accepted) = intake::accept(&stored, 0, 1, &Reading::default()).unwrap();
        writeln!(text, "a retry of {:?}, accepted for partition {partition}", stored.header(dead_letter::RETRY_OF)).unwrap();
        text += &record_text::shown(&accepted, "");
    }
    text
}
