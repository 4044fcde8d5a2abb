//! What a team's rule may see of a record and of its user's baseline as it was before the record.
//!
//! What must stay true: event time only, and of the metadata only the ruleset's keys. The engine fills these in only where
//! a ruleset has rules: names and texts are borrowed, so that it costs a few copies of numbers.

use std::borrow::Cow;

use wh_schemas::json;

use super::language::{Type, Value};
use crate::engine::ruleset::is_scalar;

/// All that a rule sees.
#[derive(Clone, Debug, Default)]
pub struct Facts<'a> {
    /// The record.
    pub tx: TransactionFacts<'a>,
    /// Its user, before the record.
    pub user: UserFacts<'a>,
}

/// The record, in CEL `tx`.
#[derive(Clone, Debug, Default)]
pub struct TransactionFacts<'a> {
    /// Currency units.
    pub amount: f64,
    /// The same in cents, exact.
    pub cents: i64,
    /// Name of the type, in CEL `tx.type`.
    pub transaction_type: &'a str,
    /// Department.
    pub department: &'a str,
    /// Who did it.
    pub user_id: &'a str,
    /// On which account.
    pub account_id: &'a str,
    /// The other side's account, "" where there is none.
    pub counterparty: &'a str,
    /// Hour of the day in the ruleset's zone, 0 to 23.
    pub hour: u8,
    /// Day of the week there, 1 (Monday) to 7 (Sunday).
    pub weekday: u8,
    /// Values under the ruleset's metadata keys, as [`metadata_texts`] gives them.
    pub metadata: Vec<(&'a str, Cow<'a, str>)>,
}

/// The user's baseline before the record, in CEL `user`.
#[derive(Clone, Debug, Default)]
pub struct UserFacts<'a> {
    /// Events seen.
    pub events: u64,
    /// Events that the baseline learnt from.
    pub learnt: u64,
    /// Days since the first event.
    pub days_known: f64,
    /// Days since the event before this one.
    pub idle_days: f64,
    /// The department of most events, "" where there is none yet.
    pub home_department: &'a str,
    /// The usual amount of this type, in currency units.
    pub usual_amount: f64,
    /// How far ln(amount) lies above the usual, in scales.
    pub amount_z: f64,
    /// Likelihood of this hour of the week, in multiples of an even spread.
    pub hour_share: f64,
    /// Events of the ten minutes before this one.
    pub events_10m: u64,
    /// Of the hour before.
    pub events_1h: u64,
    /// Of the 24 hours before.
    pub events_24h: u64,
    /// Times that this counterparty was seen.
    pub counterparty_known: u64,
    /// Times that this account was seen.
    pub account_known: u64,
    /// Share of this type in the user's events, 0 to 1.
    pub type_share: f64,
    /// Share of this department in the user's events, 0 to 1.
    pub department_share: f64,
}

/// A name in CEL and what stands behind it.
#[derive(Debug)]
pub(super) struct Field {
    /// `tx.amount`
    pub(super) name: &'static str,
    /// What it is.
    pub(super) of: Type,
    /// Its value.
    pub(super) read: for<'f> fn(&'f Facts<'f>) -> Value<'f>,
}

/// A count as CEL's int.
fn count(value: u64) -> Value<'static> {
    Value::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

/// Every name but `tx.metadata`.
pub(super) static FIELDS: [Field; 24] = [
    Field { name: "tx.amount", of: Type::Double, read: |facts| Value::Double(facts.tx.amount) },
    Field { name: "tx.cents", of: Type::Int, read: |facts| Value::Int(facts.tx.cents) },
    Field { name: "tx.type", of: Type::Text, read: |facts| Value::Text(facts.tx.transaction_type) },
    Field { name: "tx.department", of: Type::Text, read: |facts| Value::Text(facts.tx.department) },
    Field { name: "tx.user_id", of: Type::Text, read: |facts| Value::Text(facts.tx.user_id) },
    Field { name: "tx.account_id", of: Type::Text, read: |facts| Value::Text(facts.tx.account_id) },
    Field { name: "tx.counterparty", of: Type::Text, read: |facts| Value::Text(facts.tx.counterparty) },
    Field { name: "tx.hour", of: Type::Int, read: |facts| Value::Int(i64::from(facts.tx.hour)) },
    Field { name: "tx.weekday", of: Type::Int, read: |facts| Value::Int(i64::from(facts.tx.weekday)) },
    Field { name: "user.events", of: Type::Int, read: |facts| count(facts.user.events) },
    Field { name: "user.learnt", of: Type::Int, read: |facts| count(facts.user.learnt) },
    Field { name: "user.days_known", of: Type::Double, read: |facts| Value::Double(facts.user.days_known) },
    Field { name: "user.idle_days", of: Type::Double, read: |facts| Value::Double(facts.user.idle_days) },
    Field { name: "user.home_department", of: Type::Text, read: |facts| Value::Text(facts.user.home_department) },
    Field { name: "user.usual_amount", of: Type::Double, read: |facts| Value::Double(facts.user.usual_amount) },
    Field { name: "user.amount_z", of: Type::Double, read: |facts| Value::Double(facts.user.amount_z) },
    Field { name: "user.hour_share", of: Type::Double, read: |facts| Value::Double(facts.user.hour_share) },
    Field { name: "user.events_10m", of: Type::Int, read: |facts| count(facts.user.events_10m) },
    Field { name: "user.events_1h", of: Type::Int, read: |facts| count(facts.user.events_1h) },
    Field { name: "user.events_24h", of: Type::Int, read: |facts| count(facts.user.events_24h) },
    Field { name: "user.counterparty_known", of: Type::Int, read: |facts| count(facts.user.counterparty_known) },
    Field { name: "user.account_known", of: Type::Int, read: |facts| count(facts.user.account_known) },
    Field { name: "user.type_share", of: Type::Double, read: |facts| Value::Double(facts.user.type_share) },
    Field { name: "user.department_share", of: Type::Double, read: |facts| Value::Double(facts.user.department_share) },
];

impl Facts<'_> {
    /// The value under a metadata key.
    pub(super) fn metadata(&self, key: &str) -> Option<&str> {
        self.tx.metadata.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_ref())
    }
}

/// The values under the allow-listed keys of a metadata object, in the order of the keys: texts without their quotes, numbers and truth
/// values as their JSON. Missing ones and `null` are left out, and so are objects and arrays: what an inner key says was allowed by nobody.
#[must_use]
pub fn metadata_texts<'a>(keys: &'a [String], metadata: &'a str) -> Vec<(&'a str, Cow<'a, str>)> {
    if metadata.len() <= 2 || keys.is_empty() {
        return Vec::new();
    }
    let Ok(members) = json::members(metadata) else { return Vec::new() };
    keys.iter()
        .filter_map(|key| {
            let (_, value) = members.iter().find(|(name, _)| name.as_str() == key)?;
            let raw: &'a str = value.get();
            match raw.as_bytes().first() {
                _ if !is_scalar(raw) => None,
                Some(b'"') => serde_json::from_str::<json::Text<'a>>(raw).ok().map(|text| (key.as_str(), text.0)),
                _ => Some((key.as_str(), Cow::Borrowed(raw))),
            }
        })
        .collect()
}
