//! Records for tests: made by the generator, by intake and by the scorer themselves, and held as a log would hold them.
//!
//! What must stay true: the same arguments give the same bytes, so that two runs can be compared.

use std::sync::LazyLock;

use chrono_tz::Tz;
use wh_eventlog::{Reader, Record, Stored};
use wh_ingest::generator::{Generated, GeneratorSettings, World, write_json};
use wh_ingest::intake;
use wh_schemas::json::Text;
use wh_schemas::pattern::Pattern;
use wh_schemas::scored::{Dimension, Dimensions, Reason, RiskLevel};
use wh_schemas::validate::Reading;
use wh_schemas::{Alert, Cents, Micros, ScoreRecord, Severity, ids};
use wh_scorer::dedup::{DEFAULT_HORIZON, Ids};
use wh_scorer::engine::Ruleset;
use wh_scorer::partition::{Emitted, PartitionRecord, PartitionScorer, Position};
use wh_scorer::pattern_alert;
use wh_scorer::patterns::Found;

/// When the first record of a made-up topic was appended: 2026-02-01T00:00:00Z. Each is a microsecond later than the one before.
const APPENDED: i64 = 1_769_904_000_000_000;

fn lines(seed: u64, users: u32, transactions_per_user_day: f64, anomaly_rate: f64, count: usize) -> Vec<Vec<u8>> {
    let start = Micros::parse("2026-01-01T00:00:00Z", Tz::UTC).unwrap();
    let world = World::new(GeneratorSettings { seed, users, start, transactions_per_user_day, anomaly_rate, zone: Tz::UTC }).unwrap();
    let line = |generated: Generated| {
        let mut line = Vec::new();
        write_json(&generated.transaction, &mut line);
        line
    };
    world.take(count).map(line).collect()
}

/// Transactions of eight people with many incidents, so that a thousand of them raise dozens of alerts.
pub(crate) fn small_hospital(seed: u64, count: usize) -> Vec<Vec<u8>> {
    lines(seed, 8, 1_300.0 / 6.0 / 8.0, 0.3, count)
}

/// Transactions of fifty people, as `wardhouse generate --days 10 --count 5000` makes them.
pub(crate) fn hospital(seed: u64, count: usize) -> Vec<Vec<u8>> {
    lines(seed, 50, 10.0, 0.15, count)
}

/// Two people whose records go to different partitions of so many.
pub(crate) fn apart(partitions: u32) -> [String; 2] {
    let names = || (0..).map(|number| format!("mover {number}"));
    let first = names().next().unwrap();
    let of = |name: &String| ids::partition_of(name.as_bytes(), partitions);
    let second = names().find(|name| of(name) != of(&first)).unwrap();
    [first, second]
}

/// A transfer of 9,500.00 that goes round three accounts on the ninth of January, moved by two people whose records go to different partitions.
/// They are at work before, so that the accounts are what is new.
pub(crate) fn round_trip(partitions: u32) -> Vec<Vec<u8>> {
    let movers = apart(partitions);
    let row = |id: &str, user: &str, at: &str, account: &str, kind: &str, amount: &str, rest: &str| {
        let fixed = format!(r#""user_id":"{user}","account_id":"{account}","department":"Finance","transaction_type":"{kind}","amount":{amount}"#);
        format!(r#"{{"transaction_id":"{id}","timestamp":"2026-01-{at}Z",{fixed}{rest}}}"#).into_bytes()
    };
    let mut lines = Vec::new();
    for day in [1, 4, 7] {
        for (number, user) in movers.iter().enumerate() {
            lines.push(row(&format!("before {day} {number}"), user, &format!("{day:02}T12:0{number}:00"), &format!("own {number}"), "billing", "20", ""));
        }
    }
    for (hop, (from, to)) in [("A", "B"), ("B", "C"), ("C", "A")].into_iter().enumerate() {
        let counterparty = format!(r#","counterparty_account":"round {to}""#);
        lines.push(row(&format!("hop {hop}"), &movers[hop % 2], &format!("09T1{hop}:00:00"), &format!("round {from}"), "transfer", "9500", &counterparty));
    }
    for (number, user) in movers.iter().enumerate() {
        lines.push(row(&format!("after {number}"), user, &format!("09T15:0{number}:00"), &format!("own {number}"), "billing", "20", ""));
    }
    lines
}

/// Lines with others among them, each where its time belongs. All are in order of their times.
pub(crate) fn merged(mut lines: Vec<Vec<u8>>, others: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    #[derive(serde::Deserialize)]
    struct Timed {
        timestamp: String,
    }
    let time = |line: &[u8]| Micros::parse(&serde_json::from_slice::<Timed>(line).unwrap().timestamp, Tz::UTC).unwrap();
    for other in others {
        let at = lines.iter().position(|line| time(line) > time(&other)).unwrap_or(lines.len());
        lines.insert(at, other);
    }
    lines
}

/// The records as a log would hold them, from offset `first` on.
pub(crate) fn stored(records: Vec<Record>, first: u64) -> Vec<Stored> {
    let held = |(record, offset): (Record, u64)| {
        let append_time = APPENDED + i64::try_from(offset).unwrap();
        Stored { offset, append_time, key: record.key, value: record.value, headers: record.headers }
    };
    records.into_iter().zip(first..).map(held).collect()
}

/// The same records at other offsets, as a scorer that emits them again would append them.
pub(crate) fn moved(records: &[Stored], first: u64) -> Vec<Stored> {
    records.iter().cloned().zip(first..).map(|(record, offset)| Stored { offset, ..record }).collect()
}

/// What intake makes of lines that are all valid: records of one partition of `accepted-transactions`.
pub(crate) fn accepted(lines: &[Vec<u8>]) -> Vec<Stored> {
    let reading = Reading::default();
    let sources = stored(lines.iter().map(|line| Record::new("source", line.clone())).collect(), 0);
    stored(sources.iter().map(|source| intake::accept(source, 0, 1, &reading).unwrap().1).collect(), 0)
}

/// A scorer of one partition that has seen nothing and remembers `horizon` ids.
pub(crate) fn scorer(partition: u32, horizon: usize) -> PartitionScorer {
    PartitionScorer::new(partition, Ruleset::default(), Position::default(), PartitionRecord::default(), Vec::new(), Ids::new(horizon), "test")
}

/// What the scorer makes of lines that are all valid: records of one partition of `risk-scores`.
pub(crate) fn scored(partition: u32, lines: &[Vec<u8>], horizon: usize) -> Vec<Stored> {
    let (mut scorer, mut emitted) = (scorer(partition, horizon), Emitted::default());
    for record in &accepted(lines) {
        scorer.process(record, &mut emitted);
    }
    assert!(emitted.dead_letters.is_empty(), "the scorer took them all");
    stored(emitted.scores, 0)
}

/// The scored records of partition 0 or 1, with a duplicate now and then: more than one block of the metrics store.
pub(crate) fn stream(partition: u32) -> Vec<Stored> {
    static STREAMS: [LazyLock<Vec<Stored>>; 2] = [LazyLock::new(|| make_stream(0, 11)), LazyLock::new(|| make_stream(1, 42))];
    STREAMS[partition as usize].to_vec()
}

fn make_stream(partition: u32, seed: u64) -> Vec<Stored> {
    let fresh = small_hospital(seed, 1_060);
    let mut lines = Vec::new();
    for (at, line) in fresh.iter().enumerate() {
        lines.push(line.clone());
        if at % 50 == 49 {
            lines.push(fresh[at - 20].clone());
        }
    }
    let records = scored(partition, &lines, DEFAULT_HORIZON);
    let alerts = records[..1_000].iter().filter(|record| !score(record).alerts.is_empty()).count();
    let duplicates = records[..1_000].iter().filter(|record| score(record).duplicate_of.is_some()).count();
    assert!(records.len() > 1_060 && alerts > 10 && duplicates > 10, "{} records, {alerts} alerts, {duplicates} duplicates", records.len());
    records
}

/// Records of one partition of `risk-alerts`: patterns of all scores with awkward texts, and alerts of transactions between them.
pub(crate) fn pattern_stream() -> Vec<Stored> {
    let scored = stream(0);
    let mut transactions = scored.iter().flat_map(|record| score(record).alerts).map(|alert| Record::new(alert.alert_id.to_string(), serde_json::to_vec(&alert).unwrap()));
    let mut records = Vec::new();
    for seq in 0..40_u64 {
        records.extend(transactions.next());
        let risk_score = [60, 70, 84, 85, 100][usize::try_from(seq % 5).unwrap()];
        let members: Vec<String> = (0..3).map(|member| format!("t {seq} {member} \"∅\"")).collect();
        let refs: Vec<&str> = members.iter().map(String::as_str).collect();
        let at = Micros(APPENDED + i64::try_from(seq).unwrap());
        let found = Found {
            pattern: Pattern {
                pattern_id: Text::from(ids::pattern_id("made_up", &refs).to_string()),
                pattern_type: Text::from("made_up"),
                user_id: (seq % 2 == 0).then(|| Text::from(format!("Ünal {seq}"))),
                accounts: vec![Text::from("A'; --"), Text::from("счёт")],
                members: members.iter().cloned().map(Text::from).collect(),
                risk_score,
                description: Text::from(format!("money went round, {seq} \u{1} times\n")),
                first_event: Micros(at.0 - 5),
                last_event: at,
            },
            reasons: vec![Reason { rule: Text::from("made_up"), dimension: Dimension::Behavior, points: 20, evidence: Text::from("it is made up") }],
            transaction_id: members[2].clone(),
            user_id: format!("Ünal {seq}"),
            amount: Cents(100 + i64::try_from(seq).unwrap()),
        };
        records.push(pattern_alert::record(&found, seq));
    }
    stored(records, 0)
}

/// A record of `risk-scores`, read.
pub(crate) fn score(record: &Stored) -> ScoreRecord<'_> {
    serde_json::from_slice(&record.value).unwrap()
}

/// The same scored record with 100 points and an alert that says what its description says.
pub(crate) fn alerting(record: &Stored) -> Stored {
    let mut row = score(record);
    let said = row.description.as_deref().unwrap_or("nothing was said").to_owned();
    row.risk_score = Some(100);
    row.risk_level = Some(RiskLevel::High);
    row.is_anomaly = Some(true);
    row.dimensions = Some(Dimensions { amount: 25, time: 20, frequency: 25, behavior: 20, metadata: 10 });
    row.alerts = vec![Alert {
        alert_id: Text::from(ids::alert_id(&row.transaction_id, "awkward").to_string()),
        transaction_id: row.transaction_id.clone(),
        alert_type: Text::from("awkward"),
        severity: Severity::Critical,
        risk_score: 100,
        title: Text::from(format!("Ünusual: {}", row.user_id)),
        message: Text::from(format!("{said} (account {})", row.account_id)),
        detection_rules: vec![Text::from("a \"rule\""), Text::from("zweite Regel: größer")],
        transaction: None,
        pattern: None,
        position: None,
        reasons: Vec::new(),
        members: Vec::new(),
    }];
    Stored { value: serde_json::to_vec(&row).unwrap().into(), ..record.clone() }
}

/// Lines with every value that a store may stumble over, all valid.
pub(crate) fn awkward() -> Vec<Vec<u8>> {
    let row = |id: &str, timestamp: &str, amount: &str, rest: &str| {
        let fixed = r#""user_id":"u-awkward","account_id":"a","department":"IT","transaction_type":"billing""#;
        format!(r#"{{"transaction_id":"{id}","timestamp":"{timestamp}",{fixed},"amount":{amount}{rest}}}"#).into_bytes()
    };
    let at = "2026-01-02T03:04:05Z";
    let long = format!(r#","metadata":{{"note":"{}"}}"#, "x".repeat(64 * 1024));
    vec![
        row("bare", at, "0.01", ""),
        row("empty", at, "1", r#","description":"","counterparty_account":"","metadata":{"":""}"#),
        row("nulls", at, "1.5", r#","description":null,"counterparty_account":null,"metadata":null"#),
        row("money", at, "9999999999999.99", ""),
        row("money-as-text", at, r#""9999999999999.98""#, ""),
        row("first-micro", "2026-01-02T03:04:05.000001Z", "2", ""),
        row("last-micro", "2026-01-02T03:04:05.999999Z", "2", ""),
        row("offset", "2026-01-02T03:04:05.5+05:30", "2", ""),
        row("first-year", "0001-01-01T00:00:00Z", "3", ""),
        row("last-year", "9999-12-31T23:59:59.999999Z", "3", ""),
        row("long", at, "4", &long),
        row("keys", at, "5", r#","metadata":{"a.b":1,"$set":{"$inc":{"x.y":2}},"_id":"x","__proto__":null,"a":{"":[]},"'":0}"#),
        row("numbers", at, "6", r#","metadata":{"big":12345678901234567890.10,"exp":1e400,"small":-0.0,"many":[0,-1,1E-7]}"#),
        row("quotes", at, "7", r#","description":"'; DROP TABLE transactions; -- \"\\ \u0001\n\t %_","counterparty_account":"O'Brien | ∅""#),
        row("beside", at, "8", r#","is_anomaly":true,"unknown":{"deep":[1,{"x":null}]},"metadata":{"risk_score":99}"#),
        r#"{"transaction_id":"日本-𝄞-é","timestamp":"2026-01-02T03:04:09Z","user_id":" Ünal \"der Große\" ","account_id":"счёт","department":"Kardiologie Ω",
            "transaction_type":"refund","amount":"12.30","description":"Größe ‘x’ naïve e\u0301 🩺","counterparty_account":"Ελλάδα","metadata":{"ключ":"значение","\ud83e\ude7a":"\u00e9"}}"#
            .as_bytes()
            .to_vec(),
    ]
}

/// Every record of a topic, by partition.
pub(crate) async fn topic(log: &dyn Reader, topic: &str) -> Vec<Vec<Stored>> {
    let mut partitions = Vec::new();
    for partition in 0..log.partitions(topic).await.unwrap() {
        let bounds = log.bounds(topic, partition).await.unwrap();
        let (mut records, mut next) = (Vec::new(), bounds.start);
        while next < bounds.end {
            let some = log.read(topic, partition, next, 1 << 20).await.unwrap();
            next = some.last().unwrap().offset + 1;
            records.extend(some);
        }
        partitions.push(records);
    }
    partitions
}
