//! `status`: three lines that add up — intake by source record, scorer by accepted record, each sink by `seq`.

use serde::Serialize;
use wh_eventlog::{Bounds, Reader};
use wh_ingest::intake;
use wh_schemas::Reaction;
use wh_schemas::topics::{ACCEPTED_TRANSACTIONS, HOSPITAL_TRANSACTIONS, RISK_ALERTS, RISK_SCORES};
use wh_scorer::stage;
use wh_sinks::delivery::StorePosition;

/// What became of the records that one stage has read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StageStatus {
    /// The stage.
    pub stage: String,
    /// Records that the log holds or held for it.
    pub input: u64,
    /// Records that it has settled.
    pub settled: u64,
    /// Parts of `settled`, by name.
    pub parts: Vec<(&'static str, u64)>,
}

impl StageStatus {
    /// Records that wait.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.input.saturating_sub(self.settled)
    }

    /// Whether the parts are the whole.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        self.parts.iter().map(|(_, count)| count).sum::<u64>() == self.settled
    }
}

/// How the pipeline stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Intake, scorer, then each sink.
    pub stages: Vec<StageStatus>,
    /// Alerts in the log.
    pub alerts: u64,
    /// Dead letters in the log.
    pub dead_letters: u64,
}

impl Status {
    /// Whether every line adds up and nothing waits.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.stages.iter().all(|stage| stage.lag() == 0 && stage.adds_up())
    }
}

async fn bounds(log: &dyn Reader, topic: &str) -> Result<Vec<Bounds>, Reaction> {
    let mut all = Vec::new();
    for partition in 0..log.partitions(topic).await? {
        all.push(log.bounds(topic, partition).await?);
    }
    Ok(all)
}

async fn count(log: &dyn Reader, topic: &str) -> Result<u64, Reaction> {
    Ok(bounds(log, topic).await?.iter().map(|b| b.end - b.start).sum())
}

/// The checkpoint's word on one partition: next offset of its input, and the record's counts.
#[derive(Clone, Copy, Debug)]
pub struct ScorerPartition {
    /// Next offset of `accepted-transactions`.
    pub next_offset: u64,
    /// What became of the records below it.
    pub counts: wh_scorer::partition::Counts,
}

/// Puts the lines together: from the log, the scorer's checkpoints and what each store says of itself (`scorer` stream).
///
/// # Errors
/// Where the log cannot be read.
pub async fn status(log: &dyn Reader, scorer: &[ScorerPartition], sinks: &[(&str, Vec<StorePosition>)]) -> Result<Status, Reaction> {
    let sources = bounds(log, HOSPITAL_TRANSACTIONS).await?;
    let (mut settled, mut accepted, mut dead, mut gaps) = (0, 0, 0, 0);
    for (_, offset, note) in log.committed(intake::GROUP, HOSPITAL_TRANSACTIONS).await? {
        let counts = intake::Counts::parse(&note);
        settled += offset;
        accepted += counts.accepted;
        dead += counts.dead_letters;
        gaps += counts.gaps;
    }
    let mut intake =
        StageStatus { stage: intake::GROUP.to_owned(), input: sources.iter().map(|b| b.end).sum(), settled, parts: vec![("accepted", accepted), ("dead-lettered", dead)] };
    if gaps > 0 {
        intake.parts.push(("offsets without a record", gaps));
    }
    let sum = |part: fn(&wh_scorer::partition::Counts) -> u64| scorer.iter().map(|p| part(&p.counts)).sum::<u64>();
    let scorer_status = StageStatus {
        stage: stage::GROUP.to_owned(),
        input: bounds(log, ACCEPTED_TRANSACTIONS).await?.iter().map(|b| b.end).sum(),
        settled: scorer.iter().map(|p| p.next_offset).sum(),
        parts: vec![("scored", sum(|c| c.scored)), ("duplicates", sum(|c| c.duplicates)), ("copies", sum(|c| c.copies)), ("dead-lettered", sum(|c| c.dead_letters))],
    };
    let emitted = bounds(log, RISK_SCORES).await?;
    let mut stages = vec![intake, scorer_status];
    for (name, positions) in sinks {
        let mut line = StageStatus { stage: (*name).to_owned(), ..StageStatus::default() };
        // By offsets, since a record that a late scorer wrote again has one of its own; what an open block covers is settled.
        let mut waiting = 0;
        for (partition, bounds) in (0..).zip(&emitted) {
            let position = positions.iter().find(|p| p.partition == partition);
            let (offset, open) = position.map_or((bounds.start, 0), |p| (p.next_offset, p.visible_seq.saturating_sub(p.next_seq)));
            waiting += bounds.end.saturating_sub(offset).saturating_sub(open);
        }
        let (mut stored, mut duplicates, mut dead_letters, mut discarded, mut open) = (0, 0, 0, 0, 0);
        for position in positions {
            line.settled += position.visible_seq;
            stored += position.tally.stored;
            duplicates += position.tally.duplicates;
            dead_letters += position.tally.dead_letters;
            discarded += position.tally.discarded;
            open += position.visible_seq - position.next_seq;
        }
        line.parts = vec![("stored", stored), ("duplicates", duplicates), ("dead-lettered", dead_letters), ("discarded", discarded)];
        if open > 0 {
            line.parts.push(("in open blocks", open));
        }
        line.input = line.settled + waiting;
        stages.push(line);
    }
    Ok(Status { stages, alerts: count(log, RISK_ALERTS).await?, dead_letters: wh_eventlog::dead_letters::read_all(log).await?.len() as u64 })
}
