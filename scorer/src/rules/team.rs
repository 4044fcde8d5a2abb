//! A rule of the risk team's own, as it stands in the ruleset file.
//!
//! What must stay true: every field but `evidence` changes a score, and `evidence` what a score says; so all are hashed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wh_schemas::scored::Dimension;

/// One `[[rules]]` of a ruleset file. Where `when` is true of a record, the dimension gets the points, within its cap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TeamRule {
    /// How scores and alerts call it: 1 to 40 of a-z, 0-9 and _, beginning with a letter; no other rule's name.
    pub name: String,
    /// The condition in CEL over `tx` and `user`; true or false.
    pub when: String,
    /// The dimension that it speaks to: "amount", "time", "frequency", "behavior" or "metadata".
    pub dimension: Dimension,
    /// Points where the condition is true, 1 to the dimension's cap.
    pub points: u8,
    /// What the score says of it; {tx.amount} and the like stand for values. The condition and its values where it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// Whether it is in force.
    pub enabled: bool,
}

impl Default for TeamRule {
    fn default() -> Self {
        TeamRule { name: String::new(), when: String::new(), dimension: Dimension::Behavior, points: 0, evidence: None, enabled: true }
    }
}
