//! Scoring of NDJSON from an empty state: lines in, lines out, in file order or by event time.
//!
//! A line shows the score that the live pipeline gives, and the alerts: the transaction's own from 70 points on, and those of patterns by
//! account that it completes. For the latter, lines wait until the account engine has judged them (15 minutes of the stream by default) and
//! never more than 65,536 of them; the output is in the order of the input and the same for any number of threads.

use std::io::{self, BufRead, Write};

use serde::Serialize;
use wh_schemas::Alert;
use wh_schemas::json::Text;
use wh_schemas::position::Source as Origin;
use wh_schemas::scored::{ALERT_SCORE, Dimensions, Reason, RiskLevel};
use wh_schemas::time::SECOND;
use wh_schemas::validate::Reading;

use super::pass::{self, Fate, PassSettings, Row, Seen};
use super::source::{Lines, Sorted, Source};
use crate::dedup::DEFAULT_HORIZON;
use crate::engine::{Ruleset, Score};
use crate::output::{self, Context};
use crate::pattern_alert;

/// In which order lines are scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As they stand in the file, as the live pipeline would read them.
    File,
    /// By event time, then by `transaction_id`.
    EventTime,
}

/// What became of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
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

/// The first part of a line; the alerts follow.
#[derive(Serialize)]
struct Head<'a> {
    transaction_id: &'a str,
    risk_score: u8,
    risk_level: RiskLevel,
}

/// The last part of a line.
#[derive(Serialize)]
struct Tail<'a> {
    dimensions: Dimensions,
    reasons: &'a [Reason<'static>],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    patterns: Vec<ShownPattern<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    late: bool,
}

/// A pattern by user that the transaction completes.
#[derive(Serialize)]
struct ShownPattern<'a> {
    pattern_type: &'a str,
    members: Vec<&'a str>,
}

/// An alert on a line.
#[derive(Serialize)]
struct ShownAlert<'a> {
    alert_type: &'a str,
    alert_id: &'a str,
    risk_score: u8,
    members: &'a [Text<'a>],
    message: &'a str,
}

impl<'a> ShownAlert<'a> {
    fn of(alert: &'a Alert<'_>, members: &'a [Text<'a>]) -> ShownAlert<'a> {
        ShownAlert { alert_type: &alert.alert_type, alert_id: &alert.alert_id, risk_score: alert.risk_score, members, message: &alert.message }
    }
}

/// Ids of the transactions that patterns consist of, the completing one included: by event time, then by id, each once.
pub(super) fn members<'a>(score: &'a Score, completing: (i64, &'a str), only: Option<&str>) -> Vec<&'a str> {
    let sights = score.patterns.iter().filter(|sight| only.is_none_or(|pattern| sight.pattern == pattern));
    let mut members: Vec<(i64, &str)> = sights.flat_map(|sight| sight.members.iter().map(|(at, id)| (*at, id.as_str()))).collect();
    members.push(completing);
    members.sort_unstable();
    members.dedup();
    members.into_iter().map(|(_, id)| id).collect()
}

/// A line in parts: its beginning, its own alert, its end.
struct Part {
    bytes: Vec<u8>,
    split: usize,
    alert: Option<Vec<u8>>,
}

/// Serialising these types cannot fail: no map, no float, a writer that grows.
fn part(seen: &Seen<'_>) -> Part {
    let (score, transaction) = (seen.score(0), seen.transaction);
    let risk_score = score.risk_score();
    let completing = (transaction.timestamp.0.div_euclid(SECOND), transaction.transaction_id.as_str());
    let mut bytes = Vec::with_capacity(512);
    let head = Head { transaction_id: &transaction.transaction_id, risk_score, risk_level: RiskLevel::of(risk_score) };
    serde_json::to_writer(&mut bytes, &head).unwrap_or_default();
    bytes.pop();
    let split = bytes.len();
    let patterns = score.patterns.iter().map(|sight| ShownPattern { pattern_type: sight.pattern, members: members(score, completing, Some(sight.pattern)) }).collect();
    let tail = Tail { dimensions: score.dimensions, reasons: &score.reasons, patterns, late: score.late };
    serde_json::to_writer(&mut bytes, &tail).unwrap_or_default();
    if let Some(opening) = bytes.get_mut(split) {
        *opening = b',';
    }
    bytes.push(b'\n');
    let alert = (risk_score >= ALERT_SCORE).then(|| {
        let context = Context { position: seen.position, source: Origin { partition: seen.position.partition, offset: seen.number }, ruleset: "", state_epoch: 0 };
        let record = output::scored(transaction.clone(), score.clone(), &context);
        let members: Vec<Text<'_>> = members(score, completing, None).into_iter().map(Text::from).collect();
        record.alerts.first().and_then(|alert| serde_json::to_vec(&ShownAlert::of(alert, &members)).ok()).unwrap_or_default()
    });
    Part { bytes, split, alert }
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
    let mut summary = Summary::default();
    let passed = pass::run::<Part>(source, &pass, &part, &mut |row| write(row, output, rejects, &mut summary))?;
    output.flush()?;
    Ok(Summary {
        lines: passed.records,
        scored: passed.scored,
        duplicates: passed.duplicates,
        rejected: passed.rejected,
        pattern_alerts: summary.pattern_alerts + passed.without_row,
        pattern_alerts_without_line: passed.without_row,
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
        alerts.push(serde_json::to_vec(&ShownAlert::of(&alert, &alert.members)).unwrap_or_default());
    }
    output.write_all(b",\"alert\":true,\"alerts\":[")?;
    output.write_all(&alerts.join(&b','))?;
    output.write_all(b"]")?;
    output.write_all(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Kept(Vec<(u64, String)>);
    impl Rejects for Kept {
        fn reject(&mut self, line: u64, class: &str, _: &str, _: &[u8]) -> io::Result<()> {
            self.0.push((line, class.to_owned()));
            Ok(())
        }
    }

    fn input() -> String {
        let mut text = String::new();
        for i in 0..3_000 {
            let line = format!(
                "{{\"transaction_id\":\"T{i}\",\"timestamp\":\"2026-03-{:02}T{:02}:{:02}:00\",\"user_id\":\"U{}\",\"account_id\":\"A\",\"department\":\"IT\",\"transaction_type\":\"payment\",\"amount\":{}.50,\"metadata\":{{\"ip\":\"10.0.0.{}\"}}}}\n",
                1 + i / 120,
                8 + i % 9,
                i % 60,
                i % 17,
                100 + (i * 7919) % 900,
                i % 5
            );
            text.push_str(&line);
            if i % 100 == 0 {
                text.push_str(&line);
            }
            if i % 250 == 0 {
                text.push_str("not json\n\n");
            }
        }
        text
    }

    fn scored_of(text: &str, threads: usize, order: Order) -> (String, Summary, Vec<(u64, String)>) {
        let (mut out, mut kept) = (Vec::new(), Kept(Vec::new()));
        let settings = ScoreSettings { ruleset: Ruleset::default(), reading: Reading::default(), order, partitions: 3, threads };
        let summary = run(&mut text.as_bytes(), &mut out, &mut kept, &settings).unwrap();
        (String::from_utf8(out).unwrap(), summary, kept.0)
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bytes() {
        let one = scored_of(&input(), 1, Order::File);
        let Summary { lines, scored, duplicates, rejected, .. } = one.1;
        assert_eq!((lines, scored, duplicates, rejected), (3_042, 3_000, 30, 12));
        assert_eq!(one, scored_of(&input(), 2, Order::File));
        assert_eq!(one, scored_of(&input(), 3, Order::File));
        assert_eq!(one.2[0], (3, "record:invalid_json".to_owned()));
        let ids: Vec<String> = one.0.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["transaction_id"].as_str().unwrap().to_owned()).collect();
        assert!(ids.iter().map(String::as_str).eq((0..3_000).map(|i| format!("T{i}")).collect::<Vec<_>>().iter().map(String::as_str)), "the output is in the order of the input");
    }

    #[test]
    fn by_event_time_the_order_of_lines_does_not_matter() {
        let (out, summary, _) = scored_of(&input(), 1, Order::EventTime);
        assert_eq!(summary.scored, 3_000);
        let reversed: String = input().lines().rev().map(|l| format!("{l}\n")).collect();
        assert_eq!(out, scored_of(&reversed, 2, Order::EventTime).0);
    }

    #[test]
    fn alerts_stand_on_their_lines_with_what_they_consist_of_for_any_number_of_threads() {
        let config = wh_evaluation::Config { users: 60, days: 60, fraud_share: 0.02, grades: vec![wh_evaluation::Grade::Blatant], ..wh_evaluation::Config::default() };
        let generated = wh_evaluation::generate(&config, 3);
        let text = generated.ndjson();
        let (out, summary, _) = scored_of(&text, 2, Order::File);
        assert_eq!(out, scored_of(&text, 1, Order::File).0);
        assert_eq!((summary.scored, summary.pattern_alerts_without_line), (generated.transactions.len() as u64, 0));
        let (mut alerts, mut of_accounts) = (0, 0);
        for (line, transaction) in out.lines().zip(&generated.transactions) {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["transaction_id"], transaction.transaction_id.as_str());
            let shown = line["alerts"].as_array().cloned().unwrap_or_default();
            assert_eq!(line["alert"], !shown.is_empty());
            let own = line["risk_score"].as_u64().unwrap() >= u64::from(ALERT_SCORE);
            alerts += u64::from(!shown.is_empty());
            of_accounts += shown.len() as u64 - u64::from(own);
            for alert in shown {
                assert!(alert["risk_score"].as_u64().unwrap() >= 70 && alert["message"].as_str().unwrap().ends_with('.'), "{alert}");
                assert_eq!(alert["alert_id"].as_str().unwrap().len(), 36);
                assert!(!alert["members"].as_array().unwrap().is_empty(), "{alert}");
            }
            for pattern in line["patterns"].as_array().cloned().unwrap_or_default() {
                assert!(pattern["members"].as_array().unwrap().contains(&line["transaction_id"]), "{pattern}");
            }
        }
        assert_eq!((alerts, of_accounts), (summary.alerts, summary.pattern_alerts));
        assert!(alerts > 0 && of_accounts > 0, "{summary:?}");
    }
}
