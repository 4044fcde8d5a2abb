//! The status line a second, and new alerts as readable lines.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use wh_schemas::event::SystemEvent;
use wh_schemas::topics::RISK_ALERTS;
use wh_schemas::{Alert, Reaction, Severity};
use wh_stores::clock;

use crate::args::RoleName;
use crate::operations::Operations;
use crate::pipeline::{self, Pipeline};

/// Alerts that are printed a second at most; the rest is counted.
const ALERTS_A_SECOND: usize = 5;

/// Tells people how the pipeline fares.
pub(crate) struct Ticker {
    operations: Arc<Operations>,
    line: ProgressBar,
    terminal: bool,
    settled: u64,
    at: Instant,
    alerts: Vec<u64>,
    metrics_at: Instant,
}

/// How long the log is waited for within one look.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

impl Ticker {
    /// Alerts that the log holds already are not printed.
    pub(crate) async fn new(pipeline: &Pipeline, operations: Arc<Operations>) -> Result<Ticker, Reaction> {
        use std::io::IsTerminal;
        let terminal = std::io::stderr().is_terminal();
        let line = ProgressBar::new_spinner();
        line.set_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()));
        let mut alerts = Vec::new();
        for partition in 0..pipeline.log.partitions(RISK_ALERTS).await? {
            alerts.push(pipeline.log.bounds(RISK_ALERTS, partition).await?.end);
        }
        Ok(Ticker { operations, line, terminal, settled: 0, at: Instant::now(), alerts, metrics_at: Instant::now() })
    }

    /// Prints a line above the status line.
    pub(crate) fn say(&self, text: &str) {
        self.line.suspend(|| anstream::println!("{text}"));
    }

    /// Skips alerts so far.
    pub(crate) async fn skip_alerts(&mut self, pipeline: &Pipeline) -> Result<(), Reaction> {
        for (partition, next) in (0..).zip(&mut self.alerts) {
            *next = pipeline.log.bounds(RISK_ALERTS, partition).await?.end;
        }
        Ok(())
    }

    /// One second's look: the line, and new alerts. A log that is away for a while is told, and looked at again. Cut short by a stop.
    pub(crate) async fn tick(&mut self, pipeline: &Pipeline, print_alerts: bool) -> Result<(), Reaction> {
        let stop = self.operations.stop.clone();
        let away = match stop.run_until_cancelled(tokio::time::timeout(PATIENCE, self.look(pipeline, print_alerts))).await {
            None | Some(Ok(Ok(()))) => return Ok(()),
            Some(Ok(Err(Reaction::Transient { message, .. }))) => message,
            Some(Ok(Err(other))) => return Err(other),
            Some(Err(_)) => "the log does not answer".to_owned(),
        };
        self.say(&format!("waiting: {away}"));
        Ok(())
    }

    /// A look, where a second has passed since the last one.
    pub(crate) async fn tick_if_due(&mut self, pipeline: &Pipeline) -> Result<(), Reaction> {
        if self.at.elapsed().as_secs() >= 1 { self.tick(pipeline, false).await } else { Ok(()) }
    }

    async fn look(&mut self, pipeline: &Pipeline, print_alerts: bool) -> Result<(), Reaction> {
        let lags = pipeline.lags().await?;
        for (role, lag) in &lags {
            if let Some(gauge) = self.operations.lags.get(role) {
                gauge.store(*lag, Ordering::Relaxed);
            }
        }
        let slowest = pipeline.gauges.iter().filter(|(role, _)| **role > RoleName::Patterns).map(|(_, gauges)| gauges.records.load(Ordering::Relaxed)).min().unwrap_or(0);
        #[expect(clippy::cast_precision_loss, reason = "records in a second")]
        let rate = (slowest - self.settled.min(slowest)) as f64 / self.at.elapsed().as_secs_f64().max(0.001);
        self.settled = slowest;
        self.at = Instant::now();
        let p99 = pipeline.gauges.iter().filter(|(role, _)| **role > RoleName::Patterns).map(|(_, gauges)| gauges.visible_quantiles(&[0.99], false).0[0]).max().unwrap_or(0);
        let raised: u64 = [RoleName::Scorer, RoleName::Patterns].iter().filter_map(|role| pipeline.gauges.get(role)).map(|g| g.alerts.load(Ordering::Relaxed)).sum();
        let dead: u64 = pipeline.gauges.values().map(|g| g.dead_letters.load(Ordering::Relaxed)).sum();
        let waiting = lags.iter().map(|(role, lag)| format!("{} {lag}", pipeline::name(*role))).collect::<Vec<_>>().join(" · ");
        let now = clock::now().to_string();
        let time = now.get(11..19).unwrap_or_default();
        let mut text = format!("{time}  {rate:>8.1} tx/s  waiting: {waiting}  alerts {raised}  p99 {}", millis(p99));
        if dead > 0 {
            text.push_str(&format!("  dead letters {dead}"));
        }
        if self.terminal {
            self.line.set_message(text);
            self.line.tick();
        } else {
            anstream::eprintln!("{text}");
        }
        self.print_alerts(pipeline, print_alerts).await?;
        if self.metrics_at.elapsed().as_secs() >= 10 {
            self.metrics_at = Instant::now();
            self.emit_metrics(pipeline, &lags).await?;
        }
        Ok(())
    }

    async fn print_alerts(&mut self, pipeline: &Pipeline, print: bool) -> Result<(), Reaction> {
        let mut printed = 0;
        let mut more = 0_u64;
        for partition in 0..u32::try_from(self.alerts.len()).unwrap_or(0) {
            let next = &mut self.alerts[partition as usize];
            let end = pipeline.log.bounds(RISK_ALERTS, partition).await?.end;
            if *next >= end {
                continue;
            }
            if !print {
                *next = end;
                continue;
            }
            let records = pipeline.log.read(RISK_ALERTS, partition, *next, 64 * 1024).await?;
            for record in &records {
                *next = record.offset + 1;
                let Ok(alert) = serde_json::from_slice::<Alert<'_>>(&record.value) else { continue };
                // A pattern below an alert's score asks nobody to look.
                if !alert.is_raised() {
                    continue;
                }
                if printed == ALERTS_A_SECOND {
                    more += 1;
                    continue;
                }
                printed += 1;
                let colour = if alert.severity == Severity::Critical { anstyle::AnsiColor::Red } else { anstyle::AnsiColor::Yellow };
                let style = anstyle::Style::new().bold().fg_color(Some(colour.into()));
                let what = if alert.pattern.is_some() { "PATTERN ALERT" } else { "ALERT" };
                let text = format!("{style}{what} {} {}{style:#}  {}", alert.risk_score, alert.severity.as_str(), alert.message);
                self.line.suspend(|| anstream::println!("{text}"));
            }
        }
        if more > 0 {
            self.say(&format!("… and {more} more alerts this second: wardhouse sql \"SELECT * FROM risk_alerts ORDER BY created_at DESC LIMIT 20\""));
        }
        Ok(())
    }

    async fn emit_metrics(&self, pipeline: &Pipeline, lags: &[(RoleName, u64)]) -> Result<(), Reaction> {
        let now = clock::now();
        let lags: BTreeMap<RoleName, u64> = lags.iter().copied().collect();
        let mut events = Vec::new();
        for (role, gauges) in &pipeline.gauges {
            let labels = serde_json::json!({ "stage": pipeline::name(*role) });
            let quantile = gauges.visible_quantiles(&[0.99], false).0[0];
            let values = [
                ("lag", lags.get(role).copied().unwrap_or(0), "records"),
                ("settled", gauges.records.load(Ordering::Relaxed), "records"),
                ("dead_letters", gauges.dead_letters.load(Ordering::Relaxed), "records"),
                ("append_to_visible_p99", quantile, "microseconds"),
            ];
            for (name, value, unit) in values {
                #[expect(clippy::cast_precision_loss, reason = "counts and microseconds far below 2^53")]
                let value = value as f64;
                events.push(SystemEvent::Metric { name: name.to_owned(), value, unit: unit.to_owned(), labels: labels.as_object().cloned().unwrap_or_default(), timestamp: now });
            }
        }
        for (role, gauges) in &pipeline.gauges {
            for (kind, count) in gauges.letters() {
                let labels = serde_json::json!({ "stage": pipeline::name(*role), "class": kind.class, "fingerprint": kind.fingerprint });
                let labels = labels.as_object().cloned().unwrap_or_default();
                #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
                let value = count as f64;
                events.push(SystemEvent::Metric { name: "dead_letters_alike".to_owned(), value, unit: "records".to_owned(), labels, timestamp: now });
            }
        }
        match pipeline::emit(&*pipeline.log, events).await {
            // Figures of ten seconds ago are not worth waiting for.
            Err(Reaction::Transient { .. }) => Ok(()),
            other => other,
        }
    }

    /// Shows the line again.
    pub(crate) fn resume(&self) {
        self.line.reset();
    }

    /// Takes the line away.
    pub(crate) fn finish(&self) {
        self.line.finish_and_clear();
    }
}

/// Microseconds as people read them.
pub(crate) fn millis(micros: u64) -> String {
    match micros {
        0 => "–".to_owned(),
        1..10_000 => format!("{:.1} ms", f64::from(u32::try_from(micros).unwrap_or(0)) / 1000.0),
        10_000..10_000_000 => format!("{} ms", micros / 1000),
        _ => format!("{} s", micros / 1_000_000),
    }
}
