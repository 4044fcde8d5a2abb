//! Names in text, as PostgreSQL reads and writes them: parts joined by points, in quotes where they are not plain.

/// The parts of a name; `None` where it is none.
pub(super) fn parts(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = text.trim().chars().peekable();
    loop {
        let mut part = String::new();
        if rest.next_if_eq(&'"').is_some() {
            loop {
                match rest.next()? {
                    '"' if rest.next_if_eq(&'"').is_some() => part.push('"'),
                    '"' => break,
                    other => part.push(other),
                }
            }
        } else {
            while let Some(next) = rest.next_if(|next| *next != '.' && *next != '"') {
                part.extend(next.to_lowercase());
            }
            part.truncate(part.trim_end().len());
        }
        if part.is_empty() {
            return None;
        }
        parts.push(part);
        match rest.next() {
            None => return Some(parts),
            Some('.') => {}
            Some(_) => return None,
        }
    }
}

/// A name as it is written in a statement.
pub(super) fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let first = name.chars().next().is_some_and(|c| c.is_ascii_lowercase() || c == '_');
    if first && name.chars().all(plain) { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// The schemas of a `search_path`; `$user` and such are none.
pub(super) fn path(text: &str) -> Vec<String> {
    text.split(',').filter_map(|schema| parts(schema).filter(|parts| parts.len() == 1)).flatten().filter(|schema| !schema.starts_with('$')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_with_their_quotes() {
        assert_eq!(parts("Ledger.Transactions"), Some(vec!["ledger".to_owned(), "transactions".to_owned()]));
        assert_eq!(parts("\"A.b\".\"c\"\"d\""), Some(vec!["A.b".to_owned(), "c\"d".to_owned()]));
        for broken in ["", ".", "a.", "\"a", "\"a\"b", "a\"b"] {
            assert_eq!(parts(broken), None, "{broken}");
        }
        assert_eq!((quoted("risk_alerts"), quoted("A\"b")), ("risk_alerts".to_owned(), "\"A\"\"b\"".to_owned()));
        assert_eq!(path("\"$user\", public, Search"), ["public", "search"]);
    }
}
