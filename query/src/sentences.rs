//! What DataFusion and Arrow say of a fault, as a sentence for who wrote the statement: SQL's words, and what to write instead.
//!
//! What must stay true: pure; nothing that is said has the form of the engine's own structures; what is not known here is said as the engine says
//! it, as far as that is a sentence. [`crate::sqlstate`] tells the kinds apart by these sentences.

use crate::spelling;

/// A sentence, and what to try.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

fn said(message: impl Into<String>, hint: &str) -> Said {
    Said { message: message.into(), hint: (!hint.is_empty()).then(|| hint.to_owned()) }
}

/// What a message says.
pub(crate) fn of(message: &str) -> Said {
    let message = message.strip_prefix("Internal error: ").unwrap_or(message);
    let message = message.split("This issue was likely caused by a bug").next().unwrap_or(message);
    let message = ["Error during planning: ", "Execution error: ", "Compute error: ", "Invalid argument error: ", "Arrow error: ", "External error: "]
        .iter()
        .fold(message, |message, prefix| message.strip_prefix(prefix).unwrap_or(message));
    operators(message).or_else(|| functions(message)).or_else(|| values(message)).or_else(|| clauses(message)).unwrap_or_else(|| Said { message: plain(message), hint: None })
}

fn between<'a>(message: &'a str, before: &str, behind: &str) -> Option<&'a str> {
    message.split_once(before)?.1.split_once(behind).map(|(found, _)| found)
}

/// Operators between types that have none.
fn operators(message: &str) -> Option<Said> {
    let compared = ["comparison operation ", "regex operation ", "logical boolean operation ", "bitwise operation ", "string operation "]
        .iter()
        .find_map(|kind| message.split_once("Cannot infer common argument type for ")?.1.strip_prefix(*kind))
        .or_else(|| between(message, "Cannot coerce arithmetic expression ", " to valid types"))
        .map(str::to_owned)
        .or_else(|| {
            let (types, form) = between(message, "common type to coerce ", " expression")?.split_once(" in ")?;
            types.split_once(" and ").map(|(left, right)| format!("{left} {form} {right}"))
        })
        .or_else(|| {
            let types = between(message, "Failed to coerce types ", " in BETWEEN")?;
            types.split_once(" and ").map(|(left, right)| format!("{left} BETWEEN {right}"))
        })?;
    let types = spelling::message(compared.lines().next().unwrap_or_default()).trim_end_matches('.').replace("bigint", "integer");
    Some(said(format!("operator does not exist: {types}"), operator_hint(&types)))
}

/// What to write where an operator does not exist.
pub(crate) fn operator_hint(types: &str) -> &'static str {
    let has = |word: &str| types.contains(word);
    if has(" ~") || has("LIKE") {
        "patterns are for text: cast the other with ::text"
    } else if has("boolean") && has("integer") {
        "a boolean is a condition by itself: write WHERE is_anomaly, NOT is_anomaly, or is_anomaly = true"
    } else if has("timestamp") && (has(" + ") || has(" - ")) {
        "write what is added as an interval: timestamp + interval '1 day'"
    } else if has("timestamp") || has("date") {
        "write a time as a text: '2026-10-01' or '2026-10-01 03:00:00'"
    } else {
        "cast one of them, for example with ::numeric or ::text"
    }
}

/// Functions that take other types.
fn functions(message: &str) -> Option<Said> {
    const HINT: &str = "no function of this name takes these types: count and cast them, for example with ::numeric or ::text";
    if let Some(call) = between(message, "given name and argument types '", "'.").or_else(|| between(message, "given name and argument types '", "' You")) {
        return Some(said(format!("function {} does not exist", spelling::message(call)), HINT));
    }
    if let Some((name, rest)) = message.split_once("satisfy a call to '").and_then(|(_, rest)| rest.split_once('\'')) {
        let types = between(rest, "coercion from ", " to the signature").unwrap_or_default();
        return Some(said(format!("function {name}({}) does not exist", spelling::message(types)), HINT));
    }
    let (name, rest) = message.strip_prefix("Function '")?.split_once('\'')?;
    let received = between(rest, "(DataType: ", ")");
    // The type itself may have brackets.
    let received = received.map(|found| spelling::message(&if found.contains('(') { format!("{found})") } else { found.to_owned() }));
    let given = between(rest, "arguments but received ", ",").and_then(|count| count.trim_end_matches('.').parse::<usize>().ok());
    let types = match (received, given) {
        (Some(received), Some(given)) if given > 1 => format!("{received}, …"),
        (Some(received), _) => received,
        (None, _) => "…".to_owned(),
    };
    Some(said(format!("function {name}({types}) does not exist"), HINT))
}

/// How times are written.
pub(crate) const TIMES: &str = "write a time as '2026-10-01', '2026-10-01 03:00:00' or '2026-10-01T03:00:00Z': year, month, day";

/// Values that are none of their type.
fn values(message: &str) -> Option<Said> {
    if message.contains("ivide by zero") || message.contains("ivision by zero") {
        return Some(said("division by zero", "nullif(x, 0) makes NULL of what is divided by"));
    }
    // Arrow's `Int64Array overflow on abs(-9223372036854775808)`.
    if let Some((array, _)) = message.split_once(" overflow on abs(") {
        let data_type = [("Int64", "bigint"), ("Int32", "integer")].iter().find(|(arrow, _)| array.contains(arrow)).map_or("smallint", |(_, name)| *name);
        return Some(said(format!("{data_type} out of range"), ""));
    }
    if let Some(rest) = message.split_once("Cannot cast string '").map(|(_, rest)| rest) {
        let (text, rest) = rest.rsplit_once("' to value of ")?;
        let data_type = spelling::message(rest.trim_end_matches(" type"));
        return Some(said(format!("invalid input syntax for type {data_type}: \"{text}\""), ""));
    }
    for (kind, data_type) in [("timestamp", "timestamp with time zone"), ("date", "date"), ("time", "time")] {
        if let Some((text, _)) = message.split_once(&format!("Error parsing {kind} from '")).and_then(|(_, rest)| rest.rsplit_once("':").or_else(|| rest.rsplit_once('\''))) {
            return Some(said(format!("invalid input syntax for type {data_type}: \"{text}\""), TIMES));
        }
    }
    None
}

/// What stands where it may not.
fn clauses(message: &str) -> Option<Said> {
    if message.starts_with("Physical plan does not support logical expression") && message.contains("OuterReference") {
        let hint = "number the rows instead: row_number() OVER (PARTITION BY …) in a subquery that is joined by its key";
        return Some(said("a subquery names the row outside where that is not supported: LATERAL with ORDER BY or LIMIT is not", hint));
    }
    if message.contains("WindowFunction") {
        return Some(said("window functions are not allowed here", "compute it in a subquery: SELECT * FROM (SELECT …, rank() OVER (…) AS place FROM …) AS t WHERE place < 3"));
    }
    if let Some(expression) = message.strip_prefix("Physical plan does not support logical expression ") {
        let is_subquery = expression.starts_with("Exists") || expression.starts_with("InSubquery");
        return Some(if is_subquery {
            said("EXISTS and IN with a subquery are supported in WHERE and HAVING only", "count in a select list: (SELECT count(*) FROM … WHERE …) > 0")
        } else {
            said("an expression stands where it is not supported", "compute it in a subquery, and use its column")
        });
    }
    if let Some(column) = between(message, "column \"", "\" must appear in the GROUP BY") {
        let hint = format!("add it to GROUP BY, or aggregate it, for example max({column})");
        return Some(said(format!("column {} must appear in the GROUP BY clause or be used in an aggregate function", spelling::message(column)), &hint));
    }
    if let Some(data_type) = message.strip_prefix("Cannot create filter with non-boolean predicate").and_then(|rest| rest.rsplit_once("returning ")).map(|(_, found)| found) {
        return Some(said(format!("the argument of WHERE must be of type boolean, not {}", spelling::message(data_type)), "compare it with something"));
    }
    if let Some(data_type) = message.strip_prefix("Cannot access field at argument").and_then(|rest| between(rest, "type ", " is not")) {
        return Some(said(format!("cannot subscript type {}", spelling::message(data_type)), "a member of JSON is read with ->>, as in metadata ->> 'terminal'"));
    }
    if let Some(name) = between(message, "table function '", "' not found") {
        return Some(said(format!("there is no table function {name}()"), "generate_series(…), unnest(…) and json_array_elements(…) are some"));
    }
    let name = message.strip_prefix("Unsupported SQL type ")?;
    let hint = "there are text, integer, bigint, numeric, double precision, boolean, date, timestamptz and interval";
    Some(said(format!("type {} does not exist here", name.trim_end_matches('.')), hint))
}

/// The first line, in SQL's words, as far as it is a sentence.
fn plain(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let end = dump(line).unwrap_or(line.len());
    let text = line.get(..end).unwrap_or(line).trim_end_matches([' ', ':', ',', '.', '(', '\'', '"']).trim_end_matches(" got");
    let text = spelling::message(text.trim_end_matches(","));
    if text.split_whitespace().count() < 2 && end < line.len() { "this form of expression is not known here".to_owned() } else { text }
}

/// Where a structure of the engine's own begins, as `Name { field: …` or `Literal(…`.
fn dump(line: &str) -> Option<usize> {
    let braces = line.match_indices(" { ").filter_map(|(at, _)| {
        let before = line.get(..at)?;
        let start = before.rfind(|c: char| !c.is_ascii_alphanumeric()).map_or(0, |last| last + before.get(last..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8));
        before.get(start..)?.starts_with(|c: char| c.is_ascii_uppercase()).then_some(start)
    });
    let calls = ["Literal(", "Identifier(", "Value(", "BinaryExpr(", "ScalarFunction(", "AggregateFunction(", "Column("].into_iter().filter_map(|word| line.find(word));
    braces.chain(calls).min()
}

#[cfg(test)]
#[path = "sentences_tests.rs"]
mod tests;
