//! One partition: what was read of it and is not settled. Pure.
//!
//! What must stay true: records are written in the order of their offsets, each once for each time that the partition was placed; what
//! was read before it was put aside is forgotten with its tokens, so that nothing of it is ever settled.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use wh_eventlog::Stored;
use wh_eventlog::settle::{Prefix, Token};

use super::protocol::{Limits, Moment, Place};
use crate::delivery::Batch;

/// What a record takes in memory beside its bytes.
const FRAME: usize = 64;

/// About how many bytes a record takes in memory.
pub(super) fn weight(record: &Stored) -> usize {
    let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.len() + FRAME).sum();
    record.value.len() + record.key.as_ref().map_or(0, |key| key.len()) + headers + FRAME
}

/// Records of one partition that are written together.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub(super) records: Arc<Vec<Stored>>,
    /// One a record.
    pub(super) tokens: Vec<Token>,
    /// Offsets of records that the dead letters hold.
    pub(super) buried: BTreeSet<u64>,
    /// How often it was tried.
    pub(super) attempts: u32,
    pub(super) weight: usize,
}

impl Piece {
    pub(super) fn batch(&self, place: &Place) -> Batch {
        Batch { topic: Arc::clone(&place.0), partition: place.1, records: Arc::clone(&self.records), buried: self.buried.clone() }
    }

    /// Where the records are that the dead letters do not hold.
    pub(super) fn open(&self) -> Vec<usize> {
        self.records.iter().enumerate().filter(|(_, record)| !self.buried.contains(&record.offset)).map(|(at, _)| at).collect()
    }

    /// The records before `at`, and the rest.
    pub(super) fn split(mut self, at: usize) -> (Piece, Piece) {
        let at = at.min(self.records.len());
        let (front, back) = self.records.split_at(at);
        let behind = back.first().map(|record| record.offset);
        let (front, back) = (front.to_vec(), back.to_vec());
        let tokens = self.tokens.split_off(at);
        let buried = behind.map(|behind| self.buried.split_off(&behind)).unwrap_or_default();
        let made = |records: Vec<Stored>, tokens, buried| Piece { weight: records.iter().map(weight).sum(), records: Arc::new(records), tokens, buried, attempts: self.attempts };
        (made(front, self.tokens, self.buried), made(back, tokens, buried))
    }
}

/// A partition that is ours.
#[derive(Debug)]
pub(super) struct Partition {
    /// Another each time it is assigned or put aside: what was begun under an earlier one changes nothing any more.
    pub(super) epoch: u64,
    /// What the group had committed when it was assigned. The log is given a first word before the first row is written: a store that
    /// has come further without one was filled from another log.
    pub(super) committed: Option<u64>,
    /// Whether the store has said where to go on: nothing is read before.
    pub(super) placed: bool,
    /// Whether it goes to another member: nothing more is read.
    pub(super) leaving: bool,
    /// Where reading is to go on, until the consumer is told.
    pub(super) seek: Option<u64>,
    /// What the consumer was told last.
    pub(super) paused: bool,
    pub(super) prefix: Prefix,
    gathering: Piecemeal,
    cut: VecDeque<Piece>,
}

/// A piece that is not cut yet.
#[derive(Debug, Default)]
struct Piecemeal {
    records: Vec<Stored>,
    tokens: Vec<Token>,
    weight: usize,
    since: Option<Moment>,
}

impl Partition {
    /// Just assigned: it is to be placed.
    pub(super) fn new(epoch: u64, committed: Option<u64>) -> Partition {
        Partition { epoch, committed, placed: false, leaving: false, seek: None, paused: false, prefix: Prefix::default(), gathering: Piecemeal::default(), cut: VecDeque::new() }
    }

    /// The store has said where to go on.
    pub(super) fn place(&mut self, next_offset: u64) {
        self.placed = true;
        self.seek = Some(next_offset);
        self.prefix = Prefix::starting_at(next_offset);
    }

    /// Forgets what was read and not written; it is to be placed anew.
    pub(super) fn put_aside(&mut self, epoch: u64) {
        self.epoch = epoch;
        self.placed = false;
        self.seek = None;
        self.gathering = Piecemeal::default();
        self.cut.clear();
    }

    /// Takes records in that follow those before. Those that were taken before are dropped.
    pub(super) fn gather(&mut self, records: Vec<Stored>, limits: &Limits, now: Moment) {
        for record in records {
            let Some(token) = self.prefix.take(record.offset) else { continue };
            let weight = weight(&record);
            if self.gathering.weight + weight > limits.batch_bytes {
                self.cut();
            }
            let gathering = &mut self.gathering;
            gathering.since.get_or_insert(now);
            gathering.weight += weight;
            gathering.tokens.push(token);
            gathering.records.push(record);
            if self.gathering.records.len() >= limits.batch_rows {
                self.cut();
            }
        }
    }

    fn cut(&mut self) {
        let Piecemeal { records, tokens, weight, .. } = std::mem::take(&mut self.gathering);
        if !records.is_empty() {
            self.cut.push_back(Piece { records: Arc::new(records), tokens, buried: BTreeSet::new(), attempts: 0, weight });
        }
    }

    /// Whether anything is to be written.
    pub(super) fn has_waiting(&self) -> bool {
        !self.cut.is_empty() || !self.gathering.records.is_empty()
    }

    /// When something is to be written; `None` where nothing waits.
    pub(super) fn due_at(&self, limits: &Limits) -> Option<Moment> {
        if self.cut.is_empty() { self.gathering.since.map(|since| since + limits.batch_age) } else { Some(Moment::ZERO) }
    }

    /// The next piece.
    pub(super) fn next_piece(&mut self) -> Option<Piece> {
        if self.cut.is_empty() {
            self.cut();
        }
        self.cut.pop_front()
    }

    /// A piece that was not written comes first again.
    pub(super) fn give_back(&mut self, piece: Piece) {
        self.cut.push_front(piece);
    }

    /// Bytes that wait.
    pub(super) fn weight(&self) -> usize {
        self.gathering.weight + self.cut.iter().map(|piece| piece.weight).sum::<usize>()
    }
}
