//! `replay`: records of `risk-scores`, or patterns of `risk-alerts`, written again into a store, as they were recorded. Idempotent; no position
//! moves.

use std::collections::BTreeSet;
use std::sync::Arc;

use wh_eventlog::{Bounds, Reader, Stored};
use wh_schemas::Reaction;
use wh_schemas::layout::METRICS_BLOCK;
use wh_schemas::position::{Seq, SeqPosition};
use wh_schemas::topics::{RISK_ALERTS, RISK_SCORES};
use wh_scorer::pattern_alert;
use wh_sinks::delivery::{Batch, Store};

/// Which records to write again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The partition; all where `None`.
    pub partition: Option<u32>,
    /// First `seq`.
    pub from: Seq,
    /// The `seq` behind the last; the end of the log where `None`.
    pub to: Option<Seq>,
}

/// What a replay did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Records read.
    pub records: u64,
    /// Rows that were not there (metrics: rows summed anew).
    pub written: u64,
}

/// What is read of a record to know its `seq`: a scored record's own, or that of a pattern's position. An alert of a transaction has none.
#[derive(serde::Deserialize)]
struct Numbered {
    #[serde(default)]
    seq: Option<Seq>,
    #[serde(default)]
    position: Option<SeqPosition>,
}

fn seq_of(record: &Stored) -> Option<Seq> {
    let numbered = serde_json::from_slice::<Numbered>(&record.value).ok()?;
    numbered.seq.or(numbered.position.map(|position| position.seq))
}

/// Which of the numbered streams is written again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stream {
    /// Scored records.
    #[default]
    Scorer,
    /// Patterns by account.
    Patterns,
}

impl Stream {
    /// The topic that it stands in.
    #[must_use]
    pub fn topic(self) -> &'static str {
        match self {
            Stream::Scorer => RISK_SCORES,
            Stream::Patterns => RISK_ALERTS,
        }
    }
}

/// Records that one write takes at most.
const BATCH: usize = 5_000;
const READ_BYTES: usize = 4 * 1024 * 1024;

/// Writes the records of a range into `store` again. `progress` is told the records so far and the whole.
///
/// # Errors
/// Fatal where the log no longer reaches back to the range's first `seq`, or a store cannot be written.
pub async fn replay(log: &dyn Reader, store: &mut dyn Store, stream: Stream, range: Range, progress: &mut (dyn FnMut(u64, u64) + Send)) -> Result<Replayed, Reaction> {
    let topic = stream.topic();
    let partitions: Vec<u32> = match (stream, range.partition) {
        (_, Some(partition)) => vec![partition],
        (Stream::Scorer, None) => (0..log.partitions(topic).await?).collect(),
        (Stream::Patterns, None) => vec![pattern_alert::PARTITION],
    };
    // The metrics store takes whole blocks.
    let block = if store.role() == "metrics" { METRICS_BLOCK } else { 1 };
    let reached = store.positions(topic).await?;
    let mut done = Replayed::default();
    let mut spans = Vec::new();
    for partition in partitions {
        let bounds = log.bounds(topic, partition).await?;
        // What the store has not reached yet comes by the stream itself.
        let visible = reached.iter().find(|p| p.partition == partition).map_or(0, |p| p.visible_seq);
        let from = range.from / block * block;
        let to = range.to.unwrap_or(u64::MAX).div_ceil(block).saturating_mul(block).min(visible);
        let first = first_seq(log, topic, partition, bounds).await?;
        if from < first && to > from {
            return Err(Reaction::fatal(format!(
                "{topic} partition {partition} reaches back to seq {first} only: ask for --from {first} or later, or restore the store from a backup"
            )));
        }
        spans.push((partition, from, to, bounds));
    }
    let whole = spans.iter().map(|(_, from, to, _)| to.saturating_sub(*from)).sum();
    for (partition, from, to, bounds) in spans {
        // An offset is never below its record's seq: what a late scorer wrote again stands at a higher one.
        let mut offset = from.clamp(bounds.start, bounds.end);
        let mut next = from;
        let mut waiting = Vec::new();
        while next < to && offset < bounds.end {
            let records = log.read(topic, partition, offset, READ_BYTES).await?;
            let Some(last) = records.last() else { break };
            offset = last.offset + 1;
            for record in records {
                let Some(seq) = seq_of(&record) else { continue };
                // A copy was taken with its first record.
                if seq >= next && seq < to {
                    next = seq + 1;
                    waiting.push((seq, record));
                }
            }
            if waiting.len() >= BATCH {
                // Everything before the block that is still being read.
                let open = next / block * block;
                let rest = waiting.split_off(waiting.partition_point(|(seq, _)| *seq < open));
                write(store, topic, partition, std::mem::replace(&mut waiting, rest), &mut done).await?;
                progress(done.records, whole);
            }
        }
        write(store, topic, partition, waiting, &mut done).await?;
        progress(done.records, whole);
    }
    store.publish().await?;
    Ok(done)
}

/// The first `seq` that the log still has.
async fn first_seq(log: &dyn Reader, topic: &str, partition: u32, bounds: Bounds) -> Result<Seq, Reaction> {
    if bounds.start == 0 {
        return Ok(0);
    }
    // Records of others, which have none, may stand before it.
    let mut next = bounds.start;
    while next < bounds.end {
        let records = log.read(topic, partition, next, if topic == RISK_SCORES { 1 } else { READ_BYTES }).await?;
        let Some(last) = records.last() else { break };
        next = last.offset + 1;
        if let Some(seq) = records.iter().find_map(seq_of) {
            return Ok(seq);
        }
    }
    Ok(bounds.start)
}

async fn write(store: &mut dyn Store, topic: &'static str, partition: u32, records: Vec<(Seq, Stored)>, done: &mut Replayed) -> Result<(), Reaction> {
    if records.is_empty() {
        return Ok(());
    }
    let records: Vec<Stored> = records.into_iter().map(|(_, record)| record).collect();
    done.records += records.len() as u64;
    let batch = Batch { topic: topic.into(), partition, records: Arc::new(records), buried: BTreeSet::new() };
    done.written += store.replay(batch).await?;
    Ok(())
}
