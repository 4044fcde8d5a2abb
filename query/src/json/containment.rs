//! Whether one JSON value contains another: PostgreSQL's `@>` of `jsonb`.
//!
//! What must stay true: pure. An object contains one of whose members it has each, and an array one of whose elements it has each, in any
//! order and however often; so on downwards, always at the same level. Numbers are equal by what they mean: 1, 1.0 and 1e0. An array
//! contains a string, number, truth value or null too, but only where it is the whole of the value.
//!
//! Source: "jsonb Containment and Existence" in PostgreSQL's manual, and `JsonbDeepContains` in its `jsonb_util.c`.

use wh_schemas::json::Node;

/// Whether `outer` contains `inner`.
pub(super) fn contains(outer: &Node<'_>, inner: &Node<'_>) -> bool {
    match (outer, inner) {
        (Node::Array(elements), inner) if is_scalar(inner) => elements.iter().any(|element| equal(element, inner)),
        _ => holds(outer, inner),
    }
}

fn holds(outer: &Node<'_>, inner: &Node<'_>) -> bool {
    match (outer, inner) {
        (Node::Object(members), Node::Object(wanted)) => {
            wanted.iter().all(|(name, wanted)| members.iter().any(|(key, value)| key.as_str() == name.as_str() && holds(value, wanted)))
        }
        (Node::Array(elements), Node::Array(wanted)) => wanted.iter().all(|wanted| elements.iter().any(|element| holds(element, wanted))),
        _ => equal(outer, inner),
    }
}

fn is_scalar(node: &Node<'_>) -> bool {
    !matches!(node, Node::Array(_) | Node::Object(_))
}

/// Whether two values that have no parts are one.
fn equal(one: &Node<'_>, other: &Node<'_>) -> bool {
    match (one, other) {
        (Node::Null, Node::Null) => true,
        (Node::Bool(one), Node::Bool(other)) => one == other,
        (Node::String(one), Node::String(other)) => one.as_str() == other.as_str(),
        (Node::Number(one), Node::Number(other)) => one == other || matches!((Number::of(one), Number::of(other)), (Some(one), Some(other)) if one == other),
        _ => false,
    }
}

/// A number as its digits without zeros at either end, and the power of ten of the last of them.
#[derive(Debug, PartialEq, Eq)]
struct Number {
    is_negative: bool,
    digits: String,
    exponent: i64,
}

impl Number {
    /// `None` where its exponent is beyond all measure.
    fn of(text: &str) -> Option<Number> {
        let (is_negative, text) = match text.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        let exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
        let significant = digits.trim_end_matches('0');
        let exponent = exponent.checked_add(i64::try_from(digits.len() - significant.len()).ok()?)?;
        let significant = significant.trim_start_matches('0');
        if significant.is_empty() {
            return Some(Number { is_negative: false, digits: String::new(), exponent: 0 });
        }
        Some(Number { is_negative, digits: significant.to_owned(), exponent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(outer: &str, inner: &str) -> bool {
        contains(&Node::parse(outer).unwrap(), &Node::parse(inner).unwrap())
    }

    // The examples of PostgreSQL's manual, and what its server answers to the others.
    #[test]
    fn containment_is_that_of_postgresql() {
        for (outer, inner, wanted) in [
            (r#""foo""#, r#""foo""#, true),
            ("[1, 2, 3]", "[1, 3]", true),
            ("[1, 2, 3]", "[3, 1]", true),
            ("[1, 2, 3]", "[1, 2, 2]", true),
            (r#"{"product": "PostgreSQL", "version": 9.4, "jsonb": true}"#, r#"{"version": 9.4}"#, true),
            ("[1, 2, [1, 3]]", "[1, 3]", false),
            ("[1, 2, [1, 3]]", "[[1, 3]]", true),
            (r#"{"foo": {"bar": "baz"}}"#, r#"{"bar": "baz"}"#, false),
            (r#"{"foo": {"bar": "baz"}}"#, r#"{"foo": {}}"#, true),
            (r#"["foo", "bar"]"#, r#""bar""#, true),
            (r#""bar""#, r#"["bar"]"#, false),
            (r#"{"a": ["foo"]}"#, r#"{"a": "foo"}"#, false),
            (r#"[["foo"]]"#, r#""foo""#, false),
            (r#"[{"a": 1, "b": 2}, 5]"#, r#"[{"a": 1}]"#, true),
            (r#"{"a": 1}"#, "[]", false),
            (r#"{"a": 1}"#, "{}", true),
            ("[]", "[]", true),
            ("[1]", "{}", false),
            (r#"{"a": null}"#, r#"{"a": null}"#, true),
            (r#"{"b": 1}"#, r#"{"a": null}"#, false),
            (r#"{"a": "1"}"#, r#"{"a": 1}"#, false),
            ("1", "1", true),
            ("1", "[1]", false),
            ("true", "false", false),
        ] {
            assert_eq!(of(outer, inner), wanted, "{outer} @> {inner}");
        }
    }

    #[test]
    fn numbers_are_equal_by_what_they_mean() {
        for (one, other, wanted) in [
            ("1", "1.0", true),
            ("100", "1e2", true),
            ("0.001", "1E-3", true),
            ("-0", "0.00", true),
            ("1200", "12e+2", true),
            ("-1", "1", false),
            ("12345678901234567890.1", "12345678901234567890.10", true),
            ("12345678901234567890.1", "12345678901234567890.2", false),
            ("1e99999999999999999999", "1e99999999999999999999", true),
            ("1e99999999999999999999", "10e99999999999999999998", false),
        ] {
            assert_eq!(of(one, other), wanted, "{one} = {other}");
        }
    }
}
