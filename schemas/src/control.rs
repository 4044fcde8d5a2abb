//! Records of `scorer-control`: what operators tell the scorer. Each names a partition and the first `seq` that it counts for.
//!
//! What must stay true: the topic is kept for ever and read by every version that comes, so a record says all that it needs by itself: a
//! whole ruleset, whole priors, the whole transaction. Whether one counts is decided by its partition's scorer, and stands in its checkpoint.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::position::Seq;

/// A record of `scorer-control`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ControlRecord {
    /// Version of this format.
    pub schema_version: u16,
    /// Names it, one a partition: the same record sent twice has one id.
    pub control_id: String,
    /// Partition that it is for.
    pub partition: u32,
    /// It takes effect exactly before this `seq` is scored. One that is not beyond everything emitted is refused.
    pub from_seq: Seq,
    /// Who sent it; `local` for the machine's own user.
    pub principal: String,
    /// Why, in the sender's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What it changes.
    #[serde(flatten)]
    pub change: ControlChange,
}

/// What a control record changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ControlChange {
    /// Another ruleset, all of it.
    Ruleset {
        /// The ruleset file's text (TOML).
        ruleset: String,
    },
    /// Other priors in the ruleset that is in force then.
    Priors {
        /// A ruleset file's text with nothing but `[priors…]` in it (TOML).
        priors: String,
    },
    /// A transaction that was quarantined from learning was benign: the baseline learns from it.
    Release {
        /// The transaction.
        transaction_id: String,
        /// The record of `accepted-transactions`, as its JSON text: the scorer keeps no quarantined rows.
        transaction: String,
    },
}

impl ControlChange {
    /// The kind's name on the wire.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            ControlChange::Ruleset { .. } => "ruleset",
            ControlChange::Priors { .. } => "priors",
            ControlChange::Release { .. } => "release",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::SCHEMA_VERSION;

    fn record(change: ControlChange) -> ControlRecord {
        ControlRecord { schema_version: SCHEMA_VERSION, control_id: "c".to_owned(), partition: 2, from_seq: u64::MAX, principal: "local".to_owned(), reason: String::new(), change }
    }

    #[test]
    fn each_kind_reads_back_and_stands_flat_on_the_wire() {
        let changes = [
            ControlChange::Ruleset { ruleset: "name = \"x\"\n".to_owned() },
            ControlChange::Priors { priors: "[priors.overall]\n".to_owned() },
            ControlChange::Release { transaction_id: "t".to_owned(), transaction: "{\"amount\":0.10}".to_owned() },
        ];
        for change in changes {
            let record = record(change);
            let text = serde_json::to_string(&record).unwrap();
            assert_eq!(serde_json::from_str::<ControlRecord>(&text).unwrap(), record, "{text}");
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["kind"], record.change.kind());
            assert_eq!(value["from_seq"], u64::MAX);
        }
    }

    #[test]
    fn one_without_a_reason_is_read_and_one_of_no_kind_is_not() {
        let text = r#"{"schema_version":1,"control_id":"c","partition":0,"from_seq":7,"principal":"p","kind":"priors","priors":""}"#;
        assert_eq!(serde_json::from_str::<ControlRecord>(text).unwrap().reason, "");
        assert!(serde_json::from_str::<ControlRecord>(&text.replace("priors\",", "prior\",")).is_err());
    }
}
