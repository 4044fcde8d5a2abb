//! The nearest things that would have changed a record's level: another amount, hour, party, place, or a pattern that was not there.
//!
//! What must stay true: one thing is varied at a time, all else being as it was; a variation learns nothing.

use serde::Serialize;
use serde_json::Value;
use wh_schemas::scored::{ALERT_SCORE, RiskLevel};
use wh_schemas::time::HOUR;
use wh_schemas::{Cents, Micros};

use super::walk::most;
use super::{Before, SeenPattern, fingerprint};
use crate::engine::{Observation, Ruleset, Score};

/// A variation of the record, and what it would have scored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Turn {
    /// What would have been otherwise.
    pub what: String,
    /// The score then.
    pub risk_score: u8,
    /// Its level.
    pub risk_level: RiskLevel,
    /// Whether there would have been an alert.
    pub alert: bool,
}

impl Turn {
    fn new(what: String, risk_score: u8) -> Turn {
        Turn { what, risk_score, risk_level: RiskLevel::of(risk_score), alert: risk_score >= ALERT_SCORE }
    }
}

/// Scores below which a record loses its alert, and its level.
fn bounds(score: u8) -> Vec<u8> {
    const MEDIUM: u8 = 31;
    [ALERT_SCORE, MEDIUM].into_iter().filter(|bound| score >= *bound).collect()
}

/// What would have changed the level; nothing for a record that is low already.
pub(super) fn turns(before: &Before<'_>, ruleset: &Ruleset, score: &Score, patterns: &[SeenPattern]) -> Vec<Turn> {
    let own = &before.observation;
    let bounds = bounds(score.risk_score());
    let Some(highest) = bounds.first().copied() else { return Vec::new() };
    let points = |observation: &Observation<'_>| before.score(observation, ruleset).risk_score();
    let mut turns: Vec<Turn> = bounds.iter().filter_map(|bound| amount(own, *bound, &points)).collect();
    turns.dedup();
    turns.extend(hour(own, highest, &points));
    // Each with the one that the user usually has.
    let mut varied: Vec<(String, Observation<'_>)> = Vec::new();
    if let Some(usual) = most(&before.habits.counterparties).filter(|usual| Some(fingerprint(usual)) != own.counterparty) {
        varied.push((
            format!("with {usual}, this user's most frequent counterparty"),
            Observation { counterparty: Some(fingerprint(usual)), counterparty_account: Some(usual), ..own.clone() },
        ));
    }
    if let Some(usual) = most(&before.habits.accounts).filter(|usual| fingerprint(usual) != own.account) {
        varied.push((format!("on {usual}, this user's most frequent account"), Observation { account: fingerprint(usual), account_id: usual, ..own.clone() }));
    }
    if let Some(usual) = most(&before.habits.departments).filter(|usual| usual.as_str() != own.department) {
        varied.push((format!("in {usual}, this user's most frequent department"), Observation { department: usual, ..own.clone() }));
    }
    if let Some(usual) = most(&before.habits.places).filter(|usual| **usual != own.metadata) {
        varied.push(("with the metadata that this user's rows usually have".to_owned(), Observation { metadata: usual.clone(), ..own.clone() }));
    }
    for (what, observation) in varied {
        let would = points(&observation);
        if would < highest {
            turns.push(Turn::new(what, would));
        }
    }
    for seen in patterns {
        if let Some(without) = without(ruleset, &seen.pattern) {
            let would = before.score(own, &without).risk_score();
            if would < highest {
                turns.push(Turn::new(format!("without the pattern {}", seen.pattern), would));
            }
        }
    }
    turns
}

/// The largest lower amount, found by halving, that scores below a bound; none where even a hundredth of it does not.
fn amount(own: &Observation<'_>, bound: u8, points: &dyn Fn(&Observation<'_>) -> u8) -> Option<Turn> {
    let of = |cents: i64| points(&Observation { amount: Cents(cents), ..own.clone() });
    let mut below = (own.amount.0 / 100).max(1);
    let mut above = own.amount.0;
    if below >= above || of(below) >= bound {
        return None;
    }
    while above - below > (above / 1_000).max(1) {
        let middle = below + (above - below) / 2;
        if of(middle) < bound {
            below = middle;
        } else {
            above = middle;
        }
    }
    Some(Turn::new(format!("with an amount of {}", Cents(below).grouped()), of(below)))
}

/// The nearest hour of the same or a neighbouring day that scores below a bound.
fn hour(own: &Observation<'_>, bound: u8, points: &dyn Fn(&Observation<'_>) -> u8) -> Option<Turn> {
    (1..=12_i64).flat_map(|hours| [-hours, hours]).find_map(|hours| {
        let would = points(&Observation { timestamp: Micros(own.timestamp.0.saturating_add(hours * HOUR)), ..own.clone() });
        let told = if hours < 0 { format!("{} hours earlier", -hours) } else { format!("{hours} hours later") };
        (would < bound).then(|| Turn::new(told, would))
    })
}

/// The ruleset with one pattern by user switched off, where it has such.
fn without(ruleset: &Ruleset, pattern: &str) -> Option<Ruleset> {
    let mut value = serde_json::to_value(ruleset).ok()?;
    *value.get_mut("patterns")?.get_mut(pattern)?.get_mut("enabled")? = Value::Bool(false);
    serde_json::from_value(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_switched_off_by_its_name() {
        let ruleset = Ruleset::default();
        let off = without(&ruleset, "structuring").unwrap();
        assert!(ruleset.patterns.structuring.enabled && !off.patterns.structuring.enabled);
        assert_eq!(Ruleset { patterns: ruleset.patterns, ..off }, ruleset);
        assert_eq!(without(&ruleset, "no such pattern"), None);
    }

    #[test]
    fn levels_have_the_bounds_that_they_would_fall_below() {
        assert_eq!((bounds(90), bounds(70), bounds(69), bounds(30)), (vec![70, 31], vec![70, 31], vec![31], vec![]));
    }
}
