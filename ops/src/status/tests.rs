//! What `status` says of stores and of a checkpoint that the log does not reach.

use super::*;
use wh_eventlog::embedded::{EmbeddedLog, Settings};
use wh_eventlog::{Log, Producer, Record};
use wh_schemas::topics;
use wh_scorer::partition::Counts;

fn at(partition: u32, next: u64) -> StorePosition {
    let tally = wh_sinks::delivery::Tally { stored: next, ..Default::default() };
    StorePosition { partition, next_seq: next, next_offset: next, visible_seq: next, visible_offset: next, unreadable: 0, tally }
}

async fn told(log: &EmbeddedLog, ledger: Vec<StorePosition>, patterns: Vec<StorePosition>, checkpoint: u64) -> Status {
    let scorer = [ScorerPartition { next_offset: checkpoint, counts: Counts { scored: checkpoint, ..Counts::default() } }];
    status(log, &scorer, Patterns::default(), &[Sink { name: "ledger", scorer: ledger, patterns: Some(patterns) }]).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_ahead_of_the_log_is_told_and_patterns_are_counted_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(folder.path(), Settings::default()).unwrap();
    log.ensure_topics(&topics::ALL, 1).await.unwrap();
    let same = |value: &str| Record::new("k", value.to_owned());
    log.produce(RISK_SCORES, 0, vec![same("{}"); 100]).await.unwrap();
    log.produce(ACCEPTED_TRANSACTIONS, 0, vec![same("{}"); 100]).await.unwrap();
    // Two alerts of transactions, a pattern that is an alert, twice, and one that is none.
    let alert = same(r#"{"risk_score":90}"#);
    let pattern = |seq: u64, score: u8| same(&format!(r#"{{"risk_score":{score},"position":{{"partition":0,"seq":{seq}}}}}"#));
    log.produce(RISK_ALERTS, 0, vec![alert.clone(), pattern(0, 75), pattern(0, 75), alert, pattern(1, 40)]).await.unwrap();

    let fine = told(&log, vec![at(0, 100)], vec![], 100).await;
    let line = fine.stages.iter().find(|stage| stage.stage == "ledger/patterns").unwrap();
    assert_eq!((line.input, line.lag(), fine.set_back()), (2, 2, None));
    assert_eq!(fine.alerts, 4, "the pattern below an alert's score is none");
    let behind = StorePosition { next_offset: 3, ..at(0, 1) };
    let line = told(&log, vec![at(0, 100)], vec![behind], 100).await.stages.pop().unwrap();
    assert_eq!((line.input, line.lag()), (2, 1));
    assert!(told(&log, vec![at(0, 100)], vec![StorePosition { next_offset: 5, ..at(0, 2) }], 100).await.settled());

    // The log ends at 100.
    for (ledger, checkpoint, said) in
        [(150, 100, "ledger is 50 ahead of the log: the log was set back"), (100, 150, "scorer is 50 ahead of the log"), (150, 150, "scorer is 50 ahead, ledger is 50 ahead")]
    {
        let ahead = told(&log, vec![at(0, ledger)], vec![StorePosition { next_offset: 5, ..at(0, 2) }], checkpoint).await;
        assert!(!ahead.settled() && ahead.set_back().is_some_and(|word| word.contains(said)), "{:?}", ahead.set_back());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_behind_an_open_block_wait_for_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(folder.path(), Settings::default()).unwrap();
    log.ensure_topics(&topics::ALL, 1).await.unwrap();
    let scores = |seqs: std::ops::Range<u64>| seqs.map(|seq| Record::new("k", format!(r#"{{"partition":0,"seq":{seq}}}"#))).collect::<Vec<_>>();
    // Of 1,500 records the first 1,000 are a closed block. A scorer that was frozen writes some of the open block again, and of the one before.
    for seqs in [0..1_500, 900..1_200, 1_400..1_500] {
        log.produce(RISK_SCORES, 0, scores(seqs)).await.unwrap();
    }
    let stands = |visible: u64| StorePosition { visible_seq: visible, ..at(0, 1_000) };
    let line = |status: Status| status.stages.into_iter().find(|stage| stage.stage == "ledger").unwrap();
    let whole = line(told(&log, vec![stands(1_500)], vec![], 0).await);
    assert_eq!((whole.input, whole.settled, whole.lag(), whole.ahead), (1_500, 1_500, 0, 0));
    let short = line(told(&log, vec![stands(1_490)], vec![], 0).await);
    assert_eq!((short.input, short.lag()), (1_500, 10));
    // New records behind the copies wait.
    log.produce(RISK_SCORES, 0, scores(1_500..1_503)).await.unwrap();
    let behind = line(told(&log, vec![stands(1_500)], vec![], 0).await);
    assert_eq!((behind.input, behind.lag()), (1_503, 3));
}
