//! A pattern: several transactions that together confirm a scheme. One row of `ledger.transaction_patterns`.
//!
//! A pattern by user stands in the scored record that completed it; a pattern by account in an alert of its own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::json::Text;
use crate::time::Micros;

/// A detected pattern with the transactions that it consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pattern<'a> {
    /// UUIDv5 of type and sorted members.
    #[serde(borrow)]
    pub pattern_id: Text<'a>,
    /// What kind it is, e.g. `structuring` or `round_trip`.
    pub pattern_type: Text<'a>,
    /// The user whose pattern it is; absent where several users take part.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<Text<'a>>,
    /// The accounts that take part, each once, in byte order.
    #[serde(borrow, default)]
    pub accounts: Vec<Text<'a>>,
    /// Ids of the transactions, by event time, then by id.
    #[serde(borrow)]
    pub members: Vec<Text<'a>>,
    /// 0 to 100.
    pub risk_score: u8,
    /// One readable sentence with the arithmetic.
    pub description: Text<'a>,
    /// Event time of the first member.
    #[schemars(with = "String")]
    pub first_event: Micros,
    /// Event time of the last member.
    #[schemars(with = "String")]
    pub last_event: Micros,
}
