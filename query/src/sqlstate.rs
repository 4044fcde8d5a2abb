//! What PostgreSQL's clients are told of a failure: its SQLSTATE, its place and its hint.
//!
//! What must stay true: pure; each code is one of PostgreSQL's appendix "Error Codes". A store that does not answer is 58030
//! (`io_error`): the query may be right, and the server that answers it is up, so neither a code of class 42 nor one of class 08 is true.

use crate::errors::QueryError;

impl QueryError {
    /// The five characters that PostgreSQL's clients decide by.
    #[must_use]
    pub fn sqlstate(&self) -> &'static str {
        match self {
            QueryError::Syntax { .. } => "42601",
            QueryError::Invalid { message, .. } => invalid(message),
            QueryError::Unknown { what: "table", .. } => "42P01",
            QueryError::Unknown { what: "column", .. } => "42703",
            QueryError::Unknown { what: "prepared statement", .. } => "26000",
            QueryError::Unknown { .. } => "42883",
            QueryError::Exists { .. } => "42P05",
            QueryError::Refused { .. } => "0A000",
            QueryError::ReadOnly { .. } => "25006",
            QueryError::Setting { known: true, .. } => "22023",
            QueryError::Setting { known: false, .. } => "42704",
            QueryError::TooComplex { .. } => "54001",
            QueryError::Cancelled | QueryError::Timeout => "57014",
            QueryError::Limit { .. } | QueryError::TooLarge { .. } => "54000",
            QueryError::TooMany { .. } | QueryError::Busy { .. } => "53300",
            QueryError::Store { .. } => "58030",
            QueryError::Memory { .. } => "53200",
            QueryError::Disk { .. } => "53100",
            QueryError::Internal { .. } => "XX000",
        }
    }

    /// The character of `sql` at which it goes wrong, from 1, where that is known.
    #[must_use]
    pub fn position(&self, sql: &str) -> Option<usize> {
        let (line, column) = match self {
            QueryError::Syntax { line, column, .. } | QueryError::Invalid { line, column, .. } | QueryError::Unknown { line, column, .. } => ((*line)?, (*column)?),
            _ => return None,
        };
        let before = usize::try_from(line.checked_sub(1)?).ok()?;
        let within = usize::try_from(column).ok().filter(|column| *column > 0)?;
        let skipped: usize = sql.split_inclusive('\n').take(before).map(|line| line.chars().count()).sum();
        let position = skipped + within;
        // The end of the statement is a place too.
        (position <= sql.chars().count() + 1).then_some(position)
    }

    /// What to try.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            QueryError::Syntax { hint, .. } | QueryError::Invalid { hint, .. } | QueryError::Refused { hint, .. } | QueryError::Setting { hint, .. } => hint.as_deref(),
            QueryError::Store { remedy, .. } => Some(remedy),
            QueryError::Exists { remedy, .. } | QueryError::Disk { remedy, .. } => Some(remedy),
            QueryError::Memory { .. } => Some("read fewer columns or rows, group before joining, or raise sql.memory_mib"),
            QueryError::Limit { .. } => Some("say LIMIT, group, or ask for less"),
            _ => None,
        }
    }

    /// What is wrong, in one line, without place and hint.
    #[must_use]
    pub fn headline(&self) -> String {
        match self {
            QueryError::Syntax { message, .. } | QueryError::Invalid { message, .. } | QueryError::Refused { message, .. } | QueryError::Setting { message, .. } => message.clone(),
            QueryError::Unknown { what, name, nearest, .. } => QueryError::Unknown { what, name: name.clone(), nearest: nearest.clone(), line: None, column: None }.to_string(),
            QueryError::Store { role, message, .. } => format!("{role}: {message}"),
            QueryError::Exists { what, name, .. } => format!("there is a {what} {name} already"),
            QueryError::Disk { message, .. } => format!("sorting, grouping or joining does not fit into memory, and {message}"),
            QueryError::Memory { message } => format!("the query needs more memory than it may have ({message})"),
            QueryError::Limit { role, rows } => format!("the role {role} may read {rows} rows"),
            other => other.to_string(),
        }
    }
}

/// How sentences begin that are said here, and the codes that PostgreSQL has for them.
const BEGINNINGS: [(&str, &str); 15] = [
    ("window functions are not allowed", "42P20"),
    ("function ", "42883"),
    ("operator does not exist", "42883"),
    ("there is no table function", "42883"),
    ("there is no table", "42P01"),
    ("there is no column", "42703"),
    ("division by zero", "22012"),
    ("invalid input syntax for type timestamp", "22007"),
    ("invalid input syntax for type date", "22007"),
    ("invalid input syntax for type time", "22007"),
    ("invalid input syntax for type interval", "22007"),
    ("invalid input syntax", "22P02"),
    ("the argument of WHERE must be", "42804"),
    ("cannot subscript", "42804"),
    ("type ", "42704"),
];

/// What kind of mistake DataFusion and Arrow tell of. Their messages alone say it.
fn invalid(message: &str) -> &'static str {
    let has = |part: &str| message.contains(part);
    let starts = |part: &str| message.starts_with(part);
    if let Some((_, code)) = BEGINNINGS.iter().find(|(beginning, _)| message.starts_with(*beginning)) {
        code
    } else if has("is not available here") {
        "42883"
    } else if has("is a window function: it needs") {
        "42809"
    } else if has("is in more than one of the tables") || has("Ambiguous reference") {
        "42702"
    } else if has("ivide by zero") || has("ivision by zero") {
        "22012"
    } else if has("verflow") || has("Can't cast value") || has("out of range") || has("too large to store") || has("is too small to store") {
        "22003"
    } else if has("Error parsing timestamp") || has("Error parsing date") || has("error parsing date") || has("error parsing time") {
        "22007"
    } else if has("Cannot cast string") || has("Cannot cast value") || has("Cannot parse") || has("Error parsing") || starts("Parser error") || starts("Cast error") {
        "22P02"
    } else if has("No function matches") || has("does not support zero arguments") || has("Failed to coerce arguments") || has("Function '") {
        "42883"
    } else if has("Cannot infer common argument type") || has("Cannot coerce") || has("Cannot get result type") || has("non-boolean predicate") {
        "42804"
    } else if has("must appear in the GROUP BY") || has("must be part of GROUP BY") {
        "42803"
    } else if has("parameter") && has("$") {
        "42P02"
    } else {
        "42000"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invalid(message: &str) -> QueryError {
        QueryError::Invalid { message: message.to_owned(), line: Some(2), column: Some(3), hint: Some("try".to_owned()) }
    }

    #[test]
    fn clients_are_told_the_kind_of_each_mistake() {
        for (message, code) in [
            ("Divide by zero error", "22012"),
            ("Arithmetic overflow: Overflow happened on: 9223372036854775807 + 1", "22003"),
            ("Cast error: Cannot cast string 'abc' to value of Int64 type", "22P02"),
            ("Cast error: Can't cast value 99999999999 to type Int32", "22003"),
            ("Parser error: Error parsing timestamp from 'abc': error parsing date", "22007"),
            ("the column seq is in more than one of the tables", "42702"),
            ("Error during planning: No function matches the given name and argument types", "42883"),
            ("something else", "42000"),
        ] {
            assert_eq!(invalid(message).sqlstate(), code, "{message}");
        }
        assert_eq!(QueryError::Setting { message: String::new(), hint: None, known: false }.sqlstate(), "42704");
        assert_eq!(QueryError::ReadOnly { what: "INSERT".into() }.sqlstate(), "25006");
    }

    #[test]
    fn a_place_is_counted_in_characters_over_lines() {
        let error = invalid("x");
        assert_eq!(error.position("SELEÇT\nab"), Some(10));
        assert_eq!(error.position("SELECT\nabcd"), Some(10));
        assert_eq!(error.position("SELECT"), None);
        assert_eq!(QueryError::Cancelled.position("SELECT"), None);
    }

    #[test]
    fn a_headline_has_neither_place_nor_hint() {
        assert_eq!(invalid("x").headline(), "x");
        assert_eq!(invalid("x").hint(), Some("try"));
        let unknown = QueryError::Unknown { what: "table", name: "t".into(), nearest: vec!["u".into()], line: Some(1), column: Some(2) };
        assert_eq!(unknown.headline(), "there is no table t; did you mean u?");
    }
}
