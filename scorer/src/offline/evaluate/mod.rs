//! How well the scorer finds fraud: on generated streams with hidden truth, or on a labelled file of one's own.
//!
//! A stream goes through NDJSON and the same pass as `wardhouse score`; the truth stands beside it and is only compared with what came out.
//! Rows are ranked by their score, or that of a pattern alert on their line where it is higher. An incident counts as alerted where one of
//! its rows has an alert, or is a member of one.
//!
//! What must stay true: the same seeds and ruleset give the same figures, for any number of threads; nothing of the truth is in the stream
//! that is scored.

mod labelled;
mod measure;
mod report;

use std::io;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use wh_evaluation::{Config, Generated, Label, Scheme};
use wh_schemas::validate::Reading;

pub use labelled::{Fit, labelled};
pub use measure::{Measured, Scenario, Share};
pub use report::{json, plots, text};

use super::pass::{self, Fate, PassSettings, Passed, Row, Seen};
use super::score::{self, Order, Rejects, ScoreSettings};
use super::source::Lines;
use crate::dedup::DEFAULT_HORIZON;
use crate::engine::Ruleset;
use wh_schemas::scored::ALERT_SCORE;
use wh_schemas::time::SECOND;

/// With what streams are scored.
#[derive(Clone, Debug)]
pub struct EvaluateSettings {
    /// The rules.
    pub ruleset: Ruleset,
    /// How lines are read.
    pub reading: Reading,
    /// Partitions that users are spread over.
    pub partitions: u32,
    /// Streams that are scored at once.
    pub threads: usize,
}

/// One scored row, as far as it is measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Judged {
    number: u64,
    id: String,
    day: i64,
    /// Score, or that of a pattern alert on the line.
    rank: u8,
    alert: bool,
    /// Members of the alerts.
    members: Vec<String>,
    user: String,
    kind: &'static str,
    cents: i64,
    micros: i64,
}

fn view(seen: &Seen<'_>) -> Judged {
    let (transaction, score) = (seen.transaction, seen.score(0));
    let rank = score.risk_score();
    let alert = rank >= ALERT_SCORE;
    let completing = (transaction.timestamp.0.div_euclid(SECOND), transaction.transaction_id.as_str());
    Judged {
        number: seen.number,
        id: transaction.transaction_id.as_str().to_owned(),
        day: transaction.timestamp.0.div_euclid(wh_schemas::time::DAY),
        rank,
        alert,
        members: if alert { score::members(score, completing, None).into_iter().map(str::to_owned).collect() } else { Vec::new() },
        user: transaction.user_id.as_str().to_owned(),
        kind: transaction.transaction_type.as_str(),
        cents: transaction.amount.0,
        micros: transaction.timestamp.0,
    }
}

/// Scores a stream of NDJSON.
fn judge(input: &mut dyn io::BufRead, settings: &EvaluateSettings, threads: usize) -> io::Result<(Vec<Judged>, Passed)> {
    let pass =
        PassSettings { rulesets: vec![settings.ruleset.clone()], reading: settings.reading.clone(), partitions: settings.partitions, dedup_horizon: DEFAULT_HORIZON, threads };
    let mut rows = Vec::new();
    let passed = pass::run::<Judged>(&mut Lines::new(input), &pass, &view, &mut |row: Row<Judged>| {
        if let Fate::Scored { mut seen, patterns } = row.fate {
            for (_, found) in patterns {
                seen.rank = seen.rank.max(found.pattern.risk_score);
                seen.alert = true;
                seen.members.extend(found.pattern.members.iter().map(|member| member.as_str().to_owned()));
            }
            rows.push(seen);
        }
        Ok(())
    })?;
    Ok((rows, passed))
}

/// Generates, scores and measures one stream.
///
/// # Errors
/// Where a scoring thread has stopped.
pub fn generated(name: &str, generated: &Generated, settings: &EvaluateSettings, threads: usize) -> io::Result<Measured> {
    let (rows, _) = judge(&mut generated.ndjson().as_bytes(), settings, threads)?;
    let label = |row: &Judged| usize::try_from(row.number).ok().and_then(|n| generated.labels.get(n.checked_sub(1)?)).cloned();
    let labels: Vec<Label> = rows.iter().map(|row| label(row).unwrap_or(HONEST)).collect();
    // The plain baseline sees the rows in the order of arrival, as ours does.
    let plain = wh_evaluation::baseline::scores(&generated.transactions);
    let plain = rows.iter().map(|row| usize::try_from(row.number).ok().and_then(|n| plain.get(n.checked_sub(1)?)).copied().unwrap_or(0.0)).collect();
    Ok(measure::measure(name, &rows, &labels, plain))
}

const HONEST: Label = Label { fraud: false, incident: None, scenario: "not labelled", grade: None };

/// A stream that is to be made: its name, its seed, and the one scheme that it has where not the standard ones.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// Its seed.
    pub seed: u64,
    /// The one scheme of its incidents; all standard ones where `None`.
    pub scheme: Option<&'a dyn Scheme>,
}

impl Wanted<'_> {
    /// Its name in tables and of files.
    #[must_use]
    pub fn name(&self) -> String {
        self.scheme.map_or_else(|| self.seed.to_string(), |scheme| format!("{} {}", scheme.name(), self.seed))
    }

    /// The stream.
    #[must_use]
    pub fn generate(&self, config: &Config) -> Generated {
        match self.scheme {
            None => wh_evaluation::generate(config, self.seed),
            Some(scheme) => wh_evaluation::generate_with(config, self.seed, &[scheme]),
        }
    }
}

/// Generates, scores and measures streams, several at once; `made` is given each before it is scored, `done` is told after each.
///
/// # Errors
/// What a scoring thread or `made` says.
pub fn streams(
    wanted: &[Wanted<'_>],
    config: &Config,
    settings: &EvaluateSettings,
    made: &(dyn Fn(&Wanted<'_>, &Generated) -> io::Result<()> + Sync),
    done: &(dyn Fn() + Sync),
) -> io::Result<Vec<Measured>> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, io::Result<Measured>)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..settings.threads.clamp(1, wanted.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(stream) = wanted.get(at) else { return };
                    let transactions = stream.generate(config);
                    let measured = made(stream, &transactions).and_then(|()| generated(&stream.name(), &transactions, settings, 1));
                    done();
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((at, measured));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, measured)| measured).collect()
}

/// Nobody's rejected lines.
struct Unkept;
impl Rejects for Unkept {
    fn reject(&mut self, _: u64, _: &str, _: &str, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

/// Whether labels in the rows change any byte of what `wardhouse score` writes: without labels, with the true ones, and with those of other rows.
/// The first line that differs, where one does.
///
/// # Errors
/// Where a scoring thread has stopped.
pub fn labels_matter(stream: &Generated, settings: &EvaluateSettings) -> io::Result<Option<String>> {
    let score =
        ScoreSettings { ruleset: settings.ruleset.clone(), reading: settings.reading.clone(), order: Order::File, partitions: settings.partitions, threads: settings.threads };
    let scored = |text: &str| -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        score::run(&mut text.as_bytes(), &mut out, &mut Unkept, &score)?;
        Ok(out)
    };
    let without = scored(&stream.ndjson())?;
    let count = stream.labels.len().max(1);
    for step in [0, count / 2 + 1] {
        let labelled: String = stream
            .transactions
            .iter()
            .enumerate()
            .map(|(at, transaction)| {
                let label = stream.labels.get((at + step) % count).unwrap_or(&HONEST);
                let line = transaction.to_json();
                let line = line.strip_suffix('}').unwrap_or(&line).replacen("\"metadata\":{", &format!("\"metadata\":{{\"is_fraud\":{},", label.fraud), 1);
                let (incident, risk) = (label.incident.unwrap_or(0), if label.fraud { 100 } else { 1 });
                format!("{line},\"is_anomaly\":{},\"anomaly_type\":\"{}\",\"incident_id\":{incident},\"risk_score\":{risk}}}\n", label.fraud, label.scenario)
            })
            .collect();
        let with = scored(&labelled)?;
        if with != without {
            let differs = without.split(|b| *b == b'\n').zip(with.split(|b| *b == b'\n')).find(|(a, b)| a != b);
            return Ok(Some(differs.map_or_else(|| "the number of lines".to_owned(), |(a, b)| format!("{}\n{}", String::from_utf8_lossy(a), String::from_utf8_lossy(b)))));
        }
    }
    Ok(None)
}

/// Labels as a file that [`super::labels::Labels::read`] reads.
#[must_use]
pub fn labels_file(stream: &Generated) -> String {
    stream
        .transactions
        .iter()
        .zip(&stream.labels)
        .map(|(transaction, label)| {
            let line = serde_json::json!({
                "transaction_id": transaction.transaction_id,
                "fraud": label.fraud,
                "incident": label.incident,
                "scenario": label.scenario,
                "grade": label.grade.map(wh_evaluation::Grade::as_str),
            });
            format!("{line}\n")
        })
        .collect()
}

#[cfg(test)]
mod tests;
