//! Reading the dead letters: one at a time, in bounded memory, each once.
//!
//! What must stay true: a copy that a killed stage wrote again is no second letter; a letter that retention takes meanwhile is not missed
//! with an error; a disposition counts for the letter of its stage, store and origin.

use std::collections::VecDeque;

use hashbrown::{HashMap, HashSet};
use wh_schemas::Reaction;
use wh_schemas::dead_letter as header;
use wh_schemas::position::Origin;
use wh_schemas::topics::DEAD_LETTERS;

use super::{DeadLetter, Disposition, LetterId};
use crate::{Offset, Reader, Stored};

/// Bytes that one look into the log aims at.
const READ_BYTES: usize = 1024 * 1024;
/// Identities after which the older half of those known is forgotten: a copy stands no further behind its letter than what a stage had
/// under way when it was killed.
const REMEMBERED: usize = 250_000;
/// Letters of one partition that are counted each once; what is beyond is counted as it stands.
const COUNTED: usize = 2_000_000;

/// A dead letter as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Partition of `dead-letters`.
    pub partition: u32,
    /// Offset in it.
    pub offset: Offset,
    /// What the headers say.
    pub letter: DeadLetter,
    /// The record.
    pub record: Stored,
}

impl Found {
    fn new(partition: u32, record: Stored) -> Found {
        Found { partition, offset: record.offset, letter: parse(&record), record }
    }

    /// Whether its value is its own: the log did not take it otherwise.
    #[must_use]
    pub fn has_value(&self) -> bool {
        self.record.header(header::VALUE_LEFT_OUT).is_none()
    }
}

/// Records of the topic, letters and dispositions, by partition and offset.
struct Records<'l> {
    log: &'l dyn Reader,
    /// Partitions that are still to be read; the first is being read.
    partitions: VecDeque<u32>,
    next: Offset,
    end: Option<Offset>,
    some: VecDeque<Stored>,
}

impl<'l> Records<'l> {
    async fn of_all(log: &'l dyn Reader) -> Result<Records<'l>, Reaction> {
        let partitions = (0..log.partitions(DEAD_LETTERS).await?).collect();
        Ok(Records { log, partitions, next: 0, end: None, some: VecDeque::new() })
    }

    fn of(log: &'l dyn Reader, partition: u32) -> Records<'l> {
        Records { log, partitions: [partition].into(), next: 0, end: None, some: VecDeque::new() }
    }

    /// The next record and its partition.
    async fn next(&mut self) -> Result<Option<(u32, Stored)>, Reaction> {
        loop {
            let Some(partition) = self.partitions.front().copied() else { return Ok(None) };
            if let Some(record) = self.some.pop_front() {
                return Ok(Some((partition, record)));
            }
            let end = match self.end {
                Some(end) => end,
                None => {
                    // What comes later is for whoever looks later.
                    let bounds = self.log.bounds(DEAD_LETTERS, partition).await?;
                    self.next = bounds.start;
                    *self.end.insert(bounds.end)
                }
            };
            if self.next < end {
                self.read(partition).await?;
            }
            if self.some.is_empty() {
                self.partitions.pop_front();
                self.end = None;
            }
        }
    }

    /// Reads on; nothing is there where the rest was removed, or holds no record.
    async fn read(&mut self, partition: u32) -> Result<(), Reaction> {
        let records = match self.log.read(DEAD_LETTERS, partition, self.next, READ_BYTES).await {
            Ok(records) => records,
            Err(Reaction::Fatal(said)) => {
                // Retention may have removed what was about to be read.
                let start = self.log.bounds(DEAD_LETTERS, partition).await?.start;
                if start <= self.next {
                    return Err(Reaction::Fatal(said));
                }
                self.next = start;
                self.log.read(DEAD_LETTERS, partition, start, READ_BYTES).await?
            }
            Err(other) => return Err(other),
        };
        if let Some(last) = records.last() {
            self.next = last.offset + 1;
        }
        self.some = records.into();
        Ok(())
    }
}

/// Identities seen lately.
#[derive(Default)]
struct Recent {
    now: HashSet<LetterId>,
    before: HashSet<LetterId>,
}

impl Recent {
    /// Takes an identity in; `false` where it is known.
    fn is_new(&mut self, id: LetterId) -> bool {
        if self.before.contains(&id) || !self.now.insert(id) {
            return false;
        }
        if self.now.len() >= REMEMBERED {
            self.before = std::mem::take(&mut self.now);
        }
        true
    }
}

/// The letters that the log holds, one at a time.
pub struct Letters<'l> {
    records: Records<'l>,
    recent: Recent,
}

impl<'l> Letters<'l> {
    /// From the first one on, by partition and offset.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub async fn new(log: &'l dyn Reader) -> Result<Letters<'l>, Reaction> {
        Ok(Letters { records: Records::of_all(log).await?, recent: Recent::default() })
    }

    /// The next one.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub async fn next(&mut self) -> Result<Option<Found>, Reaction> {
        while let Some((partition, record)) = self.records.next().await? {
            if Disposition::of(&record).is_none() && self.recent.is_new(LetterId::of(&record)) {
                return Ok(Some(Found::new(partition, record)));
            }
        }
        Ok(None)
    }
}

/// What operators did with letters: one entry each letter that something was done with.
#[derive(Clone, Debug, Default)]
pub struct Dispositions {
    of: HashMap<LetterId, Disposition>,
}

impl Dispositions {
    /// Those that the log holds.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub async fn read(log: &dyn Reader) -> Result<Dispositions, Reaction> {
        let (mut records, mut of) = (Records::of_all(log).await?, HashMap::new());
        while let Some((_, record)) = records.next().await? {
            if let Some(disposition) = Disposition::of(&record) {
                of.insert(LetterId::of(&record), disposition);
            }
        }
        Ok(Dispositions { of })
    }

    /// What was done last with a letter; `None` where it waits.
    #[must_use]
    pub fn of(&self, letter: &DeadLetter) -> Option<Disposition> {
        self.of.get(&letter.id()).copied()
    }
}

/// What became of the letters that the log still holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Letters, each once.
    pub written: u64,
    /// Those of which nobody has done anything yet.
    pub waiting: u64,
    /// Those that were sent again.
    pub retried: u64,
    /// Those that somebody discarded.
    pub discarded: u64,
}

/// Counts the letters that the log holds.
///
/// # Errors
/// Where the log cannot be read.
pub async fn summary(log: &dyn Reader) -> Result<Summary, Reaction> {
    let mut summary = Summary::default();
    for partition in 0..log.partitions(DEAD_LETTERS).await? {
        let mut records = Records::of(log, partition);
        let mut states: HashMap<LetterId, Option<Disposition>> = HashMap::new();
        while let Some((_, record)) = records.next().await? {
            let id = LetterId::of(&record);
            match Disposition::of(&record) {
                // One whose letter retention has taken counts for nothing.
                Some(disposition) => {
                    if let Some(state) = states.get_mut(&id) {
                        *state = Some(disposition);
                    }
                }
                None if states.len() < COUNTED => {
                    states.entry(id).or_insert(None);
                }
                None => {
                    let beyond = u64::from(!states.contains_key(&id));
                    summary.written += beyond;
                    summary.waiting += beyond;
                }
            }
        }
        for state in states.into_values() {
            summary.written += 1;
            match state {
                None => summary.waiting += 1,
                Some(Disposition::Retried) => summary.retried += 1,
                Some(Disposition::Discarded) => summary.discarded += 1,
            }
        }
    }
    Ok(summary)
}

/// Every letter that the log still holds, in memory: for few.
///
/// # Errors
/// Where the log cannot be read.
pub async fn read_all(log: &dyn Reader) -> Result<Vec<Found>, Reaction> {
    let (mut letters, mut found) = (Letters::new(log).await?, Vec::new());
    while let Some(letter) = letters.next().await? {
        found.push(letter);
    }
    Ok(found)
}

/// The letter at a place; `None` where there is none, or no letter.
///
/// # Errors
/// Where the log cannot be read.
pub async fn letter_at(log: &dyn Reader, partition: u32, offset: Offset) -> Result<Option<Found>, Reaction> {
    if partition >= log.partitions(DEAD_LETTERS).await? {
        return Ok(None);
    }
    let bounds = log.bounds(DEAD_LETTERS, partition).await?;
    if offset < bounds.start || offset >= bounds.end {
        return Ok(None);
    }
    let records = log.read(DEAD_LETTERS, partition, offset, 1).await?;
    let record = records.into_iter().find(|record| record.offset == offset);
    Ok(record.filter(|record| Disposition::of(record).is_none()).map(|record| Found::new(partition, record)))
}

fn parse(record: &Stored) -> DeadLetter {
    let text = |name: &str| record.header(name).unwrap_or_default().to_owned();
    DeadLetter {
        origin: Origin::parse(&text(header::ORIGIN)).unwrap_or(Origin { topic: String::new(), partition: 0, offset: 0 }),
        stage: text(header::STAGE),
        store: record.header(header::STORE).map(str::to_owned),
        error_class: text(header::ERROR_CLASS),
        error_message: text(header::ERROR_MESSAGE),
        fingerprint: text(header::FINGERPRINT),
        position: record.header(header::POSITION).map(str::to_owned),
        attempts: text(header::ATTEMPTS).parse().unwrap_or(0),
    }
}
