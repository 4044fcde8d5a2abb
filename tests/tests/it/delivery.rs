//! The whole pipeline in one process: stages that are killed in the middle of their work, a log that is full, a baselines
//! store that is lost, records that are none; and then every store holds what the log holds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use wh_eventlog::dead_letters::{self, Found, LimitSettings};
use wh_eventlog::gauges::Gauges;
use wh_eventlog::{Bounds, Bytes, Consumer, Log, Offset, Producer, Reader, Record, Stored};
use wh_ingest::intake::{self, IntakeSettings};
use wh_ops::letters;
use wh_schemas::topics::{ACCEPTED_TRANSACTIONS, HOSPITAL_TRANSACTIONS, RISK_ALERTS, RISK_SCORES, TopicSpec};
use wh_schemas::validate::{Reading, decode_transaction};
use wh_schemas::{Alert, Reaction, ids};
use wh_scorer::stage;
use wh_scorer::state::sqlite::{SqliteCheckpoints, read_partitions};
use wh_sinks::delivery::identity::Binding;
use wh_sinks::delivery::runner;
use wh_sinks::sqlite::SqliteRows;

use crate::content::{self, Role, assert_same, expected, expected_patterns, published, read_back};
use crate::pipeline::{PARTITIONS, Pipeline, STAGES, runner_settings, scorer_settings, until};
use crate::records::{accepted, hospital, merged, round_trip, score, small_hospital, stream, topic};
use crate::sql;

/// A record that is no transaction, of a kind that `number` chooses.
fn malformed(number: usize) -> Vec<u8> {
    let valid = r#""timestamp":"2026-01-02T03:04:05Z","user_id":"u","account_id":"a","department":"IT","transaction_type":"billing""#;
    match number % 10 {
        0 => b"no JSON at all".to_vec(),
        1 => format!("{{\"transaction_id\":\"cut-{number}\",{valid},\"amou").into_bytes(),
        2 => vec![0xff, 0xfe, 0x00, b'{', b'}'],
        3 => Vec::new(),
        4 => b"[]".to_vec(),
        5 => format!("{{\"transaction_id\":\"negative-{number}\",{valid},\"amount\":-5}}").into_bytes(),
        6 => format!("{{\"transaction_id\":\"twice-{number}\",{valid},\"amount\":1,\"amount\":2}}").into_bytes(),
        7 => format!("{{\"transaction_id\":\"deep-{number}\",{valid},\"amount\":1,\"metadata\":{{\"a\":{}{}}}}}", "[".repeat(200), "]".repeat(200)).into_bytes(),
        8 => format!("{{\"transaction_id\":\"places-{number}\",{valid},\"amount\":1.001}}").into_bytes(),
        _ => format!("{{\"transaction_id\":\"nul-\\u0000-{number}\",{valid},\"amount\":1}}").into_bytes(),
    }
}

/// Generated rows, and money that goes round three accounts, with one malformed, one duplicate in a hundred, and a conflict now and then.
fn input(rows: usize) -> Vec<Vec<u8>> {
    let fresh = merged(hospital(7, rows), round_trip(PARTITIONS));
    let mut lines = Vec::new();
    for (at, line) in fresh.iter().enumerate() {
        lines.push(line.clone());
        match at % 100 {
            37 => lines.push(malformed(at / 100)),
            71 => lines.push(fresh[at - 50].clone()),
            _ => {}
        }
        if at % 1_000 == 500 {
            let mut other: Value = serde_json::from_slice(&fresh[at - 10]).unwrap();
            other["amount"] = json!(0.07);
            lines.push(serde_json::to_vec(&other).unwrap());
        }
    }
    lines
}

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Value of each scored record by partition and `seq`, which are dense and each there once.
async fn scores(log: &dyn Reader) -> BTreeMap<(u32, u64), Bytes> {
    let mut scores = BTreeMap::new();
    for (partition, records) in (0..).zip(topic(log, RISK_SCORES).await) {
        for (seq, record) in (0..).zip(&records) {
            let row = score(record);
            assert_eq!((row.partition, row.seq), (partition, seq), "each seq stands in the output once, in order");
            scores.insert((partition, seq), record.value.clone());
        }
    }
    scores
}

/// Every store holds the scored records of the log, and nothing else.
async fn stores_hold_the_log(log: &dyn Reader, folder: &Path) {
    let records: Vec<Stored> = topic(log, RISK_SCORES).await.concat();
    let alerts: Vec<Stored> = topic(log, RISK_ALERTS).await.concat();
    for role in Role::ALL {
        let mut wanted = [expected(role, &records), expected_patterns(role, &alerts)].concat();
        wanted.sort_unstable();
        assert_same(&read_back(role, &sql::engine(folder)).await, &wanted, role.name());
    }
}

/// Patterns by account in the order of their `seq`, which are dense and each there once.
async fn patterns(log: &dyn Reader) -> Vec<Bytes> {
    let mut patterns = Vec::new();
    for record in topic(log, RISK_ALERTS).await.concat() {
        let alert: Alert<'_> = serde_json::from_slice(&record.value).unwrap();
        if let Some(position) = alert.position {
            assert_eq!((position.partition, position.seq), (0, patterns.len() as u64), "each seq stands in the output once, in order");
            patterns.push(record.value.clone());
        }
    }
    patterns
}

/// Letters by stage and origin.
async fn letters(log: &dyn Reader) -> BTreeMap<(String, String), Found> {
    let mut letters = BTreeMap::new();
    for found in dead_letters::read_all(log).await.unwrap() {
        let before = letters.insert((found.letter.stage.clone(), found.letter.origin.to_string()), found);
        assert!(before.is_none(), "one letter a stage and origin: {before:?}");
    }
    letters
}

async fn dead_letters_hold_what_was_not_taken(log: &dyn Reader) {
    let letters = letters(log).await;
    let mut intake = BTreeSet::new();
    for (partition, records) in (0..PARTITIONS).zip(topic(log, HOSPITAL_TRANSACTIONS).await) {
        for record in records {
            let Err(rejection) = decode_transaction(&record.value, &Reading::default()) else { continue };
            let place = ("intake".to_owned(), format!("{HOSPITAL_TRANSACTIONS}/{partition}/{}", record.offset));
            let found = letters.get(&place).unwrap_or_else(|| panic!("{place:?} is not in the dead letters"));
            assert_eq!((&found.record.value, &found.record.key), (&record.value, &record.key), "the original bytes");
            assert_eq!((&found.letter.error_class, &found.letter.error_message), (&rejection.class(), &rejection.to_string()));
            assert!(!rejection.faults.is_empty() && !found.letter.fingerprint.is_empty(), "a reason to act on");
            intake.insert(place);
        }
    }
    assert!(intake.len() >= 40, "{} malformed records", intake.len());
    let scorer: Vec<&Found> = letters.iter().filter(|(place, _)| !intake.contains(*place)).map(|(_, found)| found).collect();
    assert!(scorer.iter().all(|found| found.letter.stage == "scorer" && found.letter.error_class == "transaction_id:conflict"), "{scorer:?}");
    assert_eq!(scorer.len(), 5, "one of each id with another content");
}

#[tokio::test(flavor = "multi_thread")]
async fn stages_killed_at_random_leave_every_store_as_if_they_never_had_been() {
    let lines = input(5_000);
    let (calm, torn) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut undisturbed = Pipeline::open(calm.path()).await;
    undisturbed.start_all(&STAGES);
    undisturbed.feed(&lines).await;
    undisturbed.settle().await;
    undisturbed.stop().await;

    let mut killed = Pipeline::open(torn.path()).await;
    killed.start_all(&STAGES);
    let mut dice = Dice(0x5eed);
    for part in lines.chunks(lines.len().div_ceil(10)) {
        let before = killed.count(RISK_SCORES).await;
        killed.feed(part).await;
        // Somewhere in the part, of which about 99 in a hundred are scored.
        let target = before + dice.below(part.len() as u64 * 8 / 10);
        until("the scorer comes that far", async || (killed.count(RISK_SCORES).await >= target).then_some(())).await;
        let victims = 1 + dice.below((1 << STAGES.len()) - 1);
        let victims: Vec<&'static str> = STAGES.into_iter().enumerate().filter(|(bit, _)| (victims >> bit) & 1 == 1).map(|(_, stage)| stage).collect();
        for stage in &victims {
            killed.kill(stage).await;
        }
        killed.start_all(&victims);
    }
    let status = killed.settle().await;
    assert!(status.settled() && status.stages.len() == 9, "{status:#?}");
    killed.stop().await;

    assert!(killed.status().await.unwrap().settled(), "what was settled stays settled");
    stores_hold_the_log(&*killed.log, torn.path()).await;
    dead_letters_hold_what_was_not_taken(&*killed.log).await;
    let (found, wanted) = (scores(&*killed.log).await, scores(&*undisturbed.log).await);
    assert_eq!(found.len(), wanted.len());
    let other = found.iter().find(|(place, value)| wanted.get(*place) != Some(*value));
    assert!(other.is_none(), "scored otherwise than in a run that was never killed: {other:?}");
    stores_hold_the_log(&*undisturbed.log, calm.path()).await;
    let (found, wanted) = (patterns(&*killed.log).await, patterns(&*undisturbed.log).await);
    assert!(wanted.iter().any(|value| serde_json::from_slice::<Alert<'_>>(value).unwrap().alert_type.as_str() == "round_trip"), "{} patterns", wanted.len());
    assert!(found == wanted, "{} patterns instead of {}, or others", found.len(), wanted.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn losing_the_baselines_store_loses_nothing() {
    let mut lines = input(1_500);
    // Sent again long after: who lost the ids of the beginning takes them for new.
    lines.extend_from_within(..30);
    let (calm, robbed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut undisturbed = Pipeline::open(calm.path()).await;
    undisturbed.start_all(&STAGES[..3]);
    undisturbed.feed(&lines).await;
    undisturbed.settle().await;
    undisturbed.stop().await;

    let mut pipeline = Pipeline::open(robbed.path()).await;
    for (round, part) in lines.chunks(lines.len().div_ceil(3)).enumerate() {
        pipeline.start_all(&STAGES);
        pipeline.feed(part).await;
        pipeline.settle().await;
        pipeline.stop().await;
        if round == 0 {
            std::fs::remove_file(robbed.path().join("baselines.db")).unwrap();
            for beside in ["baselines.db-wal", "baselines.db-shm"] {
                // SQLite has removed them where it closed the file in peace.
                drop(std::fs::remove_file(robbed.path().join(beside)));
            }
        }
    }
    assert!(scores(&*pipeline.log).await == scores(&*undisturbed.log).await, "the state comes back from the log, to the bit");
    assert!(patterns(&*pipeline.log).await == patterns(&*undisturbed.log).await, "and so do patterns, none twice");
    stores_hold_the_log(&*pipeline.log, robbed.path()).await;
}

/// A record to be appended, as another log holds it.
fn record(stored: Stored) -> Record {
    Record { key: stored.key, value: stored.value, headers: stored.headers }
}

/// A log that takes no scores while it is full.
struct FullLog {
    inner: Arc<dyn Log>,
    full: AtomicBool,
}

#[async_trait]
impl Producer for FullLog {
    async fn produce(&self, topic: &str, partition: u32, records: Vec<Record>) -> Result<Offset, Reaction> {
        if topic == RISK_SCORES && self.full.load(Ordering::Relaxed) {
            return Err(Reaction::transient("the log is full"));
        }
        self.inner.produce(topic, partition, records).await
    }
}

#[async_trait]
impl Reader for FullLog {
    async fn identity(&self) -> Result<String, Reaction> {
        self.inner.identity().await
    }

    async fn partitions(&self, topic: &str) -> Result<u32, Reaction> {
        self.inner.partitions(topic).await
    }

    async fn bounds(&self, topic: &str, partition: u32) -> Result<Bounds, Reaction> {
        self.inner.bounds(topic, partition).await
    }

    async fn read(&self, topic: &str, partition: u32, from: Offset, max_bytes: usize) -> Result<Vec<Stored>, Reaction> {
        self.inner.read(topic, partition, from, max_bytes).await
    }

    async fn committed(&self, group: &str, topic: &str) -> Result<Vec<(u32, Offset, String)>, Reaction> {
        self.inner.committed(group, topic).await
    }
}

#[async_trait]
impl Log for FullLog {
    async fn ensure_topics(&self, topics: &[TopicSpec], partitions: u32) -> Result<(), Reaction> {
        self.inner.ensure_topics(topics, partitions).await
    }

    async fn subscribe(&self, group: &str, topics: &[&str]) -> Result<Box<dyn Consumer>, Reaction> {
        self.inner.subscribe(group, topics).await
    }

    async fn keeps(&self, topic: &str) -> Result<Option<Duration>, Reaction> {
        self.inner.keeps(topic).await
    }

    async fn retain(&self) -> Result<u64, Reaction> {
        self.inner.retain().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scorer_stopped_while_the_log_is_full_checkpoints_nothing_that_the_log_does_not_hold() {
    let folder = tempfile::tempdir().unwrap();
    let baselines = folder.path().join("baselines.db");
    let mut pipeline = Pipeline::open(folder.path()).await;
    let records = accepted(&small_hospital(3, 200)).into_iter().map(record).collect();
    pipeline.log.produce(ACCEPTED_TRANSACTIONS, 0, records).await.unwrap();

    let full = Arc::new(FullLog { inner: pipeline.log.clone(), full: AtomicBool::new(true) });
    let (gauges, stop) = (Arc::new(Gauges::new(stage::GROUP)), CancellationToken::new());
    let checkpoints = Box::new(SqliteCheckpoints::open(&baselines).unwrap());
    let scorer = tokio::spawn(stage::run(full, checkpoints, scorer_settings(), gauges.clone(), stop.clone()));
    until("the scorer waits for the log", async || (gauges.retries.load(Ordering::Relaxed) > 0).then_some(())).await;
    stop.cancel();
    scorer.await.unwrap().unwrap();

    assert_eq!(pipeline.count(RISK_SCORES).await, 0);
    let covered: Vec<u64> = read_partitions(&baselines).unwrap().into_iter().map(|(next_offset, _)| next_offset).collect();
    assert!(covered.iter().all(|next_offset| *next_offset == 0), "a checkpoint covers {covered:?} records whose scores the log does not hold: they are lost");
    pipeline.start("scorer");
    pipeline.settle().await;
    pipeline.stop().await;
    assert_eq!(scores(&*pipeline.log).await.len(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_none_goes_to_the_dead_letters_of_each_sink_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = Pipeline::open(folder.path()).await;
    let records = stream(0);
    let emitted = |records: &[Stored]| -> Vec<Record> { records.iter().cloned().map(record).collect() };
    let stranger = Record::new("stranger", "{\"seq\":\"of nobody\"}");
    pipeline.log.produce(RISK_SCORES, 0, emitted(&records[..10])).await.unwrap();
    pipeline.log.produce(RISK_SCORES, 0, vec![stranger.clone()]).await.unwrap();
    pipeline.log.produce(RISK_SCORES, 0, emitted(&records[10..50])).await.unwrap();
    pipeline.start_all(&STAGES[3..]);
    until("every sink has passed it", async || {
        let reached = Role::ALL.map(|role| published(role, folder.path()).ok().and_then(|positions| positions.first().map(|p| p.visible_seq)));
        (reached == [Some(50); 4]).then_some(())
    })
    .await;
    pipeline.stop().await;
    let found = dead_letters::read_all(&*pipeline.log).await.unwrap();
    let stores: BTreeSet<_> = found.iter().filter_map(|found| found.letter.store.as_deref()).collect();
    assert_eq!(stores, BTreeSet::from(Role::ALL.map(Role::name)));
    for found in &found {
        assert_eq!((found.letter.origin.to_string(), found.letter.stage.as_str()), (format!("{RISK_SCORES}/0/10"), "sink"));
        assert_eq!((&found.record.value, &found.record.key), (&stranger.value, &stranger.key), "the original bytes");
        assert!(found.letter.error_message.contains("expected a record of the scorer"), "{}", found.letter.error_message);
    }
    let held: Vec<Stored> = topic(&*pipeline.log, RISK_SCORES).await.swap_remove(0).into_iter().filter(|record| record.offset != 10).collect();
    for role in Role::ALL {
        assert_same(&read_back(role, &sql::engine(folder.path())).await, &expected(role, &held), role.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_that_intake_makes_after_a_crash_are_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = Pipeline::open(folder.path()).await;
    pipeline.start_all(&["intake", "scorer"]);
    let lines = small_hospital(9, 300);
    pipeline.feed(&lines).await;
    let status = pipeline.settle().await;
    pipeline.kill("intake").await;
    // What intake writes when it was killed before it committed.
    let sources = topic(&*pipeline.log, HOSPITAL_TRANSACTIONS).await;
    for (partition, records) in (0..PARTITIONS).zip(sources) {
        for record in &records[records.len().saturating_sub(20)..] {
            let (to, copy) = intake::accept(record, partition, PARTITIONS, &Reading::default()).unwrap();
            pipeline.log.produce(ACCEPTED_TRANSACTIONS, to, vec![copy]).await.unwrap();
        }
    }
    let again = pipeline.settle().await;
    pipeline.stop().await;
    let part = |status: &wh_ops::status::Status, name: &str| status.stages[1].parts.iter().find(|(part, _)| *part == name).map(|(_, count)| *count);
    assert_eq!((part(&status, "scored"), part(&status, "copies")), (Some(300), Some(0)));
    assert_eq!(part(&again, "scored"), Some(300));
    assert!(part(&again, "copies").is_some_and(|copies| copies >= 20), "{again:?}");
    assert_eq!(scores(&*pipeline.log).await.len(), 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_another_log_is_refused() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // The other log is longer, and knows the groups: by offsets alone nothing would be noticed, and rows would be missing.
    for (folder, count) in [(one.path(), 300), (other.path(), 900)] {
        let mut pipeline = Pipeline::open(folder).await;
        pipeline.start_all(&STAGES);
        pipeline.feed(&hospital(5, count)).await;
        pipeline.settle().await;
        pipeline.stop().await;
    }
    let pipeline = Pipeline::open(other.path()).await;
    for role in Role::ALL {
        let before = published(role, one.path()).unwrap();
        let store = content::open(role, one.path()).unwrap();
        let gauges = Arc::new(Gauges::new(role.name()));
        let running = runner::run(pipeline.log.clone(), store, runner_settings(), gauges, CancellationToken::new());
        let outcome = tokio::time::timeout(Duration::from_secs(30), running).await.unwrap_or_else(|_| panic!("{} was not refused", role.name()));
        let Err(refused) = outcome else { panic!("{} was not refused", role.name()) };
        assert_eq!((refused.class(), wh_eventlog::incidents::kind(&refused)), ("fatal", "another_log"), "{}: {refused}", role.name());
        assert_eq!(published(role, one.path()).unwrap(), before, "{}: nothing was written", role.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_keeps_no_log_yet_is_given_the_one_that_it_goes_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = Pipeline::open(folder.path()).await;
    pipeline.start_all(&STAGES);
    pipeline.feed(&hospital(5, 200)).await;
    pipeline.settle().await;
    pipeline.stop().await;
    // As an earlier version left it.
    let forget = rusqlite::Connection::open(folder.path().join("documents.db")).unwrap();
    assert_eq!(forget.execute("DELETE FROM positions WHERE stream = 'log'", []).unwrap(), 1);
    drop(forget);
    pipeline.start("documents");
    let mark = ids::log_mark(&pipeline.log.identity().await.unwrap());
    until("the store keeps it again", async || {
        let kept = content::open(Role::Documents, folder.path()).unwrap().log().await.unwrap();
        (kept == Some(mark)).then_some(())
    })
    .await;
    pipeline.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn intake_stops_before_a_topic_of_bad_records_and_buries_none_that_are_too_many() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::open(folder.path()).await;
    let bad = |count: usize| -> Vec<Record> { (0..count).map(|i| Record::new(format!("bad {i}"), "{\"amount\":\"NaN\"}")).collect() };
    pipeline.log.produce(HOSPITAL_TRANSACTIONS, 0, bad(60)).await.unwrap();
    let settings = || IntakeSettings::new(Reading::default(), "test");
    let run = async |stop: CancellationToken| intake::run(pipeline.log.clone(), settings(), Arc::new(Gauges::new("intake")), stop).await;
    let committed = async || pipeline.log.committed(intake::GROUP, HOSPITAL_TRANSACTIONS).await.unwrap().iter().map(|(_, offset, _)| *offset).sum::<u64>();
    let stop = CancellationToken::new();
    let (outcome, ()) = tokio::join!(run(stop.clone()), async {
        until("the few are buried", async || (committed().await == 60).then_some(())).await;
        stop.cancel();
    });
    outcome.unwrap();
    assert_eq!(dead_letters::summary(&*pipeline.log).await.unwrap().written, 60);
    pipeline.log.produce(HOSPITAL_TRANSACTIONS, 0, bad(150)).await.unwrap();
    for _ in 0..3 {
        let refused = run(CancellationToken::new()).await.unwrap_err();
        assert_eq!((refused.class(), wh_eventlog::incidents::kind(&refused)), ("fatal", "too_many_dead_letters"), "{refused}");
        assert!(refused.to_string().contains("WHERE partition = 0 AND \"offset\" = 60"), "{refused}");
    }
    assert_eq!(dead_letters::summary(&*pipeline.log).await.unwrap().written, 60, "a start that stops again drains nothing");
    assert_eq!(committed().await, 60, "and settles nothing");
    // Whoever raises the limit buries them all.
    let (stop, generous) = (CancellationToken::new(), IntakeSettings { dead_letters: LimitSettings::none(), ..settings() });
    let (outcome, ()) = tokio::join!(intake::run(pipeline.log.clone(), generous, Arc::new(Gauges::new("intake")), stop.clone()), async {
        until("all are buried", async || (committed().await == 210).then_some(())).await;
        stop.cancel();
    });
    outcome.unwrap();
    assert_eq!(dead_letters::summary(&*pipeline.log).await.unwrap().written, 210);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_of_a_sink_is_written_again_past_the_fence_and_the_sum_stays() {
    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = Pipeline::open(folder.path()).await;
    let records = stream(0);
    // What one store could not take for a reason that is gone: the row that holds its id is another's.
    pipeline.log.produce(RISK_SCORES, 0, records[..50].iter().cloned().map(record).collect()).await.unwrap();
    let victim = records[..50].iter().find(|stored| score(stored).risk_score.is_some()).unwrap();
    let id = score(victim).transaction_id.as_str().to_owned();
    drop(content::open(Role::Documents, folder.path()).unwrap());
    let documents = rusqlite::Connection::open(folder.path().join("documents.db")).unwrap();
    documents
        .execute(
            r#"INSERT INTO documents (pos, transaction_id, user_id, timestamp, metadata, explanation, processed_at) VALUES (-1, ?1, 'x', 0, jsonb('{}'), jsonb('{"content_hash":"another"}'), 0)"#,
            [&id],
        )
        .unwrap();
    pipeline.start("documents");
    until("the sink has passed it", async || published(Role::Documents, folder.path()).ok().and_then(|p| p.first().map(|p| p.visible_seq)).filter(|seq| *seq == 50)).await;
    pipeline.stop().await;
    let found = dead_letters::read_all(&*pipeline.log).await.unwrap().swap_remove(0);
    assert_eq!((found.letter.store.as_deref(), found.letter.error_class.as_str()), (Some("documents"), "transaction_id:conflict"));
    let before = published(Role::Documents, folder.path()).unwrap();
    let (mut store, mut binding) = (content::open(Role::Documents, folder.path()).unwrap(), Binding::default());
    assert_eq!(letters::rewrite(&*pipeline.log, &mut *store, &mut binding, &found).await.unwrap(), 0, "it still cannot be taken");
    let mut rows = SqliteRows::documents(&folder.path().join("documents.db"));
    assert!(!letters::holds(&*pipeline.log, &mut rows, &found).await.unwrap(), "the row in its place is another's");
    documents.execute("DELETE FROM documents WHERE pos = -1", []).unwrap();
    assert_eq!(letters::rewrite(&*pipeline.log, &mut *store, &mut binding, &found).await.unwrap(), 1);
    assert_eq!(letters::rewrite(&*pipeline.log, &mut *store, &mut binding, &found).await.unwrap(), 0, "twice changes nothing");
    assert!(letters::holds(&*pipeline.log, &mut rows, &found).await.unwrap());
    drop(store);
    letters::mark(&*pipeline.log, &found, dead_letters::Disposition::Retried, "local", "test").await.unwrap();
    assert_eq!(published(Role::Documents, folder.path()).unwrap(), before, "no position moves");
    assert_same(&read_back(Role::Documents, &sql::engine(folder.path())).await, &expected(Role::Documents, &records[..50]), "documents");
    let summary = dead_letters::summary(&*pipeline.log).await.unwrap();
    assert_eq!((summary.written, summary.waiting, summary.retried), (1, 0, 1));
    let filter = dead_letters::Filter { store: Some("documents".to_owned()), ..dead_letters::Filter::default() };
    assert_eq!((letters::waiting(&*pipeline.log, &filter).await.unwrap(), letters::list(&*pipeline.log, &filter, true, 9).await.unwrap().lines.len()), (0, 1));
}
