//! Counts of a user's events in sliding windows of event time: exact for the last 256 events, by the minute beyond.
//!
//! Windows are whole seconds long, so times are kept in seconds: counts are those of the windows in whole seconds.
//!
//! What must stay true: what is forgotten is forgotten by a time that is certain, not by the time of the row that comes in; a row that is
//! dated ahead stands in its place and takes nothing with it.

use std::collections::VecDeque;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wh_schemas::Micros;
use wh_schemas::time::SECOND;

use super::encoded::{length, signed, varint};
use super::user::sound::is_second;

/// Events whose times are kept.
pub const CAPACITY: usize = 256;
/// Minutes that are kept of older events of the day; with more, neighbours become one.
pub const MINUTES: usize = 300;
/// Events older than this are forgotten: a day, in seconds.
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
    /// Takes an event in, wherever its time falls; what lies a day behind `now`, a time that is certain, is forgotten.
    pub fn insert(&mut self, timestamp: Micros, now: Micros) {
        let at = timestamp.0.div_euclid(SECOND);
        let kept_from = now.0.div_euclid(SECOND) - HORIZON;
        while self.times.front().is_some_and(|first| *first <= kept_from) {
            self.times.pop_front();
        }
        while self.minutes.front().is_some_and(|(minute, _)| minute * 60 <= kept_from) {
            self.minutes.pop_front();
        }
        if at <= kept_from {
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
        self.coarsen(MINUTES);
    }

    /// Forgets what lies after a time: the clock that said so was wrong.
    pub(super) fn take_back(&mut self, at: i64) {
        let at = at.div_euclid(SECOND);
        self.times.truncate(self.times.partition_point(|t| *t <= at));
        self.minutes.truncate(self.minutes.partition_point(|(minute, _)| minute * 60 <= at));
    }

    /// Counts older events by longer spans, where there are more than `keep` of them: of all neighbours the two that span least become one, at
    /// the later's time; of equals the oldest. Whether it did. The very first stays, so that it leaves the day when it is over. So spans stay
    /// alike, and what leaves the day leaves it late by one span at most.
    pub(super) fn coarsen(&mut self, keep: usize) -> bool {
        if self.minutes.len() <= keep.max(1) {
            return false;
        }
        let minute = |at: usize| self.minutes.get(at).map_or(0, |(minute, _)| *minute);
        let first = usize::from(self.minutes.len() > 2);
        let shortest = (first..self.minutes.len() - 1).min_by_key(|at| minute(at + 1) - minute(at.saturating_sub(1)));
        if let Some(at) = shortest
            && let Some((_, count)) = self.minutes.remove(at)
            && let Some((_, later)) = self.minutes.get_mut(at)
        {
            *later = later.saturating_add(count);
        }
        true
    }

    /// Forgets the oldest event whose time is kept, where there are more than `keep`: whether it did.
    pub(super) fn forget_oldest(&mut self, keep: usize) -> bool {
        self.times.len() > keep && self.times.pop_front().is_some()
    }

    /// Whether the engine can go on with what was decoded: times that there are, in their order.
    pub(super) fn is_sound(&self) -> bool {
        let times = self.times.iter().is_sorted() && self.times.iter().all(|at| is_second(*at));
        let minutes = self.minutes.iter().is_sorted_by(|(one, _), (next, _)| one < next);
        times && minutes && self.minutes.iter().all(|(minute, _)| minute.checked_mul(60).is_some_and(is_second))
    }

    /// Bytes when serialised.
    pub(super) fn bytes(&self) -> usize {
        let (mut before, mut minute_before) = (0, 0);
        let times: usize = self.times.iter().map(|t| signed(t - std::mem::replace(&mut before, *t))).sum();
        let minutes: usize = self.minutes.iter().map(|(m, count)| signed(m - std::mem::replace(&mut minute_before, *m)) + varint((*count).into())).sum();
        length(self.times.len()) + times + length(self.minutes.len()) + minutes
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
        if packed.steps.len() > CAPACITY || packed.minutes.len() > MINUTES {
            return Err(D::Error::custom("more times than are kept"));
        }
        let mut at: i64 = 0;
        let mut window = Window::default();
        for step in packed.steps {
            at = at.saturating_add(step);
            window.times.push_back(at);
        }
        let mut minute: i64 = 0;
        for (step, count) in packed.minutes {
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
                window.insert(Micros(*t * SECOND), Micros(newest * SECOND));
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
            window.insert(Micros(i * 20 * SECOND), Micros(i * 20 * SECOND));
        }
        let until = Micros(999 * 20 * SECOND);
        assert_eq!(window.count(until, HORIZON * SECOND), Count { events: 1_000, exact: false });
        assert_eq!(window.count(until, 600 * SECOND), Count { events: 30, exact: true });
        let bytes = postcard::to_allocvec(&window).unwrap().len();
        assert!(bytes <= 1_400, "{bytes} bytes");
        assert_eq!(bytes, window.bytes());
        while window.coarsen(64) {}
        assert_eq!(window.minutes.len(), 64);
        assert_eq!(window.count(until, HORIZON * SECOND), Count { events: 1_000, exact: false });
        assert_eq!(window.count(until, 600 * SECOND), Count { events: 30, exact: true });
        assert!(window.bytes() + 300 < bytes, "{} bytes", window.bytes());
    }

    #[test]
    fn who_never_rests_is_counted_by_the_day_all_the_same() {
        for keep in [MINUTES, 64] {
            let mut window = Window::default();
            for minute in 0..5_000 {
                let at = Micros(minute * 60 * SECOND);
                window.insert(at, at);
                while window.coarsen(keep) {}
                if minute > 1_500 {
                    let count = window.count(at, HORIZON * SECOND).events;
                    assert!((1_439..=1_520).contains(&count), "minute {minute}: {count}");
                }
            }
        }
    }

    #[test]
    fn an_event_that_is_dated_ahead_takes_nothing_with_it() {
        let (mut plain, mut ahead) = (Window::default(), Window::default());
        for i in 0..100 {
            let at = Micros(i * 600 * SECOND);
            for window in [&mut plain, &mut ahead] {
                window.insert(at, at);
            }
            if i == 40 {
                ahead.insert(Micros((i * 600 + 6 * HORIZON) * SECOND), at);
            }
            for length in [600, 3_600, HORIZON] {
                assert_eq!(plain.count(at, length * SECOND), ahead.count(at, length * SECOND), "row {i}");
            }
        }
        ahead.take_back(99 * 600 * SECOND);
        assert_eq!(plain, ahead);
    }
}
