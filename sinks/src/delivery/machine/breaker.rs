//! The circuit breaker in front of a store: what keeps many rows from being tried in vain, and a store that comes back from being overrun.
//!
//! Closed, every write may go, behind a wait that grows with each failure. After some failures in a row it opens: what was read is
//! forgotten, and the store is asked where it stands, at growing intervals. Its answer makes it half-open: one small write is tried.
//! What it closes by is rows that became visible. (M. Nygard, Release It!, 2nd ed. 2018, ch. 5.)
//!
//! What must stay true: no more than one try within a wait; only success closes it.

use std::time::Duration;

use wh_eventlog::retry::Backoff;

use super::protocol::Moment;

/// Whether a store is trusted with writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Writes go.
    Closed,
    /// The store is away.
    Open,
    /// It has answered a question; a small write tells whether it is back.
    HalfOpen,
}

/// The breaker of one store.
#[derive(Clone, Debug)]
pub(super) struct Breaker {
    trust: Trust,
    failures: u32,
    opens_after: u32,
    backoff: Backoff,
    not_before: Moment,
}

impl Breaker {
    /// Closed; opens after so many failures in a row.
    pub(super) fn new(opens_after: u32, backoff: Backoff) -> Breaker {
        Breaker { trust: Trust::Closed, failures: 0, opens_after, backoff, not_before: Moment::ZERO }
    }

    pub(super) fn trust(&self) -> Trust {
        self.trust
    }

    /// Failures since rows became visible last.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// When the store may be called again.
    pub(super) fn not_before(&self) -> Moment {
        self.not_before
    }

    /// Whether the store may be called.
    pub(super) fn allows(&self, now: Moment) -> bool {
        now >= self.not_before
    }

    /// Whether nothing speaks against the store.
    pub(super) fn is_well(&self, now: Moment) -> bool {
        self.trust == Trust::Closed && self.allows(now)
    }

    /// A call failed. Returns whether it opened the breaker, which it may have been before it was asked where it stands.
    pub(super) fn failed(&mut self, now: Moment, retry_after: Option<Duration>) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.not_before = now.saturating_add(self.backoff.wait(retry_after));
        let opens = match self.trust {
            Trust::Closed => self.failures >= self.opens_after,
            Trust::HalfOpen => true,
            Trust::Open => false,
        };
        if opens {
            self.trust = Trust::Open;
        }
        opens
    }

    /// The store has said where it stands.
    pub(super) fn answered(&mut self) {
        if self.trust == Trust::Open {
            self.trust = Trust::HalfOpen;
        }
    }

    /// Rows became visible.
    pub(super) fn succeeded(&mut self) {
        self.trust = Trust::Closed;
        self.failures = 0;
        self.not_before = Moment::ZERO;
        self.backoff.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(2);

    fn breaker(opens_after: u32) -> Breaker {
        Breaker::new(opens_after, Backoff::within(FIRST, LONGEST, 7))
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_half_opens_on_an_answer() {
        let (mut breaker, mut now) = (breaker(3), Moment::ZERO);
        assert!(!breaker.failed(now, None) && breaker.trust() == Trust::Closed);
        assert!(!breaker.is_well(now) && !breaker.allows(now), "behind a failure there is a wait");
        now = breaker.not_before();
        assert!(breaker.is_well(now));
        assert!(!breaker.failed(now, None));
        assert!(breaker.failed(now, None) && breaker.trust() == Trust::Open, "the third opens it");
        assert!(!breaker.failed(now, None), "it is open");
        breaker.answered();
        assert_eq!(breaker.trust(), Trust::HalfOpen);
        assert!(breaker.failed(now, None) && breaker.trust() == Trust::Open, "the probe failed");
        breaker.answered();
        breaker.succeeded();
        assert_eq!((breaker.trust(), breaker.failures(), breaker.allows(Moment::ZERO)), (Trust::Closed, 0, true));
    }

    #[test]
    fn an_answer_does_not_close_what_was_never_open() {
        let mut breaker = breaker(2);
        assert!(!breaker.failed(Moment::ZERO, None));
        breaker.answered();
        assert_eq!((breaker.trust(), breaker.failures()), (Trust::Closed, 1));
        assert!(breaker.failed(Moment::ZERO, None), "a store that answers questions and takes no row is away, too");
    }

    proptest! {
        #[test]
        fn waits_are_never_longer_than_the_cap_nor_shorter_than_asked_for(asked in proptest::collection::vec(proptest::option::of(0_u64..5_000), 1..40)) {
            let (mut breaker, mut now) = (breaker(4), Moment::ZERO);
            for asked in asked {
                let asked = asked.map(Duration::from_millis);
                breaker.failed(now, asked);
                let wait = breaker.not_before().saturating_sub(now);
                prop_assert!(wait <= LONGEST.max(asked.unwrap_or_default()) && wait >= asked.unwrap_or_default() && wait >= FIRST / 2, "{wait:?}");
                now = breaker.not_before();
                prop_assert!(breaker.allows(now));
            }
        }
    }
}
