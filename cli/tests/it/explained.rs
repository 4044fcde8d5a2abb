//! What an investigator and a risk team ask: why a score is what it is, what other rules would change, how well fraud is found.

use serde_json::Value;

use crate::command::{Place, text};

#[test]
fn a_score_is_explained_from_the_log_and_computed_again_to_the_same() {
    let place = Place::new();
    let input = place.generate("input.ndjson", 6_000, 4);
    place.ok(&["up", "--input", text(&input), "--rate", "0", "--until-idle"]);
    let id = place.sql("SELECT transaction_id FROM risk_alerts WHERE transaction_id IN (SELECT transaction_id FROM transactions WHERE risk_score >= 70) ORDER BY risk_score, transaction_id LIMIT 1");
    let said = place.ok(&["explain", &id[0], "--recompute"]);
    for part in ["baseline before it", "the same score", " of 25", "an alert"] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    let told: Value = serde_json::from_str(&place.ok(&["explain", &id[0], "--json"])).unwrap();
    assert_eq!((&told["stored"]["transaction_id"], &told["recomputed"]["equal"]), (&id[0].as_str().into(), &true.into()));
    let alert = place.sql(&format!("SELECT alert_id FROM risk_alerts WHERE transaction_id = '{}' ORDER BY alert_id LIMIT 1", id[0]));
    assert!(!place.ok(&["explain", &alert[0]]).is_empty());
    assert!(place.fails(1, &["explain", "nobody"]).contains("nothing is known of nobody"));
}

#[test]
fn a_backtest_says_what_a_candidate_would_change_and_refuses_one_that_is_no_ruleset() {
    let place = Place::new();
    let input = place.generate("input.ndjson", 10_000, 6);
    let rules = place.path("rules.toml");
    std::fs::write(&rules, "[caps]\namount = 0\n").unwrap();
    let said = place.ok(&["backtest", text(&rules), "--input", text(&input)]);
    for part in ["alerts ", "by rule or pattern", "by department", "level: present", "lost"] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    let told: Value = serde_json::from_str(&place.ok(&["backtest", text(&rules), "--input", text(&input), "--json", "--threads", "1"])).unwrap();
    assert!(told["alerts"]["lost"].as_u64().unwrap() > 0, "{told}");
    std::fs::write(&rules, "[caps]\namont = 0\n").unwrap();
    assert!(place.fails(2, &["backtest", text(&rules), "--input", text(&input)]).contains("rules.toml:2:1"));
}

#[test]
fn fitted_priors_are_a_valid_ruleset() {
    let place = Place::new();
    let input = place.generate("input.ndjson", 10_000, 6);
    let rules = place.path("rules.toml");
    place.ok(&["fit-priors", "--input", text(&input), "--output", text(&rules)]);
    assert!(place.ok(&["rules", "check", text(&rules)]).contains("is a valid ruleset"));
    assert!(std::fs::read_to_string(&rules).unwrap().contains("[priors.overall]"));
}
