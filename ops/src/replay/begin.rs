//! Where a store that holds nothing yet may begin: at the oldest record that the log still has, or at its end, so that new rows are there
//! at once and a replay fills what lies before, while the store's sink runs.
//!
//! What must stay true: from the position on the stream is without a gap, so that the sink takes it up with the very next `seq`; what lies
//! before it is counted as left out on purpose; a wrong position stops the sink with a gap, and loses nothing silently.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use wh_eventlog::{Bounds, Commit, Event, Log, Offset, Reader};
use wh_schemas::Reaction;
use wh_schemas::position::Seq;
use wh_schemas::topics::{RISK_ALERTS, RISK_SCORES};
use wh_sinks::delivery::{StorePosition, Tally};

use super::span::{down, up};
use super::{READ_BYTES, Stream, block_of, seq_of};

/// Records that are read back from the end to know what comes next. A late scorer may have written some again, with lower seqs.
const BACK: u64 = 10_000;
/// How long a group may take to give its partitions to its only member.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a store begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At the oldest record that the log still has.
    Oldest,
    /// At the end of the log.
    Newest,
}

/// Where the sink of `role` would go on from in each topic that it reads, by partition.
///
/// # Errors
/// Where the log cannot be read.
pub async fn beginning(log: &dyn Reader, role: &str, topics: &[&'static str], begin: Begin) -> Result<Vec<(&'static str, Vec<StorePosition>)>, Reaction> {
    let mut found = Vec::new();
    for topic in topics {
        let stream = match *topic {
            RISK_SCORES => Some(Stream::Scorer),
            RISK_ALERTS => Some(Stream::Patterns),
            _ => None,
        };
        let partitions = match stream {
            Some(stream) => stream.partitions(log).await?,
            None => (0..log.partitions(topic).await?).collect(),
        };
        let mut positions = Vec::new();
        for partition in partitions {
            let bounds = log.bounds(topic, partition).await?;
            let (next_seq, next_offset) = match (stream, begin) {
                // Events are few, and numbered by their offsets.
                (None, _) => (bounds.start, bounds.start),
                (Some(_), Begin::Oldest) => oldest(log, topic, partition, bounds, block_of(role)).await?,
                (Some(_), Begin::Newest) => newest(log, topic, partition, bounds, block_of(role)).await?,
            };
            let tally = Tally { discarded: next_seq, ..Tally::default() };
            positions.push(StorePosition { partition, next_seq, next_offset, visible_seq: next_seq, visible_offset: next_offset, tally, ..StorePosition::default() });
        }
        found.push((*topic, positions));
    }
    Ok(found)
}

/// The first `seq` from which on the log has them all, and an offset at or before it: the fence drops what is lower.
async fn oldest(log: &dyn Reader, topic: &str, partition: u32, bounds: Bounds, block: u64) -> Result<(Seq, Offset), Reaction> {
    let mut numbered = Vec::new();
    let mut offset = bounds.start;
    while offset < bounds.end && numbered.is_empty() {
        let records = log.read(topic, partition, offset, READ_BYTES).await?;
        let Some(last) = records.last() else { break };
        offset = last.offset + 1;
        numbered.extend(records.iter().filter_map(|record| Some((record.offset, seq_of(record)?))));
    }
    Ok(unbroken(&numbered).map_or((0, bounds.start), |(offset, seq)| (up(seq, block), offset)))
}

/// The first of these records, in order of their offsets, from which on no `seq` is missing. Where retention ends in the midst of what a late
/// scorer wrote again, that is not the very first. Pure.
fn unbroken(numbered: &[(Offset, Seq)]) -> Option<(Offset, Seq)> {
    let mut first = None;
    let mut next = 0;
    for (offset, seq) in numbered {
        if first.is_none() || *seq > next {
            first = Some((*offset, *seq));
        }
        next = next.max(seq + 1);
    }
    first
}

/// The next `seq` that will be appended, or the first of its block, and an offset at or before it.
async fn newest(log: &dyn Reader, topic: &str, partition: u32, bounds: Bounds, block: u64) -> Result<(Seq, Offset), Reaction> {
    let mut width = BACK;
    let next = loop {
        let first = bounds.end.saturating_sub(width).max(bounds.start);
        let (mut offset, mut highest) = (first, None);
        while offset < bounds.end {
            let records = log.read(topic, partition, offset, READ_BYTES).await?;
            let Some(last) = records.last() else { break };
            offset = last.offset + 1;
            highest = records.iter().filter(|record| record.offset < bounds.end).filter_map(seq_of).max().max(highest);
        }
        match highest {
            Some(seq) => break seq + 1,
            None if first == bounds.start => break 0,
            // Records of others, which have no seq, stand there.
            None => width = width.saturating_mul(4),
        }
    };
    // An offset is never below its record's seq.
    Ok(if block == 1 { (next, bounds.end) } else { (down(next, block), down(next, block).clamp(bounds.start, bounds.end)) })
}

/// Lets the log know the group of a sink, which must not run, at these positions: where they are not known, a store that stands anywhere
/// would be taken for one of another log.
///
/// # Errors
/// Fatal where the sink runs, or the log cannot be written.
pub async fn register(log: &dyn Log, role: &str, positions: &[(&'static str, Vec<StorePosition>)]) -> Result<(), Reaction> {
    let topics: Vec<&str> = positions.iter().map(|(topic, _)| *topic).collect();
    let mut wanted: BTreeMap<(String, u32), Offset> =
        positions.iter().flat_map(|(topic, all)| all.iter().map(|at| (((*topic).to_owned(), at.partition), at.next_offset))).collect();
    let mut consumer = log.subscribe(role, &topics).await?;
    let deadline = Instant::now() + PATIENCE;
    while !wanted.is_empty() {
        if Instant::now() > deadline {
            return Err(Reaction::fatal(format!("the group {role} has another member: stop the stage {role} on every machine, then begin again")));
        }
        let Event::Assigned { partitions, .. } = consumer.poll(Duration::from_millis(200)).await? else { continue };
        let mut commits = Vec::new();
        for assignment in partitions {
            consumer.set_paused(&assignment.topic, assignment.partition, true);
            if let Some(next_offset) = wanted.remove(&(assignment.topic.to_string(), assignment.partition)) {
                commits.push(Commit { topic: assignment.topic, partition: assignment.partition, next_offset, metadata: String::new() });
            }
        }
        consumer.commit(commits).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_begins_behind_what_is_broken() {
        assert_eq!(unbroken(&[]), None);
        assert_eq!(unbroken(&[(7, 5), (8, 6), (9, 7)]), Some((7, 5)));
        // Copies of 3 and 4, then the stream itself.
        assert_eq!(unbroken(&[(12, 3), (13, 4), (14, 9), (15, 10)]), Some((14, 9)));
        // Copies behind the first, too, break nothing.
        assert_eq!(unbroken(&[(14, 9), (15, 10), (16, 9), (17, 10), (18, 11)]), Some((14, 9)));
    }
}
