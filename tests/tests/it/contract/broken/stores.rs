//! A good store behind a face that breaks the contract in one way.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::Connection;
use wh_eventlog::Stored;
use wh_query::Engine;
use wh_schemas::position::Seq;
use wh_schemas::{Micros, Reaction, ScoreRecord};
use wh_sinks::delivery::{Batch, Store, StorePosition, Tally, Written};

use crate::content::Role;
use crate::contract::sinks::{Embedded, SinkAdapter};

/// One way to break the contract of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Leaves out a row of each batch and counts it as stored.
    DropsARow,
    /// Says that a batch is written and published, and writes it with the next one.
    AcknowledgesEarly,
    /// Leaves out what it cannot store, without a word: a conflict, an unreadable record.
    IgnoresRefusals,
    /// Writes the first half of a batch though the second cannot be written.
    HalfApplies,
    /// Counts a copy as a row.
    CountsCopies,
    /// Takes whatever seq comes.
    PassesOverGaps,
    /// Counts a duplicate as a row.
    MiscountsDuplicates,
    /// Keeps milliseconds, and no empty text.
    CutsValues,
    /// Does nothing when records are sent again.
    IgnoresReplays,
    /// Adds to aggregates what was in them.
    SpoilsProfiles,
    /// Says that it keeps the log that it is filled from, and does not.
    ForgetsItsLog,
}

/// The embedded store of a role, with a fault.
pub(super) struct BrokenSinks {
    pub(super) role: Role,
    pub(super) fault: Fault,
}

#[async_trait]
impl SinkAdapter for BrokenSinks {
    fn name(&self) -> &'static str {
        "a broken store"
    }

    fn role(&self) -> Role {
        self.role
    }

    async fn open(&self, place: &Path) -> Box<dyn Store> {
        let inner = Embedded(self.role).open(place).await;
        Box::new(BrokenStore { inner, fault: self.fault, place: place.to_owned(), waiting: Vec::new(), copies: 0, reached: BTreeMap::new() })
    }

    async fn engine(&self, place: &Path) -> Engine {
        Embedded(self.role).engine(place).await
    }

    async fn published(&self, place: &Path) -> Vec<StorePosition> {
        Embedded(self.role).published(place).await
    }

    async fn lose(&self, place: &Path, partition: u32, seqs: Range<Seq>) {
        Embedded(self.role).lose(place, partition, seqs).await;
    }

    async fn sweep(&self) {}
}

struct BrokenStore {
    inner: Box<dyn Store>,
    fault: Fault,
    place: PathBuf,
    /// Batches that were acknowledged and not written.
    waiting: Vec<Batch>,
    /// Copies counted so far.
    copies: u64,
    /// How far each partition can be read.
    reached: BTreeMap<u32, Seq>,
}

fn read(record: &Stored) -> Option<ScoreRecord<'_>> {
    serde_json::from_slice(&record.value).ok()
}

/// What a store says that has taken a batch without looking at it.
fn claimed(batch: &Batch) -> Written {
    let last = batch.records.last().unwrap();
    let next_seq = read(last).map_or(0, |row| row.seq + 1);
    let next_offset = last.offset + 1;
    let tally = Tally { stored: next_seq, ..Tally::default() };
    Written::Done {
        position: StorePosition { partition: batch.partition, next_seq, next_offset, visible_seq: next_seq, visible_offset: next_offset, unreadable: 0, tally },
        alerts: 0,
    }
}

fn part(batch: &Batch, of: Range<usize>) -> Batch {
    Batch { records: Arc::new(batch.records[of].to_vec()), ..batch.clone() }
}

fn cut(record: &Stored) -> Stored {
    let Some(mut row) = read(record) else { return record.clone() };
    row.description = row.description.filter(|text| !text.is_empty());
    row.timestamp = Micros(row.timestamp.0.div_euclid(1_000) * 1_000);
    Stored { value: serde_json::to_vec(&row).unwrap().into(), ..record.clone() }
}

impl BrokenStore {
    async fn drop_a_row(&mut self, mut batch: Batch) -> Result<Written, Reaction> {
        // A row that every store would keep, where there is one.
        let kept = batch.records.iter().find(|record| read(record).is_some_and(|row| !row.alerts.is_empty()));
        let victim = kept.or_else(|| batch.records.iter().find(|record| read(record).is_some_and(|row| row.risk_score.is_some()))).map(|record| record.offset);
        batch.buried.extend(victim);
        let mut written = self.inner.write(batch).await?;
        if let Written::Done { position, .. } = &mut written {
            position.tally.stored += position.tally.dead_letters;
            position.tally.dead_letters = 0;
        }
        Ok(written)
    }

    async fn acknowledge(&mut self, batch: Batch) -> Result<Written, Reaction> {
        for earlier in std::mem::take(&mut self.waiting) {
            self.inner.write(earlier).await?;
        }
        let answer = claimed(&batch);
        self.waiting.push(batch);
        Ok(answer)
    }

    async fn ignore_refusals(&mut self, mut batch: Batch) -> Result<Written, Reaction> {
        loop {
            match self.inner.write(batch.clone()).await? {
                Written::Refused { offset, .. } => {
                    batch.buried.insert(offset);
                }
                done @ Written::Done { .. } => return Ok(done),
            }
        }
    }

    async fn half_apply(&mut self, batch: Batch) -> Result<Written, Reaction> {
        let (half, whole) = (batch.records.len() / 2, batch.records.len());
        if half > 0
            && let refused @ Written::Refused { .. } = self.inner.write(part(&batch, 0..half)).await?
        {
            return Ok(refused);
        }
        self.inner.write(part(&batch, half..whole)).await
    }

    async fn count_copies(&mut self, batch: Batch) -> Result<Written, Reaction> {
        let reached = self.reached.get(&batch.partition).copied().unwrap_or(0);
        self.copies += batch.records.iter().filter(|record| read(record).is_some_and(|row| row.seq < reached)).count() as u64;
        let mut written = self.inner.write(batch).await?;
        if let Written::Done { position, .. } = &mut written {
            self.reached.insert(position.partition, position.visible_seq);
            position.tally.stored += self.copies;
        }
        Ok(written)
    }

    async fn miscount(&mut self, batch: Batch) -> Result<Written, Reaction> {
        let mut written = self.inner.write(batch).await?;
        if let Written::Done { position, .. } = &mut written {
            position.tally.stored += std::mem::take(&mut position.tally.duplicates);
        }
        Ok(written)
    }
}

#[async_trait]
impl Store for BrokenStore {
    fn role(&self) -> &'static str {
        self.inner.role()
    }

    fn topics(&self) -> Vec<&'static str> {
        self.inner.topics()
    }

    async fn log(&mut self) -> Result<Option<u64>, Reaction> {
        self.inner.log().await
    }

    async fn bind(&mut self, log: u64) -> Result<u64, Reaction> {
        if self.fault == Fault::ForgetsItsLog { Ok(log) } else { self.inner.bind(log).await }
    }

    async fn positions(&mut self, topic: &str) -> Result<Vec<StorePosition>, Reaction> {
        self.inner.positions(topic).await
    }

    async fn write(&mut self, batch: Batch) -> Result<Written, Reaction> {
        match self.fault {
            Fault::DropsARow => self.drop_a_row(batch).await,
            Fault::AcknowledgesEarly => self.acknowledge(batch).await,
            Fault::IgnoresRefusals => self.ignore_refusals(batch).await,
            Fault::HalfApplies => self.half_apply(batch).await,
            Fault::CountsCopies => self.count_copies(batch).await,
            Fault::PassesOverGaps => Ok(self.inner.write(batch.clone()).await.unwrap_or_else(|_| claimed(&batch))),
            Fault::MiscountsDuplicates => self.miscount(batch).await,
            Fault::CutsValues => {
                let records = Arc::new(batch.records.iter().map(cut).collect());
                self.inner.write(Batch { records, ..batch }).await
            }
            Fault::IgnoresReplays | Fault::SpoilsProfiles | Fault::ForgetsItsLog => self.inner.write(batch).await,
        }
    }

    async fn replay(&mut self, batch: Batch) -> Result<u64, Reaction> {
        match self.fault {
            Fault::IgnoresReplays => Ok(0),
            Fault::SpoilsProfiles => {
                let written = self.inner.replay(batch).await?;
                let connection = Connection::open(self.place.join("ledger.db")).unwrap();
                connection.execute("UPDATE user_profiles SET total_transactions = total_transactions + 1", []).unwrap();
                Ok(written)
            }
            _ => self.inner.replay(batch).await,
        }
    }

    async fn publish(&mut self) -> Result<bool, Reaction> {
        self.inner.publish().await
    }

    async fn retain(&mut self, before: i64) -> Result<u64, Reaction> {
        self.inner.retain(before).await
    }
}
