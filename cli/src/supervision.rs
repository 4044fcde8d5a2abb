//! How a stage ends, and when it is begun again in the same process.
//!
//! A client of Kafka that forgot its brokers, or could not write without a gap, writes nothing more, and what it had under way stands in the log
//! or does not. The way out is that of a stage that was killed: begin afresh, which reads from the log what stands in it. That needs no new process.
//!
//! What must stay true: nothing of the stage that ended is left running when it begins again; each end is told, and stands in the audit log where
//! the log takes it; what ends again and again ends for good.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wh_eventlog::gauges::Gauges;
use wh_eventlog::{Log, incidents};
use wh_schemas::Reaction;

use crate::pipeline::audit;

/// How a stage ended, with its name.
pub(crate) type Outcome = (&'static str, Result<(), Reaction>);

/// How often a stage is begun again.
const TIMES: u32 = 3;
/// What happened longer ago than this counts no more.
const WITHIN: Duration = Duration::from_secs(600);
/// Requests of a client that was closed may still be on their way to the log for a moment.
const PAUSE: Duration = Duration::from_secs(1);

/// How often a stage has ended with its producer lately.
#[derive(Debug, Default)]
struct Ends {
    count: u32,
    last: Option<Instant>,
}

impl Ends {
    /// Whether the stage is begun once more behind this end.
    fn once_more(&mut self, now: Instant) -> bool {
        if self.last.is_some_and(|last| now.duration_since(last) > WITHIN) {
            self.count = 0;
        }
        self.last = Some(now);
        self.count += 1;
        self.count <= TIMES
    }
}

/// Runs a stage to its end; one that ended with its producer is begun again, by another call of `run`. Where it stopped by itself,
/// `system-events` has an incident of it, so that it stands in the ledger's audit log.
pub(crate) async fn supervised<F>(log: Arc<dyn Log>, gauges: Arc<Gauges>, stop: CancellationToken, mut run: impl FnMut() -> F) -> Outcome
where
    F: Future<Output = Result<(), Reaction>>,
{
    let stage = gauges.stage;
    let mut ends = Ends::default();
    loop {
        let Err(reaction) = run().await else { return (stage, Ok(())) };
        let again = incidents::ended_with_its_producer(&reaction) && !stop.is_cancelled() && ends.once_more(Instant::now());
        let severity = if again { "warning" } else { "error" };
        let data = serde_json::json!({ "kind": incidents::kind(&reaction), "class": reaction.class(), "message": reaction.to_string(), "begun_again": again });
        let telling = async {
            if let Err(other) = audit(&*log, incidents::OPENED, stage, severity, data).await {
                tracing::warn!("the incident of {stage} is not written: {other}");
            }
        };
        if !again {
            telling.await;
            return (stage, Err(reaction));
        }
        tracing::warn!(stage, "begins again: {reaction}");
        // Its partitions are whoever's they become.
        gauges.left_all();
        tokio::join!(telling, tokio::time::sleep(PAUSE));
        if stop.is_cancelled() {
            return (stage, Ok(()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use wh_eventlog::embedded::{EmbeddedLog, Settings};
    use wh_eventlog::incidents::PRODUCER_ENDED;
    use wh_schemas::topics::{self, SYSTEM_EVENTS};

    use super::*;

    fn producer_ended() -> Result<(), Reaction> {
        Err(Reaction::fatal(format!("a broker: {PRODUCER_ENDED}")))
    }

    /// Runs a stage that ends as told, by turns; gives how it ended, how often it began, and what the log was told.
    async fn played(outcomes: Vec<Result<(), Reaction>>) -> (Result<(), Reaction>, usize, Vec<serde_json::Value>) {
        let folder = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(folder.path(), Settings::default()).unwrap();
        log.ensure_topics(&topics::ALL, 1).await.unwrap();
        let log: Arc<dyn Log> = log;
        let gauges = Arc::new(Gauges::new("scorer"));
        let (count, mut left) = (outcomes.len(), VecDeque::from(outcomes));
        let (stage, outcome) = supervised(log.clone(), gauges.clone(), CancellationToken::new(), || {
            assert_eq!(gauges.offset("risk-scores", 0), None, "nothing is known of where it will be");
            gauges.reached("risk-scores", 0, 7);
            std::future::ready(left.pop_front().unwrap())
        })
        .await;
        assert_eq!(stage, "scorer");
        let told = log.read(SYSTEM_EVENTS, 0, 0, 1 << 20).await.unwrap();
        let told = told.iter().map(|record| serde_json::from_slice(&record.value).unwrap()).collect();
        (outcome, count - left.len(), told)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_stage_that_ended_with_its_producer_begins_again_and_the_audit_log_says_so() {
        let (outcome, begun, told) = played(vec![producer_ended(), Ok(())]).await;
        assert!(outcome.is_ok() && begun == 2, "{outcome:?} {begun}");
        let [told] = &told[..] else { panic!("{told:?}") };
        assert_eq!((&told["severity"], &told["data"]["kind"], &told["data"]["begun_again"]), (&"warning".into(), &"producer_ended".into(), &true.into()));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_ends_for_another_reason_is_not_begun_again() {
        let (outcome, begun, told) = played(vec![Err(Reaction::fatal("a position is gone")), Ok(())]).await;
        assert!(matches!(&outcome, Err(Reaction::Fatal(said)) if said == "a position is gone"), "{outcome:?}");
        assert_eq!((begun, told.len()), (1, 1));
        assert_eq!((&told[0]["severity"], &told[0]["data"]["begun_again"]), (&"error".into(), &false.into()));
    }

    #[test]
    fn what_ends_again_and_again_ends_for_good_and_what_was_long_ago_is_forgotten() {
        let (mut ends, begun) = (Ends::default(), Instant::now());
        let after = |seconds: u64| begun + Duration::from_secs(seconds);
        assert_eq!([0, 60, 120, 180].map(|at| ends.once_more(after(at))), [true, true, true, false]);
        assert!(ends.once_more(after(180 + 601)));
    }
}
