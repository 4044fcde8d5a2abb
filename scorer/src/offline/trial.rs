//! A team's own rules tried on a history: how many rows each gave points, and how many it had no answer for.
//!
//! What must stay true: nothing is written; the counts are the same for any number of threads.

use std::io;

use serde::Serialize;
use wh_schemas::validate::Reading;

use super::pass::{self, Fate, PassSettings, Passed, Row, Seen};
use super::source::Source;
use crate::dedup::DEFAULT_HORIZON;
use crate::engine::Ruleset;

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Trial {
    /// What was read; `unanswered` in it counts the rows that a rule had no answer for.
    pub passed: Passed,
    /// Each enabled rule, in the order of the file, with the rows that it gave points.
    pub gave: Vec<(String, u64)>,
}

/// Tries the rules of a ruleset.
///
/// # Errors
/// Where the history cannot be read.
pub fn run(source: &mut dyn Source, ruleset: &Ruleset, reading: &Reading, partitions: u32, threads: usize) -> io::Result<Trial> {
    let mut gave: Vec<(String, u64)> = ruleset.rules.iter().filter(|rule| rule.enabled).map(|rule| (rule.name.clone(), 0)).collect();
    let names: Vec<String> = gave.iter().map(|(name, _)| name.clone()).collect();
    let settings = PassSettings { rulesets: vec![ruleset.clone()], reading: reading.clone(), partitions, dedup_horizon: DEFAULT_HORIZON, threads };
    let view = &|seen: &Seen<'_>| -> Vec<usize> {
        let reasons = &seen.score(0).reasons;
        names.iter().enumerate().filter(|(_, name)| reasons.iter().any(|reason| reason.rule.as_str() == name.as_str())).map(|(place, _)| place).collect()
    };
    let passed = pass::run::<Vec<usize>>(source, &settings, view, &mut |row: Row<Vec<usize>>| {
        if let Fate::Scored { seen, .. } = row.fate {
            for place in seen {
                if let Some((_, rows)) = gave.get_mut(place) {
                    *rows += 1;
                }
            }
        }
        Ok(())
    })?;
    Ok(Trial { passed, gave })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offline::source::Lines;

    #[test]
    fn each_rule_is_told_with_the_rows_that_it_gave_points_and_those_that_it_had_no_answer_for() {
        let text = r#"
            metadata_keys = ["ip"]
            [[rules]]
            name = "large"
            when = 'tx.amount > 100.0'
            dimension = "amount"
            points = 1
            [[rules]]
            name = "that_address"
            when = 'tx.metadata.ip == "10.0.0.1"'
            dimension = "metadata"
            points = 5
            [[rules]]
            name = "off"
            when = 'tx.amount > 0.0'
            dimension = "metadata"
            points = 5
            enabled = false
        "#;
        let ruleset = crate::rules::parse(text).unwrap();
        let line = |id: u32, amount: u32, metadata: &str| {
            format!(
                "{{\"transaction_id\":\"T{id}\",\"timestamp\":\"2026-03-02T10:00:{id:02}Z\",\"user_id\":\"U{id}\",\"account_id\":\"A\",\"department\":\"IT\",\"transaction_type\":\"payment\",\"amount\":{amount},\"metadata\":{metadata}}}\n"
            )
        };
        let input = [line(0, 5, "{}"), line(1, 101, "{\"ip\":\"10.0.0.1\"}"), line(2, 102, "{}")].concat();
        for threads in [1, 3] {
            let trial = run(&mut Lines::new(input.as_bytes()), &ruleset, &Reading::default(), 3, threads).unwrap();
            assert_eq!(trial.gave, [("large".to_owned(), 2), ("that_address".to_owned(), 1)]);
            let [unanswered] = trial.passed.unanswered.as_slice() else { panic!("{trial:?}") };
            assert_eq!((unanswered.rule.as_str(), unanswered.rows), ("that_address", 2));
        }
    }
}
