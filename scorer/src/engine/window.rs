//! Exact counts of a user's events in sliding windows of event time, up to 256 events.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wh_schemas::Micros;
use wh_schemas::time::DAY;

/// Events that are kept at most; a count that reaches it is a lower bound, and the evidence says so.
pub const CAPACITY: usize = 256;
/// Events older than this, seen from the newest, are forgotten.
pub const HORIZON: i64 = DAY;

/// A user's last events in order of their times. At most 2 KiB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    times: std::collections::VecDeque<i64>,
}

/// How many events a window holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Events in the window.
    pub events: u32,
    /// `false`: at least so many.
    pub exact: bool,
}

impl Window {
    /// Takes an event in, wherever its time falls.
    pub fn insert(&mut self, timestamp: Micros) {
        let at = timestamp.0;
        let newest = self.times.back().copied().unwrap_or(at).max(at);
        while self.times.front().is_some_and(|first| *first <= newest - HORIZON) {
            self.times.pop_front();
        }
        if at <= newest - HORIZON {
            return;
        }
        if self.times.len() == CAPACITY {
            if self.times.front().is_some_and(|first| at < *first) {
                return;
            }
            self.times.pop_front();
        }
        let place = self.times.partition_point(|t| *t <= at);
        self.times.insert(place, at);
    }

    /// Events within `length` microseconds up to and including `until`.
    #[must_use]
    pub fn count(&self, until: Micros, length: i64) -> Count {
        let from = self.times.partition_point(|t| *t <= until.0 - length);
        let to = self.times.partition_point(|t| *t <= until.0);
        let events = to.saturating_sub(from);
        Count { events: u32::try_from(events).unwrap_or(u32::MAX), exact: !(from == 0 && self.times.len() == CAPACITY) }
    }
}

/// Written as the first time and the differences behind it: about 4 bytes an event.
impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut before = 0;
        let steps: Vec<i64> = self.times.iter().map(|t| t - std::mem::replace(&mut before, *t)).collect();
        steps.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let steps = Vec::<i64>::deserialize(deserializer)?;
        let mut at: i64 = 0;
        let mut times = std::collections::VecDeque::with_capacity(steps.len().min(CAPACITY));
        for step in steps.into_iter().take(CAPACITY) {
            at = at.saturating_add(step);
            times.push_back(at);
        }
        Ok(Window { times })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn counts_equal_those_of_a_list(times in proptest::collection::vec(0i64..2 * DAY, 1..200), length in 1i64..DAY) {
            let mut window = Window::default();
            let mut newest = 0;
            for t in &times {
                newest = newest.max(*t);
                window.insert(Micros(*t));
            }
            let until = newest;
            let from = (until - length).max(newest - HORIZON);
            let expected = times.iter().filter(|t| **t > from && **t <= until).count();
            prop_assert_eq!(window.count(Micros(until), length), Count { events: u32::try_from(expected).unwrap(), exact: true });
            let back: Window = postcard::from_bytes(&postcard::to_allocvec(&window).unwrap()).unwrap();
            prop_assert_eq!(back, window);
        }
    }

    #[test]
    fn a_full_window_says_that_its_count_is_a_lower_bound() {
        let mut window = Window::default();
        for i in 0..1000 {
            window.insert(Micros(i));
        }
        assert_eq!(window.count(Micros(1000), DAY), Count { events: 256, exact: false });
        assert_eq!(window.count(Micros(999), 10), Count { events: 10, exact: true });
    }
}
