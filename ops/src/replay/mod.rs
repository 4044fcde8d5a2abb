//! `replay`: records of `risk-scores`, or patterns of `risk-alerts`, written again into a store, as they were recorded. Idempotent; no position
//! moves.
//!
//! What must stay true: a replay touches only what the store's sink has behind it, so that both may write at the same time; what it holds in
//! memory does not grow with the range; a store that is away for a while is waited for.

mod begin;
mod span;

use std::collections::BTreeSet;
use std::sync::Arc;

use wh_eventlog::retry::Backoff;
use wh_eventlog::{Reader, Stored};
use wh_schemas::Reaction;
use wh_schemas::layout::METRICS_BLOCK;
use wh_schemas::position::{Seq, SeqPosition};
use wh_schemas::topics::{RISK_ALERTS, RISK_SCORES};
use wh_scorer::pattern_alert;
use wh_sinks::delivery::identity::Binding;
use wh_sinks::delivery::{Batch, Store};

pub use begin::{Begin, beginning, register};
use span::Span;

/// Which records to write again. All that the log still has, where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// The partition; all where `None`.
    pub partition: Option<u32>,
    /// First `seq`; as far back as the log reaches where `None`.
    pub from: Option<Seq>,
    /// The `seq` behind the last; where the store stands where `None`.
    pub to: Option<Seq>,
    /// Only what the log took at this instant or later (microseconds UTC).
    pub since: Option<i64>,
    /// Only what the log took before this instant (microseconds UTC).
    pub until: Option<i64>,
}

/// How much room a replay leaves to others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// As fast as the store takes it.
    #[default]
    Full,
    /// After each batch as long a rest as the batch took: the store's sink writes the same file.
    Gentle,
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

    /// The partitions that it stands in.
    async fn partitions(self, log: &dyn Reader) -> Result<Vec<u32>, Reaction> {
        Ok(match self {
            Stream::Scorer => (0..log.partitions(self.topic()).await?).collect(),
            Stream::Patterns => vec![pattern_alert::PARTITION],
        })
    }
}

/// Seqs that a store takes at once.
fn block_of(role: &str) -> u64 {
    if role == "metrics" { METRICS_BLOCK } else { 1 }
}

/// Records that one write takes at most, but for the rest of a block.
const BATCH: usize = 5_000;
/// The same where others write too: their wait is as long as one write.
const SMALL_BATCH: usize = 1_000;
const READ_BYTES: usize = 4 * 1024 * 1024;

/// Writes the records of a range into `store` again. `progress` is told the records so far and the whole.
///
/// # Errors
/// Fatal where the log no longer reaches back to the range's first `seq`, the store was filled from another log, or it cannot be written.
pub async fn replay(log: &dyn Reader, store: &mut dyn Store, stream: Stream, range: Range, pace: Pace, progress: &mut (dyn FnMut(u64, u64) + Send)) -> Result<Replayed, Reaction> {
    let topic = stream.topic();
    let partitions = match range.partition {
        Some(partition) => vec![partition],
        None => stream.partitions(log).await?,
    };
    Binding::default().check(log, store).await?;
    let reached = store.positions(topic).await?;
    let mut spans = Vec::new();
    for partition in partitions {
        let visible = reached.iter().find(|p| p.partition == partition).map_or(0, |p| p.visible_seq);
        spans.extend(span::of(log, stream, partition, &range, visible, block_of(store.role())).await?);
    }
    let whole: u64 = spans.iter().map(Span::records).sum();
    let mut writing = Writing { store, topic, pace, done: Replayed::default() };
    for span in spans {
        writing.span(log, span, whole, progress).await?;
    }
    let Writing { store, done, .. } = writing;
    patiently(store, None).await?;
    Ok(done)
}

/// A replay on its way.
struct Writing<'s> {
    store: &'s mut dyn Store,
    topic: &'static str,
    pace: Pace,
    done: Replayed,
}

impl Writing<'_> {
    async fn span(&mut self, log: &dyn Reader, span: Span, whole: u64, progress: &mut (dyn FnMut(u64, u64) + Send)) -> Result<(), Reaction> {
        let batch = if self.pace == Pace::Gentle { SMALL_BATCH } else { BATCH };
        let (mut offset, mut next, mut to) = (span.offset, span.from, span.to);
        let mut waiting = Vec::new();
        while next < to && offset < span.end {
            let records = log.read(self.topic, span.partition, offset, READ_BYTES).await?;
            let Some(last) = records.last() else { break };
            offset = last.offset + 1;
            for record in records {
                if record.offset >= span.stop {
                    to = to.min(span::up(next, span.block));
                }
                if next >= to {
                    break;
                }
                let Some(seq) = seq_of(&record) else { continue };
                // A copy was taken with its first record.
                if seq >= next && seq < to {
                    next = seq + 1;
                    waiting.push((seq, record));
                }
            }
            while waiting.len() >= batch {
                // Everything before the block that is still being read, but not more at once than is wanted.
                let open = span::down(next, span.block);
                let whole_blocks = waiting.partition_point(|(seq, _)| *seq < open);
                let some = waiting.get(batch).map_or(u64::MAX, |(seq, _)| span::up(*seq, span.block));
                let count = waiting.partition_point(|(seq, _)| *seq < some).min(whole_blocks);
                if count == 0 {
                    break;
                }
                let rest = waiting.split_off(count);
                self.write(span.partition, std::mem::replace(&mut waiting, rest)).await?;
                progress(self.done.records, whole);
            }
        }
        self.write(span.partition, waiting).await?;
        progress(self.done.records, whole);
        Ok(())
    }

    async fn write(&mut self, partition: u32, records: Vec<(Seq, Stored)>) -> Result<(), Reaction> {
        if records.is_empty() {
            return Ok(());
        }
        let records: Vec<Stored> = records.into_iter().map(|(_, record)| record).collect();
        self.done.records += records.len() as u64;
        let batch = Batch { topic: self.topic.into(), partition, records: Arc::new(records), buried: BTreeSet::new() };
        let begun = tokio::time::Instant::now();
        self.done.written += patiently(&mut *self.store, Some(&batch)).await?;
        if self.pace == Pace::Gentle {
            tokio::time::sleep(begun.elapsed()).await;
        }
        Ok(())
    }
}

/// Writes a batch, or makes what was written visible where there is none, however often the store has to be asked.
async fn patiently(store: &mut dyn Store, batch: Option<&Batch>) -> Result<u64, Reaction> {
    let mut backoff = Backoff::default();
    loop {
        let attempt = match batch {
            Some(batch) => store.replay(batch.clone()).await,
            None => store.publish().await.map(u64::from),
        };
        match attempt {
            Err(Reaction::Transient { message, retry_after }) => {
                tracing::warn!("{message}; the replay goes on when it is back");
                tokio::time::sleep(backoff.wait(retry_after)).await;
            }
            ended => return ended,
        }
    }
}
