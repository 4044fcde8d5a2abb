//! What one query may hold in memory, of what all queries may.
//!
//! What must stay true: every byte is counted in the shared pool too, which decides who spills; what a query may hold is never more than
//! its role allows.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use datafusion::execution::runtime_env::RuntimeEnv;

/// The runtime of a query that may hold at most `bytes`.
pub(crate) fn bounded(runtime: &RuntimeEnv, bytes: usize) -> Arc<RuntimeEnv> {
    let pool = QueryPool { shared: Arc::clone(&runtime.memory_pool), most: bytes, held: AtomicUsize::new(0) };
    Arc::new(RuntimeEnv { memory_pool: Arc::new(pool), ..runtime.clone() })
}

/// A part of the shared pool.
#[derive(Debug)]
struct QueryPool {
    shared: Arc<dyn MemoryPool>,
    most: usize,
    held: AtomicUsize,
}

impl fmt::Display for QueryPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes of a role", self.held.load(Ordering::Relaxed), self.most)
    }
}

impl MemoryPool for QueryPool {
    fn name(&self) -> &str {
        "query"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.shared.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.shared.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.shared.grow(reservation, additional);
        self.held.fetch_add(additional, Ordering::Relaxed);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.shared.shrink(reservation, shrink);
        self.held.fetch_sub(shrink, Ordering::Relaxed);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let taken = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| held.checked_add(additional).filter(|held| *held <= self.most));
        if taken.is_err() {
            let message = format!("{} asked for {additional} bytes more of the {} that its role may hold", reservation.consumer().name(), self.most);
            return Err(DataFusionError::ResourcesExhausted(message));
        }
        self.shared.try_grow(reservation, additional).inspect_err(|_| {
            self.held.fetch_sub(additional, Ordering::Relaxed);
        })
    }

    fn reserved(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::execution::memory_pool::GreedyMemoryPool;
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;

    #[test]
    fn a_query_holds_no_more_than_its_role_may_and_all_no_more_than_there_is() {
        let shared = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(GreedyMemoryPool::new(150))).build_arc().unwrap();
        let (one, two) = (bounded(&shared, 100), bounded(&shared, 100));
        let first = MemoryConsumer::new("first").register(&one.memory_pool);
        let second = MemoryConsumer::new("second").register(&two.memory_pool);
        first.try_grow(80).unwrap();
        assert!(first.try_grow(30).is_err(), "more than its role may");
        assert!(second.try_grow(90).is_err(), "more than there is");
        assert_eq!((one.memory_pool.reserved(), two.memory_pool.reserved(), shared.memory_pool.reserved()), (80, 0, 80));
        drop(first);
        second.try_grow(90).unwrap();
        assert_eq!((one.memory_pool.reserved(), shared.memory_pool.reserved()), (0, 90));
    }
}
