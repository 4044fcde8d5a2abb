//! What each store did for a query: rows, bytes, and where the time went.
//!
//! What must stay true: the counters of a query are its own; they are told while it runs, so that a batch counts when it is handed over.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder, Time};

/// What one relation of a store gave to a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreWork {
    /// The store's role.
    pub store: String,
    /// The relation, with its schema.
    pub relation: String,
    /// Rows that left the store.
    pub rows: u64,
    /// Bytes of these rows, as they are held in memory.
    pub bytes: u64,
    /// How long the store worked, over all parts of its scans.
    pub in_store: Duration,
    /// How long its rows waited for somebody to take them.
    pub waiting: Duration,
}

/// The counters of one query, by relation.
#[derive(Debug, Default)]
pub(crate) struct Work {
    relations: Mutex<Vec<Arc<Tally>>>,
}

impl Work {
    fn of(&self, relation: &str) -> Arc<Tally> {
        let mut relations = self.relations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tally) = relations.iter().find(|tally| tally.relation == relation) {
            return Arc::clone(tally);
        }
        let tally = Arc::new(Tally { relation: relation.to_owned(), ..Tally::default() });
        relations.push(Arc::clone(&tally));
        tally
    }

    /// What has been counted so far.
    pub(crate) fn stores(&self) -> Vec<StoreWork> {
        self.relations.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|tally| tally.told()).collect()
    }
}

/// The counters of one relation.
#[derive(Debug, Default)]
struct Tally {
    relation: String,
    rows: AtomicU64,
    bytes: AtomicU64,
    in_store_nanos: AtomicU64,
    waiting_nanos: AtomicU64,
}

impl Tally {
    fn told(&self) -> StoreWork {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StoreWork {
            // Each role's tables are in the schema of its name.
            store: self.relation.split('.').next().unwrap_or_default().to_owned(),
            relation: self.relation.clone(),
            rows: read(&self.rows),
            bytes: read(&self.bytes),
            in_store: Duration::from_nanos(read(&self.in_store_nanos)),
            waiting: Duration::from_nanos(read(&self.waiting_nanos)),
        }
    }
}

/// The meter of one part of a scan, on the thread that reads the store: for `system.queries`, and for EXPLAIN ANALYZE.
pub(crate) struct Meter {
    tally: Arc<Tally>,
    bytes: Count,
    in_store: Time,
    waiting: Time,
    /// When the store, or the wait, began.
    since: Instant,
}

impl Meter {
    /// A meter for one part of a scan of `relation`.
    pub(crate) fn new(context: &TaskContext, relation: &str, metrics: &ExecutionPlanMetricsSet, part: usize) -> Meter {
        // A plan that no session runs is counted for itself.
        let work = context.session_config().get_extension::<Work>().unwrap_or_default();
        Meter {
            tally: work.of(relation),
            bytes: MetricBuilder::new(metrics).counter("bytes_from_store", part),
            in_store: MetricBuilder::new(metrics).subset_time("time_in_store", part),
            waiting: MetricBuilder::new(metrics).subset_time("time_waiting", part),
            since: Instant::now(),
        }
    }

    /// The store begins.
    pub(crate) fn begins(&mut self) {
        self.since = Instant::now();
    }

    /// The store gave a batch, and is about to wait for somebody to take it.
    pub(crate) fn gave(&mut self, batch: &RecordBatch) {
        let bytes = batch.get_array_memory_size();
        self.tally.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        self.tally.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.bytes.add(bytes);
        self.worked();
    }

    /// The batch was taken: the store goes on.
    pub(crate) fn waited(&mut self) {
        let time = self.since.elapsed();
        self.tally.waiting_nanos.fetch_add(nanos(time), Ordering::Relaxed);
        self.waiting.add_duration(time);
        self.since = Instant::now();
    }

    /// The store worked until now.
    pub(crate) fn worked(&mut self) {
        let time = self.since.elapsed();
        self.tally.in_store_nanos.fetch_add(nanos(time), Ordering::Relaxed);
        self.in_store.add_duration(time);
        self.since = Instant::now();
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array};

    #[test]
    fn the_parts_of_a_scan_are_counted_together_and_those_of_others_apart() {
        let work = Arc::new(Work::default());
        let config = datafusion::prelude::SessionConfig::new().with_extension(Arc::clone(&work));
        let context = TaskContext::default().with_session_config(config);
        let metrics = ExecutionPlanMetricsSet::new();
        let batch = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef)]).unwrap();
        for (relation, part) in [("ledger.transactions", 0), ("ledger.transactions", 1), ("search.alerts", 0)] {
            let mut meter = Meter::new(&context, relation, &metrics, part);
            meter.begins();
            meter.gave(&batch);
            meter.waited();
            meter.worked();
        }
        let told: Vec<(String, String, u64)> = work.stores().into_iter().map(|work| (work.store, work.relation, work.rows)).collect();
        assert_eq!(told, [("ledger".to_owned(), "ledger.transactions".to_owned(), 6), ("search".to_owned(), "search.alerts".to_owned(), 3)]);
    }
}
