//! Which records of a partition a replay takes: from a range of seqs, or of times, to offsets and seqs.
//!
//! What must stay true: nothing is left out that was asked for and that the log has and the store has reached; of a store that takes whole
//! blocks, no block is summed that the log holds in part, and none that its sink has open.

use wh_eventlog::{Bounds, Offset, Reader};
use wh_schemas::Reaction;
use wh_schemas::position::Seq;

use super::{READ_BYTES, Range, Stream, seq_of};

/// Records of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) partition: u32,
    /// First `seq`.
    pub(super) from: Seq,
    /// The `seq` behind the last.
    pub(super) to: Seq,
    /// Offset from which records are read.
    pub(super) offset: Offset,
    /// Offset of the first record that is later than what was asked for: with it the span ends, at the end of its block.
    pub(super) stop: Offset,
    /// End of the partition.
    pub(super) end: Offset,
    /// Seqs that a store takes at once.
    pub(super) block: u64,
}

impl Span {
    /// How many records it is at most.
    pub(super) fn records(&self) -> u64 {
        self.to.saturating_sub(self.from).min(self.end.saturating_sub(self.offset))
    }
}

/// The span of a range in one partition, in a store that has come to `visible` and takes `block` seqs at once; `None` where it is empty.
pub(super) async fn of(log: &dyn Reader, stream: Stream, partition: u32, range: &Range, visible: Seq, block: u64) -> Result<Option<Span>, Reaction> {
    let topic = stream.topic();
    let bounds = log.bounds(topic, partition).await?;
    let Some((_, first)) = numbered_from(log, topic, partition, bounds.start, bounds).await? else { return Ok(None) };
    // What the store has not reached comes by the stream itself, and the block that its sink has open is written anew by that.
    let to = range.to.map_or(u64::MAX, |to| up(to, block)).min(down(visible, block));
    let (mut from, mut offset) = (up(first, block), bounds.start);
    if let Some(asked) = range.from {
        let asked = down(asked, block);
        if asked < from && to > asked {
            return Err(Reaction::fatal(format!(
                "{topic} partition {partition} reaches back to seq {from} only: ask for --from {from} or later, or restore the store from a backup"
            )));
        }
        from = asked;
    }
    if let Some(since) = range.since {
        offset = first_at(log, topic, partition, bounds, since).await?;
        let Some((_, seq)) = numbered_from(log, topic, partition, offset, bounds).await? else { return Ok(None) };
        from = from.max(down(seq, block));
    }
    let stop = match range.until {
        Some(until) => first_at(log, topic, partition, bounds, until).await?,
        None => bounds.end,
    };
    // An offset is never below its record's seq: what a late scorer wrote again stands at a higher one. A block is read from its first seq on.
    let offset = if block == 1 { offset.max(from.clamp(bounds.start, bounds.end)) } else { from.clamp(bounds.start, bounds.end) };
    let span = Span { partition, from, to, offset, stop, end: bounds.end, block };
    Ok((from < to && offset < stop).then_some(span))
}

/// The first `seq` of the block that a `seq` is in.
pub(super) fn down(seq: Seq, block: u64) -> Seq {
    seq / block * block
}

/// The first `seq` of a block at or behind a `seq`.
pub(super) fn up(seq: Seq, block: u64) -> Seq {
    seq.div_ceil(block).saturating_mul(block)
}

/// The first record from `offset` on that has a `seq`: its offset and that. Records of others, which have none, may stand before it.
pub(super) async fn numbered_from(log: &dyn Reader, topic: &str, partition: u32, mut offset: Offset, bounds: Bounds) -> Result<Option<(Offset, Seq)>, Reaction> {
    let mut bytes = 1;
    while offset < bounds.end {
        let records = log.read(topic, partition, offset, bytes).await?;
        let Some(last) = records.last() else { break };
        offset = last.offset + 1;
        if let Some(found) = records.iter().find_map(|record| Some((record.offset, seq_of(record)?))) {
            return Ok(Some(found));
        }
        bytes = READ_BYTES;
    }
    Ok(None)
}

/// The first offset whose record the log took at `time` or later (microseconds); the end where none was. By halving: a log's times only
/// rise, unless its clock was set back.
async fn first_at(log: &dyn Reader, topic: &str, partition: u32, bounds: Bounds, time: i64) -> Result<Offset, Reaction> {
    let (mut low, mut high) = (bounds.start, bounds.end);
    while low < high {
        let middle = low + (high - low) / 2;
        match log.read(topic, partition, middle, 1).await?.first() {
            // Offsets between may have no record.
            Some(record) if record.append_time < time => low = record.offset + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_rounded_to_what_a_store_takes() {
        assert_eq!((down(1_999, 1_000), up(1_999, 1_000), down(7, 1), up(7, 1)), (1_000, 2_000, 7, 7));
        assert_eq!((down(2_000, 1_000), up(2_000, 1_000), up(u64::MAX, 1_000)), (2_000, 2_000, u64::MAX));
    }
}
