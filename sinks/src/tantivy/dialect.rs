//! From alerts to index documents, and from positions to a commit's payload. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tantivy::TantivyDocument;
use tantivy::schema::{Field, Schema};
use wh_schemas::json::Text;
use wh_schemas::position::{Seq, SeqPosition};
use wh_schemas::{Alert, Micros, Reaction};
use wh_stores::tantivy::layout;

use crate::delivery::walk::Positioned;
use crate::delivery::{StorePosition, Tally};
use crate::pattern::Told;

/// What the search store needs of a scored record.
#[derive(Deserialize)]
pub(super) struct Row<'a> {
    partition: u32,
    seq: Seq,
    timestamp: Micros,
    #[serde(borrow)]
    user_id: Text<'a>,
    department: Text<'a>,
    #[serde(default)]
    pub(super) risk_score: Option<u8>,
    #[serde(borrow, default)]
    pub(super) alerts: Vec<Alert<'a>>,
}

impl Row<'_> {
    /// Its alerts.
    pub(super) fn told(&self) -> impl Iterator<Item = Told<'_>> {
        let row = self.position();
        self.alerts.iter().map(move |alert| Told { alert, user_id: &self.user_id, department: &self.department, timestamp: self.timestamp, row })
    }
}

impl Positioned for Row<'_> {
    fn position(&self) -> SeqPosition {
        SeqPosition { partition: self.partition, seq: self.seq }
    }
}

/// The fields of the index, looked up once.
#[derive(Clone, Copy)]
pub(super) struct Fields {
    pub(super) alert_id: Field,
    transaction_id: Field,
    user_id: Field,
    alert_type: Field,
    severity: Field,
    department: Field,
    risk_score: Field,
    pub(super) partition: Field,
    pub(super) seq: Field,
    pub(super) created_at: Field,
    timestamp: Field,
    title: Field,
    message: Field,
    detection_rules: Field,
}

impl Fields {
    pub(super) fn of(schema: &Schema) -> Result<Fields, Reaction> {
        let field = |name: &str| schema.get_field(name).map_err(|e| Reaction::fatal(format!("search: the index has no field {name}: {e}")));
        Ok(Fields {
            alert_id: field(layout::ALERT_ID)?,
            transaction_id: field(layout::TRANSACTION_ID)?,
            user_id: field(layout::USER_ID)?,
            alert_type: field(layout::ALERT_TYPE)?,
            severity: field(layout::SEVERITY)?,
            department: field(layout::DEPARTMENT)?,
            risk_score: field(layout::RISK_SCORE)?,
            partition: field(layout::PARTITION)?,
            seq: field(layout::SEQ)?,
            created_at: field(layout::CREATED_AT)?,
            timestamp: field(layout::TIMESTAMP)?,
            title: field(layout::TITLE)?,
            message: field(layout::MESSAGE)?,
            detection_rules: field(layout::DETECTION_RULES)?,
        })
    }

    /// The document of an alert.
    pub(super) fn document(&self, told: &Told<'_>, append_time: i64) -> TantivyDocument {
        let Told { alert, user_id, department, timestamp, row } = *told;
        let mut document = TantivyDocument::default();
        for (field, text) in [
            (self.alert_id, alert.alert_id.as_str()),
            (self.transaction_id, alert.transaction_id.as_str()),
            (self.user_id, user_id),
            (self.alert_type, alert.alert_type.as_str()),
            (self.department, department),
            (self.title, alert.title.as_str()),
            (self.message, alert.message.as_str()),
        ] {
            document.add_text(field, text);
        }
        document.add_text(self.severity, alert.severity.as_str());
        for rule in &alert.detection_rules {
            document.add_text(self.detection_rules, rule.as_str());
        }
        document.add_i64(self.risk_score, i64::from(alert.risk_score));
        document.add_i64(self.partition, i64::from(row.partition));
        document.add_i64(self.seq, i64::try_from(row.seq).unwrap_or(i64::MAX));
        document.add_i64(self.created_at, append_time);
        document.add_i64(self.timestamp, timestamp.0);
        document
    }
}

/// How far a partition is visible, as a commit's payload holds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Published {
    next_seq: Seq,
    next_offset: u64,
    stored: u64,
    duplicates: u64,
    dead_letters: u64,
    discarded: u64,
    updated_at: i64,
    #[serde(default)]
    unreadable: u64,
}

impl Published {
    pub(super) fn of(position: &StorePosition, updated_at: i64) -> Published {
        let Tally { stored, duplicates, dead_letters, discarded } = position.tally;
        Published { next_seq: position.next_seq, next_offset: position.next_offset, stored, duplicates, dead_letters, discarded, updated_at, unreadable: position.unreadable }
    }

    pub(super) fn position(self, partition: u32) -> StorePosition {
        let tally = Tally { stored: self.stored, duplicates: self.duplicates, dead_letters: self.dead_letters, discarded: self.discarded };
        StorePosition {
            partition,
            next_seq: self.next_seq,
            next_offset: self.next_offset,
            visible_seq: self.next_seq,
            visible_offset: self.next_offset,
            unreadable: self.unreadable,
            tally,
        }
    }
}

/// Positions by stream, then partition.
pub(super) type Payload = BTreeMap<String, BTreeMap<u32, Published>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back_from_a_payload() {
        let position = StorePosition {
            partition: 2,
            next_seq: 9,
            next_offset: 9,
            visible_seq: 9,
            visible_offset: 9,
            unreadable: 1,
            tally: Tally { stored: 1, duplicates: 2, dead_letters: 0, discarded: 6 },
        };
        let payload: Payload = [("scorer".to_owned(), [(2, Published::of(&position, 7))].into())].into();
        let back: Payload = serde_json::from_str(&serde_json::to_string(&payload).unwrap()).unwrap();
        assert_eq!(back["scorer"][&2].position(2), position);
    }
}
