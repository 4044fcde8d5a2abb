//! Rows that a team's rule had no answer for (a metadata key that is not there, a division by zero), counted by rule: such a rule gives no
//! points, and nobody would notice.
//!
//! What must stay true: the counts are the same for any number of threads; no score reads them.

use std::collections::BTreeMap;

use serde::Serialize;

/// Rows that one rule had no answer for, for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unanswered {
    /// The ruleset, by its place in [`super::PassSettings::rulesets`].
    pub ruleset: usize,
    /// The rule's name.
    pub rule: String,
    /// Why it had none.
    pub why: &'static str,
    /// How many rows.
    pub rows: u64,
}

/// Rows by engine, rule and reason, as partitions tell them.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<(usize, String, &'static str), u64>);

impl Tally {
    pub(super) fn add(&mut self, engine: usize, rule: &str, why: &'static str, rows: u64) {
        *self.0.entry((engine, rule.to_owned(), why)).or_default() += rows;
    }

    /// Adds what another thread counted.
    pub(super) fn join(&mut self, other: Tally) {
        for (key, rows) in other.0 {
            *self.0.entry(key).or_default() += rows;
        }
    }

    /// By ruleset: those that share an engine share its counts.
    pub(super) fn by_ruleset(&self, engine_of: &[usize]) -> Vec<Unanswered> {
        let mut unanswered = Vec::new();
        for (ruleset, engine) in engine_of.iter().enumerate() {
            for ((of, rule, why), rows) in &self.0 {
                if of == engine {
                    unanswered.push(Unanswered { ruleset, rule: rule.clone(), why, rows: *rows });
                }
            }
        }
        unanswered
    }
}

/// A sentence for each rule and reason, of so many scored rows; `names` are those of the rulesets, empty where there is one.
#[must_use]
pub fn sentences(unanswered: &[Unanswered], scored: u64, names: &[&str]) -> Vec<String> {
    unanswered
        .iter()
        .map(|Unanswered { ruleset, rule, why, rows }| {
            let of = names.get(*ruleset).map(|name| format!(" of the {name} ruleset")).unwrap_or_default();
            format!("rule {rule}{of} had no answer for {rows} of {scored} rows and gave them no points: {why}")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_add_up_and_rulesets_that_share_an_engine_share_its_counts() {
        let (mut one, mut other) = (Tally::default(), Tally::default());
        one.add(0, "night", "no key", 3);
        other.add(0, "night", "no key", 4);
        other.add(1, "day", "no key", 1);
        one.join(other);
        let by_ruleset = one.by_ruleset(&[0, 1, 0]);
        let told: Vec<(usize, &str, u64)> = by_ruleset.iter().map(|of| (of.ruleset, of.rule.as_str(), of.rows)).collect();
        assert_eq!(told, [(0, "night", 7), (1, "day", 1), (2, "night", 7)]);
        assert_eq!(sentences(&by_ruleset[..1], 9, &[]), ["rule night had no answer for 7 of 9 rows and gave them no points: no key"]);
        assert!(sentences(&by_ruleset[..1], 9, &["present"])[0].starts_with("rule night of the present ruleset had no answer"));
    }
}
