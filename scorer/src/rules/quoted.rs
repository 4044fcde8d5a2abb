//! Where a byte of a TOML string's value stands in the file: behind its quotes, and past whatever was written as an escape.
//!
//! Source: TOML 1.0 (and 1.1 for `\e` and `\x`), "String". A fault inside a rule's text is told at its own place by this.

/// The byte of `raw`, a string as it is written with its quotes, that byte `offset` of its value comes from.
pub(super) fn place(raw: &str, offset: usize) -> usize {
    let quotes = if raw.starts_with("\"\"\"") || raw.starts_with("'''") { 3 } else { 1 };
    let mut at = quotes.min(raw.len());
    if quotes == 3 {
        // A line break right behind the quotes is not part of the value.
        at += if raw[at..].starts_with("\r\n") { 2 } else { usize::from(raw[at..].starts_with('\n')) };
    }
    if raw.starts_with('\'') {
        return boundary(raw, at + offset);
    }
    let mut value = 0;
    while value < offset {
        let rest = &raw[at..];
        let Some(next) = rest.chars().next() else { break };
        if next != '\\' {
            value += next.len_utf8();
            at += next.len_utf8();
            continue;
        }
        let digits = match rest.as_bytes().get(1) {
            Some(b'u') => 4,
            Some(b'U') => 8,
            Some(b'x') => 2,
            Some(b' ' | b'\t' | b'\r' | b'\n') => {
                // A backslash at the end of a line takes the blanks behind it away.
                at += 1 + rest[1..].find(|c: char| !c.is_ascii_whitespace()).unwrap_or(rest.len() - 1);
                continue;
            }
            _ => 0,
        };
        value += match rest.get(2..2 + digits).filter(|digits| !digits.is_empty()) {
            Some(digits) => u32::from_str_radix(digits, 16).ok().and_then(char::from_u32).map_or(1, char::len_utf8),
            None => 1,
        };
        at = boundary(raw, at + 2 + digits);
    }
    at
}

/// The first place from `at` on where a character begins, or the end.
fn boundary(raw: &str, at: usize) -> usize {
    (at..raw.len()).find(|at| raw.is_char_boundary(*at)).unwrap_or(raw.len())
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn quotes_escapes_and_broken_lines_are_passed() {
        for (raw, value, wanted) in [
            ("'a == b'", "a == b", "b'"),
            ("\"a == b\"", "a == b", "b\""),
            ("\"\\\"a\\\" == b\"", "\"a\" == b", "b\""),
            ("\"\\u00e9\\t== b\"", "é\t== b", "b\""),
            ("\"\"\"\na ==\n  b\"\"\"", "a ==\n  b", "b\"\"\""),
            ("\"\"\"\\\n   a == \\\n   b\"\"\"", "a == b", "b\"\"\""),
            ("'''\na == b'''", "a == b", "b'''"),
        ] {
            let found = place(raw, value.rfind('b').unwrap());
            // A place behind a backslash at the end of a line is that of the backslash: what stands there is the next sign of the value.
            let rest = raw[found..].trim_start_matches(['\\', '\n', ' ']);
            assert_eq!(rest, wanted, "{raw}");
        }
    }

    #[test]
    fn no_offset_leaves_the_text() {
        for raw in ["", "\"", "'", "\"\\", "\"\\u00", "\"\"\"", "\"é\\", "\"\\é", "'é"] {
            for offset in 0..9 {
                assert!(raw.is_char_boundary(place(raw, offset)), "{raw} {offset}");
            }
        }
    }
}
