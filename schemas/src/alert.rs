//! An alert: what a person is asked to look at, and why.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::json::{RawObject, Text};
use crate::pattern::Pattern;
use crate::position::SeqPosition;
use crate::scored::{CRITICAL_SCORE, Reason};

/// How urgent an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Score 70 to 84.
    High,
    /// Score 85 to 100.
    Critical,
}

impl Severity {
    /// The severity of a score that raises an alert.
    #[must_use]
    pub fn of(score: u8) -> Severity {
        if score >= CRITICAL_SCORE { Severity::Critical } else { Severity::High }
    }

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }
}

/// An alert inside its scored record, and as a record of `risk-alerts`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Alert<'a> {
    /// UUIDv5 of transaction and type.
    #[serde(borrow)]
    pub alert_id: Text<'a>,
    /// The transaction that raised it.
    pub transaction_id: Text<'a>,
    /// The rule with most points, ties by name.
    pub alert_type: Text<'a>,
    /// From the score.
    pub severity: Severity,
    /// 70 to 100.
    pub risk_score: u8,
    /// A short heading.
    pub title: Text<'a>,
    /// One readable sentence: who, what, how much, why.
    pub message: Text<'a>,
    /// Names of the rules that gave points.
    pub detection_rules: Vec<Text<'a>>,
    /// The transaction itself: only in `risk-alerts`, where nothing stands around the alert.
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
