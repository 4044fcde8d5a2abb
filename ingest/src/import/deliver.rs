//! Producing a batch: all partitions at the same time, each until the log acknowledges it or refuses for good.
//!
//! What must stay true: what is told as acknowledged is in the log; a produce that has begun is never given up, only the
//! waiting between two attempts.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wh_eventlog::{Log, Record, incidents};
use wh_schemas::Reaction;
use wh_schemas::topics::HOSPITAL_TRANSACTIONS;

/// Pause after the first refusal, unless the log asks for another; doubled by each.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause of our own.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    /// By partition: all its records are in the log.
    pub(super) acknowledged: Vec<bool>,
    /// Why the log refuses for good, if it does.
    pub(super) failure: Option<Reaction>,
    /// Stopped while waiting for the log.
    pub(super) stopped: bool,
}

impl Delivery {
    /// Every record is in the log.
    pub(super) fn is_complete(&self) -> bool {
        self.acknowledged.iter().all(|done| *done)
    }
}

enum Outcome {
    Acknowledged,
    Stopped,
    Failed(Reaction),
}

/// Produces `records`, given by partition.
pub(super) async fn deliver(log: &dyn Log, records: &[Vec<Record>], stop: &CancellationToken) -> Delivery {
    // One partition that fails for good ends the waiting of the others.
    let halt = stop.child_token();
    let produced = records.iter().zip(0_u32..).map(|(records, partition)| until_acknowledged(log, partition, records, &halt));
    let mut delivery = Delivery::default();
    for outcome in futures::future::join_all(produced).await {
        delivery.acknowledged.push(matches!(outcome, Outcome::Acknowledged));
        match outcome {
            Outcome::Acknowledged => {}
            Outcome::Stopped => delivery.stopped = true,
            Outcome::Failed(reaction) => delivery.failure = delivery.failure.or(Some(reaction)),
        }
    }
    delivery
}

async fn until_acknowledged(log: &dyn Log, partition: u32, records: &[Record], halt: &CancellationToken) -> Outcome {
    if records.is_empty() {
        return Outcome::Acknowledged;
    }
    let mut pause = FIRST_PAUSE;
    loop {
        // A copy of handles: the bytes are shared. What comes twice the scorer drops.
        let (message, retry_after) = match log.produce(HOSPITAL_TRANSACTIONS, partition, records.to_vec()).await.map_err(incidents::may_come_twice) {
            Ok(_) => return Outcome::Acknowledged,
            Err(Reaction::Transient { message, retry_after }) => (message, retry_after),
            Err(reaction) => {
                halt.cancel();
                return Outcome::Failed(reaction);
            }
        };
        let wait = retry_after.unwrap_or(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
        tracing::warn!(topic = HOSPITAL_TRANSACTIONS, partition, records = records.len(), wait_ms = wait.as_secs_f64() * 1e3, "import waits for the log: {message}");
        tokio::select! {
            biased;
            () = halt.cancelled() => return Outcome::Stopped,
            () = tokio::time::sleep(wait) => {}
        }
    }
}
