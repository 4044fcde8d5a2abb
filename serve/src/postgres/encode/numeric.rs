//! Numbers: decimals and floats in PostgreSQL's text, decimals in its base of ten thousand.

use bytes::{BufMut, BytesMut};

/// Digits of one group of a numeric.
const GROUP: usize = 4;
const POSITIVE: u16 = 0;
const NEGATIVE: u16 = 0x4000;

/// The digits of a decimal in plain writing: zeros that its scale asks for put in, `fraction` of them behind the point.
fn plain(digits: &[u8], scale: i8) -> (Vec<u8>, usize) {
    let behind = usize::try_from(scale).unwrap_or(0);
    let zeros = if scale < 0 { usize::from(scale.unsigned_abs()) } else { 0 };
    // At least one digit before the point.
    let lead = (behind + 1).saturating_sub(digits.len());
    let mut all = vec![b'0'; lead];
    all.extend_from_slice(digits);
    all.resize(all.len() + zeros, b'0');
    (all, behind)
}

/// `digits` (in ASCII, without a sign) times ten to the power of −`scale`, as text.
pub(super) fn decimal_text(negative: bool, digits: &[u8], scale: i8, out: &mut BytesMut) {
    let (all, fraction) = plain(digits, scale);
    let (whole, behind) = all.split_at(all.len() - fraction);
    if negative {
        out.put_u8(b'-');
    }
    // Zeros that a negative scale adds to nothing are nothing.
    let whole = match whole.iter().position(|digit| *digit != b'0') {
        Some(first) => &whole[first..],
        None => b"0",
    };
    out.put_slice(whole);
    if !behind.is_empty() {
        out.put_u8(b'.');
        out.put_slice(behind);
    }
}

/// The same in the binary format (`numeric_send` in PostgreSQL's src/backend/utils/adt/numeric.c).
pub(super) fn decimal_binary(negative: bool, digits: &[u8], scale: i8, out: &mut BytesMut) {
    let (all, fraction) = plain(digits, scale);
    let (whole, behind) = all.split_at(all.len() - fraction);
    let head = whole.len() % GROUP;
    let (head, rest) = whole.split_at(head);
    let mut groups: Vec<u16> = Vec::with_capacity(all.len() / GROUP + 2);
    if !head.is_empty() {
        groups.push(group(head, 0));
    }
    groups.extend(rest.chunks(GROUP).map(|digits| group(digits, 0)));
    let before = groups.len();
    groups.extend(behind.chunks(GROUP).map(|digits| group(digits, GROUP - digits.len())));
    let first = groups.iter().position(|group| *group != 0).unwrap_or(groups.len());
    let last = groups.iter().rposition(|group| *group != 0).map_or(first, |last| last + 1);
    let kept = &groups[first..last];
    let small = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
    out.put_u16(small(kept.len()));
    let weight = if kept.is_empty() { 0 } else { i16::try_from(before).unwrap_or(i16::MAX) - i16::try_from(first).unwrap_or(i16::MAX) - 1 };
    out.put_i16(weight);
    out.put_u16(if negative { NEGATIVE } else { POSITIVE });
    out.put_u16(small(fraction));
    for group in kept {
        out.put_u16(*group);
    }
}

/// A group of digits, with as many zeros behind.
fn group(digits: &[u8], zeros: usize) -> u16 {
    let value = digits.iter().fold(0, |value: u16, digit| value * 10 + u16::from(digit - b'0'));
    (0..zeros).fold(value, |value, _| value * 10)
}

/// A float by the shortest digits that give it again: plain for exponents from −4 up to `plain_below`, else with an exponent
/// (`double_to_shortest_decimal_buf` in PostgreSQL's src/common/d2s.c: 15 for float8, 6 for float4).
///
/// `shortest` is what Rust's `{:e}` gives.
pub(super) fn float_text(shortest: &str, plain_below: i32, out: &mut BytesMut) {
    let (sign, number) = match shortest.strip_prefix('-') {
        Some(number) => ("-", number),
        None => ("", shortest),
    };
    let Some((mantissa, exponent)) = number.split_once('e') else {
        let name = if number == "inf" { "Infinity" } else { number };
        out.put_slice(sign.as_bytes());
        out.put_slice(name.as_bytes());
        return;
    };
    let digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    let exponent: i32 = exponent.parse().unwrap_or(0);
    out.put_slice(sign.as_bytes());
    if exponent < -4 || exponent >= plain_below {
        out.put_slice(&digits[..1]);
        if digits.len() > 1 {
            out.put_u8(b'.');
            out.put_slice(&digits[1..]);
        }
        out.put_slice(if exponent < 0 { b"e-" } else { b"e+" });
        if exponent.abs() < 10 {
            out.put_u8(b'0');
        }
        out.put_slice(itoa::Buffer::new().format(exponent.abs()).as_bytes());
        return;
    }
    let Ok(whole) = usize::try_from(exponent + 1) else {
        out.put_slice(b"0.");
        out.put_bytes(b'0', usize::try_from(-exponent - 1).unwrap_or(0));
        out.put_slice(&digits);
        return;
    };
    if whole == 0 {
        out.put_slice(b"0.");
        out.put_slice(&digits);
    } else if digits.len() <= whole {
        out.put_slice(&digits);
        out.put_bytes(b'0', whole - digits.len());
    } else {
        out.put_slice(&digits[..whole]);
        out.put_u8(b'.');
        out.put_slice(&digits[whole..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: i128, scale: i8) -> String {
        let mut out = BytesMut::new();
        decimal_text(value < 0, value.unsigned_abs().to_string().as_bytes(), scale, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    fn binary(value: i128, scale: i8) -> Vec<u16> {
        let mut out = BytesMut::new();
        decimal_binary(value < 0, value.unsigned_abs().to_string().as_bytes(), scale, &mut out);
        out.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect()
    }

    #[test]
    fn decimals_are_written_with_their_scale() {
        for (value, scale, expected) in
            [(999_999_999_999_999, 2, "9999999999999.99"), (1, 2, "0.01"), (-5, 2, "-0.05"), (0, 2, "0.00"), (0, 0, "0"), (12, -2, "1200"), (0, -2, "0"), (100, 2, "1.00")]
        {
            assert_eq!(text(value, scale), expected);
        }
    }

    #[test]
    fn decimals_in_binary_are_those_of_numeric_send() {
        // digits, weight, sign, scale, then the groups
        assert_eq!(binary(0, 2), [0, 0, 0, 2]);
        assert_eq!(binary(1, 2), [1, 0xffff, 0, 2, 100]);
        assert_eq!(binary(12_345_678, 2), [3, 1, 0, 2, 12, 3456, 7800]);
        assert_eq!(binary(-100_000_000, 2), [1, 1, 0x4000, 2, 100]);
        // 1000.00001: the fifth digit behind the point begins a group of its own.
        assert_eq!(binary(100_000_001, 5), [3, 0, 0, 5, 1000, 0, 1000]);
    }

    #[test]
    fn floats_are_written_as_postgresql_does() {
        let of = |value: f64| {
            let mut out = BytesMut::new();
            float_text(&format!("{value:e}"), 15, &mut out);
            String::from_utf8(out.to_vec()).unwrap()
        };
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.25, "-1.25"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (123_456.789, "123456.789"),
            (1e14, "100000000000000"),
            (1e15, "1e+15"),
            (1.5e300, "1.5e+300"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
        ] {
            assert_eq!(of(value), expected);
        }
    }
}
