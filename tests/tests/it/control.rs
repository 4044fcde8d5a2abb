//! Control records through the whole pipeline: they count from exactly their `seq` on, whoever is killed when and whatever is lost.

use std::path::Path;

use serde_json::Value;
use wh_eventlog::{Bytes, Producer, Reader, Record};
use wh_schemas::control::{ControlChange, ControlRecord};
use wh_schemas::topics::{RISK_SCORES, SCORER_CONTROL, SYSTEM_EVENTS};
use wh_schemas::transaction::SCHEMA_VERSION;
use wh_schemas::{AcceptedTransaction, ScoreRecord};
use wh_scorer::engine::UserState;
use wh_scorer::state::CheckpointStore;
use wh_scorer::state::sqlite::{SqliteCheckpoints, read_checkpoints};

use crate::pipeline::{PARTITIONS, Pipeline, until};
use crate::records::{hospital, score, small_hospital, topic};

const STAGES: [&str; 2] = ["intake", "scorer"];
/// First `seq` under the other ruleset, of each partition: beyond what the first lines come to.
const FROM: u64 = 150;
const FIRST: usize = 120;

fn other_rules() -> ControlChange {
    ControlChange::Ruleset { ruleset: "name = \"other\"\n[amount]\npoints_a_scale = 0.5\n[time]\npoints_a_halving = 9.0\n".to_owned() }
}

fn record(id: &str, partition: u32, from_seq: u64, change: ControlChange) -> ControlRecord {
    ControlRecord { schema_version: SCHEMA_VERSION, control_id: id.to_owned(), partition, from_seq, principal: "tester".to_owned(), reason: "a test".to_owned(), change }
}

async fn send(pipeline: &Pipeline, record: &ControlRecord) {
    let value = serde_json::to_vec(record).unwrap();
    pipeline.log.produce(SCORER_CONTROL, 0, vec![Record { key: None, value: value.into(), headers: Vec::new() }]).await.unwrap();
}

/// The audit event about a control record, once it is there.
async fn decision(pipeline: &Pipeline, id: &str) -> Value {
    until(&format!("{id} is decided"), async || {
        let events = topic(&*pipeline.log, SYSTEM_EVENTS).await.concat();
        events.iter().map(|event| serde_json::from_slice::<Value>(&event.value).unwrap()).find(|event| event["data"]["control_id"] == id)
    })
    .await
}

/// The scored records of each partition.
async fn scores(pipeline: &Pipeline) -> Vec<Vec<Bytes>> {
    topic(&*pipeline.log, RISK_SCORES).await.into_iter().map(|records| records.into_iter().map(|record| record.value).collect()).collect()
}

fn hash(value: &Bytes) -> Option<String> {
    let row: ScoreRecord<'_> = serde_json::from_slice(value).unwrap();
    row.ruleset.map(|hash| hash.as_str().to_owned())
}

/// A run that nobody disturbed: the ruleset changes at [`FROM`] in each partition.
async fn undisturbed(lines: &[Vec<u8>]) -> Vec<Vec<Bytes>> {
    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = Pipeline::open(folder.path()).await;
    pipeline.start_all(&STAGES);
    pipeline.feed(&lines[..FIRST]).await;
    pipeline.settle().await;
    for partition in 0..PARTITIONS {
        send(&pipeline, &record(&format!("change {partition}"), partition, FROM, other_rules())).await;
    }
    for partition in 0..PARTITIONS {
        let event = decision(&pipeline, &format!("change {partition}")).await;
        assert_eq!((event["event_type"].as_str(), event["principal"].as_str()), (Some("control_accepted"), Some("tester")), "{event}");
    }
    pipeline.feed(&lines[FIRST..]).await;
    pipeline.settle().await;
    pipeline.stop().await;
    scores(&pipeline).await
}

fn remove_baselines(folder: &Path) {
    std::fs::remove_file(folder.join("baselines.db")).unwrap();
    for beside in ["baselines.db-wal", "baselines.db-shm"] {
        // SQLite has removed them where it closed the file in peace.
        drop(std::fs::remove_file(folder.join(beside)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ruleset_counts_from_exactly_its_seq_whoever_is_killed_and_whatever_is_lost() {
    let lines = hospital(7, 1_800);
    let wanted = undisturbed(&lines).await;
    for (partition, values) in wanted.iter().enumerate() {
        let from = usize::try_from(FROM).unwrap();
        assert!(values.len() > from + 50, "partition {partition} has {}", values.len());
        let hashes: Vec<String> = values.iter().filter_map(hash).collect();
        assert_eq!(hashes.len(), values.len(), "no duplicates are among them");
        assert!(hashes[..from].iter().all(|hash| *hash == hashes[0]) && hashes[from..].iter().all(|hash| *hash == hashes[from]));
        assert_ne!(hashes[0], hashes[from]);
    }

    let mut dice = 0x5eed_u64;
    for round in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let mut pipeline = Pipeline::open(folder.path()).await;
        pipeline.start_all(&STAGES);
        pipeline.feed(&lines[..FIRST]).await;
        if round > 0 {
            pipeline.settle().await;
        }
        for partition in 0..PARTITIONS {
            send(&pipeline, &record(&format!("change {partition}"), partition, FROM, other_rules())).await;
        }
        // Killed while it decides: before, between, after.
        for _ in 0..4 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            tokio::time::sleep(std::time::Duration::from_millis((dice >> 33) % 150)).await;
            pipeline.kill("scorer").await;
            pipeline.start("scorer");
        }
        for partition in 0..PARTITIONS {
            decision(&pipeline, &format!("change {partition}")).await;
        }
        for part in lines[FIRST..].chunks(280) {
            let before = pipeline.count(RISK_SCORES).await;
            pipeline.feed(part).await;
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let target = before + (dice >> 33) % 250;
            until("the scorer comes that far", async || (pipeline.count(RISK_SCORES).await >= target).then_some(())).await;
            pipeline.kill("scorer").await;
            if round == 2 {
                remove_baselines(folder.path());
            }
            pipeline.start("scorer");
        }
        pipeline.settle().await;
        pipeline.stop().await;
        let found = scores(&pipeline).await;
        for (partition, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
            let other = found.iter().zip(wanted).position(|(found, wanted)| found != wanted);
            assert!(
                other.is_none() && found.len() == wanted.len(),
                "round {round}, partition {partition}: otherwise from {other:?} on, {} instead of {}",
                found.len(),
                wanted.len()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_behind_the_stage_and_a_ruleset_that_is_none_are_refused_with_an_audit_event() {
    let lines = hospital(7, 400);
    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = Pipeline::open(folder.path()).await;
    pipeline.start_all(&STAGES);
    pipeline.feed(&lines[..300]).await;
    pipeline.settle().await;
    let reached = pipeline.log.bounds(RISK_SCORES, 1).await.unwrap().end;
    assert!(reached > 10);
    send(&pipeline, &record("behind", 1, reached - 1, other_rules())).await;
    let faulty = ControlChange::Ruleset { ruleset: "name = \"x\"\nlimts = [1.0]\n".to_owned() };
    send(&pipeline, &record("faulty", 1, reached + 1_000, faulty)).await;
    let event = decision(&pipeline, "behind").await;
    assert_eq!(event["event_type"], "control_refused");
    let said = event["data"]["refused"][0].as_str().unwrap();
    assert!(said.contains(&format!("seq {} ", reached - 1)) && said.contains(&format!("seq {reached} ")), "{said}");
    let event = decision(&pipeline, "faulty").await;
    assert!(event["data"]["refused"][0].as_str().unwrap().starts_with("2:1: limts"), "{event}");
    pipeline.feed(&lines[300..]).await;
    pipeline.settle().await;
    pipeline.stop().await;
    let hashes: Vec<String> = scores(&pipeline).await.concat().iter().filter_map(hash).collect();
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "the one in force stays");
    let checkpoints = read_checkpoints(&folder.path().join("baselines.db")).unwrap();
    assert!(checkpoints.iter().all(|(_, _, record)| record.control.pending.is_empty() && record.control.in_force.as_ref().unwrap().hash == hashes[0]));
}

/// The state of a user, as the last checkpoint has it.
async fn state(folder: &Path, partition: u32, user: &str) -> UserState {
    let mut store = SqliteCheckpoints::open(&folder.join("baselines.db")).unwrap();
    let users = store.take_over(partition).await.unwrap().1.unwrap().users;
    users.into_iter().find(|(name, _)| name == user).unwrap().1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_changes_what_is_learnt() {
    let lines = small_hospital(3, 900);
    let (with, without) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut outcomes = Vec::new();
    for (folder, release) in [(without.path(), false), (with.path(), true)] {
        let mut pipeline = Pipeline::open(folder).await;
        pipeline.start_all(&STAGES);
        pipeline.feed(&lines[..800]).await;
        pipeline.settle().await;
        let records = topic(&*pipeline.log, RISK_SCORES).await.concat();
        // The last, so that the user's state is not far from what it was.
        let alerted = records.iter().map(score).filter(|row| row.risk_score.is_some_and(|risk| risk >= 70)).max_by_key(|row| (row.timestamp, row.seq)).unwrap();
        let (partition, user) = (alerted.partition, alerted.user_id.as_str().to_owned());
        if release {
            let transaction = serde_json::to_string(&AcceptedTransaction::of(&alerted)).unwrap();
            let from_seq = pipeline.log.bounds(RISK_SCORES, partition).await.unwrap().end;
            let change = ControlChange::Release { transaction_id: alerted.transaction_id.as_str().to_owned(), transaction };
            send(&pipeline, &record("release", partition, from_seq, change)).await;
            let event = decision(&pipeline, "release").await;
            assert_eq!(event["event_type"], "control_accepted", "{event}");
        }
        pipeline.feed(&lines[800..]).await;
        pipeline.settle().await;
        pipeline.stop().await;
        let state = state(folder, partition, &user).await;
        outcomes.push((partition, state, scores(&pipeline).await));
    }
    let (partition, released, _) = &outcomes[1];
    assert_eq!(outcomes[0].0, *partition);
    assert!(released.learnt > outcomes[0].1.learnt, "{} learnt instead of {}", released.learnt, outcomes[0].1.learnt);
    for (other, (found, wanted)) in outcomes[1].2.iter().zip(&outcomes[0].2).enumerate() {
        assert!(other == *partition as usize || found == wanted, "other partitions are not touched");
    }
}
