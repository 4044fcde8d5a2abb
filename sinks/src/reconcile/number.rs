//! Normal forms of JSON texts that a store gives back written otherwise. Pure.
//!
//! What must stay true: two texts have one normal form only where they say the same.

use wh_schemas::json::{Node, write_string};

/// The canonical text; a text that is no JSON stays as it is.
pub(crate) fn normal(text: &str) -> String {
    let Ok(node) = Node::parse(text) else { return text.to_owned() };
    let mut out = String::with_capacity(text.len());
    node.write_canonical(&mut out);
    out
}

/// As [`normal`], with numbers by what they mean: PostgreSQL's `jsonb` writes 1e2 as 100, and −0 as 0.
pub(crate) fn meaning(text: &str) -> String {
    let Ok(node) = Node::parse(text) else { return text.to_owned() };
    let mut out = String::with_capacity(text.len());
    write(&node, &mut out);
    out
}

fn write(node: &Node<'_>, out: &mut String) {
    match node {
        Node::Number(number) => out.push_str(&plain(number)),
        Node::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Node::Object(fields) => {
            let mut order: Vec<_> = fields.iter().collect();
            order.sort_by(|one, other| one.0.cmp(&other.0));
            out.push('{');
            for (index, (key, value)) in order.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_string(key, out);
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
        other => other.write_canonical(out),
    }
}

/// A number as its digits without zeros around them, and a power of ten.
fn plain(number: &str) -> String {
    let (sign, magnitude) = number.strip_prefix('-').map_or(("", number), |magnitude| ("-", magnitude));
    let (mantissa, power) = magnitude.split_once(['e', 'E']).unwrap_or((magnitude, "0"));
    let Ok(power) = power.parse::<i64>() else { return number.to_owned() };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let kept = digits.trim_end_matches('0');
    if kept.is_empty() {
        return "0".to_owned();
    }
    let length = |text: &str| i64::try_from(text.len()).unwrap_or(i64::MAX);
    format!("{sign}{kept}e{}", power.saturating_sub(length(fraction)).saturating_add(length(digits) - length(kept)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_mean_the_same_have_one_form() {
        for same in [["1e2", "100"], ["-0", "0"], ["-0.00", "0e9"], ["1.50", "15e-1"], ["1E-7", "0.0000001"], ["12300", "1.23e+4"]] {
            assert_eq!(plain(same[0]), plain(same[1]), "{same:?}");
        }
        for other in [["1", "-1"], ["10", "1"], ["0.1", "0.01"], ["1e400", "1e401"]] {
            assert_ne!(plain(other[0]), plain(other[1]), "{other:?}");
        }
    }

    #[test]
    fn texts_that_say_the_same_have_one_form() {
        assert_eq!(meaning(r#"{"b": [1e2], "a": "x"}"#), meaning(r#"{"a":"x","b":[100]}"#));
        assert_ne!(normal(r#"{"a":1e2}"#), normal(r#"{"a":100}"#));
        assert_eq!(normal(r#"{"b":1, "a":2}"#), r#"{"a":2,"b":1}"#);
        assert_eq!((normal("{no"), meaning("{no")), ("{no".to_owned(), "{no".to_owned()));
    }
}
