//! What an import promises, on real files and a real embedded log.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use wh_eventlog::embedded::{EmbeddedLog, Settings};
use wh_eventlog::{Reader, Stored};
use wh_schemas::validate::{MAX_RECORD_BYTES, decode_transaction};
use wh_schemas::{ids, topics};

use super::refusing::RefusingLog;
use super::*;

async fn log(folder: &Path) -> Arc<EmbeddedLog> {
    let log = EmbeddedLog::open(&folder.join("log"), Settings::default()).unwrap();
    log.ensure_topics(&topics::ALL, 3).await.unwrap();
    log
}

fn row(i: u64) -> String {
    format!(
        r#"{{"transaction_id":"T{i}","timestamp":"2026-03-01T08:30:00Z","user_id":"U{}","account_id":"A1","department":"IT","transaction_type":"billing","amount":{i}.50,"metadata":{{"shift":"night"}}}}"#,
        i % 7
    )
}

fn rows(count: u64) -> String {
    (1..=count).map(|i| row(i) + "\n").collect()
}

async fn stored(log: &EmbeddedLog) -> Vec<(u32, Stored)> {
    let mut all = Vec::new();
    for partition in 0..3 {
        let records = log.read(HOSPITAL_TRANSACTIONS, partition, 0, usize::MAX).await.unwrap();
        all.extend(records.into_iter().map(|record| (partition, record)));
    }
    all
}

/// Sorted, so that one that is there twice shows.
async fn stored_ids(log: &EmbeddedLog) -> Vec<String> {
    let mut keys: Vec<String> = stored(log).await.into_iter().map(|(_, r)| String::from_utf8(r.key.unwrap().to_vec()).unwrap()).collect();
    keys.sort();
    keys
}

fn expected_ids(count: u64) -> Vec<String> {
    let mut keys: Vec<String> = (1..=count).map(|i| format!("T{i}")).collect();
    keys.sort();
    keys
}

fn settings(path: &Path) -> ImportSettings {
    ImportSettings { batch_records: 10, ..ImportSettings::new(Input::Path(path.to_owned())) }
}

async fn run(log: &dyn Log, settings: &ImportSettings) -> Result<Progress, ImportError> {
    tokio::time::timeout(Duration::from_secs(60), import(log, settings, &mut |_| {}, CancellationToken::new())).await.unwrap()
}

async fn refused(folder: &Path, name: &str, content: &[u8]) -> String {
    let log = log(folder).await;
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    run(&*log, &settings(&path)).await.unwrap_err().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_is_in_the_log_or_in_the_rejects() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path()).await;
    let long = format!("{{\"transaction_id\":\"{}\"}}", "x".repeat(MAX_RECORD_BYTES * 8));
    let mut content = b"\xef\xbb\xbf".to_vec();
    for line in [
        row(1).into_bytes(),
        b"{broken".to_vec(),
        Vec::new(),
        b"\"\xff\"".to_vec(),
        long.clone().into_bytes(),
        b"{}\r".to_vec(),
        b"  \t".to_vec(),
        format!("  {} \r", row(2)).into_bytes(),
    ] {
        content.extend_from_slice(&line);
        content.push(b'\n');
    }
    content.extend_from_slice(row(3).as_bytes());
    let path = folder.path().join("in.ndjson");
    std::fs::write(&path, &content).unwrap();
    let rejects = folder.path().join("made/rejects.ndjson");
    let progress = run(&*log, &ImportSettings { rejects: Some(rejects.clone()), ..settings(&path) }).await.unwrap();
    let size = content.len() as u64;
    assert_eq!(progress, Progress { lines: 9, accepted: 3, rejected: 4, bytes_read: size, bytes_total: Some(size), finished: true, already: false, format: Format::Ndjson });
    assert_eq!(progress.between(), 2, "an empty line, and one of blanks");

    let mut values: Vec<String> = Vec::new();
    for (partition, record) in stored(&log).await {
        let transaction = decode_transaction(&record.value, &Reading::default()).unwrap();
        assert_eq!(record.key.as_deref(), Some(transaction.transaction_id.as_bytes()));
        assert_eq!(partition, ids::partition_of(transaction.user_id.as_bytes(), 3));
        values.push(String::from_utf8(record.value.to_vec()).unwrap());
    }
    values.sort();
    assert_eq!(values, [format!("  {} ", row(2)), row(1), row(3)]);

    let text = std::fs::read_to_string(&rejects).unwrap();
    let entries: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<(u64, &str)> = entries.iter().map(|e| (e["line"].as_u64().unwrap(), e["class"].as_str().unwrap())).collect();
    assert_eq!(told[..3], [(2, "record:invalid_json"), (4, "record:invalid_utf8"), (5, "record:record_too_large")]);
    assert!(told.len() == 4 && told[3].0 == 6 && told[3].1.contains("amount:missing"), "{told:?}");
    assert_eq!((&entries[0]["raw"], entries[0].get("raw_hex")), (&Value::from("{broken"), None));
    assert_eq!(entries[1]["raw_hex"], "22ff22");
    assert_eq!(entries[2]["raw_bytes"], long.len() as u64 + 1);
    assert!(long.starts_with(entries[2]["raw"].as_str().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn gzip_of_several_members_and_zstd_and_csv_give_the_same_transactions() {
    let text = rows(50);
    let (head, tail) = text.split_at(1_001);
    let mut gzip = Vec::new();
    for part in [head, tail] {
        let mut member = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        member.write_all(part.as_bytes()).unwrap();
        gzip.extend(member.finish().unwrap());
    }
    let zstd = [zstd::encode_all(head.as_bytes(), 1).unwrap(), zstd::encode_all(tail.as_bytes(), 1).unwrap()].concat();
    let mut csv = "user_id,amount,transaction_id,timestamp,account_id,department,transaction_type,metadata.shift,description\r\n".to_owned();
    for i in 1..=50 {
        csv += &format!("U{},{i}.50,T{i},2026-03-01T08:30:00Z,A1,IT,billing,night,\r\n", i % 7);
    }
    let mut read: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, content) in [("a.ndjson", text.as_bytes()), ("b", gzip.as_slice()), ("c.ndjson.zst", zstd.as_slice()), ("d.csv", csv.as_bytes()), ("e", csv.as_bytes())] {
        let folder = tempfile::tempdir().unwrap();
        let log = log(folder.path()).await;
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let progress = run(&*log, &settings(&path)).await.unwrap();
        assert_eq!((progress.accepted, progress.rejected, progress.bytes_read), (50, 0, content.len() as u64), "{name}");
        let mut transactions: Vec<String> =
            stored(&log).await.iter().map(|(_, r)| serde_json::to_string(&decode_transaction(&r.value, &Reading::default()).unwrap()).unwrap()).collect();
        transactions.sort();
        read.insert(name, transactions);
    }
    let expected = read["a.ndjson"].clone();
    assert_eq!(expected.len(), 50);
    for (name, transactions) in read {
        assert_eq!(transactions, expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn csv_rows_that_cannot_be_read_cost_themselves_alone() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path()).await;
    let path = folder.path().join("in.csv");
    let good = |id: &str, note: &str| format!("{id},2026-03-01T08:30:00Z,U1,A1,IT,billing,5,{note}\n");
    let content = [
        "transaction_id,timestamp,user_id,account_id,department,transaction_type,amount,description\n".to_owned(),
        good("T1", "\"over\ntwo lines\""),
        "T2,too,short\n\n".to_owned(),
        good("T3", "plain"),
        good("T4", "\"never closed"),
        good("T5", ""),
        good("T6", "plain"),
    ]
    .concat();
    std::fs::write(&path, &content).unwrap();
    let rejects = folder.path().join("rejects");
    let progress = run(&*log, &ImportSettings { rejects: Some(rejects.clone()), ..settings(&path) }).await.unwrap();
    assert_eq!((progress.lines, progress.accepted, progress.rejected), (9, 4, 2));
    assert_eq!(stored_ids(&log).await, ["T1", "T3", "T5", "T6"]);
    assert!(stored(&log).await.iter().any(|(_, r)| std::str::from_utf8(&r.value).unwrap().contains("\"description\":\"over\\ntwo lines\"")));
    let told: Vec<Value> = std::fs::read_to_string(&rejects).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&told[0]["line"], &told[0]["class"], &told[0]["raw"]), (&Value::from(4), &Value::from("record:ragged_row"), &Value::from("T2,too,short")));
    assert_eq!((&told[1]["line"], &told[1]["class"]), (&Value::from(7), &Value::from("record:open_quote")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_stopped_goes_on_without_loss_or_double() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path()).await;
    let path = folder.path().join("in.ndjson");
    std::fs::write(&path, format!("{}{{}}\n{}", rows(45), rows(100).split_inclusive('\n').skip(45).collect::<String>())).unwrap();
    let settings = ImportSettings { state_folder: Some(folder.path().join("state")), rejects: Some(folder.path().join("rejects")), ..settings(&path) };
    let mut runs = 0;
    let finished = loop {
        let stop = CancellationToken::new();
        let mut batches = 0;
        let mut on_progress = |_: Progress| {
            // The first call is the start's.
            batches += 1;
            if batches == 3 {
                stop.cancel();
            }
        };
        let progress = import(&*log, &settings, &mut on_progress, stop.clone()).await.unwrap();
        runs += 1;
        assert!(runs < 20);
        if progress.finished {
            break progress;
        }
    };
    assert!(runs > 3);
    assert_eq!((finished.lines, finished.accepted, finished.rejected), (101, 100, 1));
    assert_eq!(stored_ids(&log).await, expected_ids(100));
    assert_eq!(std::fs::read_to_string(folder.path().join("rejects")).unwrap().lines().count(), 1);

    let again = run(&*log, &settings).await.unwrap();
    assert_eq!(again, Progress { already: true, ..finished });
    assert_eq!(stored_ids(&log).await.len(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_while_the_log_took_only_a_part_of_a_batch_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path()).await;
    let path = folder.path().join("in.ndjson");
    std::fs::write(&path, rows(40)).unwrap();
    let settings = ImportSettings { state_folder: Some(folder.path().join("state")), batch_records: 40, ..settings(&path) };
    let stop = CancellationToken::new();
    let full = {
        let stop = stop.clone();
        RefusingLog::new(&log, move |_, partition| {
            let refused = partition == ids::partition_of(b"U0", 3);
            if refused {
                stop.cancel();
            }
            refused.then(|| Reaction::Transient { message: "full".into(), retry_after: Some(Duration::from_secs(3_600)) })
        })
    };
    let stopped = tokio::time::timeout(Duration::from_secs(60), import(&full, &settings, &mut |_| {}, stop)).await.unwrap().unwrap();
    assert_eq!((stopped.lines, stopped.finished), (0, false));
    let part = stored_ids(&log).await.len();
    assert!(part > 0 && part < 40, "{part}");
    let finished = run(&*log, &settings).await.unwrap();
    assert_eq!((finished.lines, finished.accepted, finished.finished), (40, 40, true));
    assert_eq!(stored_ids(&log).await, expected_ids(40));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_pushes_back_is_waited_for_and_one_that_fails_ends_the_import() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path()).await;
    let path = folder.path().join("in.ndjson");
    std::fs::write(&path, rows(60)).unwrap();
    let settings = ImportSettings { state_folder: Some(folder.path().join("state")), ..settings(&path) };
    let failing = RefusingLog::new(&log, |attempt, partition| match attempt {
        12.. => Some(Reaction::fatal(format!("no space left for partition {partition}"))),
        _ if attempt % 2 == 0 => Some(Reaction::Transient { message: "busy".into(), retry_after: Some(Duration::from_millis(1)) }),
        _ => None,
    });
    let error = run(&failing, &settings).await.unwrap_err().to_string();
    assert!(error.contains("no space left"), "{error}");
    let busy = RefusingLog::new(&log, |attempt, _| (attempt % 2 == 0).then(|| Reaction::Transient { message: "busy".into(), retry_after: Some(Duration::from_millis(1)) }));
    let progress = run(&busy, &settings).await.unwrap();
    assert_eq!((progress.accepted, progress.finished), (60, true));
    assert_eq!(stored_ids(&log).await, expected_ids(60));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_ended_is_no_end_of_the_import() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path()).await;
    let path = folder.path().join("in.ndjson");
    std::fs::write(&path, rows(20)).unwrap();
    let settings = ImportSettings { state_folder: Some(folder.path().join("state")), ..settings(&path) };
    let ended = RefusingLog::new(&log, |attempt, _| (attempt == 1).then(|| Reaction::fatal(format!("a broker: {}", wh_eventlog::incidents::PRODUCER_ENDED))));
    let progress = run(&ended, &settings).await.unwrap();
    assert_eq!((progress.accepted, progress.finished), (20, true));
    assert_eq!(stored_ids(&log).await, expected_ids(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_has_changed_is_begun_again_only_on_demand() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path()).await;
    let path = folder.path().join("in.ndjson");
    std::fs::write(&path, rows(3)).unwrap();
    let settings = ImportSettings { state_folder: Some(folder.path().join("state")), ..settings(&path) };
    run(&*log, &settings).await.unwrap();
    std::fs::write(&path, rows(5)).unwrap();
    let error = run(&*log, &settings).await.unwrap_err().to_string();
    assert!(error.contains("has changed since it was imported up to line 3") && error.contains("restart"), "{error}");
    let progress = run(&*log, &ImportSettings { restart: true, ..settings }).await.unwrap();
    assert_eq!((progress.lines, progress.accepted, progress.already), (5, 5, false));
    assert_eq!(stored_ids(&log).await.len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_told_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    assert!(refused(place, "a.json", b" \n[{}]").await.contains("jq -c '.[]'"));
    assert!(refused(place, "b.csv", b"transaction_id,amount\n").await.contains("names no column timestamp, user_id"));
    assert!(refused(place, "c.csv", b"").await.contains("the file is empty"));
    assert!(refused(place, "d.ndjson", b"\xff\xfe{\0").await.contains("UTF-16"));
    assert!(refused(place, "e.gz", b"\x1f\x8bxxxxxxxxxxxxxxx").await.contains("cannot read"));
    let zstd = zstd::encode_all(rows(2_000).as_bytes(), 1).unwrap();
    assert!(refused(place, "f.zst", &zstd[..zstd.len() - 20]).await.contains("cannot be read beyond line"));
    let log = log(place).await;
    assert!(run(&*log, &settings(&place.join("absent"))).await.unwrap_err().to_string().contains("absent"));
    assert!(run(&*log, &settings(place)).await.unwrap_err().to_string().contains("is a folder"));
    let own = place.join("g.ndjson");
    std::fs::write(&own, row(1)).unwrap();
    let error = run(&*log, &ImportSettings { rejects: Some(own.clone()), ..settings(&own) }).await.unwrap_err().to_string();
    assert!(error.contains("it is the file that is imported"), "{error}");
    assert_eq!(std::fs::read_to_string(&own).unwrap(), row(1));
}
