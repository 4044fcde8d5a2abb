//! PostgreSQL's patterns for dates and times (its documentation, "Data Type Formatting Functions") in the signs of chrono, which the engine knows.
//!
//! What must stay true: only a pattern all of whose words are known is rewritten; one with `%` is the engine's own already.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr as SqlExpr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectNamePart, Value, ValueWithSpan};

use super::literal;

/// Words that say the same in small letters, the longest first.
const ANY_CASE: [(&str, &str); 13] = [
    ("HH24", "%H"),
    ("HH12", "%I"),
    ("YYYY", "%Y"),
    ("IYYY", "%G"),
    ("DDD", "%j"),
    ("HH", "%I"),
    ("YY", "%y"),
    ("MM", "%m"),
    ("DD", "%d"),
    ("MI", "%M"),
    ("SS", "%S"),
    ("MS", "%3f"),
    ("US", "%6f"),
];
/// Words whose case is that of what they write.
const OWN_CASE: [(&str, &str); 13] = [
    ("Mon", "%b"),
    ("Dy", "%a"),
    ("AM", "%p"),
    ("PM", "%p"),
    ("am", "%P"),
    ("pm", "%P"),
    // Without the blanks and zeroes that fill them up.
    ("FMMonth", "%B"),
    ("FMDay", "%A"),
    ("FMDD", "%-d"),
    ("FMMM", "%-m"),
    ("FMHH24", "%-H"),
    ("FMHH12", "%-I"),
    ("FMMI", "%-M"),
];
/// Words that are only read, in any case. PostgreSQL writes them in capitals, or with blanks behind them.
const READ: [(&str, &str); 6] = [("MONTH", "%B"), ("MON", "%b"), ("DAY", "%A"), ("DY", "%a"), ("AM", "%p"), ("PM", "%p")];

/// `to_timestamp(text, 'YYYY-MM-DD')` and its like.
pub(super) fn with_signs(function: &mut Function) {
    let Some(name) = function.name.0.last().and_then(ObjectNamePart::as_ident).map(|ident| ident.value.to_lowercase()) else { return };
    let reads = match name.as_str() {
        "to_timestamp" | "to_date" => true,
        "to_char" => false,
        _ => return,
    };
    let FunctionArguments::List(list) = &mut function.args else { return };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(value)), FunctionArg::Unnamed(FunctionArgExpr::Expr(pattern))] = list.args.as_mut_slice() else { return };
    let SqlExpr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) = &*pattern else { return };
    let Some(mut signs) = signs(text, reads) else { return };
    // An instant needs a time of day.
    if name == "to_timestamp" && !signs.contains("%H") && !signs.contains("%I") {
        signs.push_str(" %H:%M");
        let midnight = Box::new(literal(Value::SingleQuotedString(" 00:00".to_owned())));
        let day = std::mem::replace(value, super::nothing());
        *value = SqlExpr::BinaryOp { left: Box::new(SqlExpr::Nested(Box::new(day))), op: BinaryOperator::StringConcat, right: midnight };
    }
    *pattern = literal(Value::SingleQuotedString(signs));
}

/// The pattern of a `to_char` in which neither are all words known nor a sign of the engine's: it would be written as it stands.
pub(in crate::statement) fn unknown_pattern(function: &Function) -> Option<&str> {
    let name = function.name.0.last().and_then(ObjectNamePart::as_ident)?;
    let FunctionArguments::List(list) = &function.args else { return None };
    let [_, FunctionArg::Unnamed(FunctionArgExpr::Expr(SqlExpr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. })))] = list.args.as_slice() else { return None };
    let is_said = text.contains('%') || !text.contains(char::is_alphanumeric) || signs(text, false).is_some();
    (name.value.eq_ignore_ascii_case("to_char") && !is_said).then_some(text.as_str())
}

/// A pattern in chrono's signs; `None` where a word in it is not known, or none is.
fn signs(pattern: &str, reads: bool) -> Option<String> {
    // Four are seconds of the day.
    if pattern.contains('%') || pattern.to_ascii_uppercase().contains("SSSS") {
        return None;
    }
    let mut signs = String::with_capacity(pattern.len() * 2);
    let (mut rest, mut some) = (pattern, false);
    while let Some(first) = rest.chars().next() {
        if let Some((word, sign)) = word(rest, reads) {
            // chrono counts the point in, where there is one; it reads however many digits there are then.
            let fraction = sign.ends_with('f') && signs.ends_with('.');
            if fraction {
                signs.pop();
            }
            match (fraction, reads) {
                (false, _) => signs.push_str(sign),
                (true, true) => signs.push_str("%.f"),
                (true, false) => {
                    signs.push_str("%.");
                    signs.push_str(sign.trim_start_matches('%'));
                }
            }
            some = true;
            rest = rest.get(word.len()..)?;
        } else if let Some(quoted) = rest.strip_prefix('"') {
            let (text, behind) = quoted.split_once('"')?;
            signs.push_str(text);
            rest = behind;
        } else if first.is_alphanumeric() {
            return None;
        } else {
            signs.push(first);
            rest = rest.get(first.len_utf8()..)?;
        }
    }
    some.then_some(signs)
}

/// The word at the beginning of a pattern, and its sign.
fn word(rest: &str, reads: bool) -> Option<(&'static str, &'static str)> {
    let is_next = |word: &str| rest.get(..word.len()).is_some_and(|next| next.eq_ignore_ascii_case(word));
    let read = READ.into_iter().find(|(word, _)| reads && is_next(word));
    read.or_else(|| OWN_CASE.into_iter().find(|(word, _)| !reads && rest.starts_with(*word))).or_else(|| ANY_CASE.into_iter().find(|(word, _)| is_next(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_put_into_signs_or_left() {
        assert_eq!(signs("YYYY-MM-DD HH24:MI:SS.US", true).as_deref(), Some("%Y-%m-%d %H:%M:%S%.f"));
        assert_eq!(signs("yyyy-mm-dd\"T\"hh24:mi:ss.ms", false).as_deref(), Some("%Y-%m-%dT%H:%M:%S%.3f"));
        assert_eq!(signs("DD MON YYYY", true).as_deref(), Some("%d %b %Y"));
        assert_eq!(signs("Dy, DD Mon YY HH12:MI am", false).as_deref(), Some("%a, %d %b %y %I:%M %P"));
        assert_eq!(signs("FMDay, FMDD FMMonth YYYY", false).as_deref(), Some("%A, %-d %B %Y"));
        for left in ["%Y-%m-%d", "9,999.00", "Month YYYY", "", "- -"] {
            assert_eq!(signs(left, false), None, "{left}");
        }
    }
}
