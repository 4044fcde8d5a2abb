//! From a producer's bytes to a [`Transaction`]: total, every fault of a record told at once.
//!
//! Tolerant of form (numbers or numeric strings for amounts, timestamps with or without offset or fraction, unknown
//! fields, any key order), strict where money or identity is at stake. What must stay true: no input panics, nothing a
//! producer sent is dropped, and no label that came with the data is left where the scorer reads.

use std::fmt;

use chrono_tz::Tz;
use hashbrown::HashSet;
use serde_json::value::RawValue;

use crate::ids;
use crate::json::{self, JsonError, Node, RawObject, Text};
use crate::money::{AmountError, Cents};
use crate::time::Micros;
use crate::transaction::{Transaction, TransactionType};

/// Longest record that is read, in bytes.
pub const MAX_RECORD_BYTES: usize = 256 * 1024;
/// Longest id or account, in bytes.
pub const MAX_ID_BYTES: usize = 128;
/// Longest department, in bytes.
pub const MAX_DEPARTMENT_BYTES: usize = 64;
/// Longest description, in bytes.
pub const MAX_DESCRIPTION_BYTES: usize = 4 * 1024;

/// Keys that say what a row is instead of what happened; unless the settings name others.
pub const DEFAULT_LABEL_KEYS: [&str; 21] = [
    "is_anomaly",
    "anomaly",
    "anomaly_type",
    "anomaly_score",
    "anomaly_reason",
    "is_fraud",
    "fraud",
    "fraud_type",
    "fraud_label",
    "is_suspicious",
    "suspicious",
    "label",
    "labels",
    "ground_truth",
    "truth",
    "scenario",
    "incident_id",
    "expected_risk",
    "risk_score",
    "risk_level",
    "risk_factors",
];

/// What a reader of foreign records has to know.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Zone of timestamps without an offset.
    pub zone: Tz,
    /// Keys that are stripped into `metadata._labels`, in lower case.
    pub label_keys: Vec<String>,
}

impl Default for Reading {
    fn default() -> Self {
        Reading { zone: Tz::UTC, label_keys: DEFAULT_LABEL_KEYS.iter().map(|k| (*k).to_owned()).collect() }
    }
}

/// What is wrong with a field, by name: the class of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FaultCode {
    /// The record exceeds [`MAX_RECORD_BYTES`].
    RecordTooLarge,
    /// Not UTF-8.
    InvalidUtf8,
    /// Not JSON, or something after it.
    InvalidJson,
    /// JSON, but no object.
    NotAnObject,
    /// A key occurs twice in one object.
    DuplicateKey,
    /// Nested deeper than [`json::MAX_DEPTH`].
    TooDeep,
    /// U+0000 in a string.
    Nul,
    /// A field that must be there is not, or is null.
    Missing,
    /// A field of another JSON type.
    WrongType,
    /// An id of no characters or of blanks only.
    Empty,
    /// A string longer than its limit.
    TooLong,
    /// No instant of the years 1 to 9999.
    InvalidTimestamp,
    /// A type that is not known.
    UnknownType,
    /// NaN, infinite or no number.
    NotANumber,
    /// Zero or less.
    NotPositive,
    /// More than two decimal places.
    TooManyPlaces,
    /// Beyond `DECIMAL(15,2)`.
    TooLarge,
}

impl FaultCode {
    /// Each of them.
    pub const ALL: [FaultCode; 17] = [
        FaultCode::RecordTooLarge,
        FaultCode::InvalidUtf8,
        FaultCode::InvalidJson,
        FaultCode::NotAnObject,
        FaultCode::DuplicateKey,
        FaultCode::TooDeep,
        FaultCode::Nul,
        FaultCode::Missing,
        FaultCode::WrongType,
        FaultCode::Empty,
        FaultCode::TooLong,
        FaultCode::InvalidTimestamp,
        FaultCode::UnknownType,
        FaultCode::NotANumber,
        FaultCode::NotPositive,
        FaultCode::TooManyPlaces,
        FaultCode::TooLarge,
    ];

    /// The name in headers, metrics and reject files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            FaultCode::RecordTooLarge => "record_too_large",
            FaultCode::InvalidUtf8 => "invalid_utf8",
            FaultCode::InvalidJson => "invalid_json",
            FaultCode::NotAnObject => "not_an_object",
            FaultCode::DuplicateKey => "duplicate_key",
            FaultCode::TooDeep => "too_deep",
            FaultCode::Nul => "nul_character",
            FaultCode::Missing => "missing",
            FaultCode::WrongType => "wrong_type",
            FaultCode::Empty => "empty",
            FaultCode::TooLong => "too_long",
            FaultCode::InvalidTimestamp => "invalid_timestamp",
            FaultCode::UnknownType => "unknown_type",
            FaultCode::NotANumber => "not_a_number",
            FaultCode::NotPositive => "not_positive",
            FaultCode::TooManyPlaces => "too_many_places",
            FaultCode::TooLarge => "too_large",
        }
    }
}

/// One thing that is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field, or `record` for the whole.
    pub field: String,
    /// What is wrong, by name.
    pub code: FaultCode,
    /// What was expected and what was found, for a person.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// Every fault of one record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Rejection {
    /// At least one.
    pub faults: Vec<Fault>,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.faults.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl Rejection {
    fn record(code: FaultCode, message: impl Into<String>) -> Rejection {
        Rejection { faults: vec![Fault { field: "record".into(), code, message: message.into() }] }
    }

    /// The codes with their fields, e.g. `amount:not_positive,user_id:missing`: the same for records that fail alike.
    #[must_use]
    pub fn class(&self) -> String {
        let mut parts: Vec<String> = self.faults.iter().map(|f| format!("{}:{}", f.field, f.code.as_str())).collect();
        parts.sort_unstable();
        parts.join(",")
    }

    /// Sixteen hexadecimal digits that are the same for records that fail alike.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!("{:016x}", ids::fingerprint(self.class().as_bytes()))
    }
}

/// Reads one record.
///
/// # Errors
/// Every fault of the record at once. What makes a record unreadable as a whole (encoding, syntax, a doubled key, depth) is told alone.
pub fn decode_transaction<'a>(bytes: &'a [u8], reading: &Reading) -> Result<Transaction<'a>, Rejection> {
    if bytes.len() > MAX_RECORD_BYTES {
        return Err(Rejection::record(FaultCode::RecordTooLarge, format!("expected at most {MAX_RECORD_BYTES} bytes, found {}", bytes.len())));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| Rejection::record(FaultCode::InvalidUtf8, format!("expected UTF-8, found byte {} that is none", e.valid_up_to())))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let blank = [' ', '\t', '\n', '\r'];
    if !text.trim_start_matches(blank).starts_with('{') {
        return Err(match serde_json::from_str::<&RawValue>(text) {
            Ok(_) => Rejection::record(FaultCode::NotAnObject, "expected one JSON object, found another JSON value"),
            Err(error) => Rejection::record(FaultCode::InvalidJson, format!("expected one JSON object: {error}")),
        });
    }
    let members = json::members(text).map_err(|error| json_rejection(&error))?;
    Fields { faults: Vec::new(), reading }.read(members)
}

fn json_code(error: &JsonError) -> FaultCode {
    match error {
        JsonError::Syntax(_) => FaultCode::InvalidJson,
        JsonError::DuplicateKey(_) => FaultCode::DuplicateKey,
        JsonError::TooDeep => FaultCode::TooDeep,
        JsonError::Nul => FaultCode::Nul,
    }
}

fn json_rejection(error: &JsonError) -> Rejection {
    Rejection::record(json_code(error), error.to_string())
}

struct Fields<'r> {
    faults: Vec<Fault>,
    reading: &'r Reading,
}

#[derive(Default)]
struct Slots<'a> {
    transaction_id: Option<&'a RawValue>,
    timestamp: Option<&'a RawValue>,
    user_id: Option<&'a RawValue>,
    account_id: Option<&'a RawValue>,
    department: Option<&'a RawValue>,
    transaction_type: Option<&'a RawValue>,
    amount: Option<&'a RawValue>,
    description: Option<&'a RawValue>,
    counterparty_account: Option<&'a RawValue>,
    metadata: Option<&'a RawValue>,
}

impl Fields<'_> {
    fn read<'a>(mut self, members: Vec<(Text<'a>, &'a RawValue)>) -> Result<Transaction<'a>, Rejection> {
        let mut slots = Slots::default();
        let mut extra = Vec::new();
        for (key, value) in members {
            match key.as_str() {
                "transaction_id" => slots.transaction_id = Some(value),
                "timestamp" => slots.timestamp = Some(value),
                "user_id" => slots.user_id = Some(value),
                "account_id" => slots.account_id = Some(value),
                "department" => slots.department = Some(value),
                "transaction_type" => slots.transaction_type = Some(value),
                "amount" => slots.amount = Some(value),
                "description" => slots.description = Some(value),
                "counterparty_account" => slots.counterparty_account = Some(value),
                "metadata" => slots.metadata = Some(value),
                "schema_version" => {}
                _ => extra.push((key, value)),
            }
        }
        let transaction_id = self.id("transaction_id", slots.transaction_id, MAX_ID_BYTES);
        let timestamp = self.timestamp(slots.timestamp);
        let user_id = self.id("user_id", slots.user_id, MAX_ID_BYTES);
        let account_id = self.id("account_id", slots.account_id, MAX_ID_BYTES);
        let department = self.id("department", slots.department, MAX_DEPARTMENT_BYTES);
        let transaction_type = self.transaction_type(slots.transaction_type);
        let amount = self.amount(slots.amount);
        let description = self.optional("description", slots.description, MAX_DESCRIPTION_BYTES);
        let counterparty_account = self.optional("counterparty_account", slots.counterparty_account, MAX_ID_BYTES);
        let metadata = self.metadata(slots.metadata, extra);
        match (transaction_id, timestamp, user_id, account_id, department, transaction_type, amount, metadata) {
            (Some(transaction_id), Some(timestamp), Some(user_id), Some(account_id), Some(department), Some(transaction_type), Some(amount), Some(metadata))
                if self.faults.is_empty() =>
            {
                Ok(Transaction { transaction_id, timestamp, user_id, account_id, department, transaction_type, amount, description, counterparty_account, metadata })
            }
            _ => Err(Rejection { faults: self.faults }),
        }
    }

    fn fault<T>(&mut self, field: &str, code: FaultCode, message: impl Into<String>) -> Option<T> {
        self.faults.push(Fault { field: field.to_owned(), code, message: message.into() });
        None
    }

    fn string<'a>(&mut self, field: &str, raw: &'a RawValue, limit: usize) -> Option<Text<'a>> {
        if !raw.get().starts_with('"') {
            return self.fault(field, FaultCode::WrongType, format!("expected a string, found {}", excerpt(raw.get())));
        }
        match serde_json::from_str::<Text<'a>>(raw.get()) {
            Err(error) => self.fault(field, FaultCode::InvalidJson, format!("expected a string: {error}")),
            Ok(text) if text.contains('\0') => self.fault(field, FaultCode::Nul, "expected text without U+0000"),
            Ok(text) if text.len() > limit => self.fault(field, FaultCode::TooLong, format!("expected at most {limit} bytes, found {}", text.len())),
            Ok(text) => Some(text),
        }
    }

    fn present<'a>(&mut self, field: &str, raw: Option<&'a RawValue>, expected: &str) -> Option<&'a RawValue> {
        match raw {
            Some(raw) if raw.get() != "null" => Some(raw),
            _ => self.fault(field, FaultCode::Missing, format!("expected {expected}, found nothing")),
        }
    }

    fn id<'a>(&mut self, field: &str, raw: Option<&'a RawValue>, limit: usize) -> Option<Text<'a>> {
        let raw = self.present(field, raw, "a string")?;
        let text = self.string(field, raw, limit)?;
        if text.trim().is_empty() {
            return self.fault(field, FaultCode::Empty, "expected at least one character that is not blank, found none");
        }
        Some(text)
    }

    fn optional<'a>(&mut self, field: &str, raw: Option<&'a RawValue>, limit: usize) -> Option<Text<'a>> {
        let raw = raw.filter(|raw| raw.get() != "null")?;
        self.string(field, raw, limit)
    }

    fn timestamp(&mut self, raw: Option<&RawValue>) -> Option<Micros> {
        const EXPECTED: &str = "a timestamp such as 2026-03-01T08:30:00Z";
        let raw = self.present("timestamp", raw, EXPECTED)?;
        if !raw.get().starts_with('"') {
            return self.fault("timestamp", FaultCode::WrongType, format!("expected {EXPECTED}, found {}", excerpt(raw.get())));
        }
        let text = self.string("timestamp", raw, 64)?;
        match Micros::parse(text.trim(), self.reading.zone) {
            Some(micros) => Some(micros),
            None => self.fault("timestamp", FaultCode::InvalidTimestamp, format!("expected {EXPECTED}, found {}", excerpt(raw.get()))),
        }
    }

    fn transaction_type(&mut self, raw: Option<&RawValue>) -> Option<TransactionType> {
        let raw = self.present("transaction_type", raw, "a transaction type")?;
        let text = self.string("transaction_type", raw, 64)?;
        match TransactionType::parse(&text) {
            Some(transaction_type) => Some(transaction_type),
            None => self.fault(
                "transaction_type",
                FaultCode::UnknownType,
                format!("expected billing, payment, refund, transfer, adjustment, insurance_claim, payroll or procurement, found {}", excerpt(raw.get())),
            ),
        }
    }

    fn amount(&mut self, raw: Option<&RawValue>) -> Option<Cents> {
        const EXPECTED: &str = "expected a decimal number above 0 with at most 2 places";
        let raw = self.present("amount", raw, "a decimal number")?;
        let found = excerpt(raw.get());
        let quoted;
        let number = match raw.get().as_bytes().first() {
            Some(b'"') => {
                quoted = self.string("amount", raw, 64)?;
                quoted.trim()
            }
            Some(b'-' | b'0'..=b'9') => raw.get(),
            _ => return self.fault("amount", FaultCode::WrongType, format!("{EXPECTED}, found {found}")),
        };
        match Cents::parse(number) {
            Ok(cents) if cents.0 > 0 => Some(cents),
            Ok(_) => self.fault("amount", FaultCode::NotPositive, format!("{EXPECTED}, found {found}")),
            Err(error) => {
                let code = match error {
                    // However far below zero: it is the sign that is wrong.
                    AmountError::TooLarge if number.starts_with('-') => return self.fault("amount", FaultCode::NotPositive, format!("{EXPECTED}, found {found}")),
                    AmountError::NotANumber => FaultCode::NotANumber,
                    AmountError::TooManyPlaces => FaultCode::TooManyPlaces,
                    AmountError::TooLarge => FaultCode::TooLarge,
                };
                self.fault("amount", code, format!("{EXPECTED}, found {found} ({error})"))
            }
        }
    }

    /// The metadata in canonical form: labels moved to `_labels`, what stood beside the known fields to `_extra`.
    fn metadata<'a>(&mut self, raw: Option<&'a RawValue>, beside: Vec<(Text<'a>, &'a RawValue)>) -> Option<RawObject<'a>> {
        let mut fields = match raw.filter(|raw| raw.get() != "null") {
            None => Vec::new(),
            Some(raw) if !raw.get().starts_with('{') => {
                return self.fault("metadata", FaultCode::WrongType, format!("expected a JSON object, found {}", excerpt(raw.get())));
            }
            Some(raw) => match Node::parse(raw.get()) {
                Ok(Node::Object(fields)) => fields,
                Ok(_) => return self.fault("metadata", FaultCode::WrongType, "expected a JSON object"),
                Err(error) => return self.fault("metadata", json_code(&error), error.to_string()),
            },
        };
        let mut labels = Gathered::of(take_object(&mut fields, "_labels"));
        let mut extra = Gathered::of(take_object(&mut fields, "_extra"));
        for (key, value) in beside {
            match Node::parse(value.get()) {
                Ok(node) => {
                    let aside = if self.is_label(&key) { &mut labels } else { &mut extra };
                    aside.put(key, node);
                }
                Err(error) => {
                    let field: String = key.chars().take(64).collect();
                    return self.fault(&field, json_code(&error), error.to_string());
                }
            }
        }
        let (found, kept): (Vec<_>, Vec<_>) = fields.into_iter().partition(|(key, _)| self.is_label(key));
        let mut fields = kept;
        for (key, node) in found {
            labels.put(key, node);
        }
        for (name, Gathered { members, .. }) in [("_labels", labels), ("_extra", extra)] {
            if !members.is_empty() {
                fields.push((name.into(), Node::Object(members)));
            }
        }
        let metadata = Node::Object(fields);
        if metadata.is_deeper_than(json::MAX_DEPTH) {
            // What is set aside lies deeper there than where it was sent; what is kept must be readable again, by its hash among others.
            return self.fault("metadata", FaultCode::TooDeep, format!("{}, with what is kept under _labels and _extra", JsonError::TooDeep));
        }
        let mut text = String::with_capacity(raw.map_or(2, |raw| raw.get().len() + 16));
        metadata.write_canonical(&mut text);
        match RawValue::from_string(text) {
            Ok(raw) => Some(RawObject(std::borrow::Cow::Owned(raw))),
            Err(error) => self.fault("metadata", FaultCode::InvalidJson, error.to_string()),
        }
    }

    fn is_label(&self, key: &str) -> bool {
        self.reading.label_keys.iter().any(|label| label.eq_ignore_ascii_case(key))
    }
}

type Members<'a> = Vec<(Text<'a>, Node<'a>)>;

/// Takes the object under `name` out of `fields`; a value of another type stays where it is, under a free name.
fn take_object<'a>(fields: &mut Members<'a>, name: &'static str) -> Members<'a> {
    let Some(at) = fields.iter().position(|(key, _)| key.as_str() == name) else { return Vec::new() };
    match fields.remove(at).1 {
        Node::Object(members) => members,
        other => vec![("_".into(), other)],
    }
}

/// Members to which others are added.
struct Gathered<'a> {
    members: Members<'a>,
    /// Their names: a record may hold thousands of unknown fields, and looking through all for each would take seconds.
    taken: HashSet<Text<'a>>,
}

impl<'a> Gathered<'a> {
    fn of(members: Members<'a>) -> Gathered<'a> {
        let taken = members.iter().map(|(key, _)| key.clone()).collect();
        Gathered { members, taken }
    }

    /// Adds a member; where the name is taken, under the name with a number behind it, so that nothing sent is lost.
    fn put(&mut self, key: Text<'a>, node: Node<'a>) {
        let mut name = key.clone();
        let mut number = 2;
        while !self.taken.insert(name.clone()) {
            name = Text::from(format!("{key}_{number}"));
            number += 1;
        }
        self.members.push((name, node));
    }
}

/// At most forty characters of what was found.
fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(40).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(40).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests;
