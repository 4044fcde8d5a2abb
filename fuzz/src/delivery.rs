//! What happens to the delivery machine, event by event, played against a model of log, group, store and dead letters that looks at each row.
//!
//! Holds: a position is committed only past rows that can be read in the store or are in the dead letters; no row is written that is not ours, or before
//! the one in front of it; a dead letter is a row that the store refuses, and no other; a stop ends in time; and once nothing fails any more, all is
//! settled before long.

mod rows;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use wh_eventlog::{Assignment, Bytes, Commit, Fetched, Stored};
use wh_schemas::Reaction;
use wh_sinks::delivery::machine::{Action, Answer, Limits, Machine, Moment, Order, Task, Ticket};

use self::rows::{Held, Nature, Seen};
use super::choices::Choices;

const TOPIC: &str = "risk-scores";
const PARTITIONS: u8 = 3;
/// Events that one input may hold.
const EVENTS: usize = 400;
/// How long everything may take to settle once nothing fails any more.
const CALM: Duration = Duration::from_secs(30);

/// A machine, and everything around it.
struct Model {
    machine: Machine,
    now: Moment,
    seen: BTreeMap<u32, Seen>,
    pending: Option<(Ticket, Task)>,
    /// Tickets that nobody waits for any more.
    over: Vec<Ticket>,
    letters: BTreeSet<(u32, u64)>,
    /// Whether the store keeps the log's mark.
    bound: bool,
    /// What becomes of the next commit: whether it takes effect, whether that is told.
    next_commit: (bool, bool),
    polls: bool,
    ended: bool,
}

/// Takes the bytes as events.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let (seed, stops) = (choices.byte(), choices.below(4) == 0);
    let mut model = Model::new(seed.into());
    for _ in 0..EVENTS {
        if choices.is_empty() {
            break;
        }
        model.event(&mut choices);
    }
    if stops { model.stop() } else { model.settle() }
}

fn limits() -> Limits {
    Limits {
        batch_rows: 5,
        batch_bytes: 300,
        batch_age: Duration::from_millis(10),
        memory_bytes: 1_400,
        drain: Duration::from_millis(300),
        stop: Duration::from_millis(250),
        retry_longest: Duration::from_millis(200),
        opens_after: 3,
        probe_rows: 2,
        retain_every: Some(Duration::from_millis(700)),
        retain_again: Duration::from_millis(100),
        ..Limits::default()
    }
}

fn record(offset: u64) -> Stored {
    Stored { offset, append_time: 0, key: None, value: Bytes::from_static(b"value"), headers: Vec::new() }
}

fn away() -> Reaction {
    Reaction::transient("away")
}

impl Model {
    fn new(seed: u64) -> Model {
        Model {
            machine: Machine::new("ledger", limits(), seed),
            now: Moment::ZERO,
            seen: (0..u32::from(PARTITIONS)).map(|partition| (partition, Seen::default())).collect(),
            pending: None,
            over: Vec::new(),
            letters: BTreeSet::new(),
            bound: false,
            next_commit: (true, true),
            polls: true,
            ended: false,
        }
    }

    fn of(&mut self, partition: u32) -> &mut Seen {
        self.seen.entry(partition).or_default()
    }

    fn event(&mut self, choices: &mut Choices<'_>) {
        match choices.below(16) {
            0 | 1 => self.assign(choices.below(PARTITIONS).into()),
            2 => self.revoke(choices.below(PARTITIONS).into()),
            3..=5 => self.append(choices),
            6..=10 => self.answer(true, true),
            11 => self.answer(false, false),
            // It took effect, and the reply is lost.
            12 => self.answer(true, false),
            13 => match choices.below(4) {
                0 => self.kill(choices.byte().into()),
                1 => self.next_commit = (choices.below(2) == 0, false),
                _ => self.answer_to_nothing(choices.byte().into()),
            },
            _ => self.now += Duration::from_millis(1 + 2 * u64::from(choices.byte())),
        }
        self.run();
    }

    /// The process ends, and another begins; what the store had not made visible is gone with it.
    fn kill(&mut self, seed: u64) {
        self.machine = Machine::new("ledger", limits(), seed);
        self.pending = None;
        self.over.clear();
        for seen in self.seen.values_mut() {
            seen.give_up();
            (seen.owned, seen.paused, seen.reading) = (false, false, None);
        }
    }

    fn assign(&mut self, partition: u32) {
        if !self.polls || self.seen[&partition].owned {
            return;
        }
        let seen = self.of(partition);
        (seen.owned, seen.paused, seen.reading) = (true, false, Some(seen.committed.unwrap_or(0)));
        let committed = seen.committed.map(|offset| (offset, String::new()));
        self.machine.assigned(vec![Assignment { topic: TOPIC.into(), partition, committed }]);
    }

    fn revoke(&mut self, partition: u32) {
        if !self.polls || !self.seen[&partition].owned {
            return;
        }
        self.machine.revoked(&[(TOPIC.into(), partition)], self.now);
        self.run();
        // Whatever the store does, the log is polled again in time.
        let begun = self.now;
        while !self.polls {
            self.now += Duration::from_millis(50);
            assert!(self.now <= begun + limits().drain + Duration::from_millis(100), "a hand-over does not end");
            self.run();
        }
        self.of(partition).owned = false;
    }

    fn append(&mut self, choices: &mut Choices<'_>) {
        let partition = u32::from(choices.below(PARTITIONS));
        for _ in 0..=choices.below(12) {
            let nature = match choices.byte() {
                0..=15 => Nature::Refused,
                16..=31 => Nature::Poison,
                _ => Nature::Good,
            };
            self.of(partition).rows.push((nature, Held::Not));
        }
        self.fetch(partition);
    }

    /// What a poll brings of a partition.
    fn fetch(&mut self, partition: u32) {
        if !self.polls {
            return;
        }
        let seen = self.of(partition);
        let Some(from) = seen.reading.filter(|from| seen.owned && !seen.paused && *from < seen.end()) else { return };
        let to = seen.end().min(from + 10);
        seen.reading = Some(to);
        self.machine.took(Fetched { topic: TOPIC.into(), partition, records: (from..to).map(record).collect() }, self.now);
    }

    fn obey(&mut self) {
        for order in self.machine.orders() {
            match order {
                Order::Placed(..) | Order::Visible(..) => {}
                Order::Left((_, partition)) => self.of(partition).reading = None,
                Order::Seek((_, partition), offset) => self.of(partition).reading = Some(offset),
                Order::Pause((_, partition), paused) => self.of(partition).paused = paused,
            }
        }
        if self.machine.weight() >= limits().memory_bytes {
            assert!(self.seen.values().filter(|seen| seen.owned).all(|seen| seen.paused), "too much waits, and something is read on");
        }
    }

    /// Lets the machine go as far as it does by itself.
    fn run(&mut self) {
        loop {
            self.obey();
            self.polls = false;
            match self.machine.next(self.now) {
                Action::Do(ticket, task) => {
                    assert!(self.pending.is_none(), "two at once: {task:?}");
                    self.look_at(&task);
                    self.pending = Some((ticket, task));
                }
                Action::Commit(ticket, commits) => {
                    let (takes_effect, told) = std::mem::replace(&mut self.next_commit, (true, true));
                    self.commit(&commits, takes_effect);
                    let answer = Answer::Committed(if told { Ok(()) } else { Err(away()) });
                    self.machine.answered(ticket, answer, self.now).unwrap();
                    self.over.push(ticket);
                }
                Action::Poll(wait) => {
                    assert!(wait > Duration::ZERO);
                    self.polls = true;
                    return;
                }
                Action::Await(_) => {
                    assert!(self.pending.is_some(), "nothing is waited for");
                    return;
                }
                Action::End => {
                    self.ended = true;
                    return;
                }
            }
        }
    }

    fn look_at(&self, task: &Task) {
        match task {
            Task::Write(batch) => {
                assert!(self.bound, "written before the store keeps the log's mark");
                assert!(self.seen[&batch.partition].owned, "partition {} is not ours", batch.partition);
                assert!(!batch.records.is_empty() && batch.records.len() <= limits().batch_rows);
                assert!(batch.records.is_sorted_by(|one, next| one.offset + 1 == next.offset), "in order, nothing left out");
                assert!(batch.buried.iter().all(|offset| self.letters.contains(&(batch.partition, *offset))), "counted as buried, and no dead letter");
            }
            Task::Bury(letter) => {
                let seen = &self.seen[&letter.partition];
                assert!(seen.owned, "partition {} is not ours", letter.partition);
                assert_ne!(seen.row(letter.record.offset).0, Nature::Good, "offset {} is nothing that the store refuses", letter.record.offset);
            }
            Task::Ask { .. } | Task::Bind | Task::Publish | Task::Retain => {}
        }
    }

    fn commit(&mut self, commits: &[Commit], takes_effect: bool) {
        for commit in commits {
            let seen = &self.seen[&commit.partition];
            assert!(seen.owned, "partition {} is not ours", commit.partition);
            for offset in 0..commit.next_offset {
                let settled = seen.row(offset).1 == Held::Visible || self.letters.contains(&(commit.partition, offset));
                assert!(settled, "committed up to {}, and offset {offset} is neither visible nor buried", commit.next_offset);
            }
            if takes_effect {
                self.of(commit.partition).committed = Some(commit.next_offset);
            }
        }
    }

    /// What is under way ends: whether it takes effect, whether that is told.
    fn answer(&mut self, takes_effect: bool, told: bool) {
        let Some((ticket, task)) = self.pending.take() else { return };
        let done = takes_effect.then(|| self.perform(&task));
        let answer = done.filter(|_| told).unwrap_or_else(|| self.fail(&task));
        self.machine.answered(ticket, answer, self.now).unwrap();
        self.over.push(ticket);
    }

    fn answer_to_nothing(&mut self, number: usize) {
        let Some(ticket) = self.over.get(number % self.over.len().max(1)).copied() else { return };
        let before = format!("{:?}", self.machine);
        self.machine.answered(ticket, Answer::Published(Ok(())), self.now).unwrap();
        assert_eq!(format!("{:?}", self.machine), before, "an answer that nobody waits for changed something");
    }

    /// From here on nothing fails.
    fn settle(&mut self) {
        self.next_commit = (true, true);
        let deadline = self.now + CALM;
        while !self.is_settled() {
            assert!(self.now < deadline, "not settled: {:?}\n{:?}", self.seen, self.machine);
            self.answer(true, true);
            self.run();
            for partition in 0..u32::from(PARTITIONS) {
                self.fetch(partition);
            }
            self.run();
            if self.pending.is_none() {
                self.now += Duration::from_millis(20);
                self.run();
            }
        }
        for (partition, seen) in self.seen.iter().filter(|(_, seen)| seen.owned) {
            for (offset, (nature, held)) in (0..).zip(&seen.rows) {
                let buried = self.letters.contains(&(*partition, offset));
                let wanted = if *nature == Nature::Good { (Held::Visible, false) } else { (Held::Not, true) };
                assert_eq!((*held, buried), wanted, "partition {partition}, offset {offset}, {nature:?}");
            }
        }
    }

    fn is_settled(&self) -> bool {
        self.seen.values().all(|seen| !seen.owned || (seen.committed.unwrap_or(0) == seen.end() && seen.visible == seen.end()))
    }

    fn stop(&mut self) {
        let begun = self.now;
        self.machine.stop(begun);
        self.run();
        while !self.ended {
            self.now += Duration::from_millis(50);
            assert!(self.now <= begun + limits().stop + Duration::from_millis(100), "a stop does not end");
            self.run();
        }
    }
}
