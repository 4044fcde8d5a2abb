//! Records of `scorer-control`: what operators tell the scorer. Each names where it takes effect.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::position::Seq;

/// A record of `scorer-control`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ControlRecord {
    /// Another ruleset from a position on.
    Ruleset {
        /// Partition that it is for.
        partition: u32,
        /// First `seq` scored under it.
        from_seq: Seq,
        /// The ruleset file's text.
        ruleset: String,
    },
    /// A scored transaction was benign: the baseline may learn from it.
    Release {
        /// Partition of its user.
        partition: u32,
        /// First `seq` that sees the effect.
        from_seq: Seq,
        /// The transaction.
        transaction_id: String,
    },
}
