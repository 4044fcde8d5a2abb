//! The watermark: up to which event time nothing more is expected of any partition of the scorer that is awaited.
//!
//! It stays a lateness behind the slowest of them; where none is awaited, behind the newest that any has seen (T. Akidau et al., "The Dataflow
//! Model", 2015, gives the word and the meaning). An activity counts at its own time, but no earlier than the lateness before its partition's,
//! and never before the watermark: that is its effective time.
//!
//! What must stay true: the watermark never goes back; it and the effective times are a function of what was taken and expected, in that order;
//! the account engine and whoever waits for it from outside follow this one rule.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wh_schemas::activity::Activity;

/// What is known of a scorer partition, with a note of whoever keeps the watermark.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Partition<T> {
    awaited: bool,
    stream_time: Option<i64>,
    note: T,
}

/// The watermark and the partitions that it follows. It is kept in checkpoints as it stands here: fields and their order are a format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Watermark<T> {
    partitions: BTreeMap<u32, Partition<T>>,
    at: i64,
}

impl<T: Default> Watermark<T> {
    /// Before everything, of no partition.
    pub(crate) fn new() -> Watermark<T> {
        Watermark { partitions: BTreeMap::new(), at: i64::MIN }
    }

    /// The note beside a partition.
    pub(crate) fn note(&self, partition: u32) -> Option<&T> {
        self.partitions.get(&partition).map(|known| &known.note)
    }

    /// The partitions that are awaited, with the notes beside them.
    pub(crate) fn awaited(&self) -> impl Iterator<Item = (u32, &T)> {
        self.partitions.iter().filter(|(_, known)| known.awaited).map(|(partition, known)| (*partition, &known.note))
    }

    /// Whether nothing is expected any more at or before this time. Strictly before the watermark: at it, another may still come.
    pub(crate) fn has_passed(&self, at: i64) -> bool {
        at < self.at
    }

    /// Takes an activity, which makes its partition awaited; its effective time, `None` where it takes part in no pattern.
    pub(crate) fn take(&mut self, activity: &Activity<'_>, note: T, lateness: i64) -> Option<i64> {
        let stream_time = activity.stream_time.0;
        let known = self.partitions.entry(activity.partition).or_default();
        let newest = known.stream_time.map_or(stream_time, |before| before.max(stream_time));
        *known = Partition { awaited: true, stream_time: Some(newest), note };
        let at = (!activity.implausible).then(|| activity.timestamp.0.max(stream_time.saturating_sub(lateness)).max(self.at));
        self.advance(lateness);
        at
    }

    /// Says whether a partition may hold the watermark back.
    pub(crate) fn expect(&mut self, partition: u32, awaited: bool, lateness: i64) {
        self.partitions.entry(partition).or_default().awaited = awaited;
        self.advance(lateness);
    }

    /// Moves up to what was judged all the same: nothing counts before it any more.
    pub(crate) fn raise(&mut self, at: i64) {
        self.at = self.at.max(at);
    }

    fn advance(&mut self, lateness: i64) {
        // A partition that is awaited and was never seen holds all back: it may still bring the first event.
        let slowest = self.partitions.values().filter(|known| known.awaited).map(|known| known.stream_time.unwrap_or(i64::MIN)).min();
        // None is awaited: the newest that any has seen.
        let slowest = slowest.or_else(|| self.partitions.values().filter_map(|known| known.stream_time).max()).unwrap_or(i64::MIN);
        self.raise(slowest.saturating_sub(lateness));
    }
}
