//! What intake writes: the validated transaction with the hash of its content.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids;
use crate::json::{self, Node, RawObject, Text};
use crate::money::Cents;
use crate::scored::ScoreRecord;
use crate::time::Micros;
use crate::transaction::{SCHEMA_VERSION, Transaction, TransactionType};

/// A record of `accepted-transactions`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AcceptedTransaction<'a> {
    /// Version of this format.
    pub schema_version: u16,
    /// Unique in the stream.
    #[serde(borrow)]
    pub transaction_id: Text<'a>,
    /// When it happened.
    #[schemars(with = "String")]
    pub timestamp: Micros,
    /// Who did it.
    pub user_id: Text<'a>,
    /// On which account.
    pub account_id: Text<'a>,
    /// In which department.
    pub department: Text<'a>,
    /// What it does.
    pub transaction_type: TransactionType,
    /// How much.
    #[schemars(with = "f64")]
    pub amount: Cents,
    /// Free text.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text<'a>>,
    /// The other side's account.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub counterparty_account: Option<Text<'a>>,
    /// Any JSON object, in canonical form.
    #[serde(borrow)]
    pub metadata: RawObject<'a>,
    /// [`content_hash`] of the transaction.
    pub content_hash: Text<'a>,
}

impl<'a> AcceptedTransaction<'a> {
    /// The record for a validated transaction.
    #[must_use]
    pub fn new(transaction: Transaction<'a>) -> AcceptedTransaction<'a> {
        let content_hash = Text::from(content_hash(&transaction));
        let Transaction { transaction_id, timestamp, user_id, account_id, department, transaction_type, amount, description, counterparty_account, metadata } = transaction;
        AcceptedTransaction {
            schema_version: SCHEMA_VERSION,
            transaction_id,
            timestamp,
            user_id,
            account_id,
            department,
            transaction_type,
            amount,
            description,
            counterparty_account,
            metadata,
            content_hash,
        }
    }

    /// The accepted transaction behind a scored record, which has all of it.
    #[must_use]
    pub fn of(record: &ScoreRecord<'a>) -> AcceptedTransaction<'a> {
        AcceptedTransaction {
            schema_version: SCHEMA_VERSION,
            transaction_id: record.transaction_id.clone(),
            timestamp: record.timestamp,
            user_id: record.user_id.clone(),
            account_id: record.account_id.clone(),
            department: record.department.clone(),
            transaction_type: record.transaction_type,
            amount: record.amount,
            description: record.description.clone(),
            counterparty_account: record.counterparty_account.clone(),
            metadata: record.metadata.clone(),
            content_hash: record.content_hash.clone(),
        }
    }
}

/// SHA-256 of a transaction's canonical form, 64 hexadecimal digits: the instant in microseconds, the amount in
/// cents, the texts as JSON strings, the metadata with sorted keys and without `_labels`. Two records with one hash say the same.
#[must_use]
pub fn content_hash(transaction: &Transaction<'_>) -> String {
    let mut text = String::with_capacity(256 + transaction.metadata.get().len());
    text.push_str("wh1[");
    for part in [&transaction.transaction_id, &transaction.user_id, &transaction.account_id, &transaction.department] {
        json::write_string(part, &mut text);
        text.push(',');
    }
    text.push_str(transaction.transaction_type.as_str());
    for number in [transaction.timestamp.0, transaction.amount.0] {
        text.push(',');
        text.push_str(itoa::Buffer::new().format(number));
    }
    for part in [&transaction.description, &transaction.counterparty_account] {
        text.push(',');
        match part {
            Some(part) => json::write_string(part, &mut text),
            None => text.push_str("null"),
        }
    }
    text.push(',');
    write_without_labels(transaction.metadata.get(), &mut text);
    text.push(']');
    ids::sha256_hex(text.as_bytes())
}

fn write_without_labels(metadata: &str, out: &mut String) {
    if !metadata.contains("\"_labels\"") {
        out.push_str(metadata);
        return;
    }
    match Node::parse(metadata) {
        Ok(Node::Object(mut fields)) => {
            fields.retain(|(key, _)| key.as_str() != "_labels");
            Node::Object(fields).write_canonical(out);
        }
        _ => out.push_str(metadata),
    }
}
