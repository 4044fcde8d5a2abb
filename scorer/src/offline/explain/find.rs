//! Where a scored record and a pattern alert stand in the log.
//!
//! What must stay true: what is found is what the log holds; a position that turns out to be wrong is no answer, but sought anew.

use wh_eventlog::{Bytes, Reader};
use wh_schemas::position::Seq;
use wh_schemas::scored::ALERT_SCORE;
use wh_schemas::topics::{RISK_ALERTS, RISK_SCORES};
use wh_schemas::{Alert, Reaction, SeqPosition};

const READ_BYTES: usize = 4 << 20;

#[derive(serde::Deserialize)]
struct Numbered {
    seq: Seq,
    #[serde(default)]
    duplicate_of: Option<SeqPosition>,
}

/// The scored record of a transaction; `hint` is where a store says that it stands. `None` where the log does not hold it.
///
/// # Errors
/// Where the log cannot be read.
pub async fn scored_record(log: &dyn Reader, transaction_id: &str, hint: Option<SeqPosition>) -> Result<Option<Bytes>, Reaction> {
    let partitions = log.partitions(RISK_SCORES).await?;
    if let Some(position) = hint.filter(|position| position.partition < partitions) {
        let bounds = log.bounds(RISK_SCORES, position.partition).await?;
        // An offset is never below its record's seq.
        let mut offset = position.seq.max(bounds.start);
        while offset < bounds.end {
            let records = log.read(RISK_SCORES, position.partition, offset, READ_BYTES).await?;
            let Some(last) = records.last() else { break };
            offset = last.offset + 1;
            for record in &records {
                match serde_json::from_slice::<Numbered>(&record.value) {
                    Ok(found) if found.seq == position.seq && is_of(record.key.as_ref(), transaction_id) => return Ok(Some(record.value.clone())),
                    // Behind it.
                    Ok(found) if found.seq > position.seq => offset = bounds.end,
                    _ => {}
                }
            }
        }
    }
    for partition in 0..partitions {
        let bounds = log.bounds(RISK_SCORES, partition).await?;
        let mut offset = bounds.start;
        while offset < bounds.end {
            let records = log.read(RISK_SCORES, partition, offset, READ_BYTES).await?;
            let Some(last) = records.last() else { break };
            offset = last.offset + 1;
            let scored = |value: &Bytes| serde_json::from_slice::<Numbered>(value).is_ok_and(|found| found.duplicate_of.is_none());
            if let Some(found) = records.iter().find(|record| is_of(record.key.as_ref(), transaction_id) && scored(&record.value)) {
                return Ok(Some(found.value.clone()));
            }
        }
    }
    Ok(None)
}

/// The record of `risk-alerts` with an alert's id: of a pattern by account, or of a transaction. `None` where the log does not hold it.
///
/// # Errors
/// Where the log cannot be read.
pub async fn alert_record(log: &dyn Reader, alert_id: &str) -> Result<Option<Bytes>, Reaction> {
    for partition in 0..log.partitions(RISK_ALERTS).await? {
        let bounds = log.bounds(RISK_ALERTS, partition).await?;
        let mut offset = bounds.start;
        while offset < bounds.end {
            let records = log.read(RISK_ALERTS, partition, offset, READ_BYTES).await?;
            let Some(last) = records.last() else { break };
            offset = last.offset + 1;
            if let Some(found) = records.iter().find(|record| is_of(record.key.as_ref(), alert_id)) {
                return Ok(Some(found.value.clone()));
            }
        }
    }
    Ok(None)
}

/// The alerts of patterns by account that a transaction is a member of, as records of `risk-alerts`.
///
/// # Errors
/// Where the log cannot be read.
pub async fn pattern_alerts_with(log: &dyn Reader, transaction_id: &str) -> Result<Vec<Bytes>, Reaction> {
    let mut found = Vec::new();
    for partition in 0..log.partitions(RISK_ALERTS).await? {
        let bounds = log.bounds(RISK_ALERTS, partition).await?;
        let mut offset = bounds.start;
        while offset < bounds.end {
            let records = log.read(RISK_ALERTS, partition, offset, READ_BYTES).await?;
            let Some(last) = records.last() else { break };
            offset = last.offset + 1;
            let with = |value: &Bytes| {
                let alert = serde_json::from_slice::<Alert<'_>>(value);
                alert.is_ok_and(|alert| alert.pattern.is_some() && alert.risk_score >= ALERT_SCORE && alert.members.iter().any(|member| member.as_str() == transaction_id))
            };
            found.extend(records.iter().filter(|record| with(&record.value)).map(|record| record.value.clone()));
        }
    }
    Ok(found)
}

fn is_of(key: Option<&Bytes>, id: &str) -> bool {
    key.is_some_and(|key| key.as_ref() == id.as_bytes())
}
