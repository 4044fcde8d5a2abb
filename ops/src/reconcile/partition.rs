//! One partition of a stream, range by range.
//!
//! What must stay true: a part of a range is held at a time, as much as some megabytes of records are; of sums whole blocks are compared, the open one
//! only where the store has all that the log has and stays so; what was put right is compared again before it is told so.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wh_eventlog::Stored;
use wh_schemas::Reaction;
use wh_schemas::alert::PATTERN_ROWS;
use wh_schemas::position::Seq;
use wh_schemas::topics::RISK_ALERTS;
use wh_sinks::delivery::Batch;
use wh_sinks::reconcile::{Row, Span};

use super::compare::{Compared, Found, compare};
use super::cursor::{Cursor, first_seq};
use super::{Check, RANGE, RangeResult, Told, stream};

/// Bytes of expected rows after which a part of a range is compared.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// How often an open block is looked at until nothing changes meanwhile.
const TRIES: u32 = 3;

/// A partition of a topic.
#[derive(Clone, Copy)]
struct Place {
    topic: &'static str,
    partition: u32,
    /// Partition under which its rows stand.
    rows: u32,
}

impl Check<'_> {
    /// Compares a partition as far as it was visible.
    pub(super) async fn partition(&mut self, topic: &'static str, partition: u32, visible: Seq) -> Result<(), Reaction> {
        let place = Place { topic, partition, rows: if topic == RISK_ALERTS { PATTERN_ROWS + partition } else { partition } };
        let (bounds, grain) = (self.log.bounds(topic, partition).await?, self.rows.grain());
        let first = first_seq(self.log, topic, partition, bounds).await?;
        let asked = self.options.from.unwrap_or(0) / grain * grain;
        let from = asked.max(first.div_ceil(grain).saturating_mul(grain));
        if from > asked && asked < visible && !self.is_again {
            (self.tell)(Told::Note(format!(
                "{}: rows of {} partition {partition} below seq {} are not compared: the log reaches back to seq {first}",
                self.store,
                stream(topic),
                from.min(visible)
            )));
        }
        let to = self.options.to.unwrap_or(Seq::MAX).div_ceil(grain).saturating_mul(grain).min(visible / grain * grain);
        let mut cursor = Cursor::new(topic, partition, from, bounds);
        let mut at = from;
        while at < to {
            let end = to.min((at / RANGE + 1) * RANGE);
            cursor = self.range(place, at, end, cursor).await?;
            at = end;
        }
        let asked_for_the_rest = self.options.to.is_none_or(|to| to > visible / grain * grain);
        if !visible.is_multiple_of(grain) && asked_for_the_rest && from <= visible / grain * grain {
            cursor = self.open_block(place, visible, cursor).await?;
        }
        self.ends.insert((topic, partition), cursor);
        Ok(())
    }

    /// Compares a range, puts it right where that is asked for, and tells it.
    async fn range(&mut self, place: Place, from: Seq, to: Seq, mut cursor: Cursor) -> Result<Cursor, Reaction> {
        let mut range = RangeResult { store: self.store, stream: stream(place.topic), partition: Some(place.partition), from, to, ..RangeResult::default() };
        let mut at = from;
        while at < to {
            let begun = Instant::now();
            let before = cursor.clone();
            let (end, mut compared) = self.part(place, at, to, &mut cursor).await?;
            range.count(&compared.found);
            let found = std::mem::take(&mut compared.found);
            self.tell_found(&found);
            if !found.is_empty() && self.repair.is_some() {
                self.put_right(place, at, end, &found, before.clone()).await?;
                let (_, again) = self.part(place, at, end, &mut before.clone()).await?;
                range.repaired += (found.len() as u64).saturating_sub(again.found.len() as u64);
                compared = again;
            }
            range.expected.join(compared.expected);
            range.stored.join(compared.stored);
            self.progress(end - at);
            self.rest(compared.stored.rows, begun).await;
            at = end;
        }
        self.tell_range(&range);
        Ok(cursor)
    }

    /// Compares as much of a range as is held at once; gives the `seq` behind it.
    async fn part(&mut self, place: Place, from: Seq, to: Seq, cursor: &mut Cursor) -> Result<(Seq, Compared), Reaction> {
        let (grain, buried) = (self.rows.grain(), self.buried.of(place.topic, place.partition));
        let mut expected = self.rows.expected(place.topic);
        let mut end = to;
        loop {
            match cursor.peek(self.log).await? {
                Some(seq) if seq >= to => break,
                Some(seq) if expected.bytes() >= PART_BYTES && seq.is_multiple_of(grain) && seq > from => {
                    end = seq;
                    break;
                }
                Some(_) => {
                    if let Some((_, record)) = cursor.take() {
                        expected.take(&record, buried.contains(&record.offset));
                    }
                }
                None if cursor.next() < to => {
                    return Err(Reaction::fatal(format!(
                        "{}: the store stands at seq {} or beyond in partition {} of {}, where the log ends at {}: it was filled from another log, or the log was set back; \
                         nothing was changed there",
                        self.store,
                        to,
                        place.partition,
                        place.topic,
                        cursor.next()
                    )));
                }
                None => break,
            }
        }
        let wanted = expected.rows();
        let span = Span { partition: place.partition, rows: place.rows, from, to: end };
        let stored = self.rows.stored(place.topic, &span, &wanted).await?;
        let mut compared = compare(wanted, stored);
        self.excuse(place.topic, place.partition, &mut compared).await?;
        Ok((end, compared))
    }

    /// Removes what does not belong there, and writes the records again of which something is missing or not as it should be.
    async fn put_right(&mut self, place: Place, from: Seq, to: Seq, found: &[Found], mut cursor: Cursor) -> Result<(), Reaction> {
        let grain = self.rows.grain();
        let (mut wanted, mut remove): (BTreeSet<Seq>, Vec<Row>) = (BTreeSet::new(), Vec::new());
        for one in found {
            wanted.insert(one.row().at.seq / grain);
            match one {
                Found::Missing(_) => {}
                Found::Extra(row) | Found::Different { stored: row, .. } => remove.push(row.clone()),
            }
        }
        let mut records: Vec<Stored> = Vec::new();
        while cursor.peek(self.log).await?.is_some_and(|seq| seq < to) {
            if let Some((seq, record)) = cursor.take()
                && seq >= from
                && wanted.contains(&(seq / grain))
            {
                records.push(record);
            }
        }
        let buried = self.buried.of(place.topic, place.partition);
        let batch = Batch { topic: place.topic.into(), partition: place.partition, records: Arc::new(records), buried };
        if let Some(repair) = self.repair.as_deref_mut() {
            repair.repair(&remove, batch).await?;
        }
        Ok(())
    }

    /// Compares the block that a sink may have open: only where it has taken all that there is, and takes nothing meanwhile.
    async fn open_block(&mut self, place: Place, visible: Seq, cursor: Cursor) -> Result<Cursor, Reaction> {
        let from = visible / self.rows.grain() * self.rows.grain();
        for _ in 0..TRIES {
            if cursor.clone().end(self.log).await? != visible || self.now_visible(place).await? != visible {
                break;
            }
            let mut reading = cursor.clone();
            let (_, mut compared) = self.part(place, from, visible, &mut reading).await?;
            if cursor.clone().end(self.log).await? != visible || self.now_visible(place).await? != visible {
                continue;
            }
            let mut range = RangeResult { store: self.store, stream: stream(place.topic), partition: Some(place.partition), from, to: visible, ..RangeResult::default() };
            range.count(&compared.found);
            let found = std::mem::take(&mut compared.found);
            if !found.is_empty() && self.repair.is_some() {
                self.put_right(place, from, visible, &found, cursor.clone()).await?;
                let (_, again) = self.part(place, from, visible, &mut cursor.clone()).await?;
                range.repaired = (found.len() as u64).saturating_sub(again.found.len() as u64);
                compared = again;
            }
            (range.expected, range.stored) = (compared.expected, compared.stored);
            self.progress(visible - from);
            self.tell_found(&found);
            self.tell_range(&range);
            return Ok(reading);
        }
        if !self.is_again {
            (self.tell)(Told::Note(format!(
                "{}: partition {} from seq {from} on is not compared: its block is still being summed, as long as the stream goes on",
                self.store, place.partition
            )));
        }
        Ok(cursor)
    }

    async fn now_visible(&mut self, place: Place) -> Result<Seq, Reaction> {
        let reached = self.rows.reached(place.topic).await?;
        Ok(reached.into_iter().find(|reached| reached.partition == place.partition).map_or(0, |reached| reached.visible))
    }

    fn progress(&mut self, seqs: u64) {
        self.done += seqs;
        (self.tell)(Told::Progress(self.done, self.whole));
    }

    /// Leaves others as much room as was asked for.
    async fn rest(&self, rows: u64, begun: Instant) {
        let Some(rate) = self.options.rate.filter(|rate| *rate > 0) else { return };
        let due = Duration::from_micros(rows.saturating_mul(1_000_000) / rate);
        tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
    }
}
