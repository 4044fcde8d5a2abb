//! How many records intake has not read yet, asked at most once a second whatever the number of requests.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use wh_eventlog::Log;
use wh_schemas::Reaction;
use wh_schemas::topics::HOSPITAL_TRANSACTIONS;

use crate::intake::GROUP;

/// How long an answer of the log is used.
const KEPT: Duration = Duration::from_secs(1);

/// The lag as it was at most a second ago.
#[derive(Debug, Default)]
pub(super) struct Lag {
    known: Mutex<Option<(Instant, u64)>>,
}

impl Lag {
    /// Records of `hospital-transactions` that the group has not read; all that are there, where it never read any.
    pub(super) async fn unread(&self, log: &dyn Log, partitions: u32) -> Result<u64, Reaction> {
        // Held while the log is asked: requests that come meanwhile wait for one answer and do not each ask.
        let mut known = self.known.lock().await;
        if let Some((at, unread)) = *known
            && at.elapsed() < KEPT
        {
            return Ok(unread);
        }
        let committed = log.committed(GROUP, HOSPITAL_TRANSACTIONS).await?;
        let mut unread = 0;
        for partition in 0..partitions {
            let bounds = log.bounds(HOSPITAL_TRANSACTIONS, partition).await?;
            let position = committed.iter().find(|(of, ..)| *of == partition).map_or(bounds.start, |(_, next, _)| *next);
            unread += bounds.end.saturating_sub(position.max(bounds.start));
        }
        *known = Some((Instant::now(), unread));
        Ok(unread)
    }
}
