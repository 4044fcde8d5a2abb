//! Commands that touch no store, or read it alone.

use crate::command::{Place, text};

#[test]
fn scoring_is_the_same_in_two_runs_and_for_any_number_of_threads() {
    let place = Place::new();
    let input = place.generate("input.ndjson", 20_000, 3);
    let one = place.ok(&["score", text(&input), "--threads", "1"]);
    assert_eq!(one.lines().count(), 20_000);
    for threads in ["1", "2", "3"] {
        assert!(one == place.ok(&["score", text(&input), "--threads", threads]), "{threads} threads");
    }
    assert!(!place.data().exists(), "scoring offline must not touch the data folder");
}

#[test]
fn labels_in_the_input_change_no_score() {
    let place = Place::new();
    let input = place.generate("input.ndjson", 3_000, 5);
    let plain = std::fs::read_to_string(&input).unwrap();
    let labelled: String =
        plain.lines().enumerate().map(|(i, line)| format!("{},\"is_anomaly\":{},\"anomaly_type\":\"x{i}\"}}\n", line.strip_suffix('}').unwrap(), i % 3 == 0)).collect();
    let other = place.path("labelled.ndjson");
    std::fs::write(&other, labelled).unwrap();
    assert!(place.ok(&["score", text(&input)]) == place.ok(&["score", text(&other)]));
}

#[test]
fn the_same_seed_gives_the_same_transactions() {
    let place = Place::new();
    let generate = ["generate", "--count", "2000", "--seed", "9"];
    assert!(place.ok(&generate) == place.ok(&generate));
    assert!(place.ok(&generate) != place.ok(&["generate", "--count", "2000", "--seed", "10"]));
}

#[test]
fn every_command_has_help_with_an_example() {
    let place = Place::new();
    for command in [
        "up",
        "run",
        "score",
        "explain",
        "backtest",
        "evaluate",
        "fit-priors",
        "bench",
        "benford",
        "rules",
        "doctor",
        "migrate",
        "generate",
        "import",
        "status",
        "sql",
        "replay",
        "backup",
        "restore",
        "dead-letters",
        "config",
        "completions",
    ] {
        let help = String::from_utf8(place.run(&[command, "--help"]).stdout).unwrap();
        assert!(help.contains("Example: wardhouse"), "{command}: {help}");
    }
}

#[test]
fn a_small_stream_reaches_every_store_and_can_be_asked_for_in_one_statement() {
    let place = Place::new();
    let input = place.generate("input.ndjson", 5_000, 2);
    let said = place.ok(&["up", "--input", text(&input), "--rate", "0", "--until-idle"]);
    assert!(said.contains("5000 transactions are in all five stores"), "{said}");
    assert_eq!(place.sql("SELECT count(*) FROM transactions"), ["5000"]);
    assert_eq!(place.sql("SELECT count(*) FROM documents.explanations"), ["5000"]);
    assert_eq!(place.sql("SELECT sum(transactions) FROM metrics.throughput"), ["5000"]);
    assert_eq!(place.sql("SELECT count(*) FROM search.alerts"), place.sql("SELECT count(*) FROM risk_alerts"));
    let started = place.sql("SELECT count(*) FROM audit_log WHERE event_type = 'started'");
    assert_eq!(started, ["1"]);
    // A second start with the same file imports nothing again.
    place.ok(&["up", "--input", text(&input), "--rate", "0", "--until-idle"]);
    assert_eq!(place.sql("SELECT count(*) FROM transactions"), ["5000"]);
    let replayed = place.ok(&["replay", "--store", "documents"]);
    assert!(replayed.contains("5000 records read, 0 written"), "{replayed}");
}
