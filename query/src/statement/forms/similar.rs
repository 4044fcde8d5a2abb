//! `SIMILAR TO`: the engine takes its pattern for a regular expression that may be found anywhere. Here it becomes the one that it means, for the whole text.
//!
//! Source: PostgreSQL's documentation, "SIMILAR TO Regular Expressions", and its `similar_escape_internal`.
//!
//! What must stay true: pure; a pattern that cannot be translated stays, and `untranslated` has it refused.

use datafusion::sql::sqlparser::ast::{BinaryOperator, CastKind, DataType as SqlType, Expr as SqlExpr, Value, ValueWithSpan};

use super::{literal, nothing, patterns};

/// `x SIMILAR TO 'a%'` as `x ~ '\A(?s:a.*)\z'`.
pub(super) fn as_regular_expression(expr: &mut SqlExpr) {
    let SqlExpr::SimilarTo { negated, expr: text, pattern, escape_char } = expr else { return };
    if is_null(pattern) {
        *expr = SqlExpr::Cast { kind: CastKind::Cast, expr: Box::new(nothing()), data_type: SqlType::Boolean, array: false, format: None };
        return;
    }
    let Some(translated) = translated(pattern, escape_char.as_ref()) else { return };
    let op = if *negated { BinaryOperator::PGRegexNotMatch } else { BinaryOperator::PGRegexMatch };
    let left = Box::new(SqlExpr::Nested(Box::new(std::mem::replace(&mut **text, nothing()))));
    *expr = SqlExpr::Nested(Box::new(SqlExpr::BinaryOp { left, op, right: Box::new(literal(Value::SingleQuotedString(translated))) }));
}

/// Whether it is a `SIMILAR TO` whose pattern cannot be translated: one that is computed, or is none.
pub(in crate::statement) fn untranslated(expr: &SqlExpr) -> bool {
    matches!(expr, SqlExpr::SimilarTo { pattern, escape_char, .. } if !is_null(pattern) && translated(pattern, escape_char.as_ref()).is_none())
}

fn is_null(pattern: &SqlExpr) -> bool {
    match pattern {
        SqlExpr::Value(ValueWithSpan { value: Value::Null, .. }) => true,
        SqlExpr::Nested(inner) | SqlExpr::Cast { expr: inner, .. } => is_null(inner),
        _ => false,
    }
}

fn translated(pattern: &SqlExpr, escape: Option<&ValueWithSpan>) -> Option<String> {
    let sign = match escape.map(|escape| &escape.value) {
        None => Some('\\'),
        Some(Value::SingleQuotedString(sign)) if sign.chars().count() <= 1 => sign.chars().next(),
        Some(_) => return None,
    };
    regular_expression(&patterns::known(pattern)?, sign)
}

/// A pattern of SQL as a regular expression for the whole text; `None` where it is none.
fn regular_expression(pattern: &str, sign: Option<char>) -> Option<String> {
    let mut text = String::with_capacity(pattern.len() + 16);
    text.push_str("\\A(?s:");
    let (mut characters, mut depth, mut repeats) = (pattern.chars(), 0_u32, false);
    while let Some(character) = characters.next() {
        let mut can_repeat = true;
        match character {
            escaped if sign == Some(escaped) => plain(itself(characters.next()?)?, &mut text),
            '%' => text.push_str(".*"),
            '_' => text.push('.'),
            '[' => {
                let rest = characters.as_str();
                let taken = class(rest, sign, &mut text)?;
                characters = rest.get(taken..)?.chars();
            }
            '(' => {
                depth += 1;
                text.push_str("(?:");
                can_repeat = false;
            }
            ')' => {
                depth = depth.checked_sub(1)?;
                text.push(')');
            }
            '|' => {
                text.push('|');
                can_repeat = false;
            }
            '*' | '+' | '?' if repeats => {
                text.push(character);
                can_repeat = false;
            }
            '{' if repeats => {
                let rest = characters.as_str();
                let (bounds, behind) = rest.split_once('}')?;
                let is_bound =
                    bounds.split(',').count() <= 2 && bounds.starts_with(|first: char| first.is_ascii_digit()) && bounds.bytes().all(|byte| byte.is_ascii_digit() || byte == b',');
                if !is_bound {
                    return None;
                }
                text.push('{');
                text.push_str(bounds);
                text.push('}');
                characters = behind.chars();
                can_repeat = false;
            }
            // There is nothing that they could repeat.
            '*' | '+' | '?' | '{' => return None,
            other => plain(other, &mut text),
        }
        repeats = can_repeat;
    }
    text.push_str(")\\z");
    (depth == 0).then_some(text)
}

/// An escaped character; an escaped letter is a class of PostgreSQL's own.
fn itself(character: char) -> Option<char> {
    (!character.is_alphanumeric()).then_some(character)
}

/// A character that stands for itself. Only what has a meaning is escaped: `\<` has one that `<` has not.
fn plain(character: char, text: &mut String) {
    if r"\.+*?()|[]{}^$#&-~".contains(character) {
        text.push('\\');
    }
    text.push(character);
}

/// What stands in brackets, and how many bytes it takes with the closing one.
fn class(rest: &str, sign: Option<char>, text: &mut String) -> Option<usize> {
    text.push('[');
    let mut places = rest.char_indices().peekable();
    if places.next_if(|(_, character)| *character == '^').is_some() {
        text.push('^');
    }
    let mut is_first = true;
    while let Some((place, character)) = places.next() {
        match character {
            ']' if !is_first => {
                text.push(']');
                return Some(place + 1);
            }
            // A named class: [[:alpha:]].
            '[' if rest.get(place + 1..)?.starts_with(':') => {
                let (name, _) = rest.get(place + 2..)?.split_once(":]")?;
                if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase()) {
                    return None;
                }
                text.push_str("[:");
                text.push_str(name);
                text.push_str(":]");
                let behind = place + 4 + name.len();
                while places.next_if(|(next, _)| *next < behind).is_some() {}
            }
            escaped if sign == Some(escaped) => plain(itself(places.next()?.1)?, text),
            // Two of them would leave out what follows.
            '-' if text.ends_with('-') => return None,
            '-' => text.push('-'),
            other => plain(other, text),
        }
        is_first = false;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_translated_for_the_whole_text() {
        for (pattern, wanted) in [
            ("a%", "a.*"),
            ("%(b|d)%", ".*(?:b|d).*"),
            ("a_c", "a.c"),
            ("a.c^$", r"a\.c\^\$"),
            ("a{2,3}b{1}c{2,}", "a{2,3}b{1}c{2,}"),
            ("[a-c%_]+", "[a-c%_]+"),
            ("<a>", "<a>"),
            ("[^]x]?", r"[^\]x]?"),
            ("[[:digit:]]*", "[[:digit:]]*"),
            (r"50\%\_\\", r"50%_\\"),
        ] {
            assert_eq!(regular_expression(pattern, Some('\\')), Some(format!("\\A(?s:{wanted})\\z")), "{pattern}");
        }
        assert_eq!(regular_expression("a!%!!", Some('!')).as_deref(), Some(r"\A(?s:a%!)\z"));
        assert_eq!(regular_expression(r"a\%", None).as_deref(), Some(r"\A(?s:a\\.*)\z"));
        for none in ["*a", "(a", "a)", "[a", "a{x}", "a\\", "\\d", "a**", "(|*)"] {
            assert_eq!(regular_expression(none, Some('\\')), None, "{none}");
        }
    }
}
