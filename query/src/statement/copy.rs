//! `COPY (SELECT …) TO STDOUT`, in its present syntax and in that of before PostgreSQL 9.
//!
//! What must stay true: only standard output is written to; what the options leave open is as in PostgreSQL.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::tokens::{Cursor, quoted, says};
use super::{Reading, read_only, reading};
use crate::errors::QueryError;
use crate::prepared::{Action, CopyFormat, CopyKind};

/// Reads a COPY. `cursor` is at its first word.
pub(super) fn read(statement: &[TokenWithSpan], mut cursor: Cursor<'_>) -> Result<Reading, QueryError> {
    cursor.must("COPY")?;
    let query = if cursor.peek().is_some_and(|token| token.token == Token::LParen) { bracketed(statement, &mut cursor)? } else { table(&mut cursor)? };
    if cursor.took("FROM") {
        return Err(read_only("COPY FROM"));
    }
    cursor.must("TO")?;
    if !cursor.took("STDOUT") {
        return Err(read_only("COPY TO a file"));
    }
    let format = Options::read(&mut cursor)?.format()?;
    reading::read(&query, Action::Copy { format })
}

/// The tokens between the brackets.
fn bracketed(statement: &[TokenWithSpan], cursor: &mut Cursor<'_>) -> Result<Vec<TokenWithSpan>, QueryError> {
    let Some(first) = statement.iter().position(|token| token.token == Token::LParen) else { return Err(cursor.expected("(")) };
    let mut open = 0_usize;
    for (place, token) in statement.iter().enumerate().skip(first) {
        if says(token) {
            cursor.next();
        }
        match token.token {
            Token::LParen => open += 1,
            Token::RParen => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Ok(statement.get(first + 1..place).unwrap_or_default().to_vec());
        }
    }
    Err(cursor.expected(")"))
}

/// `COPY name (columns)` as the SELECT that it means.
fn table(cursor: &mut Cursor<'_>) -> Result<Vec<TokenWithSpan>, QueryError> {
    let word = |text: &str| TokenWithSpan::wrap(Token::make_word(text, None));
    let mut name = Vec::new();
    let mut columns = Vec::new();
    loop {
        match cursor.peek() {
            Some(token) if matches!(token.token, Token::Word(_)) => name.push(token.clone()),
            _ => return Err(cursor.expected("a table, or a query in brackets")),
        }
        cursor.next();
        match cursor.peek() {
            Some(token) if token.token == Token::Period => name.push(token.clone()),
            _ => break,
        }
        cursor.next();
    }
    if cursor.took_token(&Token::LParen) {
        loop {
            match cursor.next() {
                Some(token) if token.token == Token::RParen => break,
                Some(token) if matches!(token.token, Token::Word(_) | Token::Comma) => columns.push(token.clone()),
                _ => return Err(cursor.expected("columns")),
            }
        }
    }
    if columns.is_empty() {
        columns.push(TokenWithSpan::wrap(Token::Mul));
    }
    Ok([vec![word("SELECT")], columns, vec![word("FROM")], name].concat())
}

/// What is written after STDOUT.
#[derive(Default)]
struct Options {
    kind: Option<CopyKind>,
    header: bool,
    delimiter: Option<String>,
    null: Option<String>,
    quote: Option<String>,
    escape: Option<String>,
}

impl Options {
    fn read(cursor: &mut Cursor<'_>) -> Result<Options, QueryError> {
        let mut options = Options::default();
        // May be left out in both syntaxes.
        cursor.took("WITH");
        if cursor.took_token(&Token::LParen) {
            loop {
                options.present(cursor)?;
                if cursor.took_token(&Token::Comma) {
                    continue;
                }
                if !cursor.took_token(&Token::RParen) {
                    return Err(cursor.expected(")"));
                }
                break;
            }
        } else {
            while cursor.peek().is_some() {
                options.former(cursor)?;
            }
        }
        cursor.end()?;
        Ok(options)
    }

    fn present(&mut self, cursor: &mut Cursor<'_>) -> Result<(), QueryError> {
        let name = cursor.name()?;
        match name.as_str() {
            "format" => {
                let kind = match cursor.peek().map(|token| &token.token) {
                    Some(token) if quoted(token).is_some() => quoted(token).unwrap_or_default().to_ascii_lowercase(),
                    // A word, or a name in quotes.
                    _ => cursor.clone().name().unwrap_or_default().to_ascii_lowercase(),
                };
                self.kind = Some(match kind.as_str() {
                    "text" => CopyKind::Text,
                    "csv" => CopyKind::Csv,
                    "binary" => CopyKind::Binary,
                    _ => return Err(cursor.expected("text, csv or binary")),
                });
                cursor.next();
            }
            "header" => self.header = truth(cursor)?,
            "delimiter" => self.delimiter = Some(text(cursor)?),
            "null" => self.null = Some(text(cursor)?),
            "quote" => self.quote = Some(text(cursor)?),
            "escape" => self.escape = Some(text(cursor)?),
            "encoding" => {
                let encoding = text(cursor)?;
                if !encoding.replace('-', "").eq_ignore_ascii_case("utf8") {
                    return Err(value(format!("the encoding is UTF8, not {encoding}")));
                }
            }
            _ => return Err(value(format!("COPY TO has no option {name}"))),
        }
        Ok(())
    }

    fn former(&mut self, cursor: &mut Cursor<'_>) -> Result<(), QueryError> {
        let name = cursor.name()?;
        let argument = |cursor: &mut Cursor<'_>| {
            cursor.took("AS");
            text(cursor)
        };
        match name.as_str() {
            "csv" => self.kind = Some(CopyKind::Csv),
            "binary" => self.kind = Some(CopyKind::Binary),
            "header" => self.header = true,
            "delimiter" | "delimiters" => self.delimiter = Some(argument(cursor)?),
            "null" => self.null = Some(argument(cursor)?),
            "quote" => self.quote = Some(argument(cursor)?),
            "escape" => self.escape = Some(argument(cursor)?),
            _ => return Err(value(format!("COPY TO has no option {name}"))),
        }
        Ok(())
    }

    fn format(self) -> Result<CopyFormat, QueryError> {
        let kind = self.kind.unwrap_or(CopyKind::Text);
        let csv = kind == CopyKind::Csv;
        if kind == CopyKind::Binary && (self.header || self.delimiter.is_some() || self.null.is_some()) {
            return Err(value("a binary COPY has neither header nor delimiter nor null"));
        }
        if !csv && (self.quote.is_some() || self.escape.is_some()) {
            return Err(value("QUOTE and ESCAPE are for csv"));
        }
        let delimiter = self.delimiter.map_or(Ok(if csv { b',' } else { b'\t' }), |text| byte("DELIMITER", &text))?;
        let quote = self.quote.map_or(Ok(b'"'), |text| byte("QUOTE", &text))?;
        let escape = self.escape.map_or(Ok(quote), |text| byte("ESCAPE", &text))?;
        if csv && delimiter == quote {
            return Err(value("DELIMITER and QUOTE must differ"));
        }
        if !csv && (delimiter == b'\\' || delimiter == b'.' || delimiter.is_ascii_alphanumeric()) {
            return Err(value("a DELIMITER of text is no letter, digit, point or backslash"));
        }
        let null = self.null.unwrap_or_else(|| if csv { String::new() } else { "\\N".to_owned() });
        if null.contains(['\r', '\n']) {
            return Err(value("NULL must not hold a line's end"));
        }
        Ok(CopyFormat { kind, header: self.header, delimiter, null, quote, escape })
    }
}

fn value(message: impl Into<String>) -> QueryError {
    QueryError::Setting { message: message.into(), hint: None, known: true }
}

fn byte(name: &str, text: &str) -> Result<u8, QueryError> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\r' | b'\n') => Ok(*byte),
        _ => Err(value(format!("{name} is one character, of one byte"))),
    }
}

fn text(cursor: &mut Cursor<'_>) -> Result<String, QueryError> {
    let Some(text) = cursor.peek().and_then(|token| quoted(&token.token)) else { return Err(cursor.expected("a text in quotes")) };
    let text = text.to_owned();
    cursor.next();
    Ok(text)
}

/// A truth value, which may be left out.
fn truth(cursor: &mut Cursor<'_>) -> Result<bool, QueryError> {
    let said = match cursor.peek().map(|token| &token.token) {
        None | Some(Token::Comma | Token::RParen) => return Ok(true),
        Some(Token::Number(number, _)) => number.clone(),
        Some(token) => quoted(token).map(str::to_ascii_lowercase).or_else(|| cursor.peek_word().map(|word| word.to_ascii_lowercase())).unwrap_or_default(),
    };
    let truth = match said.as_str() {
        "true" | "on" | "1" | "yes" => true,
        "false" | "off" | "0" | "no" => false,
        _ => return Err(cursor.expected("true or false")),
    };
    cursor.next();
    Ok(truth)
}

#[cfg(test)]
mod tests {
    use super::super::{Command, read};
    use super::*;

    fn copied(sql: &str) -> Result<(String, CopyFormat), String> {
        match read(sql) {
            Ok(Command::Read(Reading { statement, action: Action::Copy { format }, .. })) => Ok((statement.to_string(), format)),
            Ok(other) => Err(format!("{other:?}")),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn both_syntaxes_mean_the_same() {
        let (query, csv) = copied("COPY (SELECT ')' AS a, (1) AS b) TO STDOUT WITH (FORMAT csv, HEADER)").unwrap();
        assert_eq!(query, "SELECT ')' AS a, (1) AS b");
        assert_eq!(csv, CopyFormat { kind: CopyKind::Csv, header: true, delimiter: b',', null: String::new(), quote: b'"', escape: b'"' });
        assert_eq!(copied("copy (SELECT ')' AS a, (1) AS b) to stdout csv header").unwrap(), (query, csv));
        let text = CopyFormat { kind: CopyKind::Text, header: false, delimiter: b'\t', null: "\\N".into(), quote: b'"', escape: b'"' };
        assert_eq!(copied("COPY (SELECT 1) TO STDOUT").unwrap().1, text);
        assert_eq!(copied("COPY (SELECT 1) TO STDOUT (FORMAT 'binary')").unwrap().1, CopyFormat { kind: CopyKind::Binary, ..text.clone() });
        assert_eq!(copied("COPY (SELECT 1) TO STDOUT (FORMAT \"binary\");").unwrap().1.kind, CopyKind::Binary);
        assert_eq!(copied("COPY (SELECT 1) TO STDOUT DELIMITER AS '|' NULL AS 'x'").unwrap().1, CopyFormat { delimiter: b'|', null: "x".into(), ..text });
        assert_eq!(copied("COPY ledger.transactions (seq, \"partition\") TO STDOUT").unwrap().0, "SELECT seq, \"partition\" FROM ledger.transactions");
        assert_eq!(copied("COPY transactions TO STDOUT").unwrap().0, "SELECT * FROM transactions");
    }

    #[test]
    fn options_that_do_not_go_together_are_refused() {
        for sql in [
            "COPY (SELECT 1) TO STDOUT (FORMAT parquet)",
            "COPY (SELECT 1) TO STDOUT (DELIMITER 'ab')",
            "COPY (SELECT 1) TO STDOUT (FORMAT binary, HEADER)",
            "COPY (SELECT 1) TO STDOUT (QUOTE 'x')",
            "COPY (SELECT 1) TO STDOUT (FORMAT csv, FORCE_NULL (a))",
            "COPY (SELECT 1) TO STDOUT (ENCODING 'LATIN1')",
            "COPY (SELECT 1 TO STDOUT",
            "COPY (DELETE FROM t) TO STDOUT",
            "COPY (SELECT 1; SELECT 2) TO STDOUT",
        ] {
            assert!(copied(sql).is_err(), "{sql}");
        }
    }
}
