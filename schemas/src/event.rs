//! Records of `system-events`: what stages did and how they fare, projected into the ledger.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Micros;

/// A record of `system-events`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SystemEvent {
    /// Something that an auditor may ask for: starts, stops, takeovers, configuration, incidents, retries.
    Audit {
        /// UUID of the event; the same event sent twice has one id.
        event_id: String,
        /// E.g. `stage_started`.
        event_type: String,
        /// The stage or command.
        source: String,
        /// Who caused it; `local` for the machine's own user.
        principal: String,
        /// `info`, `warning`, `error`.
        severity: String,
        /// What else is known.
        #[schemars(with = "serde_json::Value")]
        data: serde_json::Map<String, serde_json::Value>,
        /// When.
        #[schemars(with = "String")]
        timestamp: Micros,
    },
    /// A measurement of a stage.
    Metric {
        /// E.g. `sink_lag_records`.
        name: String,
        /// In `unit`.
        value: f64,
        /// E.g. `records`, `microseconds`.
        unit: String,
        /// A bounded set, e.g. stage and partition.
        #[schemars(with = "serde_json::Value")]
        labels: serde_json::Map<String, serde_json::Value>,
        /// When.
        #[schemars(with = "String")]
        timestamp: Micros,
    },
}
