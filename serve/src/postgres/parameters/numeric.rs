//! Numerics of a client, in text and in binary, as decimals of the engine.

use bytes::{Buf, Bytes};
use datafusion::common::ScalarValue;

use crate::postgres::errors::{Failure, code};

/// Digits that a decimal of the engine has at most.
const MOST_DIGITS: usize = 38;

/// A number in text: sign, digits, point, digits, exponent. `None` where it is none.
pub(super) fn of_text(text: &str) -> Option<Result<ScalarValue, Failure>> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (number, exponent) = match rest.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
        None => (rest, 0),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let digits = [whole, fraction].concat();
    let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    Some(decimal(negative, digits.trim_start_matches('0'), scale))
}

/// What `numeric_send` in PostgreSQL's src/backend/utils/adt/numeric.c writes.
pub(super) fn of_binary(bytes: &Bytes) -> Result<ScalarValue, Failure> {
    let short = || Failure::new(code::BAD_BINARY, "insufficient data left in message");
    let mut bytes = bytes.clone();
    let count = bytes.try_get_u16().map_err(|_| short())?;
    let weight = i32::from(bytes.try_get_i16().map_err(|_| short())?);
    let sign = bytes.try_get_u16().map_err(|_| short())?;
    let fraction = i32::from(bytes.try_get_u16().map_err(|_| short())?);
    let negative = match sign {
        0 => false,
        0x4000 => true,
        0xc000 | 0xd000 | 0xf000 => return Err(Failure::new(code::OUT_OF_RANGE, "NaN and infinity are no numerics here").hint("send them as double precision")),
        _ => return Err(Failure::new(code::BAD_BINARY, "invalid sign in external \"numeric\" value")),
    };
    let mut digits = String::new();
    for _ in 0..count {
        let group = bytes.try_get_u16().map_err(|_| short())?;
        if group > 9_999 {
            return Err(Failure::new(code::BAD_BINARY, "invalid digit in external \"numeric\" value"));
        }
        digits.push_str(&format!("{group:04}"));
    }
    // Digits behind the point that the groups have; trailing zeros of the scale are theirs, or missing.
    let behind = 4 * (i32::from(count) - 1 - weight);
    let excess = usize::try_from(behind - fraction).unwrap_or(0);
    let mut scale = behind;
    if excess > 0 && digits.len() >= excess && digits[digits.len() - excess..].bytes().all(|digit| digit == b'0') {
        digits.truncate(digits.len() - excess);
        scale = fraction;
    }
    let digits = if count == 0 { "" } else { digits.trim_start_matches('0') };
    if digits.is_empty() { decimal(false, "", fraction.max(0)) } else { decimal(negative, digits, scale) }
}

/// `digits` times ten to the power of −`scale`.
fn decimal(negative: bool, digits: &str, scale: i32) -> Result<ScalarValue, Failure> {
    let too_long = || Failure::new(code::OUT_OF_RANGE, format!("a numeric has more than {MOST_DIGITS} digits"));
    let mut digits = digits.to_owned();
    let mut scale = scale;
    if digits.is_empty() {
        // Of nothing no zeros are left but those behind the point.
        scale = scale.clamp(0, 37);
    } else if scale < 0 {
        let zeros = usize::try_from(-i64::from(scale)).map_err(|_| too_long())?;
        if digits.len() + zeros > MOST_DIGITS {
            return Err(too_long());
        }
        digits.extend(std::iter::repeat_n('0', zeros));
        scale = 0;
    }
    // Zeros at the end are no reason to refuse a number.
    while scale > 0 && (digits.len() > MOST_DIGITS || scale > 38) && digits.ends_with('0') {
        digits.pop();
        scale -= 1;
    }
    let scale = i8::try_from(scale).ok().filter(|scale| *scale <= 38).ok_or_else(too_long)?;
    if digits.len() > MOST_DIGITS {
        return Err(too_long());
    }
    let value: i128 = if digits.is_empty() { 0 } else { digits.parse().map_err(|_| too_long())? };
    let precision = u8::try_from(digits.len()).unwrap_or(38).max(scale.unsigned_abs()).max(1);
    Ok(ScalarValue::Decimal128(Some(if negative { -value } else { value }), precision, scale))
}
