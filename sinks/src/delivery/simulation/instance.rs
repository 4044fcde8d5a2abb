//! One instance: the machine, its client of the store, its member of the group, and what the real runner does between them.

use std::collections::{BTreeMap, VecDeque};

use wh_eventlog::{Assignment, Event, Fetched};

use super::dice::Dice;
use super::log::{Log, TOPIC};
use super::store::{Client, Kind};
use crate::delivery::machine::{Answer, Limits, Machine, Moment, Order, Task, Ticket};

/// A call of the store that is under way.
pub(super) struct Pending {
    pub(super) ticket: Ticket,
    pub(super) task: Task,
    /// Which reply is waited for.
    pub(super) nonce: u64,
    pub(super) deadline: Moment,
}

/// What the group tells a member.
pub(super) enum Told {
    Assigned(u32),
    Revoked(u32),
}

/// Where a member reads a partition on.
#[derive(Default)]
struct Reading {
    next: u64,
    paused: bool,
}

pub(super) struct Instance {
    pub(super) id: usize,
    pub(super) machine: Machine,
    pub(super) client: Client,
    pub(super) pending: Option<Pending>,
    /// Answers that come once more, or long after their time.
    pub(super) late: Vec<(Ticket, Answer)>,
    /// With the time before which the member does not hear of it.
    pub(super) inbox: VecDeque<(Moment, Told)>,
    /// Given up by the next poll.
    leaving: Vec<u32>,
    reading: BTreeMap<u32, Reading>,
}

impl Instance {
    pub(super) fn new(id: usize, kind: Kind, limits: Limits, seed: u64) -> Instance {
        let machine = Machine::new("ledger", limits, seed);
        Instance { id, machine, client: Client::new(kind), pending: None, late: Vec::new(), inbox: VecDeque::new(), leaving: Vec::new(), reading: BTreeMap::new() }
    }

    /// Does as the machine says.
    pub(super) fn obey(&mut self) {
        for order in self.machine.orders() {
            match order {
                Order::Seek((_, partition), offset) => {
                    if let Some(reading) = self.reading.get_mut(&partition) {
                        reading.next = offset;
                    }
                }
                Order::Pause((_, partition), paused) => {
                    if let Some(reading) = self.reading.get_mut(&partition) {
                        reading.paused = paused;
                    }
                }
                Order::Placed(..) | Order::Visible(..) | Order::Left(_) => {}
            }
        }
    }

    /// What a poll brings.
    pub(super) fn poll(&mut self, log: &mut Log, dice: &mut Dice, now: Moment) -> Event {
        for partition in std::mem::take(&mut self.leaving) {
            self.give_up(partition, log);
        }
        while self.inbox.front().is_some_and(|(not_before, _)| *not_before <= now) {
            match self.inbox.pop_front() {
                Some((_, Told::Assigned(partition))) if log.owners[partition as usize] == Some(self.id) => {
                    let committed = log.committed.get(&partition).map(|offset| (*offset, String::new()));
                    self.reading.insert(partition, Reading { next: committed.as_ref().map_or(0, |(offset, _)| *offset), paused: false });
                    return Event::Assigned { epoch: 0, partitions: vec![Assignment { topic: TOPIC.into(), partition, committed }] };
                }
                Some((_, Told::Revoked(partition))) if self.reading.contains_key(&partition) => {
                    self.leaving.push(partition);
                    return Event::Revoked { partitions: vec![(TOPIC.into(), partition)] };
                }
                // One that was another's before it was heard of: nothing of it is to be settled.
                Some((_, Told::Revoked(partition))) => self.give_up(partition, log),
                _ => {}
            }
        }
        let open: Vec<u32> =
            self.reading.iter().filter(|(partition, reading)| !reading.paused && reading.next < log.bounds(**partition).end).map(|(partition, _)| *partition).collect();
        let Some(partition) = dice.pick(&open) else { return Event::Idle };
        let Some(reading) = self.reading.get_mut(&partition) else { return Event::Idle };
        let records = log.fetch(partition, reading.next, usize::try_from(1 + dice.below(12)).unwrap());
        reading.next = records.last().map_or(reading.next, |record| record.offset + 1);
        Event::Records(Fetched { topic: TOPIC.into(), partition, records })
    }

    /// A partition that is still this member's is its heir's, who is told by whoever looks after the group.
    fn give_up(&mut self, partition: u32, log: &mut Log) {
        self.reading.remove(&partition);
        let at = partition as usize;
        if log.owners[at] == Some(self.id) && log.heirs[at].is_some() {
            log.owners[at] = None;
        }
    }

    /// Tells the machine what a poll brought.
    pub(super) fn tell(&mut self, event: Event, now: Moment) {
        match event {
            Event::Assigned { partitions, .. } => self.machine.assigned(partitions),
            Event::Revoked { partitions } => self.machine.revoked(&partitions, now),
            Event::Records(fetched) => self.machine.took(fetched, now),
            Event::Idle => {}
        }
    }
}
