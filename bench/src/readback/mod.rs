//! Confirmation read back: what the log and the five stores themselves show, asked as any reader asks them. A sink's own word counts for
//! nothing here.
//!
//! `scored` reads `risk-scores` whole, which counts what is scored and samples it; a watcher a store looks every few tens of milliseconds
//! for the samples that it has not seen: ledger and documents by transaction, search by the alert that a sample raised, metrics and
//! baselines (which keep no single transaction) by the position that is published beside their points and in their checkpoint.
//!
//! What must stay true: a sample counts as seen once the answer that shows it is here, so that a latency is at most a look and its
//! answer too long and never too short; a sample that is never seen counts with the age that it has come to.

mod alerts;
pub mod latencies;
mod scored;
mod stores;
mod watcher;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use wh_schemas::Reaction;

use crate::clock::Clock;
use latencies::Latencies;

pub use alerts::Alerts;
pub use scored::{Scored, read_scored};
pub use stores::open;
pub(crate) use stores::size_of;
pub use watcher::{Counted, Watcher, Watching};

/// The group under which `risk-scores` are read where the log is a server.
pub const GROUP: &str = "bench";

/// A transaction that is looked for in the stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its id.
    pub transaction_id: String,
    /// When the schedule intended it.
    pub intended: u64,
    /// Its scored record's partition.
    pub partition: u32,
    /// Its scored record's number.
    pub seq: u64,
    /// An alert that it raised.
    pub alert_id: Option<String>,
}

/// How a store is looked at.
#[async_trait]
pub trait Look: Send {
    /// Which of the samples it shows, in their order.
    ///
    /// # Errors
    /// What the store says.
    async fn find(&mut self, samples: &[Sample]) -> Result<Vec<bool>, Reaction>;

    /// How many scored records it shows by the position that it publishes, over all partitions.
    ///
    /// # Errors
    /// What the store says.
    async fn reached(&mut self) -> Result<u64, Reaction>;

    /// How many transactions it holds, counted; of search: alerts.
    ///
    /// # Errors
    /// What the store says.
    async fn rows(&mut self) -> Result<u64, Reaction>;

    /// How many bytes it takes; `None` where that cannot be asked.
    ///
    /// # Errors
    /// What the store says.
    async fn bytes(&mut self) -> Result<Option<u64>, Reaction>;
}

/// What who sends and who reads back share.
pub struct Shared {
    /// The one time base.
    pub clock: Clock,
    /// What was measured.
    pub latencies: Latencies,
    /// Transactions that the log acknowledged.
    pub sent: AtomicU64,
    /// Scored records that were read.
    pub scored: AtomicU64,
    /// One scored record of how many is looked for.
    pub sample_every: AtomicU64,
    /// When each transaction that is not scored yet was intended, by the hash of its id.
    intended: Mutex<HashMap<u64, u64>>,
    hasher: RandomState,
    faults: Mutex<Vec<String>>,
}

impl Shared {
    /// Nothing sent yet.
    #[must_use]
    pub fn new(clock: Clock) -> Shared {
        Shared {
            clock,
            latencies: Latencies::default(),
            sent: AtomicU64::new(0),
            scored: AtomicU64::new(0),
            sample_every: AtomicU64::new(1),
            intended: Mutex::default(),
            hasher: RandomState::new(),
            faults: Mutex::default(),
        }
    }

    /// Notes when transactions are intended, before they are sent.
    pub fn intend<'a>(&self, transactions: impl Iterator<Item = (&'a [u8], u64)>) {
        let mut intended = self.intended.lock().unwrap_or_else(PoisonError::into_inner);
        intended.extend(transactions.map(|(id, at)| (self.hasher.hash_one(id), at)));
    }

    /// When scored transactions were intended; `None` for one that was scored before (a copy).
    pub fn settle<'a>(&self, ids: impl Iterator<Item = &'a [u8]>) -> Vec<Option<u64>> {
        let mut intended = self.intended.lock().unwrap_or_else(PoisonError::into_inner);
        ids.map(|id| intended.remove(&self.hasher.hash_one(id))).collect()
    }

    /// Transactions that are sent and not scored, with the longest time that one waits: what is missing when nothing comes any more.
    #[must_use]
    pub fn unscored(&self) -> Vec<u64> {
        self.intended.lock().unwrap_or_else(PoisonError::into_inner).values().copied().collect()
    }

    /// Notes what went wrong; the same only once.
    pub fn fault(&self, sentence: String) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        if !faults.contains(&sentence) && faults.len() < 50 {
            faults.push(sentence);
        }
    }

    /// What went wrong so far.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many were sent.
    #[must_use]
    pub fn sent_so_far(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// How many were scored.
    #[must_use]
    pub fn scored_so_far(&self) -> u64 {
        self.scored.load(Ordering::Relaxed)
    }
}
