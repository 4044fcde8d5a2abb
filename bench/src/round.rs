//! One rate, held for a while: sent, read back second by second, drained, counted.
//!
//! What must stay true: figures of the measured time hold nothing of the warm-up and nothing of the draining, but for the latencies of
//! what was intended within it; what is counted at the end is counted in the stores.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wh_stores::Role;

use crate::live::Live;
use crate::load::{Offered, Supply, offer};
use crate::look::Look;
use crate::readback::latencies::NAMES;
use crate::readback::{Counted, Watching};
use crate::report::{Load, ProcessUse, Round, Second};
use crate::schedule::{Arrivals, Schedule};
use crate::session::{GENERATOR, Session};
use crate::verdict::{grows, lag_slope, slope, verdict};

/// Between the decision to begin and the first transaction.
const HEAD_START: u64 = 200_000;
/// Samples a second that are looked for in each store.
const SAMPLES: f64 = 100.0;
/// How much later than meant a look may be and still be of the measured time.
const LATE_LOOK: u64 = 500_000;
/// How long nothing may move before draining is given up.
const STUCK: Duration = Duration::from_secs(30);
/// How long alerts of patterns, which wait until partitions are quiet, may take behind everything else.
const LAST_ALERTS: Duration = Duration::from_secs(10);
/// How long the last samples may take to be seen once every store says that it has everything.
const LAST_SAMPLES: Duration = Duration::from_millis(300);
const LOOK: Duration = Duration::from_millis(100);
/// A search does not wait for the end of a round whose lag has come to so many seconds of the rate and rises …
const HOPELESS_S: f64 = 5.0;
/// … over so many seconds, the first of which are not told by.
const HOPELESS_OVER: usize = 8;
const HOPELESS_FROM_S: f64 = 10.0;

/// A rate to be tried.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Transactions a second.
    pub rate: f64,
    /// Their shape.
    pub arrivals: Arrivals,
    /// How long is measured.
    pub duration: Duration,
    /// How long before that is not.
    pub warmup: Duration,
    /// Of random arrivals.
    pub seed: u64,
    /// Whether a round that cannot end well is ended early.
    pub may_end_early: bool,
}

/// A round, and what a report tells beside it.
pub struct Measured {
    /// The round.
    pub round: Round,
    /// CPU of a transaction by the names of the pipeline's threads, where it is one process.
    pub threads: BTreeMap<String, f64>,
    /// What each store held at its end, since the session began.
    pub counted: BTreeMap<&'static str, Counted>,
    /// Alerts that search must hold by then.
    pub alerts: u64,
}

/// What was seen while it was sent.
struct Watched {
    series: Vec<Second>,
    first: Arc<Look>,
    last: Arc<Look>,
    most: BTreeMap<String, u64>,
    offered: Offered,
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run")]
fn real(count: u64) -> f64 {
    count as f64
}

/// Tries a rate. `before` is what the stores held when it began.
///
/// # Errors
/// A sentence, where the pipeline or the log ends, or a store cannot be counted.
pub async fn measure(session: &mut Session, trial: &Trial, before: &BTreeMap<&'static str, Counted>, live: &Live) -> Result<Measured, String> {
    let shared = session.shared.clone();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
    shared.sample_every.store((trial.rate / SAMPLES).ceil().max(1.0) as u64, Ordering::Relaxed);
    let scored_before = shared.scored_so_far();
    let schedule = Schedule::new(&trial.arrivals, trial.rate, trial.warmup, trial.duration, trial.seed);
    let intended_rate = schedule.expected() / (trial.warmup + trial.duration).as_secs_f64();
    let Watched { series, first, last, most, offered } = send_and_watch(session, trial, schedule, live).await?;
    live.doing("waiting until every store has everything");
    let draining = Instant::now();
    let drained = drain(session, live).await?;
    let drained_s = draining.elapsed().as_secs_f64();
    account_for_samples(session, drained).await;
    let (counted, alerts) = count(session).await?;
    let latencies = shared.latencies.told();
    let processes = last.processes(&first, &most);
    let (seconds, sent) = (last.seconds_since(&first), last.sent.saturating_sub(first.sent));
    let achieved = real(sent) / seconds;
    let generator_us = processes.iter().find(|process| process.name == GENERATOR).map_or(0.0, |process| process.cpu_us_per_tx);
    let load = Load {
        intended_rate,
        offered: offered.offered,
        sent: offered.sent,
        achieved_rate: achieved,
        generator_behind_us_max: offered.behind_us_max,
        limited_by_generator: offered.is_limited(),
        generator_cpu_us_per_tx: generator_us,
    };
    let failed =
        (!drained).then(|| format!("nothing moved for {} seconds while {} were not in every store", STUCK.as_secs(), shared.sent_so_far().saturating_sub(session.reached())));
    let measured: Vec<Second> = series.iter().filter(|second| second.t_s > 0.0 && second.t_s <= trial.duration.as_secs_f64() + 1.5).cloned().collect();
    let told = verdict(trial.rate, &measured, &latencies, offered.is_limited().then_some(offered.behind_us_p99), failed.as_deref());
    let stored = |(role, counted): (&&'static str, &Counted)| ((*role).to_owned(), counted.rows.saturating_sub(before.get(role).map_or(0, |before| before.rows)));
    let round = Round {
        rate: trial.rate,
        scored_rate: real(last.scored.saturating_sub(first.scored)) / seconds,
        seconds,
        sent,
        scored: shared.scored_so_far() - scored_before,
        stored: counted.iter().map(stored).collect(),
        lag_start: first.lag(),
        lag_end: last.lag(),
        lag_slope_per_s: lag_slope(&measured).per_s,
        drained_s,
        latencies,
        other_cores: last.other_cores(&first, &processes),
        processes,
        disk_waits: last.disk_waits(&first),
        verdict: told,
        series,
        load,
    };
    let threads = pipeline_of(&round.processes).map_or_else(BTreeMap::new, |name| last.threads(&first, name));
    Ok(Measured { round, threads, counted, alerts })
}

/// The name of the pipeline's process, where it is one.
fn pipeline_of(processes: &[ProcessUse]) -> Option<&str> {
    let mut ours = processes.iter().filter(|process| process.ours && process.name != GENERATOR);
    ours.next().filter(|_| ours.next().is_none()).map(|process| process.name.as_str())
}

/// Sends what is intended, and looks once a second.
async fn send_and_watch(session: &mut Session, trial: &Trial, schedule: Schedule, live: &Live) -> Result<Watched, String> {
    let shared = session.shared.clone();
    let begun = shared.clock.micros() + HEAD_START;
    let from = begun + micros(trial.warmup);
    let mut until = from + micros(trial.duration);
    shared.latencies.begin(from, until);
    let end = CancellationToken::new();
    let _ends_with_us = end.clone().drop_guard();
    let mut supply = session.supply.take().ok_or("the load has ended")?;
    let (entrance, sender, ended) = (session.entrance.clone(), shared.clone(), end.clone());
    let mut sending = tokio::spawn(async move {
        let offered: Result<Offered, String> = offer(&mut supply, &entrance, schedule, begun, &sender, &ended).await;
        (supply, offered)
    });
    tokio::time::sleep_until(shared.clock.instant(begun)).await;
    let mut before = Arc::new(Look::now(session).await?);
    let (mut first, mut last) = (before.clone(), None);
    let (mut series, mut most, mut recent) = (Vec::new(), BTreeMap::new(), VecDeque::new());
    let mut tick = begun;
    let sent: (Supply, Result<Offered, String>) = loop {
        tick += 1_000_000;
        let done = tokio::select! {
            done = &mut sending => Some(done.map_err(|error| format!("sending failed: {error}"))?),
            () = tokio::time::sleep_until(shared.clock.instant(tick)) => None,
        };
        if let Some(ended) = session.pipeline.ended() {
            return Err(ended);
        }
        let look = Arc::new(Look::now(session).await?);
        // The last may come right behind the one before.
        if done.is_none() || look.seconds_since(&before) > 0.5 {
            let p99 = shared.latencies.second();
            let second = look.second(&before, from, p99.values().copied().max());
            live.show(trial.rate, &second, trial.duration.as_secs_f64(), &p99);
            recent.push_back((second.t_s, second.lag));
            if recent.len() > HOPELESS_OVER {
                recent.pop_front();
            }
            let rises = grows(slope(recent.make_contiguous()), second.lag, trial.rate);
            if trial.may_end_early && rises && second.t_s > HOPELESS_FROM_S && second.lag > trial.rate * HOPELESS_S && !end.is_cancelled() {
                until = look.at;
                shared.latencies.end(until);
                end.cancel();
            }
            series.push(second);
            before = look.clone();
        }
        for (name, bytes) in look.memory() {
            let held = most.entry(name.to_owned()).or_insert(0);
            *held = bytes.max(*held);
        }
        if look.at < from || first.at < from {
            first = look;
        } else if look.at <= until + LATE_LOOK {
            last = Some(look);
        }
        if let Some(done) = done {
            break done;
        }
    };
    let (supply, offered) = sent;
    session.supply = Some(supply);
    let last = last.unwrap_or(before);
    Ok(Watched { series, first, last, most, offered: offered? })
}

/// Waits until every store shows everything that was sent; `false` where nothing moves any more.
async fn drain(session: &mut Session, live: &Live) -> Result<bool, String> {
    let (mut moved, mut shown) = (Instant::now(), 0);
    loop {
        if let Some(ended) = session.pipeline.ended() {
            return Err(ended);
        }
        let (reached, sent) = (session.reached(), session.shared.sent_so_far());
        if reached >= sent {
            return Ok(true);
        }
        live.going_on(|| format!("waiting until every store has everything: {reached} of {sent}"));
        let all = session.watching.iter().map(Watching::reached).sum::<u64>() + session.shared.scored_so_far();
        if all != shown {
            (moved, shown) = (Instant::now(), all);
        }
        if moved.elapsed() >= STUCK {
            return Ok(false);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Every sample is accounted for: one that was not seen counts with the age that it has.
async fn account_for_samples(session: &Session, drained: bool) {
    let shared = &session.shared;
    tokio::time::sleep(LAST_SAMPLES).await;
    if !drained {
        let unscored = shared.unscored();
        shared.latencies.record(NAMES[0], unscored.into_iter(), shared.clock.micros());
    }
    for watching in &session.watching {
        let unseen = watching.give_up().await;
        if drained && unseen > 0 && watching.role != Role::Search {
            shared.fault(format!("{unseen} transactions that were looked for in {} were never seen there, though it says that it has them", watching.role));
        }
    }
}

/// Counts every store, and the alerts that search must hold: read behind each count, since patterns by account may still raise some.
async fn count(session: &Session) -> Result<(BTreeMap<&'static str, Counted>, u64), String> {
    let (mut counted, mut alerts) = (BTreeMap::new(), 0);
    for watching in &session.watching {
        let begun = Instant::now();
        let found = loop {
            let found = watching.count().await.map_err(|reaction| format!("stores.{} cannot be counted: {reaction}", watching.role))?;
            if watching.role != Role::Search {
                break found;
            }
            alerts = session.alerts().await.map_err(|reaction| reaction.to_string())?;
            if found.rows >= alerts || begun.elapsed() >= LAST_ALERTS {
                break found;
            }
            tokio::time::sleep(LOOK).await;
        };
        counted.insert(watching.role.as_str(), found);
    }
    Ok((counted, alerts))
}
