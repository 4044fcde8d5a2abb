//! The log of the simulation: what stands in its partitions, what the group committed, what was buried.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use wh_eventlog::{Bounds, Bytes, Commit, Stored};
use wh_schemas::position::SeqPosition;

use super::dice::Dice;
use crate::delivery::walk::Positioned;

pub(super) const TOPIC: &str = "risk-scores";
pub(super) const PARTITIONS: u32 = 3;

/// What is wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Nature {
    /// Nothing.
    Good,
    /// The store refuses it, and says so of it.
    Refused,
    /// The store refuses whatever batch it stands in.
    Culprit,
}

/// A record that can be read.
#[derive(Deserialize)]
pub(super) struct Row {
    partition: u32,
    pub(super) seq: u64,
    pub(super) nature: Nature,
}

impl Positioned for Row {
    fn position(&self) -> SeqPosition {
        SeqPosition { partition: self.partition, seq: self.seq }
    }
}

pub(super) fn read(record: &Stored) -> Result<Row, serde_json::Error> {
    serde_json::from_slice(&record.value)
}

/// One partition.
#[derive(Default)]
pub(super) struct Partition {
    /// Everything that will ever stand in it.
    records: Vec<Stored>,
    /// How many records were appended so far.
    appended: usize,
    /// By seq: where it stands first, and what it is.
    pub(super) seqs: Vec<(u64, Nature)>,
    /// Offsets of records that nobody can read.
    strangers: BTreeSet<u64>,
}

impl Partition {
    fn new(dice: &mut Dice, partition: u32) -> Partition {
        let mut made = Partition::default();
        let (count, poison) = (20 + dice.below(40), if dice.one_in(8) { 3 } else { 20 });
        let (mut values, mut offset): (Vec<Bytes>, u64) = (Vec::new(), 0);
        while (values.len() as u64) < count {
            let seq = values.len() as u64;
            // The log leaves offsets out, as transactions do.
            offset += if dice.one_in(12) { 1 + dice.below(3) } else { 0 };
            if dice.one_in(poison * 2) {
                made.strangers.insert(offset);
                made.push(&mut offset, Bytes::from_static(b"of nobody"));
            }
            if seq > 0 && dice.one_in(15) {
                // Who numbers them was killed, and emitted some again.
                let from = values.len() - usize::try_from(1 + dice.below(seq.min(3))).unwrap();
                for value in values.clone().into_iter().skip(from) {
                    made.push(&mut offset, value);
                }
            }
            let nature = match dice.below(poison * 2) {
                0 => Nature::Refused,
                1 => Nature::Culprit,
                _ => Nature::Good,
            };
            let value = Bytes::from(format!("{{\"partition\":{partition},\"seq\":{seq},\"nature\":\"{nature:?}\"}}"));
            made.seqs.push((offset, nature));
            values.push(value.clone());
            made.push(&mut offset, value);
        }
        made
    }

    fn push(&mut self, offset: &mut u64, value: Bytes) {
        self.records.push(Stored { offset: *offset, append_time: 0, key: None, value, headers: Vec::new() });
        *offset += 1;
    }

    fn end(&self) -> u64 {
        self.records.iter().take(self.appended).last().map_or(0, |record| record.offset + 1)
    }

    /// Whether a record may be buried.
    fn is_poison(&self, offset: u64) -> bool {
        self.strangers.contains(&offset) || self.seqs.iter().any(|(first, nature)| *first == offset && *nature != Nature::Good)
    }
}

#[derive(Default)]
pub(super) struct Log {
    pub(super) partitions: Vec<Partition>,
    pub(super) committed: BTreeMap<u32, u64>,
    pub(super) letters: BTreeSet<(u32, u64)>,
    /// To whom each partition belongs.
    pub(super) owners: Vec<Option<usize>>,
    /// To whom each goes once its owner has given it up.
    pub(super) heirs: Vec<Option<usize>>,
}

impl Log {
    pub(super) fn new(dice: &mut Dice) -> Log {
        let nobody = vec![None; PARTITIONS as usize];
        Log { partitions: (0..PARTITIONS).map(|partition| Partition::new(dice, partition)).collect(), owners: nobody.clone(), heirs: nobody, ..Log::default() }
    }

    pub(super) fn of(&self, partition: u32) -> &Partition {
        &self.partitions[partition as usize]
    }

    /// More records come into a partition.
    pub(super) fn append(&mut self, partition: u32, count: usize) {
        let partition = &mut self.partitions[partition as usize];
        partition.appended = (partition.appended + count).min(partition.records.len());
    }

    pub(super) fn bounds(&self, partition: u32) -> Bounds {
        Bounds { start: 0, end: self.of(partition).end() }
    }

    pub(super) fn fetch(&self, partition: u32, from: u64, count: usize) -> Vec<Stored> {
        let partition = self.of(partition);
        partition.records.iter().take(partition.appended).filter(|record| record.offset >= from).take(count).cloned().collect()
    }

    /// Takes what a member commits of its own partitions. Whether all of them are.
    pub(super) fn commit(&mut self, member: usize, commits: &[Commit]) -> bool {
        let mut all = true;
        for commit in commits {
            if self.owners[commit.partition as usize] == Some(member) {
                self.committed.insert(commit.partition, commit.next_offset);
            } else {
                all = false;
            }
        }
        all
    }

    /// Takes a dead letter.
    pub(super) fn bury(&mut self, partition: u32, offset: u64) -> Result<(), String> {
        if !self.of(partition).is_poison(offset) {
            return Err(format!("a good record was buried: partition {partition}, offset {offset}"));
        }
        self.letters.insert((partition, offset));
        Ok(())
    }

    /// Whether every record that can never be stored is in the dead letters.
    pub(super) fn check_letters(&self) -> Result<(), String> {
        for (number, partition) in (0..).zip(&self.partitions) {
            let poison = partition.seqs.iter().filter(|(_, nature)| *nature != Nature::Good).map(|(offset, _)| offset);
            if let Some(offset) = poison.chain(&partition.strangers).find(|offset| !self.letters.contains(&(number, **offset))) {
                return Err(format!("a bad record is lost: partition {number}, offset {offset}"));
            }
        }
        Ok(())
    }
}
