//! `reconcile` over every store: what is done behind its back is found, each place of it, and put right; a store that is as it should be raises nothing.

mod baselines;
mod embedded;
mod excuses;
mod servers;

use std::collections::BTreeSet;
use std::sync::Arc;

use tempfile::TempDir;
use wh_eventlog::embedded::{EmbeddedLog, Settings};
use wh_eventlog::{Log, Producer, Reader, Record, Stored};
use wh_ops::reconcile::{Finding, Options, Summary, Told, What, reconcile};
use wh_schemas::position::SeqPosition;
use wh_schemas::topics::{self, RISK_ALERTS, RISK_SCORES};
use wh_sinks::delivery::{Batch, Store, Written};
use wh_sinks::reconcile::{Repair, StoredRows};

use crate::records::{pattern_stream, stream};

/// Where something was found, and what.
pub(super) type Place = (What, &'static str, SeqPosition);

/// A log with two partitions of scored records and patterns.
pub(super) struct Bench {
    pub(super) folder: TempDir,
    pub(super) log: Arc<EmbeddedLog>,
}

/// The records as they go into a log.
pub(super) fn unstored(records: &[Stored]) -> Vec<Record> {
    records.iter().map(|record| Record { key: record.key.clone(), value: record.value.clone(), headers: record.headers.clone() }).collect()
}

impl Bench {
    /// A log without records.
    pub(super) async fn empty() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(&folder.path().join("log"), Settings::default()).unwrap();
        log.ensure_topics(&topics::ALL, 2).await.unwrap();
        Bench { folder, log }
    }

    pub(super) async fn new() -> Bench {
        let bench = Bench::empty().await;
        for partition in 0..2 {
            bench.append(RISK_SCORES, partition, &stream(partition)).await;
        }
        bench.append(RISK_ALERTS, 0, &pattern_stream()).await;
        bench
    }

    pub(super) async fn append(&self, topic: &str, partition: u32, records: &[Stored]) {
        for some in unstored(records).chunks(200) {
            self.log.produce(topic, partition, some.to_vec()).await.unwrap();
        }
    }

    /// What a partition of the log holds.
    pub(super) async fn records(&self, topic: &str, partition: u32) -> Vec<Stored> {
        let bounds = self.log.bounds(topic, partition).await.unwrap();
        let (mut next, mut records) = (bounds.start, Vec::new());
        while next < bounds.end {
            let some = self.log.read(topic, partition, next, 1 << 20).await.unwrap();
            next = some.last().unwrap().offset + 1;
            records.extend(some);
        }
        records
    }

    /// Writes the first `percent` of each partition of the log into a store, which shows it.
    pub(super) async fn fill(&self, store: &mut dyn Store, percent: usize) {
        for topic in store.topics().into_iter().filter(|topic| [RISK_SCORES, RISK_ALERTS].contains(topic)) {
            let partitions = if topic == RISK_ALERTS { 1 } else { 2 };
            for partition in 0..partitions {
                let mut records = self.records(topic, partition).await;
                records.truncate(records.len() * percent / 100);
                let written = store.write(self.batch(topic, partition, records)).await.unwrap();
                assert!(matches!(written, Written::Done { .. }), "{written:?}");
            }
        }
        store.publish().await.unwrap();
    }

    pub(super) fn batch(&self, topic: &str, partition: u32, records: Vec<Stored>) -> Batch {
        Batch { topic: topic.into(), partition, records: Arc::new(records), buried: BTreeSet::new() }
    }

    /// Compares, and gives what was found, each once.
    pub(super) async fn compare(&self, rows: &mut dyn StoredRows, repair: Option<&mut (dyn Repair + 'static)>) -> (Summary, Vec<Finding>) {
        self.compare_by(rows, repair, Options::default()).await
    }

    pub(super) async fn compare_by(&self, rows: &mut dyn StoredRows, repair: Option<&mut (dyn Repair + 'static)>, options: Options) -> (Summary, Vec<Finding>) {
        let mut found = Vec::new();
        let mut tell = |told: Told<'_>| {
            if let Told::Finding(finding) = told {
                found.push(finding.clone());
            }
        };
        let summary = reconcile(&*self.log, rows, repair, options, &mut tell).await.unwrap();
        (summary, found)
    }

    /// Nothing is found, and every row was seen.
    #[track_caller]
    pub(super) fn is_healthy(what: &str, (summary, found): &(Summary, Vec<Finding>)) {
        assert!(summary.findings() == 0 && summary.left == 0 && found.is_empty(), "{what}: {summary:?} {:#?}", found.iter().take(3).collect::<Vec<_>>());
    }

    /// What is done behind a store's back is found, place by place, and put right.
    pub(super) async fn drill(&self, rows: &mut dyn StoredRows, repair: &mut (dyn Repair + 'static), wanted: &BTreeSet<Place>, healthy_rows: u64) {
        let (summary, found) = self.compare(rows, None).await;
        let places: BTreeSet<Place> = found.iter().map(|finding| (finding.what, finding.table, finding.at)).collect();
        let missed: Vec<&Place> = wanted.difference(&places).take(5).collect();
        let false_alarms: Vec<&Place> = places.difference(wanted).take(5).collect();
        assert!(missed.is_empty() && false_alarms.is_empty(), "{} changes, {} found; missed {missed:?}, false alarms {false_alarms:?}", wanted.len(), places.len());
        assert_eq!((summary.findings(), found.len()), (wanted.len() as u64, wanted.len()), "each is told once");
        assert!(found.iter().all(|finding| (finding.what == What::Different) != finding.differences.is_empty()), "a difference names its fields");
        let (repaired, _) = self.compare(rows, Some(repair)).await;
        assert_eq!(repaired.left, 0, "{repaired:?}");
        let after = self.compare(rows, None).await;
        Bench::is_healthy("after the repair", &after);
        assert_eq!(after.0.rows, healthy_rows);
    }
}
