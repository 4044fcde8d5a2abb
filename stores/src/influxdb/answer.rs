//! What a server answers to InfluxQL: one JSON object a line, each a part of the result of a statement. Pure.
//!
//! What must stay true: an answer that was cut off is never taken for a whole one; an error in the midst of it is found. (The same
//! answer as CSV has neither errors nor an end.)

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// One line of an answer.
#[derive(Debug, Default, serde::Deserialize)]
pub struct Line<'a> {
    /// Parts of the results of statements.
    #[serde(borrow, default)]
    pub results: Vec<Part<'a>>,
    /// Why there is none.
    #[serde(default)]
    pub error: Option<String>,
}

/// A part of the result of one statement.
#[derive(Debug, serde::Deserialize)]
pub struct Part<'a> {
    /// Which statement, from 0.
    #[serde(default)]
    pub statement_id: usize,
    /// Rows.
    #[serde(borrow, default)]
    pub series: Vec<Series<'a>>,
    /// Whether more parts of the same result follow.
    #[serde(default)]
    pub partial: bool,
    /// Why the result ends here.
    #[serde(default)]
    pub error: Option<String>,
}

/// Rows of the same tags.
#[derive(Debug, serde::Deserialize)]
pub struct Series<'a> {
    /// The tags that the statement groups by.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Names of the columns; the first is the time.
    #[serde(default)]
    pub columns: Vec<String>,
    /// The rows.
    #[serde(borrow, default)]
    pub values: Vec<Vec<Datum<'a>>>,
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Datum<'a> {
    /// There is none.
    Null,
    /// An integer; a time in nanoseconds.
    Int(i64),
    /// A real number.
    Float(f64),
    /// A tag or a text.
    Text(Cow<'a, str>),
}

impl Datum<'_> {
    /// The integer that it is.
    #[must_use]
    pub fn int(&self) -> Option<i64> {
        match self {
            Datum::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The text that it is.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Datum::Text(text) => Some(text),
            _ => None,
        }
    }

    fn into_owned(self) -> Datum<'static> {
        match self {
            Datum::Null => Datum::Null,
            Datum::Int(value) => Datum::Int(value),
            Datum::Float(value) => Datum::Float(value),
            Datum::Text(text) => Datum::Text(Cow::Owned(text.into_owned())),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Datum<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Datum<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, a text or null")
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<Datum<'de>, E> {
                Ok(Datum::Int(value))
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Datum<'de>, E> {
                i64::try_from(value).map(Datum::Int).map_err(|_| E::custom("an integer beyond 64 bits"))
            }
            fn visit_f64<E: Error>(self, value: f64) -> Result<Datum<'de>, E> {
                Ok(Datum::Float(value))
            }
            fn visit_bool<E: Error>(self, value: bool) -> Result<Datum<'de>, E> {
                Ok(Datum::Int(i64::from(value)))
            }
            fn visit_unit<E: Error>(self) -> Result<Datum<'de>, E> {
                Ok(Datum::Null)
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Datum<'de>, E> {
                Ok(Datum::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Datum<'de>, E> {
                Ok(Datum::Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// Why an answer is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server says so.
    Said(String),
    /// It cannot be read.
    Unreadable(String),
    /// It ends before it is whole.
    CutOff,
}

/// Reads the lines of one answer, and knows whether it is whole.
#[derive(Clone, Debug)]
pub struct Reader {
    ended: Vec<bool>,
}

impl Reader {
    /// Of an answer to so many statements.
    #[must_use]
    pub fn new(statements: usize) -> Reader {
        Reader { ended: vec![false; statements] }
    }

    /// Reads the next line.
    ///
    /// # Errors
    /// What the server says is wrong, or that this is no answer to what was asked.
    pub fn read<'a>(&mut self, line: &'a [u8]) -> Result<Vec<Part<'a>>, Fault> {
        let line: Line<'a> = serde_json::from_slice(line).map_err(|error| Fault::Unreadable(error.to_string()))?;
        if let Some(error) = line.error {
            return Err(Fault::Said(error));
        }
        for part in &line.results {
            if let Some(error) = &part.error {
                return Err(Fault::Said(error.clone()));
            }
            match self.ended.get_mut(part.statement_id) {
                Some(ended) if !*ended => *ended = !part.partial,
                _ => return Err(Fault::Unreadable(format!("a result of statement {} that was not expected", part.statement_id))),
            }
        }
        Ok(line.results)
    }

    /// What is wrong with an answer that ends here, if anything.
    ///
    /// # Errors
    /// It was cut off.
    pub fn end(&self) -> Result<(), Fault> {
        if self.ended.iter().all(|ended| *ended) { Ok(()) } else { Err(Fault::CutOff) }
    }
}

/// One row of a small answer: its columns and tags by name.
#[derive(Clone, Debug, Default)]
pub struct Fields(BTreeMap<String, Datum<'static>>);

impl Fields {
    /// An integer; 0 where there is none.
    #[must_use]
    pub fn int(&self, name: &str) -> i64 {
        self.0.get(name).and_then(Datum::int).unwrap_or(0)
    }

    /// An integer that is not negative; 0 where there is none.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        u64::try_from(self.int(name)).unwrap_or(0)
    }

    /// A text, or a tag; empty where there is none.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Datum::text).unwrap_or_default()
    }
}

/// The rows of some parts of a small answer.
#[must_use]
pub fn fields(parts: Vec<Part<'_>>) -> Vec<Fields> {
    let mut found = Vec::new();
    for series in parts.into_iter().flat_map(|part| part.series) {
        for row in series.values {
            let tags = series.tags.iter().map(|(name, value)| (name.clone(), Datum::Text(Cow::Owned(value.clone()))));
            let columns = series.columns.iter().cloned().zip(row.into_iter().map(Datum::into_owned));
            found.push(Fields(tags.chain(columns).collect()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_an_answer_are_read_and_its_end_is_known() {
        let mut reader = Reader::new(2);
        let first = br#"{"results":[{"statement_id":0,"series":[{"name":"throughput","columns":["time","department","alerts"],"values":[[1767225600000000017,"a\u003cb",9007199254740993],[5,"IT",null]],"partial":true}],"partial":true}]}"#;
        let parts = reader.read(first).unwrap();
        assert_eq!(parts[0].series[0].values[0], [Datum::Int(1_767_225_600_000_000_017), Datum::Text("a<b".into()), Datum::Int(9_007_199_254_740_993)]);
        assert_eq!(parts[0].series[0].values[1][2], Datum::Null);
        assert_eq!(reader.end(), Err(Fault::CutOff));
        reader.read(br#"{"results":[{"statement_id":0,"series":[{"name":"throughput","columns":["time"],"values":[[6]]}]}]}"#).unwrap();
        assert_eq!(reader.end(), Err(Fault::CutOff));
        assert!(reader.read(br#"{"results":[{"statement_id":1}]}"#).unwrap()[0].series.is_empty());
        assert_eq!(reader.end(), Ok(()));
        assert!(matches!(reader.read(br#"{"results":[{"statement_id":1}]}"#), Err(Fault::Unreadable(_))));
        assert!(matches!(reader.read(br#"{"results":[{"statement_id":2}]}"#), Err(Fault::Unreadable(_))));
    }

    #[test]
    fn an_error_in_the_midst_is_found() {
        let said = |line: &[u8]| Reader::new(1).read(line).unwrap_err();
        assert_eq!(said(br#"{"results":[{"statement_id":0,"error":"database not found: x"}]}"#), Fault::Said("database not found: x".into()));
        assert_eq!(said(br#"{"error":"shutting down"}"#), Fault::Said("shutting down".into()));
        assert!(matches!(said(b"OK"), Fault::Unreadable(_)));
    }

    #[test]
    fn a_small_answer_is_read_by_name() {
        let line = br#"{"results":[{"statement_id":0,"series":[{"name":"p","tags":{"partition":"3","stream":"scorer"},"columns":["time","next_seq"],"values":[[7,42]]}]}]}"#;
        let found = fields(Reader::new(1).read(line).unwrap());
        assert_eq!((found[0].text("partition"), found[0].text("stream"), found[0].int("next_seq"), found[0].count("stored")), ("3", "scorer", 42, 0));
    }
}
