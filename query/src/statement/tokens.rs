//! A statement as tokens: where each stands, and where one statement ends.
//!
//! What must stay true: texts, quoted names and comments are what PostgreSQL's dialect says they are, so that a semicolon in one of
//! them ends nothing.

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer, Word};

use crate::errors::QueryError;

/// The tokens of a text, white space and comments among them.
pub(super) fn read(sql: &str) -> Result<Vec<TokenWithSpan>, QueryError> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location().map_err(|error| QueryError::Syntax {
        message: error.message,
        line: Some(error.location.line),
        column: Some(error.location.column),
        hint: Some("is a quote or a comment still open?".to_owned()),
    })?;
    if tokens.iter().any(|token| signs_behind(&token.token) > 0) { Ok(tokens.into_iter().flat_map(without_signs).collect()) } else { Ok(tokens) }
}

/// How many signs of a number an operator of several characters ends in. As in PostgreSQL they are its own only where another sign than
/// those of arithmetic and comparison is in it.
/// Source: PostgreSQL's manual, "Lexical Structure", "Operators".
fn signs_behind(token: &Token) -> usize {
    match token {
        Token::CustomBinaryOperator(operator) if !operator.contains(['~', '!', '@', '#', '%', '^', '&', '|', '`', '?']) => {
            let head = operator.trim_end_matches(['+', '-']);
            // Of signs alone the first is the operator.
            operator.len() - head.len().max(1)
        }
        _ => 0,
    }
}

/// `->>-` as `->>` and `-`.
fn without_signs(token: TokenWithSpan) -> Vec<TokenWithSpan> {
    let signs = signs_behind(&token.token);
    let Token::CustomBinaryOperator(operator) = &token.token else { return vec![token] };
    let (head, tail) = operator.split_at(operator.len() - signs);
    let Ok(first) = Tokenizer::new(&PostgreSqlDialect {}, head).tokenize() else { return vec![token] };
    let [first] = first.as_slice() else { return vec![token] };
    let mut at = token.span.start;
    let mut spanned = |token: Token, length: usize| {
        let start = at;
        at.column += length as u64;
        TokenWithSpan { token, span: Span::new(start, at) }
    };
    let mut split = vec![spanned(first.clone(), head.len())];
    split.extend(tail.chars().map(|sign| spanned(if sign == '-' { Token::Minus } else { Token::Plus }, 1)));
    split
}

/// Whether a token says something.
pub(super) fn says(token: &TokenWithSpan) -> bool {
    !matches!(token.token, Token::Whitespace(_) | Token::EOF)
}

/// The stretches between semicolons that say something.
pub(super) fn statements(tokens: &[TokenWithSpan]) -> impl Iterator<Item = &[TokenWithSpan]> {
    tokens.split(|token| token.token == Token::SemiColon).filter(|stretch| stretch.iter().any(says))
}

/// The statements of a text, as they are written.
pub(super) fn split(sql: &str) -> Result<Vec<String>, QueryError> {
    let tokens = read(sql)?;
    let mut place = Place::of(sql);
    let mut texts = Vec::new();
    for stretch in statements(&tokens) {
        let (Some(first), Some(last)) = (stretch.iter().find(|token| says(token)), stretch.iter().rfind(|token| says(token))) else { continue };
        let from = place.byte(first.span.start);
        let to = place.byte(last.span.end);
        texts.push(sql.get(from..to).unwrap_or_default().to_owned());
    }
    Ok(texts)
}

/// The text from one token on.
pub(super) fn text_from<'a>(sql: &'a str, token: &TokenWithSpan, last: &TokenWithSpan) -> &'a str {
    let mut place = Place::of(sql);
    let from = place.byte(token.span.start);
    let to = place.byte(last.span.end);
    sql.get(from..to).unwrap_or_default()
}

/// A reader of places that only goes forward: lines and columns are the tokenizer's, bytes are the text's.
struct Place<'a> {
    text: &'a str,
    at: Location,
    bytes: usize,
}

impl<'a> Place<'a> {
    fn of(text: &'a str) -> Place<'a> {
        Place { text, at: Location { line: 1, column: 1 }, bytes: 0 }
    }

    /// The byte at a place that is not before the last one asked for.
    fn byte(&mut self, wanted: Location) -> usize {
        for character in self.text.get(self.bytes..).unwrap_or_default().chars() {
            if self.at >= wanted {
                break;
            }
            if character == '\n' {
                self.at = Location { line: self.at.line + 1, column: 1 };
            } else {
                self.at.column += 1;
            }
            self.bytes += character.len_utf8();
        }
        self.bytes
    }
}

/// The tokens of one statement that say something, read one after the other.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    tokens: Vec<&'a TokenWithSpan>,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn of(tokens: &'a [TokenWithSpan]) -> Cursor<'a> {
        Cursor { tokens: tokens.iter().filter(|token| says(token)).collect(), at: 0 }
    }

    /// The next token, without taking it.
    pub(super) fn peek(&self) -> Option<&'a TokenWithSpan> {
        self.tokens.get(self.at).copied()
    }

    /// The next token.
    pub(super) fn next(&mut self) -> Option<&'a TokenWithSpan> {
        let token = self.peek();
        self.at += 1;
        token
    }

    /// The last token of the statement.
    pub(super) fn last(&self) -> Option<&'a TokenWithSpan> {
        self.tokens.last().copied()
    }

    /// The next word in capitals, if it is one without quotes.
    pub(super) fn peek_word(&self) -> Option<String> {
        match self.peek().map(|token| &token.token) {
            Some(Token::Word(Word { value, quote_style: None, .. })) => Some(value.to_ascii_uppercase()),
            _ => None,
        }
    }

    /// Takes the next word if it is this one.
    pub(super) fn took(&mut self, word: &str) -> bool {
        let found = self.peek_word().as_deref() == Some(word);
        if found {
            self.at += 1;
        }
        found
    }

    /// Takes the next token if it is this one.
    pub(super) fn took_token(&mut self, token: &Token) -> bool {
        let found = self.peek().is_some_and(|next| next.token == *token);
        if found {
            self.at += 1;
        }
        found
    }

    /// Takes this word, which must be next.
    pub(super) fn must(&mut self, word: &str) -> Result<(), QueryError> {
        if self.took(word) { Ok(()) } else { Err(self.expected(word)) }
    }

    /// A name: without quotes in lower case.
    pub(super) fn name(&mut self) -> Result<String, QueryError> {
        match self.peek().map(|token| &token.token) {
            Some(Token::Word(Word { value, quote_style: None, .. })) => {
                self.at += 1;
                Ok(value.to_ascii_lowercase())
            }
            Some(Token::Word(Word { value, .. })) => {
                self.at += 1;
                Ok(value.clone())
            }
            _ => Err(self.expected("a name")),
        }
    }

    /// Nothing may follow.
    pub(super) fn end(&self) -> Result<(), QueryError> {
        if self.peek().is_none() { Ok(()) } else { Err(self.expected("the end of the statement")) }
    }

    /// What is said where something else was to stand.
    pub(super) fn expected(&self, what: &str) -> QueryError {
        let found = self.peek();
        let place = found.map(|token| token.span.start).or_else(|| self.last().map(|token| token.span.end));
        QueryError::Syntax {
            message: format!("Expected: {what}, found: {}", found.map_or_else(|| "the end".to_owned(), |token| token.token.to_string())),
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            hint: None,
        }
    }
}

/// The text of a token that is one in quotes.
pub(super) fn quoted(token: &Token) -> Option<&str> {
    match token {
        Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) | Token::NationalStringLiteral(text) | Token::UnicodeStringLiteral(text) => Some(text),
        Token::DollarQuotedString(text) => Some(&text.value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_semicolon_ends_a_statement_only_where_it_is_one() {
        let sql = " SELECT ';' /* ; */, \"a;b\" ; -- ; nothing\n\n;SELECT $$;$$;\nSELECT 'Größe'; ";
        assert_eq!(split(sql).unwrap(), ["SELECT ';' /* ; */, \"a;b\"", "SELECT $$;$$", "SELECT 'Größe'"]);
        assert_eq!(split(" -- nothing\n").unwrap(), Vec::<String>::new());
        assert!(split("SELECT 'open").is_err());
    }

    #[test]
    fn a_sign_behind_an_operator_is_the_numbers() {
        let told = |sql: &str| read(sql).unwrap().iter().map(|token| token.token.to_string()).collect::<Vec<_>>();
        assert_eq!(told("a->>-1"), ["a", "->>", "-", "1"]);
        assert_eq!(told("a>-1"), ["a", ">", "-", "1"]);
        assert_eq!(told("a<=+1"), ["a", "<=", "+", "1"]);
        assert_eq!(told("a*-1"), ["a", "*", "-", "1"]);
        assert_eq!(told("a@>b"), ["a", "@>", "b"]);
        let tokens = read("a->>-1").unwrap();
        assert_eq!(tokens.iter().map(|token| token.span.start.column).collect::<Vec<_>>(), [1, 2, 5, 6]);
        assert_eq!(split("SELECT a->>-1; SELECT 2").unwrap(), ["SELECT a->>-1", "SELECT 2"]);
    }

    #[test]
    fn many_statements_are_told_apart_in_one_walk() {
        let sql = "SELECT 1;".repeat(20_000);
        assert_eq!(split(&sql).unwrap().len(), 20_000);
    }
}
