//! JSON in BSON, both ways: how a row's metadata and explanation are documents that MongoDB's own tools can read.
//!
//! What must stay true: pure; a text for which [`super::rows::RowWriter::json`] says `true` comes back from [`text_of`] byte by byte, in every
//! version of this code; where it says `false`, what was written is only the nearest document, and the text must be kept beside it.
//! Numbers: an integer of 64 bits as one, a real number where the shortest decimal that means it is the one that was sent, then
//! whatever 34 decimal digits can hold (trailing zeros are kept by them).

use std::borrow::Cow;

use ::mongodb::bson::error::Error as BsonError;
use ::mongodb::bson::{Decimal128, RawArray, RawBsonRef, RawDocument};
use wh_schemas::json::write_string;

use super::rows::{ARRAY, BOOLEAN, DECIMAL, DOCUMENT, DOUBLE, INT32, INT64, NULL, STRING, begin, element, end, string};

/// Deepest nesting that becomes a document. MongoDB promises a hundred levels, of which a row takes one itself.
pub const MAX_DEPTH: usize = 64;
/// Most names of one object that are out of order: each is compared with those before it.
const MAX_COMPARED: usize = 256;

/// Appends a JSON object as a document; `false` where [`text_of`] would not give it back. Nothing where there is no document for it, and what
/// was appended is to be dropped.
pub(super) fn append(text: &str, out: &mut Vec<u8>) -> Option<bool> {
    let mut reader = Reader { text, at: 0, exact: true };
    reader.object(out, 1)?;
    (reader.at == text.len()).then_some(reader.exact)
}

/// Reads a JSON text and writes what it reads. Each step gives nothing where there is no document for it.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    exact: bool,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is no blank. Blanks are not kept.
    fn next(&mut self) -> Option<u8> {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
            self.exact = false;
        }
        self.peek()
    }

    fn take(&mut self, expected: &str) -> Option<()> {
        self.next()?;
        if !self.text.get(self.at..)?.starts_with(expected) {
            return None;
        }
        self.at += expected.len();
        Some(())
    }

    fn object(&mut self, out: &mut Vec<u8>, depth: usize) -> Option<()> {
        self.take("{")?;
        let start = begin(out);
        let mut names = Names::default();
        if self.next()? == b'}' {
            self.at += 1;
            return end(out, start);
        }
        loop {
            self.next()?;
            let name = self.string()?;
            if name.contains('\0') || !names.is_new(name.clone()) {
                return None;
            }
            self.take(":")?;
            self.value(&name, out, depth)?;
            match self.next()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return end(out, start);
                }
                _ => return None,
            }
        }
    }

    fn array(&mut self, out: &mut Vec<u8>, depth: usize) -> Option<()> {
        self.take("[")?;
        let start = begin(out);
        if self.next()? == b']' {
            self.at += 1;
            return end(out, start);
        }
        for index in 0_usize.. {
            self.value(&index.to_string(), out, depth)?;
            match self.next()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return end(out, start);
                }
                _ => return None,
            }
        }
        None
    }

    fn value(&mut self, name: &str, out: &mut Vec<u8>, depth: usize) -> Option<()> {
        match self.next()? {
            b'{' | b'[' if depth >= MAX_DEPTH => None,
            b'{' => {
                element(out, DOCUMENT, name);
                self.object(out, depth + 1)
            }
            b'[' => {
                element(out, ARRAY, name);
                self.array(out, depth + 1)
            }
            b'"' => {
                let text = self.string()?;
                element(out, STRING, name);
                string(out, &text);
                Some(())
            }
            b't' => {
                element(out, BOOLEAN, name);
                out.push(1);
                self.take("true")
            }
            b'f' => {
                element(out, BOOLEAN, name);
                out.push(0);
                self.take("false")
            }
            b'n' => {
                element(out, NULL, name);
                self.take("null")
            }
            _ => self.number(name, out),
        }
    }

    /// The string at which the reader stands, without its escapes.
    fn string(&mut self) -> Option<Cow<'a, str>> {
        if self.peek()? != b'"' {
            return None;
        }
        let begin = self.at + 1;
        let (mut at, mut escaped) = (begin, false);
        loop {
            match self.text.as_bytes().get(at)? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    at += 2;
                }
                0..=0x1F => return None,
                _ => at += 1,
            }
        }
        self.at = at + 1;
        if !escaped {
            return self.text.get(begin..at).map(Cow::Borrowed);
        }
        let literal = self.text.get(begin - 1..self.at)?;
        let plain: String = serde_json::from_str(literal).ok()?;
        let mut again = String::with_capacity(literal.len());
        write_string(&plain, &mut again);
        self.exact &= again == literal;
        Some(Cow::Owned(plain))
    }

    fn number(&mut self, name: &str, out: &mut Vec<u8>) -> Option<()> {
        let begin = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) {
            self.at += 1;
        }
        let text = self.text.get(begin..self.at).filter(|text| !text.is_empty())?;
        let double = text.parse::<f64>().ok()?;
        let whole = text.parse::<i64>().ok().filter(|whole| whole.to_string() == text);
        if let Some(whole) = whole {
            if let Ok(small) = i32::try_from(whole) {
                element(out, INT32, name);
                out.extend_from_slice(&small.to_le_bytes());
            } else {
                element(out, INT64, name);
                out.extend_from_slice(&whole.to_le_bytes());
            }
            return Some(());
        }
        let decimal = text.parse::<Decimal128>().ok();
        let exact_double = double.is_finite() && !text.contains('e') && shortest(double) == text;
        let exact_decimal = decimal.is_some_and(|decimal| decimal.to_string() == text);
        self.exact &= exact_double || exact_decimal;
        match decimal {
            Some(decimal) if !exact_double && (exact_decimal || !double.is_finite()) => {
                element(out, DECIMAL, name);
                out.extend_from_slice(&decimal.bytes());
            }
            _ if double.is_finite() => {
                element(out, DOUBLE, name);
                out.extend_from_slice(&double.to_le_bytes());
            }
            _ => {
                element(out, STRING, name);
                string(out, text);
            }
        }
        Some(())
    }
}

/// The shortest decimal that means this number, with a point in it: `1.0`, `0.1`. Between 0.0001 and 10^16 it has no exponent.
fn shortest(double: f64) -> String {
    format!("{double:?}")
}

/// The names of one object, to tell one that occurs twice. Those of a canonical text ascend, which is quickly told.
#[derive(Default)]
struct Names<'a> {
    seen: Vec<Cow<'a, str>>,
    unordered: bool,
}

impl<'a> Names<'a> {
    /// `false` where the name was seen before, and where there are too many to tell.
    fn is_new(&mut self, name: Cow<'a, str>) -> bool {
        self.unordered |= self.seen.last().is_some_and(|last| *last >= name);
        let new = !self.unordered || (self.seen.len() <= MAX_COMPARED && !self.seen.contains(&name));
        self.seen.push(name);
        new
    }
}

/// What is no JSON: somebody else wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it holds {0}, which no JSON is kept as")]
pub struct Foreign(String);

impl From<BsonError> for Foreign {
    fn from(_: BsonError) -> Self {
        // Its own words name what is in the document.
        Foreign("damaged BSON".to_owned())
    }
}

/// Appends a document as JSON text, without blanks.
///
/// # Errors
/// A value in it is of a type that no JSON is kept as.
pub fn text_of(document: &RawDocument, out: &mut String) -> Result<(), Foreign> {
    out.push('{');
    for (index, member) in document.iter().enumerate() {
        let (name, value) = member?;
        if index > 0 {
            out.push(',');
        }
        write_string(name.as_str(), out);
        out.push(':');
        value_text(value, out)?;
    }
    out.push('}');
    Ok(())
}

/// Appends a value as JSON text, without blanks.
///
/// # Errors
/// As [`text_of`].
pub fn value_text(value: RawBsonRef<'_>, out: &mut String) -> Result<(), Foreign> {
    match value {
        RawBsonRef::Null => out.push_str("null"),
        RawBsonRef::Boolean(value) => out.push_str(if value { "true" } else { "false" }),
        RawBsonRef::Int32(value) => out.push_str(&value.to_string()),
        RawBsonRef::Int64(value) => out.push_str(&value.to_string()),
        RawBsonRef::Double(value) if value.is_finite() => out.push_str(&shortest(value)),
        RawBsonRef::Decimal128(value) => out.push_str(&value.to_string()),
        RawBsonRef::String(text) => write_string(text, out),
        RawBsonRef::Document(document) => text_of(document, out)?,
        RawBsonRef::Array(array) => array_text(array, out)?,
        other => return Err(Foreign(format!("a value of the type {:?}", other.element_type()))),
    }
    Ok(())
}

fn array_text(array: &RawArray, out: &mut String) -> Result<(), Foreign> {
    out.push('[');
    for (index, item) in array.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        value_text(item?, out)?;
    }
    out.push(']');
    Ok(())
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
