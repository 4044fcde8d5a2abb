//! What the scorer tells patterns by account of each scored transaction: one record of `account-activity`. Pure.
//!
//! What must stay true: it is written before the scored record, so that what stands in `risk-scores` stands here too; the same inputs give
//! the same bytes; no label, free text or metadata is in it.

use wh_eventlog::{Bytes, Record};
use wh_schemas::transaction::SCHEMA_VERSION;
use wh_schemas::{AcceptedTransaction, Activity, Micros, SeqPosition};

use crate::engine::Score;

/// Partition of `account-activity` that everything is in. A log that was made by an earlier version has more of them: they stay empty.
pub const PARTITION: u32 = 0;

/// The record of a scored transaction. `stream_time` is the newest plausible event time of its partition once it was seen.
#[must_use]
pub fn record(transaction: &AcceptedTransaction<'_>, score: &Score, position: SeqPosition, stream_time: Micros) -> Record {
    let activity = Activity {
        schema_version: SCHEMA_VERSION,
        transaction_id: transaction.transaction_id.clone(),
        timestamp: transaction.timestamp,
        user_id: transaction.user_id.clone(),
        account_id: transaction.account_id.clone(),
        counterparty_account: transaction.counterparty_account.clone(),
        department: transaction.department.clone(),
        transaction_type: transaction.transaction_type,
        amount: transaction.amount,
        risk_score: score.risk_score(),
        partition: position.partition,
        seq: position.seq,
        stream_time,
        implausible: score.implausible,
    };
    let key = transaction.counterparty_account.as_ref().unwrap_or(&transaction.account_id);
    // Serialising it cannot fail: no map, no float.
    Record::new(Bytes::copy_from_slice(key.as_bytes()), serde_json::to_vec(&activity).unwrap_or_default())
}
