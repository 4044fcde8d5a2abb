//! A hospital's financial transaction as the pipeline knows it after validation.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::json::{RawObject, Text};
use crate::money::Cents;
use crate::time::Micros;

/// Version of the wire format, in everything that we write.
pub const SCHEMA_VERSION: u16 = 1;

/// The departments that a producer of this stream usually names. Another is accepted as it is.
pub const DEPARTMENTS: [&str; 12] =
    ["Emergency", "Cardiology", "Neurology", "Oncology", "Pediatrics", "Surgery", "Radiology", "Laboratory", "Pharmacy", "Administration", "IT", "Finance"];

/// What a transaction does. Any other type is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransactionType {
    /// A bill to a patient or payer.
    Billing,
    /// Money paid.
    Payment,
    /// Money returned.
    Refund,
    /// Money moved between accounts.
    Transfer,
    /// A correction or write-off.
    Adjustment,
    /// A claim sent to an insurer.
    InsuranceClaim,
    /// Wages.
    Payroll,
    /// Goods and services bought.
    Procurement,
}

impl TransactionType {
    /// Every type, in the order of its index.
    pub const ALL: [TransactionType; 8] = [
        TransactionType::Billing,
        TransactionType::Payment,
        TransactionType::Refund,
        TransactionType::Transfer,
        TransactionType::Adjustment,
        TransactionType::InsuranceClaim,
        TransactionType::Payroll,
        TransactionType::Procurement,
    ];

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            TransactionType::Billing => "billing",
            TransactionType::Payment => "payment",
            TransactionType::Refund => "refund",
            TransactionType::Transfer => "transfer",
            TransactionType::Adjustment => "adjustment",
            TransactionType::InsuranceClaim => "insurance_claim",
            TransactionType::Payroll => "payroll",
            TransactionType::Procurement => "procurement",
        }
    }

    /// The type of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<TransactionType> {
        TransactionType::ALL.into_iter().find(|t| t.as_str() == text)
    }

    /// Place in [`TransactionType::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for TransactionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A validated transaction. `metadata` is an object in canonical form; what the producer sent beside the known
/// fields is under its key `_extra`, labels that came with the data under `_labels`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Transaction<'a> {
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
    /// How much, above 0.
    #[schemars(with = "f64")]
    pub amount: Cents,
    /// Free text.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text<'a>>,
    /// The other side's account.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub counterparty_account: Option<Text<'a>>,
    /// Any JSON object.
    #[serde(borrow)]
    pub metadata: RawObject<'a>,
}
