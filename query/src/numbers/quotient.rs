//! How many places a quotient of decimals has, and the quotient itself.
//!
//! PostgreSQL chooses the places by the values, so that there are 16 digits at least that say something (numeric.c, `select_div_scale`). A column has
//! the same places in all rows here: 20 where its type leaves room, else 16 at least, which is what PostgreSQL gives of values from 0.0001 on.
//!
//! What must stay true: pure; rounded half away from zero; what does not fit is nothing, never cut off.

use arrow::datatypes::{Decimal128Type, DecimalType, i256};

/// Most digits of a decimal.
pub(super) const DIGITS: i16 = 38;
/// Places of a quotient where there is room.
const PLACES: i16 = 20;
/// Places that PostgreSQL gives at least.
const LEAST_PLACES: i16 = 16;
/// Places that remain where the whole digits take all room: more than DataFusion would keep.
const FEWEST_PLACES: i16 = 6;
/// Whole digits up to which a type may be told to have fewer than it says: its values beyond 10²² fail then. Sums of money say 23.
const DOUBTFUL_DIGITS: i16 = 26;

/// The places of what a decimal of `precision` and `scale` is divided by something with `other` places.
pub(crate) fn places(precision: u8, scale: i8, other: i8) -> i8 {
    let (scale, other) = (i16::from(scale), i16::from(other));
    let whole = i16::from(precision) - scale;
    // One digit more than the room: a bigint's nineteenth is hardly ever there, and fails where it is.
    let wanted = if whole <= DOUBTFUL_DIGITS { (DIGITS + 1 - whole).clamp(LEAST_PLACES, PLACES) } else { (DIGITS - whole).max(FEWEST_PLACES) };
    let given = scale.max(other).min((DIGITS - whole).max(0));
    i8::try_from(wanted.max(given)).unwrap_or(0)
}

/// The precision of a result with so many whole digits and places.
pub(super) fn precision(whole: i16, places: i8) -> u8 {
    u8::try_from((whole + i16::from(places)).clamp(1, DIGITS)).unwrap_or(38)
}

/// `dividend * 10^power / divisor`, rounded half away from zero; `None` where it has more than `precision` digits, or no divisor.
pub(crate) fn quotient(dividend: i256, divisor: i256, power: i16, precision: u8) -> Option<i128> {
    let rounded = match narrow(dividend, divisor, power) {
        Some(rounded) => rounded,
        None => wide(dividend, divisor, power)?,
    };
    Decimal128Type::is_valid_decimal_precision(rounded, precision).then_some(rounded)
}

/// The same where 128 bits suffice on the way.
fn narrow(dividend: i256, divisor: i256, power: i16) -> Option<i128> {
    let (dividend, divisor) = (dividend.to_i128()?, divisor.to_i128()?);
    let factor = 10_i128.checked_pow(u32::from(power.unsigned_abs()))?;
    let (dividend, divisor) = if power < 0 { (dividend, divisor.checked_mul(factor)?) } else { (dividend.checked_mul(factor)?, divisor) };
    let (whole, rest) = (dividend.checked_div(divisor)?, dividend.checked_rem(divisor)?.unsigned_abs());
    if rest < divisor.unsigned_abs() - rest {
        return Some(whole);
    }
    whole.checked_add(if (dividend < 0) == (divisor < 0) { 1 } else { -1 })
}

fn wide(dividend: i256, divisor: i256, power: i16) -> Option<i128> {
    let factor = i256::from_i128(10).checked_pow(u32::from(power.unsigned_abs()))?;
    let (dividend, divisor) = if power < 0 { (dividend, divisor.checked_mul(factor)?) } else { (dividend.checked_mul(factor)?, divisor) };
    let (whole, rest) = (dividend.checked_div(divisor)?, dividend.checked_rem(divisor)?.checked_abs()?);
    let whole = if rest < divisor.checked_abs()?.checked_sub(rest)? {
        whole
    } else {
        whole.checked_add(if dividend.is_negative() == divisor.is_negative() { i256::ONE } else { i256::MINUS_ONE })?
    };
    whole.to_i128()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(dividend: i128, divisor: i128, power: i16) -> Option<i128> {
        quotient(i256::from_i128(dividend), i256::from_i128(divisor), power, 38)
    }

    #[test]
    fn halves_are_rounded_away_from_zero() {
        let cases = [(1, 3, 2, 33), (2, 3, 2, 67), (-2, 3, 2, -67), (2, -3, 2, -67), (1, 2, 0, 1), (-1, 2, 0, -1), (15, 1, -1, 2), (14, 1, -1, 1), (0, 7, 5, 0)];
        for (dividend, divisor, power, wanted) in cases {
            assert_eq!(of(dividend, divisor, power), Some(wanted), "{dividend} / {divisor}, {power}");
        }
        assert_eq!(of(1, 0, 2), None);
    }

    #[test]
    fn what_is_larger_on_the_way_is_the_same() {
        let large = 10_i128.pow(37);
        assert_eq!(of(large, large * 3, 20), Some(33_333_333_333_333_333_333));
        assert_eq!(of(-large * 2, large * 3, 20), Some(-66_666_666_666_666_666_667));
        assert_eq!(of(large, 1, 20), None);
        assert_eq!(quotient(i256::from_i128(100), i256::ONE, 0, 2), None);
    }

    #[test]
    fn a_quotient_has_the_places_that_postgresql_gives() {
        for (precision, scale, other, wanted) in [(15, 2, 0, 20), (19, 0, 1, 20), (20, 0, 0, 19), (25, 2, 0, 16), (28, 2, 0, 16), (38, 0, 0, 6), (38, 30, 2, 30), (5, 2, 25, 25)] {
            assert_eq!(places(precision, scale, other), wanted, "{precision}, {scale} / {other}");
        }
    }
}
