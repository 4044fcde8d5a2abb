//! What many records do together that one alone does not: sums that no integer holds, a stream that begins in another century.

use wh_eventlog::{Producer, Record, Stored};
use wh_schemas::topics::RISK_SCORES;
use wh_schemas::validate::Reading;
use wh_schemas::{Activity, Micros};
use wh_scorer::partition::Emitted;

use super::cases::Draft;
use crate::content::{Role, published};
use crate::pipeline::{Pipeline, until};
use crate::records::{scored, scorer, stored};

/// Good records of one user, of the largest amount.
fn largest(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| Draft::good(number).with("user_id", "\"the richest\"").with("amount", "9999999999999.99").text().into_bytes()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sum_that_no_integer_holds_costs_no_row() {
    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = Pipeline::open(folder.path()).await;
    let records: Vec<Record> = scored(0, &largest(20), 1_000).into_iter().map(|stored| Record { key: stored.key, value: stored.value, headers: stored.headers }).collect();
    let visible = async |seq: u64| {
        until("the ledger shows them", async || published(Role::Ledger, folder.path()).ok().and_then(|positions| positions.first().copied()).filter(|at| at.visible_seq == seq))
            .await
    };
    pipeline.start("ledger");
    pipeline.log.produce(RISK_SCORES, 0, records[..10].to_vec()).await.unwrap();
    visible(10).await;
    // As some 9,000 rows more would have it.
    let ledger = rusqlite::Connection::open(folder.path().join("ledger.db")).unwrap();
    ledger.execute("UPDATE user_profiles SET amount_sum = 9223372036854775807 - 5", []).unwrap();
    drop(ledger);
    pipeline.log.produce(RISK_SCORES, 0, records[10..].to_vec()).await.unwrap();
    let position = visible(20).await;
    pipeline.stop().await;
    assert_eq!((position.tally.stored, position.tally.dead_letters), (20, 0));
    let ledger = rusqlite::Connection::open(folder.path().join("ledger.db")).unwrap();
    let sums: (i64, i64) = ledger.query_row("SELECT total_transactions, amount_sum FROM user_profiles", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(sums, (20, i64::MAX));
}

#[test]
fn a_stream_that_begins_in_another_century_gives_patterns_no_time_to_come() {
    let lines = [Draft::good(0).with("timestamp", "\"9999-12-31T23:59:59Z\""), Draft::good(1)].map(|draft| Record::new("key", draft.text().into_bytes()));
    let sources = stored(lines.to_vec(), 0);
    let accept = |source: &Stored| wh_ingest::intake::accept(source, 0, 1, &Reading::default()).unwrap().1;
    let (mut scorer, mut emitted) = (scorer(0, 10), Emitted::default());
    for record in &stored(sources.iter().map(accept).collect(), 0) {
        scorer.process(record, &mut emitted);
    }
    let activities: Vec<Activity<'_>> = emitted.activities.iter().map(|(_, record)| serde_json::from_slice(&record.value).unwrap()).collect();
    assert_eq!((activities[0].implausible, activities[0].stream_time), (true, Micros::EARLIEST));
    assert_eq!((activities[1].implausible, activities[1].stream_time), (false, activities[1].timestamp));
}
