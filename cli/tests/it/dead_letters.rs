//! Dead letters by the commands: seen, sent again, discarded; and the sum stays.

use wh_eventlog::embedded::{EmbeddedLog, Settings};
use wh_eventlog::{Log, Producer, Record};
use wh_schemas::topics::{self, HOSPITAL_TRANSACTIONS};

use crate::command::Place;

const GOOD: &str = r#"{"transaction_id":"T-1","timestamp":"2026-01-01T00:00:00Z","user_id":"u","account_id":"a","department":"IT","transaction_type":"billing","amount":"1.00"}"#;

/// Appends records past every check, as a foreign producer would.
fn append(place: &Place, values: &[&str]) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let log = EmbeddedLog::open(&place.data().join("log"), Settings::default()).unwrap();
        log.ensure_topics(&topics::ALL, topics::DEFAULT_PARTITIONS).await.unwrap();
        let records = (0..).zip(values).map(|(i, value)| Record::new(format!("key {i}"), (*value).to_owned())).collect();
        log.produce(HOSPITAL_TRANSACTIONS, 1, records).await.unwrap();
    });
}

fn up(place: &Place) {
    place.ok(&["up", "--rate", "0", "--no-history", "--until-idle"]);
}

/// The names in a list, as `--json` gives them.
fn listed(place: &Place, args: &[&str]) -> Vec<serde_json::Value> {
    let text = place.ok(&[&["dead-letters", "list", "--json"], args].concat());
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn letters(place: &Place) -> serde_json::Value {
    let status: serde_json::Value = serde_json::from_str(&place.ok(&["status", "--json"])).unwrap();
    status["letters"].clone()
}

#[test]
fn letters_are_seen_sent_again_and_discarded_and_the_sum_stays() {
    let place = Place::new();
    append(&place, &["no JSON at all", "[]", "{\"transaction_id\":\"X\"}", GOOD, "nor this"]);
    up(&place);
    let all = listed(&place, &[]);
    assert_eq!(all.len(), 4);
    let first = all.iter().find(|letter| letter["origin"] == "hospital-transactions/1/0").unwrap();
    assert_eq!((first["value"].as_str(), first["stage"].as_str()), (Some("no JSON at all"), Some("intake")));
    let (name, fingerprint) = (first["letter"].as_str().unwrap(), first["fingerprint"].as_str().unwrap());
    let alike = listed(&place, &["--fingerprint", fingerprint, "--stage", "intake", "--since", "1h"]);
    assert_eq!(alike.len(), 2, "both are no JSON");
    assert!(listed(&place, &["--since", "1h", "--until", "2h"]).is_empty() && listed(&place, &["--store", "ledger"]).is_empty());
    assert_eq!(listed(&place, &["--limit", "1"]).len(), 1);
    for (flag, name, known) in [
        ("--stage", "intaek", "intake, scorer, patterns, sink"),
        ("--store", "ledgr", "ledger, documents"),
        ("--class", "amuont", "record:invalid_json"),
        ("--fingerprint", "1F", "expected 16"),
    ] {
        for command in ["list", "retry", "discard"] {
            let said = place.fails(2, &["dead-letters", command, flag, name]);
            assert!(said.contains(name) && said.contains(known), "{command} {flag}: {said}");
        }
    }
    let shown = place.ok(&["dead-letters", "show", name]);
    assert!(shown.contains("state         waits") && shown.ends_with("no JSON at all\n"), "{shown}");

    // Nothing is done to more than one without a word.
    let said = place.fails(2, &["dead-letters", "discard", "--fingerprint", fingerprint]);
    assert!(said.contains("2 letters are meant") && said.contains("--all"), "{said}");
    let said = place.fails(2, &["dead-letters", "retry"]);
    assert!(said.contains("name the letters to retry"), "{said}");
    let said = place.fails(2, &["dead-letters", "retry", name, "0/99999"]);
    assert!(said.contains("say --all"), "{said}");
    let said = place.fails(2, &["dead-letters", "list", "--since", "yesterday"]);
    assert!(said.contains("--since yesterday"), "{said}");
    assert_eq!(letters(&place)["waiting"], 4);

    place.ok(&["dead-letters", "discard", "--fingerprint", fingerprint, "--all", "--reason", "a test"]);
    assert_eq!(letters(&place), serde_json::json!({ "written": 4, "waiting": 2, "retried": 0, "discarded": 2 }));
    assert!(place.ok(&["dead-letters", "show", name]).contains("state         discarded"));

    // What is sent again and is still bad is a letter of its own.
    let other = listed(&place, &[])[0]["letter"].as_str().unwrap().to_owned();
    let said = place.ok(&["dead-letters", "retry", &other]);
    assert!(said.contains("in hospital-transactions again, at 1/5"), "{said}");
    let again = place.ok(&["dead-letters", "retry", &other]);
    assert!(again.contains("was retried before"), "{again}");
    up(&place);
    assert_eq!(letters(&place), serde_json::json!({ "written": 5, "waiting": 2, "retried": 1, "discarded": 2 }));
    assert_eq!(listed(&place, &["--settled"]).len(), 5);
    let told = place.ok(&["status"]);
    assert!(told.contains("5 dead letters in the log = 2 waiting + 1 sent again + 2 discarded") && told.contains("everything adds up, nothing waits"), "{told}");

    assert_eq!(place.sql("SELECT count(*) FROM log.dead_letters WHERE disposition IS NULL AND stage = 'intake'"), ["5"]);
    assert_eq!(place.sql("SELECT disposition, remark FROM log.dead_letters WHERE disposition = 'discarded' GROUP BY 1, 2"), ["discarded,a test"]);
    assert_eq!(
        place.sql("SELECT event_type, count(*) FROM audit_log WHERE event_type LIKE 'dead_letters_%' GROUP BY 1 ORDER BY 1"),
        ["dead_letters_discarded,1", "dead_letters_retried,1"]
    );
}

#[test]
fn a_limit_means_the_same_letters_to_whoever_lists_and_to_whoever_discards() {
    let place = Place::new();
    append(&place, &["no JSON at all", "[]", "{\"transaction_id\":\"X\"}", "nor this", "nor that"]);
    up(&place);
    let names = |letters: &[serde_json::Value]| -> Vec<String> { letters.iter().map(|letter| letter["letter"].as_str().unwrap().to_owned()).collect() };
    let all = names(&listed(&place, &[]));
    let newest = names(&listed(&place, &["--limit", "2"]));
    assert_eq!(newest, all[3..], "the newest, the oldest of them first");
    let done = place.ok(&["dead-letters", "discard", "--limit", "2", "--all"]);
    let discarded: Vec<String> = done.lines().filter_map(|line| line.split_once(" is discarded")).map(|(name, _)| name.to_owned()).collect();
    assert_eq!(discarded, newest);
    assert_eq!(names(&listed(&place, &[])), all[..3]);
    let sent = place.ok(&["dead-letters", "retry", "--limit", "1", "--all"]);
    assert!(sent.starts_with(&format!("{} is in", all[2])), "{sent}");
}

#[test]
fn a_stage_that_stops_before_too_many_letters_ends_the_process_and_leaves_an_incident() {
    let place = Place::new();
    append(&place, &["bad"; 150]);
    let said = place.fails(1, &["up", "--rate", "0", "--no-history", "--until-idle"]);
    assert!(said.contains("intake") && said.contains("too many dead letters: 150 in a minute") && said.contains("\"offset\" = 0"), "{said}");
    assert_eq!(letters(&place)["written"], 0);
    let generous = std::fs::read_to_string(place.config()).unwrap() + "[dead_letters]\nmax_per_minute = 0\nmax_percent = 0\n";
    std::fs::write(place.config(), generous).unwrap();
    up(&place);
    assert_eq!(letters(&place)["written"], 150);
    let incidents = place.sql("SELECT source, severity, data->>'kind' FROM audit_log WHERE event_type = 'incident_opened'");
    assert_eq!(incidents, ["intake,error,too_many_dead_letters"]);
}
