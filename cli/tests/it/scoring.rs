//! What newcomers meet first: rules tried and applied, files scored, explained and measured, alerts released; and what each says when it cannot.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::command::{Place, text};

/// A ruleset whose rule reads a metadata key that no generated row has.
const LOST: &str = "metadata_keys = [\"device\"]\n[[rules]]\nname = \"lost_device\"\nwhen = 'tx.metadata.device == \"x\"'\ndimension = \"metadata\"\npoints = 5\n";

/// Runs a command that must succeed; what it wrote to both outputs.
fn both(place: &Place, args: &[&str]) -> (String, String) {
    let output = place.run(args);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{args:?}: {}\n{said}", output.status);
    (String::from_utf8(output.stdout).unwrap(), said)
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_ruleset_is_recorded_where_no_scorer_runs_and_the_wait_is_short_and_told() {
    let place = Place::new();
    let rules = place.path("rules.toml");
    std::fs::write(&rules, "name = \"next\"\n").unwrap();
    let begun = Instant::now();
    let (told, said) = both(&place, &["rules", "apply", text(&rules), "--wait", "1"]);
    assert!(begun.elapsed() < Duration::from_secs(20));
    for partition in 0..3 {
        assert!(told.contains(&format!("partition {partition}: recorded ruleset")), "{told}");
    }
    assert_eq!(told.matches("to count from seq 50 on").count(), 3, "{told}");
    assert!(said.contains("waiting up to 1 s") && said.contains("no scorer has answered for partition"), "{said}");
    let (told, said) = both(&place, &["rules", "apply", text(&rules), "--partition", "1", "--from-seq", "70", "--no-wait"]);
    assert!(told.contains("partition 1: recorded ruleset") && told.contains("seq 70") && !said.contains("waiting"), "{told}{said}");
    let history = place.ok(&["rules", "history"]);
    assert_eq!(history.matches("not decided yet").count(), 4, "{history}");
}

#[test]
fn lines_name_their_ruleset_and_rows_without_an_answer_are_counted_by_rule() {
    let place = Place::new();
    let input = place.generate("input.ndjson", 500, 7);
    let rules = place.path("rules.toml");
    std::fs::write(&rules, LOST).unwrap();
    let checked = place.ok(&["rules", "check", text(&rules)]);
    let (scores, said) = both(&place, &["score", text(&input), "--rules", text(&rules)]);
    let none = "rule lost_device had no answer for 500 of 500 rows and gave them no points: ";
    assert!(said.contains(none) && said.contains("has("), "{said}");
    for line in lines(&scores) {
        let hash = line["ruleset"].as_str().unwrap();
        assert!(hash.len() == 16 && checked.contains(hash), "{line} {checked}");
    }
    let (told, said) = both(&place, &["rules", "check", text(&rules), "--input", text(&input)]);
    assert!(told.contains("500 rows scored") && told.lines().any(|line| line.split_whitespace().eq(["lost_device", "0", "500"])), "{told}");
    assert!(said.contains(none), "{said}");
    let (_, said) = both(&place, &["backtest", text(&rules), "--input", text(&input)]);
    assert!(said.contains("rule lost_device of the candidate ruleset had no answer for 500 of 500 rows"), "{said}");
    assert!(!said.contains("of the present ruleset"), "{said}");
    let id = lines(&scores)[99]["transaction_id"].as_str().unwrap().to_owned();
    let told = place.ok(&["explain", &id, "--input", text(&input), "--rules", text(&rules)]);
    assert!(told.contains("rule lost_device had no answer for this row"), "{told}");
    std::fs::write(&rules, "[[rules]]\nname = 1\n").unwrap();
    place.fails(1, &["rules", "check", text(&rules), "--input", text(&input)]);
}

#[test]
fn a_transaction_of_a_file_is_explained_without_a_pipeline() {
    let place = Place::new();
    let input = place.generate("input.ndjson", 4_000, 4);
    let scores = lines(&place.ok(&["score", text(&input)]));
    let line = scores.iter().max_by_key(|line| line["risk_score"].as_u64()).unwrap();
    let id = line["transaction_id"].as_str().unwrap();
    let told: Value = serde_json::from_str(&place.ok(&["explain", id, "--input", text(&input), "--json"])).unwrap();
    for field in ["risk_score", "dimensions", "reasons", "ruleset"] {
        assert_eq!(told["scored"][field], line[field], "{field}");
    }
    let told = place.ok(&["explain", id, "--input", text(&input)]);
    for part in ["of ", "input.ndjson", "baseline before it", "what would have lowered its level"] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
    let said = place.fails(1, &["explain", "nobody", "--input", text(&input)]);
    assert!(said.contains("holds no transaction nobody: 4000 lines were read"), "{said}");
    place.fails(2, &["explain", id, "--input", text(&input), "--stored"]);
    assert!(!place.data().exists(), "explaining a file must not touch the data folder");
}

#[test]
fn labels_that_match_no_row_and_empty_files_are_refused_with_their_counts() {
    let place = Place::new();
    let input = place.generate("input.ndjson", 300, 7);
    let (empty, labels) = (place.path("empty"), place.path("labels.csv"));
    std::fs::write(&empty, "").unwrap();
    let evaluate = |input: &Path, labels: &Path| place.fails(1, &["evaluate", "--input", text(input), "--labels", text(labels)]);
    assert!(evaluate(&input, &empty).contains("expected NDJSON, or CSV"));
    std::fs::write(&labels, "transaction_id,fraud\n").unwrap();
    assert!(evaluate(&input, &labels).contains("name no transaction"));
    std::fs::write(&labels, "transaction_id,fraud\nnobody,1\nnowhere,0\n").unwrap();
    assert!(evaluate(&empty, &labels).contains("holds no line"));
    let said = evaluate(&input, &labels);
    assert!(said.contains("none of the 2 transactions that the labels name is among the 300 rows"), "{said}");
    let first: Value = serde_json::from_str(std::fs::read_to_string(&input).unwrap().lines().next().unwrap()).unwrap();
    std::fs::write(&labels, format!("transaction_id,fraud\nnobody,1\n{},1\n", first["transaction_id"].as_str().unwrap())).unwrap();
    let (_, said) = both(&place, &["evaluate", "--input", text(&input), "--labels", text(&labels)]);
    assert!(said.contains("warning: 1 of 2 labels (1 of them fraud) name no row") && said.contains("299 of its 300 rows have no label"), "{said}");
}

#[test]
fn an_alert_of_a_pattern_by_account_cannot_be_released_and_its_owner_is_told_what_to_do() {
    let place = Place::new();
    let input = place.generate("input.ndjson", 6_000, 7);
    place.ok(&["up", "--input", text(&input), "--rate", "0", "--until-idle"]);
    let of_accounts = "FROM risk_alerts a JOIN transactions t ON t.transaction_id = a.transaction_id WHERE a.alert_id IN (SELECT pattern_id FROM transaction_patterns)";
    let alert = place.sql(&format!("SELECT a.alert_id {of_accounts} ORDER BY 1 LIMIT 1"));
    let said = place.fails(1, &["release", &alert[0]]);
    assert!(said.contains("is the alert of a pattern by account") && said.contains("nothing to release") && said.contains("[accounts]"), "{said}");
    let member = place.sql(&format!("SELECT t.transaction_id {of_accounts} AND t.risk_score < 70 ORDER BY 1 LIMIT 1"));
    let said = place.fails(1, &["release", &member[0]]);
    assert!(said.contains("was learnt when it came") && said.contains("It belongs to alerts of patterns by account"), "{said}");
    // One that was quarantined goes by its own id, or by that of its alert.
    let own = place.sql(
        "SELECT a.alert_id, a.transaction_id FROM risk_alerts a JOIN transactions t ON t.transaction_id = a.transaction_id \
         WHERE t.risk_score >= 70 AND a.alert_id NOT IN (SELECT pattern_id FROM transaction_patterns) ORDER BY 1 LIMIT 1",
    );
    for id in own[0].split(',') {
        assert!(place.ok(&["release", id, "--no-wait"]).contains("recorded release"));
    }
    assert!(place.fails(1, &["release", "nobody"]).contains("the log holds no scored record of nobody"));
}
