//! Instants and money as PostgreSQL's binary protocol has them: `timestamptz` and `numeric`, without a float on the way.
//!
//! What must stay true: what is encoded is decoded again; what cannot be a value of ours is an error and never a guess.

use sqlx::Postgres;
use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo};
use sqlx::types::Type;

/// 2000-01-01T00:00:00Z, where PostgreSQL's microseconds begin, in ours.
const EPOCH: i64 = 946_684_800_000_000;
/// The first microsecond of PostgreSQL's calendar, 4713 BC.
const FIRST: i64 = -211_813_488_000_000_000;
/// The first microsecond behind it, in the year 294277.
const BEHIND: i64 = 9_223_371_331_200_000_000;

/// `timestamptz` and its array, `numeric` and its array: the same in every PostgreSQL.
const TIMESTAMPTZ: [Oid; 2] = [Oid(1184), Oid(1185)];
const NUMERIC: [Oid; 2] = [Oid(1700), Oid(1231)];

/// Microseconds since 1970-01-01 UTC, as `timestamptz`. What lies beyond its calendar is encoded as an infinity, so that comparing
/// with it gives what comparing the numbers would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instant(pub i64);

impl Instant {
    /// The microseconds of an encoded `timestamptz`; `None` for infinities and what is none.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<i64> {
        let since_2000 = i64::from_be_bytes(bytes.try_into().ok()?);
        if (FIRST..BEHIND).contains(&since_2000) { since_2000.checked_add(EPOCH) } else { None }
    }

    fn since_2000(self) -> i64 {
        match self.0.saturating_sub(EPOCH) {
            early if early < FIRST => i64::MIN,
            late if late >= BEHIND => i64::MAX,
            within => within,
        }
    }
}

impl Type<Postgres> for Instant {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ[0])
    }
}

impl PgHasArrayType for Instant {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ[1])
    }
}

impl Encode<'_, Postgres> for Instant {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(&self.since_2000().to_be_bytes());
        Ok(IsNull::No)
    }
}

/// Cents, as `numeric` with two places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money(pub i64);

/// Sign of a negative `numeric`.
const NEGATIVE: u16 = 0x4000;

impl Money {
    /// The cents of an encoded `numeric`; `None` where it is none, has parts of a cent, or more than 64 bits hold.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<i64> {
        let mut words = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        let (count, weight, sign, _scale) = (words.next()?, words.next()?.cast_signed(), words.next()?, words.next()?);
        if bytes.len() != 8 + 2 * usize::from(count) || (sign != 0 && sign != NEGATIVE) {
            return None;
        }
        // Groups of four digits, each worth 10,000 times the next; those with `weight` 0 are whole units.
        let mut cents: i128 = 0;
        for (place, group) in words.enumerate() {
            let exponent = i32::from(weight) - i32::try_from(place).ok()?;
            let group = i128::from(group);
            cents += match exponent {
                0..=4 => group * 100 * 10_000_i128.pow(u32::try_from(exponent).ok()?),
                -1 if group % 100 == 0 => group / 100,
                _ if group == 0 => 0,
                _ => return None,
            };
        }
        i64::try_from(if sign == NEGATIVE { -cents } else { cents }).ok()
    }

    /// Groups of four digits from the highest, and the weight of the first.
    fn groups(self) -> (Vec<u16>, i16) {
        let magnitude = self.0.unsigned_abs();
        let group = |value: u64| u16::try_from(value % 10_000).unwrap_or_default();
        let mut groups = vec![group(magnitude % 100 * 100)];
        let (mut units, mut weight) = (magnitude / 100, -1);
        while units > 0 {
            groups.push(group(units));
            units /= 10_000;
            weight += 1;
        }
        groups.reverse();
        (groups, weight)
    }
}

impl Type<Postgres> for Money {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(NUMERIC[0])
    }
}

impl PgHasArrayType for Money {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(NUMERIC[1])
    }
}

impl Encode<'_, Postgres> for Money {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let (groups, weight) = self.groups();
        let sign = if self.0 < 0 { NEGATIVE } else { 0 };
        buffer.extend_from_slice(&u16::try_from(groups.len())?.to_be_bytes());
        buffer.extend_from_slice(&weight.to_be_bytes());
        buffer.extend_from_slice(&sign.to_be_bytes());
        buffer.extend_from_slice(&2_u16.to_be_bytes());
        for group in groups {
            buffer.extend_from_slice(&group.to_be_bytes());
        }
        Ok(IsNull::No)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded<'q>(value: impl Encode<'q, Postgres>) -> Vec<u8> {
        let mut buffer = PgArgumentBuffer::default();
        assert!(!value.encode_by_ref(&mut buffer).unwrap().is_null());
        buffer.to_vec()
    }

    #[test]
    fn instants_are_those_of_postgresql() {
        assert_eq!(encoded(Instant(EPOCH)), 0_i64.to_be_bytes());
        for micros in [0, 1, -1, 1_700_000_000_123_456, -62_135_596_800_000_000, 253_402_300_799_999_999] {
            assert_eq!(Instant::decode(&encoded(Instant(micros))), Some(micros));
        }
        assert_eq!(encoded(Instant(i64::MIN)), i64::MIN.to_be_bytes());
        assert_eq!(encoded(Instant(i64::MAX)), (i64::MAX - EPOCH).to_be_bytes(), "its calendar reaches further than ours");
        assert_eq!((Instant::decode(&i64::MAX.to_be_bytes()), Instant::decode(&[0; 7])), (None, None));
    }

    #[test]
    fn money_is_exact_to_the_cent() {
        for cents in [0, 1, -1, 99, 100, 101, 999_999, 1_000_000, 123_456_789, 999_999_999_999_999, -999_999_999_999_998, i64::MAX, i64::MIN + 1] {
            assert_eq!(Money::decode(&encoded(Money(cents))), Some(cents), "{cents}");
        }
    }

    #[test]
    fn money_is_read_as_the_server_writes_it() {
        // 12345.60, 0.05, 10000 (without its zeros), 0, and half a cent.
        let numeric = |words: &[u16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
        assert_eq!(Money::decode(&numeric(&[3, 1, 0, 2, 1, 2345, 6000])), Some(1_234_560));
        assert_eq!(Money::decode(&numeric(&[1, 0xffff, 0, 2, 500])), Some(5));
        assert_eq!(Money::decode(&numeric(&[1, 1, 0, 2, 1])), Some(1_000_000));
        assert_eq!(Money::decode(&numeric(&[0, 0, 0, 2])), Some(0));
        assert_eq!(Money::decode(&numeric(&[1, 0xffff, 0, 3, 50])), None);
        assert_eq!(Money::decode(&numeric(&[0, 0, 0xc000, 0])), None, "not a number");
        assert_eq!(Money::decode(&numeric(&[2, 0, 0, 2, 1])), None, "cut off");
    }
}
