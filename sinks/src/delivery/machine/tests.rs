//! What the machine decides, case by case.

use std::collections::BTreeMap;
use std::time::Duration;

use wh_eventlog::{Assignment, Bounds, Bytes, Fetched, Stored};
use wh_schemas::Reaction;

use super::*;
use crate::delivery::{Batch, Written};

const TOPIC: &str = "risk-scores";

fn place(partition: u32) -> Place {
    (TOPIC.into(), partition)
}

fn record(offset: u64) -> Stored {
    Stored { offset, append_time: 0, key: None, value: Bytes::from_static(b"value"), headers: Vec::new() }
}

fn at(partition: u32, next: u64) -> StorePosition {
    StorePosition { partition, next_seq: next, next_offset: next, visible_seq: next, visible_offset: next, ..StorePosition::default() }
}

fn away<T>() -> Result<T, Reaction> {
    Err(Reaction::transient("away"))
}

fn offsets(batch: &Batch) -> Vec<u64> {
    batch.records.iter().map(|record| record.offset).collect()
}

/// A machine, and the time.
struct Bench {
    machine: Machine,
    now: Moment,
}

impl Bench {
    fn new(limits: Limits) -> Bench {
        Bench { machine: Machine::new("ledger", limits, 3), now: Moment::ZERO }
    }

    /// With partitions that the log knows, placed at 0 and bound; their orders are obeyed.
    fn reading(limits: Limits, partitions: &[u32]) -> Bench {
        let mut bench = Bench::new(limits);
        bench.assign(partitions, true);
        bench.place();
        bench
    }

    fn assign(&mut self, partitions: &[u32], known: bool) {
        let committed = known.then(|| (0, String::new()));
        self.machine.assigned(partitions.iter().map(|partition| Assignment { topic: TOPIC.into(), partition: *partition, committed: committed.clone() }).collect());
    }

    /// Answers what is asked until everything is placed.
    fn place(&mut self) {
        let (ticket, task) = self.task();
        let Task::Ask { partitions, .. } = task else { panic!("{task:?}") };
        self.stands(ticket, &partitions, 0);
        let (ticket, task) = self.task();
        assert!(matches!(task, Task::Bind), "{task:?}");
        self.answer(ticket, Answer::Bound(Ok(())));
        self.machine.orders();
    }

    fn stands(&mut self, ticket: Ticket, partitions: &[u32], next: u64) {
        let bounds: BTreeMap<u32, Bounds> = partitions.iter().map(|partition| (*partition, Bounds { start: 0, end: 1_000 })).collect();
        self.answer(ticket, Answer::Stands { positions: Ok(partitions.iter().map(|partition| at(*partition, next)).collect()), bound: false, bounds: Ok(bounds) });
    }

    fn feed(&mut self, partition: u32, offsets: std::ops::Range<u64>) {
        self.machine.took(Fetched { topic: TOPIC.into(), partition, records: offsets.map(record).collect() }, self.now);
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.machine.answered(ticket, answer, self.now).unwrap();
    }

    fn next(&mut self) -> Action {
        self.machine.next(self.now)
    }

    /// The next task; time passes until there is one.
    fn task(&mut self) -> (Ticket, Task) {
        for _ in 0..10_000 {
            match self.next() {
                Action::Do(ticket, task) => return (ticket, task),
                Action::Poll(wait) => self.now += wait,
                other => panic!("{other:?}"),
            }
        }
        panic!("nothing is to be done");
    }

    fn write(&mut self) -> (Ticket, Batch) {
        match self.task() {
            (ticket, Task::Write(batch)) => (ticket, batch),
            (_, other) => panic!("{other:?}"),
        }
    }

    /// Acknowledges a batch.
    fn done(&mut self, ticket: Ticket, batch: &Batch) {
        let next = batch.records.last().unwrap().offset + 1;
        self.answer(ticket, Answer::Wrote(Ok(Written::Done { position: at(batch.partition, next), alerts: 0 })));
    }

    fn publish(&mut self, outcome: Result<(), Reaction>) {
        let (ticket, task) = self.task();
        assert!(matches!(task, Task::Publish), "{task:?}");
        self.answer(ticket, Answer::Published(outcome));
    }

    /// What is committed once it is time for it.
    fn commit(&mut self) -> Vec<(u32, u64)> {
        for _ in 0..10_000 {
            match self.next() {
                Action::Commit(ticket, commits) => {
                    self.answer(ticket, Answer::Committed(Ok(())));
                    return commits.iter().map(|commit| (commit.partition, commit.next_offset)).collect();
                }
                Action::Poll(wait) => self.now += wait,
                other => panic!("{other:?}"),
            }
        }
        panic!("nothing is committed");
    }
}

#[test]
fn a_partition_is_read_once_the_store_has_said_where_to_go_on() {
    let mut bench = Bench::new(Limits::default());
    bench.assign(&[0], true);
    assert_eq!(bench.machine.orders(), [Order::Pause(place(0), true)]);
    bench.feed(0, 0..3);
    let (ticket, _) = bench.task();
    bench.stands(ticket, &[0], 7);
    assert_eq!(bench.machine.orders(), [Order::Placed(place(0), at(0, 7)), Order::Seek(place(0), 7), Order::Pause(place(0), false)]);
    let (ticket, task) = bench.task();
    assert!(matches!(task, Task::Bind));
    bench.answer(ticket, Answer::Bound(Ok(())));
    assert!(matches!(bench.next(), Action::Poll(_)), "what came before is not written");
    bench.feed(0, 5..9);
    let (_, batch) = bench.write();
    assert_eq!(offsets(&batch), [7, 8], "nor what lies before");
}

#[test]
fn the_log_is_given_a_first_word_of_a_group_that_it_does_not_know() {
    let mut bench = Bench::new(Limits::default());
    bench.assign(&[0], false);
    let (ticket, _) = bench.task();
    bench.stands(ticket, &[0], 0);
    let Action::Commit(ticket, commits) = bench.next() else { panic!() };
    assert_eq!((commits[0].partition, commits[0].next_offset), (0, 0));
    assert!(bench.machine.orders().iter().all(|order| !matches!(order, Order::Placed(..))));
    bench.answer(ticket, Answer::Committed(Ok(())));
    assert!(bench.machine.orders().contains(&Order::Placed(place(0), at(0, 0))));
    // A store that has come further without one was filled from another log, but for one that keeps this log's mark.
    for bound in [false, true] {
        let mut bench = Bench::new(Limits::default());
        bench.assign(&[0], false);
        let Action::Do(ticket, _) = bench.next() else { panic!() };
        let answer = Answer::Stands { positions: Ok(vec![at(0, 3)]), bound, bounds: Ok(BTreeMap::from([(0, Bounds { start: 0, end: 9 })])) };
        let outcome = bench.machine.answered(ticket, answer, bench.now);
        assert_eq!(outcome.is_ok(), bound, "{outcome:?}");
        if bound {
            let Action::Commit(_, commits) = bench.next() else { panic!() };
            assert_eq!(commits[0].next_offset, 3);
        }
    }
}

#[test]
fn what_is_written_is_committed_once_it_is_visible() {
    let mut bench = Bench::reading(Limits::default(), &[0]);
    bench.feed(0, 0..5);
    let (ticket, batch) = bench.write();
    bench.done(ticket, &batch);
    assert!(!bench.machine.orders().iter().any(|order| matches!(order, Order::Visible(..))));
    bench.publish(Ok(()));
    assert_eq!(bench.machine.orders(), [Order::Visible(place(0), at(0, 5))]);
    assert_eq!(bench.commit(), [(0, 5)]);
}

#[test]
fn a_position_stays_before_rows_that_the_store_does_not_count() {
    let mut bench = Bench::reading(Limits::default(), &[0]);
    bench.feed(0, 0..10);
    let (ticket, _) = bench.write();
    // Of an open block: seen up to 10, settled up to 4.
    let open = StorePosition { visible_seq: 10, visible_offset: 10, ..at(0, 4) };
    bench.answer(ticket, Answer::Wrote(Ok(Written::Done { position: open, alerts: 0 })));
    bench.publish(Ok(()));
    assert_eq!(bench.commit(), [(0, 4)]);
    // One that says done of a batch and has taken half of it.
    bench.feed(0, 10..20);
    let (ticket, _) = bench.write();
    bench.answer(ticket, Answer::Wrote(Ok(Written::Done { position: at(0, 15), alerts: 0 })));
    bench.publish(Ok(()));
    assert_eq!(bench.commit(), [(0, 15)]);
    bench.feed(0, 20..22);
    let (ticket, _) = bench.write();
    bench.answer(ticket, Answer::Wrote(Ok(Written::Done { position: at(0, 22), alerts: 0 })));
    bench.publish(Ok(()));
    assert_eq!(bench.commit(), [(0, 15)], "rows without an acknowledgement are not settled by later ones");
}

#[test]
fn batches_are_cut_by_count_bytes_and_age() {
    let limits = Limits { batch_rows: 4, batch_age: Duration::from_millis(20), ..Limits::default() };
    let mut bench = Bench::reading(limits.clone(), &[0]);
    let begun = bench.now;
    bench.feed(0, 0..6);
    let (ticket, batch) = bench.write();
    assert_eq!((offsets(&batch), bench.now), (vec![0, 1, 2, 3], begun), "a full one goes at once");
    bench.done(ticket, &batch);
    let (_, batch) = bench.write();
    assert_eq!((offsets(&batch), bench.now), (vec![4, 5], begun + Duration::from_millis(20)), "the rest when it is old enough");
    let heavy = partition::weight(&record(0));
    let mut bench = Bench::reading(Limits { batch_bytes: 2 * heavy, ..limits }, &[0]);
    bench.feed(0, 0..5);
    assert_eq!(offsets(&bench.write().1), [0, 1]);
}

#[test]
fn a_batch_that_fails_whole_is_halved_until_the_bad_row_stands_alone() {
    let mut bench = Bench::reading(Limits::default(), &[0]);
    bench.feed(0, 0..9);
    let (mut letters, mut written, mut tries) = (Vec::new(), Vec::new(), 0);
    while written.last() != Some(&8) {
        match bench.task() {
            (ticket, Task::Write(batch)) => {
                tries += 1;
                let bad = offsets(&batch).iter().any(|offset| [3, 4].contains(offset) && !batch.buried.contains(offset));
                if bad {
                    bench.answer(ticket, Answer::Wrote(Err(Reaction::Rejected("no".to_owned()))));
                } else {
                    written.extend(offsets(&batch));
                    bench.done(ticket, &batch);
                }
            }
            (ticket, Task::Bury(letter)) => {
                assert_eq!((letter.class.as_str(), letter.message.as_str()), ("row:rejected", "no"));
                letters.push(letter.record.offset);
                bench.answer(ticket, Answer::Buried(Ok(())));
            }
            (ticket, Task::Publish) => bench.answer(ticket, Answer::Published(Ok(()))),
            (_, other) => panic!("{other:?}"),
        }
    }
    assert_eq!((letters, written), (vec![3, 4], (0..9).collect::<Vec<_>>()), "in order, and no good row is buried");
    assert!(tries <= 16, "{tries} tries");
}

#[test]
fn a_batch_of_buried_records_that_fails_whole_ends_the_stage() {
    let mut bench = Bench::reading(Limits::default(), &[0]);
    bench.feed(0, 0..1);
    let (ticket, _) = bench.write();
    bench.answer(ticket, Answer::Wrote(Err(Reaction::Rejected("no".to_owned()))));
    let (ticket, task) = bench.task();
    assert!(matches!(task, Task::Bury(_)));
    bench.answer(ticket, Answer::Buried(Ok(())));
    let (ticket, batch) = bench.write();
    assert_eq!(batch.buried.len(), 1);
    let outcome = bench.machine.answered(ticket, Answer::Wrote(Err(Reaction::Rejected("no".to_owned()))), bench.now);
    assert!(matches!(outcome, Err(Reaction::Fatal(_))), "{outcome:?}");
}

#[test]
fn a_dead_letter_that_cannot_be_written_stalls_its_stage() {
    let mut bench = Bench::reading(Limits::default(), &[0]);
    bench.feed(0, 0..3);
    let (ticket, _) = bench.write();
    let refused = Written::Refused { offset: 1, position: None, class: "row:bad".to_owned(), message: "bad".to_owned() };
    bench.answer(ticket, Answer::Wrote(Ok(refused.clone())));
    for _ in 0..20 {
        let (ticket, task) = bench.task();
        assert!(matches!(&task, Task::Bury(letter) if letter.record.offset == 1), "{task:?}");
        bench.answer(ticket, Answer::Buried(away()));
        assert!(matches!(bench.next(), Action::Poll(wait) if wait > Duration::ZERO), "the log is polled on");
    }
    let (ticket, _) = bench.task();
    bench.answer(ticket, Answer::Buried(Ok(())));
    let (ticket, batch) = bench.write();
    assert_eq!((offsets(&batch), batch.buried.contains(&1)), (vec![0, 1, 2], true));
    // A store that refuses it again would be asked for ever.
    assert!(matches!(bench.machine.answered(ticket, Answer::Wrote(Ok(refused)), bench.now), Err(Reaction::Fatal(_))));
}

#[test]
fn a_store_that_is_away_is_asked_before_it_is_written() {
    let mut bench = Bench::reading(Limits { probe_rows: 2, ..Limits::default() }, &[0]);
    bench.feed(0, 0..9);
    for failure in 1..=6 {
        assert_eq!(bench.machine.trust(), Trust::Closed);
        let (ticket, batch) = bench.write();
        assert_eq!(offsets(&batch).len(), 9, "try {failure}");
        bench.answer(ticket, Answer::Wrote(away()));
    }
    assert_eq!((bench.machine.trust(), bench.machine.weight()), (Trust::Open, 0), "what was read is forgotten");
    assert_eq!(bench.machine.orders(), [Order::Pause(place(0), true)]);
    let (ticket, _) = bench.task();
    bench.answer(ticket, Answer::Stands { positions: away(), bound: false, bounds: Ok(BTreeMap::new()) });
    let (ticket, _) = bench.task();
    bench.stands(ticket, &[0], 0);
    assert_eq!(bench.machine.trust(), Trust::HalfOpen);
    let (ticket, _) = bench.task();
    bench.answer(ticket, Answer::Bound(Ok(())));
    bench.feed(0, 0..9);
    let (ticket, probe) = bench.write();
    assert_eq!(offsets(&probe), [0, 1], "a small one");
    bench.done(ticket, &probe);
    let before = bench.now;
    bench.publish(Ok(()));
    assert_eq!((bench.machine.trust(), bench.now), (Trust::Closed, before), "whether it is back is known at once");
    // It was away for longer than commits may lie apart.
    assert_eq!(bench.commit(), [(0, 2)]);
    assert_eq!(offsets(&bench.write().1), (2..9).collect::<Vec<_>>());
}

#[test]
fn partitions_are_paused_while_too_much_waits() {
    let one = partition::weight(&record(0));
    let mut bench = Bench::reading(Limits { memory_bytes: 8 * one, batch_rows: 2, ..Limits::default() }, &[0, 1]);
    bench.feed(0, 0..7);
    assert!(bench.machine.orders().is_empty());
    bench.feed(0, 7..8);
    assert_eq!(bench.machine.orders(), [Order::Pause(place(0), true), Order::Pause(place(1), true)]);
    let mut resumed_at = None;
    for _ in 0..4 {
        let (ticket, batch) = bench.write();
        bench.done(ticket, &batch);
        if bench.machine.orders().contains(&Order::Pause(place(0), false)) {
            resumed_at.get_or_insert(batch.records[0].offset);
        }
    }
    assert_eq!(resumed_at, Some(2), "when half of it is written");
}

#[test]
fn partitions_that_leave_are_settled_first_and_others_keep_what_they_have() {
    let mut bench = Bench::reading(Limits { batch_age: Duration::from_secs(60), ..Limits::default() }, &[0, 1]);
    bench.feed(0, 0..3);
    bench.feed(1, 0..4);
    bench.machine.revoked(&[place(1)], bench.now);
    let (ticket, batch) = bench.write();
    assert_eq!((batch.partition, offsets(&batch)), (1, vec![0, 1, 2, 3]), "however young they are");
    assert!(matches!(bench.next(), Action::Await(_)), "a poll would give the partition away");
    bench.feed(1, 4..6);
    bench.done(ticket, &batch);
    bench.publish(Ok(()));
    assert_eq!(bench.commit(), [(1, 4)]);
    assert!(matches!(bench.next(), Action::Poll(_)));
    let orders = bench.machine.orders();
    assert!(orders.contains(&Order::Left(place(1))) && !orders.contains(&Order::Left(place(0))), "{orders:?}");
    assert!(bench.machine.weight() > 0, "what is read of the other one waits on");
}

#[test]
fn late_acknowledgements_of_an_old_epoch_are_dropped() {
    let mut bench = Bench::reading(Limits::default(), &[0]);
    bench.feed(0, 0..3);
    let (late, batch) = bench.write();
    bench.machine.revoked(&[place(0)], bench.now);
    let Action::Await(wait) = bench.next() else { panic!() };
    assert_eq!(wait, Duration::from_secs(10));
    bench.now += wait;
    assert!(matches!(bench.next(), Action::Poll(_)), "it does not wait for ever");
    bench.assign(&[0], true);
    bench.done(late, &batch);
    bench.place();
    for _ in 0..100 {
        match bench.next() {
            Action::Poll(wait) => bench.now += wait,
            other => panic!("{other:?}: nothing is settled by it"),
        }
    }
}

#[test]
fn nothing_is_settled_for_a_store_that_fails_while_partitions_leave() {
    let mut bench = Bench::reading(Limits::default(), &[0]);
    bench.feed(0, 0..3);
    let (ticket, _) = bench.write();
    bench.machine.revoked(&[place(0)], bench.now);
    bench.answer(ticket, Answer::Wrote(away()));
    assert!(matches!(bench.next(), Action::Poll(_)), "it is the next owner's, at once");
    assert!(bench.machine.orders().contains(&Order::Left(place(0))));
}

#[test]
fn a_stop_settles_what_was_begun_and_begins_nothing() {
    let mut bench = Bench::reading(Limits { batch_rows: 3, ..Limits::default() }, &[0]);
    bench.feed(0, 0..6);
    let (ticket, batch) = bench.write();
    bench.machine.stop(bench.now);
    assert!(matches!(bench.next(), Action::Await(_)));
    bench.machine.stop(bench.now);
    bench.done(ticket, &batch);
    bench.publish(Ok(()));
    assert_eq!(bench.commit(), [(0, 3)]);
    assert!(matches!(bench.next(), Action::End));
}

#[test]
fn a_stop_does_not_wait_for_a_store_that_is_only_asked() {
    let mut bench = Bench::new(Limits::default());
    bench.assign(&[0], true);
    bench.task();
    bench.machine.stop(bench.now);
    assert!(matches!(bench.next(), Action::End));
}

#[test]
fn what_could_not_be_made_visible_is_read_again() {
    let mut bench = Bench::reading(Limits::default(), &[0]);
    bench.feed(0, 0..3);
    let (ticket, batch) = bench.write();
    bench.done(ticket, &batch);
    bench.publish(away());
    assert_eq!(bench.machine.orders(), [Order::Pause(place(0), true)]);
    let (ticket, task) = bench.task();
    assert!(matches!(task, Task::Ask { .. }), "{task:?}");
    bench.stands(ticket, &[0], 0);
    assert!(bench.machine.orders().contains(&Order::Seek(place(0), 0)));
}

#[test]
fn a_new_partition_places_all_of_them_anew_behind_what_is_written() {
    let mut bench = Bench::reading(Limits::default(), &[0]);
    bench.feed(0, 0..3);
    let (ticket, batch) = bench.write();
    bench.assign(&[1], true);
    bench.feed(0, 3..5);
    bench.done(ticket, &batch);
    bench.publish(Ok(()));
    let (_, task) = bench.task();
    assert!(matches!(&task, Task::Ask { partitions, .. } if *partitions == [0, 1]), "{task:?}");
    assert_eq!(bench.machine.weight(), 0, "what was read meanwhile is read again");
}

#[test]
fn a_stale_or_foreign_ticket_changes_nothing() {
    let mut bench = Bench::reading(Limits::default(), &[0]);
    bench.feed(0, 0..3);
    let (ticket, batch) = bench.write();
    let before = format!("{:?}", bench.machine);
    for stale in [Ticket(ticket.0 - 1), Ticket(ticket.0 + 1)] {
        bench.answer(stale, Answer::Wrote(Ok(Written::Done { position: at(0, 99), alerts: 0 })));
        bench.answer(stale, Answer::Committed(Ok(())));
    }
    assert_eq!(format!("{:?}", bench.machine), before);
    bench.done(ticket, &batch);
    let after = format!("{:?}", bench.machine);
    bench.done(ticket, &batch);
    assert_eq!(format!("{:?}", bench.machine), after, "twice is once");
}

#[test]
fn retention_is_due_now_and_then() {
    let every = Duration::from_secs(600);
    let mut bench = Bench::reading(Limits { retain_every: Some(every), ..Limits::default() }, &[0]);
    for round in 0..3 {
        let (ticket, task) = bench.task();
        assert!(matches!(task, Task::Retain) && bench.now >= every * round, "{:?}", bench.now);
        bench.answer(ticket, Answer::Retained(away()));
    }
}

#[test]
fn rows_beyond_retention_go_step_by_step_until_none_is_left_and_writes_come_in_between() {
    let (every, again) = (Duration::from_secs(600), Duration::from_secs(1));
    let mut bench = Bench::reading(Limits { retain_every: Some(every), retain_again: again, ..Limits::default() }, &[0]);
    let mut due = Moment::ZERO;
    for (round, (left, wait)) in [(true, again), (true, again), (false, every), (true, again)].into_iter().enumerate() {
        let (ticket, task) = bench.task();
        assert!(matches!(task, Task::Retain) && bench.now >= due && bench.now < due + again, "{task:?} at {:?}, due at {due:?}", bench.now);
        due = bench.now + wait;
        bench.answer(ticket, Answer::Retained(Ok(left)));
        let next = 3 * round as u64;
        bench.feed(0, next..next + 3);
        let (ticket, batch) = bench.write();
        bench.done(ticket, &batch);
        bench.publish(Ok(()));
        assert_eq!(bench.commit(), [(0, next + 3)]);
    }
}
