//! Looks at the log: who has come how far, so that [`super::idle`] can say which partitions of the scorer need not be waited for.
//!
//! What must stay true: the log is asked in the order that [`Look`] states; where it could not be asked, nothing is decided.

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wh_eventlog::{Consumer, Log};
use wh_schemas::Reaction;
use wh_schemas::topics::{ACCEPTED_TRANSACTIONS, ACCOUNT_ACTIVITY, HOSPITAL_TRANSACTIONS};

use super::idle::Look;
use super::{GROUP, INPUT, Stage};
use crate::stage;

impl Stage {
    /// Now and then asks the log whether anything is before each partition of the scorer.
    pub(super) async fn look_if_due(&mut self, consumer: &mut dyn Consumer, stop: &CancellationToken) -> Result<(), Reaction> {
        let Some(running) = self.owned.as_ref().and_then(|owned| owned.running.as_ref()) else { return Ok(()) };
        let now = Instant::now();
        if self.look_at > now {
            return Ok(());
        }
        self.look_at = now + self.settings.look_every();
        let (taken, unawaited) = (running.position.next_offset, running.record.unawaited.clone());
        let look = match look(&*self.log, self.settings.intake).await {
            Ok(look) => look,
            Err(Reaction::Transient { message, .. }) => {
                tracing::debug!(stage = GROUP, "the log was not asked who is idle: {message}");
                self.idle.interrupt();
                return Ok(());
            }
            Err(other) => return Err(other),
        };
        let decisions = self.idle.observe(self.begun.elapsed(), look, taken, &unawaited, self.settings.idle_after);
        if decisions.is_empty() { Ok(()) } else { self.accept(consumer, decisions, stop).await }
    }
}

/// Asks the log who has come how far.
async fn look(log: &dyn Log, intake: &str) -> Result<Look, Reaction> {
    let intake = settled(log, intake, HOSPITAL_TRANSACTIONS).await?;
    let sources = ends(log, HOSPITAL_TRANSACTIONS).await?;
    let scorer = settled(log, stage::GROUP, ACCEPTED_TRANSACTIONS).await?;
    let accepted = ends(log, ACCEPTED_TRANSACTIONS).await?;
    let activity = log.bounds(ACCOUNT_ACTIVITY, INPUT).await?.end;
    Ok(Look { intake, sources, scorer, accepted, activity })
}

async fn ends(log: &dyn Log, topic: &str) -> Result<Vec<u64>, Reaction> {
    let mut ends = Vec::new();
    for partition in 0..log.partitions(topic).await? {
        ends.push(log.bounds(topic, partition).await?.end);
    }
    Ok(ends)
}

/// How far a group has come, by partition; 0 where it has said nothing yet.
async fn settled(log: &dyn Log, group: &str, topic: &str) -> Result<Vec<u64>, Reaction> {
    let committed = log.committed(group, topic).await?;
    let of = |partition: u32| committed.iter().find(|(of, _, _)| *of == partition).map_or(0, |(_, offset, _)| *offset);
    Ok((0..log.partitions(topic).await?).map(of).collect())
}
