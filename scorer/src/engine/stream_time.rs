//! The stream's own time: the newest plausible event time of a partition.
//!
//! One record of the year 1970 or 2970 moves nothing. Only a run of records that agree with each other makes the
//! stream jump, so that a real gap (a month without data, an import of old data into an empty log) is followed.

use serde::{Deserialize, Serialize};
use wh_schemas::Micros;
use wh_schemas::time::{DAY, HOUR};

/// Further ahead of the stream than this is implausible.
const AHEAD: i64 = 7 * DAY;
/// Further behind the stream than this teaches nothing.
const BEHIND: i64 = 35 * DAY;
/// Behind the stream by more than this is late.
const LATE: i64 = HOUR;
/// No hospital's books are of another time: 2000-01-01 to 2100-01-01. A clock that says so is wrong however many agree with it.
const EVER: std::ops::Range<i64> = 946_684_800_000_000..4_102_444_800_000_000;
/// So many records in a row that are near each other make the stream jump.
const AGREEING: u32 = 8;

/// How a record stands to its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeliness {
    /// Near the stream's time.
    Current,
    /// Behind it by more than an hour: scored with a `late` mark, learnt in its place.
    Late,
    /// So far off that it is scored but moves no window and no baseline.
    Implausible,
}

/// Newest plausible event time, and a candidate for a jump.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamTime {
    newest: Option<i64>,
    candidate: Option<(i64, u32)>,
}

impl StreamTime {
    /// The newest plausible event time, if any record was seen.
    #[must_use]
    pub fn newest(&self) -> Option<Micros> {
        self.newest.map(Micros)
    }

    /// Takes the time of a record in.
    pub fn observe(&mut self, timestamp: Micros) -> Timeliness {
        let at = timestamp.0;
        if !EVER.contains(&at) {
            return Timeliness::Implausible;
        }
        let Some(newest) = self.newest else {
            self.newest = Some(at);
            return Timeliness::Current;
        };
        if at > newest.saturating_add(AHEAD) || at < newest.saturating_sub(BEHIND) {
            let agreeing = match self.candidate {
                Some((near, count)) if at.abs_diff(near) <= AHEAD.unsigned_abs() => count + 1,
                _ => 1,
            };
            self.candidate = Some((at, agreeing));
            if agreeing < AGREEING {
                return Timeliness::Implausible;
            }
            self.candidate = None;
            self.newest = Some(at);
            return Timeliness::Current;
        }
        self.candidate = None;
        if at < newest.saturating_sub(LATE) {
            return Timeliness::Late;
        }
        self.newest = Some(newest.max(at));
        Timeliness::Current
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_record_of_another_century_moves_nothing() {
        let mut time = StreamTime::default();
        let now = 1_700_000_000_000_000;
        assert_eq!(time.observe(Micros(now)), Timeliness::Current);
        assert_eq!(time.observe(Micros(31_000_000_000_000_000)), Timeliness::Implausible);
        assert_eq!(time.observe(Micros(0)), Timeliness::Implausible);
        assert_eq!(time.observe(Micros(now + 1)), Timeliness::Current);
        assert_eq!(time.observe(Micros(now - 2 * HOUR)), Timeliness::Late);
        assert_eq!(time.newest(), Some(Micros(now + 1)));
    }

    #[test]
    fn another_century_is_never_the_streams_own_however_many_agree() {
        let mut time = StreamTime::default();
        let seen: Vec<_> = (0..60).map(|i| time.observe(Micros(31_556_995_200_000_000 + i))).collect();
        assert!(seen.iter().all(|t| *t == Timeliness::Implausible));
        assert_eq!(time.observe(Micros(0)), Timeliness::Implausible);
        assert_eq!(time.observe(Micros(1_700_000_000_000_000)), Timeliness::Current);
        assert_eq!(time.newest(), Some(Micros(1_700_000_000_000_000)));
    }

    #[test]
    fn a_stream_that_begins_with_nonsense_recovers_and_a_real_gap_is_followed() {
        let mut time = StreamTime::default();
        // 2080: none of its kind follows.
        time.observe(Micros(3_471_292_800_000_000));
        let now = 1_700_000_000_000_000;
        let seen: Vec<_> = (0..25).map(|i| time.observe(Micros(now + i))).collect();
        assert_eq!(seen.iter().filter(|t| **t == Timeliness::Implausible).count(), 7);
        assert_eq!(time.newest(), Some(Micros(now + 24)));
    }
}
