//! A measurement from its beginning to its end: places of its own, the pipeline, one round or a search, the report, and nothing left behind.
//!
//! What must stay true: what was made is removed whatever happens, being told to stop included; a store that cannot be reached is told
//! before anything is made; what was measured by then is reported whatever came next.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono_tz::Tz;
use tokio_util::sync::CancellationToken;
use wh_ingest::generator::GeneratorSettings;
use wh_schemas::Micros;
use wh_schemas::time::DAY;
use wh_stores::clock;
use wh_stores::places::LogPlace;

use crate::child::Program;
use crate::durability;
use crate::limit::Search;
use crate::limit::why::{self, Known};
use crate::live::Live;
use crate::places::Own;
use crate::processes::machine;
use crate::report::{Load, Report, Settings, StageCost, StoreUsed, VERSION, Verdict};
use crate::round::{self, Measured, Trial};
use crate::schedule::Arrivals;
use crate::servers::local_servers;
use crate::session::{GENERATOR, Plan, Session};
use crate::sizes::{self, Sizes};

/// Transactions of a user in a day, unless more are needed …
const DENSITY: f64 = 100.0;
/// … for the whole load to fit into so many days before now.
const DAYS: f64 = 200.0;
/// Transactions that a search is prepared for.
const SEARCHED: f64 = 20e6;
/// CPU of a thread, in microseconds a transaction, from which on it is told by itself.
const TOLD_THREAD_US: f64 = 0.5;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Transactions a second, one round each in this order; of a search, where it begins.
    pub rates: Vec<f64>,
    /// Their shape.
    pub arrivals: Arrivals,
    /// How long a round is measured.
    pub duration: Duration,
    /// How long before that it is not.
    pub warmup: Duration,
    /// Users that the transactions are of.
    pub users: u32,
    /// Share of them that belong to incidents.
    pub anomaly_rate: f64,
    /// Seed of the data and of random arrivals.
    pub seed: u64,
    /// Whether the highest rate that holds is looked for.
    pub find_limit: bool,
    /// Whether each stage is a process of its own.
    pub by_stage: bool,
    /// How often a store is looked at.
    pub poll: Duration,
}

/// What it is measured on.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Places of its own.
    pub own: Own,
    /// How the pipeline is started on them.
    pub program: Program,
    /// Partitions of the topics.
    pub partitions: u32,
    /// The hospital's time zone.
    pub zone: Tz,
    /// Version of the program.
    pub version: String,
    /// How it was built.
    pub profile: String,
    /// Settings that bear on speed, by name.
    pub pipeline: BTreeMap<String, String>,
}

/// Why there is no report.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Unmeasured {
    /// Stores that cannot be reached or will not do: a sentence each. Nothing was made.
    #[error("{}", .0.join("\n"))]
    Stores(Vec<String>),
    /// It was told to stop.
    #[error("stopped before its end; what it had made is removed")]
    Stopped,
    /// What failed.
    #[error("{0}")]
    Failed(String),
    /// It did not come to its end, and some rounds had come to theirs.
    #[error("{why}")]
    Broken {
        /// What they said.
        report: Box<Report>,
        /// What ended it.
        why: String,
    },
}

/// Measures.
///
/// # Errors
/// See [`Unmeasured`]. What is left behind, if anything, is told in the report's faults or behind the sentence.
pub async fn measure(setup: &Setup, options: &Options, live: &Live, stop: &CancellationToken) -> Result<Report, Unmeasured> {
    let started = clock::now();
    live.doing("reaching the stores");
    let reached = stop.run_until_cancelled(setup.own.reach()).await.ok_or(Unmeasured::Stopped)?;
    let mut stores = reached.map_err(Unmeasured::Stores)?;
    let asked = durability::tell(&mut stores, &setup.own.places, setup.own.door.as_ref());
    stop.run_until_cancelled(asked).await.ok_or(Unmeasured::Stopped)?;
    let (servers, mut faults) = local_servers(&stores);
    let plan =
        Plan { program: setup.program.clone(), by_stage: options.by_stage, partitions: setup.partitions, generator: generator(options, setup.zone, started), poll: options.poll };
    live.doing("making places of its own");
    let (mut held, mut found) = (None, Found::default());
    let measuring = async {
        setup.own.make().await?;
        live.doing("starting the pipeline");
        let session = held.insert(Session::start(&plan, &setup.own, &servers, stop).await?);
        rounds(session, &setup.own.places.log, options, live, &mut found).await
    };
    let outcome = stop.run_until_cancelled(measuring).await;
    live.doing("removing what was made");
    let mut told = Told::default();
    if let Some(session) = held {
        told = Told::of(&session);
        session.end().await;
    }
    let left = setup.own.remove().await;
    live.finish();
    let broken = match outcome {
        Some(Ok(())) => None,
        None if found.rounds.is_empty() && left.is_empty() => return Err(Unmeasured::Stopped),
        None => Some("stopped before its end".to_owned()),
        Some(Err(why)) => Some(why),
    };
    if let Some(why) = &broken {
        if found.rounds.is_empty() {
            return Err(Unmeasured::Failed([vec![why.clone()], left].concat().join("\n")));
        }
        faults.push(format!("it did not come to its end: this is of the {} rounds that did", found.rounds.len()));
        // What was sent of the round that broke off is counted in no store.
        told.sent = found.rounds.iter().map(|one| one.round.load.sent).sum();
    }
    faults.extend(told.faults.iter().cloned());
    faults.extend(left);
    let report = report(setup, options, stores, started, found, &told, faults);
    match broken {
        None => Ok(report),
        Some(why) => Err(Unmeasured::Broken { report: Box::new(report), why }),
    }
}

/// What the session says of itself before it ends.
#[derive(Default)]
struct Told {
    faults: Vec<String>,
    sent: u64,
    entrance: &'static str,
    bytes_sent_per_tx: f64,
    sample_every: u64,
}

impl Told {
    fn of(session: &Session) -> Told {
        Told {
            faults: session.shared.faults(),
            sent: session.shared.sent_so_far(),
            entrance: session.entrance.name(),
            bytes_sent_per_tx: session.supply.as_ref().map_or(0.0, crate::load::Supply::mean_bytes),
            sample_every: session.shared.sample_every.load(std::sync::atomic::Ordering::Relaxed),
        }
    }
}

/// What the rounds came to.
#[derive(Default)]
struct Found {
    rounds: Vec<Measured>,
    search: Option<Search>,
    /// What the stores took before the first.
    empty: Sizes,
    /// What they took after the last.
    full: Sizes,
}

#[expect(clippy::cast_possible_truncation, reason = "microseconds of some months")]
fn generator(options: &Options, zone: Tz, now: Micros) -> GeneratorSettings {
    let seconds = (options.warmup + options.duration).as_secs_f64();
    let planned = if options.find_limit { SEARCHED } else { options.rates.iter().sum::<f64>() * seconds };
    let users = f64::from(options.users);
    let density = (planned / users / DAYS).clamp(DENSITY, 10_000.0);
    // As many days before now as it fills, so that events are of the past as a bucket's retention counts it, and none of the future.
    let days = (planned / users / density).min(DAYS) + 2.0;
    let start = Micros(now.0 - (days * DAY as f64) as i64);
    GeneratorSettings { seed: options.seed, users: options.users, start, transactions_per_user_day: density, anomaly_rate: options.anomaly_rate, zone }
}

async fn rounds(session: &mut Session, log: &LogPlace, options: &Options, live: &Live, found: &mut Found) -> Result<(), String> {
    let trial = |rate: f64, number: u64| Trial {
        rate,
        arrivals: options.arrivals.clone(),
        duration: options.duration,
        warmup: options.warmup,
        seed: options.seed.wrapping_add(number),
        may_end_early: options.find_limit,
    };
    found.empty = sizes::before(session, log).await;
    let mut before = BTreeMap::new();
    let mut rates = options.rates.iter().copied();
    let mut next = rates.next();
    found.search = next.filter(|_| options.find_limit).map(Search::new);
    let mut number = 0;
    while let Some(rate) = next {
        let measured = round::measure(session, &trial(rate, number), &before, live).await?;
        let verdict = &measured.round.verdict;
        live.say(&format!("{rate:.0} tx/s: {verdict}"));
        next = match &mut found.search {
            Some(search) => {
                search.learn(verdict);
                search.next()
            }
            None => rates.next(),
        };
        before = measured.counted.clone();
        found.full = sizes::after(log, &measured.counted);
        found.rounds.push(measured);
        number += 1;
    }
    Ok(())
}

fn report(setup: &Setup, options: &Options, stores: Vec<StoreUsed>, started: Micros, found: Found, told: &Told, faults: Vec<String>) -> Report {
    let machine = machine();
    let Found { rounds: measured, search, empty, full } = found;
    let last = measured.last();
    let (lost, doubled) = last.map_or((0, 0), |last| differences(last, told.sent));
    // Of a search, the round that held; else the last.
    let held = measured.iter().filter(|one| one.round.verdict.is_sustained()).max_by(|one, other| one.round.rate.total_cmp(&other.round.rate));
    let failed_rate = search.as_ref().and_then(Search::failed);
    let speaks_against = |verdict: &Verdict| !verdict.is_sustained() && !matches!(verdict, Verdict::GeneratorLimited { .. });
    let failed = measured.iter().find(|one| failed_rate == Some(one.round.rate) && speaks_against(&one.round.verdict));
    let limit = search.as_ref().map(|search| {
        why::limit(&Known {
            held: held.map(|one| &one.round),
            failed: failed.map(|one| &one.round),
            cpus: machine.cpus,
            partitions: setup.partitions,
            by_generator: search.by_generator(),
        })
    });
    // Of a round that the generator limited, what was sent and what was worked on are not the same transactions: it costs nothing that is known.
    let costed = if search.is_some() { held.or(last) } else { last };
    let costed = costed.filter(|one| !matches!(one.round.verdict, Verdict::GeneratorLimited { .. }));
    let stages = costed.map(stages).unwrap_or_default();
    let kept = last.map(|last| sizes::kept(&empty, &full, &last.counted, told.sent)).unwrap_or_default();
    let bytes_per_tx = sizes::bytes_per_tx(&kept, told.sent);
    let load = Load {
        offered: measured.iter().map(|one| one.round.load.offered).sum(),
        sent: measured.iter().map(|one| one.round.load.sent).sum(),
        generator_behind_us_max: measured.iter().map(|one| one.round.load.generator_behind_us_max).max().unwrap_or(0),
        ..last.map(|last| last.round.load.clone()).unwrap_or_default()
    };
    let settings = Settings {
        stores,
        partitions: setup.partitions,
        arrivals: options.arrivals.name(),
        rate: options.rates.first().copied().unwrap_or(0.0),
        duration_s: options.duration.as_secs_f64(),
        warmup_s: options.warmup.as_secs_f64(),
        seed: options.seed,
        users: options.users,
        sample_every: told.sample_every,
        poll_ms: u64::try_from(options.poll.as_millis()).unwrap_or(0),
        entrance: told.entrance.to_owned(),
        bytes_sent_per_tx: told.bytes_sent_per_tx,
        pipeline: setup.pipeline.clone(),
    };
    Report {
        version: VERSION,
        wardhouse: setup.version.clone(),
        profile: setup.profile.clone(),
        started: started.to_string(),
        machine,
        settings,
        load,
        rounds: measured.into_iter().map(|one| one.round).collect(),
        limit,
        raw: Vec::new(),
        stages,
        bytes_per_tx,
        kept,
        plan: None,
        faults,
        lost,
        doubled,
    }
}

/// What the stores hold less and more than was sent; search is measured by the alerts in the log.
fn differences(last: &Measured, sent: u64) -> (u64, u64) {
    let mut sum = (0, 0);
    for (role, counted) in &last.counted {
        let wanted = if *role == wh_stores::Role::Search.as_str() { last.alerts } else { sent };
        sum = (sum.0 + wanted.saturating_sub(counted.rows), sum.1 + counted.rows.saturating_sub(wanted));
    }
    sum
}

/// What a transaction costs, by process, and by the threads of the pipeline where they are told apart by name.
#[expect(clippy::cast_precision_loss, reason = "bytes and counts of a run")]
fn stages(costed: &Measured) -> Vec<StageCost> {
    let sent = costed.round.sent.max(1) as f64;
    let processes = costed.round.processes.iter().filter(|process| process.name != GENERATOR);
    let by_process = processes.map(|process| StageCost { stage: process.name.clone(), cpu_us_per_tx: process.cpu_us_per_tx, bytes_per_tx: process.written_bytes as f64 / sent });
    let threads = costed.threads.iter().filter(|(_, cpu)| **cpu >= TOLD_THREAD_US);
    let by_thread = threads.map(|(name, cpu)| StageCost { stage: format!("pipeline, threads {name}"), cpu_us_per_tx: *cpu, bytes_per_tx: 0.0 });
    by_process.chain(by_thread).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readback::Counted;
    use crate::report::Round;

    #[test]
    fn what_is_missing_and_what_is_too_much_is_told_by_store() {
        let counted = |rows| Counted { rows, bytes: Some(2_000) };
        let last = Measured {
            round: Round::default(),
            threads: BTreeMap::new(),
            counted: BTreeMap::from([("ledger", counted(98)), ("documents", counted(101)), ("metrics", counted(100)), ("search", counted(7))]),
            alerts: 7,
        };
        assert_eq!(differences(&last, 100), (2, 1));
    }

    #[test]
    fn the_data_ends_about_now_and_fits_into_the_past() {
        let options = Options {
            rates: vec![10_000.0],
            arrivals: Arrivals::Constant,
            duration: Duration::from_secs(600),
            warmup: Duration::ZERO,
            users: 50,
            anomaly_rate: 0.1,
            seed: 1,
            find_limit: false,
            by_stage: false,
            poll: Duration::from_millis(25),
        };
        let now = Micros(1_770_000_000_000_000);
        let made = generator(&options, Tz::UTC, now);
        assert!((made.transactions_per_user_day - 600.0).abs() < 1.0 && now.0 - made.start.0 <= 203 * DAY);
        let made = generator(&Options { users: 10_000, ..options }, Tz::UTC, now);
        assert!(made.transactions_per_user_day == 100.0 && now.0 - made.start.0 <= 9 * DAY);
    }
}
