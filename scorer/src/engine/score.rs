//! A score with the arithmetic behind it.

use wh_schemas::json::Text;
use wh_schemas::scored::{Dimensions, Reason};

use super::patterns::Sight;

/// A score with the arithmetic behind it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Score {
    /// The five parts.
    pub dimensions: Dimensions,
    /// Why each point was given; points of one dimension add up to it.
    pub reasons: Vec<Reason<'static>>,
    /// Arrived far behind the newest event.
    pub late: bool,
    /// So far from the stream's time that it moved nothing.
    pub implausible: bool,
    /// The patterns that it confirms, strongest first.
    pub patterns: Vec<Sight>,
}

impl Score {
    /// 0 to 100.
    #[must_use]
    pub fn risk_score(&self) -> u8 {
        self.dimensions.sum()
    }

    /// Names of the rules that gave points, most points first, ties by name.
    #[must_use]
    pub fn rules(&self) -> Vec<Text<'static>> {
        let mut totals: Vec<(&Text<'static>, u16)> = Vec::new();
        for reason in &self.reasons {
            match totals.iter_mut().find(|(rule, _)| **rule == reason.rule) {
                Some((_, points)) => *points += u16::from(reason.points),
                None => totals.push((&reason.rule, u16::from(reason.points))),
            }
        }
        totals.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        totals.into_iter().map(|(rule, _)| rule.clone()).collect()
    }
}
