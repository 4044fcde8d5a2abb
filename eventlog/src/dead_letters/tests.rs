//! Letters on a real log: written, read, disposed of, sent again.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use wh_schemas::topics::{self, ACCEPTED_TRANSACTIONS, HOSPITAL_TRANSACTIONS};

use super::*;
use crate::embedded::{EmbeddedLog, Settings};
use crate::{Log, Offset, Reader};

async fn log(folder: &Path) -> Arc<EmbeddedLog> {
    let log = EmbeddedLog::open(folder, Settings::default()).unwrap();
    log.ensure_topics(&topics::ALL, 3).await.unwrap();
    log
}

fn stored(offset: u64, value: &str) -> Stored {
    let headers = vec![("own".to_owned(), Bytes::from_static(b"1")), (header::DISPOSITION.to_owned(), Bytes::from_static(b"discarded"))];
    Stored { offset, append_time: 5, key: Some(Bytes::from(format!("key {offset}"))), value: Bytes::from(value.to_owned()), headers }
}

fn letter(stage: &str, store: Option<&str>, topic: &str, offset: u64) -> DeadLetter {
    DeadLetter {
        origin: Origin { topic: topic.to_owned(), partition: 0, offset },
        stage: stage.to_owned(),
        store: store.map(str::to_owned),
        error_class: "amount:missing".to_owned(),
        error_message: "amount: expected a decimal, found nothing".to_owned(),
        fingerprint: "00000000000000ab".to_owned(),
        position: None,
        attempts: 1,
    }
}

fn of_intake(offset: u64) -> Record {
    record(&stored(offset, "{}"), &letter("intake", None, HOSPITAL_TRANSACTIONS, offset), "test")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_no_second_letter_and_a_stranger_s_header_makes_none_a_disposition() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path()).await;
    write(&*log, 3, (0..40).map(of_intake).collect()).await.unwrap();
    write(&*log, 3, (30..45).map(of_intake).collect()).await.unwrap();
    let all = read_all(&*log).await.unwrap();
    assert_eq!(all.len(), 45);
    let first = all.iter().find(|found| found.letter.origin.offset == 0).unwrap();
    assert_eq!((first.record.header("own"), first.record.header(header::DISPOSITION)), (Some("1"), None));
    assert_eq!(first.letter, letter("intake", None, HOSPITAL_TRANSACTIONS, 0));
    // The same record in another store is another letter.
    let sink = |store| record(&stored(3, "{}"), &letter("sink", Some(store), topics::RISK_SCORES, 3), "test");
    write(&*log, 3, vec![sink("ledger"), sink("search"), sink("ledger")]).await.unwrap();
    assert_eq!(summary(&*log).await.unwrap(), Summary { written: 47, waiting: 47, ..Summary::default() });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_disposed_of_is_counted_and_the_sum_stays() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path()).await;
    write(&*log, 3, (0..10).map(of_intake).collect()).await.unwrap();
    let all = read_all(&*log).await.unwrap();
    for (found, disposition) in [(0, Disposition::Discarded), (1, Disposition::Retried), (2, Disposition::Retried), (2, Disposition::Discarded)].map(|(at, d)| (&all[at], d)) {
        let said = disposition_record(found, disposition, "local", "why");
        dispose(&*log, found.partition, vec![said]).await.unwrap();
    }
    // A copy that comes later is disposed of too.
    write(&*log, 3, (0..10).map(of_intake).collect()).await.unwrap();
    assert_eq!(summary(&*log).await.unwrap(), Summary { written: 10, waiting: 7, retried: 1, discarded: 2 });
    let dispositions = Dispositions::read(&*log).await.unwrap();
    let said: Vec<_> = all.iter().map(|found| dispositions.of(&found.letter)).take(4).collect();
    assert_eq!(said, [Some(Disposition::Discarded), Some(Disposition::Retried), Some(Disposition::Discarded), None]);
    assert_eq!(read_all(&*log).await.unwrap(), all, "a disposition is no letter, and removes none");
    let found = &all[0];
    assert_eq!(letter_at(&*log, found.partition, found.offset).await.unwrap().as_ref(), Some(found));
    let end = log.bounds(DEAD_LETTERS, found.partition).await.unwrap().end;
    assert_eq!(letter_at(&*log, found.partition, end).await.unwrap(), None);
    assert_eq!(letter_at(&*log, 99, 0).await.unwrap(), None);
}

/// A log that takes no record of more than so many bytes.
struct Narrow(Arc<EmbeddedLog>, usize);

#[async_trait]
impl Producer for Narrow {
    async fn produce(&self, topic: &str, partition: u32, records: Vec<Record>) -> Result<Offset, Reaction> {
        if records.iter().any(|record| record.value.len() + record.key.as_ref().map_or(0, Bytes::len) > self.1) {
            return Err(Reaction::Rejected("too large".to_owned()));
        }
        self.0.produce(topic, partition, records).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_the_log_does_not_take_whole_is_written_without_its_bytes_and_the_others_with_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path()).await;
    let (large, small) = ("x".repeat(5_000), "y".repeat(50));
    let of = |offset: u64, value: &str| record(&Stored { key: Some("one key".into()), ..stored(offset, value) }, &letter("intake", None, HOSPITAL_TRANSACTIONS, offset), "test");
    let mut letters: Vec<Record> = (0..9).map(|offset| of(offset, if offset % 4 == 1 { &large } else { &small })).collect();
    letters.push(Record { key: Some(Bytes::from(vec![b'k'; 3_000])), ..of(9, "") });
    write(&Narrow(log.clone(), 2_000), 3, letters).await.unwrap();
    let mut all = read_all(&*log).await.unwrap();
    all.sort_by_key(|found| found.letter.origin.offset);
    assert_eq!(all.len(), 10);
    for (offset, found) in (0..9_u64).zip(&all) {
        let bare = offset % 4 == 1;
        assert_eq!((found.letter.origin.offset, found.has_value()), (offset, !bare));
        assert_eq!(found.record.value.len(), if bare { 0 } else { 50 });
        assert_eq!(found.record.header(header::VALUE_LEFT_OUT), bare.then_some("5000"));
        assert_eq!(found.record.key.as_deref(), Some(b"one key".as_slice()));
        assert_eq!(found.letter.error_class, "amount:missing", "what it is, is told all the same");
    }
    assert_eq!((all[9].record.key.clone(), all[9].record.header(header::KEY_LEFT_OUT)), (None, Some("3000")));
    let offsets: Vec<u64> = all[..9].iter().map(|found| found.offset).collect();
    assert!(offsets.is_sorted(), "halves keep their order: {offsets:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_s_own_bytes_are_sent_again_whatever_stage_could_not_take_them() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path()).await;
    let source = Record::new("id", "{\"raw\":1}").with_header("own", "1");
    log.produce(HOSPITAL_TRANSACTIONS, 2, vec![source.clone()]).await.unwrap();
    let place = |stage: &str| DeadLetter { origin: Origin { topic: HOSPITAL_TRANSACTIONS.to_owned(), partition: 2, offset: 0 }, ..letter(stage, None, "", 0) };
    let copy = |value: &str| Stored { key: Some("id".into()), ..stored(0, value) };
    let letters = vec![record(&copy("{\"raw\":1}"), &place("intake"), "test"), record(&copy("{\"copy of intake\":1}"), &place("scorer"), "test")];
    write(&*log, 3, letters).await.unwrap();
    for (found, wanted) in read_all(&*log).await.unwrap().iter().zip(1..) {
        assert_eq!(retry(&*log, found).await.unwrap(), (2, wanted));
        let again = log.read(HOSPITAL_TRANSACTIONS, 2, wanted, 1).await.unwrap().into_iter().find(|record| record.offset == wanted).unwrap();
        assert_eq!((again.key.as_ref(), &again.value, again.header("own")), (source.key.as_ref(), &source.value, Some("1")));
        assert!(again.header(header::RETRY_OF).unwrap().ends_with("/hospital-transactions/2/0") && again.header(header::DISPOSITION).is_none());
    }
}

#[test]
fn a_letter_goes_the_way_of_its_record_or_none() {
    assert_eq!(way(&letter("intake", None, HOSPITAL_TRANSACTIONS, 1)).unwrap(), Way::Source);
    assert_eq!(way(&letter("sink", Some("search"), topics::RISK_SCORES, 1)).unwrap(), Way::Store("search"));
    for (stage, topic) in [("patterns", topics::ACCOUNT_ACTIVITY), ("scorer", ACCEPTED_TRANSACTIONS)] {
        assert!(way(&letter(stage, None, topic, 1)).unwrap_err().to_string().contains("discard it"));
    }
}

#[test]
fn conditions_hold_together() {
    let found = |stage: &str, store: Option<&str>| Found {
        partition: 0,
        offset: 0,
        letter: letter(stage, store, topics::RISK_SCORES, 1),
        record: Stored { append_time: 50, ..stored(0, "") },
    };
    let takes = |filter: Filter| (filter.takes(&found("sink", Some("ledger"))), filter.takes(&found("intake", None)));
    let some = |text: &str| Some(text.to_owned());
    assert!(Filter::default().is_empty());
    assert_eq!(takes(Filter::default()), (true, true));
    assert_eq!(takes(Filter { stage: some("sink"), ..Filter::default() }), (true, false));
    assert_eq!(takes(Filter { stage: some("ledger"), ..Filter::default() }), (true, false));
    assert_eq!(takes(Filter { store: some("ledger"), stage: some("intake"), ..Filter::default() }), (false, false));
    assert_eq!(takes(Filter { class: some("amount"), fingerprint: some("00000000000000ab"), ..Filter::default() }), (true, true));
    assert_eq!(takes(Filter { fingerprint: some("ab"), ..Filter::default() }), (false, false));
    assert_eq!(takes(Filter { since: Some(50), until: Some(51), ..Filter::default() }), (true, true));
    assert_eq!(takes(Filter { until: Some(50), ..Filter::default() }), (false, false));
}

#[test]
fn a_long_message_is_cut_at_a_character() {
    assert_eq!(cut("äö", 3), "ä");
    assert_eq!(cut("äö", 4), "äö");
    let long = DeadLetter { error_message: "ä".repeat(5_000), ..letter("intake", None, HOSPITAL_TRANSACTIONS, 1) };
    let said = record(&stored(1, ""), &long, "test");
    let message = said.headers.iter().find(|(name, _)| name == header::ERROR_MESSAGE).unwrap();
    assert_eq!(message.1.len(), MESSAGE_BYTES);
}
