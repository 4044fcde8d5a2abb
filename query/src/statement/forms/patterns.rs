//! `LIKE … ESCAPE 'sign'` for whatever sign: the engine knows the backslash only.
//!
//! What must stay true: a pattern matches what PostgreSQL says that it matches; one that is known is rewritten here, any other where it is computed.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType as SqlType, Expr as SqlExpr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName, Value,
    ValueWithSpan,
};

use super::literal;

/// What stands for a sign that was escaped, and for a backslash that was, until all others are replaced: no characters (Unicode, "Noncharacters").
const SIGN: &str = "\u{fdd0}";
const BACKSLASH: &str = "\u{fdd1}";

/// `LIKE 'a/_b' ESCAPE '/'` is `LIKE 'a\_b'`.
pub(super) fn with_backslashes(pattern: &mut SqlExpr, escape: &mut Option<ValueWithSpan>) {
    let Some(Value::SingleQuotedString(sign)) = escape.as_ref().map(|escape| &escape.value) else { return };
    if sign == "\\" || sign.chars().count() > 1 {
        return;
    }
    let instead = match known(pattern) {
        Some(text) => escaped(&text, sign).map(|text| literal(Value::SingleQuotedString(text))),
        None => Some(computed(pattern, sign)),
    };
    if let Some(instead) = instead {
        *pattern = instead;
        *escape = None;
    }
}

/// The text of a pattern that is written in the statement, be it in pieces.
pub(super) fn known(pattern: &SqlExpr) -> Option<String> {
    match pattern {
        SqlExpr::Value(ValueWithSpan { value: Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text), .. }) => Some(text.clone()),
        SqlExpr::Nested(inner) => known(inner),
        SqlExpr::Cast { expr, data_type: SqlType::Text | SqlType::Varchar(None) | SqlType::CharacterVarying(None), .. } => known(expr),
        SqlExpr::BinaryOp { left, op: BinaryOperator::StringConcat, right } => Some(known(left)? + &known(right)?),
        _ => None,
    }
}

/// A pattern whose signs stand for themselves behind `sign`, with backslashes instead; `None` where `sign` is no sign, or stands at the end.
pub(super) fn escaped(pattern: &str, sign: &str) -> Option<String> {
    let mut signs = sign.chars();
    let (sign, more) = (signs.next(), signs.next());
    if more.is_some() {
        return None;
    }
    let mut escaped = String::with_capacity(pattern.len() + 8);
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        let is_sign = sign == Some(character);
        let character = if is_sign { characters.next()? } else { character };
        if character == '\\' || (is_sign && matches!(character, '%' | '_')) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    Some(escaped)
}

/// The same of a pattern that is known only when the query runs. Pairs are taken from the left, as they are read: first the sign escaped by itself, then
/// the backslash escaped by it, so that each sign that is left escapes what follows.
fn computed(pattern: &SqlExpr, sign: &str) -> SqlExpr {
    let text = SqlExpr::Cast { kind: CastKind::Cast, expr: Box::new(pattern.clone()), data_type: SqlType::Text, array: false, format: None };
    if sign.is_empty() {
        return replaced(text, "\\", "\\\\");
    }
    let itself = if matches!(sign, "%" | "_") { format!("\\{sign}") } else { sign.to_owned() };
    let (twice, before) = (format!("{sign}{sign}"), format!("{sign}\\"));
    let steps = [(twice.as_str(), SIGN), (before.as_str(), BACKSLASH), ("\\", "\\\\"), (sign, "\\"), (SIGN, itself.as_str()), (BACKSLASH, "\\\\")];
    steps.into_iter().fold(text, |text, (from, to)| replaced(text, from, to))
}

fn replaced(text: SqlExpr, from: &str, to: &str) -> SqlExpr {
    let quoted = |text: &str| literal(Value::SingleQuotedString(text.to_owned()));
    let args = Vec::from([text, quoted(from), quoted(to)].map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))));
    SqlExpr::Function(Function {
        name: ObjectName::from(vec![Ident::new("replace")]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
