//! The metrics store on InfluxDB.
//!
//! A batch is summed in memory. Closed blocks go out while more is read; what is open, and then the position, go out when the runner
//! publishes, a few times a second, whatever the size of batches.
//!
//! What must stay true: a position is written once every point that it covers is acknowledged; the sums of an open block are written
//! only by who is furthest with them, as far as can be known (the server has no compare-and-set: see `make_sure`);
//! nothing is remembered that the log and the bucket do not have.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinSet;
use tokio::time::Instant;
use wh_eventlog::crash;
use wh_schemas::Reaction;
use wh_schemas::position::{LOG_STREAM, Seq, WITNESS_STREAM};
use wh_schemas::time::SECOND;
use wh_schemas::topics::RISK_SCORES;
use wh_stores::clock;
use wh_stores::influxdb::points::{NANOS, OUT_OF_RANGE, THROUGHPUT, TIMES};
use wh_stores::influxdb::{Client, InfluxdbSettings, connect, layout};

use super::dialect::{self, Block, Lines};
use super::partition::Partition;
use super::positions;
use super::request::{send, send_in_parts};
use crate::delivery::walk::{Halt, stream_of};
use crate::delivery::{Batch, Store, StorePosition, Written};

/// Publications after which the points of earlier positions are deleted.
const PRUNE_EVERY: u32 = 4_096;

/// The metrics store on InfluxDB.
pub struct MetricsStore {
    pub(super) client: Client,
    retention: Option<Duration>,
    partitions: BTreeMap<u32, Partition>,
    /// Points of closed blocks that have still to be sent.
    closed: Lines,
    under_way: JoinSet<Result<(), (Lines, Reaction)>>,
    published: u32,
}

impl MetricsStore {
    /// Connects, and makes bucket and layout where they are missing.
    ///
    /// # Errors
    /// Transient while the server is away; fatal where it is none, does not know the token, or the bucket is another's.
    pub async fn open(settings: &InfluxdbSettings) -> Result<MetricsStore, Reaction> {
        let client = connect(settings).await?;
        for done in layout::ensure(&client).await? {
            tracing::info!(stage = "metrics", "{}: {done}", client.place());
        }
        let retention = client.bucket().await?.and_then(|bucket| bucket.retention);
        Ok(MetricsStore { client, retention, partitions: BTreeMap::new(), closed: Lines::default(), under_way: JoinSet::new(), published: 0 })
    }

    /// The first second that the bucket keeps. What is older would be dropped by the server, and is left out on purpose.
    fn floor(&self) -> i64 {
        let kept = self.retention.and_then(|kept| i64::try_from(kept.as_secs()).ok());
        kept.map_or(i64::MIN, |kept| clock::now().0.div_euclid(SECOND) - kept)
    }

    /// Sends what is full of closed blocks, as many requests at once as the settings say, and takes up what has come back.
    async fn send_closed(&mut self, all: bool) -> Result<(), Reaction> {
        let (most, many) = (self.client.settings().batch_points, self.client.settings().parallel_writes);
        while let Some(back) = self.under_way.try_join_next() {
            self.settle(back)?;
        }
        while self.closed.len() >= most || (all && !self.closed.is_empty()) {
            if self.under_way.len() >= many
                && let Some(back) = self.under_way.join_next().await
            {
                self.settle(back)?;
            }
            let (client, lines) = (self.client.clone(), self.closed.split_first(most));
            self.under_way.spawn(async move { send(&client, &lines).await.map_err(|reaction| (lines, reaction)) });
        }
        while all && let Some(back) = self.under_way.join_next().await {
            self.settle(back)?;
        }
        Ok(())
    }

    /// Takes up a request that came back. Lines that are not in the store are sent again.
    fn settle(&mut self, back: Result<Result<(), (Lines, Reaction)>, tokio::task::JoinError>) -> Result<(), Reaction> {
        match back {
            Ok(Ok(())) => Ok(()),
            Ok(Err((lines, reaction))) => {
                self.closed.append(&lines);
                self.doubt();
                Err(reaction)
            }
            Err(error) => Err(Reaction::fatal(format!("the task of the metrics store failed: {error}"))),
        }
    }

    /// After a failure nobody knows what came of it: ask before going on.
    fn doubt(&mut self) {
        self.partitions.values_mut().for_each(|partition| partition.sure_at = None);
    }

    /// Asks the bucket whether somebody else has gone on with a partition, where that can be: after a failure, and when nothing was
    /// heard for longer than a consumer group would wait for a member that is frozen. Who is behind writes neither its open block,
    /// whose sums would be too small, nor its position, until it has come further itself.
    async fn make_sure(&mut self) -> Result<(), Reaction> {
        if !self.partitions.values().any(Partition::is_unsure) {
            return Ok(());
        }
        let stored = positions::read(&self.client, stream_of(RISK_SCORES)).await?;
        for (number, partition) in &mut self.partitions {
            let shown = shown(&stored, *number);
            if shown < partition.shown {
                return Err(Reaction::fatal(format!(
                    "{}: partition {number} stood at seq {} and stands at {shown}: the bucket was restored or emptied under a running sink; start it again, and it goes on from what is there",
                    self.client.place(),
                    partition.shown
                )));
            }
            partition.shown = shown;
            partition.sure_at = Some(Instant::now());
            if !partition.is_ahead() {
                tracing::warn!(stage = "metrics", partition = number, "another instance has gone on with this partition: nothing is written of it here");
                partition.open.mark(true);
            }
        }
        Ok(())
    }

    /// Writes all that waits, and then the positions.
    async fn flush(&mut self) -> Result<bool, Reaction> {
        let flushed = self.try_flush().await;
        if flushed.is_err() {
            self.doubt();
        }
        flushed
    }

    async fn try_flush(&mut self) -> Result<bool, Reaction> {
        let had_news = self.partitions.values().any(|partition| partition.has_news);
        self.make_sure().await?;
        let mut open = Lines::default();
        let mut told = Lines::default();
        let now = clock::now();
        for partition in self.partitions.values().filter(|partition| partition.has_news && partition.is_ahead()) {
            partition.open.write(false, &mut open);
            positions::write(stream_of(RISK_SCORES), &partition.position(), now, &mut told);
        }
        self.send_closed(true).await?;
        send_in_parts(&self.client, open).await?;
        if !told.is_empty() {
            crash::point("sink.rows");
        }
        send(&self.client, &told).await?;
        for partition in self.partitions.values_mut().filter(|partition| partition.has_news) {
            partition.has_news = false;
            if partition.is_ahead() {
                partition.open.mark(false);
                partition.shown = partition.reading.next_seq;
                partition.sure_at = Some(Instant::now());
            }
        }
        if had_news {
            self.prune().await;
        }
        Ok(had_news)
    }

    /// Deletes the points of earlier positions, now and then.
    async fn prune(&mut self) {
        let due = self.published.is_multiple_of(PRUNE_EVERY);
        self.published = self.published.wrapping_add(1);
        if !due {
            return;
        }
        for partition in self.partitions.values().filter(|partition| partition.is_ahead()) {
            if let Err(reaction) = positions::prune(&self.client, stream_of(RISK_SCORES), &partition.position()).await {
                tracing::warn!(stage = "metrics", "earlier positions were not deleted, which costs room alone: {reaction}");
                return;
            }
        }
    }
}

#[async_trait]
impl Store for MetricsStore {
    fn role(&self) -> &'static str {
        "metrics"
    }

    fn topics(&self) -> Vec<&'static str> {
        vec![RISK_SCORES]
    }

    async fn log(&mut self) -> Result<Option<u64>, Reaction> {
        positions::mark(&self.client).await
    }

    /// Of two logs that bind a new bucket at the same moment, the one that looks last is refused at once, the other when it looks
    /// again.
    async fn bind(&mut self, log: u64) -> Result<u64, Reaction> {
        if let Some(kept) = self.log().await? {
            return Ok(kept);
        }
        let mut told = Lines::default();
        positions::write(LOG_STREAM, &positions::claim(log), clock::now(), &mut told);
        send(&self.client, &told).await?;
        let kept = self.log().await?;
        kept.ok_or_else(|| Reaction::transient(format!("{}: which log it is filled from is not there yet", self.client.place())))
    }

    async fn witnesses(&mut self) -> Result<Vec<StorePosition>, Reaction> {
        positions::read(&self.client, WITNESS_STREAM).await
    }

    async fn remember(&mut self, taken: &[StorePosition]) -> Result<(), Reaction> {
        let mut told = Lines::default();
        taken.iter().for_each(|place| positions::write(WITNESS_STREAM, place, clock::now(), &mut told));
        send(&self.client, &told).await
    }

    async fn positions(&mut self, topic: &str) -> Result<Vec<StorePosition>, Reaction> {
        let stored = positions::read(&self.client, stream_of(topic)).await?;
        // Partitions that stay with this instance go on where they are, unless the bucket has gone back, as after a restore.
        self.partitions.retain(|number, partition| {
            let shown = shown(&stored, *number);
            let has_gone_back = shown < partition.shown;
            partition.shown = shown;
            partition.sure_at = Some(Instant::now());
            !has_gone_back
        });
        Ok(stored)
    }

    async fn write(&mut self, batch: Batch) -> Result<Written, Reaction> {
        self.send_closed(false).await?;
        let (number, floor) = (batch.partition, self.floor());
        let taken = match self.partitions.get(&number).map(|known| known.take(&batch, floor)) {
            Some(Ok(taken)) => taken,
            Some(Err(halt @ Halt::Refused(_))) => return halt.outcome(),
            // It is new here, or was another's meanwhile: it is read on from where the bucket says.
            before => {
                let loaded = Partition::load(&self.client, &batch.topic, number).await?;
                let taken = match (loaded.take(&batch, floor), before) {
                    (Ok(taken), _) => taken,
                    (Err(_), Some(Err(halt))) | (Err(halt), _) => return halt.outcome(),
                };
                self.partitions.insert(number, loaded);
                taken
            }
        };
        let (partitions, closed) = (&mut self.partitions, &mut self.closed);
        let Some(partition) = partitions.get_mut(&number) else { return Err(Reaction::fatal(format!("partition {number} is not held by the metrics sink"))) };
        partition.apply(taken, closed);
        Ok(Written::Done { position: partition.position(), alerts: 0 })
    }

    async fn replay(&mut self, batch: Batch) -> Result<u64, Reaction> {
        let (blocks, rows) = dialect::take_again(&batch, self.floor());
        let mut lines = Lines::default();
        for block in &blocks {
            block.write(true, &mut lines);
        }
        send_in_parts(&self.client, lines).await?;
        // The open block may have been among them, with more rows or fewer than are read here.
        let numbers: BTreeSet<u64> = blocks.iter().map(Block::number).collect();
        if let Some(partition) = self.partitions.get_mut(&batch.partition).filter(|partition| numbers.contains(&partition.open.number())) {
            partition.open.mark(true);
            partition.has_news = true;
        }
        Ok(rows)
    }

    async fn publish(&mut self) -> Result<bool, Reaction> {
        self.flush().await
    }

    async fn retain(&mut self, before: i64) -> Result<u64, Reaction> {
        // The bucket's own retention goes by the same times; this one may be shorter.
        let before = before.div_euclid(SECOND) + i64::from(before.rem_euclid(SECOND) > 0);
        let behind = before.saturating_mul(NANOS).clamp(TIMES.0, TIMES.1);
        let mut removed = 0;
        for measurement in [THROUGHPUT, OUT_OF_RANGE] {
            let counted = format!("SELECT count(\"transactions\") AS \"points\" FROM \"{measurement}\" WHERE time >= {} AND time < {behind}", TIMES.0);
            let points = self.client.fields(&counted).await?.first().map_or(0, |fields| fields.count("points"));
            if points > 0 {
                self.client.delete(&format!("_measurement=\"{measurement}\""), TIMES.0, behind - 1).await?;
            }
            removed += points;
        }
        Ok(removed)
    }
}

/// How far a partition can be read.
fn shown(stored: &[StorePosition], partition: u32) -> Seq {
    stored.iter().find(|position| position.partition == partition).map_or(0, |position| position.visible_seq)
}
