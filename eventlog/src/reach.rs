//! Warns before the log removes what a stage has not read: at half of the time that its topic keeps records.
//!
//! What must stay true: it only reads; the time is the topic's own, as the log tells it, whoever has changed it; each partition of a stage is told
//! once until it has caught up.

use std::collections::BTreeSet;
use std::time::Duration;

use wh_schemas::{Reaction, topics};

use crate::gauges::Gauges;
use crate::{Log, Offset};

/// Event type of a warning in `system-events`.
pub const NEARING: &str = "position_nearing_retention";

/// A stage that is so far behind that what it has not read is about to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nearing {
    /// The stage.
    pub stage: &'static str,
    /// The topic that it reads.
    pub topic: &'static str,
    /// The partition.
    pub partition: u32,
    /// The first record that it has not settled.
    pub offset: Offset,
    /// How long ago that was appended; `None` where it is gone already.
    pub age: Option<Duration>,
    /// How long the topic keeps records.
    pub kept: Duration,
}

impl Nearing {
    /// For a person.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Nearing { stage, topic, partition, offset, age, kept } = self;
        let hours = |time: &Duration| time.as_secs() / 3_600;
        match age {
            Some(age) => format!(
                "{stage} has not settled offset {offset} of {topic} partition {partition}, which is {} hours old; the topic keeps {} hours: let it catch up, or raise the topic's retention before records are lost to it",
                hours(age),
                hours(kept)
            ),
            None => format!("{stage} has not settled offset {offset} of {topic} partition {partition}, and the log no longer holds it: the stage stops when it reads on"),
        }
    }
}

/// How long a topic keeps records by our layout; `None` where it keeps them for ever, or only the last of each key.
pub(crate) fn by_layout(topic: &str) -> Option<Duration> {
    let spec = topics::ALL.iter().find(|spec| spec.name == topic)?;
    u64::try_from(spec.retention_ms).ok().map(Duration::from_millis)
}

/// Looks how far back stages are.
#[derive(Debug, Default)]
pub struct Watch {
    told: BTreeSet<(&'static str, &'static str, u32)>,
}

impl Watch {
    /// What is to be told of a stage and a topic that it reads, at `now` (microseconds since 1970 UTC).
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub async fn look(&mut self, log: &dyn Log, gauges: &Gauges, topic: &'static str, now: i64) -> Result<Vec<Nearing>, Reaction> {
        let mut found = Vec::new();
        // Asked for once somebody is behind.
        let mut kept: Option<Duration> = None;
        for partition in 0..log.partitions(topic).await? {
            let place = (gauges.stage, topic, partition);
            let Some(offset) = gauges.offset(topic, partition) else { continue };
            let bounds = log.bounds(topic, partition).await?;
            let age = if offset >= bounds.end {
                Some(Duration::ZERO)
            } else if offset < bounds.start {
                None
            } else {
                // It may be removed between the two questions: the next look tells.
                let Ok(records) = log.read(topic, partition, offset, 1).await else { continue };
                let waited = records.first().map_or(0, |record| now.saturating_sub(record.append_time));
                Some(Duration::from_micros(u64::try_from(waited).unwrap_or(0)))
            };
            if age == Some(Duration::ZERO) {
                self.told.remove(&place);
                continue;
            }
            let kept = match kept {
                Some(kept) => kept,
                None => match log.keeps(topic).await? {
                    Some(asked) => *kept.insert(asked),
                    None => return Ok(found),
                },
            };
            if age.is_some_and(|age| age < kept / 2) {
                self.told.remove(&place);
            } else if self.told.insert(place) {
                found.push(Nearing { stage: gauges.stage, topic, partition, offset, age, kept });
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::{EmbeddedLog, Settings};
    use crate::{Producer, Reader, Record};
    use wh_schemas::topics::{RISK_SCORES, SCORER_CONTROL};

    #[tokio::test(flavor = "multi_thread")]
    async fn a_stage_is_told_once_at_half_of_the_retention_and_again_after_it_caught_up() {
        let folder = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(folder.path(), Settings::default()).unwrap();
        log.ensure_topics(&topics::ALL, 3).await.unwrap();
        log.produce(RISK_SCORES, 1, (0..3).map(|i| Record::new(format!("{i}"), "v")).collect()).await.unwrap();
        let appended = log.read(RISK_SCORES, 1, 0, 1).await.unwrap()[0].append_time;
        let hours = |hours: i64| appended + hours * 3_600_000_000;
        let (mut watch, gauges) = (Watch::default(), Gauges::new("ledger"));
        let mut told = async |gauges: &Gauges, now: i64| watch.look(&*log, gauges, RISK_SCORES, now).await.unwrap().len();
        assert_eq!(told(&gauges, hours(200)).await, 0, "what is another member's is not ours to tell");
        gauges.reached(RISK_SCORES, 1, 1);
        assert_eq!(told(&gauges, hours(83)).await, 0);
        assert_eq!(told(&gauges, hours(85)).await, 1);
        assert_eq!(told(&gauges, hours(86)).await, 0, "once");
        gauges.reached(RISK_SCORES, 1, 3);
        assert_eq!(told(&gauges, hours(90)).await, 0);
        gauges.reached(RISK_SCORES, 1, 2);
        assert_eq!(told(&gauges, hours(90)).await, 1);
        let nearing = Watch::default().look(&*log, &gauges, RISK_SCORES, hours(90)).await.unwrap();
        assert!(nearing[0].sentence().contains("ledger has not settled offset 2 of risk-scores partition 1, which is 90 hours old"), "{}", nearing[0].sentence());
        assert!(Watch::default().look(&*log, &gauges, SCORER_CONTROL, hours(900)).await.unwrap().is_empty(), "what is kept for ever does not go");
    }
}
