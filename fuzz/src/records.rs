//! A producer's bytes: decoded, accepted by intake, scored; or told as a dead letter.
//!
//! Holds: what is accepted reads back as the same, at every stage; nothing of it is a label where the scorer reads; what is rejected keeps its bytes and
//! has a reason.

use wh_eventlog::{Bytes, Stored};
use wh_ingest::intake;
use wh_schemas::accepted::content_hash;
use wh_schemas::json::members;
use wh_schemas::position::{ORIGIN_HEADER, Origin};
use wh_schemas::validate::{MAX_DEPARTMENT_BYTES, MAX_ID_BYTES, MAX_RECORD_BYTES, Reading, Rejection, decode_transaction};
use wh_schemas::{AcceptedTransaction, Cents, Micros, ScoreRecord, Transaction};
use wh_scorer::dedup::Ids;
use wh_scorer::engine::Ruleset;
use wh_scorer::partition::{Emitted, PartitionRecord, PartitionScorer, Position};

/// Where the record stands.
const PARTITION: u32 = 2;
const OFFSET: u64 = 77;
/// Partitions of what is accepted.
const PARTITIONS: u32 = 3;

/// Takes the bytes as the value of a record of `hospital-transactions`.
pub fn run(data: &[u8]) {
    let reading = Reading::default();
    let stored = Stored {
        offset: OFFSET,
        append_time: 1_767_268_800_000_000,
        key: Some(Bytes::from_static(b"key")),
        value: Bytes::copy_from_slice(data),
        headers: vec![("trace".to_owned(), Bytes::from_static(b"\xff"))],
    };
    match decode_transaction(data, &reading) {
        Ok(transaction) => {
            is_sound(&transaction, &reading);
            reads_back(&transaction, &reading);
            is_scored(&stored, &reading);
        }
        Err(rejection) => is_told(&stored, &rejection),
    }
}

fn is_sound(transaction: &Transaction<'_>, reading: &Reading) {
    assert!(transaction.amount > Cents(0) && transaction.amount <= Cents::MAX, "{:?}", transaction.amount);
    assert!((Micros::EARLIEST..=Micros::LATEST).contains(&transaction.timestamp), "{:?}", transaction.timestamp);
    for id in [&transaction.transaction_id, &transaction.user_id, &transaction.account_id] {
        assert!(!id.trim().is_empty() && id.len() <= MAX_ID_BYTES && !id.contains('\0'), "{id:?}");
    }
    assert!(!transaction.department.trim().is_empty() && transaction.department.len() <= MAX_DEPARTMENT_BYTES);
    for (key, _) in members(transaction.metadata.get()).unwrap() {
        assert!(!reading.label_keys.iter().any(|label| label.eq_ignore_ascii_case(&key)), "the label {key:?} is where the scorer reads");
    }
}

/// What is written of it is taken for the same.
fn reads_back(transaction: &Transaction<'_>, reading: &Reading) {
    let json = serde_json::to_vec(transaction).unwrap();
    // What is set aside takes some bytes more than what was sent.
    if json.len() > MAX_RECORD_BYTES {
        return;
    }
    let back = decode_transaction(&json, reading).unwrap_or_else(|rejection| panic!("what was accepted is rejected: {rejection}"));
    assert_eq!(serde_json::to_vec(&back).unwrap(), json);
    assert_eq!(content_hash(&back), content_hash(transaction));
}

fn is_scored(stored: &Stored, reading: &Reading) {
    let (to, record) = intake::accept(stored, PARTITION, PARTITIONS, reading).unwrap();
    assert!(to < PARTITIONS);
    let accepted: AcceptedTransaction<'_> = serde_json::from_slice(&record.value).unwrap_or_else(|error| panic!("the scorer cannot read what intake wrote: {error}"));
    assert_eq!(serde_json::to_vec(&accepted).unwrap(), record.value);
    assert_eq!(record.key.as_deref(), Some(accepted.transaction_id.as_bytes()));
    let origin = record.headers.iter().find(|(name, _)| name == ORIGIN_HEADER).and_then(|(_, value)| Origin::parse(std::str::from_utf8(value).unwrap()));
    assert_eq!(origin.map(|origin| (origin.partition, origin.offset)), Some((PARTITION, OFFSET)));

    let mut scorer = PartitionScorer::new(to, Ruleset::default(), Position::default(), PartitionRecord::default(), Vec::new(), Ids::new(4), "fuzz");
    let mut emitted = Emitted::default();
    let held = |offset| Stored { offset, append_time: 0, key: record.key.clone(), value: record.value.clone(), headers: record.headers.clone() };
    scorer.process(&held(0), &mut emitted);
    // Written again by an intake that was killed before it committed.
    scorer.process(&held(1), &mut emitted);
    assert_eq!((emitted.scores.len(), emitted.activities.len(), emitted.dead_letters.len()), (1, 1, 0));
    assert_eq!((scorer.counts().scored, scorer.counts().copies), (1, 1));
    let score: ScoreRecord<'_> = serde_json::from_slice(&emitted.scores[0].value).unwrap_or_else(|error| panic!("a sink cannot read what the scorer wrote: {error}"));
    let points = score.risk_score.unwrap();
    assert!(points <= 100 && score.dimensions.unwrap().sum() == points);
    assert_eq!(serde_json::to_vec(&AcceptedTransaction::of(&score)).unwrap(), record.value, "the scored record has all of the accepted one");
}

fn is_told(stored: &Stored, rejection: &Rejection) {
    assert!(!rejection.faults.is_empty() && rejection.fingerprint().len() == 16);
    for fault in &rejection.faults {
        assert!(!fault.message.is_empty() && fault.field.chars().count() <= 64, "{fault:?}");
    }
    let letter = intake::dead_letter(stored, PARTITION, rejection, "fuzz");
    assert_eq!((&letter.value, &letter.key), (&stored.value, &stored.key));
    assert!(stored.headers.iter().all(|header| letter.headers.contains(header)));
}
