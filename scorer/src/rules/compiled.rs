//! The team's rules of one ruleset, ready to be asked: compiled once, then shared.
//!
//! What must stay true: a rule that has no answer for a record (a metadata key that is not there, a division by zero) gives
//! no points and is counted, and never stops another rule. The counters are for whoever operates this; no score reads them.

use std::sync::atomic::{AtomicU64, Ordering};

use super::condition;
use super::evidence::Evidence;
use super::facts::Facts;
use super::language::{Node, Unanswered};
use super::team::TeamRule;
use super::typing::Misread;

/// Rules that are compiled, in the order of the ruleset.
#[derive(Debug, Default)]
pub struct CompiledRules {
    rules: Vec<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    /// Place in the ruleset.
    index: usize,
    rule: TeamRule,
    condition: Node,
    evidence: Evidence,
    /// By reason, in the order of [`WHY`].
    unanswered: [AtomicU64; WHY.len()],
}

/// Why a rule may have no answer, as people are told: in the order of [`Unanswered`].
const WHY: [&str; 5] = [
    "a metadata key that it reads is not there; ask with has(…) first",
    "a whole number was divided by 0",
    "a whole number went beyond 64 bits",
    "a text that it reads as a number is none",
    "a value was of another type",
];

/// The place of a reason in [`WHY`].
fn place(why: Unanswered) -> usize {
    match why {
        Unanswered::NoSuchKey => 0,
        Unanswered::DivisionByZero => 1,
        Unanswered::Overflow => 2,
        Unanswered::NotANumber => 3,
        Unanswered::Type => 4,
    }
}

/// What is wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its place in the ruleset.
    pub rule: usize,
    /// Its field: `when` or `evidence`.
    pub field: &'static str,
    /// First byte in the field's text that the fault speaks of.
    pub offset: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl CompiledRules {
    /// Compiles the rules; those that are not enabled are checked too, and then left out. `metadata_keys` are the ruleset's.
    ///
    /// # Errors
    /// All faults of all rules: no text of the language, unknown names, types that do not fit.
    pub fn compile(rules: &[TeamRule], metadata_keys: &[String]) -> Result<CompiledRules, Vec<Fault>> {
        let (mut compiled, mut faults) = (Vec::new(), Vec::new());
        for (index, rule) in rules.iter().enumerate() {
            let mut told = |field: &'static str, misread: Vec<Misread>| {
                faults.extend(misread.into_iter().map(|(offset, message)| Fault { rule: index, field, offset, message }));
            };
            let condition = condition::read(&rule.when, metadata_keys).map_err(|misread| told("when", misread)).ok();
            let written = rule.evidence.as_deref().map(|text| Evidence::parse(text, metadata_keys)).transpose().map_err(|misread| told("evidence", misread)).ok();
            if let (Some(condition), Some(written), true) = (condition, written, rule.enabled) {
                let evidence = written.unwrap_or_else(|| Evidence::of_condition(&rule.when, &condition));
                compiled.push(Compiled { index, rule: rule.clone(), condition, evidence, unanswered: Default::default() });
            }
        }
        if faults.is_empty() { Ok(CompiledRules { rules: compiled }) } else { Err(faults) }
    }

    /// Whether there is no rule, so that no facts need be gathered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Asks every rule, in the order of the ruleset; `found` gets those that hold, with their place and their evidence.
    pub fn evaluate(&self, facts: &Facts<'_>, mut found: impl FnMut(usize, &TeamRule, String)) {
        for compiled in &self.rules {
            match compiled.condition.truth(facts) {
                Ok(true) => found(compiled.index, &compiled.rule, compiled.evidence.text(facts)),
                Ok(false) => {}
                Err(why) => {
                    if let Some(count) = compiled.unanswered.get(place(why)) {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
    }

    /// How many records each rule had no answer for since it was compiled: its name, why, and how many, where there are any.
    pub fn unanswered(&self) -> impl Iterator<Item = (&str, &'static str, u64)> {
        self.rules.iter().flat_map(|compiled| {
            let name = compiled.rule.name.as_str();
            WHY.into_iter().zip(&compiled.unanswered).map(move |(why, count)| (name, why, count.load(Ordering::Relaxed))).filter(|(_, _, records)| *records > 0)
        })
    }
}
