//! Reads `risk-scores` to its end and on, counts, and picks the samples.
//!
//! A Kafka log is read by a group of its own, as any consumer reads it. An embedded log is read by its file: a group there would belong
//! to the process that writes, and what a group has not settled would be kept for it.
//!
//! What must stay true: every record is read once; what costs (parsing) is done for samples alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use memchr::memmem::Finder;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wh_eventlog::{Event, Log, Reader, Stored};
use wh_schemas::Reaction;
use wh_schemas::topics::RISK_SCORES;

use super::latencies::NAMES;
use super::{GROUP, Sample, Shared};

/// How long between two looks at an embedded log that had nothing new.
const LOOK: Duration = Duration::from_millis(20);
/// How long after a failure that may pass.
const AGAIN: Duration = Duration::from_millis(200);
/// Bytes of one look.
const BYTES: usize = 1_024 * 1_024;
/// What stands in a record that raised an alert.
const ALERT: &str = "\"alert_id\"";

/// How the log is read.
pub enum Scored {
    /// By a group.
    Group(Arc<dyn Log>),
    /// By its file.
    File(Arc<dyn Reader>),
}

/// What is read of a sample.
#[derive(Deserialize)]
struct Row {
    transaction_id: String,
    partition: u32,
    seq: u64,
    #[serde(default)]
    alerts: Vec<Raised>,
}

#[derive(Deserialize)]
struct Raised {
    alert_id: String,
}

/// Picks samples and counts.
struct Picker {
    shared: Arc<Shared>,
    /// For the stores that show every transaction.
    stores: Vec<mpsc::Sender<Sample>>,
    /// For the one that shows alerts.
    search: mpsc::Sender<Sample>,
    finder: Finder<'static>,
    seen: u64,
    alerting: u64,
}

impl Picker {
    fn take(&mut self, records: &[Stored]) {
        let now = self.shared.clock.micros();
        let intended = self.shared.settle(records.iter().map(|record| record.key.as_deref().unwrap_or_default()));
        self.shared.scored.fetch_add(intended.iter().flatten().count() as u64, Ordering::Relaxed);
        self.shared.latencies.record(NAMES[0], intended.iter().flatten().copied(), now);
        let every = self.shared.sample_every.load(Ordering::Relaxed).max(1);
        for (record, intended) in records.iter().zip(intended) {
            let Some(intended) = intended else { continue };
            self.seen += 1;
            let sampled = self.seen.is_multiple_of(every);
            // Alerts are some of a hundred transactions: of those, more are looked for.
            let alerts = self.finder.find(&record.value).is_some();
            self.alerting += u64::from(alerts);
            let alert_sampled = alerts && self.alerting.is_multiple_of((every / 20).max(1));
            if !sampled && !alert_sampled {
                continue;
            }
            let Ok(row) = serde_json::from_slice::<Row>(&record.value) else {
                self.shared.fault("a scored record could not be read: it was not looked for in the stores".to_owned());
                continue;
            };
            let Row { transaction_id, partition, seq, alerts } = row;
            let sample = Sample { transaction_id, intended, partition, seq, alert_id: alerts.into_iter().next().map(|alert| alert.alert_id) };
            if alert_sampled && sample.alert_id.is_some() {
                self.hand(&self.search, sample.clone());
            }
            if sampled {
                for store in &self.stores {
                    self.hand(store, sample.clone());
                }
            }
        }
    }

    fn hand(&self, store: &mpsc::Sender<Sample>, sample: Sample) {
        if let Err(mpsc::error::TrySendError::Full(_)) = store.try_send(sample) {
            // Rather than to hold up the count; that one is far behind shows in what it has reached.
            self.shared.fault("a store is so far behind that not every sample is looked for in it: its latencies are of fewer samples".to_owned());
        }
    }
}

/// Reads until stopped. `stores` get every sample, `search` those that raised an alert.
pub async fn read_scored(scored: Scored, shared: Arc<Shared>, stores: Vec<mpsc::Sender<Sample>>, search: mpsc::Sender<Sample>, stop: CancellationToken) {
    let mut picker = Picker { shared: shared.clone(), stores, search, finder: Finder::new(ALERT), seen: 0, alerting: 0 };
    let reading = async {
        match &scored {
            Scored::Group(log) => by_group(&**log, &mut picker).await,
            Scored::File(reader) => by_file(&**reader, &mut picker).await,
        }
    };
    if let Some(Err(reaction)) = stop.run_until_cancelled(reading).await {
        shared.fault(format!("risk-scores could not be read back: {reaction}"));
    }
}

async fn by_group(log: &dyn Log, picker: &mut Picker) -> Result<(), Reaction> {
    let mut consumer = log.subscribe(GROUP, &[RISK_SCORES]).await?;
    loop {
        match consumer.poll(Duration::from_millis(500)).await {
            Ok(Event::Records(fetched)) => picker.take(&fetched.records),
            Ok(_) => {}
            Err(Reaction::Transient { .. }) => tokio::time::sleep(AGAIN).await,
            Err(other) => return Err(other),
        }
    }
}

async fn by_file(reader: &dyn Reader, picker: &mut Picker) -> Result<(), Reaction> {
    let mut next: BTreeMap<u32, u64> = (0..reader.partitions(RISK_SCORES).await?).map(|partition| (partition, 0)).collect();
    loop {
        let mut any = false;
        for (partition, next) in &mut next {
            match reader.read(RISK_SCORES, *partition, *next, BYTES).await {
                Ok(records) => {
                    if let Some(last) = records.last() {
                        any = true;
                        *next = last.offset + 1;
                        picker.take(&records);
                    }
                }
                Err(Reaction::Transient { .. }) => tokio::time::sleep(AGAIN).await,
                Err(other) => return Err(other),
            }
        }
        if !any {
            tokio::time::sleep(LOOK).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use wh_eventlog::Bytes;

    fn record(id: &str, seq: u64, alerts: &str) -> Stored {
        let value = format!("{{\"transaction_id\":\"{id}\",\"partition\":2,\"seq\":{seq},\"risk_score\":7,\"alerts\":[{alerts}]}}");
        Stored { offset: seq, append_time: 0, key: Some(Bytes::from(id.to_owned())), value: Bytes::from(value), headers: Vec::new() }
    }

    #[tokio::test]
    async fn every_scored_record_counts_and_some_are_looked_for() {
        let shared = Arc::new(Shared::new(Clock::start()));
        shared.sample_every.store(2, Ordering::Relaxed);
        shared.latencies.begin(0, u64::MAX);
        shared.intend(["a", "b", "c"].into_iter().map(|id| (id.as_bytes(), 5)));
        let ((store, mut of_store), (search, mut of_search)) = (mpsc::channel(10), mpsc::channel(10));
        let mut picker = Picker { shared: shared.clone(), stores: vec![store], search, finder: Finder::new(ALERT), seen: 0, alerting: 0 };
        // A copy, and one that nobody sent, count for nothing.
        picker.take(&[record("a", 0, "{\"alert_id\":\"x\",\"title\":\"t\"}"), record("b", 1, ""), record("a", 2, ""), record("c", 3, ""), record("d", 4, "")]);
        assert_eq!((shared.scored_so_far(), shared.unscored().len(), shared.latencies.told()[0].count), (3, 0, 3));
        let sample = of_store.try_recv().unwrap();
        assert_eq!((sample.transaction_id.as_str(), sample.partition, sample.seq, sample.intended, sample.alert_id), ("b", 2, 1, 5, None));
        assert!(of_store.try_recv().is_err());
        assert_eq!(of_search.try_recv().unwrap().alert_id.as_deref(), Some("x"));
        assert!(of_search.try_recv().is_err() && shared.faults().is_empty());
    }
}
