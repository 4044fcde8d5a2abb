//! What the account engine judges by: a section of the ruleset, `[accounts]`.
//!
//! What must stay true: every field has a default, and an unknown field is refused.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wh_schemas::time::{DAY, SECOND};

/// The patterns by account, as they are named in rows, alerts and in [`AccountRules::disabled`].
pub const PATTERNS: [&str; 10] =
    ["round_trip", "shared_new_payee", "ghost_payee", "fan_in", "fan_out", "pass_through", "collusive_duplicate", "refund_sink", "skimming", "phantom_vendor"];

/// Windows, bounds and limits of the account engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AccountRules {
    /// How far the watermark stays behind the slowest awaited partition, in minutes.
    pub lateness_minutes: u32,
    /// Most events held back for the watermark; beyond it the oldest are evaluated early.
    pub hold_back: usize,
    /// Most accounts remembered; beyond it the one longest without an event is forgotten.
    pub accounts: usize,
    /// Days within which a payee counts as new, from the first money that it got.
    pub new_payee_days: u32,
    /// Days within which an edge between two accounts counts as young, from its first event.
    pub young_edge_days: u32,
    /// Days since the stream's first event before which nothing counts as new: all is new then.
    pub warm_up_days: u32,
    /// Days over which money may return and still be one round trip.
    pub round_trip_days: u32,
    /// Days over which the same pattern on the same account counts as one.
    pub window_days: u32,
    /// Reporting and approval limits in currency units, rising: the ruleset's own.
    #[serde(skip)]
    pub limits: Vec<f64>,
    /// Share of a limit within which an amount lies just below it: the ruleset's own.
    #[serde(skip)]
    pub below_limit: f64,
    /// Patterns below this score are not reported at all.
    pub row_score: u8,
    /// Names of patterns that are off; see [`PATTERNS`].
    pub disabled: BTreeSet<String>,
}

impl Default for AccountRules {
    fn default() -> Self {
        AccountRules {
            lateness_minutes: 15,
            hold_back: 500_000,
            accounts: 100_000,
            new_payee_days: 30,
            young_edge_days: 20,
            warm_up_days: 7,
            round_trip_days: 14,
            window_days: 21,
            limits: vec![1_000.0, 5_000.0, 10_000.0, 50_000.0],
            below_limit: 0.08,
            row_score: 50,
            disabled: BTreeSet::new(),
        }
    }
}

impl AccountRules {
    /// Every fault of these rules, each as a sentence; none when they can be used.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.hold_back == 0 {
            faults.push("accounts.hold_back is 0: no event could wait for the watermark; give at least 1".to_owned());
        }
        if self.accounts < 16 {
            faults.push(format!("accounts.accounts is {}: fewer than 16 accounts cannot hold a chain; give at least 16", self.accounts));
        }
        for (name, days) in
            [("new_payee_days", self.new_payee_days), ("young_edge_days", self.young_edge_days), ("round_trip_days", self.round_trip_days), ("window_days", self.window_days)]
        {
            if days == 0 || days > 366 {
                faults.push(format!("accounts.{name} is {days}: give 1 to 366 days"));
            }
        }
        if self.row_score > 69 {
            faults.push(format!("accounts.row_score is {}: 70 and above are alerts; give 0 to 69", self.row_score));
        }
        for name in &self.disabled {
            if !PATTERNS.contains(&name.as_str()) {
                faults.push(format!("accounts.disabled names {name:?}; the patterns are {}", PATTERNS.join(", ")));
            }
        }
        faults
    }

    /// [`Self::lateness_minutes`] in microseconds.
    pub(crate) fn lateness(&self) -> i64 {
        i64::from(self.lateness_minutes) * 60 * SECOND
    }

    pub(super) fn days(days: u32) -> i64 {
        i64::from(days) * DAY
    }

    /// The limit that an amount lies just below.
    pub(super) fn limit_above(&self, units: f64) -> Option<f64> {
        self.limits.iter().copied().find(|limit| units < *limit && units >= *limit * (1.0 - self.below_limit))
    }
}
