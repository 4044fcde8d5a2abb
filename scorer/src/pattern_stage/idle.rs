//! Which partitions of the scorer have nothing before them, so that they need not be waited for.
//!
//! A partition whose users do nothing would hold the watermark back for ever, and with it every pattern. But a scorer that is merely down,
//! or slow, holds it back rightly: what it will bring is earlier than what the others have brought, and a pattern must not depend on who
//! was killed when. The log tells the two apart: nothing is before a partition when intake has read all that the sources had sent, when
//! nothing came of it for this partition, when its scorer has settled all that did, and when the stage has taken all of that.
//!
//! What must stay true: a partition is let go only where all of this held at each look for the whole time, and is waited for again as soon as
//! it does not; where the log could not be asked, nothing is decided. Pure: the time is an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::state::patterns::Decision;

/// Between looks that are further apart than this, anything may have come.
const LONG_AGO: Duration = Duration::from_secs(5);

/// What the log says at one moment, asked in this order: each line is at least as old as the one below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// By partition of `hospital-transactions`: how far intake has settled it.
    pub(super) intake: Vec<u64>,
    /// By partition of `hospital-transactions`: its end.
    pub(super) sources: Vec<u64>,
    /// By partition of `accepted-transactions`: how far the scorer has settled it.
    pub(super) scorer: Vec<u64>,
    /// By partition of `accepted-transactions`: its end.
    pub(super) accepted: Vec<u64>,
    /// End of `account-activity`.
    pub(super) activity: u64,
}

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Idle {
    last: Option<Look>,
    /// When it was.
    at: Duration,
    /// Since when nothing is before a partition.
    since: BTreeMap<usize, Duration>,
}

impl Idle {
    /// Takes a look in. `taken` is the offset of `account-activity` up to which the stage has taken everything, `now` any clock that only
    /// goes on. Says of which partitions it is to be decided anew whether they are awaited.
    pub(super) fn observe(&mut self, now: Duration, look: Look, taken: u64, unawaited: &BTreeSet<u32>, after: Duration) -> Vec<Decision> {
        // Of a look long ago nobody knows what came since and is still on its way: as after one that was not answered.
        if now.saturating_sub(self.at) > (after / 2).min(LONG_AGO) {
            self.interrupt();
        }
        self.at = now;
        let Some(before) = self.last.replace(look) else { return Vec::new() };
        let Some(look) = &self.last else { return Vec::new() };
        // What was there at the look before has passed since: where records come all the time, nobody is ever at the very end.
        let passed = |reached: &[u64], ends: &[u64]| reached.len() == ends.len() && reached.iter().zip(ends).all(|(reached, end)| reached >= end);
        let sources_are_read = passed(&look.intake, &before.sources) && taken >= before.activity;
        let mut decisions = Vec::new();
        for (index, end) in look.accepted.iter().enumerate() {
            let Ok(partition) = u32::try_from(index) else { continue };
            let nothing_came = before.accepted.get(index) == Some(end);
            let all_is_scored = before.scorer.get(index).is_some_and(|settled| settled >= end);
            if sources_are_read && nothing_came && all_is_scored {
                let since = *self.since.entry(index).or_insert(now);
                if now.saturating_sub(since) >= after && !unawaited.contains(&partition) {
                    decisions.push(Decision { partition, awaited: false });
                }
            } else {
                self.since.remove(&index);
                if unawaited.contains(&partition) {
                    decisions.push(Decision { partition, awaited: true });
                }
            }
        }
        decisions
    }

    /// Forgets what was seen: the log could not be asked, and nobody knows what came meanwhile.
    pub(super) fn interrupt(&mut self) {
        *self = Idle::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(5);

    fn quiet() -> Look {
        Look { intake: vec![10, 20], sources: vec![10, 20], scorer: vec![7, 8, 0], accepted: vec![7, 8, 0], activity: 15 }
    }

    fn told(decisions: &[Decision]) -> Vec<(u32, bool)> {
        decisions.iter().map(|decision| (decision.partition, decision.awaited)).collect()
    }

    /// Looks once a second; gives what was decided at each.
    fn watch(looks: &[(Look, u64)], mut unawaited: BTreeSet<u32>) -> Vec<Vec<(u32, bool)>> {
        let mut idle = Idle::default();
        let look = |(second, (look, taken)): (u64, &(Look, u64))| {
            let decisions = idle.observe(Duration::from_secs(second), look.clone(), *taken, &unawaited, AFTER);
            for decision in &decisions {
                if decision.awaited {
                    unawaited.remove(&decision.partition)
                } else {
                    unawaited.insert(decision.partition)
                };
            }
            told(&decisions)
        };
        (0..).zip(looks).map(look).collect()
    }

    #[test]
    fn partitions_with_nothing_before_them_are_let_go_after_a_while() {
        let decided = watch(&vec![(quiet(), 15); 9], BTreeSet::new());
        // The first look has none before it; it counts from the second on.
        assert!(decided[..6].iter().all(Vec::is_empty), "{decided:?}");
        assert_eq!(decided[6], [(0, false), (1, false), (2, false)]);
        assert!(decided[7..].iter().all(Vec::is_empty), "decided once: {decided:?}");
    }

    #[test]
    fn a_scorer_that_is_down_holds_its_own_partition_back_and_no_other() {
        let down = Look { scorer: vec![7, 5, 0], ..quiet() };
        let decided = watch(&vec![(down, 15); 20], BTreeSet::new()).concat();
        assert_eq!(decided, [(0, false), (2, false)]);
    }

    #[test]
    fn an_intake_that_is_down_and_a_stage_that_is_behind_hold_all_back() {
        let down = Look { intake: vec![10, 19], ..quiet() };
        assert!(watch(&vec![(down, 15); 20], BTreeSet::new()).concat().is_empty());
        assert!(watch(&vec![(quiet(), 14); 20], BTreeSet::new()).concat().is_empty());
        let unknown = Look { intake: vec![10], ..quiet() };
        assert!(watch(&vec![(unknown, 15); 20], BTreeSet::new()).concat().is_empty(), "intake has never said where it is in one partition");
    }

    #[test]
    fn a_look_that_is_long_ago_says_nothing() {
        let mut idle = Idle::default();
        let mut observe = |second, look: Look| idle.observe(Duration::from_secs(second), look, 15, &BTreeSet::new(), AFTER);
        assert!((0..3).all(|second| observe(second, quiet()).is_empty()));
        // Meanwhile the stage was held up, intake was down, and records came that it has yet to read.
        let behind = Look { sources: vec![10, 29], ..quiet() };
        assert_eq!(observe(40, behind.clone()), []);
        assert_eq!(observe(41, behind), []);
        assert!((42..48).all(|second| observe(second, quiet()).is_empty()));
        assert_eq!(observe(48, quiet()).len(), 3);
    }

    #[test]
    fn a_partition_that_gets_a_record_is_awaited_again() {
        let mut looks = vec![(quiet(), 15); 7];
        looks.push((Look { accepted: vec![7, 9, 0], ..quiet() }, 15));
        looks.extend(vec![(Look { scorer: vec![7, 9, 0], accepted: vec![7, 9, 0], activity: 16, ..quiet() }, 16); 9]);
        let decided = watch(&looks, BTreeSet::new());
        assert_eq!(decided[7], [(1, true)]);
        assert_eq!(decided[8..].concat(), [(1, false)], "and let go anew, after the whole time");
        assert!(decided[8..13].iter().all(Vec::is_empty), "{decided:?}");
    }

    #[test]
    fn traffic_of_others_does_not_keep_a_quiet_partition() {
        let looks: Vec<(Look, u64)> = (0..10)
            .map(|n| {
                // Intake is always a little behind the end, and so is the stage; both have passed what was there a look ago.
                let look = Look { intake: vec![10 + n, 20], sources: vec![11 + n, 20], scorer: vec![7 + n, 8, 0], accepted: vec![8 + n, 8, 0], activity: 16 + n };
                (look, 15 + n)
            })
            .collect();
        assert_eq!(watch(&looks, BTreeSet::new()).concat(), [(1, false), (2, false)]);
    }

    #[test]
    fn a_log_that_could_not_be_asked_begins_the_time_anew() {
        let mut idle = Idle::default();
        let at = |second, idle: &mut Idle| idle.observe(Duration::from_secs(second), quiet(), 15, &BTreeSet::new(), AFTER);
        for second in 0..6 {
            assert!(at(second, &mut idle).is_empty());
        }
        idle.interrupt();
        for second in 6..12 {
            assert!(at(second, &mut idle).is_empty(), "{second}");
        }
        assert_eq!(at(12, &mut idle).len(), 3);
    }
}
