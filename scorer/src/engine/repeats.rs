//! Which amounts went where lately: fingerprints of (parties, type, amount) and of (type, amount), so that a payment that is made
//! twice is told from a price that many pay.

use std::collections::VecDeque;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::encoded::{length, signed};

/// Rows that are remembered: about 9 bytes each when serialised.
const CAPACITY: usize = 88;

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    /// Of account, counterparty and type.
    parties: u32,
    /// Of type and amount, 16 bits.
    amount: u16,
    /// Hours since 1970.
    hour: u32,
}

/// The last rows of a user, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repeats {
    rows: VecDeque<Row>,
}

/// What is like a row among those remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Likeness {
    /// Rows of the same parties, type and amount (to the cent, or a cent off) within the horizon.
    pub same: u32,
    /// Hours since the last of them.
    pub hours_ago: u32,
    /// Rows of the same type and amount with other parties.
    pub elsewhere: u32,
    /// All rows within the horizon.
    pub rows: u32,
}

fn mix(mut x: u64) -> u64 {
    // The finaliser of SplitMix64 (G. Steele et al., "Fast splittable pseudorandom number generators", 2014).
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The two fingerprints of a row.
#[must_use]
pub fn fingerprints(account: u32, counterparty: u32, kind: u8, cents: i64) -> (u32, u16) {
    let parties = mix((u64::from(account) << 32 | u64::from(counterparty)) ^ u64::from(kind).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let amount = mix(cents.cast_unsigned().wrapping_mul(16).wrapping_add(u64::from(kind)).wrapping_add(0x9e37_79b9_7f4a_7c15));
    (super::short(parties), u16::try_from(amount & 0xffff).unwrap_or(0))
}

impl Repeats {
    /// What is like a row among those of the last `horizon` hours.
    #[must_use]
    pub fn likeness(&self, account: u32, counterparty: u32, kind: u8, cents: i64, hour: u32, horizon: u32) -> Likeness {
        let (parties, exact) = fingerprints(account, counterparty, kind, cents);
        let (_, below) = fingerprints(account, counterparty, kind, cents - 1);
        let (_, above) = fingerprints(account, counterparty, kind, cents + 1);
        let mut likeness = Likeness { hours_ago: u32::MAX, ..Likeness::default() };
        for row in self.rows.iter().filter(|row| row.hour <= hour && hour - row.hour <= horizon) {
            likeness.rows += 1;
            if row.parties == parties && (row.amount == exact || row.amount == below || row.amount == above) {
                likeness.same += 1;
                likeness.hours_ago = likeness.hours_ago.min(hour - row.hour);
            } else if row.amount == exact && row.parties != parties {
                likeness.elsewhere += 1;
            }
        }
        likeness
    }

    /// Takes a row in.
    pub fn learn(&mut self, account: u32, counterparty: u32, kind: u8, cents: i64, hour: u32) {
        let (parties, amount) = fingerprints(account, counterparty, kind, cents);
        if self.rows.len() == CAPACITY {
            self.rows.pop_front();
        }
        self.rows.push_back(Row { parties, amount, hour });
    }

    /// Forgets the oldest row, where there are more than `keep`: whether it did.
    pub(super) fn forget_oldest(&mut self, keep: usize) -> bool {
        self.rows.len() > keep && self.rows.pop_front().is_some()
    }

    /// Bytes when serialised.
    pub(super) fn bytes(&self) -> usize {
        let mut before = 0_u32;
        let rows: usize = self.rows.iter().map(|r| 6 + signed(r.hour.wrapping_sub(std::mem::replace(&mut before, r.hour)).cast_signed().into())).sum();
        length(self.rows.len()) + rows
    }
}

#[derive(Serialize, Deserialize)]
struct Packed(#[serde(with = "postcard::fixint::le")] u32, #[serde(with = "postcard::fixint::le")] u16, i32);

/// Hours as differences.
impl Serialize for Repeats {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut before = 0_u32;
        let rows: Vec<Packed> = self.rows.iter().map(|r| Packed(r.parties, r.amount, r.hour.wrapping_sub(std::mem::replace(&mut before, r.hour)).cast_signed())).collect();
        rows.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Repeats {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut hour = 0_u32;
        let rows = Vec::<Packed>::deserialize(deserializer)?;
        if rows.len() > CAPACITY {
            return Err(D::Error::custom("more rows than are remembered"));
        }
        Ok(Repeats {
            rows: rows
                .into_iter()
                .map(|Packed(parties, amount, step)| {
                    hour = hour.wrapping_add(step.cast_unsigned());
                    Row { parties, amount, hour }
                })
                .collect(),
        })
    }
}
