//! The stream's own time: the newest event time of a partition that more than one row speaks for.
//!
//! One record of the year 1970 or 2970 moves nothing. Only a run of records that agree with each other makes the
//! stream jump, so that a real gap (a month without data, an import of old data into an empty log) is followed.
//! Within what is plausible, a record more than a day ahead waits for company: it counts once the next one, of another user, has come as
//! far, or the same user has gone on for an hour from there. After a quiet weekend that is the second row of Monday; a row that somebody
//! post-dated by six days never is, because the ordinary rows go on behind it.
//!
//! What must stay true: one record moves the stream by a day at most; what was ahead and stayed alone is forgotten by the next ordinary one.

use serde::{Deserialize, Serialize};
use wh_schemas::time::{DAY, HOUR};
use wh_schemas::{Micros, ids};

/// Further ahead of the stream than this is implausible.
const AHEAD: i64 = 7 * DAY;
/// Further behind the stream than this teaches nothing.
const BEHIND: i64 = 35 * DAY;
/// Further ahead of the stream than this, one record alone is not believed.
pub(super) const CERTAIN: i64 = DAY;
/// A user alone confirms their own time by going on for so long.
const GOES_ON: i64 = HOUR;
/// Behind the stream by more than this is late.
const LATE: i64 = HOUR;
/// No hospital's books are of another time: 2000-01-01 to 2100-01-01. A clock that says so is wrong however many agree with it.
const EVER: std::ops::Range<i64> = 946_684_800_000_000..4_102_444_800_000_000;
/// So many records in a row that are near each other make the stream jump.
const AGREEING: u32 = 8;

/// How a record stands to its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeliness {
    /// Near the stream's time, or ahead of it by days at most.
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
    /// The earliest time of the last records that were ahead, and whose they are; `newest` itself while the first record stands alone.
    #[serde(default)]
    ahead: Option<(i64, u32)>,
}

impl StreamTime {
    /// The newest plausible event time, if any record was seen.
    #[must_use]
    pub fn newest(&self) -> Option<Micros> {
        self.newest.map(Micros)
    }

    /// Whether a record of this time may still move what was learnt: not another century's, not older than what teaches, not of days to come.
    #[must_use]
    pub fn is_plausible(&self, timestamp: Micros) -> bool {
        let at = timestamp.0;
        EVER.contains(&at) && self.newest.is_none_or(|newest| (newest.saturating_sub(BEHIND)..=newest.saturating_add(CERTAIN)).contains(&at))
    }

    /// Takes the time of a user's record in.
    pub fn observe(&mut self, timestamp: Micros, user_id: &str) -> Timeliness {
        let at = timestamp.0;
        if !EVER.contains(&at) {
            return Timeliness::Implausible;
        }
        let Some(newest) = self.newest else {
            self.newest = Some(at);
            self.ahead = Some((at, user(user_id)));
            return Timeliness::Current;
        };
        let furthest = self.ahead.map_or(newest, |(ahead, _)| ahead.max(newest));
        if at > furthest.saturating_add(AHEAD) || at < newest.saturating_sub(BEHIND) {
            let agreeing = match self.candidate {
                Some((near, count)) if at.abs_diff(near) <= AHEAD.unsigned_abs() => count + 1,
                _ => 1,
            };
            self.candidate = Some((at, agreeing));
            if agreeing < AGREEING {
                return Timeliness::Implausible;
            }
            *self = StreamTime { newest: Some(at), candidate: None, ahead: None };
            return Timeliness::Current;
        }
        self.candidate = None;
        if at < newest.saturating_sub(LATE) {
            if self.ahead.is_some_and(|(ahead, _)| ahead == newest) {
                if at < newest.saturating_sub(CERTAIN) {
                    // The first record stands alone: the stream begins here, and that one is ahead of it.
                    self.newest = Some(at);
                    return Timeliness::Current;
                }
                self.ahead = None;
            }
            return Timeliness::Late;
        }
        if at > newest.saturating_add(CERTAIN) {
            self.wait(newest, at, user(user_id));
        } else {
            self.newest = Some(newest.max(at));
            self.ahead = None;
        }
        Timeliness::Current
    }

    /// Takes in a time that is ahead: what it confirms, and whether it waits for company itself.
    fn wait(&mut self, newest: i64, at: i64, user: u32) {
        // The first record, while it stands alone, is not ahead of itself.
        let before = self.ahead.filter(|(ahead, _)| *ahead > newest);
        let Some((ahead, whose)) = before else {
            self.ahead = Some((at, user));
            return;
        };
        if whose == user && at < ahead.saturating_add(GOES_ON) {
            self.ahead = Some((ahead.min(at), user));
            return;
        }
        let confirmed = ahead.min(at);
        let near = at <= confirmed.saturating_add(CERTAIN);
        self.newest = Some(if near { at.max(confirmed) } else { confirmed });
        self.ahead = (!near).then_some((at, user));
    }
}

/// What a user is told from another by.
fn user(user_id: &str) -> u32 {
    ids::murmur2(user_id.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000_000;

    #[test]
    fn one_record_of_another_century_moves_nothing() {
        let mut time = StreamTime::default();
        assert_eq!(time.observe(Micros(NOW), "a"), Timeliness::Current);
        assert_eq!(time.observe(Micros(31_000_000_000_000_000), "a"), Timeliness::Implausible);
        assert_eq!(time.observe(Micros(0), "a"), Timeliness::Implausible);
        assert_eq!(time.observe(Micros(NOW + 1), "a"), Timeliness::Current);
        assert_eq!(time.observe(Micros(NOW - 2 * HOUR), "a"), Timeliness::Late);
        assert_eq!(time.newest(), Some(Micros(NOW + 1)));
    }

    #[test]
    fn another_century_is_never_the_streams_own_however_many_agree() {
        let mut time = StreamTime::default();
        let seen: Vec<_> = (0..60).map(|i| time.observe(Micros(31_556_995_200_000_000 + i), "a")).collect();
        assert!(seen.iter().all(|t| *t == Timeliness::Implausible));
        assert_eq!(time.observe(Micros(0), "a"), Timeliness::Implausible);
        assert_eq!(time.observe(Micros(NOW), "a"), Timeliness::Current);
        assert_eq!(time.newest(), Some(Micros(NOW)));
    }

    #[test]
    fn a_stream_that_begins_with_nonsense_recovers_and_a_real_gap_is_followed() {
        let mut time = StreamTime::default();
        // 2080: none of its kind follows.
        time.observe(Micros(3_471_292_800_000_000), "a");
        let seen: Vec<_> = (0..25).map(|i| time.observe(Micros(NOW + i), "a")).collect();
        assert_eq!(seen.iter().filter(|t| **t == Timeliness::Implausible).count(), 7);
        assert_eq!(time.newest(), Some(Micros(NOW + 24)));
    }

    #[test]
    fn rows_that_are_post_dated_one_by_one_move_nothing() {
        for users in [&["a"][..], &["a", "b", "c"]] {
            let mut time = StreamTime::default();
            for (i, user) in (0..200).zip(users.iter().cycle()) {
                let now = NOW + i * HOUR / 4;
                assert_eq!(time.observe(Micros(now), user), Timeliness::Current);
                assert_eq!(time.newest(), Some(Micros(now)));
                if i % 9 == 5 {
                    assert_eq!(time.observe(Micros(now + (1 + i % 6) * DAY + HOUR), user), Timeliness::Current);
                    assert_eq!(time.newest(), Some(Micros(now)));
                }
            }
        }
    }

    #[test]
    fn a_batch_that_one_user_post_dates_moves_nothing() {
        let mut time = StreamTime::default();
        for i in 0..10 {
            time.observe(Micros(NOW + i), ["a", "b"][usize::try_from(i % 2).unwrap()]);
        }
        for i in 0..500 {
            time.observe(Micros(NOW + 5 * DAY + i * 1_000_000), "a");
        }
        assert_eq!(time.newest(), Some(Micros(NOW + 9)));
        assert_eq!(time.observe(Micros(NOW + HOUR), "b"), Timeliness::Current);
        assert_eq!(time.newest(), Some(Micros(NOW + HOUR)));
    }

    #[test]
    fn a_quiet_weekend_is_over_with_the_second_user_or_with_an_hour_of_the_first() {
        let monday = NOW + 3 * DAY;
        let mut two = StreamTime::default();
        two.observe(Micros(NOW), "a");
        two.observe(Micros(monday), "a");
        assert_eq!(two.newest(), Some(Micros(NOW)));
        two.observe(Micros(monday + 1), "b");
        assert_eq!(two.newest(), Some(Micros(monday + 1)));
        let mut one = StreamTime::default();
        one.observe(Micros(NOW), "a");
        for quarter in 0..5 {
            one.observe(Micros(monday + quarter * HOUR / 4), "a");
        }
        assert_eq!(one.newest(), Some(Micros(monday + HOUR)));
        // Every third day a row: the stream follows one row behind.
        let mut seldom = StreamTime::default();
        for i in 0..50 {
            assert_eq!(seldom.observe(Micros(NOW + i * 3 * DAY), "a"), Timeliness::Current);
            assert_eq!(seldom.newest(), Some(Micros(NOW + (i - 1).max(0) * 3 * DAY)));
        }
        // A user whose row is ahead does not carry another's with it.
        let mut both = StreamTime::default();
        both.observe(Micros(NOW), "a");
        both.observe(Micros(NOW + 6 * DAY), "a");
        both.observe(Micros(monday), "b");
        assert_eq!(both.newest(), Some(Micros(monday)));
    }

    #[test]
    fn a_first_row_that_was_post_dated_gives_way_to_the_next() {
        let mut time = StreamTime::default();
        time.observe(Micros(NOW + 6 * DAY), "a");
        assert_eq!(time.observe(Micros(NOW), "a"), Timeliness::Current);
        assert_eq!(time.newest(), Some(Micros(NOW)));
        assert_eq!(time.observe(Micros(NOW + HOUR), "a"), Timeliness::Current);
        assert_eq!(time.newest(), Some(Micros(NOW + HOUR)));
        assert!(time.is_plausible(Micros(NOW)) && !time.is_plausible(Micros(NOW + 6 * DAY)) && !time.is_plausible(Micros(NOW - 40 * DAY)) && !time.is_plausible(Micros(0)));
    }
}
