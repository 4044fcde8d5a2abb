//! A case: a record that is not as it should be, under a name, with what must become of it.
//!
//! Tables write texts as they stand in the record; `<<x*129>>` stands for 129 times `x`, `<<hex ff 00>>` for those bytes.

use wh_eventlog::Record;

/// What must become of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// It is scored; the member of that name of the scored record, where it is looked at, has that JSON text.
    Accepted(Option<(String, String)>),
    /// A dead letter of intake with that class.
    Letter(String),
}

impl Expected {
    /// What a table says of a field: `ok`, `ok=JSON`, a fault's code of that field, `record:CODE`, or a class as it is (with a colon).
    pub(super) fn said(field: &str, said: &str) -> Expected {
        match said {
            "ok" => Expected::Accepted(None),
            _ if said.starts_with("ok=") => Expected::Accepted(Some((field.to_owned(), said[3..].to_owned()))),
            _ if said.contains(':') => Expected::Letter(said.to_owned()),
            _ => Expected::Letter(format!("{field}:{said}")),
        }
    }

    pub(super) fn invalid_json() -> Expected {
        Expected::Letter("record:invalid_json".to_owned())
    }
}

/// One malformed, or oddly formed, record.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) record: Record,
    pub(super) expected: Expected,
}

/// Fields of a transaction that must be there.
pub(super) const REQUIRED: [&str; 7] = ["transaction_id", "timestamp", "user_id", "account_id", "department", "transaction_type", "amount"];
/// Those that may be.
pub(super) const OPTIONAL: [&str; 3] = ["description", "counterparty_account", "metadata"];

/// Every known field, in the order of [`Draft::good`].
pub(super) fn fields() -> impl Iterator<Item = &'static str> {
    REQUIRED.into_iter().chain(OPTIONAL)
}

/// A record as members of text, to be altered.
#[derive(Clone, Debug)]
pub(super) struct Draft(pub(super) Vec<(String, String)>);

impl Draft {
    /// A record that is as it should be.
    pub(super) fn good(number: usize) -> Draft {
        let values = [
            format!("\"case {number:04}\""),
            "\"2026-01-05T10:15:00Z\"".to_owned(),
            format!("\"corpus user {}\"", number % 40),
            format!("\"A-{}\"", number % 7),
            "\"Surgery\"".to_owned(),
            "\"payment\"".to_owned(),
            "125.40".to_owned(),
            "\"what it was for\"".to_owned(),
            "\"C-9\"".to_owned(),
            "{\"ip\":\"10.0.0.1\"}".to_owned(),
        ];
        Draft(fields().map(|field| format!("\"{field}\"")).zip(values).collect())
    }

    /// The same with another value of a field; one that is not known is added.
    pub(super) fn with(mut self, field: &str, value: &str) -> Draft {
        let key = format!("\"{field}\"");
        match self.0.iter_mut().find(|(of, _)| *of == key) {
            Some((_, old)) => value.clone_into(old),
            None => self.0.push((key, value.to_owned())),
        }
        self
    }

    /// The same with another key, as it stands in the record, for a field.
    pub(super) fn renamed(mut self, field: &str, key: &str) -> Draft {
        let old = format!("\"{field}\"");
        for (of, _) in self.0.iter_mut().filter(|(of, _)| *of == old) {
            key.clone_into(of);
        }
        self
    }

    /// The same without some fields.
    pub(super) fn without(mut self, gone: &[&str]) -> Draft {
        self.0.retain(|(key, _)| !gone.iter().any(|field| *key == format!("\"{field}\"")));
        self
    }

    /// The record's text, still with what stands for other bytes.
    pub(super) fn text(&self) -> String {
        let members: Vec<String> = self.0.iter().map(|(key, value)| format!("{key}:{value}")).collect();
        format!("{{{}}}", members.join(","))
    }
}

/// The bytes that a text of a table stands for.
pub(super) fn expand(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((before, from)) = rest.split_once("<<") {
        let (inside, behind) = from.split_once(">>").unwrap_or_else(|| panic!("{text:?} has a << without a >>"));
        bytes.extend_from_slice(before.as_bytes());
        match inside.strip_prefix("hex ") {
            Some(digits) => bytes.extend(digits.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap())),
            None => {
                let (part, count) = inside.rsplit_once('*').unwrap_or_else(|| panic!("{inside:?} says nothing to repeat"));
                bytes.extend(part.as_bytes().repeat(count.parse().unwrap()));
            }
        }
        rest = behind;
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// Gathers cases. Each gets a number, from which its id is made, so that no two are one transaction.
#[derive(Default)]
pub(super) struct Corpus(pub(super) Vec<Case>);

impl Corpus {
    /// The next case's record, as it should be.
    pub(super) fn good(&self) -> Draft {
        Draft::good(self.0.len())
    }

    /// Adds a case of a draft.
    pub(super) fn draft(&mut self, name: String, draft: &Draft, expected: Expected) {
        self.bytes(name, expand(&draft.text()), expected);
    }

    /// Adds a case of bytes, under a key as a producer would give it.
    pub(super) fn bytes(&mut self, name: String, value: Vec<u8>, expected: Expected) {
        let record = Record::new(format!("key {}", self.0.len()), value);
        self.record(name, record, expected);
    }

    /// Adds a case of a whole record.
    pub(super) fn record(&mut self, name: String, record: Record, expected: Expected) {
        self.0.push(Case { name, record, expected });
    }
}
