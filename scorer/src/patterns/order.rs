//! Events of several scorer partitions in one order behind the [`Watermark`], whatever their interleaving.
//!
//! What must stay true: an event's effective time is a function of its own partition's order alone, as long as every awaited partition has
//! been seen; it never lies before what was evaluated; nothing is dropped but copies and the implausible. The buffer holds at most
//! [`AccountRules::hold_back`] events; beyond it the oldest are evaluated early, which is the one case in which interleaving may show.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};
use wh_schemas::activity::Activity;
use wh_schemas::position::Seq;

use super::event::Event;
use super::rules::AccountRules;
use super::watermark::Watermark;

/// Highest `seq` that was taken of a partition.
type Taken = Option<Seq>;

/// Partitions, watermark and the events held back.
#[derive(Debug)]
pub(super) struct Order {
    watermark: Watermark<Taken>,
    held: BinaryHeap<Reverse<Event>>,
}

/// An [`Order`] as it is kept in a checkpoint.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    watermark: Watermark<Taken>,
    held: Vec<Event>,
}

impl Order {
    pub(super) fn new() -> Order {
        Order { watermark: Watermark::new(), held: BinaryHeap::new() }
    }

    pub(super) fn restored(kept: Kept) -> Order {
        Order { watermark: kept.watermark, held: kept.held.into_iter().map(Reverse).collect() }
    }

    pub(super) fn keep(&self) -> Kept {
        let mut held: Vec<Event> = self.held.iter().map(|Reverse(e)| e.clone()).collect();
        held.sort_unstable();
        Kept { watermark: self.watermark.clone(), held }
    }

    pub(super) fn taken(&self, partition: u32) -> Option<Seq> {
        self.watermark.note(partition).copied().flatten()
    }

    /// Holds an activity back and moves the watermark; a copy is dropped.
    pub(super) fn take(&mut self, activity: &Activity<'_>, rules: &AccountRules) {
        if self.taken(activity.partition).is_some_and(|taken| activity.seq <= taken) {
            return;
        }
        if let Some(at) = self.watermark.take(activity, Some(activity.seq), rules.lateness()) {
            self.held.push(Reverse(Event::of(activity, at)));
        }
    }

    pub(super) fn expect(&mut self, partition: u32, awaited: bool, rules: &AccountRules) {
        self.watermark.expect(partition, awaited, rules.lateness());
    }

    /// The next event that the watermark has passed, or that has no room.
    pub(super) fn next(&mut self, rules: &AccountRules) -> Option<Event> {
        let Reverse(first) = self.held.peek()?;
        let crowded = self.held.len() > rules.hold_back;
        if !self.watermark.has_passed(first.at) && !crowded {
            return None;
        }
        self.drain()
    }

    /// The next event whatever the watermark says: the input has ended.
    pub(super) fn drain(&mut self) -> Option<Event> {
        let Reverse(event) = self.held.pop()?;
        self.watermark.raise(event.at);
        Some(event)
    }
}
