//! The delivery machine: decides what one sink does next. No I/O, no clock, no chance but that of its seed.
//!
//! Whoever drives it (the runner, or a simulation) tells it what happened ([`Machine::assigned`], [`Machine::took`],
//! [`Machine::answered`] …), obeys its [`Order`]s, and asks [`Machine::next`] what to do. It gathers records into batches, tries them again, halves
//! a batch that fails whole until the bad row stands alone, and lets positions advance over what is settled.
//!
//! What must stay true: a record is written only under the epoch in which it was read, and an answer that comes under another changes
//! nothing; a position is committed only for rows that are visible or in the dead letters, and only while the partition is ours; nothing is
//! written while a partition is still to be placed, since asking a store may make it forget what it has open; what is held in
//! memory is bounded, by pausing.

mod answers;
mod breaker;
mod ending;
mod partition;
mod placing;
#[cfg(test)]
mod properties;
mod protocol;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use wh_eventlog::retry::Backoff;
use wh_eventlog::settle::Token;
use wh_eventlog::{Assignment, Commit, Fetched};

pub use self::breaker::Trust;
pub use self::protocol::{Action, Answer, Letter, Limits, Moment, Order, Place, Task, Ticket};

use self::breaker::Breaker;
use self::ending::Ending;
use self::partition::{Partition, Piece};
use super::StorePosition;

/// The longest between two looks at a task that is under way.
const LOOK: Duration = Duration::from_millis(10);
/// The shortest wait: what is due at this very moment is done by the next call.
const SHORTEST: Duration = Duration::from_millis(1);

/// Decides what one sink does next.
#[derive(Debug)]
pub struct Machine {
    role: &'static str,
    limits: Limits,
    partitions: BTreeMap<Place, Partition>,
    /// Partitions with records to write, the one that has waited longest first.
    turns: VecDeque<Place>,
    breaker: Breaker,
    /// Waits of what the log is asked for.
    log_backoff: Backoff,
    log_not_before: Moment,
    /// What the store, or the dead letters, are at.
    call: Option<(Ticket, Call)>,
    /// What the log is at.
    log_call: Option<(Ticket, LogCall)>,
    tickets: u64,
    epochs: u64,
    /// Whether the store keeps the log's mark, as it does before the first row is written.
    bound: bool,
    /// Whether every partition is to be placed anew, since asking may make a store forget what it has open in any.
    asks_anew: bool,
    /// A record that is to be buried, with the rest of its piece.
    burial: Option<Burial>,
    /// Partitions that the log is to be given a first word of.
    newcomers: Vec<Newcomer>,
    /// What is written and not visible yet.
    unpublished: BTreeMap<Place, Unpublished>,
    unpublished_since: Option<Moment>,
    /// Positions that may be committed.
    commits: BTreeMap<Place, u64>,
    committed_at: Moment,
    /// When rows beyond retention are removed next.
    retain_at: Moment,
    /// Whether partitions are paused because too much waits.
    full: bool,
    ending: Option<Ending>,
    orders: Vec<Order>,
}

/// A task for the store, or for the dead letters.
#[derive(Debug)]
enum Call {
    Ask { topic: Arc<str> },
    Bind,
    Write { place: Place, epoch: u64, piece: Piece, begun: Moment },
    Bury(Burial),
    Publish,
    Retain,
}

/// A task for the log that needs the group's member.
#[derive(Debug)]
enum LogCall {
    Register(Vec<Newcomer>),
    Commit(BTreeMap<Place, u64>),
}

#[derive(Debug)]
struct Burial {
    place: Place,
    epoch: u64,
    piece: Piece,
    letter: Letter,
}

#[derive(Debug)]
struct Newcomer {
    place: Place,
    epoch: u64,
    position: StorePosition,
    /// The first offset that the log has.
    start: u64,
}

#[derive(Debug, Default)]
struct Unpublished {
    position: StorePosition,
    tokens: Vec<Token>,
}

impl Machine {
    /// Owns nothing yet. `role` stands in messages; `seed` is that of the waits.
    #[must_use]
    pub fn new(role: &'static str, limits: Limits, seed: u64) -> Machine {
        let backoff = |seed| Backoff::within(limits.retry_first, limits.retry_longest, seed);
        Machine {
            role,
            partitions: BTreeMap::new(),
            turns: VecDeque::new(),
            breaker: Breaker::new(limits.opens_after, backoff(seed)),
            log_backoff: backoff(seed.wrapping_add(1)),
            log_not_before: Moment::ZERO,
            limits,
            call: None,
            log_call: None,
            tickets: 0,
            epochs: 0,
            bound: false,
            asks_anew: false,
            burial: None,
            newcomers: Vec::new(),
            unpublished: BTreeMap::new(),
            unpublished_since: None,
            commits: BTreeMap::new(),
            committed_at: Moment::ZERO,
            retain_at: Moment::ZERO,
            full: false,
            ending: None,
            orders: Vec::new(),
        }
    }

    /// Whether the store is trusted with writes.
    #[must_use]
    pub fn trust(&self) -> Trust {
        self.breaker.trust()
    }

    /// Failures of the store since rows became visible last.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.breaker.failures()
    }

    /// Bytes of records that are read and not written.
    #[must_use]
    pub fn weight(&self) -> usize {
        let under_way = match &self.call {
            Some((_, Call::Write { piece, .. } | Call::Bury(Burial { piece, .. }))) => piece.weight,
            _ => 0,
        };
        let held = self.burial.as_ref().map_or(0, |burial| burial.piece.weight);
        under_way + held + self.partitions.values().map(Partition::weight).sum::<usize>()
    }

    /// Partitions are ours from now on. Every partition is placed anew.
    pub fn assigned(&mut self, partitions: Vec<Assignment>) {
        if partitions.is_empty() {
            return;
        }
        for assignment in partitions {
            let place = (assignment.topic, assignment.partition);
            self.forget(&place);
            self.epochs += 1;
            self.partitions.insert(place, Partition::new(self.epochs, assignment.committed.map(|(offset, _)| offset)));
        }
        self.asks_anew = true;
    }

    /// Records of a partition were read. What is not read from where the store said is dropped: it is read again.
    pub fn took(&mut self, fetched: Fetched, now: Moment) {
        let place = (fetched.topic, fetched.partition);
        let Some(partition) = self.partitions.get_mut(&place).filter(|partition| partition.placed && !partition.leaving) else { return };
        partition.gather(fetched.records, &self.limits, now);
        if partition.has_waiting() && !self.turns.contains(&place) {
            self.turns.push_back(place);
        }
    }

    /// What the consumer is to be told before the log is polled again.
    pub fn orders(&mut self) -> Vec<Order> {
        let weight = self.weight();
        self.full = if self.full { weight > self.limits.memory_bytes / 2 } else { weight >= self.limits.memory_bytes };
        for (place, partition) in &mut self.partitions {
            self.orders.extend(partition.seek.take().map(|offset| Order::Seek(place.clone(), offset)));
            let paused = !partition.placed || partition.leaving || self.full;
            if paused != partition.paused {
                partition.paused = paused;
                self.orders.push(Order::Pause(place.clone(), paused));
            }
        }
        std::mem::take(&mut self.orders)
    }

    /// What is to be done now.
    pub fn next(&mut self, now: Moment) -> Action {
        if self.log_call.is_some() {
            return Action::Await(LOOK);
        }
        if let Some(action) = self.next_of_ending(now) {
            return action;
        }
        if !self.commits.is_empty() && now >= self.committed_at + self.limits.commit_every {
            return self.commit(now);
        }
        if self.call.is_some() {
            return Action::Poll(LOOK);
        }
        self.next_call(now).unwrap_or_else(|| Action::Poll(self.wait(now)))
    }

    fn next_call(&mut self, now: Moment) -> Option<Action> {
        if let Some(action) = self.register().or_else(|| self.bury(now)) {
            return Some(action);
        }
        if !self.breaker.allows(now) {
            return None;
        }
        if self.is_to_be_placed() {
            // Asking may give up what was written and is not visible yet.
            if !self.unpublished.is_empty() {
                return Some(self.publish());
            }
            if now < self.log_not_before {
                return None;
            }
            if std::mem::take(&mut self.asks_anew) {
                self.put_aside();
            }
            return self.ask();
        }
        if self.is_to_be_bound() {
            return Some(self.begin(Call::Bind, Task::Bind));
        }
        if let Some(every) = self.limits.retain_every
            && self.breaker.trust() != Trust::Open
            && now >= self.retain_at
        {
            self.retain_at = now + every;
            return Some(self.begin(Call::Retain, Task::Retain));
        }
        if self.publish_at().is_some_and(|at| now >= at) {
            return Some(self.publish());
        }
        self.write(now, false)
    }

    /// How long nothing needs to be done but what the log brings.
    fn wait(&self, now: Moment) -> Duration {
        let gate = self.breaker.not_before();
        let places = self.is_to_be_placed();
        let ask = places.then(|| if self.unpublished.is_empty() { gate.max(self.log_not_before) } else { gate });
        let bind = self.is_to_be_bound().then_some(gate);
        let bury = self.burial.is_some().then_some(self.log_not_before);
        let publish = self.publish_at().map(|at| at.max(gate));
        let writes = !places && self.burial.is_none();
        let write = self.partitions.values().filter(|_| writes).filter_map(|partition| partition.due_at(&self.limits)).min().map(|at| at.max(gate));
        let commit = (!self.commits.is_empty()).then(|| self.committed_at + self.limits.commit_every);
        let due = [ask, bind, bury, publish, write, commit].into_iter().flatten().min();
        due.map_or(self.limits.commit_every, |at| at.saturating_sub(now)).min(self.limits.commit_every).max(SHORTEST)
    }

    fn is_to_be_placed(&self) -> bool {
        self.asks_anew || self.partitions.values().any(|partition| !partition.placed)
    }

    fn is_to_be_bound(&self) -> bool {
        !self.bound && !self.partitions.is_empty()
    }

    fn publish_at(&self) -> Option<Moment> {
        // What a store that was away took as a probe tells at once whether it is back.
        let patience = if self.breaker.trust() == Trust::HalfOpen { Duration::ZERO } else { self.limits.publish_every };
        self.unpublished_since.map(|since| since + patience)
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    fn begin(&mut self, call: Call, task: Task) -> Action {
        let ticket = self.ticket();
        self.call = Some((ticket, call));
        Action::Do(ticket, task)
    }

    fn begin_with_log(&mut self, call: LogCall) -> Action {
        let commit = |place: &Place, next_offset| Commit { topic: Arc::clone(&place.0), partition: place.1, next_offset, metadata: String::new() };
        let commits = match &call {
            LogCall::Register(newcomers) => newcomers.iter().map(|newcomer| commit(&newcomer.place, newcomer.start)).collect(),
            LogCall::Commit(commits) => commits.iter().map(|(place, next_offset)| commit(place, *next_offset)).collect(),
        };
        let ticket = self.ticket();
        self.log_call = Some((ticket, call));
        Action::Commit(ticket, commits)
    }

    fn ask(&mut self) -> Option<Action> {
        let topic = self.partitions.iter().find(|(_, partition)| !partition.placed).map(|(place, _)| Arc::clone(&place.0))?;
        let partitions = self.partitions.iter().filter(|((of, _), partition)| *of == topic && !partition.placed).map(|((_, number), _)| *number).collect();
        Some(self.begin(Call::Ask { topic: Arc::clone(&topic) }, Task::Ask { topic, partitions }))
    }

    fn register(&mut self) -> Option<Action> {
        let mut newcomers = std::mem::take(&mut self.newcomers);
        newcomers.retain(|newcomer| self.is_current(&newcomer.place, newcomer.epoch));
        (!newcomers.is_empty()).then(|| self.begin_with_log(LogCall::Register(newcomers)))
    }

    fn commit(&mut self, now: Moment) -> Action {
        self.committed_at = now;
        let commits = std::mem::take(&mut self.commits);
        self.begin_with_log(LogCall::Commit(commits))
    }

    fn publish(&mut self) -> Action {
        self.begin(Call::Publish, Task::Publish)
    }

    fn bury(&mut self, now: Moment) -> Option<Action> {
        if now < self.log_not_before {
            return None;
        }
        let burial = self.burial.take().filter(|burial| self.is_current(&burial.place, burial.epoch))?;
        let letter = burial.letter.clone();
        Some(self.begin(Call::Bury(burial), Task::Bury(letter)))
    }

    /// Writes the piece that has waited longest; of partitions that leave only, and those at once, where `leaving`.
    fn write(&mut self, now: Moment, leaving: bool) -> Option<Action> {
        // What is buried comes before what follows it.
        if self.burial.is_some() {
            return None;
        }
        let is_due = |partition: &Partition| if leaving { partition.leaving && partition.has_waiting() } else { partition.due_at(&self.limits).is_some_and(|at| now >= at) };
        let at = self.turns.iter().position(|place| self.partitions.get(place).is_some_and(is_due))?;
        let place = self.turns.remove(at)?;
        let partition = self.partitions.get_mut(&place)?;
        let mut piece = partition.next_piece()?;
        if self.breaker.trust() == Trust::HalfOpen && piece.records.len() > self.limits.probe_rows {
            let (probe, rest) = piece.split(self.limits.probe_rows.max(1));
            partition.give_back(rest);
            piece = probe;
        }
        piece.attempts += 1;
        if partition.has_waiting() {
            self.turns.push_back(place.clone());
        }
        let (epoch, batch) = (partition.epoch, piece.batch(&place));
        Some(self.begin(Call::Write { place, epoch, piece, begun: now }, Task::Write(batch)))
    }

    fn is_current(&self, place: &Place, epoch: u64) -> bool {
        self.partitions.get(place).is_some_and(|partition| partition.epoch == epoch)
    }

    /// A piece that was not written comes first again.
    fn give_back(&mut self, place: &Place, piece: Piece) {
        if let Some(partition) = self.partitions.get_mut(place) {
            partition.give_back(piece);
            self.turns.retain(|waiting| waiting != place);
            self.turns.push_front(place.clone());
        }
    }

    /// Forgets what was read and not written: every partition is to be placed anew.
    fn put_aside(&mut self) {
        for partition in self.partitions.values_mut() {
            self.epochs += 1;
            partition.put_aside(self.epochs);
        }
        self.turns.clear();
        self.burial = None;
        self.newcomers.clear();
    }

    /// A partition is no longer ours: nothing of it is written or committed any more.
    fn forget(&mut self, place: &Place) {
        if self.partitions.remove(place).is_some() {
            self.turns.retain(|waiting| waiting != place);
            self.unpublished.remove(place);
            if self.unpublished.is_empty() {
                self.unpublished_since = None;
            }
            self.commits.remove(place);
            self.orders.push(Order::Left(place.clone()));
        }
    }
}
