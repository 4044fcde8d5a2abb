//! What the engine scores by: limits, priors, zone, and the metadata keys that it may read. Its content hash stands in every score.

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wh_schemas::json::{self, Text};
use wh_schemas::{Micros, TransactionType, ids};

use super::amounts::Prior;

/// Rules of one version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ruleset {
    /// The hospital's time zone: hours and days are local.
    #[serde(with = "zone_name")]
    pub zone: Tz,
    /// Reporting and approval limits in currency units; amounts just below one are watched.
    pub limits: Vec<f64>,
    /// How far below a limit still counts as just below, as a share of it.
    pub below_limit: f64,
    /// Keys of `metadata` that the metadata dimension reads; no other key has any effect.
    pub metadata_keys: Vec<String>,
    /// Location and scale of ln(amount) by type, in the order of [`TransactionType::ALL`].
    pub priors: [Prior; 8],
    /// Scales above the usual at which an amount begins to count.
    pub amount_from: f64,
    /// Events of a user below which a baseline is too young to speak against them.
    pub mature_after: u32,
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
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Default for Ruleset {
    fn default() -> Self {
        let prior = |usual: f64, scale: f64| Prior { location: libm::log(usual), scale };
        Ruleset {
            zone: Tz::UTC,
            limits: vec![1_000.0, 5_000.0, 10_000.0, 50_000.0],
            below_limit: 0.08,
            metadata_keys: ["ip", "terminal", "channel"].map(str::to_owned).to_vec(),
            // billing, payment, refund, transfer, adjustment, insurance_claim, payroll, procurement
            priors: [prior(350.0, 1.3), prior(400.0, 1.4), prior(180.0, 1.3), prior(1_500.0, 1.5), prior(150.0, 1.4), prior(1_200.0, 1.4), prior(2_800.0, 0.9), prior(900.0, 1.5)],
            amount_from: 3.0,
            mature_after: 30,
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

    /// The prior of a type.
    #[must_use]
    pub fn prior(&self, transaction_type: TransactionType) -> Prior {
        self.priors.get(transaction_type.index()).copied().unwrap_or(Prior { location: 6.0, scale: 1.4 })
    }

    /// Hour of the week in the hospital's zone.
    #[must_use]
    pub fn hour_of_week(&self, timestamp: Micros) -> u8 {
        timestamp.hour_of_week(self.zone)
    }

    /// Fingerprints of the values under the allow-listed keys of a metadata object.
    #[must_use]
    pub fn metadata_values(&self, metadata: &str) -> Vec<Option<u64>> {
        let mut values = vec![None; self.metadata_keys.len()];
        if metadata.len() <= 2 {
            return values;
        }
        let Ok(members) = json::members(metadata) else { return values };
        for (slot, key) in values.iter_mut().zip(&self.metadata_keys) {
            let found: Option<&(Text<'_>, &RawValue)> = members.iter().find(|(name, _)| name.as_str() == key);
            *slot = found.filter(|(_, value)| value.get() != "null").map(|(_, value)| ids::fingerprint(value.get().as_bytes()));
        }
        values
    }
}
