//! The engine's own words for values and types, said as SQL says them: `Int64(1)` is `1`, `Utf8("a")` is `'a'`, `Decimal128(15, 2)` is `numeric`.
//!
//! What must stay true: pure; what is none of the engine's words stays as it is. Only what is shown is changed: headings and messages.

use arrow::datatypes::DataType;

/// Words before a value in brackets that is shown as it is.
const PLAIN: [&str; 12] = ["Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float16", "Float32", "Float64", "Boolean"];
/// Words before a text.
const TEXTS: [&str; 3] = ["Utf8", "Utf8View", "LargeUtf8"];
/// Words before an interval.
const INTERVALS: [&str; 3] = ["IntervalMonthDayNano", "IntervalDayTime", "IntervalYearMonth"];

/// A type as SQL calls it in a message: without precision.
pub(crate) fn sql_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => "text".to_owned(),
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "smallint".to_owned(),
        DataType::Int32 | DataType::UInt16 => "integer".to_owned(),
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => "bigint".to_owned(),
        DataType::Float16 | DataType::Float32 => "real".to_owned(),
        DataType::Float64 => "double precision".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => "numeric".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamp with time zone".to_owned(),
        DataType::Timestamp(_, None) => "timestamp without time zone".to_owned(),
        DataType::Date32 | DataType::Date64 => "date".to_owned(),
        DataType::Time32(_) | DataType::Time64(_) => "time without time zone".to_owned(),
        DataType::Interval(_) | DataType::Duration(_) => "interval".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => "bytea".to_owned(),
        DataType::Null => "unknown".to_owned(),
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => format!("{}[]", sql_type(field.data_type())),
        DataType::Struct(_) | DataType::Map(..) => "record".to_owned(),
        other => other.to_string().to_lowercase(),
    }
}

/// The name of a column as it is shown: its expression, in SQL's words; that of a value alone is PostgreSQL's.
pub(crate) fn heading(name: &str) -> String {
    if value(name).is_some_and(|(_, length)| length == name.len()) {
        return "?column?".to_owned();
    }
    replaced(name, false)
}

/// A message in which values and types are SQL's.
pub(crate) fn message(text: &str) -> String {
    replaced(text, true)
}

fn replaced(text: &str, types: bool) -> String {
    let (mut said, mut rest, mut inside) = (String::with_capacity(text.len()), text, false);
    while let Some(next) = rest.chars().next() {
        if !inside
            && next.is_ascii_uppercase()
            && let Some((word, length)) = value(rest).or_else(|| if types { named(rest) } else { None })
        {
            said.push_str(&word);
            rest = rest.get(length..).unwrap_or_default();
            continue;
        }
        inside = next.is_alphanumeric() || next == '_';
        said.push(next);
        rest = rest.get(next.len_utf8()..).unwrap_or_default();
    }
    said.replace("count(1)", "count(*)")
}

/// The word with which a text begins, and what is behind it.
fn word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// The value with which a text begins, as SQL writes it, and how many bytes of the text it is.
fn value(text: &str) -> Option<(String, usize)> {
    let (name, rest) = word(text);
    let inner = rest.strip_prefix('(')?;
    if let Some(behind) = inner.strip_prefix("NULL)") {
        let known = PLAIN.contains(&name) || TEXTS.contains(&name) || INTERVALS.contains(&name);
        return known.then(|| ("NULL".to_owned(), text.len() - behind.len()));
    }
    if PLAIN.contains(&name) {
        let (inner, behind) = inner.split_once(')')?;
        return Some((inner.to_owned(), text.len() - behind.len()));
    }
    if TEXTS.contains(&name) || INTERVALS.contains(&name) {
        let (inner, behind) = inner.strip_prefix('"')?.split_once("\")")?;
        let quoted = inner.replace('\'', "''");
        let said = if TEXTS.contains(&name) { format!("'{quoted}'") } else { format!("interval '{quoted}'") };
        return Some((said, text.len() - behind.len()));
    }
    if name.starts_with("Decimal") {
        let (digits, behind) = inner.strip_prefix("Some(")?.split_once("),")?;
        let (places, behind) = behind.split_once(')')?;
        let scale: usize = places.rsplit_once(',')?.1.trim().parse().ok()?;
        let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
        let padded = format!("{digits:0>width$}", width = scale + 1);
        let (whole, part) = padded.split_at_checked(padded.len() - scale)?;
        let said = if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") };
        return Some((said, text.len() - behind.len()));
    }
    None
}

/// The type with which a text begins, as SQL calls it, and how many bytes of the text it is.
fn named(text: &str) -> Option<(String, usize)> {
    let (name, rest) = word(text);
    let said = match name {
        "Utf8" | "Utf8View" | "LargeUtf8" => "text",
        "Int8" | "Int16" | "UInt8" => "smallint",
        "Int32" | "UInt16" => "integer",
        "Int64" | "UInt32" | "UInt64" => "bigint",
        "Float16" | "Float32" => "real",
        "Float64" => "double precision",
        "Boolean" => "boolean",
        "Date32" | "Date64" => "date",
        "Binary" | "LargeBinary" | "BinaryView" => "bytea",
        // These have brackets behind them.
        "Decimal32" | "Decimal64" | "Decimal128" | "Decimal256" => "numeric",
        "Timestamp" if rest.starts_with('(') && rest.contains('"') => "timestamp with time zone",
        "Timestamp" if rest.starts_with('(') => "timestamp without time zone",
        "Time32" | "Time64" => "time without time zone",
        "Interval" | "Duration" if rest.starts_with('(') => "interval",
        _ => return None,
    };
    let brackets = if rest.starts_with('(') { rest.find(')').map_or(0, |end| end + 1) } else { 0 };
    Some((said.to_owned(), name.len() + brackets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_has_none_of_the_engine_s_words() {
        for (name, shown) in [
            ("Int64(1)", "?column?"),
            ("Utf8(\"a\")", "?column?"),
            ("NULL", "NULL"),
            ("count(Int64(1))", "count(*)"),
            ("Int64(1) + Int64(-2)", "1 + -2"),
            ("upper(Utf8(\"it's\"))", "upper('it''s')"),
            ("CASE WHEN Boolean(true) THEN Decimal128(Some(-5),3,2) END", "CASE WHEN true THEN -0.05 END"),
            ("sum(transactions.amount)", "sum(transactions.amount)"),
            ("UInt64(NULL) + IntervalMonthDayNano(\"1 days\")", "NULL + interval '1 days'"),
            ("Decimal128(15, 2)", "Decimal128(15, 2)"),
            ("MyInt64(1) Größe", "MyInt64(1) Größe"),
            ("Utf8(\"open", "Utf8(\"open"),
        ] {
            assert_eq!(heading(name), shown);
        }
    }

    #[test]
    fn a_message_has_sql_s_types() {
        assert_eq!(message("Boolean = Int64"), "boolean = bigint");
        assert_eq!(message("Timestamp(µs, \"UTC\") > Decimal128(15, 2)"), "timestamp with time zone > numeric");
        assert_eq!(message("upper(Utf8, Int32)"), "upper(text, integer)");
        assert_eq!(sql_type(&DataType::new_list(DataType::Int32, true)), "integer[]");
    }
}
