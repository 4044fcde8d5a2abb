//! Scoring of NDJSON from an empty state: lines in, lines out, in file order or by event time.
//!
//! Lines are decoded on several threads and scored by one partition a thread, users being spread as the log spreads
//! them; the output is in input order and the same for any number of threads, since no state is shared between users.
//! (The stream's time is kept per partition of a fixed number, whatever the number of threads.)

use std::io::{self, BufRead, Write};
use std::sync::mpsc;

use serde::Serialize;
use wh_schemas::scored::{ALERT_SCORE, Dimensions, Reason, RiskLevel};
use wh_schemas::validate::{Reading, Rejection, decode_transaction};
use wh_schemas::{AcceptedTransaction, Micros, ids};

use crate::dedup::{Ids, Seen, Verdict, fingerprints};
use crate::engine::{Engine, Observation, Ruleset};

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
    /// Scores of 70 and more.
    pub alerts: u64,
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

#[derive(Serialize)]
struct Line<'a> {
    transaction_id: &'a str,
    risk_score: u8,
    risk_level: RiskLevel,
    alert: bool,
    dimensions: Dimensions,
    reasons: &'a [Reason<'static>],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    late: bool,
}

/// One partition's part of an offline run.
struct Lane {
    engine: Engine,
    ids: Ids,
    position: u64,
}

/// A line's fate: its output, or why there is none.
enum Outcome {
    Scored { line: Vec<u8>, alert: bool },
    Duplicate,
    Rejected(String, String),
}

impl Lane {
    fn score(&mut self, text: &[u8], reading: &Reading) -> Outcome {
        match decode_transaction(text, reading) {
            Err(rejection) => rejected(&rejection),
            Ok(transaction) => self.score_transaction(&AcceptedTransaction::new(transaction)),
        }
    }

    fn score_transaction(&mut self, transaction: &AcceptedTransaction<'_>) -> Outcome {
        let (id, content) = fingerprints(&transaction.transaction_id, &transaction.content_hash);
        match self.ids.verdict(id, content) {
            Verdict::Duplicate(_) => return Outcome::Duplicate,
            Verdict::Conflict(_) => {
                return Outcome::Rejected("transaction_id:conflict".to_owned(), "transaction_id: expected the content of the first line with this id, found another".to_owned());
            }
            Verdict::New => {}
        }
        self.ids.remember(Seen { id, content, seq: self.position });
        self.position += 1;
        let score = self.engine.score(&Observation::of(transaction, self.engine.ruleset()));
        let risk_score = score.risk_score();
        let alert = risk_score >= ALERT_SCORE;
        let line = Line {
            transaction_id: &transaction.transaction_id,
            risk_score,
            risk_level: RiskLevel::of(risk_score),
            alert,
            dimensions: score.dimensions,
            reasons: &score.reasons,
            late: score.late,
        };
        let mut bytes = serde_json::to_vec(&line).unwrap_or_default();
        bytes.push(b'\n');
        Outcome::Scored { line: bytes, alert }
    }
}

fn rejected(rejection: &Rejection) -> Outcome {
    Outcome::Rejected(rejection.class(), rejection.to_string())
}

fn lanes(settings: &ScoreSettings) -> Vec<Lane> {
    (0..settings.partitions.max(1)).map(|_| Lane { engine: Engine::new(settings.ruleset.clone()), ids: Ids::new(usize::MAX), position: 0 }).collect()
}

/// The partition of a line's user, read from its text without decoding it. Lines that cannot be read go to partition 0, where decoding says why.
fn lane_of(text: &[u8], partitions: u32) -> u32 {
    #[derive(serde::Deserialize)]
    struct User<'a> {
        #[serde(borrow)]
        user_id: wh_schemas::json::Text<'a>,
    }
    serde_json::from_slice::<User<'_>>(text).map_or(0, |u| ids::partition_of(u.user_id.as_bytes(), partitions))
}

/// Lines that a chunk holds at most.
const CHUNK: usize = 4_096;

struct Numbered {
    number: u64,
    text: Vec<u8>,
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
    match settings.order {
        Order::File => by_file(input, output, rejects, settings),
        Order::EventTime => by_event_time(input, output, rejects, settings),
    }
}

fn read_chunk(input: &mut dyn BufRead, number: &mut u64) -> io::Result<Vec<Numbered>> {
    let mut chunk = Vec::with_capacity(CHUNK);
    while chunk.len() < CHUNK {
        let mut text = Vec::with_capacity(512);
        if input.read_until(b'\n', &mut text)? == 0 {
            break;
        }
        *number += 1;
        while text.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
            text.pop();
        }
        if !text.iter().all(u8::is_ascii_whitespace) {
            chunk.push(Numbered { number: *number, text });
        }
    }
    Ok(chunk)
}

type Job = (Vec<(usize, Numbered)>, mpsc::Sender<(usize, Numbered, Outcome)>);

fn by_file(input: &mut dyn BufRead, output: &mut dyn Write, rejects: &mut dyn Rejects, settings: &ScoreSettings) -> io::Result<Summary> {
    let partitions = settings.partitions.max(1);
    let threads = settings.threads.clamp(1, partitions as usize);
    let mut all = lanes(settings);
    let mut summary = Summary::default();
    std::thread::scope(|scope| -> io::Result<()> {
        // Each thread owns the partitions p with p mod threads = its number.
        let mut queues = Vec::new();
        let mut owned: Vec<Vec<(u32, Lane)>> = (0..threads).map(|_| Vec::new()).collect();
        for (at, lane) in all.drain(..).enumerate() {
            owned[at % threads].push((u32::try_from(at).unwrap_or(0), lane));
        }
        for mut lanes in owned {
            let (send, receive) = mpsc::sync_channel::<Job>(2);
            queues.push(send);
            scope.spawn(move || {
                for (job, answers) in receive {
                    for (index, line) in job {
                        let partition = lane_of(&line.text, partitions);
                        let Some((_, lane)) = lanes.iter_mut().find(|(p, _)| *p == partition) else { continue };
                        let outcome = lane.score(&line.text, &settings.reading);
                        if answers.send((index, line, outcome)).is_err() {
                            return;
                        }
                    }
                }
            });
        }
        let mut number = 0;
        loop {
            let chunk = read_chunk(input, &mut number)?;
            if chunk.is_empty() {
                return Ok(());
            }
            let count = chunk.len();
            let mut jobs: Vec<Vec<(usize, Numbered)>> = (0..threads).map(|_| Vec::with_capacity(count)).collect();
            for (index, line) in chunk.into_iter().enumerate() {
                jobs[lane_of(&line.text, partitions) as usize % threads].push((index, line));
            }
            let (answers, collect) = mpsc::channel();
            for (queue, job) in queues.iter().zip(jobs) {
                queue.send((job, answers.clone())).map_err(|_| io::Error::other("a scoring thread has stopped"))?;
            }
            drop(answers);
            let mut outcomes: Vec<Option<(Numbered, Outcome)>> = (0..count).map(|_| None).collect();
            for (index, line, outcome) in collect {
                outcomes[index] = Some((line, outcome));
            }
            for outcome in outcomes {
                let (line, outcome) = outcome.ok_or_else(|| io::Error::other("a scoring thread has stopped"))?;
                write(&line, outcome, output, rejects, &mut summary)?;
            }
        }
    })?;
    output.flush()?;
    Ok(summary)
}

fn by_event_time(input: &mut dyn BufRead, output: &mut dyn Write, rejects: &mut dyn Rejects, settings: &ScoreSettings) -> io::Result<Summary> {
    let partitions = settings.partitions.max(1);
    let mut lanes = lanes(settings);
    let mut summary = Summary::default();
    let mut lines: Vec<(Micros, String, Numbered)> = Vec::new();
    let mut number = 0;
    loop {
        let chunk = read_chunk(input, &mut number)?;
        if chunk.is_empty() {
            break;
        }
        for line in chunk {
            let key = decode_transaction(&line.text, &settings.reading).map(|t| (t.timestamp, t.transaction_id.to_string()));
            match key {
                Ok((timestamp, id)) => lines.push((timestamp, id, line)),
                Err(rejection) => write(&line, rejected(&rejection), output, rejects, &mut summary)?,
            }
        }
    }
    lines.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.cmp(&b.1)).then(a.2.number.cmp(&b.2.number)));
    for (_, _, line) in lines {
        let outcome = lanes[lane_of(&line.text, partitions) as usize].score(&line.text, &settings.reading);
        write(&line, outcome, output, rejects, &mut summary)?;
    }
    output.flush()?;
    Ok(summary)
}

fn write(line: &Numbered, outcome: Outcome, output: &mut dyn Write, rejects: &mut dyn Rejects, summary: &mut Summary) -> io::Result<()> {
    summary.lines += 1;
    match outcome {
        Outcome::Scored { line, alert } => {
            summary.scored += 1;
            summary.alerts += u64::from(alert);
            output.write_all(&line)
        }
        Outcome::Duplicate => {
            summary.duplicates += 1;
            Ok(())
        }
        Outcome::Rejected(class, reason) => {
            summary.rejected += 1;
            rejects.reject(line.number, &class, &reason, &line.text)
        }
    }
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

    fn scored(threads: usize, order: Order) -> (Vec<u8>, Summary, Vec<(u64, String)>) {
        let (mut out, mut kept) = (Vec::new(), Kept(Vec::new()));
        let settings = ScoreSettings { ruleset: Ruleset::default(), reading: Reading::default(), order, partitions: 3, threads };
        let summary = run(&mut input().as_bytes(), &mut out, &mut kept, &settings).unwrap();
        (out, summary, kept.0)
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bytes() {
        let one = scored(1, Order::File);
        assert_eq!(one.1, Summary { lines: 3_042, scored: 3_000, duplicates: 30, rejected: 12, alerts: one.1.alerts });
        assert_eq!(one, scored(2, Order::File));
        assert_eq!(one, scored(3, Order::File));
        assert_eq!(one.2[0], (3, "record:invalid_json".to_owned()));
    }

    #[test]
    fn by_event_time_the_order_of_lines_does_not_matter() {
        let (out, summary, _) = scored(1, Order::EventTime);
        assert_eq!(summary.scored, 3_000);
        let mut lines: Vec<&str> = std::str::from_utf8(&out).unwrap().lines().collect();
        lines.sort_unstable();
        let reversed: String = input().lines().rev().map(|l| format!("{l}\n")).collect();
        let (mut again, mut kept) = (Vec::new(), Kept(Vec::new()));
        let settings = ScoreSettings { ruleset: Ruleset::default(), reading: Reading::default(), order: Order::EventTime, partitions: 3, threads: 1 };
        run(&mut reversed.as_bytes(), &mut again, &mut kept, &settings).unwrap();
        let mut other: Vec<&str> = std::str::from_utf8(&again).unwrap().lines().collect();
        other.sort_unstable();
        assert_eq!(lines, other);
    }
}
