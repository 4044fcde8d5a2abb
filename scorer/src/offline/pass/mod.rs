//! One pass over a history: decoded, told apart from copies, scored by user and by account, under one ruleset or several side by side. What
//! the offline commands share.
//!
//! Records are decoded and scored on several threads, each of which owns partitions of the users, spread as the log spreads them; patterns by
//! account are found on the calling thread, in the order of the source, with every partition awaited from the start. A row comes out once no
//! pattern can be completed by it any more, in the order of the source ([`super::held`] says how long that is).
//!
//! What must stay true: what comes out is the same for any number of threads, since no state is shared between partitions; rulesets that
//! judge alike share their engines, and none sees what another's engine has learnt.

mod lane;
mod settling;
mod unanswered;

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{self, Receiver};

use bytes::Bytes;
use serde::Serialize;
use wh_schemas::AcceptedTransaction;
use wh_schemas::position::SeqPosition;
use wh_schemas::validate::Reading;

use super::held::{Held, Watermark};
use super::source::{Input, Source};
use crate::engine::{Engine, Ruleset, Score};
use crate::patterns::{AccountEngine, AccountRules, Found};
use lane::{Answer, Lane};
use settling::Settling;
use unanswered::Tally;

pub(super) use lane::lane_of;
pub use unanswered::{Unanswered, sentences};

/// Records that a chunk holds at most.
const CHUNK: usize = 4_096;
/// Chunks that are scored while one is settled.
const AHEAD: usize = 2;

/// How a pass is run.
#[derive(Clone, Debug)]
pub struct PassSettings {
    /// The rules, several to be compared.
    pub rulesets: Vec<Ruleset>,
    /// How lines are read.
    pub reading: Reading,
    /// Partitions that users are spread over, as in the log.
    pub partitions: u32,
    /// Ids that each partition remembers, to tell copies.
    pub dedup_horizon: usize,
    /// Threads that decode and score; what comes out does not depend on it.
    pub threads: usize,
}

/// A scored transaction as a thread shows it to the command before it lets go of it.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The transaction.
    pub transaction: &'a AcceptedTransaction<'a>,
    /// Line or offset.
    pub number: u64,
    /// Where it would stand in `risk-scores`.
    pub position: SeqPosition,
    scores: &'a [Score],
    engine_of: &'a [usize],
}

impl Seen<'_> {
    /// Its score under a ruleset, by its place in [`PassSettings::rulesets`].
    #[must_use]
    pub fn score(&self, ruleset: usize) -> &Score {
        static NONE: std::sync::LazyLock<Score> = std::sync::LazyLock::new(Score::default);
        self.engine_of.get(ruleset).and_then(|engine| self.scores.get(*engine)).unwrap_or(&NONE)
    }

    /// Whether two rulesets share an engine, so that their scores are one.
    #[must_use]
    pub fn same(&self, a: usize, b: usize) -> bool {
        self.engine_of.get(a) == self.engine_of.get(b)
    }
}

/// What became of a record.
#[derive(Debug)]
pub enum Fate<T> {
    /// Scored.
    Scored {
        /// What the command made of it.
        seen: T,
        /// Pattern alerts by account that it completes, each with the place of its ruleset.
        patterns: Vec<(usize, Found)>,
    },
    /// An exact copy of an earlier one.
    Duplicate,
    /// A copy that intake made after a crash.
    Copy,
    /// No transaction, or an id with another content.
    Rejected {
        /// Class of the fault.
        class: String,
        /// What is wrong.
        reason: String,
        /// Its bytes.
        raw: Bytes,
    },
}

/// A record and what became of it.
#[derive(Debug)]
pub struct Row<T> {
    /// Line or offset.
    pub number: u64,
    /// What became of it.
    pub fate: Fate<T>,
}

/// What became of all records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Passed {
    /// Records that were read.
    pub records: u64,
    /// Scored.
    pub scored: u64,
    /// Exact copies of an earlier one: scored once.
    pub duplicates: u64,
    /// Copies that intake made.
    pub copies: u64,
    /// Rejected: no transaction, or an id with another content.
    pub rejected: u64,
    /// Pattern alerts that came when their row had gone, by the bound on waiting rows.
    pub without_row: u64,
    /// Rows that a team's rule had no answer for, by ruleset and rule.
    pub unanswered: Vec<Unanswered>,
}

/// Which engine each ruleset uses, and which account engine.
struct Sharing {
    /// Rulesets that an engine is made of, by their place.
    engines: Vec<usize>,
    engine_of: Vec<usize>,
    /// Rulesets that an account engine is made of.
    accounts: Vec<usize>,
    account_of: Vec<usize>,
}

impl Sharing {
    fn of(rulesets: &[Ruleset]) -> Sharing {
        let by_user = |r: &Ruleset| Ruleset { name: String::new(), accounts: AccountRules::default(), ..r.clone() };
        let judged: Vec<Ruleset> = rulesets.iter().map(by_user).collect();
        let mut sharing = Sharing { engines: Vec::new(), engine_of: Vec::new(), accounts: Vec::new(), account_of: Vec::new() };
        for (at, ruleset) in rulesets.iter().enumerate() {
            let engine = sharing.engines.iter().position(|other| judged[*other] == judged[at]).unwrap_or_else(|| {
                sharing.engines.push(at);
                sharing.engines.len() - 1
            });
            sharing.engine_of.push(engine);
            let alike = |other: &usize| sharing.engine_of[*other] == engine && rulesets[*other].accounts == ruleset.accounts;
            let account = sharing.accounts.iter().position(alike).unwrap_or_else(|| {
                sharing.accounts.push(at);
                sharing.accounts.len() - 1
            });
            sharing.account_of.push(account);
        }
        sharing
    }
}

/// A chunk that is being scored.
struct Pending<T> {
    count: usize,
    answers: Receiver<Vec<(usize, u64, Answer<T>)>>,
}

/// Records for one thread: place in the chunk, partition, record.
type Job<T> = (Vec<(usize, u32, Input)>, mpsc::Sender<Vec<(usize, u64, Answer<T>)>>);

/// Runs a pass: `view` makes of each scored transaction what the command needs, on the thread that scored it; `sink` takes the rows in order.
///
/// # Errors
/// Where the source cannot be read, or what `sink` says.
pub fn run<T: Send>(
    source: &mut dyn Source,
    settings: &PassSettings,
    view: &(dyn Fn(&Seen<'_>) -> T + Sync),
    sink: &mut dyn FnMut(Row<T>) -> io::Result<()>,
) -> io::Result<Passed> {
    let partitions = settings.partitions.max(1);
    let threads = settings.threads.clamp(1, partitions as usize);
    let sharing = Sharing::of(&settings.rulesets);
    let engine_of = sharing.engine_of.clone();
    let mut owned: Vec<Vec<Lane>> = (0..threads).map(|_| Vec::new()).collect();
    for partition in 0..partitions {
        let engines = sharing.engines.iter().map(|at| Engine::new(settings.rulesets[*at].clone())).collect();
        owned[partition as usize % threads].push(Lane::new(partition, engines, settings.dedup_horizon));
    }
    let rules: Vec<&AccountRules> = sharing.accounts.iter().map(|at| &settings.rulesets[*at].accounts).collect();
    let watermark = Watermark::new(partitions, &rules);
    let mut engines: Vec<AccountEngine> = rules.into_iter().map(|rules| AccountEngine::new(rules.clone())).collect();
    let mut none = Vec::new();
    for engine in &mut engines {
        (0..partitions).for_each(|partition| engine.expect(partition, true, &mut none));
    }
    let mut settling = Settling { sharing, engines, held: Held::new(watermark), found: none, passed: Passed::default(), sink };
    std::thread::scope(|scope| -> io::Result<Passed> {
        let mut queues = Vec::new();
        let mut scoring = Vec::new();
        for mut lanes in owned {
            let (send, receive) = mpsc::sync_channel::<Job<T>>(AHEAD);
            queues.push(send);
            let (engine_of, reading) = (&engine_of, &settings.reading);
            scoring.push(scope.spawn(move || {
                for (job, answers) in receive {
                    let mut told = Vec::with_capacity(job.len());
                    for (index, partition, input) in job {
                        // This thread owns the partitions p with p mod threads = its number, in order.
                        if let Some(lane) = lanes.get_mut(partition as usize / threads) {
                            told.push((index, input.number, lane.take(&input, reading, engine_of, view)));
                        }
                    }
                    if answers.send(told).is_err() {
                        break;
                    }
                }
                let mut tally = Tally::default();
                lanes.iter().for_each(|lane| lane.tell_unanswered(&mut tally));
                tally
            }));
        }
        let stopped = || io::Error::other("a scoring thread has stopped");
        let mut settle = |pending: Pending<T>| -> io::Result<()> {
            let mut answers: Vec<Option<(u64, Answer<T>)>> = (0..pending.count).map(|_| None).collect();
            for (index, number, answer) in pending.answers.into_iter().flatten() {
                if let Some(place) = answers.get_mut(index) {
                    *place = Some((number, answer));
                }
            }
            for answer in answers {
                let (number, answer) = answer.ok_or_else(stopped)?;
                settling.take(number, answer)?;
            }
            Ok(())
        };
        let mut pending: VecDeque<Pending<T>> = VecDeque::new();
        loop {
            let chunk = source.read(CHUNK)?;
            if chunk.is_empty() {
                break;
            }
            let count = chunk.len();
            let mut jobs: Vec<Vec<(usize, u32, Input)>> = (0..threads).map(|_| Vec::with_capacity(count)).collect();
            for (index, input) in chunk.into_iter().enumerate() {
                let partition = lane_of(&input, partitions);
                jobs[partition as usize % threads].push((index, partition, input));
            }
            let (answers, collect) = mpsc::channel();
            for (queue, job) in queues.iter().zip(jobs) {
                queue.send((job, answers.clone())).map_err(|_| stopped())?;
            }
            drop(answers);
            pending.push_back(Pending { count, answers: collect });
            if pending.len() > AHEAD
                && let Some(first) = pending.pop_front()
            {
                settle(first)?;
            }
        }
        for last in pending {
            settle(last)?;
        }
        let mut passed = settling.finish()?;
        // Without queues the threads end, and tell what they counted.
        drop(queues);
        let mut tally = Tally::default();
        for thread in scoring {
            tally.join(thread.join().map_err(|_| stopped())?);
        }
        passed.unanswered = tally.by_ruleset(&engine_of);
        Ok(passed)
    })
}
