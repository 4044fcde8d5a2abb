//! Scoring of NDJSON from an empty state: lines in, lines out, in file order or by event time.
//!
//! A line shows the score that the live pipeline gives, and the alerts: the transaction's own from 70 points on, and those of patterns by
//! account that it completes. For the latter, lines wait until the account engine has judged them (15 minutes of the stream by default) and
//! never more than 65,536 of them; the output is in the order of the input and the same for any number of threads.

mod line;

use std::io::{self, BufRead, Write};

use serde::Serialize;
use wh_schemas::validate::Reading;

use super::pass::{self, Fate, PassSettings, Row, Seen, Unanswered};
use super::source::{Lines, Sorted, Source};
use crate::dedup::DEFAULT_HORIZON;
use crate::engine::Ruleset;
use crate::pattern_alert;
use line::{Part, part, shown};

pub(super) use line::members;

/// In which order lines are scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As they stand in the file, as the live pipeline would read them.
    File,
    /// By event time, then by `transaction_id`.
    EventTime,
}

/// What became of the lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Lines that are not blank.
    pub lines: u64,
    /// Scored and written.
    pub scored: u64,
    /// Exact copies of an earlier line: scored once.
    pub duplicates: u64,
    /// Rejected: no transaction, or an id with another content.
    pub rejected: u64,
    /// Lines with an alert: their own, of 70 points and more, or that of a pattern by account.
    pub alerts: u64,
    /// Alerts of patterns by account.
    pub pattern_alerts: u64,
    /// … of which so many came when their line had been written, by the bound on lines that wait.
    pub pattern_alerts_without_line: u64,
    /// Rows that a team's rule had no answer for, by rule.
    pub unanswered: Vec<Unanswered>,
}

/// How to score.
#[derive(Clone, Debug)]
pub struct ScoreSettings {
    /// The rules.
    pub ruleset: Ruleset,
    /// How lines are read.
    pub reading: Reading,
    /// Order of scoring.
    pub order: Order,
    /// Partitions that users are spread over, as in the log.
    pub partitions: u32,
    /// Threads that decode and score; the output does not depend on it.
    pub threads: usize,
}

/// Where rejected lines go.
pub trait Rejects {
    /// Takes one rejected line.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn reject(&mut self, line: u64, class: &str, reason: &str, raw: &[u8]) -> io::Result<()>;
}

/// Scores every line of `input` into `output`.
///
/// # Errors
/// Where input cannot be read or output cannot be written.
pub fn run(input: &mut dyn BufRead, output: &mut dyn Write, rejects: &mut dyn Rejects, settings: &ScoreSettings) -> io::Result<Summary> {
    let mut lines = Lines::new(input);
    match settings.order {
        Order::File => score(&mut lines, output, rejects, settings),
        Order::EventTime => score(&mut Sorted::new(&mut lines, &settings.reading)?, output, rejects, settings),
    }
}

fn score(source: &mut dyn Source, output: &mut dyn Write, rejects: &mut dyn Rejects, settings: &ScoreSettings) -> io::Result<Summary> {
    let pass = PassSettings {
        rulesets: vec![settings.ruleset.clone()],
        reading: settings.reading.clone(),
        partitions: settings.partitions,
        dedup_horizon: DEFAULT_HORIZON,
        threads: settings.threads,
    };
    let hash = settings.ruleset.content_hash();
    let mut summary = Summary::default();
    let passed = pass::run::<Part>(source, &pass, &|seen: &Seen<'_>| part(seen, &hash), &mut |row| write(row, output, rejects, &mut summary))?;
    output.flush()?;
    Ok(Summary {
        lines: passed.records,
        scored: passed.scored,
        duplicates: passed.duplicates,
        rejected: passed.rejected,
        pattern_alerts: summary.pattern_alerts + passed.without_row,
        pattern_alerts_without_line: passed.without_row,
        unanswered: passed.unanswered,
        ..summary
    })
}

fn write(row: Row<Part>, output: &mut dyn Write, rejects: &mut dyn Rejects, summary: &mut Summary) -> io::Result<()> {
    let (part, patterns) = match row.fate {
        Fate::Scored { seen, patterns } => (seen, patterns),
        Fate::Rejected { class, reason, raw } => return rejects.reject(row.number, &class, &reason, &raw),
        Fate::Duplicate | Fate::Copy => return Ok(()),
    };
    let (head, tail) = part.bytes.split_at(part.split);
    output.write_all(head)?;
    summary.pattern_alerts += patterns.len() as u64;
    if part.alert.is_none() && patterns.is_empty() {
        output.write_all(b",\"alert\":false")?;
        return output.write_all(tail);
    }
    summary.alerts += 1;
    let mut alerts: Vec<Vec<u8>> = part.alert.into_iter().collect();
    for (_, found) in &patterns {
        let alert = pattern_alert::alert(found, None);
        alerts.push(shown(&alert, &alert.members));
    }
    output.write_all(b",\"alert\":true,\"alerts\":[")?;
    output.write_all(&alerts.join(&b','))?;
    output.write_all(b"]")?;
    output.write_all(tail)
}

#[cfg(test)]
mod tests;
