//! Points as the rules propose them, and how they become a score: lessened together, capped by dimension, rounded reason by reason.
//!
//! What must stay true: the points of a dimension's reasons add up to the dimension; rounding never makes an alert of what comes to less.

use wh_schemas::json::Text;
use wh_schemas::scored::{Dimension, Dimensions, Reason};

use super::ruleset::{Caps, Ruleset};
use super::signals::Signals;
use super::user::UserState;
use super::{Observation, rules};

/// Points of rules that the combination may halve, and no more.
const LOUD: f64 = 24.0;

/// Points as the rules propose them, before the caps.
#[derive(Debug, Default)]
pub(super) struct Proposed(Vec<Proposal>);

#[derive(Debug)]
struct Proposal {
    rule: Text<'static>,
    dimension: Dimension,
    points: f64,
    evidence: String,
}

impl Proposed {
    /// What the five dimensions' own rules propose.
    pub(super) fn by_rules(ruleset: &Ruleset, observation: &Observation<'_>, signals: &Signals, user: &UserState) -> Proposed {
        let mut proposed = Proposed::default();
        rules::amount(observation, signals, ruleset, &mut proposed);
        rules::time(signals, user, ruleset, &mut proposed);
        rules::frequency(signals, ruleset, &mut proposed);
        rules::behavior(observation, signals, user, ruleset, &mut proposed);
        rules::metadata(signals, ruleset, &mut proposed);
        proposed
    }

    /// Proposes points where they round to at least one; the evidence is made only then.
    pub(super) fn add(&mut self, rule: impl Into<Text<'static>>, dimension: Dimension, points: f64, evidence: impl FnOnce() -> String) {
        if points >= 0.5 {
            self.0.push(Proposal { rule: rule.into(), dimension, points, evidence: evidence() });
        }
    }

    /// Lessens all proposals alike, where they come to more than `most`; what says much alone goes on saying half of it.
    pub(super) fn damp(&mut self, most: f64, points: f64) {
        let least = if points >= LOUD { 0.5 } else { 0.0 };
        if points > most {
            for proposal in &mut self.0 {
                proposal.points *= (most / points).max(least);
            }
        }
    }

    /// What is proposed for a dimension.
    fn of(&self, dimension: Dimension) -> f64 {
        self.0.iter().filter(|p| p.dimension == dimension).map(|p| p.points).sum()
    }

    /// What the proposals come to after the caps.
    pub(super) fn points(&self, caps: Caps) -> f64 {
        Dimension::ALL.into_iter().map(|d| self.of(d).min(f64::from(caps.of(d)))).sum()
    }

    /// Caps each dimension, the strongest reasons first, so that what stays adds up to the dimension's points. Where the points come to less
    /// than `unless`, rounding does not lift them there: the weakest reasons give up what it added.
    pub(super) fn settle(mut self, caps: Caps, unless: Option<u8>) -> (Dimensions, Vec<Reason<'static>>) {
        let bound = unless.filter(|bound| self.points(caps) < f64::from(*bound));
        self.0.sort_by(|a, b| b.points.total_cmp(&a.points).then_with(|| a.rule.cmp(&b.rule)));
        let mut dimensions = Dimensions::default();
        let mut reasons: Vec<Reason<'static>> = Vec::with_capacity(self.0.len());
        for proposal in self.0 {
            let cap = caps.of(proposal.dimension);
            let given = dimensions.get_mut(proposal.dimension);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=25 before")]
            let points = (libm::round(proposal.points.clamp(0.0, f64::from(cap))) as u8).min(cap - *given);
            if points > 0 {
                *given += points;
                reasons.push(Reason { rule: proposal.rule, dimension: proposal.dimension, points, evidence: Text::from(proposal.evidence) });
            }
        }
        if let Some(bound) = bound {
            while dimensions.sum() >= bound
                && let Some(weakest) = reasons.last_mut()
            {
                weakest.points -= 1;
                *dimensions.get_mut(weakest.dimension) -= 1;
                if weakest.points == 0 {
                    reasons.pop();
                }
            }
        }
        (dimensions, reasons)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wh_schemas::scored::ALERT_SCORE;

    fn proposed(points: &[(Dimension, f64)]) -> Proposed {
        let mut proposed = Proposed::default();
        for (dimension, points) in points {
            proposed.add("some_rule", *dimension, *points, String::new);
        }
        proposed
    }

    #[test]
    fn rounding_makes_no_alert_of_what_comes_to_less() {
        let almost = [(Dimension::Amount, 24.5), (Dimension::Frequency, 24.6), (Dimension::Behavior, 18.5), (Dimension::Behavior, 0.7)];
        let exact = proposed(&almost).points(Caps::default());
        assert!(exact < f64::from(ALERT_SCORE), "{exact}");
        let (dimensions, _) = proposed(&almost).settle(Caps::default(), None);
        assert_eq!(dimensions.sum(), ALERT_SCORE, "what is confirmed is rounded reason by reason");
        let (dimensions, reasons) = proposed(&almost).settle(Caps::default(), Some(ALERT_SCORE));
        assert_eq!(dimensions.sum(), ALERT_SCORE - 1);
        for dimension in Dimension::ALL {
            let points: u8 = reasons.iter().filter(|r| r.dimension == dimension).map(|r| r.points).sum();
            assert_eq!(points, dimensions.get(dimension));
        }
        assert!(reasons.iter().all(|reason| reason.points > 0));
    }

    #[test]
    fn what_comes_to_an_alert_by_itself_is_one() {
        let (dimensions, _) = proposed(&[(Dimension::Amount, 30.0), (Dimension::Frequency, 25.0), (Dimension::Behavior, 20.0)]).settle(Caps::default(), Some(ALERT_SCORE));
        assert_eq!(dimensions.sum(), ALERT_SCORE);
    }
}
