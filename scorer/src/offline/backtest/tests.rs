//! What a backtest promises, on a generated stream.

use wh_evaluation::{Config, Generated, Grade, generate};

use super::*;
use crate::offline::evaluate::labels_file;
use crate::offline::source::Lines;

fn stream() -> Generated {
    generate(&Config { users: 40, days: 40, fraud_share: 0.02, grades: vec![Grade::Blatant], ..Config::default() }, 3)
}

fn settings(candidate: Ruleset, threads: usize) -> BacktestSettings {
    BacktestSettings { present: Ruleset::default(), candidate, reading: Reading::default(), partitions: 3, dedup_horizon: 500_000, threads, from: None, to: None, examples: 10 }
}

fn tested(stream: &Generated, settings: &BacktestSettings, truth: Option<&Labels>) -> Backtest {
    run(&mut Lines::new(stream.ndjson().as_bytes()), settings, truth).unwrap()
}

/// Without the amount dimension.
fn without_amounts() -> Ruleset {
    let mut ruleset = Ruleset::default();
    ruleset.caps.amount = 0;
    ruleset
}

#[test]
fn the_same_ruleset_changes_nothing() {
    let stream = stream();
    let shown = tested(&stream, &settings(Ruleset { name: "another name".to_owned(), ..Ruleset::default() }, 2), None);
    assert_eq!((shown.alerts.gained, shown.alerts.lost, shown.scores_changed, shown.rows), (0, 0, 0, stream.transactions.len() as u64));
    assert_eq!((shown.alerts.present, shown.outcomes), (shown.alerts.candidate, None));
    assert!(shown.alerts.present > 0 && shown.gained.is_empty() && shown.lost.is_empty());
}

#[test]
fn a_weaker_ruleset_loses_alerts_and_says_by_which_reason_for_any_number_of_threads() {
    let stream = stream();
    let truth = Labels::read(labels_file(&stream).as_bytes()).unwrap();
    let shown = tested(&stream, &settings(without_amounts(), 2), Some(&truth));
    let again = tested(&stream, &settings(without_amounts(), 1), Some(&truth));
    assert_eq!(text(&shown), text(&again));
    assert!(shown.alerts.lost > 0 && shown.scores_changed > 0, "{}", text(&shown));
    assert_eq!(shown.lost.len(), 10.min(usize::try_from(shown.alerts.lost).unwrap()));
    assert!(shown.lost.iter().all(|example| example.present >= 70 && example.candidate < 70 && !example.difference.is_empty()));
    assert_eq!(shown.levels.iter().flatten().sum::<u64>(), shown.rows);
    let departments: u64 = shown.by_department.values().map(|change| change.lost).sum();
    assert_eq!(departments, shown.alerts.lost);
    let known = shown.outcomes.unwrap();
    assert_eq!((known.rows, known.fraud), (shown.rows, stream.labels.iter().filter(|label| label.fraud).count() as u64));
    assert_eq!(known.named, known.rows);
    assert!(known.present.recall.unwrap() >= known.candidate.recall.unwrap() && known.incidents > 0);
}

#[test]
fn only_rows_of_the_asked_for_time_are_counted() {
    let stream = stream();
    let middle = Micros(stream.transactions[stream.transactions.len() / 2].micros);
    let all = tested(&stream, &settings(without_amounts(), 2), None);
    let first = tested(&stream, &BacktestSettings { to: Some(middle), ..settings(without_amounts(), 2) }, None);
    let second = tested(&stream, &BacktestSettings { from: Some(middle), ..settings(without_amounts(), 2) }, None);
    assert_eq!(first.rows + second.rows, all.rows);
    assert_eq!(first.alerts.lost + second.alerts.lost, all.alerts.lost);
    assert!(first.rows > 0 && second.span.unwrap().0 >= middle);
}

#[test]
fn rulesets_that_differ_in_rules_for_accounts_only_share_the_scores() {
    let stream = stream();
    let mut candidate = Ruleset::default();
    candidate.accounts.disabled = crate::patterns::PATTERNS.iter().map(|name| (*name).to_owned()).collect();
    let shown = tested(&stream, &settings(candidate, 2), None);
    assert_eq!((shown.scores_changed, shown.alerts.gained), (0, 0));
    assert!(shown.alerts.lost > 0 && shown.lost.iter().all(|example| example.difference.starts_with("pattern ")), "{}", text(&shown));
}

#[test]
fn a_rule_without_an_answer_is_told_with_the_ruleset_that_has_it() {
    let stream = stream();
    let candidate =
        crate::rules::parse("metadata_keys = [\"nowhere\"]\n[[rules]]\nname = \"lost\"\nwhen = 'tx.metadata.nowhere == \"x\"'\ndimension = \"metadata\"\npoints = 5\n").unwrap();
    let shown = tested(&stream, &settings(candidate, 2), None);
    let told = shown.unanswered();
    assert_eq!(told.len(), 1, "{told:?}");
    let rows = stream.transactions.len();
    assert!(told[0].starts_with(&format!("rule lost of the candidate ruleset had no answer for {rows} of {rows} rows")), "{told:?}");
}
