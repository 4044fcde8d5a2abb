//! What the ledgers keep beside a transaction's alert.

use wh_schemas::ScoreRecord;

/// The part of the transaction that an alert's row holds, as JSON.
pub(crate) fn metadata(row: &ScoreRecord<'_>) -> String {
    serde_json::json!({ "department": row.department, "transaction_type": row.transaction_type, "amount": row.amount, "dimensions": row.dimensions }).to_string()
}
