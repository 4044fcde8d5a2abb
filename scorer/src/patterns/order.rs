//! The watermark: events of several scorer partitions in one order, whatever their interleaving.
//!
//! What must stay true: an event's effective time is a function of its own partition's order alone, as long as every awaited partition has
//! been seen; it never lies before what was evaluated; nothing is dropped but copies and the implausible. The buffer holds at most
//! [`AccountRules::hold_back`] events; beyond it the oldest are evaluated early, which is the one case in which interleaving may show.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use serde::{Deserialize, Serialize};
use wh_schemas::activity::Activity;
use wh_schemas::position::Seq;

use super::event::Event;
use super::rules::AccountRules;

/// What is known of a scorer partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Partition {
    awaited: bool,
    stream_time: Option<i64>,
    taken: Option<Seq>,
}

/// Partitions, watermark and the events held back.
#[derive(Debug)]
pub(super) struct Order {
    partitions: BTreeMap<u32, Partition>,
    watermark: i64,
    held: BinaryHeap<Reverse<Event>>,
}

/// An [`Order`] as it is kept in a checkpoint.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    partitions: BTreeMap<u32, Partition>,
    watermark: i64,
    held: Vec<Event>,
}

impl Order {
    pub(super) fn new() -> Order {
        Order { partitions: BTreeMap::new(), watermark: i64::MIN, held: BinaryHeap::new() }
    }

    pub(super) fn restored(kept: Kept) -> Order {
        Order { partitions: kept.partitions, watermark: kept.watermark, held: kept.held.into_iter().map(Reverse).collect() }
    }

    pub(super) fn keep(&self) -> Kept {
        let mut held: Vec<Event> = self.held.iter().map(|Reverse(e)| e.clone()).collect();
        held.sort_unstable();
        Kept { partitions: self.partitions.clone(), watermark: self.watermark, held }
    }

    pub(super) fn taken(&self, partition: u32) -> Option<Seq> {
        self.partitions.get(&partition).and_then(|p| p.taken)
    }

    /// Holds an activity back and moves the watermark; a copy is dropped.
    pub(super) fn take(&mut self, activity: &Activity<'_>, rules: &AccountRules) {
        let partition = self.partitions.entry(activity.partition).or_default();
        if partition.taken.is_some_and(|taken| activity.seq <= taken) {
            return;
        }
        partition.taken = Some(activity.seq);
        partition.awaited = true;
        let stream_time = activity.stream_time.0;
        partition.stream_time = Some(partition.stream_time.map_or(stream_time, |t| t.max(stream_time)));
        if !activity.implausible {
            let floor = stream_time.saturating_sub(rules.lateness());
            let at = activity.timestamp.0.max(floor).max(self.watermark);
            self.held.push(Reverse(Event::of(activity, at)));
        }
        self.advance(rules);
    }

    pub(super) fn expect(&mut self, partition: u32, awaited: bool, rules: &AccountRules) {
        self.partitions.entry(partition).or_default().awaited = awaited;
        self.advance(rules);
    }

    fn advance(&mut self, rules: &AccountRules) {
        // A partition that is awaited and was never seen holds all back: it may still bring the first event.
        let mut slowest = i64::MAX;
        for partition in self.partitions.values().filter(|p| p.awaited) {
            slowest = slowest.min(partition.stream_time.unwrap_or(i64::MIN));
        }
        if slowest == i64::MAX {
            // None is awaited: the newest that any has seen.
            slowest = self.partitions.values().filter_map(|p| p.stream_time).max().unwrap_or(i64::MIN);
        }
        self.watermark = self.watermark.max(slowest.saturating_sub(rules.lateness()));
    }

    /// The next event that the watermark has passed, or that has no room. Strictly before the watermark: at it, another may still come.
    pub(super) fn next(&mut self, rules: &AccountRules) -> Option<Event> {
        let Reverse(first) = self.held.peek()?;
        let crowded = self.held.len() > rules.hold_back;
        if first.at >= self.watermark && !crowded {
            return None;
        }
        let Reverse(event) = self.held.pop()?;
        self.watermark = self.watermark.max(event.at);
        Some(event)
    }

    /// The next event whatever the watermark says: the input has ended.
    pub(super) fn drain(&mut self) -> Option<Event> {
        let Reverse(event) = self.held.pop()?;
        self.watermark = self.watermark.max(event.at);
        Some(event)
    }
}
