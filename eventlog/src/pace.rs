//! When a member gives out records: in rounds over its partitions, at most so often.
//!
//! Each hand-over costs its receiver a write, an acknowledgement, a commit, however little is in it. Under a steady stream records come one by one;
//! a member with a pace lets them gather.
//!
//! What must stay true: what comes behind a silence waits for an instant at most ([`EMPTY`]); within a round each partition has one turn at most; whoever has a full
//! fetch does not ask the pace.

use std::time::Duration;

use tokio::time::Instant;

/// Shortest time between two looks that find nothing, where there is a pace.
const EMPTY: Duration = Duration::from_millis(5);

/// The rounds of one member. Without a pace they follow each other at once.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    every: Duration,
    /// When the next round may begin; at once where `None`.
    next: Option<Instant>,
    /// Turns that are left in the round under way.
    left: usize,
    /// Whether that round has given something.
    gave: bool,
}

impl Pace {
    /// At most one round begins in this time.
    pub(crate) fn set(&mut self, every: Duration) {
        self.every = every;
    }

    /// When the next round may begin; `None` where one is under way, or may begin now.
    pub(crate) fn holds_until(&self, now: Instant) -> Option<Instant> {
        self.next.filter(|next| self.left == 0 && *next > now)
    }

    /// Begins a round of so many turns, unless one is under way.
    pub(crate) fn begin(&mut self, turns: usize, now: Instant) {
        if self.left == 0 && turns > 0 {
            self.left = turns;
            self.gave = false;
            self.next = Some(now + self.every);
        }
    }

    /// Whether a round is under way that has given something: those who had their turn may have more.
    pub(crate) fn is_half_given(&self) -> bool {
        self.left > 0 && self.gave
    }

    /// Turns that are left.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// Turns were taken, the last of which gave something.
    pub(crate) fn gave(&mut self, turns: usize) {
        self.left = self.left.saturating_sub(turns);
        self.gave = true;
    }

    /// Nothing is left to give: the round is over. One that gave nothing is no reason to wait.
    pub(crate) fn end(&mut self, now: Instant) {
        self.left = 0;
        if !self.gave {
            self.next = Some(now + self.every.min(EMPTY));
        }
    }

    /// More waits than was given: the next round may begin at once.
    pub(crate) fn hurry(&mut self) {
        self.next = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn paced(every: Duration) -> (Pace, Instant) {
        let mut pace = Pace::default();
        pace.set(every);
        (pace, Instant::now())
    }

    #[test]
    fn each_partition_has_a_turn_and_then_the_pace_holds() {
        let (mut pace, now) = paced(25 * MS);
        assert_eq!(pace.holds_until(now), None, "what comes first waits for nothing");
        pace.begin(3, now);
        for left in [2, 1, 0] {
            assert_eq!(pace.holds_until(now + MS), None, "the round is under way");
            pace.begin(3, now + MS);
            pace.gave(1);
            assert_eq!((pace.left(), pace.is_half_given()), (left, left > 0));
        }
        assert_eq!(pace.holds_until(now + 2 * MS), Some(now + 25 * MS));
        assert_eq!(pace.holds_until(now + 25 * MS), None);
        pace.begin(2, now + 60 * MS);
        pace.gave(1);
        pace.end(now + 61 * MS);
        assert_eq!(pace.holds_until(now + 61 * MS), Some(now + 85 * MS), "it counts from the round's beginning");
    }

    #[test]
    fn a_round_that_gave_nothing_holds_for_an_instant_and_a_full_one_not_at_all() {
        let (mut pace, now) = paced(25 * MS);
        pace.begin(3, now);
        pace.end(now + MS);
        assert_eq!(pace.holds_until(now + MS), Some(now + 6 * MS));
        pace.begin(3, now + 6 * MS);
        pace.gave(3);
        pace.hurry();
        assert_eq!(pace.holds_until(now + 6 * MS), None);
    }

    #[test]
    fn without_a_pace_nothing_is_held() {
        let (mut pace, now) = paced(Duration::ZERO);
        pace.begin(0, now);
        assert_eq!(pace.left(), 0);
        for gives in [true, false] {
            pace.begin(1, now);
            if gives {
                pace.gave(1);
            }
            pace.end(now);
            assert_eq!(pace.holds_until(now), None);
        }
    }
}
