//! Records of the topics but for dead letters and snapshots: made by the stages' own functions where nothing in them is the engine's opinion or
//! a message's wording, of literal values otherwise.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use wh_eventlog::{Bytes, Record, Stored};
use wh_ingest::generator::write_json;
use wh_ingest::intake;
use wh_schemas::control::{ControlChange, ControlRecord};
use wh_schemas::event::SystemEvent;
use wh_schemas::json::Text;
use wh_schemas::position::{Origin, SeqPosition, Source};
use wh_schemas::scored::{Dimension, Dimensions, Reason, RiskLevel};
use wh_schemas::topics::{RISK_SCORES, SCORER_CONTROL};
use wh_schemas::transaction::SCHEMA_VERSION;
use wh_schemas::validate::{Reading, decode_transaction};
use wh_schemas::{AcceptedTransaction, Activity, Alert, Cents, Micros, Pattern, ScoreRecord, Severity, Transaction};
use wh_scorer::account_activity;
use wh_scorer::engine::Score;
use wh_scorer::output::{self, Context};
use wh_scorer::partition::Emitted;
use wh_scorer::pattern_alert;
use wh_scorer::patterns::{AccountEngine, AccountRules, Found};
use wh_scorer::state::rebuild::{ids_before, last_emitted};

use super::{Format, log, record_text, wait};
use crate::records;

pub(super) const TRANSACTION: Format = Format::new("transaction.json", 1, write_transaction, read_transaction);
pub(super) const ACCEPTED: Format = Format::new("accepted.records", 1, || record_text::write(&accepted()), read_accepted);
pub(super) const SCORED: Format = Format::new("scored.records", 1, || record_text::write(&scored()), read_scored);
pub(super) const DUPLICATE: Format = Format::new("duplicate.records", 1, || record_text::write(&[duplicate()]), read_scored);
pub(super) const ALERT: Format = Format::new("alert.records", 1, || record_text::write(&[transaction_alert()]), read_alerts);
pub(super) const PATTERN_ALERT: Format = Format::new("pattern-alert.records", 1, || record_text::write(&pattern_alerts()), read_alerts);
pub(super) const ACTIVITY: Format = Format::new("account-activity.records", 1, || record_text::write(&activities()), read_activities);
pub(super) const CONTROL: Format = Format::new("scorer-control.records", 1, || record_text::write(&controls()), read_controls);
pub(super) const EVENT: Format = Format::new("system-event.records", 1, || record_text::write(&events()), read_events);

/// With everything that a producer may send.
pub(super) const FULL: &str = r#"{"transaction_id":"T-0001","timestamp":"2026-03-01T08:30:00.250+01:00","user_id":"u-17 Müller","account_id":"ACC-1","department":"Pharmacy","transaction_type":"procurement","amount":"1234.50","description":"gloves \"L\"\n🩺","counterparty_account":"VENDOR-9","metadata":{"ip":"10.0.0.7","device":"d1","deep":[1.10,{"x":null}]},"is_anomaly":true,"shift":"night","schema_version":1}"#;
/// With nothing that may be left out.
const BARE: &str =
    r#"{"transaction_id":"T-0002","timestamp":"2026-03-01T07:31:00Z","user_id":"u-18","account_id":"ACC-2","department":"IT","transaction_type":"billing","amount":0.01}"#;
/// 2026-03-01T07:30:00Z.
pub(super) const AT: i64 = 1_772_350_200_000_000;
const RULESET: &str = "0123456789abcdef";

/// A value as it was read, as JSON.
fn json<'a, T: Serialize + Deserialize<'a>>(bytes: &'a [u8]) -> String {
    let value: T = serde_json::from_slice(bytes).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}

/// A record of `hospital-transactions`.
fn source(line: &str, offset: u64) -> Stored {
    Stored { offset, append_time: AT + 1_000, key: Some(Bytes::from_static(b"source key")), value: Bytes::copy_from_slice(line.as_bytes()), headers: Vec::new() }
}

/// What intake makes of it: of partition 2, and there is one partition to go to.
fn accept(line: &str, offset: u64) -> Record {
    intake::accept(&source(line, offset), 2, 1, &Reading::default()).unwrap().1
}

pub(super) fn accepted() -> Vec<Record> {
    vec![accept(FULL, 7), accept(BARE, 8)]
}

/// What a scorer that has seen nothing makes of accepted records.
fn emitted(accepted: &[Record]) -> Emitted {
    let (mut scorer, mut emitted) = (records::scorer(0, 100), Emitted::default());
    for record in records::stored(accepted.to_vec(), 0) {
        scorer.process(&record, &mut emitted);
    }
    emitted
}

fn write_transaction() -> Vec<u8> {
    let transaction: Transaction<'_> = decode_transaction(FULL.as_bytes(), &Reading::default()).unwrap();
    let mut line = Vec::new();
    write_json(&transaction, &mut line);
    line
}

fn read_transaction(bytes: &[u8]) -> String {
    serde_json::to_string_pretty(&decode_transaction(bytes, &Reading::default()).unwrap()).unwrap() + "\n"
}

fn read_accepted(bytes: &[u8]) -> String {
    let records = record_text::read(bytes);
    let mut text: String = records.iter().map(|record| record_text::shown(record, &json::<AcceptedTransaction<'_>>(&record.value))).collect();
    for record in records::stored(records.clone(), 0) {
        writeln!(text, "{:?}", record.header("wh-origin").and_then(Origin::parse)).unwrap();
    }
    let emitted = emitted(&records);
    writeln!(text, "the scorer: {} scored, {} dead letters", emitted.scores.len(), emitted.dead_letters.len()).unwrap();
    text
}

fn reason(rule: &'static str, dimension: Dimension, points: u8) -> Reason<'static> {
    Reason { rule: Text::from(rule), dimension, points, evidence: Text::from("3 times the usual \"amount\"") }
}

fn pattern(number: u64, risk_score: u8) -> Pattern<'static> {
    Pattern {
        pattern_id: Text::from(format!("5d1c2f0e-0000-5000-8000-{number:012}")),
        pattern_type: Text::from("round_trip"),
        user_id: (risk_score > 80).then(|| Text::from("u-17 Müller")),
        accounts: vec![Text::from("ACC-1"), Text::from("VENDOR-9")],
        members: vec![Text::from("T-0000"), Text::from("T-0001")],
        risk_score,
        description: Text::from("1,234.50 went out and came back"),
        first_event: Micros(AT - 3_600_000_000),
        last_event: Micros(AT + 250_000),
    }
}

fn alert() -> Alert<'static> {
    Alert {
        alert_id: Text::from("5d1c2f0e-0000-5000-8000-000000000002"),
        transaction_id: Text::from("T-0001"),
        alert_type: Text::from("amount_outlier"),
        severity: Severity::Critical,
        risk_score: 88,
        title: Text::from("Amount outlier: a procurement of 1,234.50"),
        message: Text::from("u-17 Müller made a procurement of 1,234.50, risk 88 of 100: 3 times the usual \"amount\"."),
        detection_rules: vec![Text::from("amount_outlier"), Text::from("off_hours_run")],
        transaction: None,
        pattern: None,
        position: None,
        reasons: Vec::new(),
        members: Vec::new(),
    }
}

fn context(seq: u64) -> Context<'static> {
    Context { position: SeqPosition { partition: 0, seq }, source: Source { partition: 2, offset: 7 + seq }, ruleset: RULESET, state_epoch: 1 }
}

/// A scored record without anything that may be left out.
fn bare(transaction: AcceptedTransaction<'_>, seq: u64) -> ScoreRecord<'_> {
    let first = SeqPosition { partition: 0, seq: 0 };
    ScoreRecord {
        duplicate_of: None,
        risk_score: Some(3),
        risk_level: Some(RiskLevel::Low),
        is_anomaly: Some(false),
        dimensions: Some(Dimensions { amount: 3, ..Dimensions::default() }),
        reasons: vec![reason("amount_outlier", Dimension::Amount, 3)],
        detection_rules: vec![Text::from("amount_outlier")],
        ruleset: Some(Text::from(RULESET)),
        ..output::duplicate(transaction, first, &context(seq))
    }
}

/// A scored record with everything.
fn full(transaction: AcceptedTransaction<'_>, seq: u64) -> ScoreRecord<'_> {
    let dimensions = Dimensions { amount: 25, time: 20, frequency: 25, behavior: 13, metadata: 5 };
    let reasons = Dimension::ALL.map(|dimension| reason(if dimension == Dimension::Amount { "amount_outlier" } else { "off_hours_run" }, dimension, dimensions.get(dimension)));
    ScoreRecord {
        risk_score: Some(88),
        risk_level: Some(RiskLevel::High),
        is_anomaly: Some(true),
        late: true,
        dimensions: Some(dimensions),
        alerts: vec![alert()],
        reasons: reasons.to_vec(),
        patterns: vec![pattern(1, 88)],
        detection_rules: alert().detection_rules,
        ..bare(transaction, seq)
    }
}

/// Records of `risk-scores` as the scorer emits them, with the values of these rows.
pub(super) fn scored() -> Vec<Record> {
    let accepted = accepted();
    let read = |at: usize| serde_json::from_slice::<AcceptedTransaction<'_>>(&accepted[at].value).unwrap();
    let rows = [full(read(0), 0), bare(read(1), 1)];
    emitted(&accepted).scores.into_iter().zip(&rows).map(|(record, row)| Record { value: serde_json::to_vec(row).unwrap().into(), ..record }).collect()
}

/// The record of a transaction that came again, as the scorer emits it.
pub(super) fn duplicate() -> Record {
    let again = [accepted(), vec![accept(FULL, 9)]].concat();
    emitted(&again).scores.remove(2)
}

/// A further scored record, for whoever goes on behind those two and the duplicate.
pub(super) fn next() -> Record {
    let line = BARE.replace("T-0002", "T-0003");
    let accepted = accept(&line, 10);
    let row = bare(serde_json::from_slice(&accepted.value).unwrap(), 3);
    Record::new("T-0003", serde_json::to_vec(&row).unwrap())
}

fn read_scored(bytes: &[u8]) -> String {
    let records = record_text::read(bytes);
    let mut text: String = records.iter().map(|record| record_text::shown(record, &json::<ScoreRecord<'_>>(&record.value))).collect();
    // What a scorer that begins anew reads of them.
    let (standing, ids) = wait(async {
        let (_folder, log) = log::holding(RISK_SCORES, &records).await;
        (last_emitted(&*log, 0).await.unwrap(), ids_before(&*log, 0, 100, 100, 100).await.unwrap())
    });
    writeln!(text, "{standing:?}\n{ids:?}").unwrap();
    text
}

fn transaction_alert() -> Record {
    let (alert, accepted) = (alert(), accept(FULL, 7));
    let value = output::standalone_alert(&alert, std::str::from_utf8(&accepted.value).unwrap()).unwrap();
    Record::new(Bytes::copy_from_slice(alert.alert_id.as_bytes()), value)
}

/// Records of patterns as they are emitted, with a wording of their own: one that is an alert, and one that is none.
pub(super) fn pattern_alerts() -> Vec<Record> {
    let made = |(seq, risk_score): (u64, u8)| {
        let reasons = vec![reason("round_trip", Dimension::Behavior, 20)];
        let found = Found { pattern: pattern(5 + seq, risk_score), reasons, transaction_id: "T-0001".to_owned(), user_id: "u-17 Müller".to_owned(), amount: Cents(123_450) };
        let alert = Alert { title: Text::from("Round trip: 2 transactions"), message: Text::from("1,234.50 went out and came back."), ..pattern_alert::alert(&found, Some(seq)) };
        Record { value: serde_json::to_vec(&alert).unwrap().into(), ..pattern_alert::record(&found, seq) }
    };
    [(0, 88), (1, 60)].into_iter().map(made).collect()
}

/// Everything of `risk-alerts`.
pub(super) fn risk_alerts() -> Vec<Record> {
    [vec![transaction_alert()], pattern_alerts()].concat()
}

fn read_alerts(bytes: &[u8]) -> String {
    let shown = |record: &Record| {
        let alert: Alert<'_> = serde_json::from_slice(&record.value).unwrap();
        record_text::shown(record, &format!("{}\n{:?}", json::<Alert<'_>>(&record.value), alert.row_position()))
    };
    record_text::read(bytes).iter().map(shown).collect()
}

pub(super) fn activities() -> Vec<Record> {
    let accepted = accepted();
    let made = |at: usize, score: &Score| {
        let transaction: AcceptedTransaction<'_> = serde_json::from_slice(&accepted[at].value).unwrap();
        account_activity::record(&transaction, score, SeqPosition { partition: 0, seq: at as u64 }, Micros(AT + 60_000_000))
    };
    let implausible = Score { implausible: true, ..Score::default() };
    let points = Score { dimensions: Dimensions { amount: 25, time: 20, frequency: 25, behavior: 13, metadata: 5 }, ..Score::default() };
    vec![made(0, &points), made(1, &implausible)]
}

fn read_activities(bytes: &[u8]) -> String {
    let records = record_text::read(bytes);
    let (mut engine, mut found) = (AccountEngine::new(AccountRules::default()), Vec::new());
    let mut text = String::new();
    for record in &records {
        text += &record_text::shown(record, &json::<Activity<'_>>(&record.value));
        engine.take(&serde_json::from_slice(&record.value).unwrap(), &mut found);
    }
    writeln!(text, "taken up to {:?}", engine.taken(0)).unwrap();
    text
}

/// One of each kind.
fn controls() -> Vec<Record> {
    let changes = [
        ControlChange::Ruleset { ruleset: "name = \"x\"\n[levels]\nalert_from = 70\n".to_owned() },
        ControlChange::Priors { priors: "[priors.overall]\n".to_owned() },
        ControlChange::Release { transaction_id: "T-0001".to_owned(), transaction: String::from_utf8(accept(FULL, 7).value.to_vec()).unwrap() },
    ];
    let record = |(from_seq, change): (u64, ControlChange)| {
        let reason = if from_seq == 1_000 { "" } else { "asked for by audit" };
        let (control_id, principal, reason) = (format!("c-{from_seq}"), "local".to_owned(), reason.to_owned());
        let record = ControlRecord { schema_version: SCHEMA_VERSION, control_id, partition: 0, from_seq, principal, reason, change };
        Record { key: None, value: serde_json::to_vec(&record).unwrap().into(), headers: Vec::new() }
    };
    (1_000..).zip(changes).map(record).collect()
}

fn read_controls(bytes: &[u8]) -> String {
    let records = record_text::read(bytes);
    let mut text: String = records.iter().map(|record| record_text::shown(record, &json::<ControlRecord>(&record.value))).collect();
    // What the scorer that they are for says of each: whether it was for its partition.
    let mut scorer = records::scorer(0, 100);
    for record in records::stored(records, 0) {
        writeln!(text, "{SCORER_CONTROL}/0/{}: decided on: {}", record.offset, scorer.decide(&record, 1)).unwrap();
    }
    text
}

pub(super) fn events() -> Vec<Record> {
    let object = |text: &str| serde_json::from_str(text).unwrap();
    let events = [
        SystemEvent::Audit {
            event_id: "5d1c2f0e-0000-5000-8000-000000000004".to_owned(),
            event_type: "stage_started".to_owned(),
            source: "scorer".to_owned(),
            principal: "local".to_owned(),
            severity: "info".to_owned(),
            data: object(r#"{"partition":0,"why":["a \"reason\""]}"#),
            timestamp: Micros(AT),
        },
        SystemEvent::Metric {
            name: "sink_lag_records".to_owned(),
            value: 12.5,
            unit: "records".to_owned(),
            labels: object(r#"{"stage":"ledger","partition":0}"#),
            timestamp: Micros(AT + 1),
        },
    ];
    events.iter().map(|event| Record { key: None, value: serde_json::to_vec(event).unwrap().into(), headers: Vec::new() }).collect()
}

fn read_events(bytes: &[u8]) -> String {
    record_text::read(bytes).iter().map(|record| record_text::shown(record, &json::<SystemEvent>(&record.value))).collect()
}
