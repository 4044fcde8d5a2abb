//! A record of `risk-scores`: a transaction with its score and the arithmetic behind it, or a recognised duplicate.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert::Alert;
use crate::json::{RawObject, Text};
use crate::money::Cents;
use crate::pattern::Pattern;
use crate::position::{Seq, SeqPosition, Source};
use crate::time::Micros;
use crate::transaction::TransactionType;

/// A score at and above which an alert is raised. Note that 70 itself is still of level medium.
pub const ALERT_SCORE: u8 = 70;
/// A score at and above which a row counts as an anomaly.
pub const ANOMALY_SCORE: u8 = 50;
/// A score at and above which an alert is critical.
pub const CRITICAL_SCORE: u8 = 85;

/// Low 0–30, medium 31–70, high 71–100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RiskLevel {
    /// 0 to 30.
    Low,
    /// 31 to 70.
    Medium,
    /// 71 to 100.
    High,
}

impl RiskLevel {
    /// The level of a score.
    #[must_use]
    pub fn of(score: u8) -> RiskLevel {
        match score {
            0..=30 => RiskLevel::Low,
            31..=70 => RiskLevel::Medium,
            _ => RiskLevel::High,
        }
    }

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RiskLevel::Low => "low",
            RiskLevel::Medium => "medium",
            RiskLevel::High => "high",
        }
    }
}

/// One of the five parts of a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dimension {
    /// How unusual the amount is; at most 25.
    Amount,
    /// How unusual the hour is; at most 20.
    Time,
    /// How unusual the rate is; at most 25.
    Frequency,
    /// How unusual accounts, type and department are; at most 20.
    Behavior,
    /// What the allow-listed metadata says; at most 10.
    Metadata,
}

impl Dimension {
    /// Every dimension, in the order of the wire.
    pub const ALL: [Dimension; 5] = [Dimension::Amount, Dimension::Time, Dimension::Frequency, Dimension::Behavior, Dimension::Metadata];

    /// The most points that it can give.
    #[must_use]
    pub fn cap(self) -> u8 {
        match self {
            Dimension::Amount | Dimension::Frequency => 25,
            Dimension::Time | Dimension::Behavior => 20,
            Dimension::Metadata => 10,
        }
    }

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Dimension::Amount => "amount",
            Dimension::Time => "time",
            Dimension::Frequency => "frequency",
            Dimension::Behavior => "behavior",
            Dimension::Metadata => "metadata",
        }
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Points of the five dimensions; their sum is the score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dimensions {
    /// 0 to 25.
    pub amount: u8,
    /// 0 to 20.
    pub time: u8,
    /// 0 to 25.
    pub frequency: u8,
    /// 0 to 20.
    pub behavior: u8,
    /// 0 to 10.
    pub metadata: u8,
}

impl Dimensions {
    /// The score: 0 to 100.
    #[must_use]
    pub fn sum(self) -> u8 {
        self.amount + self.time + self.frequency + self.behavior + self.metadata
    }

    /// The points of one dimension.
    #[must_use]
    pub fn get(self, dimension: Dimension) -> u8 {
        match dimension {
            Dimension::Amount => self.amount,
            Dimension::Time => self.time,
            Dimension::Frequency => self.frequency,
            Dimension::Behavior => self.behavior,
            Dimension::Metadata => self.metadata,
        }
    }

    /// The points of one dimension, to change.
    pub fn get_mut(&mut self, dimension: Dimension) -> &mut u8 {
        match dimension {
            Dimension::Amount => &mut self.amount,
            Dimension::Time => &mut self.time,
            Dimension::Frequency => &mut self.frequency,
            Dimension::Behavior => &mut self.behavior,
            Dimension::Metadata => &mut self.metadata,
        }
    }
}

/// Why points were given. The points of a dimension's reasons add up to the dimension, after its cap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason<'a> {
    /// The rule's name.
    #[serde(borrow)]
    pub rule: Text<'a>,
    /// The dimension that it speaks to.
    pub dimension: Dimension,
    /// Points given, after the cap.
    pub points: u8,
    /// The arithmetic, as a readable clause.
    pub evidence: Text<'a>,
}

/// A record of `risk-scores`. Where `duplicate_of` stands, there is no score.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ScoreRecord<'a> {
    /// Version of this format.
    pub schema_version: u16,
    /// Unique in the stream.
    #[serde(borrow)]
    pub transaction_id: Text<'a>,
    /// When it happened.
    #[schemars(with = "String")]
    pub timestamp: Micros,
    /// Who did it.
    pub user_id: Text<'a>,
    /// On which account.
    pub account_id: Text<'a>,
    /// In which department.
    pub department: Text<'a>,
    /// What it does.
    pub transaction_type: TransactionType,
    /// How much.
    #[schemars(with = "f64")]
    pub amount: Cents,
    /// Free text.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text<'a>>,
    /// The other side's account.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub counterparty_account: Option<Text<'a>>,
    /// Any JSON object, in canonical form.
    #[serde(borrow)]
    pub metadata: RawObject<'a>,
    /// SHA-256 of the canonical form.
    pub content_hash: Text<'a>,
    /// Partition of the scorer.
    pub partition: u32,
    /// Number of this record in it: 0, 1, 2 …
    pub seq: Seq,
    /// The record of `hospital-transactions` behind it.
    pub source: Source,
    /// Where the first record with this id stands, when this one is a copy that a producer sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate_of: Option<SeqPosition>,
    /// 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk_score: Option<u8>,
    /// Level of the score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk_level: Option<RiskLevel>,
    /// `risk_score` ≥ 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_anomaly: Option<bool>,
    /// Arrived far behind the newest event of its partition.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// The five parts of the score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<Dimensions>,
    /// The alerts that it raised: none or one.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<Alert<'a>>,
    /// Why each point was given.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason<'a>>,
    /// The patterns by user that this transaction completes.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<Pattern<'a>>,
    /// Names of the rules that gave points.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub detection_rules: Vec<Text<'a>>,
    /// Content hash of the ruleset.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub ruleset: Option<Text<'a>>,
    /// Raised by each cold start.
    #[serde(default)]
    pub state_epoch: u32,
}

impl ScoreRecord<'_> {
    /// Where this record stands.
    #[must_use]
    pub fn position(&self) -> SeqPosition {
        SeqPosition { partition: self.partition, seq: self.seq }
    }
}
