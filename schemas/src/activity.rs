//! A record of `account-activity`: what patterns by account see of a scored transaction. No label, no free text, no metadata.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::json::Text;
use crate::money::Cents;
use crate::position::Seq;
use crate::time::Micros;
use crate::transaction::TransactionType;

/// One scored transaction, as the accounts see it. One is written for each scored record, before that record itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Activity<'a> {
    /// Version of this format.
    pub schema_version: u16,
    /// Unique in the stream.
    #[serde(borrow)]
    pub transaction_id: Text<'a>,
    /// When it happened.
    #[schemars(with = "String")]
    pub timestamp: Micros,
    /// Who did it.
    #[serde(borrow)]
    pub user_id: Text<'a>,
    /// On which account.
    #[serde(borrow)]
    pub account_id: Text<'a>,
    /// The other side's account.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub counterparty_account: Option<Text<'a>>,
    /// In which department.
    #[serde(borrow)]
    pub department: Text<'a>,
    /// What it does.
    pub transaction_type: TransactionType,
    /// How much.
    #[schemars(with = "f64")]
    pub amount: Cents,
    /// Score of the transaction, 0 to 100.
    pub risk_score: u8,
    /// Partition of the scorer.
    pub partition: u32,
    /// Number of the scored record in that partition: increasing, with gaps where duplicates stand.
    pub seq: Seq,
    /// The newest plausible event time of that partition once this record was seen: what the watermark is made of.
    #[schemars(with = "String")]
    pub stream_time: Micros,
    /// So far from the stream's time that it takes part in no pattern.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub implausible: bool,
}
