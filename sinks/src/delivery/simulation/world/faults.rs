//! What goes wrong around the instances: kills, stops, partitions that go from one to another, a store and a log that are away.

use super::{INSTANCES, World};
use crate::delivery::machine::Moment;
use crate::delivery::simulation::instance::Told;
use crate::delivery::simulation::log::PARTITIONS;

impl World {
    pub(super) fn go_wrong(&mut self) {
        if self.instances.len() < INSTANCES && self.dice.one_in(15) {
            self.start();
        }
        if self.dice.one_in(60) && !self.instances.is_empty() {
            let at = usize::try_from(self.dice.below(self.instances.len() as u64)).unwrap();
            self.counts.kills += 1;
            self.end(at);
            self.instances.remove(at);
        }
        if self.dice.one_in(90)
            && let Some(instance) = self.instances.first_mut()
        {
            instance.machine.stop(self.now);
            self.counts.stops += 1;
        }
        if self.dice.one_in(80) {
            self.store_away_until = self.now + self.dice.millis(20, 500);
            self.note(|| "the store is away".to_owned());
        }
        if self.dice.one_in(120) {
            self.log_away_until = self.now + self.dice.millis(20, 200);
            self.note(|| "the log is away".to_owned());
        }
        if self.dice.one_in(20) {
            self.rebalance();
        }
    }

    /// A partition goes to another instance.
    pub(super) fn rebalance(&mut self) {
        let at = usize::try_from(self.dice.below(u64::from(PARTITIONS))).unwrap();
        let ids: Vec<usize> = self.instances.iter().map(|instance| instance.id).collect();
        let (Some(to), Some(from)) = (self.dice.pick(&ids), self.log.owners[at]) else { return };
        if to == from || self.log.heirs[at].is_some() {
            return;
        }
        let partition = u32::try_from(at).unwrap();
        self.counts.rebalances += 1;
        if self.dice.one_in(3) {
            // Its owner does not hear of it for a while, and goes on.
            self.counts.losses += 1;
            let hears_at = self.now + self.dice.millis(0, 400);
            self.inform(from, hears_at, Told::Revoked(partition));
            self.assign(at, to);
            self.note(|| format!("instance {from} loses partition {partition} without a word"));
        } else {
            self.log.heirs[at] = Some(to);
            let now = self.now;
            self.inform(from, now, Told::Revoked(partition));
            self.note(|| format!("instance {from} is to give partition {partition} to {to}"));
        }
    }

    pub(super) fn assign(&mut self, at: usize, to: usize) {
        let (partition, now) = (u32::try_from(at).unwrap(), self.now);
        self.log.owners[at] = Some(to);
        self.inform(to, now, Told::Assigned(partition));
        self.note(|| format!("partition {partition} is instance {to}'s"));
    }

    pub(super) fn inform(&mut self, id: usize, hears_at: Moment, told: Told) {
        if let Some(instance) = self.instances.iter_mut().find(|instance| instance.id == id) {
            instance.inbox.push_back((hears_at, told));
        }
    }

    /// Gives partitions that nobody owns to somebody.
    pub(super) fn look_after_the_group(&mut self) {
        if self.instances.is_empty() && !self.is_chaos() {
            self.start();
        }
        let ids: Vec<usize> = self.instances.iter().map(|instance| instance.id).collect();
        for at in 0..self.log.owners.len() {
            if self.log.owners[at].is_none() {
                let heir = self.log.heirs[at].take().filter(|heir| ids.contains(heir));
                if let Some(to) = heir.or_else(|| self.dice.pick(&ids)) {
                    self.assign(at, to);
                }
            } else if self.log.heirs[at].is_some_and(|heir| !ids.contains(&heir)) {
                self.log.heirs[at] = self.log.owners[at];
            }
        }
    }
}
