//! Records that are not as they should be, through the whole pipeline: a corpus of some thousands by hand, and a hundred thousand by chance.
//!
//! Each case of the corpus has a name and says what must become of it: scored, with what was read of it, or a dead letter of that class. What must stay true: nothing
//! panics; every record is accounted for, and is in the log once more, as it is or as what was read of it; a dead letter keeps bytes, key, headers and place;
//! the good records that are sent in between all arrive in all stores.

mod amounts;
mod cases;
mod generated;
mod headers;
mod instants;
mod keys;
mod kinds;
mod lines;
mod metadata;
mod outcome;
mod shapes;
mod sums;
mod values;

use std::collections::BTreeSet;
use std::path::Path;

use futures::future::try_join_all;
use wh_eventlog::{Log, Reader, Record};
use wh_ingest::intake;
use wh_ops::status::Status;
use wh_schemas::Reaction;
use wh_schemas::topics::{ACCEPTED_TRANSACTIONS, HOSPITAL_TRANSACTIONS, RISK_SCORES};
use wh_schemas::validate::{Reading, decode_transaction};
use wh_scorer::state::sqlite::read_partitions;

use crate::content::{Role, published};
use crate::pipeline::{PARTITIONS, Pipeline, STAGES, until};
use crate::records::{score, small_hospital};
use cases::{Case, Corpus, Expected};
use outcome::{Outcome, adds_up, is_scored, keeps, stores_hold_the_log};

/// Cases that the corpus has at least.
const CURATED: usize = 2_000;
/// Records that are made by chance.
const GENERATED: u64 = 100_000;
/// Records that one append holds.
const APPEND: usize = 400;
/// Appends that are under way at once: they share the log's transactions.
const AT_ONCE: usize = 12;

/// Where a record stands: partition and offset of `hospital-transactions`.
type Place = (u32, u64);

/// Every case of the corpus.
fn corpus() -> Vec<Case> {
    let mut corpus = Corpus::default();
    values::add(&mut corpus);
    amounts::add(&mut corpus);
    instants::add(&mut corpus);
    kinds::add(&mut corpus);
    metadata::add(&mut corpus);
    keys::add(&mut corpus);
    shapes::add(&mut corpus);
    headers::add(&mut corpus);
    corpus.0
}

/// Appends records to the partitions in turn, and says where each stands.
async fn send(log: &dyn Log, records: Vec<Record>) -> Vec<Place> {
    let batches: Vec<Vec<Record>> = records.chunks(APPEND).map(<[Record]>::to_vec).collect();
    let mut places = Vec::with_capacity(records.len());
    let mut partitions = (0..PARTITIONS).cycle();
    for some in batches.chunks(AT_ONCE) {
        let appends = some.iter().zip(&mut partitions).map(|(batch, partition)| async move {
            let first = log.produce(HOSPITAL_TRANSACTIONS, partition, batch.clone()).await?;
            Ok::<Vec<Place>, Reaction>((first..).take(batch.len()).map(|offset| (partition, offset)).collect())
        });
        places.extend(try_join_all(appends).await.unwrap().concat());
    }
    places
}

/// The records with a good one behind each so many; and where in what comes out the good ones are.
fn between(records: Vec<Record>, good: &[Vec<u8>], every: usize) -> (Vec<Record>, BTreeSet<usize>) {
    let (mut mixed, mut places, mut good) = (Vec::new(), BTreeSet::new(), good.iter());
    for (at, record) in records.into_iter().enumerate() {
        mixed.push(record);
        if at % every == every - 1
            && let Some(line) = good.next()
        {
            places.insert(mixed.len());
            mixed.push(Record::new(format!("good {at}"), line.clone()));
        }
    }
    (mixed, places)
}

/// Waits until `now` is at `target`: as long as it goes on, it may go on.
async fn passed(what: &str, target: u64, now: impl AsyncFn() -> u64) {
    loop {
        let before = now().await;
        if before >= target {
            return;
        }
        until(what, async || (now().await > before).then_some(())).await;
    }
}

/// Waits until each stage has passed what the one before it has written: each for itself, since the whole takes longer than one condition may.
async fn drained(pipeline: &mut Pipeline, folder: &Path) -> Status {
    let sent = pipeline.count(HOSPITAL_TRANSACTIONS).await;
    let read = async || pipeline.log.committed(intake::GROUP, HOSPITAL_TRANSACTIONS).await.unwrap().iter().map(|(_, offset, _)| *offset).sum::<u64>();
    passed("intake goes on", sent, read).await;
    let accepted = pipeline.count(ACCEPTED_TRANSACTIONS).await;
    let scored = async || read_partitions(&folder.join("baselines.db")).map_or(0, |partitions| partitions.iter().map(|(next_offset, _)| *next_offset).sum::<u64>());
    passed("the scorer goes on", accepted, scored).await;
    let scores = pipeline.count(RISK_SCORES).await;
    for role in Role::ALL {
        let visible = async || published(role, folder).map_or(0, |positions| positions.iter().map(|position| position.visible_seq).sum::<u64>());
        passed("a sink goes on", scores, visible).await;
    }
    pipeline.settle().await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_record_of_the_corpus_becomes_what_it_should() {
    let cases = corpus();
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert!(cases.len() >= CURATED && names.len() == cases.len(), "{} cases, {} names", cases.len(), names.len());

    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = Pipeline::open(folder.path()).await;
    pipeline.start_all(&STAGES);
    let (records, good) = between(cases.iter().map(|case| case.record.clone()).collect(), &small_hospital(21, 600), 5);
    let places = send(&*pipeline.log, records.clone()).await;
    let status = drained(&mut pipeline, folder.path()).await;
    pipeline.stop().await;

    let outcome = Outcome::of(&*pipeline.log).await;
    let mut cases = cases.iter();
    for (at, (record, place)) in records.iter().zip(places).enumerate() {
        if good.contains(&at) {
            is_scored(&outcome, place, None, "a good record");
            continue;
        }
        let case = cases.next().unwrap();
        match &case.expected {
            Expected::Accepted(member) => is_scored(&outcome, place, member.as_ref(), &case.name),
            Expected::Letter(class) => {
                let found = outcome.intake(place).unwrap_or_else(|| panic!("{}: expected a dead letter, {class}", case.name));
                assert_eq!(&found.letter.error_class, class, "{}", case.name);
                keeps(found, record, &case.name);
                assert!(!outcome.scores.contains_key(&place), "{} is a dead letter and scored", case.name);
            }
        }
    }
    assert!(outcome.refused.is_empty(), "no two cases have one id");
    adds_up(&status, records.len(), 0);
    stores_hold_the_log(&*pipeline.log, folder.path(), &outcome.refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_records_by_chance_are_all_accounted_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = Pipeline::open(folder.path()).await;
    pipeline.start_all(&STAGES);
    let lines = small_hospital(22, 2_000);
    let seeds = small_hospital(23, 400);
    let (mut sent, mut places, mut good) = (Vec::new(), Vec::new(), BTreeSet::new());
    // The pipeline works while the rest is made.
    let numbers: Vec<u64> = (0..GENERATED).collect();
    for (numbers, lines) in numbers.chunks(10_000).zip(lines.chunks(200)) {
        let generated = numbers.iter().map(|number| generated::record(&seeds, *number)).collect();
        let (records, among) = between(generated, lines, 50);
        good.extend(among.into_iter().map(|at| sent.len() + at));
        places.extend(send(&*pipeline.log, records.clone()).await);
        sent.extend(records);
    }
    let status = drained(&mut pipeline, folder.path()).await;
    pipeline.stop().await;

    let (outcome, reading) = (Outcome::of(&*pipeline.log).await, Reading::default());
    let (mut scored, mut duplicates, mut conflicts) = (0, 0, 0);
    let mut classes = BTreeSet::new();
    for (at, (record, place)) in sent.iter().zip(&places).enumerate() {
        let what = format!("record {at} at {place:?}");
        if good.contains(&at) {
            is_scored(&outcome, *place, None, &what);
            continue;
        }
        match decode_transaction(&record.value, &reading) {
            Err(rejection) => {
                let found = outcome.intake(*place).unwrap_or_else(|| panic!("{what}: expected a dead letter, {}", rejection.class()));
                assert_eq!((&found.letter.error_class, &found.letter.error_message), (&rejection.class(), &rejection.to_string()), "{what}");
                keeps(found, record, &what);
                assert!(!outcome.scores.contains_key(place), "{what}: a dead letter and scored");
                classes.insert(rejection.class());
            }
            Ok(transaction) => match (outcome.scores.get(place), outcome.scorer(*place)) {
                (Some(stored), None) => {
                    let row = score(stored);
                    assert_eq!(
                        (row.transaction_id.as_str(), row.amount, row.timestamp),
                        (transaction.transaction_id.as_str(), transaction.amount, transaction.timestamp),
                        "{what}"
                    );
                    assert_eq!(row.metadata.get(), transaction.metadata.get(), "{what}");
                    if row.risk_score.is_some() { scored += 1 } else { duplicates += 1 }
                }
                (None, Some(found)) => {
                    assert_eq!(found.letter.error_class, "transaction_id:conflict", "{what}");
                    conflicts += 1;
                }
                (stored, found) => panic!("{what}: {} scored records, letter {:?}", usize::from(stored.is_some()), found.map(|found| &found.letter)),
            },
        }
    }
    // A generator whose records all fail alike tests nothing.
    assert!(scored > 2_000 && duplicates + conflicts > 100 && classes.len() > 60, "{scored} scored, {duplicates} duplicates, {conflicts} conflicts, {} classes", classes.len());
    assert_eq!(outcome.letters.len() + outcome.scores.len(), sent.len(), "each is there once");
    let refused: usize = outcome.refused.values().map(BTreeSet::len).sum();
    assert!(refused < 100, "{refused} rows were refused by stores");
    adds_up(&status, sent.len(), refused);
    stores_hold_the_log(&*pipeline.log, folder.path(), &outcome.refused).await;
}
