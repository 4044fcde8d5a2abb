//! What is known of transactions apart from the stream: which were fraud, and which belong together. From a file beside it, or from the
//! labels that came with the data and that intake has put aside.
//!
//! What must stay true: no score ever reads this; it is only compared with what was scored.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use hashbrown::HashMap;
use serde_json::Value;
use wh_schemas::json::{self, Node};

/// The truth about one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truth {
    /// Whether it was fraud.
    pub fraud: bool,
    /// The incident that it belongs to, by its number in [`Labels`].
    pub incident: Option<u32>,
}

/// Labels by transaction. A transaction that is not named was honest.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    rows: HashMap<String, Truth>,
    incidents: u32,
}

/// Words that mean yes.
fn is_yes(text: &str) -> bool {
    matches!(text.trim().to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "y" | "fraud" | "anomaly" | "suspicious")
}

fn truth_of(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(fraud) => Some(*fraud),
        Value::Number(number) => number.as_f64().map(|n| n != 0.0),
        Value::String(text) => Some(is_yes(text)),
        _ => None,
    }
}

impl Labels {
    /// Reads labels: NDJSON with `transaction_id`, `fraud` (true where it is left out and an incident is named) and, if known, `incident`; or CSV
    /// with a header of these names. Which of them it is, is told by the first byte.
    ///
    /// # Errors
    /// A sentence with the line, where one cannot be read.
    pub fn read(mut input: impl BufRead) -> Result<Labels, String> {
        let unreadable = |e: io::Error| format!("the labels cannot be read: {e}");
        let mut text = String::new();
        let first = input.fill_buf().map_err(unreadable)?.iter().copied().find(|b| !b.is_ascii_whitespace());
        input.read_to_string(&mut text).map_err(unreadable)?;
        let mut labels = Labels::default();
        let mut numbers: BTreeMap<String, u32> = BTreeMap::new();
        if first == Some(b'{') {
            for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
                let told = |message: &str| format!("labels, line {}: {message}", at + 1);
                let value: Value = serde_json::from_str(line).map_err(|e| told(&format!("no JSON object: {e}")))?;
                let id = value.get("transaction_id").and_then(Value::as_str).ok_or_else(|| told("expected a transaction_id"))?;
                let incident = match value.get("incident") {
                    None | Some(Value::Null) => None,
                    Some(Value::String(name)) => Some(name.clone()),
                    Some(other) => Some(other.to_string()),
                };
                let fraud = match value.get("fraud") {
                    None => incident.is_some(),
                    Some(value) => truth_of(value).ok_or_else(|| told("fraud: expected true or false"))?,
                };
                labels.add(id, fraud, incident, &mut numbers);
            }
        } else {
            let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
            let header = reader.headers().map_err(|e| format!("labels: {e}"))?.clone();
            let place = |name: &str| header.iter().position(|column| column.eq_ignore_ascii_case(name));
            let (Some(id), Some(fraud)) = (place("transaction_id"), place("fraud")) else {
                return Err("labels: expected NDJSON, or CSV with a header that names transaction_id and fraud".to_owned());
            };
            let incident = place("incident");
            for record in reader.records() {
                let record = record.map_err(|e| format!("labels: {e}"))?;
                let named = incident.and_then(|at| record.get(at)).filter(|name| !name.is_empty()).map(str::to_owned);
                labels.add(record.get(id).unwrap_or_default(), is_yes(record.get(fraud).unwrap_or_default()), named, &mut numbers);
            }
        }
        Ok(labels)
    }

    fn add(&mut self, id: &str, fraud: bool, incident: Option<String>, numbers: &mut BTreeMap<String, u32>) {
        let incident = incident.filter(|_| fraud).map(|name| {
            *numbers.entry(name).or_insert_with(|| {
                self.incidents += 1;
                self.incidents - 1
            })
        });
        self.rows.insert(id.to_owned(), Truth { fraud, incident });
    }

    /// The truth about a transaction.
    #[must_use]
    pub fn of(&self, transaction_id: &str) -> Truth {
        self.rows.get(transaction_id).copied().unwrap_or(Truth { fraud: false, incident: None })
    }

    /// Whether a transaction is named.
    #[must_use]
    pub fn names(&self, transaction_id: &str) -> bool {
        self.rows.contains_key(transaction_id)
    }

    /// How many transactions are named as fraud.
    #[must_use]
    pub fn fraud(&self) -> usize {
        self.rows.values().filter(|truth| truth.fraud).count()
    }

    /// How many transactions are named.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many incidents are named.
    #[must_use]
    pub fn incidents(&self) -> u32 {
        self.incidents
    }
}

/// What the labels that came with a transaction say, where there are any: yes or no.
#[must_use]
pub fn of_metadata(metadata: &str) -> Option<bool> {
    const KEYS: [&str; 9] = ["is_fraud", "fraud", "fraud_label", "is_anomaly", "anomaly", "is_suspicious", "suspicious", "label", "ground_truth"];
    if !metadata.contains("\"_labels\"") {
        return None;
    }
    let members = json::members(metadata).ok()?;
    let (_, labels) = members.iter().find(|(name, _)| name.as_str() == "_labels")?;
    let Ok(Node::Object(labels)) = Node::parse(labels.get()) else { return None };
    KEYS.iter().find_map(|key| {
        let (_, value) = labels.iter().find(|(name, _)| name.eq_ignore_ascii_case(key))?;
        match value {
            Node::Bool(fraud) => Some(*fraud),
            Node::Number(text) => text.parse::<f64>().ok().map(|n| n != 0.0),
            Node::String(text) => Some(is_yes(text)),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let lines = "{\"transaction_id\":\"a\",\"fraud\":true,\"incident\":\"x\"}\n{\"transaction_id\":\"b\",\"incident\":7}\n\n{\"transaction_id\":\"c\",\"fraud\":0,\"incident\":\"x\"}\n";
        let table = "Transaction_ID, fraud, incident\na,1,x\nb,true,7\nc,no,x\n";
        for text in [lines, table] {
            let labels = Labels::read(text.as_bytes()).unwrap();
            assert_eq!((labels.len(), labels.incidents()), (3, 2), "{text}");
            assert_eq!(labels.of("a"), Truth { fraud: true, incident: Some(0) });
            assert_eq!(labels.of("b"), Truth { fraud: true, incident: Some(1) });
            assert_eq!(labels.of("c"), Truth { fraud: false, incident: None });
            assert_eq!(labels.of("another"), Truth { fraud: false, incident: None });
            assert_eq!((labels.names("c"), labels.names("another"), labels.fraud()), (true, false, 2));
        }
    }

    #[test]
    fn what_is_no_label_is_told_with_its_line() {
        assert!(Labels::read("{\"transaction_id\":\"a\"}\n{}\n".as_bytes()).unwrap_err().contains("line 2"));
        assert!(Labels::read("id,truth\na,1\n".as_bytes()).unwrap_err().contains("transaction_id and fraud"));
    }

    #[test]
    fn labels_that_came_with_the_data_are_read_where_intake_put_them() {
        assert_eq!(of_metadata("{\"_labels\":{\"anomaly_type\":\"x\",\"is_anomaly\":true},\"ip\":\"1\"}"), Some(true));
        assert_eq!(of_metadata("{\"_labels\":{\"Is_Fraud\":\"no\"}}"), Some(false));
        assert_eq!(of_metadata("{\"is_anomaly\":true}"), None);
    }
}
