//! One partition of the metrics sink: its open block, and how far reading has come.
//!
//! What must stay true: where a restart would go on is always the first seq of the open block, or behind what of it was buried.

use std::time::Duration;

use tokio::time::Instant;
use wh_schemas::Reaction;
use wh_schemas::layout::METRICS_BLOCK;
use wh_schemas::position::Seq;
use wh_stores::influxdb::Client;

use super::dialect::{self, Block, Lines, Step, Taken};
use super::positions;
use crate::delivery::walk::{Halt, stream_of};
use crate::delivery::{Batch, StorePosition};

/// After so long without a word from the server somebody else may own a partition: shorter than any session of a consumer group.
const SURE_FOR: Duration = Duration::from_secs(5);

/// One partition: its open block, and how far reading has come.
#[derive(Clone, Debug)]
pub(super) struct Partition {
    pub(super) open: Block,
    /// Where a restart would go on: the open block's first seq.
    settled: StorePosition,
    pub(super) reading: StorePosition,
    /// What the bucket showed when it was last asked or told.
    pub(super) shown: Seq,
    pub(super) sure_at: Option<Instant>,
    pub(super) has_news: bool,
}

impl Partition {
    /// Of a partition that stands here, with nothing read of its open block.
    pub(super) fn at(stored: StorePosition) -> Partition {
        let open = Block::of(stored.partition, stored.next_seq);
        Partition { open, settled: stored, reading: stored, shown: stored.visible_seq, sure_at: Some(Instant::now()), has_news: false }
    }

    /// As the bucket says.
    pub(super) async fn load(client: &Client, topic: &str, partition: u32) -> Result<Partition, Reaction> {
        let stored = positions::read(client, stream_of(topic)).await?;
        let own = stored.into_iter().find(|position| position.partition == partition);
        Ok(Partition::at(own.unwrap_or(StorePosition { partition, ..StorePosition::default() })))
    }

    /// Reads a batch behind what was read before.
    pub(super) fn take<'r>(&self, batch: &'r Batch, floor: i64) -> Result<Taken<'r>, Halt> {
        dialect::take(batch, &self.reading, self.open.number(), floor)
    }

    /// Does what a batch comes to; points of blocks that it closes go to `closed`.
    pub(super) fn apply(&mut self, taken: Taken<'_>, closed: &mut Lines) {
        for step in taken.steps {
            match step {
                Step::Close(before) => self.close(before, closed),
                Step::Add(row) => self.open.add(&row),
            }
        }
        self.reading = taken.reading;
        if self.reading.next_seq.is_multiple_of(METRICS_BLOCK) && self.reading.next_seq > self.settled.next_seq {
            self.close(self.reading, closed);
        }
        self.has_news = true;
    }

    fn close(&mut self, before: StorePosition, closed: &mut Lines) {
        self.open.write(true, closed);
        self.open = Block::of(before.partition, before.next_seq);
        self.settled = before;
    }

    /// Where it stands, as it will publish.
    pub(super) fn position(&self) -> StorePosition {
        StorePosition { visible_seq: self.reading.next_seq, visible_offset: self.reading.next_offset, ..self.settled }
    }

    /// Whether what it has is the furthest.
    pub(super) fn is_ahead(&self) -> bool {
        self.reading.next_seq >= self.shown
    }

    pub(super) fn is_unsure(&self) -> bool {
        self.has_news && self.sure_at.is_none_or(|at| at.elapsed() > SURE_FOR)
    }
}
