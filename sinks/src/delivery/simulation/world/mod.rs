//! Everything around the instances, and what goes wrong with it; and what must hold whatever does.

mod checks;
mod counts;
mod faults;
mod network;

use std::collections::BTreeMap;
use std::time::Duration;

use wh_eventlog::Commit;
use wh_schemas::Reaction;

pub(super) use self::counts::Counts;

use super::Flaw;
use super::dice::Dice;
use super::instance::Instance;
use super::log::{Log, PARTITIONS};
use super::store::{Kind, Reply, Request, Server};
use crate::delivery::machine::{Action, Answer, Limits, Moment, Task, Ticket};

/// How long things go wrong.
const CHAOS: Duration = Duration::from_millis(2_500);
/// How long everything may take to settle after that.
const CALM: Duration = Duration::from_secs(60);
/// Instances at once.
const INSTANCES: usize = 3;
/// What the machine does at most before it is another's turn.
const TURNS: usize = 8;
/// Lines that are kept of what happened.
const LINES: usize = 400;

/// Something on its way.
struct Message {
    due: Moment,
    instance: usize,
    nonce: u64,
    body: Body,
}

enum Body {
    Request(Request),
    Reply(Reply),
}

pub(super) struct World {
    dice: Dice,
    now: Moment,
    kind: Kind,
    flaw: Flaw,
    limits: Limits,
    log: Log,
    server: Server,
    instances: Vec<Instance>,
    network: Vec<Message>,
    next_id: usize,
    next_nonce: u64,
    store_away_until: Moment,
    log_away_until: Moment,
    /// Below it every seq of the store was found to be there.
    checked: BTreeMap<u32, u64>,
    counts: Counts,
    trace: Option<Vec<String>>,
}

impl World {
    pub(super) fn new(seed: u64, flaw: Flaw, traced: bool) -> World {
        let mut dice = Dice::new(seed);
        let kind = dice.pick(&Kind::ALL).unwrap();
        let limits = Limits {
            batch_rows: usize::try_from(1 + dice.below(12)).unwrap(),
            batch_bytes: 4_000,
            batch_age: if dice.one_in(2) { Duration::ZERO } else { Duration::from_millis(10) },
            memory_bytes: 6_000,
            publish_every: Duration::from_millis(40),
            commit_every: Duration::from_millis(60),
            drain: Duration::from_millis(150),
            stop: Duration::from_millis(150),
            retry_first: Duration::from_millis(6),
            retry_longest: Duration::from_millis(80),
            opens_after: 3,
            probe_rows: 3,
            retain_every: Some(Duration::from_millis(900)),
            retain_again: Duration::from_millis(300),
        };
        let log = Log::new(&mut dice);
        World {
            dice,
            now: Moment::ZERO,
            kind,
            flaw,
            limits,
            log,
            server: Server::new(flaw),
            instances: Vec::new(),
            network: Vec::new(),
            next_id: 0,
            next_nonce: 0,
            store_away_until: Moment::ZERO,
            log_away_until: Moment::ZERO,
            checked: BTreeMap::new(),
            counts: Counts::default(),
            trace: traced.then(Vec::new),
        }
    }

    /// What happened last.
    pub(super) fn trace(&self) -> String {
        let lines = self.trace.as_deref().unwrap_or_default();
        format!("{:?}, {:?}\n{}", self.kind, self.limits, lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("\n"))
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>6} ms  {}", self.now.as_millis(), line()));
        }
    }

    fn is_chaos(&self) -> bool {
        self.now < CHAOS
    }

    pub(super) fn run(&mut self) -> Result<Counts, String> {
        self.start();
        while self.is_chaos() || !self.is_settled() {
            if self.now > CHAOS + CALM {
                return Err(format!("not settled {CALM:?} after the last fault: committed {:?}, the store stands at {:?}", self.log.committed, self.server.positions));
            }
            self.now += self.dice.millis(1, 16);
            if self.is_chaos() {
                self.go_wrong();
            }
            let (partition, count) = (u32::try_from(self.dice.below(u64::from(PARTITIONS))).unwrap(), usize::try_from(self.dice.below(4)).unwrap());
            // In the end all of it stands there.
            self.log.append(partition, if self.is_chaos() { count } else { usize::MAX / 2 });
            self.look_after_the_group();
            self.deliver()?;
            for at in 0..self.instances.len() {
                self.expire(at)?;
                self.turn(at)?;
            }
            self.instances.retain(|instance| instance.id != usize::MAX);
        }
        self.log.check_letters()?;
        self.check_rows()?;
        self.counts.partial_writes = self.server.partial;
        self.counts.letters = self.log.letters.len() as u64;
        Ok(self.counts)
    }

    fn start(&mut self) {
        let id = self.next_id;
        self.next_id += 1;
        let seed = self.dice.throw();
        self.instances.push(Instance::new(id, self.kind, self.limits.clone(), seed));
        self.note(|| format!("instance {id} starts"));
    }

    /// An instance is there no more; its requests go on.
    fn end(&mut self, at: usize) {
        let id = std::mem::replace(&mut self.instances[at].id, usize::MAX);
        for owner in &mut self.log.owners {
            if *owner == Some(id) {
                *owner = None;
            }
        }
        self.note(|| format!("instance {id} is gone"));
    }

    /// What the runner does in its loop.
    fn turn(&mut self, at: usize) -> Result<(), String> {
        for _ in 0..TURNS {
            let now = self.now;
            let instance = &mut self.instances[at];
            instance.obey();
            let held = instance.machine.weight();
            match instance.machine.next(now) {
                Action::Do(ticket, Task::Bury(letter)) => self.bury(at, ticket, letter.partition, letter.record.offset)?,
                Action::Do(ticket, task) => {
                    if instance.pending.is_some() {
                        return Err("two calls at once".to_owned());
                    }
                    let next = instance.client.begin(&task);
                    self.go_on(at, ticket, task, next)?;
                }
                Action::Commit(ticket, commits) => self.commit(at, ticket, commits)?,
                Action::Await(_) => return Ok(()),
                Action::Poll(_) => {
                    // A fetch of twelve may come on top.
                    if held > self.limits.memory_bytes + 3_000 {
                        return Err(format!("{held} bytes are held"));
                    }
                    if self.log_fails() {
                        return Ok(());
                    }
                    let instance = &mut self.instances[at];
                    let event = instance.poll(&mut self.log, &mut self.dice, now);
                    instance.tell(event, now);
                    return Ok(());
                }
                Action::End => {
                    self.end(at);
                    return Ok(());
                }
            }
            if self.chance(400) {
                // Between any two things that it does.
                self.counts.kills += 1;
                self.end(at);
                return Ok(());
            }
        }
        Ok(())
    }

    fn bury(&mut self, at: usize, ticket: Ticket, partition: u32, offset: u64) -> Result<(), String> {
        let outcome = if self.log_fails() {
            Err(Reaction::transient("the log is away"))
        } else {
            if self.flaw != Flaw::LosesLetters {
                self.log.bury(partition, offset)?;
            }
            self.note(|| format!("partition {partition}, offset {offset} is buried"));
            if self.chance(10) {
                self.counts.lost_letters += 1;
                Err(Reaction::transient("no answer in time"))
            } else {
                Ok(())
            }
        };
        self.answer(at, ticket, Answer::Buried(outcome))
    }

    fn commit(&mut self, at: usize, ticket: Ticket, mut commits: Vec<Commit>) -> Result<(), String> {
        let outcome = if self.log_fails() {
            Err(Reaction::transient("the log is away"))
        } else {
            if self.flaw == Flaw::CommitsAhead {
                commits.iter_mut().for_each(|commit| commit.next_offset += 1);
            }
            for commit in &commits {
                let reached = self.server.position(commit.partition).next_offset;
                if commit.next_offset > reached {
                    return Err(format!("partition {} is committed up to {}, and the store has come to {reached}", commit.partition, commit.next_offset));
                }
            }
            let all = self.log.commit(self.instances[at].id, &commits);
            if all && !self.chance(20) { Ok(()) } else { Err(Reaction::transient("another member reads it now, or no answer in time")) }
        };
        self.answer(at, ticket, Answer::Committed(outcome))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A panic's seed is told by who runs it; what happened before is here.
        if std::thread::panicking()
            && let Some(trace) = &self.trace
        {
            eprintln!("{}", trace.iter().rev().take(40).rev().cloned().collect::<Vec<_>>().join("\n"));
        }
    }
}
