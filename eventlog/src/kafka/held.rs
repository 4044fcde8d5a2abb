//! What a member holds: its partitions, where each goes on, what has come and was not given out. Pure.
//!
//! What must stay true: each record of a partition is given out once and in order, from where the caller sought; nothing of a
//! partition that is paused or gone; what waits in memory is bounded by who asks [`Held::is_full`] before taking more.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::records;
use crate::Stored;

/// Number of the topic among those subscribed to, and the partition.
pub(super) type Key = (usize, i32);

/// Where reading of a partition goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// At the first record that is there: nothing was ever committed.
    Start,
    /// At an offset.
    At(i64),
}

#[derive(Debug)]
struct Partition {
    next: Next,
    paused: bool,
    /// Whether the client reads it: it does once the caller has come back.
    reads: bool,
    records: Vec<Stored>,
    weight: usize,
}

/// The partitions of a member.
#[derive(Debug, Default)]
pub(super) struct Held {
    partitions: BTreeMap<Key, Partition>,
    /// Partitions with records to give out, the one that has waited longest first.
    waiting: VecDeque<Key>,
    /// Weight of the records that may be given out.
    ready: usize,
    /// Partitions in which the client is still to be moved.
    seeks: BTreeSet<Key>,
}

impl Held {
    /// A partition is ours from now on, and not read yet.
    pub(super) fn hold(&mut self, key: Key, next: Next) {
        self.forget(key);
        self.partitions.insert(key, Partition { next, paused: false, reads: false, records: Vec::new(), weight: 0 });
    }

    /// A partition is no longer ours.
    pub(super) fn forget(&mut self, key: Key) {
        self.seeks.remove(&key);
        self.discard(key);
        self.partitions.remove(&key);
    }

    /// Whether a partition is ours.
    pub(super) fn contains(&self, key: Key) -> bool {
        self.partitions.contains_key(&key)
    }

    /// Where a partition goes on behind what has come; `None` where it is not ours.
    pub(super) fn next(&self, key: Key) -> Option<Next> {
        self.partitions.get(&key).map(|partition| partition.next)
    }

    /// Every partition and where it goes on.
    pub(super) fn positions(&self) -> Vec<(Key, Next)> {
        self.partitions.iter().map(|(key, partition)| (*key, partition.next)).collect()
    }

    /// The client reads a partition from now on. Returns whether it is to be paused there.
    pub(super) fn begin(&mut self, key: Key) -> bool {
        self.partitions.get_mut(&key).is_some_and(|partition| {
            partition.reads = true;
            partition.paused
        })
    }

    /// Whether the client was told to pause a partition.
    pub(super) fn is_paused(&self, key: Key) -> bool {
        self.partitions.get(&key).is_some_and(|partition| partition.reads && partition.paused)
    }

    /// Goes on from `offset` in a partition that is ours.
    pub(super) fn seek(&mut self, key: Key, offset: i64) {
        let Some(partition) = self.partitions.get_mut(&key) else { return };
        let stands = match (partition.records.first(), partition.next) {
            (Some(first), _) => i64::try_from(first.offset) == Ok(offset),
            (None, next) => next == Next::At(offset),
        };
        if stands {
            return;
        }
        partition.next = Next::At(offset);
        if partition.reads {
            self.seeks.insert(key);
        }
        self.discard(key);
    }

    /// Partitions in which the client is to be moved.
    pub(super) fn seeks(&self) -> Vec<Key> {
        self.seeks.iter().copied().collect()
    }

    /// The client was moved.
    pub(super) fn sought(&mut self, key: Key) {
        self.seeks.remove(&key);
    }

    /// Stops or resumes giving out. Returns whether the client, too, is to be told.
    pub(super) fn set_paused(&mut self, key: Key, paused: bool) -> bool {
        let Some(partition) = self.partitions.get_mut(&key).filter(|partition| partition.paused != paused) else { return false };
        partition.paused = paused;
        if paused {
            self.ready -= partition.weight;
        } else {
            self.ready += partition.weight;
        }
        partition.reads
    }

    /// Whether what waits is enough for a fetch.
    pub(super) fn is_full(&self, fetch_bytes: usize) -> bool {
        self.ready >= fetch_bytes
    }

    /// Whether a record at `offset` is still wanted: after a pause or a seek the client may bring what was given out before.
    pub(super) fn wants(&self, key: Key, offset: i64) -> bool {
        match self.partitions.get(&key).map(|partition| partition.next) {
            Some(Next::At(next)) => offset >= next,
            Some(Next::Start) => true,
            None => false,
        }
    }

    /// Takes in a record that is wanted.
    pub(super) fn take(&mut self, key: Key, offset: i64, record: Stored) {
        let Some(partition) = self.partitions.get_mut(&key) else { return };
        let weight = records::weight(&record);
        partition.next = Next::At(offset.saturating_add(1));
        partition.weight += weight;
        if !partition.paused {
            self.ready += weight;
        }
        if partition.records.is_empty() {
            self.waiting.push_back(key);
        }
        partition.records.push(record);
    }

    /// Partitions with records that may be given out.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.iter().filter(|key| self.partitions.get(*key).is_some_and(|partition| !partition.paused)).count()
    }

    /// The records of the partition that has waited longest.
    pub(super) fn give(&mut self) -> Option<(Key, Vec<Stored>)> {
        let at = self.waiting.iter().position(|key| self.partitions.get(key).is_some_and(|partition| !partition.paused))?;
        let key = self.waiting.remove(at)?;
        let partition = self.partitions.get_mut(&key)?;
        self.ready -= partition.weight;
        partition.weight = 0;
        Some((key, std::mem::take(&mut partition.records)))
    }

    /// Throws away what has come of a partition and was not given out.
    fn discard(&mut self, key: Key) {
        self.waiting.retain(|waiting| *waiting != key);
        if let Some(partition) = self.partitions.get_mut(&key) {
            if !partition.paused {
                self.ready -= partition.weight;
            }
            partition.weight = 0;
            partition.records = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    const ZERO: Key = (0, 0);
    const ONE: Key = (0, 1);

    fn record(offset: i64) -> Stored {
        Stored { offset: offset.unsigned_abs(), append_time: 0, key: None, value: Bytes::from_static(b"value"), headers: Vec::new() }
    }

    fn come(held: &mut Held, key: Key, offsets: impl IntoIterator<Item = i64>) {
        for offset in offsets {
            if held.wants(key, offset) {
                held.take(key, offset, record(offset));
            }
        }
    }

    fn given(held: &mut Held) -> Option<(Key, Vec<u64>)> {
        held.give().map(|(key, records)| (key, records.iter().map(|record| record.offset).collect()))
    }

    #[test]
    fn partitions_are_given_out_in_turn_and_in_order() {
        let mut held = Held::default();
        held.hold(ZERO, Next::Start);
        held.hold(ONE, Next::At(7));
        come(&mut held, ZERO, 3..5);
        come(&mut held, ONE, 5..9);
        come(&mut held, ZERO, 5..6);
        assert!(held.is_full(1) && !held.is_full(10_000));
        assert_eq!(given(&mut held), Some((ZERO, vec![3, 4, 5])));
        assert_eq!(given(&mut held), Some((ONE, vec![7, 8])), "what was before the position is not wanted");
        assert_eq!((given(&mut held), held.ready), (None, 0));
        assert_eq!(held.positions(), [(ZERO, Next::At(6)), (ONE, Next::At(9))]);
    }

    #[test]
    fn a_paused_partition_keeps_what_it_has_and_takes_no_room() {
        let mut held = Held::default();
        held.hold(ZERO, Next::At(0));
        held.hold(ONE, Next::At(0));
        assert!(!held.begin(ZERO));
        come(&mut held, ZERO, 0..3);
        assert!(held.set_paused(ZERO, true) && !held.is_full(1));
        assert!(!held.set_paused(ZERO, true), "it is paused already");
        assert!(!held.set_paused(ONE, true), "the client does not read it yet");
        assert!(!held.is_paused(ONE) && held.begin(ONE) && held.is_paused(ONE), "it is paused where reading begins");
        assert_eq!(given(&mut held), None);
        assert!(held.set_paused(ZERO, false));
        assert_eq!(given(&mut held), Some((ZERO, vec![0, 1, 2])));
    }

    #[test]
    fn a_seek_before_reading_begins_needs_no_move_and_later_one_does() {
        let mut held = Held::default();
        held.hold(ZERO, Next::Start);
        held.seek(ZERO, 5);
        assert_eq!((held.seeks(), held.next(ZERO)), (Vec::new(), Some(Next::At(5))));
        held.begin(ZERO);
        come(&mut held, ZERO, 5..9);
        held.seek(ZERO, 5);
        assert!(held.seeks().is_empty(), "it stands there");
        held.seek(ZERO, 2);
        assert_eq!((held.seeks(), given(&mut held)), (vec![ZERO], None));
        held.sought(ZERO);
        come(&mut held, ZERO, 2..4);
        assert_eq!(given(&mut held), Some((ZERO, vec![2, 3])));
        held.seek(ONE, 1);
        assert!(held.seeks().is_empty(), "what is not ours is not sought");
    }

    #[test]
    fn what_is_gone_is_given_out_no_more() {
        let mut held = Held::default();
        held.hold(ZERO, Next::At(0));
        come(&mut held, ZERO, 0..3);
        held.forget(ZERO);
        come(&mut held, ZERO, 3..5);
        assert_eq!((given(&mut held), held.ready, held.contains(ZERO)), (None, 0, false));
        held.hold(ZERO, Next::At(1));
        come(&mut held, ZERO, 0..3);
        assert_eq!(given(&mut held), Some((ZERO, vec![1, 2])));
    }

    /// What may happen to a partition whose client brings records in order, and again what a pause or a seek made it forget.
    #[derive(Clone, Debug)]
    enum Step {
        Come(i64),
        Again(i64),
        Pause(bool),
        Seek(i64),
        Give,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![(1_i64..5).prop_map(Step::Come), (1_i64..5).prop_map(Step::Again), any::<bool>().prop_map(Step::Pause), (0_i64..40).prop_map(Step::Seek), Just(Step::Give)]
    }

    proptest! {
        #[test]
        fn records_come_once_and_in_order_from_where_was_sought(steps in proptest::collection::vec(step(), 0..80)) {
            let mut held = Held::default();
            held.hold(ZERO, Next::At(0));
            held.begin(ZERO);
            // Where the client reads on, and what the caller is to see next.
            let (mut client, mut due) = (0_i64, 0_u64);
            let mut paused = false;
            for step in steps {
                match step {
                    Step::Come(count) => {
                        come(&mut held, ZERO, client..client + count);
                        client += count;
                    }
                    Step::Again(count) => client = (client - count).max(0),
                    Step::Pause(wanted) => {
                        held.set_paused(ZERO, wanted);
                        paused = wanted;
                    }
                    Step::Seek(offset) => {
                        held.seek(ZERO, offset);
                        for key in held.seeks() {
                            held.sought(key);
                            client = offset;
                        }
                        due = offset.unsigned_abs();
                    }
                    Step::Give => {
                        let given = given(&mut held);
                        prop_assert!(!(paused && given.is_some()));
                        for offset in given.into_iter().flat_map(|(_, offsets)| offsets) {
                            prop_assert_eq!(offset, due);
                            due += 1;
                        }
                    }
                }
                prop_assert_eq!(held.ready > 0, !paused && held.partitions[&ZERO].weight > 0);
            }
        }
    }
}
