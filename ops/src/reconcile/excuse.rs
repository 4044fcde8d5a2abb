//! Rows that are rightly not there.
//!
//! A row may be missing where retention has removed it, where the dead letters hold its record, or where the store has its transaction, or its
//! pattern, from another record of the log. A sum is passed over where rows of its second may have been removed, or never taken.
//!
//! What must stay true: a row that is there and does not belong there is never excused; that another record stands for a row is believed only once the log
//! says so too.

use std::collections::BTreeMap;

use serde::Deserialize;
use wh_schemas::Reaction;
use wh_schemas::alert::PATTERN_ROWS;
use wh_schemas::json::Text;
use wh_schemas::position::{Seq, SeqPosition};
use wh_schemas::topics::{RISK_ALERTS, RISK_SCORES};
use wh_sinks::reconcile::Row;
use wh_stores::clock;

use super::Check;
use super::compare::{Compared, Found};
use super::cursor::record_at;

/// What is read of a record to know whose it is.
#[derive(Deserialize)]
struct Identified<'a> {
    #[serde(borrow, default)]
    transaction_id: Text<'a>,
    #[serde(borrow, default)]
    alert_id: Text<'a>,
    #[serde(borrow, default)]
    alerts: Vec<Alerted<'a>>,
}

#[derive(Deserialize)]
struct Alerted<'a> {
    #[serde(borrow, default)]
    alert_id: Text<'a>,
}

impl Check<'_> {
    /// Takes out of a comparison what is rightly not there.
    pub(super) async fn excuse(&mut self, topic: &'static str, partition: u32, compared: &mut Compared) -> Result<(), Reaction> {
        if compared.found.is_empty() {
            return Ok(());
        }
        // Asked after the rows were read: retention publishes its floor before it removes.
        let now = clock::now().0;
        let floor = self.rows.reached(topic).await?.into_iter().find(|reached| reached.partition == partition).map_or(0, |reached| reached.floor);
        let retained = self.options.retention.and_then(|retention| i64::try_from(retention.as_micros()).ok()).map(|retention| now.saturating_sub(retention));
        let kept_since = retained.max(self.rows.kept_since(now).await?);
        let sums = self.rows.grain() > 1;
        let is_gone = |row: &Row| row.optional || row.at.seq < floor || kept_since.is_some_and(|since| row.time < since);
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for one in std::mem::take(&mut compared.found) {
            match one {
                Found::Missing(row) if is_gone(&row) => compared.expected.remove(&row),
                Found::Missing(row) if !sums => missing.push(row),
                Found::Extra(row) if sums && kept_since.is_some_and(|since| row.time < since) => compared.stored.remove(&row),
                Found::Different { expected, stored } if sums && kept_since.is_some_and(|since| expected.time < since) => {
                    compared.expected.remove(&expected);
                    compared.stored.remove(&stored);
                }
                other => found.push(other),
            }
        }
        for row in self.unless_elsewhere(missing, compared).await? {
            found.push(Found::Missing(row));
        }
        found.sort_by(|one, other| (one.row().at, one.row().table).cmp(&(other.row().at, other.row().table)));
        compared.found = found;
        Ok(())
    }

    /// Those of the rows that no other record stands for.
    async fn unless_elsewhere(&mut self, missing: Vec<Row>, compared: &mut Compared) -> Result<Vec<Row>, Reaction> {
        if missing.is_empty() {
            return Ok(missing);
        }
        let ids: Vec<&str> = missing.iter().map(|row| row.id.as_str()).collect();
        let mut places: BTreeMap<String, Vec<SeqPosition>> = BTreeMap::new();
        for (id, at) in self.rows.elsewhere(&ids).await? {
            places.entry(id).or_default().push(at);
        }
        let mut left = Vec::new();
        for row in missing {
            let others = places.get(&row.id).map(Vec::as_slice).unwrap_or_default();
            // What stands at the row's own place is no other record.
            let is_at_home = others.contains(&row.at);
            let mut excused = false;
            for other in others.iter().filter(|_| !is_at_home) {
                excused = excused || self.log_says(*other, &row.id).await?;
            }
            if excused { compared.expected.remove(&row) } else { left.push(row) }
        }
        Ok(left)
    }

    /// Whether the log has a record of this transaction, or alert, at a row's place; a record that the log has no more is believed.
    async fn log_says(&self, at: SeqPosition, id: &str) -> Result<bool, Reaction> {
        let (topic, partition): (&'static str, u32) = if at.partition >= PATTERN_ROWS { (RISK_ALERTS, at.partition - PATTERN_ROWS) } else { (RISK_SCORES, at.partition) };
        if partition >= self.log.partitions(topic).await? {
            return Ok(false);
        }
        let first: Seq = super::cursor::first_seq(self.log, topic, partition, self.log.bounds(topic, partition).await?).await?;
        if at.seq < first {
            return Ok(true);
        }
        let Some(record) = record_at(self.log, topic, SeqPosition { partition, ..at }).await? else { return Ok(false) };
        let Ok(said) = serde_json::from_slice::<Identified<'_>>(&record.value) else { return Ok(false) };
        Ok(said.transaction_id.as_str() == id || said.alert_id.as_str() == id || said.alerts.iter().any(|alert| alert.alert_id.as_str() == id))
    }
}
