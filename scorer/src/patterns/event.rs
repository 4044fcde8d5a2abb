//! One activity as the account engine keeps it until the watermark has passed it.
//!
//! What must stay true: two events are ordered by (effective event time, transaction id) and by nothing that depends on arrival.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use wh_schemas::activity::Activity;
use wh_schemas::{TransactionType, ids};

/// An event that takes part in patterns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Event {
    /// Effective event time, microseconds.
    pub(super) at: i64,
    pub(super) id: String,
    pub(super) partition: u32,
    pub(super) seq: u64,
    pub(super) user: String,
    pub(super) account: String,
    pub(super) counterparty: Option<String>,
    pub(super) department: String,
    /// [`TransactionType::index`].
    pub(super) kind: u8,
    pub(super) cents: i64,
    pub(super) risk: u8,
}

impl Event {
    pub(super) fn of(activity: &Activity<'_>, at: i64) -> Event {
        Event {
            at,
            id: activity.transaction_id.as_str().to_owned(),
            partition: activity.partition,
            seq: activity.seq,
            user: activity.user_id.as_str().to_owned(),
            account: activity.account_id.as_str().to_owned(),
            counterparty: activity.counterparty_account.as_ref().map(|c| c.as_str().to_owned()),
            department: activity.department.as_str().to_owned(),
            kind: u8::try_from(activity.transaction_type.index()).unwrap_or(0),
            cents: activity.amount.0,
            risk: activity.risk_score,
        }
    }

    fn order(&self) -> (i64, &str, u32, u64) {
        (self.at, &self.id, self.partition, self.seq)
    }
}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Event) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Event) -> Ordering {
        self.order().cmp(&other.order())
    }
}

/// The type behind a stored index.
pub(super) fn kind_of(index: u8) -> TransactionType {
    TransactionType::ALL.get(usize::from(index)).copied().unwrap_or(TransactionType::Billing)
}

/// Four bytes that stand for a department.
pub(super) fn short(text: &str) -> u32 {
    u32::try_from(ids::fingerprint(text.as_bytes()) & 0xffff_ffff).unwrap_or(0)
}

/// Which way the money of an event goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// From `account_id` to the counterparty.
    ToCounterparty,
    /// From the counterparty to `account_id`.
    ToAccount,
    /// None moves.
    Still,
}

impl Direction {
    pub(super) fn of(kind: TransactionType) -> Direction {
        match kind {
            TransactionType::Payment | TransactionType::Transfer | TransactionType::Payroll | TransactionType::Procurement | TransactionType::Refund => Direction::ToCounterparty,
            TransactionType::Billing | TransactionType::InsuranceClaim => Direction::ToAccount,
            TransactionType::Adjustment => Direction::Still,
        }
    }
}
