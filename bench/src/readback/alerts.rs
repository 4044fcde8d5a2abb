//! Counts the alerts that search must come to hold: those of `risk-alerts` that ask somebody to look. Patterns by account that ask nobody
//! stand in the same topic.
//!
//! What must stay true: each record is read once; what is counted stands in the log, whatever a store says.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Mutex;
use wh_eventlog::Reader;
use wh_schemas::topics::RISK_ALERTS;
use wh_schemas::{Alert, Reaction};

/// Bytes of one look.
const BYTES: usize = 1_024 * 1_024;

#[derive(Default)]
struct Counted {
    next: BTreeMap<u32, u64>,
    raised: u64,
}

/// Counts on from where it stopped.
pub struct Alerts {
    log: Arc<dyn Reader>,
    counted: Mutex<Counted>,
}

impl Alerts {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(log: Arc<dyn Reader>) -> Alerts {
        Alerts { log, counted: Mutex::default() }
    }

    /// Alerts that stand in the log by now.
    ///
    /// # Errors
    /// What the log says; fatal where a record cannot be read.
    pub async fn count(&self) -> Result<u64, Reaction> {
        let mut counted = self.counted.lock().await;
        for partition in 0..self.log.partitions(RISK_ALERTS).await? {
            loop {
                let from = counted.next.get(&partition).copied().unwrap_or(0);
                let records = self.log.read(RISK_ALERTS, partition, from, BYTES).await?;
                let Some(last) = records.last() else { break };
                for record in &records {
                    let alert: Alert<'_> =
                        serde_json::from_slice(&record.value).map_err(|_| Reaction::fatal(format!("{RISK_ALERTS}/{partition} at {}: no alert", record.offset)))?;
                    counted.raised += u64::from(alert.is_raised());
                }
                counted.next.insert(partition, last.offset + 1);
            }
        }
        Ok(counted.raised)
    }
}

#[cfg(test)]
mod tests {
    use wh_eventlog::embedded::{EmbeddedLog, Settings};
    use wh_eventlog::{Log, Producer, Record};
    use wh_schemas::Severity;
    use wh_schemas::json::Text;
    use wh_schemas::topics;

    use super::*;

    fn record(score: u8) -> Record {
        let text = |text: &'static str| Text::from(text.to_owned());
        let alert = Alert {
            alert_id: text("a"),
            transaction_id: text("t"),
            alert_type: text("x"),
            severity: Severity::of(score),
            risk_score: score,
            title: text("title"),
            message: text("message"),
            detection_rules: Vec::new(),
            transaction: None,
            pattern: None,
            position: None,
            reasons: Vec::new(),
            members: Vec::new(),
        };
        Record::new("a", serde_json::to_vec(&alert).unwrap())
    }

    #[tokio::test]
    async fn what_asks_nobody_is_no_alert_and_nothing_is_counted_twice() {
        let folder = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(folder.path(), Settings::default()).unwrap();
        log.ensure_topics(&topics::ALL, 2).await.unwrap();
        let alerts = Alerts::new(log.clone());
        assert_eq!(alerts.count().await.unwrap(), 0);
        log.produce(RISK_ALERTS, 1, vec![record(90), record(20), record(70)]).await.unwrap();
        assert_eq!(alerts.count().await.unwrap(), 2);
        log.produce(RISK_ALERTS, 0, vec![record(75)]).await.unwrap();
        assert_eq!((alerts.count().await.unwrap(), alerts.count().await.unwrap()), (3, 3));
    }
}
