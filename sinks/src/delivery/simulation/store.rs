//! The store of the simulation, in four ways of keeping rows and positions together that the real ones have, and what its client does.
//!
//! What must stay true: what the server does for one request happens at once; between requests anything may.

use std::collections::{BTreeMap, BTreeSet};

use wh_schemas::Reaction;

use super::Flaw;
use super::dice::Dice;
use super::log::{self, Nature, Row};
use crate::delivery::machine::{Answer, Task};
use crate::delivery::walk::{self, Halt, Positioned, Refused, STORED};
use crate::delivery::{Batch, StorePosition, Tally, Written};

/// Seqs of one block.
const BLOCK: u64 = 8;

/// How rows and position come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// In one transaction, rows without a key of their own: PostgreSQL, SQLite.
    Transaction,
    /// Rows by their keys, then the position from where it was seen: MongoDB.
    CompareAndSet,
    /// Rows by their keys, positions when they are made visible: Elasticsearch, Tantivy.
    Deferred,
    /// As before, and a position stays at the first seq of its open block: InfluxDB.
    Blocks,
}

impl Kind {
    pub(super) const ALL: [Kind; 4] = [Kind::Transaction, Kind::CompareAndSet, Kind::Deferred, Kind::Blocks];
}

#[derive(Clone, Debug)]
pub(super) enum Request {
    /// A question that needs nothing.
    Greet,
    /// The log's mark is kept.
    Bind,
    Positions,
    Apply(Batch),
    Insert(u32, Vec<(u64, Nature)>),
    Move {
        from: Option<StorePosition>,
        to: StorePosition,
    },
    Advance(Vec<(StorePosition, StorePosition)>),
}

#[derive(Clone, Debug)]
pub(super) enum Reply {
    Greeted,
    /// And whether the log's mark is kept.
    Positions(Vec<StorePosition>, bool),
    Applied(Result<Written, Reaction>),
    Inserted(Result<(), Reaction>),
    Moved(bool),
    Reached(Result<Vec<StorePosition>, Reaction>),
    Busy(Reaction),
}

/// What a position can be told from another by.
fn place(position: &StorePosition) -> (u64, u64) {
    (position.visible_seq, position.visible_offset)
}

fn none(partition: u32) -> StorePosition {
    StorePosition { partition, ..StorePosition::default() }
}

/// What is done with a row.
fn judge(offset: u64, row: &Row) -> Result<Tally, Halt> {
    match row.nature {
        Nature::Refused => Err(Halt::Refused(Refused { offset, position: Some(row.position()), class: "row:refused", message: "it is refused".to_owned() })),
        Nature::Good | Nature::Culprit => Ok(STORED),
    }
}

fn culprit() -> Reaction {
    Reaction::Rejected("one of the rows is bad".to_owned())
}

/// What lasts, whatever happens to clients.
pub(super) struct Server {
    /// How often each row is there.
    pub(super) rows: BTreeMap<(u32, u64), u32>,
    pub(super) positions: BTreeMap<u32, StorePosition>,
    pub(super) partial: u64,
    bound: bool,
    flaw: Flaw,
}

impl Server {
    pub(super) fn new(flaw: Flaw) -> Server {
        Server { rows: BTreeMap::new(), positions: BTreeMap::new(), partial: 0, bound: false, flaw }
    }

    pub(super) fn position(&self, partition: u32) -> StorePosition {
        self.positions.get(&partition).copied().unwrap_or(none(partition))
    }

    pub(super) fn handle(&mut self, request: &Request, dice: &mut Dice, chaos: bool) -> Reply {
        let forgets = self.flaw == Flaw::AcknowledgesUnwritten && dice.one_in(10);
        match request {
            Request::Greet => Reply::Greeted,
            Request::Bind => {
                self.bound = true;
                Reply::Greeted
            }
            Request::Positions => Reply::Positions(self.positions.values().copied().collect(), self.bound),
            Request::Apply(batch) => Reply::Applied(self.apply(batch, forgets)),
            Request::Insert(..) if forgets => Reply::Inserted(Ok(())),
            Request::Insert(_, rows) if rows.iter().any(|(_, nature)| *nature == Nature::Culprit) => Reply::Inserted(Err(culprit())),
            Request::Insert(partition, rows) => {
                let torn = chaos && dice.one_in(12);
                for (seq, _) in rows {
                    if !torn || dice.one_in(2) {
                        self.rows.entry((*partition, *seq)).or_insert(1);
                    }
                }
                self.partial += u64::from(torn);
                Reply::Inserted(if torn { Err(Reaction::transient("some of the rows were not written")) } else { Ok(()) })
            }
            Request::Move { from, to } => {
                let moves = self.positions.get(&to.partition) == from.as_ref();
                if moves {
                    self.positions.insert(to.partition, *to);
                }
                Reply::Moved(moves)
            }
            Request::Advance(steps) => Reply::Reached(self.advance(steps)),
        }
    }

    fn apply(&mut self, batch: &Batch, forgets: bool) -> Result<Written, Reaction> {
        let (mut rows, mut bad) = (Vec::new(), false);
        let walked = walk::walk(batch, &self.position(batch.partition), log::read, |record, row, _| {
            bad |= row.nature == Nature::Culprit;
            rows.push(row.seq);
            judge(record.offset, &row)
        });
        let position = match walked {
            Err(halt) => return halt.outcome(),
            Ok(_) if bad => return Err(culprit()),
            Ok(position) => position,
        };
        if !forgets {
            for seq in rows {
                *self.rows.entry((batch.partition, seq)).or_default() += 1;
            }
            self.positions.insert(batch.partition, position);
        }
        Ok(Written::Done { position, alerts: 0 })
    }

    fn advance(&mut self, steps: &[(StorePosition, StorePosition)]) -> Result<Vec<StorePosition>, Reaction> {
        let mut reached = Vec::new();
        for (from, to) in steps {
            let there = self.position(to.partition);
            if place(&there) < place(from) {
                return Err(Reaction::fatal(format!("the store has gone back from {from:?} to {there:?}")));
            }
            if place(&there) < place(to) {
                self.positions.insert(to.partition, *to);
            }
            reached.push(self.position(to.partition));
        }
        Ok(reached)
    }
}

/// What a client does next.
pub(super) enum Next {
    Send(Request),
    Answer(Answer),
}

/// Where a call stands.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Begun,
    /// Rows are on their way; a store that they do not change stays where it is.
    Inserting {
        start: StorePosition,
        position: StorePosition,
        settled: StorePosition,
    },
    Moving(StorePosition),
}

/// What one instance knows of the store.
pub(super) struct Client {
    kind: Kind,
    phase: Phase,
    /// Where partitions were seen last, or are as far as this client has written.
    seen: BTreeMap<u32, StorePosition>,
    /// Whether it is known that nothing is there.
    absent: BTreeSet<u32>,
    /// First seq of the open block.
    settled: BTreeMap<u32, StorePosition>,
    /// As they are to be published, and as they were.
    written: BTreeMap<u32, StorePosition>,
    published: BTreeMap<u32, StorePosition>,
    /// Whether rows beyond retention were left by the last step: every other one leaves some.
    leaves_rows: bool,
}

impl Client {
    pub(super) fn new(kind: Kind) -> Client {
        let nothing = BTreeMap::new;
        let absent = BTreeSet::new();
        Client { kind, phase: Phase::Begun, seen: nothing(), absent, settled: nothing(), written: nothing(), published: nothing(), leaves_rows: false }
    }

    pub(super) fn begin(&mut self, task: &Task) -> Next {
        self.phase = Phase::Begun;
        match (task, self.kind) {
            (Task::Ask { .. }, _) => Next::Send(Request::Positions),
            (Task::Bind, _) => Next::Send(Request::Bind),
            (Task::Retain | Task::Bury(_), _) => Next::Send(Request::Greet),
            (Task::Publish, Kind::Transaction | Kind::CompareAndSet) => Next::Answer(Answer::Published(Ok(()))),
            (Task::Publish, Kind::Deferred | Kind::Blocks) => {
                let before = |to: &StorePosition| self.published.get(&to.partition).copied().unwrap_or(none(to.partition));
                let steps: Vec<_> = self.written.values().map(|to| (before(to), *to)).filter(|(from, to)| from != to).collect();
                if steps.is_empty() { Next::Answer(Answer::Published(Ok(()))) } else { Next::Send(Request::Advance(steps)) }
            }
            (Task::Write(batch), Kind::Transaction) => Next::Send(Request::Apply(batch.clone())),
            (Task::Write(batch), Kind::CompareAndSet) if !self.seen.contains_key(&batch.partition) && !self.absent.contains(&batch.partition) => Next::Send(Request::Positions),
            (Task::Write(batch), _) => self.insert(batch),
        }
    }

    /// Takes up a reply.
    pub(super) fn replied(&mut self, task: &Task, reply: Reply) -> Next {
        match (task, reply, self.phase) {
            (_, Reply::Busy(reaction), _) => Next::Answer(self.failed(task, reaction)),
            (Task::Ask { .. }, Reply::Positions(positions, bound), _) => {
                self.stand(&positions);
                Next::Answer(Answer::Stands { positions: Ok(positions), bound, bounds: Ok(BTreeMap::new()) })
            }
            (Task::Bind, _, _) => Next::Answer(Answer::Bound(Ok(()))),
            (Task::Retain, _, _) => {
                self.leaves_rows = !self.leaves_rows;
                Next::Answer(Answer::Retained(Ok(self.leaves_rows)))
            }
            (Task::Write(_), Reply::Applied(outcome), _) => Next::Answer(Answer::Wrote(outcome)),
            (Task::Write(batch), Reply::Positions(positions, _), _) => {
                match positions.iter().find(|position| position.partition == batch.partition) {
                    Some(position) => {
                        self.seen.insert(batch.partition, *position);
                    }
                    None => {
                        self.absent.insert(batch.partition);
                    }
                }
                self.insert(batch)
            }
            (Task::Write(batch), Reply::Inserted(Ok(())), Phase::Inserting { start, position, settled }) => self.inserted(batch, start, position, settled),
            (Task::Write(_), Reply::Inserted(Err(reaction)), _) => Next::Answer(self.failed(task, reaction)),
            (Task::Write(batch), Reply::Moved(true), Phase::Moving(position)) => {
                self.absent.remove(&batch.partition);
                self.seen.insert(batch.partition, position);
                Next::Answer(Answer::Wrote(Ok(Written::Done { position, alerts: 0 })))
            }
            (Task::Write(_), Reply::Moved(_), _) => Next::Answer(self.failed(task, Reaction::transient("another instance has gone on"))),
            (Task::Publish, Reply::Reached(Ok(reached)), _) => {
                for there in reached {
                    self.published.insert(there.partition, there);
                    if self.kind == Kind::Deferred {
                        // Another instance may have come further: what it has settled comes as copies.
                        self.seen.insert(there.partition, there);
                        self.written.insert(there.partition, there);
                    }
                }
                Next::Answer(Answer::Published(Ok(())))
            }
            (Task::Publish, Reply::Reached(Err(reaction)), _) => Next::Answer(Answer::Published(Err(reaction))),
            (task, reply, phase) => panic!("{task:?} in {phase:?} was told {reply:?}"),
        }
    }

    /// A call came to nothing, or nobody knows to what.
    pub(super) fn failed(&mut self, task: &Task, reaction: Reaction) -> Answer {
        match task {
            Task::Ask { .. } => Answer::Stands { positions: Err(reaction), bound: false, bounds: Ok(BTreeMap::new()) },
            Task::Bind => Answer::Bound(Err(reaction)),
            Task::Write(batch) => {
                if self.kind == Kind::CompareAndSet {
                    self.seen.remove(&batch.partition);
                    self.absent.remove(&batch.partition);
                }
                Answer::Wrote(Err(reaction))
            }
            Task::Bury(_) => Answer::Buried(Err(reaction)),
            Task::Publish => Answer::Published(Err(reaction)),
            Task::Retain => Answer::Retained(Err(reaction)),
        }
    }

    /// Goes on from what the store says.
    fn stand(&mut self, positions: &[StorePosition]) {
        let by_partition: BTreeMap<u32, StorePosition> = positions.iter().map(|position| (position.partition, *position)).collect();
        self.absent.clear();
        self.written.clone_from(&by_partition);
        self.published.clone_from(&by_partition);
        // An open block is read again.
        let reading = |position: &StorePosition| StorePosition { visible_seq: position.next_seq, visible_offset: position.next_offset, ..*position };
        self.seen = positions.iter().map(|position| (position.partition, reading(position))).collect();
        if self.kind == Kind::CompareAndSet {
            self.seen = by_partition;
        }
        self.settled = self.seen.clone();
    }

    fn insert(&mut self, batch: &Batch) -> Next {
        let start = self.seen.get(&batch.partition).copied().unwrap_or(none(batch.partition));
        let mut settled = self.settled.get(&batch.partition).copied().unwrap_or(start);
        let (mut rows, mut block) = (Vec::new(), settled.next_seq / BLOCK);
        let walked = walk::walk(batch, &start, log::read, |record, row, before| {
            let tally = judge(record.offset, &row)?;
            if row.seq / BLOCK != block {
                block = row.seq / BLOCK;
                settled = *before;
            }
            rows.push((row.seq, row.nature));
            Ok::<_, Halt>(tally)
        });
        let position = match walked {
            Ok(position) => position,
            Err(halt) => return Next::Answer(Answer::Wrote(halt.outcome())),
        };
        if rows.is_empty() {
            return self.inserted(batch, start, position, settled);
        }
        self.phase = Phase::Inserting { start, position, settled };
        Next::Send(Request::Insert(batch.partition, rows))
    }

    fn inserted(&mut self, batch: &Batch, start: StorePosition, position: StorePosition, settled: StorePosition) -> Next {
        let partition = batch.partition;
        let stands = match self.kind {
            Kind::CompareAndSet if position != start => {
                self.phase = Phase::Moving(position);
                return Next::Send(Request::Move { from: self.seen.get(&partition).copied(), to: position });
            }
            Kind::Blocks => {
                self.settled.insert(partition, settled);
                StorePosition { visible_seq: position.next_seq, visible_offset: position.next_offset, ..settled }
            }
            Kind::Transaction | Kind::CompareAndSet | Kind::Deferred => position,
        };
        if self.kind != Kind::CompareAndSet {
            self.seen.insert(partition, position);
            self.written.insert(partition, stands);
        }
        Next::Answer(Answer::Wrote(Ok(Written::Done { position: stands, alerts: 0 })))
    }
}
