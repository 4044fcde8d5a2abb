//! The full explanation of a score, as every documents store keeps it.

use serde::Serialize;
use wh_schemas::json::Text;
use wh_schemas::scored::{Dimensions, Reason, RiskLevel};
use wh_schemas::{Alert, ScoreRecord};

/// What is kept of a score beside the metadata.
#[derive(Serialize)]
pub(crate) struct Explanation<'a> {
    pub(crate) risk_score: u8,
    pub(crate) risk_level: RiskLevel,
    pub(crate) late: bool,
    pub(crate) dimensions: Dimensions,
    pub(crate) reasons: &'a [Reason<'a>],
    pub(crate) alerts: &'a [Alert<'a>],
    pub(crate) detection_rules: &'a [Text<'a>],
    pub(crate) ruleset: Option<&'a str>,
    pub(crate) state_epoch: u32,
    pub(crate) content_hash: &'a str,
}

impl<'a> Explanation<'a> {
    /// The explanation of a record; a duplicate has none.
    pub(crate) fn of(row: &'a ScoreRecord<'_>) -> Option<Explanation<'a>> {
        Some(Explanation {
            risk_score: row.risk_score?,
            risk_level: row.risk_level?,
            late: row.late,
            dimensions: row.dimensions?,
            reasons: &row.reasons,
            alerts: &row.alerts,
            detection_rules: &row.detection_rules,
            ruleset: row.ruleset.as_deref(),
            state_epoch: row.state_epoch,
            content_hash: &row.content_hash,
        })
    }
}
