//! How many records intake has not read yet, asked at most once a second whatever the number of requests.
//!
//! What must stay true: what the log said is everybody's answer for a second, also that it did not answer: requests that wait for it do not ask
//! one after the other while it is away; none waits longer than [`PATIENCE`] for an answer.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use wh_eventlog::Log;
use wh_schemas::Reaction;
use wh_schemas::topics::HOSPITAL_TRANSACTIONS;

use crate::intake::GROUP;

/// How long an answer of the log is used.
const KEPT: Duration = Duration::from_secs(1);
/// How long the log may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// When the log was asked, and what it said.
type Known = (Instant, Result<u64, Reaction>);

/// The lag as it was at most a second ago.
#[derive(Debug, Default)]
pub(super) struct Lag {
    known: Mutex<Option<Known>>,
}

impl Lag {
    /// Records of `hospital-transactions` that the group has not read; all that are there, where it never read any.
    pub(super) async fn unread(&self, log: &dyn Log, partitions: u32) -> Result<u64, Reaction> {
        // Held while the log is asked: requests that come meanwhile wait for one answer and do not each ask.
        let mut known = self.known.lock().await;
        if let Some((at, answer)) = &*known
            && at.elapsed() < KEPT
        {
            return answer.clone();
        }
        let answer = match tokio::time::timeout(PATIENCE, ask(log, partitions)).await {
            Ok(answer) => answer,
            Err(_) => Err(Reaction::transient(format!("the log did not say within {} s how far the group {GROUP} is", PATIENCE.as_secs()))),
        };
        *known = Some((Instant::now(), answer.clone()));
        answer
    }
}

async fn ask(log: &dyn Log, partitions: u32) -> Result<u64, Reaction> {
    let committed = log.committed(GROUP, HOSPITAL_TRANSACTIONS).await?;
    let mut unread = 0;
    for partition in 0..partitions {
        let bounds = log.bounds(HOSPITAL_TRANSACTIONS, partition).await?;
        let position = committed.iter().find(|(of, ..)| *of == partition).map_or(bounds.start, |(_, next, _)| *next);
        unread += bounds.end.saturating_sub(position.max(bounds.start));
    }
    Ok(unread)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wh_eventlog::embedded::{EmbeddedLog, Settings};
    use wh_schemas::topics;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_log_that_did_not_answer_is_not_asked_again_by_each_request() {
        let folder = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(folder.path(), Settings::default()).unwrap();
        let lag = Lag::default();
        // There is no topic yet.
        let refused = lag.unread(&*log, 3).await.unwrap_err();
        log.ensure_topics(&topics::ALL, 3).await.unwrap();
        let asked = async |at: Instant| lag.known.lock().await.as_mut().unwrap().0 = at;
        asked(Instant::now()).await;
        assert_eq!(lag.unread(&*log, 3).await.unwrap_err().to_string(), refused.to_string());
        asked(Instant::now().checked_sub(KEPT).unwrap()).await;
        assert_eq!(lag.unread(&*log, 3).await.unwrap(), 0);
    }
}
