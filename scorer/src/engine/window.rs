//! Counts of a user's events in sliding windows of event time: exact for the last 256 events, by the minute beyond.
//!
//! Windows are whole seconds long, so times are kept in seconds: counts are those of the windows in whole seconds.

use std::collections::VecDeque;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wh_schemas::Micros;
use wh_schemas::time::SECOND;

/// Events whose times are kept.
pub const CAPACITY: usize = 256;
/// Minutes that are kept of older events of the day; with more, the two oldest become one.
pub const MINUTES: usize = 300;
/// Events older than this, seen from the newest, are forgotten: a day, in seconds.
pub const HORIZON: i64 = 86_400;

/// A user's events of the last day, in order of their times. At most 1.4 KB when serialised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// In seconds.
    times: VecDeque<i64>,
    /// Minutes with how many events they had that no longer stand in `times`.
    minutes: VecDeque<(i64, u16)>,
}

/// How many events a window holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Events in the window.
    pub events: u32,
    /// `false`: some were counted by the minute.
    pub exact: bool,
}

impl Window {
    /// Takes an event in, wherever its time falls.
    pub fn insert(&mut self, timestamp: Micros) {
        let at = timestamp.0.div_euclid(SECOND);
        let newest = self.times.back().copied().unwrap_or(at).max(at);
        while self.times.front().is_some_and(|first| *first <= newest - HORIZON) {
            self.times.pop_front();
        }
        while self.minutes.front().is_some_and(|(minute, _)| minute * 60 <= newest - HORIZON) {
            self.minutes.pop_front();
        }
        if at <= newest - HORIZON {
            return;
        }
        let place = self.times.partition_point(|t| *t <= at);
        self.times.insert(place, at);
        if self.times.len() > CAPACITY
            && let Some(oldest) = self.times.pop_front()
        {
            self.fold(oldest.div_euclid(60));
        }
    }

    fn fold(&mut self, minute: i64) {
        let place = self.minutes.partition_point(|(m, _)| *m < minute);
        match self.minutes.get_mut(place) {
            Some((m, count)) if *m == minute => *count = count.saturating_add(1),
            _ => self.minutes.insert(place, (minute, 1)),
        }
        if self.minutes.len() > MINUTES
            && let Some((_, count)) = self.minutes.pop_front()
            && let Some((_, next)) = self.minutes.front_mut()
        {
            *next = next.saturating_add(count);
        }
    }

    /// Events within `length` microseconds up to and including `until`.
    #[must_use]
    pub fn count(&self, until: Micros, length: i64) -> Count {
        let (until, length) = (until.0.div_euclid(SECOND), length / SECOND);
        let from = self.times.partition_point(|t| *t <= until - length);
        let to = self.times.partition_point(|t| *t <= until);
        let mut events = u32::try_from(to.saturating_sub(from)).unwrap_or(u32::MAX);
        let mut exact = true;
        if from == 0 {
            for (_, count) in self.minutes.iter().filter(|(minute, _)| minute * 60 > until - length && minute * 60 <= until) {
                events = events.saturating_add(u32::from(*count));
                exact = false;
            }
        }
        Count { events, exact }
    }
}

#[derive(Serialize, Deserialize)]
struct Packed {
    steps: Vec<i64>,
    minutes: Vec<(i64, u16)>,
}

/// Written as the first time and the differences behind it: about 2 bytes an event.
impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (mut before, mut minute_before) = (0, 0);
        let steps = self.times.iter().map(|t| t - std::mem::replace(&mut before, *t)).collect();
        let minutes = self.minutes.iter().map(|(m, count)| (m - std::mem::replace(&mut minute_before, *m), *count)).collect();
        Packed { steps, minutes }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let packed = Packed::deserialize(deserializer)?;
        let mut at: i64 = 0;
        let mut window = Window::default();
        for step in packed.steps.into_iter().take(CAPACITY) {
            at = at.saturating_add(step);
            window.times.push_back(at);
        }
        let mut minute: i64 = 0;
        for (step, count) in packed.minutes.into_iter().take(MINUTES) {
            minute = minute.saturating_add(step);
            window.minutes.push_back((minute, count));
        }
        Ok(window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn counts_equal_those_of_a_list(times in proptest::collection::vec(0i64..2 * HORIZON, 1..200), length in 1i64..HORIZON) {
            let mut window = Window::default();
            let mut newest = 0;
            for t in &times {
                newest = newest.max(*t);
                window.insert(Micros(*t * SECOND));
            }
            let until = newest;
            let from = (until - length).max(newest - HORIZON);
            let expected = times.iter().filter(|t| **t > from && **t <= until).count();
            prop_assert_eq!(window.count(Micros(until * SECOND), length * SECOND), Count { events: u32::try_from(expected).unwrap(), exact: true });
            let back: Window = postcard::from_bytes(&postcard::to_allocvec(&window).unwrap()).unwrap();
            prop_assert_eq!(back, window);
        }
    }

    #[test]
    fn beyond_256_events_the_rest_of_the_day_is_counted_by_the_minute() {
        let mut window = Window::default();
        for i in 0..1_000 {
            window.insert(Micros(i * 20 * SECOND));
        }
        let until = Micros(999 * 20 * SECOND);
        assert_eq!(window.count(until, HORIZON * SECOND), Count { events: 1_000, exact: false });
        assert_eq!(window.count(until, 600 * SECOND), Count { events: 30, exact: true });
        let bytes = postcard::to_allocvec(&window).unwrap().len();
        assert!(bytes <= 1_400, "{bytes} bytes");
    }
}
