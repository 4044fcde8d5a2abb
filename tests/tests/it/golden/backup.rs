//! What a backup says of itself: it is restored by later versions too.

use std::collections::BTreeMap;

use wh_ops::backup::Manifest;
use wh_ops::backup::manifest::{FILE, FORMAT, FileState, LogState, PositionState, StoreState, TopicState};
use wh_schemas::Micros;
use wh_schemas::topics::RISK_SCORES;

use super::Format;
use super::wire::AT;

pub(super) const MANIFEST: Format = Format::new(FILE, 1, || serde_json::to_vec_pretty(&manifest()).unwrap(), read);

fn manifest() -> Manifest {
    let topic = RISK_SCORES.to_owned();
    let position = PositionState { topic: topic.clone(), partition: 0, next_seq: 11, next_offset: 12 };
    Manifest {
        format: FORMAT,
        wardhouse: "0.1.0 (abcdef0)".to_owned(),
        taken_at: Micros(AT),
        log: LogState { identity: "0123456789abcdef0123456789abcdef".to_owned(), layout: 1, topics: vec![TopicState { topic, partition: 0, start: 10, end: 20 }] },
        stores: vec![StoreState { role: "ledger".to_owned(), layout: 1, positions: vec![position], rows: [("transactions".to_owned(), 7)].into() }],
        elsewhere: BTreeMap::from([("documents".to_owned(), "mongodb://host/wardhouse".to_owned())]),
        files: vec![FileState { path: "ledger.db".to_owned(), bytes: 4_096, sha256: "ab".repeat(32) }],
    }
}

fn read(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE), bytes).unwrap();
    format!("{:#?}\n", Manifest::read(folder.path()).unwrap())
}
