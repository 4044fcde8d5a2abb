//! An alert: what a person is asked to look at, and why.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::json::{RawObject, Text};
use crate::pattern::Pattern;
use crate::position::SeqPosition;
use crate::scored::{ALERT_SCORE, CRITICAL_SCORE, Reason};

/// Partition under which stores keep the rows of pattern alerts of partition 0; that of partition p lies p behind it. Rows of scored
/// records stand under their own partition, and `partition` with `seq` is a key of `risk_alerts`: the two streams must not meet.
pub const PATTERN_ROWS: u32 = 1_000_000;

/// How urgent an alert is. Below 70 there is none: `info` stands in the record of a pattern that is told, and asks nobody to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Score below 70: a pattern in `risk-alerts` that is no alert.
    Info,
    /// Score 70 to 84.
    High,
    /// Score 85 to 100.
    Critical,
}

impl Severity {
    /// The severity of a score.
    #[must_use]
    pub fn of(score: u8) -> Severity {
        match score {
            CRITICAL_SCORE.. => Severity::Critical,
            ALERT_SCORE.. => Severity::High,
            _ => Severity::Info,
        }
    }

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }
}

/// An alert inside its scored record, and as a record of `risk-alerts`.
///
/// Records of `risk-alerts` come from two stages. One without `pattern` is a scored transaction's alert, which stands in its scored record
/// too: stores take it from there. One with `pattern` is of the stage `patterns`: it stands in partition 0 under a dense `seq` of its own
/// stream (`position`). It is an alert where `risk_score` is 70 or more; below, `severity` is `info`, and it is a row of
/// `transaction_patterns` and nothing else.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Alert<'a> {
    /// UUIDv5 of transaction and type; of a pattern alert that of the pattern's type and members, which is its `pattern_id`.
    #[serde(borrow)]
    pub alert_id: Text<'a>,
    /// The transaction that raised it; of a pattern the one that completes it.
    pub transaction_id: Text<'a>,
    /// The rule with most points, ties by name.
    pub alert_type: Text<'a>,
    /// From the score.
    pub severity: Severity,
    /// 70 to 100; a pattern that is no alert has less.
    pub risk_score: u8,
    /// A short heading.
    pub title: Text<'a>,
    /// One readable sentence: who, what, how much, why.
    pub message: Text<'a>,
    /// Names of the rules that gave points.
    pub detection_rules: Vec<Text<'a>>,
    /// The transaction itself: only in `risk-alerts`, where nothing stands around the alert. Of a pattern alert what is known of the
    /// completing one: `transaction_id`, `timestamp`, `user_id`, `amount`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<RawObject<'a>>,
    /// The pattern by account that this alert is of. Only in `risk-alerts`: such an alert changes no stored score.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Pattern<'a>>,
    /// Where a pattern alert stands in its stream, `patterns`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<SeqPosition>,
    /// Why each point of a pattern alert was given; a transaction's alert has them in its scored record.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason<'a>>,
    /// The transactions that a pattern consists of.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Text<'a>>,
}

impl Alert<'_> {
    /// Whether somebody is asked to look at it.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.risk_score >= ALERT_SCORE
    }

    /// Where the row of a pattern alert stands in a store; `None` for any other alert, which stands where its scored record does.
    #[must_use]
    pub fn row_position(&self) -> Option<SeqPosition> {
        self.position.map(|position| SeqPosition { partition: PATTERN_ROWS + position.partition, ..position })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_has_a_severity() {
        for (score, severity) in [(0, "info"), (69, "info"), (70, "high"), (84, "high"), (85, "critical"), (100, "critical")] {
            assert_eq!(Severity::of(score).as_str(), severity, "{score}");
        }
    }

    #[test]
    fn rows_of_patterns_stand_behind_those_of_every_partition() {
        let position = SeqPosition { partition: PATTERN_ROWS, seq: 7 };
        assert_eq!(SeqPosition::unpacked(position.packed()), position);
    }
}
