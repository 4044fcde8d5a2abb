//! `wardhouse release`: a transaction that was quarantined as an alert and turned out benign.
//!
//! What must stay true: only what was kept from the baseline is released; who names an alert of a pattern by account is told what to do instead.

use wh_eventlog::{Bytes, Reader};
use wh_schemas::control::ControlChange;
use wh_schemas::scored::ALERT_SCORE;
use wh_schemas::{AcceptedTransaction, Alert, ScoreRecord};
use wh_scorer::offline::explain;

use super::ReleaseArgs;
use super::send::send;
use crate::commands::runtime;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::stores;

/// What to do about an alert that cannot be released.
const INSTEAD: &str = "Such an alert changes no score and keeps nothing from a baseline: there is nothing to release, and it stays as it was raised. \
     A transaction of it with a score of 70 or more can be released by its own id (`wardhouse explain ALERT_ID` lists them with their scores). \
     Where honest work raises the same again and again, change [accounts] in the ruleset (`disabled` switches a pattern off), try it with `wardhouse backtest`, \
     name the file in the settings and start the stage `patterns` again";

/// `release`
pub(crate) fn release(settings: &Settings, args: &ReleaseArgs) -> Result<(), Failure> {
    let bytes = runtime("release")?.block_on(quarantined(settings, &args.transaction_id))?;
    let record = read(&bytes)?;
    let id = record.transaction_id.as_str().to_owned();
    let transaction = serde_json::to_string(&AcceptedTransaction::of(&record)).map_err(|e| e.to_string())?;
    let change = ControlChange::Release { transaction_id: id, transaction };
    let partition = record.partition;
    send(settings, &args.send, &|_| Ok(vec![(partition, None, change.clone())]))
}

fn read(bytes: &Bytes) -> Result<ScoreRecord<'_>, Failure> {
    Ok(serde_json::from_slice(bytes).map_err(|e| format!("the scored record cannot be read: {e}"))?)
}

/// The scored record of a transaction that was quarantined, named by its id or by that of its alert.
async fn quarantined(settings: &Settings, id: &str) -> Result<Bytes, Failure> {
    let log = stores::open_reader(settings).await?;
    let mut found = explain::scored_record(&*log, id, None).await?;
    if found.is_none()
        && let Some(bytes) = explain::alert_record(&*log, id).await?
    {
        let alert: Alert<'_> = serde_json::from_slice(&bytes).map_err(|e| format!("the record of the alert {id} cannot be read: {e}"))?;
        if alert.pattern.is_some() {
            return Err(Failure::Failed(format!("{id} is the alert of a pattern by account, {}. {INSTEAD}", named(&alert))));
        }
        found = explain::scored_record(&*log, &alert.transaction_id, None).await?;
    }
    let bytes = found.ok_or_else(|| format!("the log holds no scored record of {id}: the scorer can learn only from what the log still has"))?;
    let (risk, transaction) = {
        let record = read(&bytes)?;
        (record.risk_score.unwrap_or(0), record.transaction_id.as_str().to_owned())
    };
    if risk >= ALERT_SCORE {
        return Ok(bytes);
    }
    let learnt = format!("{id} has a score of {risk}: what scores below {ALERT_SCORE} was learnt when it came, there is nothing to release");
    Err(Failure::Failed(match of_patterns(&*log, &transaction).await? {
        alerts if alerts.is_empty() => learnt,
        alerts => format!("{learnt}. It belongs to alerts of patterns by account: {}. {INSTEAD}", alerts.join("; ")),
    }))
}

/// The alerts of patterns by account that a transaction belongs to.
async fn of_patterns(log: &dyn Reader, transaction_id: &str) -> Result<Vec<String>, Failure> {
    let mut alerts: Vec<String> = Vec::new();
    for bytes in explain::pattern_alerts_with(log, transaction_id).await? {
        if let Ok(alert) = serde_json::from_slice::<Alert<'_>>(&bytes) {
            alerts.push(format!("{}, {}", alert.alert_id, named(&alert)));
        }
    }
    // A stage that was killed may have told one twice.
    alerts.sort_unstable();
    alerts.dedup();
    Ok(alerts)
}

fn named(alert: &Alert<'_>) -> String {
    format!("{} of {} transactions", alert.alert_type, alert.members.len())
}
