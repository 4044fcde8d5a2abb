//! The task that looks at one store: for the samples that it has not shown yet, and for how far it says it is.
//!
//! What must stay true: a look that fails is told and tried again, and what waits meanwhile grows older; at the end of a round every
//! sample of it is accounted for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wh_schemas::Reaction;
use wh_stores::Role;

use super::{Look, Sample, Shared};

/// Samples that one look asks for at most, the oldest first.
const ASKED: usize = 500;
/// Samples that may wait.
const WAITING: usize = 100_000;
/// How often a store is asked how far it is.
const REACHED_EVERY: Duration = Duration::from_millis(250);
/// A store that cannot be read for less is not told: an index that was just made has no shard for a moment. What waits grows older all the same.
const PASSING: Duration = Duration::from_secs(2);

/// What a store holds, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Transactions; of search: alerts.
    pub rows: u64,
    /// Bytes, where they can be asked.
    pub bytes: Option<u64>,
}

enum Asked {
    Count(oneshot::Sender<Result<Counted, Reaction>>),
    /// Samples that are not seen by now never will be: they count with their age.
    GiveUp(oneshot::Sender<usize>),
}

/// What a watcher works with.
pub struct Watcher {
    /// The store's role.
    pub role: Role,
    /// The name of its latency.
    pub name: &'static str,
    /// How it is looked at.
    pub look: Box<dyn Look>,
    /// How often.
    pub every: Duration,
    /// What is shared.
    pub shared: Arc<Shared>,
}

/// A watcher at work.
pub struct Watching {
    /// The store's role.
    pub role: Role,
    samples: mpsc::Sender<Sample>,
    asks: mpsc::Sender<Asked>,
    reached: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Watching {
    /// Where samples are handed in.
    #[must_use]
    pub fn samples(&self) -> mpsc::Sender<Sample> {
        self.samples.clone()
    }

    /// How many scored records the store shows, as of a moment ago.
    #[must_use]
    pub fn reached(&self) -> u64 {
        self.reached.load(Ordering::Relaxed)
    }

    /// Counts what the store holds.
    ///
    /// # Errors
    /// What the store says.
    pub async fn count(&self) -> Result<Counted, Reaction> {
        let (reply, answer) = oneshot::channel();
        let gone = || Reaction::fatal(format!("nobody looks at {} any more", self.role));
        self.asks.send(Asked::Count(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Counts every sample that was not seen with the age that it has; how many they were.
    pub async fn give_up(&self) -> usize {
        let (reply, answer) = oneshot::channel();
        if self.asks.send(Asked::GiveUp(reply)).await.is_err() {
            return 0;
        }
        answer.await.unwrap_or(0)
    }

    /// Ends it.
    pub async fn end(self) {
        self.task.abort();
        // Aborted is what it should be.
        drop(self.task.await);
    }
}

impl Watcher {
    /// Begins to look.
    #[must_use]
    pub fn start(self, stop: CancellationToken) -> Watching {
        let ((samples, taken), (asks, asked)) = (mpsc::channel(WAITING), mpsc::channel(4));
        let (role, reached) = (self.role, Arc::new(AtomicU64::new(0)));
        let told = reached.clone();
        let task = tokio::spawn(async move {
            stop.run_until_cancelled(self.watch(taken, asked, told)).await;
        });
        Watching { role, samples, asks, reached, task }
    }

    async fn watch(mut self, mut taken: mpsc::Receiver<Sample>, mut asks: mpsc::Receiver<Asked>, reached: Arc<AtomicU64>) {
        let mut waiting: VecDeque<Sample> = VecDeque::new();
        let mut looks = tokio::time::interval(self.every);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut reached_at: Option<Instant> = None;
        let mut failing_since: Option<Instant> = None;
        loop {
            tokio::select! {
                asked = asks.recv() => match asked {
                    None => return,
                    Some(Asked::Count(reply)) => drop(reply.send(self.counted().await)),
                    Some(Asked::GiveUp(reply)) => {
                        take_all(&mut taken, &mut waiting);
                        let now = self.shared.clock.micros();
                        self.shared.latencies.record(self.name, waiting.iter().map(|sample| sample.intended), now);
                        let _sent = reply.send(waiting.len());
                        waiting.clear();
                    }
                },
                _ = looks.tick() => {}
            }
            take_all(&mut taken, &mut waiting);
            let mut failed = self.look_for(&mut waiting).await.err();
            if reached_at.is_none_or(|at| at.elapsed() >= REACHED_EVERY) {
                match self.look.reached().await {
                    Ok(count) => reached.store(count, Ordering::Relaxed),
                    Err(reaction) => failed = Some(reaction),
                }
                reached_at = Some(Instant::now());
            }
            match failed {
                None => failing_since = None,
                Some(reaction) if failing_since.get_or_insert_with(Instant::now).elapsed() >= PASSING => {
                    self.shared.fault(format!("{} could not be read back for a while: {reaction}", self.role));
                }
                Some(_) => {}
            }
        }
    }

    async fn look_for(&mut self, waiting: &mut VecDeque<Sample>) -> Result<(), Reaction> {
        if waiting.is_empty() {
            return Ok(());
        }
        let asked: Vec<Sample> = waiting.drain(..waiting.len().min(ASKED)).collect();
        let found = self.look.find(&asked).await;
        let now = self.shared.clock.micros();
        let (found, outcome) = match found {
            Ok(found) => (found, Ok(())),
            Err(reaction) => (vec![false; asked.len()], Err(reaction)),
        };
        let seen = asked.iter().zip(&found).filter(|(_, found)| **found).map(|(sample, _)| sample.intended);
        self.shared.latencies.record(self.name, seen, now);
        let unseen: Vec<Sample> = asked.into_iter().zip(found).filter(|(_, found)| !found).map(|(sample, _)| sample).collect();
        for sample in unseen.into_iter().rev() {
            waiting.push_front(sample);
        }
        outcome
    }

    async fn counted(&mut self) -> Result<Counted, Reaction> {
        Ok(Counted { rows: self.look.rows().await?, bytes: self.look.bytes().await? })
    }
}

fn take_all(taken: &mut mpsc::Receiver<Sample>, waiting: &mut VecDeque<Sample>) {
    while let Ok(sample) = taken.try_recv() {
        waiting.push_back(sample);
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::clock::Clock;

    /// Shows samples with an even number.
    struct Even;

    #[async_trait]
    impl Look for Even {
        async fn find(&mut self, samples: &[Sample]) -> Result<Vec<bool>, Reaction> {
            Ok(samples.iter().map(|sample| sample.seq.is_multiple_of(2)).collect())
        }
        async fn reached(&mut self) -> Result<u64, Reaction> {
            Ok(7)
        }
        async fn rows(&mut self) -> Result<u64, Reaction> {
            Ok(3)
        }
        async fn bytes(&mut self) -> Result<Option<u64>, Reaction> {
            Ok(None)
        }
    }

    #[tokio::test]
    async fn a_sample_that_is_never_seen_counts_with_its_age() {
        let shared = Arc::new(Shared::new(Clock::start()));
        shared.latencies.begin(0, u64::MAX);
        let watcher = Watcher { role: Role::Ledger, name: super::super::latencies::NAMES[1], look: Box::new(Even), every: Duration::from_millis(5), shared: shared.clone() };
        let watching = watcher.start(CancellationToken::new());
        for seq in 0..4 {
            watching.samples().send(Sample { transaction_id: seq.to_string(), intended: 0, partition: 0, seq, alert_id: None }).await.unwrap();
        }
        while shared.latencies.told().first().is_none_or(|latency| latency.count < 2) || watching.reached() < 7 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(watching.count().await.unwrap(), Counted { rows: 3, bytes: None });
        assert_eq!(watching.give_up().await, 2);
        assert_eq!(shared.latencies.told()[0].count, 4);
        watching.end().await;
    }
}
