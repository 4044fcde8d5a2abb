//! The records of one partition that have a `seq`, one after another.
//!
//! What must stay true: each `seq` is given once, by the first record that has it, as a sink takes it; what is held is what one read of the log gives.

use std::collections::VecDeque;

use serde::Deserialize;
use serde::de::IgnoredAny;
use wh_eventlog::{Bounds, Offset, Reader, Stored};
use wh_schemas::Reaction;
use wh_schemas::position::{Seq, SeqPosition};
use wh_schemas::topics::RISK_ALERTS;

/// Bytes of one read.
pub(super) const READ_BYTES: usize = 4 * 1024 * 1024;

/// What is read of a record to know where it stands.
#[derive(Deserialize)]
struct Numbered {
    #[serde(default)]
    partition: Option<u32>,
    #[serde(default)]
    seq: Option<Seq>,
    #[serde(default)]
    position: Option<SeqPosition>,
    #[serde(default)]
    pattern: Option<IgnoredAny>,
}

/// Where a record stands in its stream; `None` where it is none of it.
pub(super) fn position_of(topic: &str, record: &Stored) -> Option<SeqPosition> {
    let numbered = serde_json::from_slice::<Numbered>(&record.value).ok()?;
    if topic == RISK_ALERTS {
        return numbered.position.filter(|_| numbered.pattern.is_some());
    }
    Some(SeqPosition { partition: numbered.partition?, seq: numbered.seq? })
}

/// A place in a partition of a topic.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    topic: &'static str,
    partition: u32,
    offset: Offset,
    /// Every `seq` below it was given.
    next: Seq,
    waiting: VecDeque<(Seq, Stored)>,
}

impl Cursor {
    /// Before the record of a `seq`.
    pub(super) fn new(topic: &'static str, partition: u32, from: Seq, bounds: Bounds) -> Cursor {
        // An offset is never below its record's seq: what a late scorer wrote again stands at a higher one.
        Cursor { topic, partition, offset: from.clamp(bounds.start, bounds.end), next: from, waiting: VecDeque::new() }
    }

    /// The `seq` behind the last that was given.
    pub(super) fn next(&self) -> Seq {
        self.next
    }

    /// The `seq` of the next record; `None` where the log ends.
    pub(super) async fn peek(&mut self, log: &dyn Reader) -> Result<Option<Seq>, Reaction> {
        loop {
            if let Some((seq, _)) = self.waiting.front() {
                if *seq >= self.next {
                    return Ok(Some(*seq));
                }
                // A copy was taken with its first record.
                self.waiting.pop_front();
                continue;
            }
            let end = log.bounds(self.topic, self.partition).await?.end;
            if self.offset >= end {
                return Ok(None);
            }
            let records = log.read(self.topic, self.partition, self.offset, READ_BYTES).await?;
            let Some(last) = records.last() else { return Ok(None) };
            self.offset = last.offset + 1;
            for record in records {
                if let Some(at) = position_of(self.topic, &record)
                    && at.partition == self.partition
                {
                    self.waiting.push_back((at.seq, record));
                }
            }
        }
    }

    /// The record that was peeked at.
    pub(super) fn take(&mut self) -> Option<(Seq, Stored)> {
        let (seq, record) = self.waiting.pop_front()?;
        self.next = seq + 1;
        Some((seq, record))
    }

    /// The `seq` behind the last that the log has.
    pub(super) async fn end(mut self, log: &dyn Reader) -> Result<Seq, Reaction> {
        while self.peek(log).await?.is_some() {
            self.take();
        }
        Ok(self.next)
    }
}

/// The first `seq` that a partition of the log still has; the end of the partition's offsets where it has none.
pub(super) async fn first_seq(log: &dyn Reader, topic: &'static str, partition: u32, bounds: Bounds) -> Result<Seq, Reaction> {
    let mut offset = bounds.start;
    let mut bytes = 1;
    while offset < bounds.end {
        let records = log.read(topic, partition, offset, bytes).await?;
        let Some(last) = records.last() else { break };
        offset = last.offset + 1;
        bytes = READ_BYTES;
        if let Some(at) = records.iter().find_map(|record| position_of(topic, record)) {
            return Ok(at.seq);
        }
    }
    Ok(if bounds.start == 0 { 0 } else { bounds.end })
}

/// The record of a position; `None` where the log has it no more.
pub(super) async fn record_at(log: &dyn Reader, topic: &'static str, at: SeqPosition) -> Result<Option<Stored>, Reaction> {
    if at.partition >= log.partitions(topic).await? {
        return Ok(None);
    }
    let bounds = log.bounds(topic, at.partition).await?;
    let mut cursor = Cursor::new(topic, at.partition, at.seq, bounds);
    Ok(match cursor.peek(log).await? {
        Some(seq) if seq == at.seq => cursor.take().map(|(_, record)| record),
        _ => None,
    })
}
