//! The record as it goes over the wire, and what is known about it apart from the wire.

use std::fmt::Write as _;

use crate::config::Grade;

/// What a transaction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are those of the wire")]
pub enum Kind {
    Billing,
    Payment,
    Refund,
    Transfer,
    Adjustment,
    InsuranceClaim,
    Payroll,
    Procurement,
}

impl Kind {
    /// Every kind, in the order of its index.
    pub const ALL: [Kind; 8] = [Kind::Billing, Kind::Payment, Kind::Refund, Kind::Transfer, Kind::Adjustment, Kind::InsuranceClaim, Kind::Payroll, Kind::Procurement];

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        ["billing", "payment", "refund", "transfer", "adjustment", "insurance_claim", "payroll", "procurement"][self as usize]
    }
}

/// Where in the hospital.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are those of the wire")]
pub enum Department {
    Emergency,
    Cardiology,
    Neurology,
    Oncology,
    Pediatrics,
    Surgery,
    Radiology,
    Laboratory,
    Pharmacy,
    Administration,
    IT,
    Finance,
}

impl Department {
    /// Every department, in the order of its index.
    pub const ALL: [Department; 12] = [
        Department::Emergency,
        Department::Cardiology,
        Department::Neurology,
        Department::Oncology,
        Department::Pediatrics,
        Department::Surgery,
        Department::Radiology,
        Department::Laboratory,
        Department::Pharmacy,
        Department::Administration,
        Department::IT,
        Department::Finance,
    ];

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        ["Emergency", "Cardiology", "Neurology", "Oncology", "Pediatrics", "Surgery", "Radiology", "Laboratory", "Pharmacy", "Administration", "IT", "Finance"][self as usize]
    }
}

/// One record of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Unique in the stream.
    pub transaction_id: String,
    /// RFC 3339, as sent.
    pub timestamp: String,
    /// The same instant in microseconds since 1970-01-01 UTC.
    pub micros: i64,
    /// The employee who enters it.
    pub user_id: String,
    /// The account that it is booked on.
    pub account_id: String,
    /// In which department.
    pub department: &'static str,
    /// What it does.
    pub transaction_type: &'static str,
    /// How much, in hundredths; above 0.
    pub cents: i64,
    /// Free text.
    pub description: Option<String>,
    /// The other side.
    pub counterparty_account: Option<String>,
    /// What the entering system adds.
    pub metadata: Vec<(&'static str, String)>,
}

impl Transaction {
    /// One line of NDJSON, without the line's end. Ids and texts hold nothing that JSON would escape.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(420);
        let text = |out: &mut String, key: &str, value: &str| {
            if !out.ends_with('{') {
                out.push(',');
            }
            out.extend(["\"", key, "\":\"", value, "\""]);
        };
        out.push('{');
        text(&mut out, "transaction_id", &self.transaction_id);
        text(&mut out, "timestamp", &self.timestamp);
        text(&mut out, "user_id", &self.user_id);
        text(&mut out, "account_id", &self.account_id);
        text(&mut out, "department", self.department);
        text(&mut out, "transaction_type", self.transaction_type);
        let amount = format!(",\"amount\":{}.{:02}", self.cents / 100, self.cents % 100);
        out.push_str(&amount);
        if let Some(description) = &self.description {
            text(&mut out, "description", description);
        }
        if let Some(counterparty) = &self.counterparty_account {
            text(&mut out, "counterparty_account", counterparty);
        }
        out.push_str(",\"metadata\":{");
        for (key, value) in &self.metadata {
            text(&mut out, key, value);
        }
        out.push_str("}}");
        out
    }
}

/// The truth about the transaction at the same index. Never part of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Whether it belongs to a fraud.
    pub fraud: bool,
    /// Which incident, the same for all its rows.
    pub incident: Option<u32>,
    /// The scheme, the benign confuser, or `ordinary`.
    pub scenario: &'static str,
    /// The incident's grade.
    pub grade: Option<Grade>,
}

/// A stream and its truth, index by index.
#[derive(Clone, Debug)]
pub struct Generated {
    /// In the order of arrival.
    pub transactions: Vec<Transaction>,
    /// Of each transaction.
    pub labels: Vec<Label>,
}

impl Generated {
    /// The stream as NDJSON.
    #[must_use]
    pub fn ndjson(&self) -> String {
        let mut out = String::with_capacity(self.transactions.len() * 420);
        for transaction in &self.transactions {
            // Writing to a string cannot fail.
            writeln!(out, "{}", transaction.to_json()).ok();
        }
        out
    }
}
