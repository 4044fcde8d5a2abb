//! Wiring: opens the log and the stores, starts the stages, and ends the process when one fails for good.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wh_eventlog::gauges::Gauges;
use wh_eventlog::reach::{NEARING, Watch};
use wh_eventlog::retry::until_settled;
use wh_eventlog::{Log, Record};
use wh_ingest::intake::IntakeSettings;
use wh_schemas::event::SystemEvent;
use wh_schemas::topics::{ACCEPTED_TRANSACTIONS, ACCOUNT_ACTIVITY, HOSPITAL_TRANSACTIONS, RISK_ALERTS, RISK_SCORES, SYSTEM_EVENTS};
use wh_schemas::{Reaction, ids};
use wh_sinks::delivery::runner::{self, RunnerSettings};
use wh_sinks::influxdb::Reporter;
use wh_stores::clock;
use wh_stores::holder::Holder;
use wh_stores::influxdb::InfluxdbSettings;
use wh_stores::places::{LogPlace, MetricsPlace};

use crate::args::{RoleName, StoreName};
use crate::settings::Settings;
use crate::supervision::{Outcome, supervised};
use crate::{build, stores};

/// The stages that move data, in the order of the data's way.
pub(crate) const STAGES: [RoleName; 7] = [RoleName::Intake, RoleName::Scorer, RoleName::Patterns, RoleName::Ledger, RoleName::Documents, RoleName::Metrics, RoleName::Search];

/// How often stages tell InfluxDB of themselves.
const REPORT_EVERY: std::time::Duration = std::time::Duration::from_secs(10);
/// How long an audit event may take.
const AUDIT_PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);
// A stop takes at most 15 seconds: its source 1 (`up`), then these three, then threads 1 (`LAST_THREADS`); the servers of SQL end meanwhile.
/// How long the last audit event may take.
const LAST_WORD: std::time::Duration = std::time::Duration::from_secs(1);
/// How long what was sent may take to reach every store.
const DRAIN: std::time::Duration = std::time::Duration::from_secs(3);
/// How long stages may take to settle what they have begun, after that: sinks take up to a second less (`Limits::stop`).
const SETTLE: std::time::Duration = std::time::Duration::from_secs(8);
const DRAIN_LOOK: std::time::Duration = std::time::Duration::from_millis(100);

/// Name of a role as it stands in groups, locks and metrics.
pub(crate) fn name(role: RoleName) -> &'static str {
    match role {
        RoleName::Intake => wh_ingest::intake::GROUP,
        RoleName::Scorer => wh_scorer::stage::GROUP,
        RoleName::Patterns => wh_scorer::pattern_stage::GROUP,
        RoleName::Ledger => "ledger",
        RoleName::Documents => "documents",
        RoleName::Metrics => "metrics",
        RoleName::Search => "search",
        RoleName::Http => "http",
        RoleName::Sql => "sql",
    }
}

/// Whether a role moves data, rather than answering requests.
fn is_stage(role: RoleName) -> bool {
    !matches!(role, RoleName::Http | RoleName::Sql)
}

/// Topics that a stage reads, but for the events of the stages themselves.
fn inputs(role: RoleName) -> &'static [&'static str] {
    match role {
        RoleName::Intake => &[HOSPITAL_TRANSACTIONS],
        RoleName::Scorer => &[ACCEPTED_TRANSACTIONS],
        RoleName::Patterns => &[ACCOUNT_ACTIVITY],
        RoleName::Ledger | RoleName::Search => &[RISK_SCORES, RISK_ALERTS],
        RoleName::Documents | RoleName::Metrics | RoleName::Http | RoleName::Sql => &[RISK_SCORES],
    }
}

/// The store that a sink's role writes.
fn store_of(role: RoleName) -> Option<StoreName> {
    match role {
        RoleName::Ledger => Some(StoreName::Ledger),
        RoleName::Documents => Some(StoreName::Documents),
        RoleName::Metrics => Some(StoreName::Metrics),
        RoleName::Search => Some(StoreName::Search),
        RoleName::Intake | RoleName::Scorer | RoleName::Patterns | RoleName::Http | RoleName::Sql => None,
    }
}

/// Opens something that a stage needs. What is away for the moment is opened by the stage itself, as often as it takes.
async fn opened<T>(stage: &'static str, open: impl Future<Output = Result<T, Reaction>>) -> Result<Option<T>, Reaction> {
    match open.await {
        Ok(value) => Ok(Some(value)),
        Err(Reaction::Transient { message, .. }) => {
            tracing::warn!(stage, "{message}; the other stages start without it");
            Ok(None)
        }
        Err(other) => Err(other),
    }
}

/// What was opened before, else opens it, as often as it takes; `None` when stopped meanwhile.
async fn ready<T, F>(opened: Option<T>, stop: &CancellationToken, gauges: &Gauges, open: impl FnMut() -> F) -> Result<Option<T>, Reaction>
where
    F: Future<Output = Result<T, Reaction>>,
{
    match opened {
        Some(opened) => Ok(Some(opened)),
        None => until_settled(stop, gauges, open).await,
    }
}

/// Stages that run in this process.
pub(crate) struct Pipeline {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) gauges: BTreeMap<RoleName, Arc<Gauges>>,
    tasks: JoinSet<Outcome>,
    stop: CancellationToken,
    /// Whether other processes may run the same roles.
    shared: bool,
    _holders: Vec<Holder>,
}

impl Pipeline {
    /// Opens everything, then starts the stages: nothing runs when something cannot be opened.
    ///
    /// # Errors
    /// What the log or a store says.
    pub(crate) async fn start(settings: &Settings, roles: &[RoleName], cold_start: bool) -> Result<Pipeline, Reaction> {
        let log = stores::open_log(settings).await?;
        // A second holder is told before it opens anything. A stage on the embedded log takes its role for good when it joins its group.
        let mut holders = Vec::new();
        for role in roles.iter().filter(|r| is_stage(**r)) {
            if settings.places.log_is_embedded() {
                drop(Holder::take(settings.places.locks(), name(*role))?);
            } else if settings.places.is_embedded(*role) {
                holders.push(Holder::take(settings.places.locks(), name(*role))?);
            }
        }
        // Side by side: one that is slow to answer holds up no other.
        let opening = roles.iter().filter_map(|role| Some((*role, store_of(*role)?))).map(|(role, store)| async move {
            let opened = opened(name(role), stores::open_store(settings, store)).await?;
            Ok::<_, Reaction>((role, (store, opened)))
        });
        let checkpoints = async { Ok(if roles.contains(&RoleName::Scorer) { Some(opened(name(RoleName::Scorer), stores::open_checkpoints(settings)).await?) } else { None }) };
        let patterns =
            async { Ok(if roles.contains(&RoleName::Patterns) { Some(opened(name(RoleName::Patterns), stores::open_pattern_checkpoints(settings)).await?) } else { None }) };
        let (stores, checkpoints, patterns) = futures::future::try_join3(futures::future::try_join_all(opening), checkpoints, patterns).await?;
        let stores: BTreeMap<_, _> = stores.into_iter().collect();
        let mut pipeline = Pipeline {
            log: log.clone(),
            gauges: BTreeMap::new(),
            tasks: JoinSet::new(),
            stop: CancellationToken::new(),
            shared: !settings.places.log_is_embedded(),
            _holders: holders,
        };
        for role in roles.iter().filter(|r| is_stage(**r)) {
            pipeline.gauges.insert(*role, Arc::new(Gauges::new(name(*role))));
        }
        let gauges = |role: RoleName| pipeline.gauges.get(&role).cloned().unwrap_or_else(|| Arc::new(Gauges::new(name(role))));
        if roles.contains(&RoleName::Intake) {
            let mut intake = IntakeSettings { dead_letters: settings.dead_letters, ..IntakeSettings::new(settings.reading.clone(), build::VERSION) };
            if let LogPlace::Kafka(kafka) = &settings.places.log {
                intake.record_max_bytes = usize::try_from(kafka.record_max_bytes).unwrap_or(usize::MAX);
            }
            let (log, gauges, stop) = (log.clone(), gauges(RoleName::Intake), pipeline.stop.clone());
            let run = {
                let (log, gauges, stop) = (log.clone(), gauges.clone(), stop.clone());
                move || wh_ingest::intake::run(log.clone(), intake.clone(), gauges.clone(), stop.clone())
            };
            pipeline.tasks.spawn(supervised(log, gauges, stop, run));
        }
        if let Some(mut checkpoints) = checkpoints {
            let stage = wh_scorer::stage::StageSettings {
                checkpoint_every: settings.checkpoint_every,
                dedup_horizon: settings.dedup_horizon,
                cold_start,
                dead_letters: settings.dead_letters,
                ..wh_scorer::stage::StageSettings::new(settings.ruleset.clone(), build::VERSION)
            };
            let (log, gauges, stop, settings) = (log.clone(), gauges(RoleName::Scorer), pipeline.stop.clone(), settings.clone());
            let run = {
                let (log, gauges, stop) = (log.clone(), gauges.clone(), stop.clone());
                move || {
                    let (log, gauges, stop, stage, settings, opened) = (log.clone(), gauges.clone(), stop.clone(), stage.clone(), settings.clone(), checkpoints.take());
                    async move {
                        let opening = ready(opened, &stop, &gauges, || stores::open_checkpoints(&settings)).await?;
                        let Some(checkpoints) = opening else { return Ok(()) };
                        wh_scorer::stage::run(log, checkpoints, stage, gauges, stop).await
                    }
                }
            };
            pipeline.tasks.spawn(supervised(log, gauges, stop, run));
        }
        if let Some(mut checkpoints) = patterns {
            let stage = wh_scorer::pattern_stage::PatternSettings {
                checkpoint_every: settings.checkpoint_every,
                idle_after: settings.quiet,
                dead_letters: settings.dead_letters,
                ..wh_scorer::pattern_stage::PatternSettings::new(settings.ruleset.account_rules(), wh_ingest::intake::GROUP, build::VERSION)
            };
            let (log, gauges, stop, settings) = (log.clone(), gauges(RoleName::Patterns), pipeline.stop.clone(), settings.clone());
            let run = {
                let (log, gauges, stop) = (log.clone(), gauges.clone(), stop.clone());
                move || {
                    let (log, gauges, stop, stage, settings, opened) = (log.clone(), gauges.clone(), stop.clone(), stage.clone(), settings.clone(), checkpoints.take());
                    async move {
                        let opening = ready(opened, &stop, &gauges, || stores::open_pattern_checkpoints(&settings)).await?;
                        let Some(checkpoints) = opening else { return Ok(()) };
                        wh_scorer::pattern_stage::run(log, checkpoints, stage, gauges, stop).await
                    }
                }
            };
            pipeline.tasks.spawn(supervised(log, gauges, stop, run));
        }
        for (role, (store_name, mut store)) in stores {
            let sink =
                RunnerSettings { publish_every: settings.publish_every, retention: settings.retention, dead_letters: settings.dead_letters, ..RunnerSettings::new(build::VERSION) };
            let (log, gauges, stop, settings) = (log.clone(), gauges(role), pipeline.stop.clone(), settings.clone());
            let run = {
                let (log, gauges, stop) = (log.clone(), gauges.clone(), stop.clone());
                move || {
                    let (log, gauges, stop, sink, settings, opened) = (log.clone(), gauges.clone(), stop.clone(), sink.clone(), settings.clone(), store.take());
                    async move {
                        let opening = ready(opened, &stop, &gauges, || stores::open_store(&settings, store_name)).await?;
                        let Some(store) = opening else { return Ok(()) };
                        runner::run(log, store, sink, gauges, stop).await
                    }
                }
            };
            pipeline.tasks.spawn(supervised(log, gauges, stop, run));
        }
        let (log, stop, interval) = (log.clone(), pipeline.stop.clone(), std::time::Duration::from_secs(600));
        let watched = pipeline.gauges.clone();
        pipeline.tasks.spawn(async move {
            let mut watch = Watch::default();
            loop {
                warn_of_retention(&*log, &mut watch, &watched).await;
                tokio::select! {
                    () = stop.cancelled() => return ("retention", Ok(())),
                    () = tokio::time::sleep(interval) => {}
                }
                match log.retain().await {
                    Ok(_) => {}
                    // A log that is busy or full for the moment ends nothing: what is old goes the next time.
                    Err(Reaction::Transient { message, .. }) => tracing::warn!("what the log no longer keeps is not removed yet: {message}"),
                    Err(other) => return ("retention", Err(other)),
                }
            }
        });
        if let MetricsPlace::Influxdb(influxdb) = &settings.places.metrics {
            let run = report(pipeline.log.clone(), pipeline.gauges.clone(), pipeline.shared, influxdb.clone(), pipeline.stop.clone());
            pipeline.tasks.spawn(async move {
                run.await;
                ("report", Ok(()))
            });
        }
        Ok(pipeline)
    }

    /// Waits until a stage ends by itself, which is a failure unless it was told to stop.
    ///
    /// # Errors
    /// The sentence that says why.
    pub(crate) async fn failed(&mut self) -> String {
        match self.tasks.join_next().await {
            None => "no stage is running".to_owned(),
            Some(Err(panic)) => format!("a stage ended unexpectedly: {panic}"),
            Some(Ok((stage, Err(reaction)))) => format!("{stage} stopped: {reaction}"),
            Some(Ok((stage, Ok(())))) => format!("{stage} ended though nobody stopped it"),
        }
    }

    /// Stops every stage, after a last audit event, so that the ledger has it. What the sources have sent gets some seconds to reach every
    /// store first; what does not make it waits in the log for the next start. Each stage settles what it has begun.
    ///
    /// # Errors
    /// The first sentence of a stage that failed on the way out, or that of a log which took no last word.
    pub(crate) async fn stop(mut self, last: Option<SystemEvent>) -> Result<(), String> {
        let mut ended = Vec::new();
        let said = match last {
            Some(event) => write(&*self.log, event, LAST_WORD).await,
            None => Ok(()),
        };
        let drained = async {
            loop {
                ended.extend(self.tasks.try_join_next());
                if !ended.is_empty() || self.is_idle().await.unwrap_or(true) {
                    break;
                }
                tokio::time::sleep(DRAIN_LOOK).await;
            }
        };
        // A log that is away does not make this longer.
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::info!("not everything is in every store yet; the rest waits in the log");
        }
        self.stop.cancel();
        let settled = async {
            while let Some(next) = self.tasks.join_next().await {
                ended.push(next);
            }
        };
        if tokio::time::timeout(SETTLE, settled).await.is_err() {
            tracing::warn!("{} stages did not end within {SETTLE:?}; what they had not settled is read again at the next start", self.tasks.len());
            self.tasks.abort_all();
        }
        let failure = ended.into_iter().find_map(|ended| match ended {
            Ok((_, Ok(()))) => None,
            Ok((stage, Err(reaction))) => Some(format!("{stage}: {reaction}")),
            Err(panic) => Some(format!("a stage ended unexpectedly: {panic}")),
        });
        failure.map_or_else(|| said.map_err(|reaction| reaction.to_string()), Err)
    }

    /// Records that each stage still has before it, by its own word.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub(crate) async fn lags(&self) -> Result<Vec<(RoleName, u64)>, Reaction> {
        lags(&*self.log, &self.gauges, self.shared).await
    }

    /// Whether no partition of the scorer is waited for any more, so that what patterns by account can find so far is found.
    pub(crate) fn is_quiet(&self) -> bool {
        self.gauges.get(&RoleName::Patterns).is_none_or(|gauges| gauges.waiting.load(Ordering::Relaxed) == 0)
    }

    /// Whether everything that the log held when this was called is settled and visible in every store.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub(crate) async fn is_idle(&self) -> Result<bool, Reaction> {
        // In the order of the data's way: what an earlier stage has settled is in the input of the next.
        for _ in 0..2 {
            match self.lags().await {
                Ok(lags) if lags.iter().all(|(_, lag)| *lag == 0) => {}
                // A log that is away for a while may hold anything.
                Ok(_) | Err(Reaction::Transient { .. }) => return Ok(false),
                Err(other) => return Err(other),
            }
        }
        Ok(true)
    }
}

/// Records that each stage of this process still has before it, by its own word.
async fn lags(log: &dyn Log, gauges: &BTreeMap<RoleName, Arc<Gauges>>, shared: bool) -> Result<Vec<(RoleName, u64)>, Reaction> {
    let mut lags = Vec::new();
    for (role, gauges) in gauges {
        let mut lag = 0;
        for topic in inputs(*role) {
            let partitions = log.partitions(topic).await?;
            let reached: Vec<Option<u64>> = (0..partitions).map(|partition| gauges.offset(topic, partition)).collect();
            // Where the log is shared, other members' partitions are theirs to tell; before the first assignment nothing is known yet. Of
            // patterns one instance works: one that stands by is never assigned anything.
            let others = shared && (*role == RoleName::Patterns || reached.iter().any(Option::is_some));
            for (partition, reached) in (0..partitions).zip(reached) {
                if reached.is_some() || !others {
                    let bounds = log.bounds(topic, partition).await?;
                    lag += bounds.end.saturating_sub(reached.unwrap_or(bounds.start));
                }
            }
        }
        lags.push((*role, lag));
    }
    Ok(lags)
}

/// Warns of stages that are so far behind that the log is about to remove what they have not read.
async fn warn_of_retention(log: &dyn Log, watch: &mut Watch, gauges: &BTreeMap<RoleName, Arc<Gauges>>) {
    for (role, gauges) in gauges {
        for topic in inputs(*role).iter().copied() {
            // A warning is not worth stopping for; the next look comes.
            for nearing in watch.look(log, gauges, topic, clock::now().0).await.unwrap_or_default() {
                let sentence = nearing.sentence();
                tracing::warn!(stage = nearing.stage, topic = nearing.topic, partition = nearing.partition, "{sentence}");
                let data = serde_json::json!({ "topic": nearing.topic, "partition": nearing.partition, "offset": nearing.offset, "message": sentence });
                if let Err(reaction) = audit(log, NEARING, nearing.stage, "warning", data).await {
                    tracing::warn!("the warning is not written: {reaction}");
                }
            }
        }
    }
}

/// Writes what the stages tell of themselves into InfluxDB, beside the metrics, until stopped.
async fn report(log: Arc<dyn Log>, gauges: BTreeMap<RoleName, Arc<Gauges>>, shared: bool, influxdb: InfluxdbSettings, stop: CancellationToken) {
    let mut reporter = None;
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(REPORT_EVERY) => {}
        }
        let outcome = async {
            if reporter.is_none() {
                reporter = Some(Reporter::open(&influxdb).await?);
            }
            let lags = lags(&*log, &gauges, shared).await?;
            let told: Vec<(&Gauges, u64)> = lags.iter().filter_map(|(role, lag)| Some((&**gauges.get(role)?, *lag))).collect();
            match &reporter {
                Some(reporter) => reporter.report(&told).await,
                None => Ok(()),
            }
        };
        // Figures about the pipeline are not worth stopping it.
        if let Err(reaction) = outcome.await {
            tracing::warn!("the stages' own figures are not written: {reaction}");
        }
    }
}

/// Writes an audit event into `system-events`; the ledger's sink projects it.
///
/// # Errors
/// What the log says.
pub(crate) async fn audit(log: &dyn Log, event_type: &str, source: &str, severity: &str, data: serde_json::Value) -> Result<(), Reaction> {
    write(log, event(event_type, source, severity, data), AUDIT_PATIENCE).await
}

/// An audit event that tells what this process does.
pub(crate) fn audited(event_type: &str, source: &str, data: serde_json::Value) -> SystemEvent {
    event(event_type, source, "info", data)
}

fn event(event_type: &str, source: &str, severity: &str, data: serde_json::Value) -> SystemEvent {
    let now = clock::now();
    SystemEvent::Audit {
        event_id: ids::event_id(&[event_type, source, &now.0.to_string(), &std::process::id().to_string()]).to_string(),
        event_type: event_type.to_owned(),
        source: source.to_owned(),
        principal: "local".to_owned(),
        severity: severity.to_owned(),
        data: data.as_object().cloned().unwrap_or_default(),
        timestamp: now,
    }
}

/// Writes an audit event, which must not hold up a start or a stop for as long as the log is away.
async fn write(log: &dyn Log, event: SystemEvent, patience: std::time::Duration) -> Result<(), Reaction> {
    match tokio::time::timeout(patience, emit(log, vec![event])).await {
        Ok(Err(Reaction::Transient { message, .. })) => tracing::warn!("an audit event is not written: {message}"),
        Ok(outcome) => return outcome,
        Err(_) => tracing::warn!("an audit event is not written yet: the log does not answer"),
    }
    Ok(())
}

/// Writes system events.
///
/// # Errors
/// What the log says.
pub(crate) async fn emit(log: &dyn Log, events: Vec<SystemEvent>) -> Result<(), Reaction> {
    let records = events.iter().map(|event| Record { key: None, value: serde_json::to_vec(event).unwrap_or_default().into(), headers: Vec::new() }).collect();
    log.produce(SYSTEM_EVENTS, 0, records).await.map(drop)
}

#[cfg(test)]
mod tests {
    use wh_sinks::delivery::machine::Limits;

    use super::*;
    use crate::commands::up::LAST_INPUT;
    use crate::commands::{LAST_THREADS, STOP};

    #[test]
    fn the_parts_of_a_stop_leave_each_other_time() {
        assert!(LAST_INPUT + LAST_WORD + DRAIN + SETTLE + LAST_THREADS < STOP);
        assert!(Limits::default().stop < SETTLE, "sinks commit what they have settled before they are cut off");
    }
}
