//! Putting the points on InfluxDB right: what should not be there is deleted point by point, and whole blocks are written again.
//!
//! What must stay true: a block is written again after anything of it was deleted, since other points may lie at the same time; no position moves.

use async_trait::async_trait;
use serde::Deserialize;
use wh_schemas::Reaction;

use super::sink::MetricsStore;
use crate::delivery::{Batch, Store};
use crate::reconcile::{Repair, Row};

/// Where a point lies.
#[derive(Deserialize)]
struct Place {
    measurement: String,
    time: i64,
    partition: String,
    department: String,
    risk_level: String,
    transaction_type: String,
}

impl Place {
    /// The condition that the point fulfils. A tag that is empty is one that the point does not have, which cannot be asked for: its time
    /// and its other tags do.
    fn predicate(&self) -> String {
        let mut said = format!("_measurement=\"{}\"", quoted(&self.measurement));
        for (tag, value) in [("partition", &self.partition), ("department", &self.department), ("risk_level", &self.risk_level), ("transaction_type", &self.transaction_type)] {
            if !value.is_empty() {
                said.push_str(&format!(" AND {tag}=\"{}\"", quoted(value)));
            }
        }
        said
    }
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[async_trait]
impl Repair for MetricsStore {
    async fn repair(&mut self, rows: &[Row], batch: Batch) -> Result<(), Reaction> {
        for row in rows {
            let Ok(place) = serde_json::from_str::<Place>(&row.place) else { continue };
            self.client.delete(&place.predicate(), place.time, place.time).await?;
        }
        if !batch.records.is_empty() {
            self.replay(batch).await?;
            self.publish().await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_names_the_tags_that_there_are() {
        let place: Place =
            serde_json::from_str(r#"{"measurement":"throughput","time":7,"partition":"0","department":"a \"b\"","risk_level":"","transaction_type":"billing"}"#).unwrap();
        assert_eq!(place.predicate(), r#"_measurement="throughput" AND partition="0" AND department="a \"b\"" AND transaction_type="billing""#);
    }
}
