//! `status`: lines that add up — intake by source record, scorer by accepted record, patterns by record of `account-activity`, each sink by `seq`
//! of the scored records, and ledger and search by `seq` of the patterns too.

use serde::Serialize;
use wh_eventlog::dead_letters;
use wh_eventlog::incidents::SET_BACK;
use wh_eventlog::{Bounds, Reader};
use wh_ingest::intake;
use wh_schemas::Reaction;
use wh_schemas::position::{Seq, SeqPosition};
use wh_schemas::scored::ALERT_SCORE;
use wh_schemas::topics::{ACCEPTED_TRANSACTIONS, ACCOUNT_ACTIVITY, HOSPITAL_TRANSACTIONS, RISK_ALERTS, RISK_SCORES};
use wh_scorer::state::patterns::PatternCounts;
use wh_scorer::{account_activity, pattern_alert, pattern_stage, stage};
use wh_sinks::delivery::StorePosition;

const READ_BYTES: usize = 4 * 1024 * 1024;
/// Offsets behind an open block that are looked at one by one; whoever is further behind has records before it in any case.
const LOOK: u64 = 20_000;

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
    /// Offsets that it has come beyond the end of the log.
    pub ahead: u64,
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

/// What became of the dead letters that the log still holds, each counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Letters {
    /// Written by the stages.
    pub written: u64,
    /// Nobody has done anything with them.
    pub waiting: u64,
    /// Sent again.
    pub retried: u64,
    /// Discarded by an operator.
    pub discarded: u64,
}

impl Letters {
    /// Whether the parts are the whole.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        self.waiting + self.retried + self.discarded == self.written
    }
}

/// How the pipeline stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Intake, scorer, patterns, then each sink; a sink of patterns is named `ledger/patterns`.
    pub stages: Vec<StageStatus>,
    /// Alerts in the log: of transactions, and patterns of an alert's score.
    pub alerts: u64,
    /// Dead letters in the log.
    pub dead_letters: u64,
    /// What became of them.
    pub letters: Letters,
}

impl Status {
    /// Whether every line adds up, nothing waits and nobody is ahead of the log.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.stages.iter().all(|stage| stage.lag() == 0 && stage.adds_up() && stage.ahead == 0) && self.letters.adds_up()
    }

    /// A sentence where a stage has come further than the log.
    #[must_use]
    pub fn set_back(&self) -> Option<String> {
        let ahead: Vec<String> = self.stages.iter().filter(|stage| stage.ahead > 0).map(|stage| format!("{} is {} ahead", stage.stage, stage.ahead)).collect();
        (!ahead.is_empty()).then(|| {
            format!(
                "{} of the log: the log {SET_BACK} or what is ahead is another's; stop everything, then restore the log and its stores from the same backup, or start what is \
                 ahead fresh (move it away): nothing of it goes on from here",
                ahead.join(", ")
            )
        })
    }
}

/// What stands of patterns in the log: in one partition, among alerts of transactions.
#[derive(Debug, Default)]
struct Found {
    /// Offset and `seq` of each.
    seqs: Vec<(u64, Seq)>,
    /// Those below an alert's score.
    below: u64,
}

impl Found {
    async fn read(log: &dyn Reader, bounds: Bounds) -> Result<Found, Reaction> {
        #[derive(serde::Deserialize)]
        struct Pattern {
            risk_score: u8,
            position: Option<SeqPosition>,
        }
        let (mut found, mut offset) = (Found::default(), bounds.start);
        while offset < bounds.end {
            let records = match log.read(RISK_ALERTS, pattern_alert::PARTITION, offset, READ_BYTES).await {
                Ok(records) => records,
                Err(error) => {
                    // They may be removed meanwhile.
                    let start = log.bounds(RISK_ALERTS, pattern_alert::PARTITION).await?.start;
                    if start <= offset {
                        return Err(error);
                    }
                    offset = start;
                    continue;
                }
            };
            let Some(last) = records.last() else { break };
            offset = last.offset + 1;
            for record in &records {
                if let Ok(Pattern { risk_score, position: Some(position) }) = serde_json::from_slice(&record.value) {
                    found.seqs.push((record.offset, position.seq));
                    found.below += u64::from(risk_score < ALERT_SCORE);
                }
            }
        }
        Ok(found)
    }

    /// How many a store has still to take; a copy is not another one.
    fn waiting(&self, offset: u64, mut next: Seq) -> u64 {
        let mut waiting = 0;
        for (_, seq) in self.seqs.iter().filter(|(at, _)| *at >= offset) {
            if *seq >= next {
                (waiting, next) = (waiting + 1, seq + 1);
            }
        }
        waiting
    }
}

async fn bounds(log: &dyn Reader, topic: &str) -> Result<Vec<Bounds>, Reaction> {
    let mut all = Vec::new();
    for partition in 0..log.partitions(topic).await? {
        all.push(log.bounds(topic, partition).await?);
    }
    Ok(all)
}

/// The checkpoint's word on one partition: next offset of its input, and the record's counts.
#[derive(Clone, Copy, Debug)]
pub struct ScorerPartition {
    /// Next offset of `accepted-transactions`.
    pub next_offset: u64,
    /// What became of the records below it.
    pub counts: wh_scorer::partition::Counts,
}

/// The checkpoint's word on patterns by account.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patterns {
    /// Next offset of `account-activity`.
    pub next_offset: u64,
    /// What became of the records below it.
    pub counts: PatternCounts,
}

/// What a sink's store says of itself.
#[derive(Clone, Debug)]
pub struct Sink<'a> {
    /// The store.
    pub name: &'a str,
    /// How far it has come with the scored records.
    pub scorer: Vec<StorePosition>,
    /// How far it has come with the patterns; `None` where it takes none.
    pub patterns: Option<Vec<StorePosition>>,
}

/// Puts the lines together: from the log, the checkpoints and what each store says of itself.
///
/// # Errors
/// Where the log cannot be read.
pub async fn status(log: &dyn Reader, scorer: &[ScorerPartition], patterns: Patterns, sinks: &[Sink<'_>]) -> Result<Status, Reaction> {
    // Positions before ends, so that what comes meanwhile is not taken for a log that was set back.
    let (mut settled, mut accepted, mut dead, mut gaps) = (0, 0, 0, 0);
    for (_, offset, note) in log.committed(intake::GROUP, HOSPITAL_TRANSACTIONS).await? {
        let counts = intake::Counts::parse(&note);
        settled += offset;
        accepted += counts.accepted;
        dead += counts.dead_letters;
        gaps += counts.gaps;
    }
    let sources = bounds(log, HOSPITAL_TRANSACTIONS).await?;
    let mut intake = StageStatus {
        stage: intake::GROUP.to_owned(),
        input: sources.iter().map(|b| b.end).sum(),
        settled,
        parts: vec![("accepted", accepted), ("dead-lettered", dead)],
        ahead: 0,
    };
    intake.ahead = settled.saturating_sub(intake.input);
    if gaps > 0 {
        intake.parts.push(("offsets without a record", gaps));
    }
    let sum = |part: fn(&wh_scorer::partition::Counts) -> u64| scorer.iter().map(|p| part(&p.counts)).sum::<u64>();
    let inputs = bounds(log, ACCEPTED_TRANSACTIONS).await?;
    let scorer_status = StageStatus {
        stage: stage::GROUP.to_owned(),
        input: inputs.iter().map(|b| b.end).sum(),
        settled: scorer.iter().map(|p| p.next_offset).sum(),
        parts: vec![("scored", sum(|c| c.scored)), ("duplicates", sum(|c| c.duplicates)), ("copies", sum(|c| c.copies)), ("dead-lettered", sum(|c| c.dead_letters))],
        ahead: beyond(scorer, &inputs),
    };
    let counts = patterns.counts;
    let activity = log.bounds(ACCOUNT_ACTIVITY, account_activity::PARTITION).await?.end;
    let patterns_status = StageStatus {
        stage: pattern_stage::GROUP.to_owned(),
        input: activity,
        settled: patterns.next_offset,
        parts: vec![("taken", counts.taken), ("copies", counts.copies), ("dead-lettered", counts.dead_letters), ("no longer there", counts.missing)],
        ahead: patterns.next_offset.saturating_sub(activity),
    };
    let (scores, alerts) = (bounds(log, RISK_SCORES).await?, bounds(log, RISK_ALERTS).await?);
    let numbered = alerts.get(pattern_alert::PARTITION as usize).copied();
    let found = match numbered {
        Some(bounds) => Found::read(log, bounds).await?,
        None => Found::default(),
    };
    let mut stages = vec![intake, scorer_status, patterns_status];
    for sink in sinks {
        stages.push(line(log, RISK_SCORES, sink.name.to_owned(), &sink.scorer, &scores).await?);
    }
    for sink in sinks {
        if let Some(positions) = &sink.patterns {
            // Alerts of transactions, which stand among them, are not its records.
            let mut line = line(log, RISK_ALERTS, format!("{}/{}", sink.name, pattern_stage::GROUP), positions, &alerts).await?;
            let stands = positions.iter().find(|position| position.partition == pattern_alert::PARTITION);
            line.input = line.settled + stands.map_or_else(|| found.waiting(0, 0), |stands| found.waiting(stands.next_offset, stands.next_seq));
            stages.push(line);
        }
    }
    let alerts = alerts.iter().map(|b| b.end - b.start).sum::<u64>().saturating_sub(found.below);
    let dead_letters::Summary { written, waiting, retried, discarded } = dead_letters::summary(log).await?;
    Ok(Status { stages, alerts, dead_letters: written, letters: Letters { written, waiting, retried, discarded } })
}

/// Offsets that checkpoints stand beyond the ends of their partitions; where one has none yet, only all together can be told.
fn beyond(scorer: &[ScorerPartition], inputs: &[Bounds]) -> u64 {
    if scorer.len() == inputs.len() {
        return scorer.iter().zip(inputs).map(|(at, bounds)| at.next_offset.saturating_sub(bounds.end)).sum();
    }
    scorer.iter().map(|at| at.next_offset).sum::<u64>().saturating_sub(inputs.iter().map(|bounds| bounds.end).sum())
}

/// What a store says of itself, against the topic that it reads.
async fn line(log: &dyn Reader, topic: &str, stage: String, positions: &[StorePosition], all: &[Bounds]) -> Result<StageStatus, Reaction> {
    let mut line = StageStatus { stage, ..StageStatus::default() };
    // By offsets, since a record that was written again has one of its own, and one of others may stand between; what an open block covers
    // is settled.
    let mut waiting = 0;
    for (partition, bounds) in (0..).zip(all) {
        let position = positions.iter().find(|p| p.partition == partition);
        let (offset, open) = position.map_or((bounds.start, 0), |p| (p.next_offset, p.visible_seq.saturating_sub(p.next_seq)));
        let behind = bounds.end.saturating_sub(offset).saturating_sub(open);
        waiting += match position {
            Some(position) if open > 0 && offset >= bounds.start && (1..=LOOK).contains(&behind) => fresh(log, topic, position, bounds.end).await?.min(behind),
            _ => behind,
        };
        line.ahead += (offset + open).saturating_sub(bounds.end);
    }
    let (mut stored, mut duplicates, mut dead_letters, mut discarded, mut open) = (0, 0, 0, 0, 0);
    for position in positions {
        line.settled += position.visible_seq;
        stored += position.tally.stored;
        duplicates += position.tally.duplicates;
        dead_letters += position.tally.dead_letters;
        discarded += position.tally.discarded;
        open += position.visible_seq.saturating_sub(position.next_seq);
    }
    line.parts = vec![("stored", stored), ("duplicates", duplicates), ("dead-lettered", dead_letters), ("discarded", discarded)];
    if open > 0 {
        line.parts.push(("in open blocks", open));
    }
    line.input = line.settled + waiting;
    Ok(line)
}

/// How many records behind an open block a store has still to take. The store tells the block's first offset alone, and copies of what the
/// block has, as a scorer that was frozen writes them, have offsets of their own: so it goes by `seq`.
async fn fresh(log: &dyn Reader, topic: &str, position: &StorePosition, end: u64) -> Result<u64, Reaction> {
    #[derive(serde::Deserialize)]
    struct Numbered {
        seq: Seq,
    }
    let (mut offset, mut next, mut waiting) = (position.next_offset, position.visible_seq, 0);
    while offset < end {
        let records = log.read(topic, position.partition, offset, READ_BYTES).await?;
        let Some(last) = records.last() else { break };
        offset = last.offset + 1;
        for record in records.iter().filter(|record| record.offset < end) {
            if let Ok(Numbered { seq }) = serde_json::from_slice(&record.value)
                && seq >= next
            {
                (waiting, next) = (waiting + 1, seq + 1);
            }
        }
    }
    Ok(waiting)
}

#[cfg(test)]
mod tests;
