//! Whatever happens in whatever order, the machine keeps its promises: a model of log and store plays against it and looks on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use wh_eventlog::{Assignment, Bounds, Bytes, Commit, Fetched, Stored};
use wh_schemas::Reaction;

use super::*;
use crate::delivery::{Batch, Written};

const TOPIC: &str = "risk-scores";
const PARTITIONS: u32 = 3;

/// What may happen.
#[derive(Clone, Debug)]
enum Step {
    Assign(u32),
    Revoke(u32),
    Append(u32, u64),
    Answer(Outcome),
    /// An answer to what nobody asks any more.
    Stale(u64),
    /// An answer whose reply is lost: it took effect.
    LostReply,
    Wait(u64),
    Stop,
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Good,
    Away,
    /// This one of the rows is refused.
    Refuse(usize),
    /// The batch is refused, nobody says for which row.
    Reject,
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![6 => Just(Outcome::Good), 2 => Just(Outcome::Away), 1 => (0_usize..20).prop_map(Outcome::Refuse), 1 => Just(Outcome::Reject)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..PARTITIONS).prop_map(Step::Assign),
        2 => (0..PARTITIONS).prop_map(Step::Revoke),
        8 => (0..PARTITIONS, 1_u64..12).prop_map(|(partition, count)| Step::Append(partition, count)),
        16 => outcome().prop_map(Step::Answer),
        1 => (0_u64..50).prop_map(Step::Stale),
        1 => Just(Step::LostReply),
        8 => (1_u64..400).prop_map(Step::Wait),
    ]
}

fn record(offset: u64) -> Stored {
    Stored { offset, append_time: 0, key: None, value: Bytes::from_static(b"value"), headers: Vec::new() }
}

/// One partition, as log, group and store see it.
#[derive(Debug, Default)]
struct Seen {
    /// Records that the log holds.
    end: u64,
    /// What the store would answer.
    stored: u64,
    /// What it has taken and not made visible.
    written: Option<u64>,
    /// What the group has committed.
    committed: Option<u64>,
    owned: bool,
    paused: bool,
    /// Where the consumer reads on, once it was told.
    reading: Option<u64>,
    /// The first offset of the next write.
    due: u64,
}

/// A machine, and a model of everything around it.
struct Model {
    machine: Machine,
    now: Moment,
    seen: BTreeMap<u32, Seen>,
    pending: Option<(Ticket, Task)>,
    letters: BTreeSet<(u32, u64)>,
    bound: bool,
    polls: bool,
    ended: bool,
}

fn limits() -> Limits {
    Limits {
        batch_rows: 5,
        batch_bytes: 4 * partition::weight(&record(0)) + 1,
        batch_age: Duration::from_millis(10),
        memory_bytes: 20 * partition::weight(&record(0)),
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

impl Model {
    fn new(seed: u64) -> Model {
        Model {
            machine: Machine::new("ledger", limits(), seed),
            now: Moment::ZERO,
            seen: (0..PARTITIONS).map(|partition| (partition, Seen::default())).collect(),
            pending: None,
            letters: BTreeSet::new(),
            bound: false,
            polls: true,
            ended: false,
        }
    }

    fn of(&mut self, partition: u32) -> &mut Seen {
        self.seen.entry(partition).or_default()
    }

    fn obey(&mut self) {
        for order in self.machine.orders() {
            match order {
                Order::Placed((_, partition), position) => self.of(partition).due = position.next_offset,
                Order::Visible(..) => {}
                Order::Left((_, partition)) => {
                    // Told again where a partition is assigned that was not given up.
                    let seen = self.of(partition);
                    seen.reading = None;
                }
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
                    self.commit(&commits);
                    self.machine.answered(ticket, Answer::Committed(Ok(())), self.now).unwrap();
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
                let seen = &self.seen[&batch.partition];
                assert!(seen.owned, "partition {} is not ours", batch.partition);
                let offsets: Vec<u64> = batch.records.iter().map(|record| record.offset).collect();
                assert!(!offsets.is_empty() && offsets.len() <= 5);
                assert_eq!(offsets, (seen.due..seen.due + offsets.len() as u64).collect::<Vec<_>>(), "in order, nothing left out");
                assert!(batch.buried.iter().all(|offset| self.letters.contains(&(batch.partition, *offset))), "counted as buried, and no dead letter");
            }
            Task::Bury(letter) => assert!(self.seen[&letter.partition].owned, "partition {} is not ours", letter.partition),
            Task::Ask { .. } | Task::Bind | Task::Publish | Task::Retain => {}
        }
    }

    fn commit(&mut self, commits: &[Commit]) {
        for commit in commits {
            let seen = self.of(commit.partition);
            assert!(seen.owned, "partition {} is not ours", commit.partition);
            assert!(commit.next_offset <= seen.stored, "committed {} of what is visible up to {}", commit.next_offset, seen.stored);
            seen.committed = Some(commit.next_offset);
        }
    }

    /// What the store does with a task, and says.
    fn perform(&mut self, task: &Task, outcome: Outcome) -> Answer {
        let away = || Reaction::transient("away");
        if matches!(outcome, Outcome::Away) {
            return match task {
                Task::Ask { .. } => Answer::Stands { positions: Err(away()), bound: false, bounds: Ok(BTreeMap::new()) },
                Task::Bind => Answer::Bound(Err(away())),
                Task::Write(_) => Answer::Wrote(Err(away())),
                Task::Bury(_) => Answer::Buried(Err(away())),
                Task::Publish => {
                    // What was written and not visible is given up.
                    self.seen.values_mut().for_each(|seen| seen.written = None);
                    Answer::Published(Err(away()))
                }
                Task::Retain => Answer::Retained(Err(away())),
            };
        }
        match task {
            Task::Ask { partitions, .. } => {
                self.seen.values_mut().for_each(|seen| seen.written = None);
                let position = |partition: &u32| {
                    let next = self.seen[partition].stored;
                    StorePosition { partition: *partition, next_seq: next, next_offset: next, visible_seq: next, visible_offset: next, ..StorePosition::default() }
                };
                let bounds = partitions.iter().map(|partition| (*partition, Bounds { start: 0, end: self.seen[partition].end })).collect();
                Answer::Stands { positions: Ok(partitions.iter().map(position).collect()), bound: self.bound, bounds: Ok(bounds) }
            }
            Task::Bind => {
                self.bound = true;
                Answer::Bound(Ok(()))
            }
            Task::Write(batch) => Answer::Wrote(self.written(batch, outcome)),
            Task::Bury(letter) => {
                self.letters.insert((letter.partition, letter.record.offset));
                Answer::Buried(Ok(()))
            }
            Task::Publish => {
                for seen in self.seen.values_mut() {
                    seen.stored = seen.written.take().map_or(seen.stored, |written| written.max(seen.stored));
                }
                Answer::Published(Ok(()))
            }
            Task::Retain => Answer::Retained(Ok(!matches!(outcome, Outcome::Good))),
        }
    }

    fn written(&mut self, batch: &Batch, outcome: Outcome) -> Result<Written, Reaction> {
        let open: Vec<u64> = batch.records.iter().map(|record| record.offset).filter(|offset| !batch.buried.contains(offset)).collect();
        match outcome {
            Outcome::Refuse(at) if !open.is_empty() => {
                Ok(Written::Refused { offset: open[at % open.len()], position: None, class: "row:bad".to_owned(), message: "bad".to_owned() })
            }
            Outcome::Reject if !open.is_empty() => Err(Reaction::Rejected("one of them is bad".to_owned())),
            _ => {
                let (first, next) = (batch.records[0].offset, batch.records.last().unwrap().offset + 1);
                let seen = self.of(batch.partition);
                assert!(first <= seen.written.unwrap_or(seen.stored), "a gap");
                seen.written = Some(next.max(seen.written.unwrap_or(0)));
                let position = StorePosition { partition: batch.partition, next_seq: next, next_offset: next, visible_seq: next, visible_offset: next, ..StorePosition::default() };
                Ok(Written::Done { position, alerts: 0 })
            }
        }
    }

    fn answer(&mut self, outcome: Outcome) {
        let Some((ticket, task)) = self.pending.take() else { return };
        let answer = self.perform(&task, outcome);
        if let (Task::Write(batch), Answer::Wrote(Ok(Written::Done { position, .. }))) = (&task, &answer) {
            self.of(batch.partition).due = position.next_offset;
        }
        self.machine.answered(ticket, answer, self.now).unwrap();
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Assign(partition) if self.polls && !self.seen[&partition].owned => {
                let seen = self.of(partition);
                seen.owned = true;
                seen.paused = false;
                seen.reading = Some(seen.committed.unwrap_or(0));
                let committed = seen.committed.map(|offset| (offset, String::new()));
                self.machine.assigned(vec![Assignment { topic: TOPIC.into(), partition, committed }]);
            }
            Step::Revoke(partition) if self.polls && self.seen[&partition].owned => {
                self.machine.revoked(&[(TOPIC.into(), partition)], self.now);
                self.run();
                // Whatever it takes, the log is polled again in time.
                while !self.polls {
                    self.now += Duration::from_millis(100);
                    self.run();
                }
                self.of(partition).owned = false;
            }
            Step::Append(partition, count) => {
                self.of(partition).end += count;
                self.fetch(partition);
            }
            Step::Answer(outcome) => self.answer(outcome),
            Step::LostReply => {
                if let Some((ticket, task)) = self.pending.take() {
                    self.perform(&task, Outcome::Good);
                    let answer = self.perform(&task, Outcome::Away);
                    self.machine.answered(ticket, answer, self.now).unwrap();
                }
            }
            Step::Stale(number) => {
                let ticket = Ticket(number);
                if self.pending.as_ref().is_none_or(|(waited_for, _)| *waited_for != ticket) {
                    let before = format!("{:?}", self.machine);
                    self.machine.answered(ticket, Answer::Published(Ok(())), self.now).unwrap();
                    assert_eq!(format!("{:?}", self.machine), before, "an answer that nobody waits for changed something");
                }
            }
            Step::Wait(millis) => self.now += Duration::from_millis(millis),
            Step::Stop => self.machine.stop(self.now),
            Step::Assign(_) | Step::Revoke(_) => {}
        }
        self.run();
    }

    /// What a poll brings of a partition.
    fn fetch(&mut self, partition: u32) {
        let seen = self.of(partition);
        if let Some(from) = seen.reading.filter(|from| seen.owned && !seen.paused && *from < seen.end)
            && self.polls
        {
            let seen = self.of(partition);
            let to = seen.end.min(from + 10);
            seen.reading = Some(to);
            self.machine.took(Fetched { topic: TOPIC.into(), partition, records: (from..to).map(record).collect() }, self.now);
        }
    }

    fn is_settled(&self) -> bool {
        self.seen.values().all(|seen| !seen.owned || (seen.committed.unwrap_or(0) == seen.end && seen.stored == seen.end))
    }
}

proptest! {
    #[test]
    fn whatever_happens_nothing_is_lost_left_out_or_held_without_bound(seed: u64, steps in proptest::collection::vec(step(), 0..200)) {
        let mut model = Model::new(seed);
        for step in steps {
            model.step(step);
        }
        // From here on nothing fails: everything is settled before long.
        let deadline = model.now + Duration::from_secs(20);
        while !model.is_settled() {
            prop_assert!(model.now < deadline, "not settled: {:?}\n{:?}", model.seen, model.machine);
            model.answer(Outcome::Good);
            model.run();
            for partition in 0..PARTITIONS {
                model.fetch(partition);
            }
            model.run();
            if model.pending.is_none() {
                model.now += Duration::from_millis(20);
                model.run();
            }
        }
    }

    #[test]
    fn a_stop_ends_in_time_and_begins_no_write(seed: u64, steps in proptest::collection::vec(step(), 0..100), answers in proptest::collection::vec(outcome(), 0..10)) {
        let mut model = Model::new(seed);
        for step in steps {
            model.step(step);
        }
        let writing = model.pending.as_ref().map(|(ticket, _)| *ticket);
        let begun = model.now;
        model.step(Step::Stop);
        for answer in answers {
            model.step(Step::Answer(answer));
            prop_assert!(model.pending.as_ref().is_none_or(|(ticket, task)| Some(*ticket) == writing || !matches!(task, Task::Write(_))));
        }
        while !model.ended {
            prop_assert!(model.now <= begun + limits().stop + Duration::from_millis(100));
            model.step(Step::Wait(50));
        }
    }
}
