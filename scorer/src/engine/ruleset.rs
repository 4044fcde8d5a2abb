//! What the engine scores by: limits, weights, windows, priors, zone, and the metadata keys that it may read.
//!
//! What must stay true: its content hash stands in every score, so everything that can change a score is in here.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wh_schemas::json::{self, Text};
use wh_schemas::scored::Dimension;
use wh_schemas::time::HOUR;
use wh_schemas::{Micros, TransactionType, ids};

use super::amounts::Prior;
use super::combination::CombinationRules;
use super::patterns::PatternRules;
use crate::patterns::AccountRules;
use crate::rules::TeamRule;

mod defaults;

/// Rules of one version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ruleset {
    /// What the team calls it.
    pub name: String,
    /// The hospital's time zone: hours and days are local.
    #[serde(with = "zone_name")]
    #[schemars(with = "String")]
    pub time_zone: Tz,
    /// Reporting and approval limits in currency units, rising; amounts just below one are watched.
    pub limits: Vec<f64>,
    /// How far below a limit still counts as just below, as a share of it.
    pub below_limit: f64,
    /// Keys of `metadata` that the metadata dimension reads; no other key has any effect.
    pub metadata_keys: Vec<String>,
    /// Where levels, alerts and severities begin.
    pub levels: Levels,
    /// The most points of each dimension.
    pub caps: Caps,
    /// Weights of the amount dimension.
    pub amount: AmountRules,
    /// Weights of the time dimension.
    pub time: TimeRules,
    /// Weights of the frequency dimension.
    pub frequency: FrequencyRules,
    /// Weights of the behavior dimension.
    pub behavior: BehaviorRules,
    /// Weights of the metadata dimension.
    pub metadata: MetadataRules,
    /// Patterns by user.
    pub patterns: PatternRules,
    /// How measurements speak together.
    pub combination: CombinationRules,
    /// Patterns by account.
    pub accounts: AccountRules,
    /// Bounds of the state.
    pub state: StateRules,
    /// What amounts are like before a user's own are known.
    pub priors: Priors,
    /// The team's own rules.
    pub rules: Vec<TeamRule>,
}

/// Where levels, alerts and severities begin, in points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Levels {
    /// First score of level medium.
    pub medium_from: u8,
    /// First score of level high.
    pub high_from: u8,
    /// First score that raises an alert, and is quarantined from learning.
    pub alert_from: u8,
    /// First score whose alert is critical.
    pub critical_from: u8,
}

/// The most points of each dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Caps {
    /// Of amount.
    pub amount: u8,
    /// Of time.
    pub time: u8,
    /// Of frequency.
    pub frequency: u8,
    /// Of behavior.
    pub behavior: u8,
    /// Of metadata.
    pub metadata: u8,
}

/// Weights of the amount dimension.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AmountRules {
    /// Scales above the usual at which an amount begins to count.
    pub from: f64,
    /// Points for each scale beyond.
    pub points_a_scale: f64,
    /// Further points for each scale beyond the third.
    pub points_beyond_three: f64,
    /// Points for each doubling beyond the largest amount of that type before.
    pub points_above_largest: f64,
    /// Points for each scale, beyond two, by which the amount leaves what this counterparty's amounts with the user are like.
    pub points_other_price: f64,
    /// Points for an amount just below a limit.
    pub points_below_limit: f64,
    /// Points for each scale by which the party's amounts lie above the usual on average.
    pub points_dear_party: f64,
}

/// Weights of the time dimension.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TimeRules {
    /// Likelihood of the hour, in multiples of an even spread, below which it begins to count.
    pub below: f64,
    /// Points for each halving below.
    pub points_a_halving: f64,
}

/// Weights of the frequency dimension.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FrequencyRules {
    /// Standard deviations above the expected count at which a window begins to count.
    pub from: f64,
    /// Points for each one beyond.
    pub points_a_deviation: f64,
    /// Points for each ten points by which this user's rows of the last day lie above what theirs usually have.
    pub points_of_heat: f64,
    /// Points for each doubling of the rows with a party first seen within a week.
    pub points_again: f64,
}

/// Weights of the behavior dimension.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BehaviorRules {
    /// Points for each halving, below an eighth, of the share of days with this type.
    pub points_unusual_type: f64,
    /// Points for each halving, below an eighth, of the share of days with this department.
    pub points_unusual_department: f64,
    /// Points for each bit of surprise at an account never seen.
    pub points_new_account: f64,
    /// Points for each bit of surprise at a counterparty never seen.
    pub points_new_counterparty: f64,
    /// Points for a party first seen within a week.
    pub points_young_party: f64,
    /// Days without an event from which a user counts as dormant.
    pub dormant_days: u32,
    /// Points of a dormant user's first event.
    pub points_dormant: f64,
    /// Points for each doubling of the rows with the same amount and parties.
    pub points_repeated: f64,
    /// Points for each halving, below a quarter, of the share of days with a refund or adjustment.
    pub points_rare_reversal: f64,
    /// Points for each ten points of odd rows that a young party has had.
    pub points_odd_party: f64,
    /// Events of a user at which a baseline speaks with half its weight.
    pub mature_after: u32,
}

/// Weights of the metadata dimension.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MetadataRules {
    /// Points for each bit of surprise at a value never seen.
    pub points_new_value: f64,
}

/// Bounds of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StateRules {
    /// Users that one partition remembers; the one not seen for longest goes first, and begins anew when it comes back.
    pub max_users_per_partition: u32,
}

/// What amounts are like before a user's own are known: by type name, overall and by department.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Priors {
    /// By type.
    pub overall: BTreeMap<String, Prior>,
    /// By department, then by type.
    pub departments: BTreeMap<String, BTreeMap<String, Prior>>,
}

/// A zone by its IANA name.
mod zone_name {
    use chrono_tz::Tz;
    use serde::{Deserialize, Deserializer, Serializer, de};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(zone: &Tz, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(zone.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Tz, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(|_| de::Error::custom(format!("expected an IANA time zone such as Europe/Berlin, found {name}")))
    }
}

impl Caps {
    /// The cap of one dimension.
    #[must_use]
    pub fn of(self, dimension: Dimension) -> u8 {
        match dimension {
            Dimension::Amount => self.amount,
            Dimension::Time => self.time,
            Dimension::Frequency => self.frequency,
            Dimension::Behavior => self.behavior,
            Dimension::Metadata => self.metadata,
        }
    }
}

impl Ruleset {
    /// Sixteen hexadecimal digits of the SHA-256 of its content.
    #[must_use]
    pub fn content_hash(&self) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        format!("{:016x}", ids::fingerprint(text.as_bytes()))
    }

    /// The prior of a type in a department; the overall one where the department has none.
    #[must_use]
    pub fn prior(&self, department: &str, transaction_type: TransactionType) -> Prior {
        let name = transaction_type.as_str();
        let own = if self.priors.departments.is_empty() { None } else { self.priors.departments.get(department).and_then(|types| types.get(name)) };
        own.or_else(|| self.priors.overall.get(name)).copied().unwrap_or(Prior { location: 6.0, scale: 1.4 })
    }

    /// The limit that an amount lies just below.
    #[must_use]
    pub fn limit_above(&self, units: f64) -> Option<f64> {
        self.limits.iter().copied().find(|limit| units < *limit && units >= *limit * (1.0 - self.below_limit))
    }

    /// The rules of patterns by account, with the limits of this ruleset.
    #[must_use]
    pub fn account_rules(&self) -> AccountRules {
        AccountRules { limits: self.limits.clone(), below_limit: self.below_limit, ..self.accounts.clone() }
    }

    /// Hour of the week in the hospital's zone.
    #[must_use]
    pub fn hour_of_week(&self, timestamp: Micros) -> u8 {
        timestamp.hour_of_week(self.time_zone)
    }

    /// Hours since 1970 by the hospital's clocks, 0 before: 24 of them are one of its days.
    #[must_use]
    pub fn local_hours(&self, timestamp: Micros) -> u32 {
        let hours = match timestamp.utc() {
            Some(utc) if self.time_zone != Tz::UTC => utc.with_timezone(&self.time_zone).naive_local().and_utc().timestamp().div_euclid(3_600),
            _ => timestamp.0.div_euclid(HOUR),
        };
        u32::try_from(hours.max(0)).unwrap_or(u32::MAX)
    }

    /// What a metadata key is known by in the state, whatever its place among the others.
    pub(super) fn key_print(key: &str) -> u32 {
        ids::murmur2(key.as_bytes())
    }

    /// Fingerprints of the values under the allow-listed keys of a metadata object. Texts, numbers and truth values have one; an object or
    /// an array has none, as if it were not there: what an inner key says was allowed by nobody.
    #[must_use]
    pub fn metadata_values(&self, metadata: &str) -> Vec<Option<u32>> {
        let mut values = vec![None; self.metadata_keys.len()];
        if metadata.len() <= 2 {
            return values;
        }
        let Ok(members) = json::members(metadata) else { return values };
        for (slot, key) in values.iter_mut().zip(&self.metadata_keys) {
            let found: Option<&(Text<'_>, &RawValue)> = members.iter().find(|(name, _)| name.as_str() == key);
            *slot = found.filter(|(_, value)| is_scalar(value.get())).map(|(_, value)| super::short(ids::fingerprint(value.get().as_bytes())));
        }
        values
    }
}

/// Whether a value's JSON is a text, a number or a truth value.
pub(crate) fn is_scalar(json: &str) -> bool {
    json != "null" && !json.starts_with(['{', '['])
}

#[cfg(test)]
mod tests;
