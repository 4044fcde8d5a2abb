//! How partitions are handed over, and how a sink stops: what was begun is settled, as far as time allows. Pure.
//!
//! What must stay true: until it ends the log is not polled, since the poll is what gives the partitions away; it ends in time whatever the
//! store does; what is not settled then is the next owner's.

use super::protocol::{Action, Moment, Place};
use super::{Burial, Call, Machine};

/// A hand-over or a stop that is going on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    until: Moment,
    /// Whether the sink stops; nothing that waits is begun then.
    stops: bool,
    /// Whether it was tried to make visible what is written.
    published: bool,
    /// Whether it was tried to commit.
    committed: bool,
}

impl Machine {
    /// Partitions go to another member. What was read of them is written, if that can be done soon; the log must not be polled before.
    pub fn revoked(&mut self, places: &[Place], now: Moment) {
        let mut any = false;
        for place in places {
            if let Some(partition) = self.partitions.get_mut(place) {
                partition.leaving = true;
                any = true;
            }
        }
        if any && self.ending.is_none() {
            self.ending = Some(Ending { until: now + self.limits.drain, stops: false, published: false, committed: false });
        }
    }

    /// Settles what was begun, and ends.
    pub fn stop(&mut self, now: Moment) {
        if self.ending.is_none_or(|ending| !ending.stops) {
            self.ending = Some(Ending { until: now + self.limits.stop, stops: true, published: false, committed: false });
        }
    }

    pub(super) fn next_of_ending(&mut self, now: Moment) -> Option<Action> {
        let ending = self.ending?;
        if now < ending.until && self.has_to_settle(ending, now) {
            if self.call.is_some() {
                return Some(Action::Await(ending.until - now));
            }
            if !ending.stops
                && let Some(action) = self.settle_leaving(now)
            {
                return Some(action);
            }
            if !ending.published && !self.unpublished.is_empty() {
                self.ending = Some(Ending { published: true, ..ending });
                return Some(self.publish());
            }
        }
        if !ending.committed && !self.commits.is_empty() {
            self.ending = Some(Ending { committed: true, ..ending });
            return Some(self.commit(now));
        }
        if ending.stops {
            return Some(Action::End);
        }
        self.ending = None;
        let leaving: Vec<Place> = self.partitions.iter().filter(|(_, partition)| partition.leaving).map(|(place, _)| place.clone()).collect();
        for place in &leaving {
            self.forget(place);
        }
        None
    }

    /// What is read of partitions that leave, while nothing speaks against the store.
    fn settle_leaving(&mut self, now: Moment) -> Option<Action> {
        if !self.breaker.is_well(now) {
            return None;
        }
        if self.burial.as_ref().is_some_and(|burial| self.leaves(&burial.place)) {
            return self.bury(now);
        }
        if self.is_to_be_placed() || self.is_to_be_bound() { None } else { self.write(now, true) }
    }

    /// Whether anything is worth waiting for.
    fn has_to_settle(&self, ending: Ending, now: Moment) -> bool {
        let concerns = |place: &Place| ending.stops || self.leaves(place);
        let under_way = match &self.call {
            Some((_, Call::Write { place, epoch, .. } | Call::Bury(Burial { place, epoch, .. }))) => concerns(place) && self.is_current(place, *epoch),
            Some((_, Call::Publish)) => true,
            _ => false,
        };
        let unpublished = !(ending.published && self.call.is_none()) && self.unpublished.keys().any(concerns);
        let waiting = !ending.stops && self.breaker.is_well(now) && self.partitions.values().any(|partition| partition.leaving && partition.has_waiting());
        under_way || unpublished || waiting || self.burial.as_ref().is_some_and(|burial| !ending.stops && self.leaves(&burial.place))
    }

    fn leaves(&self, place: &Place) -> bool {
        self.partitions.get(place).is_some_and(|partition| partition.leaving)
    }
}
