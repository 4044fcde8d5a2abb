//! Money as exact integer cents. No amount ever passes through a binary float.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::value::RawValue;

/// An amount in cents of the hospital's currency. The largest is that of `DECIMAL(15,2)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cents(pub i64);

/// Why a text is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Not a decimal number at all, NaN and infinities included.
    #[error("not a decimal number")]
    NotANumber,
    /// More than two places that are not zero.
    #[error("more than 2 decimal places")]
    TooManyPlaces,
    /// Beyond 9,999,999,999,999.99.
    #[error("larger than 9999999999999.99")]
    TooLarge,
}

impl Cents {
    /// The largest amount of `DECIMAL(15,2)`.
    pub const MAX: Cents = Cents(999_999_999_999_999);

    /// Reads a decimal number exactly: `12`, `12.5`, `-0.07`, `1.2e3`. Zeros beyond the second place are
    /// accepted since they change nothing; any other digit there is [`AmountError::TooManyPlaces`].
    ///
    /// # Errors
    /// See [`AmountError`].
    pub fn parse(text: &str) -> Result<Cents, AmountError> {
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
            Some(at) => {
                let exponent = exponent(&unsigned[at + 1..]).ok_or(AmountError::NotANumber)?;
                (&unsigned[..at], exponent)
            }
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() && fraction.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
            return Err(AmountError::NotANumber);
        }
        // The value is digits × 10^(exponent − places); cents are that × 100.
        let places = i64::try_from(fraction.len()).map_err(|_| AmountError::NotANumber)?;
        let mut shift = i64::from(exponent) - places + 2;
        let mut cents: i64 = 0;
        let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).skip_while(|b| *b == b'0').collect();
        let kept = if shift < 0 {
            let cut = usize::try_from(-shift).unwrap_or(usize::MAX).min(digits.len());
            let (kept, lost) = digits.split_at(digits.len() - cut);
            if lost.iter().any(|b| *b != b'0') {
                return Err(AmountError::TooManyPlaces);
            }
            shift = 0;
            kept
        } else {
            &digits[..]
        };
        for digit in kept {
            cents = cents.checked_mul(10).and_then(|c| c.checked_add(i64::from(digit - b'0'))).ok_or(AmountError::TooLarge)?;
        }
        if cents != 0 {
            for _ in 0..shift {
                cents = cents.checked_mul(10).ok_or(AmountError::TooLarge)?;
            }
        }
        if cents > Cents::MAX.0 {
            return Err(AmountError::TooLarge);
        }
        Ok(Cents(if negative { -cents } else { cents }))
    }

    /// The amount in currency units, for statistics only: never stored, never compared for equality.
    #[expect(clippy::cast_precision_loss, reason = "DECIMAL(15,2) stays below 2^53 cents")]
    #[must_use]
    pub fn as_units(self) -> f64 {
        self.0 as f64 / 100.0
    }

    /// With thousands separated, for people: `12,345.60`.
    #[must_use]
    pub fn grouped(self) -> String {
        let plain = self.to_string();
        let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, "00"));
        let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |d| ("-", d));
        let mut out = String::with_capacity(plain.len() + 6);
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                out.push(',');
            }
            out.push(digit);
        }
        format!("{sign}{out}.{fraction}")
    }
}

/// The power of ten that a text names. One with more digits than a number holds is as far beyond every amount as the furthest that it holds.
fn exponent(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(if text.starts_with('-') { i32::MIN } else { i32::MAX }))
}

impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", magnitude / 100, magnitude % 100)
    }
}

/// Written as a JSON number with two places, digit by digit: `1234.50`.
impl Serialize for Cents {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = RawValue::from_string(self.to_string()).map_err(ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Cents {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Cents::parse(raw.get().trim_matches('"')).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_text_is_read_exactly() {
        for (text, cents) in [
            ("12", 1200),
            ("12.5", 1250),
            ("0.07", 7),
            ("-3.10", -310),
            ("1.2e3", 120_000),
            ("12.340", 1234),
            ("1234567.89", 123_456_789),
            ("9999999999999.99", 999_999_999_999_999),
            ("0", 0),
            ("0e999999999", 0),
            ("0e99999999999", 0),
            ("0.00e-99999999999", 0),
            ("120e-1", 1200),
        ] {
            assert_eq!(Cents::parse(text), Ok(Cents(cents)), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_named() {
        for text in ["", "-", "NaN", "Infinity", "1,5", "0x10", "1.2.3", "e5", "٣", "1e", "1e+", "1e+-2", "1e1.5", "1e99999999999x", "--1", " 1"] {
            assert_eq!(Cents::parse(text), Err(AmountError::NotANumber), "{text}");
        }
        assert_eq!(Cents::parse("1.234"), Err(AmountError::TooManyPlaces));
        assert_eq!(Cents::parse("0.30000000000000004"), Err(AmountError::TooManyPlaces));
        assert_eq!(Cents::parse("1e-400000000"), Err(AmountError::TooManyPlaces));
        assert_eq!(Cents::parse("10000000000000"), Err(AmountError::TooLarge));
        assert_eq!(Cents::parse("1e400"), Err(AmountError::TooLarge));
        assert_eq!(Cents::parse("1e99999999999"), Err(AmountError::TooLarge));
        assert_eq!(Cents::parse("1e-99999999999"), Err(AmountError::TooManyPlaces));
    }

    #[test]
    fn people_see_separated_thousands() {
        assert_eq!(Cents(123_456_789).grouped(), "1,234,567.89");
        assert_eq!(Cents(-5).grouped(), "-0.05");
    }
}
