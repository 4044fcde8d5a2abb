//! What another ruleset would change: one pass over a history under the present one and the candidate, side by side.
//!
//! A line is alerted where it has an alert of its own or completes a pattern by account. Rows outside the asked-for time teach the baselines
//! and are not counted.
//!
//! What must stay true: neither ruleset sees what the other's engines learnt; nothing is written anywhere.

mod report;
mod shown;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use wh_schemas::scored::{ALERT_SCORE, RiskLevel};
use wh_schemas::time::DAY;
use wh_schemas::validate::Reading;
use wh_schemas::{Cents, Micros};

use super::labels::{self, Labels};
use super::pass::{self, Fate, PassSettings, Passed, Row, Seen};
use super::source::Source;
use crate::engine::{Ruleset, Score};
use crate::patterns::Found;

pub use report::text;
pub use shown::{Backtest, Change, Example, Outcome, Outcomes};

/// What is compared, and over what.
#[derive(Clone, Debug)]
pub struct BacktestSettings {
    /// The ruleset in force.
    pub present: Ruleset,
    /// The other one.
    pub candidate: Ruleset,
    /// How lines are read.
    pub reading: Reading,
    /// Partitions that users are spread over.
    pub partitions: u32,
    /// Ids that each partition remembers.
    pub dedup_horizon: usize,
    /// Threads that score.
    pub threads: usize,
    /// First event time that is counted.
    pub from: Option<Micros>,
    /// The event time behind the last that is counted.
    pub to: Option<Micros>,
    /// Examples of each kind.
    pub examples: usize,
}

/// What only an alerted row is asked for.
struct Detail {
    id: String,
    user: String,
    amount: Cents,
    rules: [Option<String>; 2],
    difference: String,
}

/// A row under both.
struct Compared {
    at: Micros,
    scores: [u8; 2],
    department: String,
    fraud: Option<bool>,
    named: bool,
    incident: Option<u32>,
    detail: Option<Box<Detail>>,
}

fn compared(seen: &Seen<'_>, truth: Option<&Labels>) -> Compared {
    let transaction = seen.transaction;
    let both = [seen.score(0), seen.score(1)];
    let scores = both.map(Score::risk_score);
    let (fraud, named, incident) = match truth {
        Some(labels) => {
            let truth = labels.of(&transaction.transaction_id);
            (Some(truth.fraud), labels.names(&transaction.transaction_id), truth.incident)
        }
        None => {
            let came = labels::of_metadata(transaction.metadata.get());
            (came, came.is_some(), None)
        }
    };
    let detail = scores.iter().any(|score| *score >= ALERT_SCORE).then(|| {
        let rule = |score: &Score| (score.risk_score() >= ALERT_SCORE).then(|| score.rules().first().map_or_else(|| "score".to_owned(), |rule| rule.as_str().to_owned()));
        Box::new(Detail {
            id: transaction.transaction_id.as_str().to_owned(),
            user: transaction.user_id.as_str().to_owned(),
            amount: transaction.amount,
            rules: both.map(rule),
            difference: if scores[0] == scores[1] { String::new() } else { difference(both[0], both[1]) },
        })
    });
    Compared { at: transaction.timestamp, scores, department: transaction.department.as_str().to_owned(), fraud, named, incident, detail }
}

/// The rule whose points differ most, with what it says.
fn difference(present: &Score, candidate: &Score) -> String {
    let mut points: BTreeMap<&str, (i32, i32, &str)> = BTreeMap::new();
    for reason in &present.reasons {
        let entry = points.entry(reason.rule.as_str()).or_insert((0, 0, reason.evidence.as_str()));
        entry.0 += i32::from(reason.points);
    }
    for reason in &candidate.reasons {
        let entry = points.entry(reason.rule.as_str()).or_insert((0, 0, reason.evidence.as_str()));
        entry.1 += i32::from(reason.points);
    }
    let most = points.into_iter().max_by(|a, b| (a.1.1 - a.1.0).abs().cmp(&(b.1.1 - b.1.0).abs()).then_with(|| b.0.cmp(a.0)));
    most.map_or_else(|| "no reason differs".to_owned(), |(rule, (before, after, evidence))| format!("{rule}: {before} → {after} points ({evidence})"))
}

/// How it stands behind a row.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// Rows counted.
    pub rows: u64,
    /// Alerted lines so far.
    pub alerts: Change,
    /// Rows so far whose score differs.
    pub scores_changed: u64,
    /// The row, where only one of the two alerts it.
    pub differs: Option<&'a Example>,
    /// Whether that is the candidate.
    pub gained: bool,
}

/// What is counted while the rows come.
struct Count<'s> {
    settings: &'s BacktestSettings,
    on: &'s mut dyn FnMut(Told<'_>) -> io::Result<()>,
    shown: Backtest,
    days: BTreeMap<i64, [u64; 2]>,
    known: Outcomes,
    incidents: [BTreeSet<u32>; 3],
}

impl Count<'_> {
    fn row(&mut self, row: Compared, patterns: Vec<(usize, Found)>) -> io::Result<()> {
        if self.settings.from.is_some_and(|from| row.at < from) || self.settings.to.is_some_and(|to| row.at >= to) {
            return Ok(());
        }
        let shown = &mut self.shown;
        shown.rows += 1;
        shown.span = Some(shown.span.map_or((row.at, row.at), |(first, last)| (first.min(row.at), last.max(row.at))));
        shown.scores_changed += u64::from(row.scores[0] != row.scores[1]);
        let [before, after] = row.scores.map(|score| RiskLevel::of(score) as usize);
        shown.levels[before][after] += 1;
        let mut alerted = row.scores.map(|score| score >= ALERT_SCORE);
        let mut rules: BTreeMap<String, [bool; 2]> = BTreeMap::new();
        for (at, rule) in row.detail.iter().flat_map(|detail| detail.rules.iter().enumerate()) {
            if let Some(side) = rule.as_ref().and_then(|rule| rules.entry(rule.clone()).or_default().get_mut(at)) {
                *side = true;
            }
        }
        let mut ranks = row.scores;
        for (at, found) in &patterns {
            let sides = rules.entry(found.pattern.pattern_type.as_str().to_owned()).or_default();
            if let (Some(side), Some(alert), Some(rank)) = (sides.get_mut(*at), alerted.get_mut(*at), ranks.get_mut(*at)) {
                *side = true;
                *alert = true;
                *rank = (*rank).max(found.pattern.risk_score);
            }
        }
        for (rule, sides) in rules {
            shown.by_rule.entry(rule).or_default().count(sides);
        }
        let day = self.days.entry(row.at.0.div_euclid(DAY)).or_default();
        day[0] += u64::from(alerted[0]);
        day[1] += u64::from(alerted[1]);
        shown.alerts.count(alerted);
        match shown.by_department.get_mut(&row.department) {
            Some(change) => change.count(alerted),
            None => shown.by_department.entry(row.department.clone()).or_default().count(alerted),
        }
        self.outcome(&row, alerted);
        let differs = if alerted[0] == alerted[1] { None } else { self.example(&row, &patterns, alerted, ranks) };
        let shown = &self.shown;
        (self.on)(Told { rows: shown.rows, alerts: shown.alerts, scores_changed: shown.scores_changed, differs: differs.as_ref(), gained: alerted[1] })
    }

    fn outcome(&mut self, row: &Compared, alerted: [bool; 2]) {
        let Some(fraud) = row.fraud else { return };
        self.known.rows += 1;
        self.known.named += u64::from(row.named);
        self.known.fraud += u64::from(fraud);
        for (at, side) in [&mut self.known.present, &mut self.known.candidate].into_iter().enumerate() {
            side.alerts += u64::from(alerted[at]);
            side.real += u64::from(alerted[at] && fraud);
            if let Some(incident) = row.incident.filter(|_| alerted[at]) {
                self.incidents[at].insert(incident);
            }
        }
        self.incidents[2].extend(row.incident);
    }

    fn example(&mut self, row: &Compared, patterns: &[(usize, Found)], alerted: [bool; 2], ranks: [u8; 2]) -> Option<Example> {
        let side = usize::from(alerted[1]);
        let pattern = patterns.iter().find(|(at, _)| *at == side).map(|(_, found)| found);
        let (id, user, amount) = match (&row.detail, pattern) {
            (Some(detail), _) => (detail.id.clone(), detail.user.clone(), detail.amount),
            (None, Some(found)) => (found.transaction_id.clone(), found.user_id.clone(), found.amount),
            (None, None) => return None,
        };
        let own = row.detail.as_ref().map(|detail| detail.difference.clone()).filter(|difference| !difference.is_empty() && row.scores[side] >= ALERT_SCORE);
        let difference = own
            .or_else(|| pattern.map(|found| format!("pattern {} of {} points: {}", found.pattern.pattern_type, found.pattern.risk_score, found.pattern.description)))
            .unwrap_or_default();
        let example = Example { transaction_id: id, user_id: user, amount, present: ranks[0], candidate: ranks[1], difference, fraud: row.fraud };
        let examples = if side == 1 { &mut self.shown.gained } else { &mut self.shown.lost };
        let weight = |example: &Example| example.present.abs_diff(example.candidate);
        // Of equal differences the earlier row stays before.
        let place = examples.partition_point(|other| weight(other) >= weight(&example));
        if place < self.settings.examples {
            examples.insert(place, example.clone());
            examples.truncate(self.settings.examples);
        }
        Some(example)
    }

    fn finish(self, passed: Passed) -> Backtest {
        let Count { mut shown, days, mut known, incidents, .. } = self;
        shown.passed = passed;
        shown.days = days.len() as u64;
        shown.busiest_day = (days.values().map(|day| day[0]).max().unwrap_or(0), days.values().map(|day| day[1]).max().unwrap_or(0));
        #[expect(clippy::cast_precision_loss, reason = "counts of rows")]
        let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        known.incidents = incidents[2].len() as u64;
        for (at, side) in [&mut known.present, &mut known.candidate].into_iter().enumerate() {
            side.precision = share(side.real, side.alerts);
            side.recall = share(side.real, known.fraud);
            side.incidents = incidents[at].len() as u64;
        }
        shown.outcomes = (known.rows > 0).then_some(known);
        shown
    }
}

/// Replays a history under both rulesets. `truth` are labels beside it; without, those that came with the data are used.
///
/// # Errors
/// Where the history cannot be read.
pub fn run(source: &mut dyn Source, settings: &BacktestSettings, truth: Option<&Labels>) -> io::Result<Backtest> {
    follow(source, settings, truth, &mut |_| Ok(()))
}

/// The same, told row by row.
///
/// # Errors
/// Where the history cannot be read, and what `on` says.
pub fn follow(source: &mut dyn Source, settings: &BacktestSettings, truth: Option<&Labels>, on: &mut dyn FnMut(Told<'_>) -> io::Result<()>) -> io::Result<Backtest> {
    let pass = PassSettings {
        rulesets: vec![settings.present.clone(), settings.candidate.clone()],
        reading: settings.reading.clone(),
        partitions: settings.partitions,
        dedup_horizon: settings.dedup_horizon,
        threads: settings.threads,
    };
    let shown = Backtest { present: settings.present.content_hash(), candidate: settings.candidate.content_hash(), ..Backtest::default() };
    let mut count = Count { settings, on, shown, days: BTreeMap::new(), known: Outcomes::default(), incidents: Default::default() };
    let passed = pass::run::<Compared>(source, &pass, &|seen: &Seen<'_>| compared(seen, truth), &mut |row: Row<Compared>| {
        if let Fate::Scored { seen, patterns } = row.fate {
            count.row(seen, patterns)?;
        }
        Ok(())
    })?;
    Ok(count.finish(passed))
}

#[cfg(test)]
mod tests;
