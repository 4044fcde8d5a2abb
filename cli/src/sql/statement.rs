//! Where one SQL statement ends and the next begins, and the words that it is made of.
//!
//! It exists because a `;` inside a string, a quoted name or a comment ends nothing, and both the prompt and the completion
//! must know that. What must stay true: no I/O, and no opinion on what the words mean (the engine parses, this only cuts);
//! it reads quotes and nested comments as the engine's PostgreSQL dialect does. Dollar quotes are not read.

/// What a token is, as far as cutting and completing need to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword, a plain name or a number.
    Word,
    /// A `"quoted name"`.
    Quoted,
    /// A `'string'`, or `E'string'` with its backslashes.
    Text,
    /// `-- to the end of the line`, without the line's end.
    LineComment,
    /// `/* … */`, which may nest.
    BlockComment,
    /// Any other single character.
    Symbol,
}

/// One token of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    /// What it is.
    pub(super) kind: Kind,
    /// As it stands in the buffer, quotes included.
    pub(super) text: &'a str,
    /// Its first byte in the buffer.
    pub(super) start: usize,
    /// False where a quote or a block comment was opened and never closed; it then reaches to the end.
    pub(super) closed: bool,
}

impl Token<'_> {
    /// The byte after its last.
    pub(super) fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Whether it is this keyword, in any case.
    pub(super) fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Whether it is this one character.
    pub(super) fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == Kind::Symbol && self.text == symbol
    }

    /// Whether it is a comment of either form.
    pub(super) fn is_comment(&self) -> bool {
        matches!(self.kind, Kind::LineComment | Kind::BlockComment)
    }
}

/// The tokens of a buffer, from left to right, blanks left out.
pub(super) struct Tokens<'a> {
    buffer: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    /// Reads `buffer` from its start.
    pub(super) fn of(buffer: &'a str) -> Self {
        Self { buffer, at: 0 }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let left = &self.buffer[self.at..];
        let rest = left.trim_start();
        let start = self.at + (left.len() - rest.len());
        let first = rest.chars().next()?;
        let (kind, length, closed) = if first == '\'' {
            quoted(Kind::Text, rest, 0, '\'', false)
        } else if matches!(first, 'e' | 'E') && rest[1..].starts_with('\'') {
            quoted(Kind::Text, rest, 1, '\'', true)
        } else if first == '"' {
            quoted(Kind::Quoted, rest, 0, '"', false)
        } else if rest.starts_with("--") {
            (Kind::LineComment, rest.find('\n').unwrap_or(rest.len()), true)
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if in_word(first) {
            (Kind::Word, rest.find(|c: char| !in_word(c)).unwrap_or(rest.len()), true)
        } else {
            (Kind::Symbol, first.len_utf8(), true)
        };
        self.at = start + length;
        Some(Token { kind, text: &rest[..length], start, closed })
    }
}

/// Whether this character can stand in a plain name.
pub(super) fn in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// A quoted run whose opening quote is the byte at `open`; a doubled quote stands for itself.
fn quoted(kind: Kind, rest: &str, open: usize, quote: char, escapes: bool) -> (Kind, usize, bool) {
    let mut characters = rest.char_indices().skip(open + 1).peekable();
    while let Some((index, c)) = characters.next() {
        if escapes && c == '\\' {
            characters.next();
        } else if c == quote {
            match characters.peek() {
                Some((_, next)) if *next == quote => {
                    characters.next();
                }
                _ => return (kind, index + quote.len_utf8(), true),
            }
        }
    }
    (kind, rest.len(), false)
}

fn block_comment(rest: &str) -> (Kind, usize, bool) {
    let mut depth = 0_usize;
    let mut at = 0;
    let bytes = rest.as_bytes();
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return (Kind::BlockComment, at, true);
            }
        } else {
            at += 1;
        }
    }
    (Kind::BlockComment, rest.len(), false)
}

/// A buffer cut at its semicolons.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Split<'a> {
    /// The statements that a `;` ended, without it; empty ones are left out.
    pub(super) statements: Vec<&'a str>,
    /// What stands after the last `;`.
    pub(super) rest: &'a str,
}

impl Split<'_> {
    /// Whether nothing is left waiting for its `;`: the rest is blank or comments.
    pub(super) fn is_complete(&self) -> bool {
        is_blank(self.rest)
    }
}

/// Cuts `buffer` into its statements and what is left.
pub(super) fn split(buffer: &str) -> Split<'_> {
    let mut statements = Vec::new();
    let mut start = 0;
    let mut filled = false;
    for token in Tokens::of(buffer) {
        if token.is_symbol(";") {
            if filled {
                statements.push(buffer[start..token.start].trim());
            }
            start = token.end();
            filled = false;
        } else if !token.is_comment() {
            filled = true;
        }
    }
    Split { statements, rest: &buffer[start..] }
}

/// Every statement of a text that is known to be whole, the last with or without its `;`.
pub(super) fn all(text: &str) -> Vec<&str> {
    let Split { mut statements, rest } = split(text);
    if !is_blank(rest) {
        statements.push(rest.trim());
    }
    statements
}

/// Whether there is nothing but blanks and closed comments.
fn is_blank(text: &str) -> bool {
    Tokens::of(text).all(|token| token.is_comment() && token.closed)
}

/// Whether this statement asks for a plan, whose lines must never be cut.
pub(super) fn is_explain(statement: &str) -> bool {
    Tokens::of(statement).find(|token| !token.is_comment()).is_some_and(|token| token.is_word("explain"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(buffer: &str) -> bool {
        split(buffer).is_complete()
    }

    #[test]
    fn a_statement_is_complete_at_its_semicolon() {
        assert!(!complete("SELECT 1"));
        assert!(complete("SELECT 1;"));
        assert!(complete("SELECT 1;  \n"));
        assert!(!complete("SELECT 1; SELECT"));
        assert!(complete(""));
    }

    #[test]
    fn a_semicolon_inside_quotes_or_comments_ends_nothing() {
        assert!(!complete("SELECT ';"));
        assert!(!complete("SELECT ';'"));
        assert!(!complete("SELECT \"a;b\""));
        assert!(!complete("SELECT 1 -- ;"));
        assert!(!complete("SELECT 1 /* ; */"));
        assert!(complete("SELECT ';' -- ;\n;"));
    }

    #[test]
    fn a_doubled_quote_stays_inside_the_string() {
        assert_eq!(split("SELECT 'it''s; so';").statements, ["SELECT 'it''s; so'"]);
        assert_eq!(split("SELECT \"a\"\"b;\";").statements, ["SELECT \"a\"\"b;\""]);
    }

    #[test]
    fn a_backslash_escapes_only_in_an_escape_string() {
        assert_eq!(split(r"SELECT E'it\'s; so';").statements, [r"SELECT E'it\'s; so'"]);
        assert_eq!(split(r"SELECT 'a\'; SELECT 2;").statements, [r"SELECT 'a\'", "SELECT 2"]);
    }

    #[test]
    fn block_comments_nest_as_in_postgresql() {
        assert!(!complete("/* a /* b */ ;"));
        assert!(complete("/* a /* b */ c */"));
        assert!(!complete("SELECT 1 /* never closed ;"));
    }

    #[test]
    fn a_comment_after_the_last_semicolon_leaves_nothing_waiting() {
        assert!(complete("SELECT 1; -- done"));
        assert!(complete("SELECT 1; /* done */"));
        assert!(!complete("SELECT 1; /* not done"));
    }

    #[test]
    fn several_statements_are_cut_and_empty_ones_are_left_out() {
        let cut = split("SELECT 1; ;\n-- two\nSELECT 2; SELECT");
        assert_eq!(cut.statements, ["SELECT 1", "-- two\nSELECT 2"]);
        assert_eq!(cut.rest, " SELECT");
        assert_eq!(all("SELECT 1; SELECT 2"), ["SELECT 1", "SELECT 2"]);
        assert!(all(" ; -- nothing\n").is_empty());
    }

    #[test]
    fn letters_outside_ascii_are_cut_at_their_bounds() {
        assert_eq!(split("SELECT 'Zürich; é' AS größe; x").rest, " x");
        assert_eq!(split("SELECT “1”;").statements, ["SELECT “1”"]);
    }

    #[test]
    fn a_plan_is_recognised_behind_comments() {
        assert!(is_explain("/* why slow */ explain ANALYZE SELECT 1"));
        assert!(!is_explain("SELECT 'explain'"));
    }
}
