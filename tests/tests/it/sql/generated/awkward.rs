//! Rows with every value that a store may stumble over, as the records from which the sinks make them.
//!
//! What must stay true: the same records each time; each is one that the pipeline could have made, or somebody else put into a topic.

use std::borrow::Cow;

use chrono_tz::Tz;
use serde_json::value::RawValue;
use wh_eventlog::{Bytes, Record, Stored};
use wh_schemas::alert::Severity;
use wh_schemas::json::{RawObject, Text};
use wh_schemas::position::Source;
use wh_schemas::scored::{ALERT_SCORE, ANOMALY_SCORE, Dimension};
use wh_schemas::transaction::SCHEMA_VERSION;
use wh_schemas::{Alert, Cents, Dimensions, Micros, Pattern, Reason, RiskLevel, ScoreRecord, SeqPosition, TransactionType, ids};
use wh_scorer::engine::UserState;
use wh_scorer::pattern_alert;
use wh_scorer::patterns::Found;

use super::values::{AMOUNTS, DEPARTMENTS, FLOATS, MESSAGES, METADATA, TEXTS, TIMES, TYPES, USERS};
use crate::records::stored;

/// 2026-02-01T00:00:00Z: when the first record was appended.
const APPENDED: i64 = 1_769_904_000_000_000;
/// 2026-03-28T22:00:00Z: the night in which summer time begins.
const NIGHT: i64 = 1_774_735_200_000_000;
/// Rows of partition 0 before and behind its duplicates, which lead into another block of the metrics.
const BEFORE: u64 = 120;
const DUPLICATES: u64 = 900;
const BEHIND: u64 = 60;
/// Rows of partition 1.
const OTHERS: u64 = 110;

fn of<T>(list: &[T], at: usize) -> &T {
    &list[at % list.len()]
}

fn instant(text: &str) -> Micros {
    Micros::parse(text, Tz::UTC).unwrap()
}

/// A quarter of all times are awkward, the others those of one night and day.
fn time(at: usize) -> Micros {
    if at.is_multiple_of(4) {
        return instant(*of(&TIMES, at / 4));
    }
    let steps = i64::try_from(at % 53).unwrap();
    Micros(NIGHT + steps * 1_800_000_000 + i64::try_from(at % 3).unwrap() * 500_000)
}

fn appended(offset: u64) -> i64 {
    match offset % 37 {
        5 => instant("9999-12-31T23:59:59.999999Z").0,
        11 => 0,
        _ => APPENDED + i64::try_from(offset / 3).unwrap(),
    }
}

fn raw(json: &str) -> RawObject<'static> {
    RawObject(Cow::Owned(RawValue::from_string(json.to_owned()).unwrap()))
}

fn text(text: impl Into<String>) -> Text<'static> {
    Text::from(text.into())
}

/// Ids that look alike.
fn transaction_id(partition: u32, seq: u64) -> String {
    match seq % 6 {
        0 => format!("T-{partition}-{seq:04}"),
        1 => format!("t-{partition}-{:04} ", seq - 1),
        2 => format!("t-{partition}-{seq}"),
        3 => format!("日本-𝄞-é-{partition}-{seq}"),
        4 => format!("日本-𝄞-e\u{301}-{partition}-{seq}"),
        _ => format!("t_{partition}%{seq:04}\\'"),
    }
}

fn dimensions(points: u8) -> Dimensions {
    let mut left = points;
    let mut dimensions = Dimensions::default();
    for dimension in Dimension::ALL {
        let part = left.min(dimension.cap());
        *dimensions.get_mut(dimension) = part;
        left -= part;
    }
    dimensions
}

fn alert(at: usize, position: SeqPosition, transaction_id: &str, points: u8) -> Alert<'static> {
    let alert_type = *of(&TYPES, at);
    let by_name = ids::alert_id(transaction_id, alert_type).to_string();
    let alert_id = match at % 3 {
        0 => by_name.to_uppercase(),
        1 => by_name,
        _ => format!("alert %_ {}/{}", position.partition, position.seq),
    };
    let said = *of(&MESSAGES, at);
    Alert {
        alert_id: text(alert_id),
        transaction_id: text(transaction_id),
        alert_type: text(alert_type),
        severity: Severity::of(points),
        risk_score: points,
        title: text(*of(&MESSAGES, at / 2)),
        message: text(if at % 41 == 7 { "night refund account ".repeat(900) } else { format!("{said} {}", of(&TEXTS, at * 5)).replace('\0', "") }),
        detection_rules: rules(at),
        transaction: None,
        pattern: None,
        position: None,
        reasons: Vec::new(),
        members: Vec::new(),
    }
}

fn rules(at: usize) -> Vec<Text<'static>> {
    ["night", "amo\"unt", "größer", "a%b"].into_iter().take(at % 5).map(text).collect()
}

fn pattern(at: usize, seed: &str) -> Pattern<'static> {
    let members: Vec<String> = (0..=at % 3).map(|member| format!("{seed} {at} {member} \"∅\"")).collect();
    let refs: Vec<&str> = members.iter().map(String::as_str).collect();
    let (one, other) = (time(at), time(at + 4));
    Pattern {
        pattern_id: text(ids::pattern_id(seed, &refs).to_string()),
        pattern_type: text(*of(&TYPES, at)),
        user_id: (!at.is_multiple_of(3)).then(|| text(*of(&USERS, at))),
        accounts: ["A'; --", "счёт", ""].into_iter().take(at % 4).map(text).collect(),
        members: members.into_iter().map(text).collect(),
        risk_score: u8::try_from(at * 29 % 101).unwrap(),
        description: text(*of(&TEXTS, at * 7)),
        first_event: one.min(other),
        last_event: one.max(other),
    }
}

fn row(partition: u32, seq: u64) -> ScoreRecord<'static> {
    let at = usize::try_from(seq).unwrap() + 7 * partition as usize;
    let points = u8::try_from((at * 37 + 11) % 101).unwrap();
    let id = transaction_id(partition, seq);
    let position = SeqPosition { partition, seq };
    let counterparty = match at % 4 {
        0 => None,
        1 => Some(String::new()),
        2 => Some(format!("acc {}", at % 9)),
        _ => Some((*of(&TEXTS, at * 11)).to_owned()),
    };
    let description = match at % 5 {
        0 => None,
        1 if at % 60 == 31 => Some("Lorem ipsum, % of _ and \\ \n".repeat(900)),
        _ => Some((*of(&TEXTS, at * 3)).to_owned()),
    };
    let long = format!("{{\"note\":\"{}\"}}", "x".repeat(20_000));
    let reasons = (0..at % 3).map(|n| Reason { rule: text(format!("rule {n}")), dimension: Dimension::Time, points: 1, evidence: text("at \"night\"") });
    ScoreRecord {
        schema_version: SCHEMA_VERSION,
        transaction_id: text(id.clone()),
        timestamp: time(at),
        user_id: text(*of(&USERS, at * 5 + at / 16)),
        account_id: text(format!("acc {}", at % 9)),
        department: text(*of(&DEPARTMENTS, at * 7 + at / 12)),
        transaction_type: *of(&TransactionType::ALL, at * 3),
        amount: Cents(*of(&AMOUNTS, at * 3 + at / 16)),
        description: description.map(text),
        counterparty_account: counterparty.map(text),
        metadata: raw(if at % 71 == 13 { long.as_str() } else { *of(&METADATA, at) }),
        content_hash: text(format!("{partition:08x}{seq:056x}")),
        partition,
        seq,
        source: Source { partition: 0, offset: seq },
        duplicate_of: None,
        risk_score: Some(points),
        risk_level: Some(RiskLevel::of(points)),
        is_anomaly: Some(points >= ANOMALY_SCORE),
        late: at.is_multiple_of(10),
        dimensions: Some(dimensions(points)),
        alerts: (points >= ALERT_SCORE).then(|| alert(at, position, &id, points)).into_iter().collect(),
        reasons: reasons.collect(),
        patterns: (at % 29 == 5).then(|| pattern(at, "by user")).into_iter().collect(),
        detection_rules: rules(at),
        ruleset: ["r1", "", "R1"].get(at % 4).map(|name| text(*name)),
        state_epoch: 0,
    }
}

fn duplicate(seq: u64) -> ScoreRecord<'static> {
    let first = SeqPosition { partition: 0, seq: seq % BEFORE };
    ScoreRecord {
        seq,
        duplicate_of: Some(first),
        risk_score: None,
        risk_level: None,
        is_anomaly: None,
        dimensions: None,
        alerts: Vec::new(),
        reasons: Vec::new(),
        patterns: Vec::new(),
        detection_rules: Vec::new(),
        ruleset: None,
        ..row(0, first.seq)
    }
}

/// The scored records of partition 0 or 1.
pub(super) fn scored(partition: u32) -> Vec<Stored> {
    let rows: Vec<ScoreRecord<'_>> = match partition {
        0 => (0..BEFORE + DUPLICATES + BEHIND).map(|seq| if (BEFORE..BEFORE + DUPLICATES).contains(&seq) { duplicate(seq) } else { row(0, seq) }).collect(),
        other => (0..OTHERS).map(|seq| row(other, seq)).collect(),
    };
    let held = |row: &ScoreRecord<'_>| {
        let key = Bytes::copy_from_slice(row.transaction_id.as_bytes());
        Stored { offset: row.seq, append_time: appended(row.seq), key: Some(key), value: serde_json::to_vec(row).unwrap().into(), headers: Vec::new() }
    };
    rows.iter().map(held).collect()
}

/// Records of `risk-alerts`: patterns by account.
pub(super) fn patterns() -> Vec<Stored> {
    let found = |at: usize| Found {
        pattern: pattern(at, "by account"),
        reasons: vec![Reason { rule: text("made_up"), dimension: Dimension::Behavior, points: 20, evidence: text("it is made up") }],
        transaction_id: transaction_id(1, u64::try_from(at).unwrap()),
        user_id: (*of(&USERS, at)).to_owned(),
        amount: Cents(*of(&AMOUNTS, at)),
    };
    stored((0..60).map(|at: usize| pattern_alert::record(&found(at), u64::try_from(at).unwrap())).collect(), 0)
}

/// Records of `system-events`.
pub(super) fn events() -> Vec<Stored> {
    let of_one = |at: usize| {
        let labels = *of(&["{}", r#"{"stage":"ledger","partition":0}"#, r#"{"stage":null}"#, r#"{"stage":{"a":[1.5,"x"]}}"#], at);
        let timestamp = time(at * 3).to_string();
        let name = (*of(&TEXTS, at / 5)).replace('\0', "");
        let json = if at % 5 < 2 {
            let audit = format!("{{\"kind\":\"audit\",\"event_id\":\"{}\",\"data\":{labels}", ids::alert_id(&at.to_string(), "event"));
            let rest = serde_json::json!({ "event_type": name, "source": of(&TYPES, at), "principal": of(&USERS[..11], at), "severity": of(&["info", "warning", "Error"], at), "timestamp": timestamp });
            format!("{audit},{}", &rest.to_string()[1..])
        } else {
            let rest = serde_json::json!({ "name": name, "value": of(&FLOATS, at / 2), "unit": of(&["s", "records", ""], at), "timestamp": timestamp });
            format!("{{\"kind\":\"metric\",\"labels\":{labels},{}", &rest.to_string()[1..])
        };
        Record::new("event", json)
    };
    stored((0..150).map(of_one).collect(), 0)
}

/// What the scorer has learnt of the users of a partition, in two checkpoints.
pub(super) fn users(partition: u32) -> [Vec<(String, UserState)>; 2] {
    let state = |(at, user): (usize, &&str)| {
        let mut state = UserState::new(time(at));
        let counts = [0, 1, 2, 30, 2_147_483_648, 9_007_199_254_740_993, i64::MAX.unsigned_abs()];
        state.events = *of(&counts, at);
        state.alerts = *of(&counts, at / 2);
        state.last = time(at * 4).0;
        state.home_department = (*of(&DEPARTMENTS, at)).to_owned();
        (state.log_amount_sum, state.learnt) = *of(&[(0.0, 0), (2.5, 1), (7.0, 3), (1_000.0, 1), (-1_000.0, 1), (4.605_170_185_988_092, 1)], at);
        ((*user).to_owned(), state)
    };
    let all: Vec<_> = USERS.iter().enumerate().filter(|(at, _)| at % 2 == partition as usize).map(state).collect();
    let (one, other) = all.split_at(4);
    [one.to_vec(), other.to_vec()]
}

/// Records that no stage can read.
pub(super) fn strange() -> Vec<Record> {
    let bare = Record { key: None, value: Bytes::new(), headers: Vec::new() };
    vec![
        bare.clone(),
        Record { key: Some(Bytes::new()), ..bare },
        Record::new("schlüssel", "{\"n\":1}").with_header("wh-origin", "a/0/1").with_header("wh-origin", "twice"),
        Record::new(vec![0_u8, 255, 10], vec![159_u8, 146]).with_header("binary", vec![0_u8, 159]),
        Record::new("a%b", "two\nlines"),
        Record::new("A%B", "null"),
    ]
}
