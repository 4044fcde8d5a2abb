//! kill −9 at random moments: nothing lost, nothing doubled, every score the same to the bit.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use crate::command::{Place, text};

/// Kills that must have hit a process which had written since its last checkpoint.
const KILLS: u32 = 20;

/// Records emitted and records covered by checkpoints, at this moment; `None` while the files are not there yet.
fn emitted_and_checkpointed(data: &Path) -> Option<(u64, u64)> {
    let open = |path: &Path| Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).ok();
    let log = open(&data.join("log/log.db"))?;
    let emitted = log.query_row("SELECT coalesce(sum(next_offset), 0) FROM partitions JOIN topics USING (topic_id) WHERE name = 'risk-scores'", [], |row| row.get(0)).ok()?;
    let baselines = open(&data.join("baselines.db"))?;
    let checkpointed = baselines.query_row("SELECT coalesce(sum(next_seq), 0) FROM checkpoints", [], |row| row.get(0)).ok()?;
    Some((emitted, checkpointed))
}

fn ids(place: &Place, statement: &str) -> Vec<String> {
    let mut lines = place.sql(statement);
    lines.sort_unstable();
    lines
}

/// Scores with their reasons, by transaction, as the log holds them; a duplicate has none.
fn scores(place: &Place) -> BTreeMap<String, String> {
    let out = place.ok(&["sql", "--format", "ndjson", "SELECT value FROM log.risk_scores"]);
    let mut scores = BTreeMap::new();
    for line in out.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let mut record: serde_json::Value = serde_json::from_str(row["value"].as_str().unwrap()).unwrap();
        if record.get("duplicate_of").is_some() {
            continue;
        }
        let id = record["transaction_id"].as_str().unwrap().to_owned();
        // Where it stands may differ by the duplicates that a killed import sends; what was scored may not.
        for place in ["seq", "source"] {
            record.as_object_mut().unwrap().remove(place);
        }
        assert!(scores.insert(id, record.to_string()).is_none(), "scored twice: {}", record["transaction_id"]);
    }
    scores
}

#[test]
fn kills_at_random_moments_lose_nothing_double_nothing_and_change_no_score() {
    let (whole, killed) = (Place::new(), Place::new());
    let input = whole.generate("input.ndjson", 300_000, 11);
    let mut file = std::fs::OpenOptions::new().append(true).open(&input).unwrap();
    for i in 0..200 {
        writeln!(file, "{{\"transaction_id\":\"BAD-{i}\",\"amount\":-1}}").unwrap();
    }
    drop(file);
    let up = ["up", "--input", text(&input), "--rate", "0", "--until-idle"];
    whole.ok(&up);

    let mut counted = 0;
    let mut tries: u64 = 0;
    while counted < KILLS {
        tries += 1;
        assert!(tries < 200, "{counted} of {KILLS} kills counted: the input is too small for this machine");
        let before = emitted_and_checkpointed(&killed.data()).map_or(0, |(emitted, _)| emitted);
        let mut process = killed.spawn(&up);
        // Until it writes; then up to 300 ms more, at a moment that differs from try to try.
        let begun = Instant::now();
        while emitted_and_checkpointed(&killed.data()).is_none_or(|(emitted, _)| emitted <= before) && begun.elapsed() < Duration::from_secs(30) {
            if process.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::yield_now();
        }
        let moment = Duration::from_millis(tries.wrapping_mul(7_919) % 300);
        let written = Instant::now();
        while written.elapsed() < moment {
            std::thread::sleep(Duration::from_millis(1));
        }
        process.kill().unwrap();
        process.wait().unwrap();
        let (emitted, checkpointed) = emitted_and_checkpointed(&killed.data()).unwrap();
        if emitted > checkpointed {
            counted += 1;
        }
        if emitted >= 300_000 {
            break;
        }
    }
    assert!(counted >= KILLS, "{counted} of {KILLS} kills hit a process that had written since its checkpoint ({tries} kills in all)");
    killed.ok(&up);

    let status: serde_json::Value = serde_json::from_str(&killed.ok(&["status", "--json"])).unwrap();
    for stage in status["stages"].as_array().unwrap() {
        let parts: u64 = stage["parts"].as_array().unwrap().iter().map(|p| p[1].as_u64().unwrap()).sum();
        assert_eq!(stage["input"], stage["settled"], "{stage}");
        assert_eq!(stage["settled"].as_u64().unwrap(), parts, "{stage}");
    }

    let (expected, found) = (scores(&whole), scores(&killed));
    assert_eq!(expected.len(), 300_000);
    assert!(expected == found, "{} scores differ", expected.iter().filter(|(id, score)| found.get(*id) != Some(score)).count());
    for statement in [
        "SELECT transaction_id, amount, timestamp, risk_score, detection_rules, content_hash FROM ledger.transactions",
        "SELECT alert_id, transaction_id, risk_score, message FROM ledger.risk_alerts",
        "SELECT user_id, total_transactions, amount_sum, alert_count, score_sum, hours, departments FROM ledger.user_profiles",
        "SELECT transaction_id, risk_score, reasons FROM documents.explanations",
        "SELECT transaction_id, metadata FROM documents.transaction_metadata",
        "SELECT alert_id, title, message FROM search.alerts",
        "SELECT time, department, transaction_type, risk_level, sum(transactions), sum(amount_sum), sum(score_sum), max(score_max), sum(alerts) FROM metrics.throughput GROUP BY 1, 2, 3, 4",
        "SELECT user_id, transactions, amount_mean, home_department, last_event, alerts FROM baselines.users",
    ] {
        let (expected, found) = (ids(&whole, statement), ids(&killed, statement));
        assert!(!expected.is_empty(), "{statement}");
        assert!(expected == found, "{statement}: {} rows, expected {}", found.len(), expected.len());
    }
}
