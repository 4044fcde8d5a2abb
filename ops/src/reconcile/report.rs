//! What is kept of a comparison: audit events of `system-events`, which the ledger's sink writes into `audit_log`, and which SQL shows as
//! `system.reconciliation`.
//!
//! What must stay true: no value of a row is in an event, only where it stands and which fields differ; an event is small whatever was found;
//! ranges that agree and follow each other are told as one.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use wh_eventlog::{Log, Record};
use wh_schemas::event::SystemEvent;
use wh_schemas::topics::SYSTEM_EVENTS;
use wh_schemas::{Reaction, ids};
use wh_stores::clock;

use super::{Finding, RangeResult, Told};

/// Event type of a comparison.
pub const RECONCILED: &str = "reconciled";
/// Ranges of one event.
const RANGES: usize = 200;
/// Findings that one event tells one by one.
const FINDINGS: usize = 50;

/// A range, as an event tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ToldRange {
    /// The role of the store.
    pub store: String,
    /// `scorer`, `patterns` or `users`; empty for what stands outside of every partition.
    pub stream: String,
    /// The partition; `None` for what stands outside of every partition.
    pub partition: Option<u32>,
    /// First `seq`.
    pub from_seq: u64,
    /// The `seq` behind the last.
    pub to_seq: u64,
    /// Rows that the log says.
    pub rows_expected: u64,
    /// Rows that the store has.
    pub rows_stored: u64,
    /// Sum of the hashes of the rows that the log says, 16 hexadecimal digits.
    pub checksum_expected: String,
    /// Sum of the hashes of the rows that the store has.
    pub checksum_stored: String,
    /// Rows that were missing.
    pub missing: u64,
    /// Rows that were different.
    pub different: u64,
    /// Rows that were too many.
    pub extra: u64,
    /// How many of them were put right.
    pub repaired: u64,
}

impl ToldRange {
    fn of(range: &RangeResult) -> ToldRange {
        ToldRange {
            store: range.store.to_owned(),
            stream: range.stream.to_owned(),
            partition: range.partition,
            from_seq: range.from,
            to_seq: range.to,
            rows_expected: range.expected.rows,
            rows_stored: range.stored.rows,
            checksum_expected: format!("{:016x}", range.expected.sum),
            checksum_stored: format!("{:016x}", range.stored.sum),
            missing: range.missing,
            different: range.different,
            extra: range.extra,
            repaired: range.repaired,
        }
    }
}

/// Gathers what is told of one run, and makes events of it.
#[derive(Debug)]
pub struct Journal {
    run: String,
    ranges: Vec<RangeResult>,
    findings: Vec<Value>,
    left_out: u64,
    events: Vec<SystemEvent>,
}

impl Journal {
    /// Of a run that begins now.
    #[must_use]
    pub fn begin() -> Journal {
        let run = ids::event_id(&["reconcile", &clock::now().0.to_string(), &std::process::id().to_string()]).to_string();
        Journal { run, ranges: Vec::new(), findings: Vec::new(), left_out: 0, events: Vec::new() }
    }

    /// Takes what is told.
    pub fn take(&mut self, told: &Told<'_>) {
        match told {
            Told::Range(range) => self.range(range),
            Told::Finding(finding) if self.findings.len() < FINDINGS => self.findings.push(said(finding)),
            Told::Finding(_) => self.left_out += 1,
            Told::Note(_) | Told::Progress(..) => {}
        }
    }

    fn range(&mut self, range: &RangeResult) {
        match self.ranges.last_mut() {
            // Ranges that agree are one, and so is its sum.
            Some(last)
                if range.findings() == 0
                    && last.findings() == 0
                    && (last.store, last.stream, last.partition, last.to) == (range.store, range.stream, range.partition, range.from) =>
            {
                last.to = range.to;
                last.expected.join(range.expected);
                last.stored.join(range.stored);
            }
            _ => {
                if self.ranges.len() >= RANGES {
                    self.close();
                }
                self.ranges.push(range.clone());
            }
        }
    }

    fn close(&mut self) {
        if self.ranges.is_empty() && self.findings.is_empty() {
            return;
        }
        let ranges: Vec<ToldRange> = std::mem::take(&mut self.ranges).iter().map(ToldRange::of).collect();
        let left: u64 = ranges.iter().map(|range| (range.missing + range.different + range.extra).saturating_sub(range.repaired)).sum();
        let found: u64 = ranges.iter().map(|range| range.missing + range.different + range.extra).sum();
        let mut data = Map::new();
        data.insert("run".to_owned(), json!(self.run));
        data.insert("ranges".to_owned(), json!(ranges));
        if !self.findings.is_empty() {
            data.insert("findings".to_owned(), Value::Array(std::mem::take(&mut self.findings)));
        }
        if self.left_out > 0 {
            data.insert("findings_left_out".to_owned(), json!(std::mem::take(&mut self.left_out)));
        }
        let number = self.events.len().to_string();
        self.events.push(SystemEvent::Audit {
            event_id: ids::event_id(&[RECONCILED, &self.run, &clock::now().0.to_string(), &number]).to_string(),
            event_type: RECONCILED.to_owned(),
            source: "reconcile".to_owned(),
            principal: "local".to_owned(),
            severity: if left > 0 {
                "error"
            } else if found > 0 {
                "warning"
            } else {
                "info"
            }
            .to_owned(),
            data,
            timestamp: clock::now(),
        });
    }

    /// The events so far; what is taken later makes others.
    #[must_use]
    pub fn events(&mut self) -> Vec<SystemEvent> {
        self.close();
        std::mem::take(&mut self.events)
    }
}

/// A finding without a value of it.
fn said(finding: &Finding) -> Value {
    let fields: Vec<&str> = finding.differences.iter().map(|difference| difference.field.as_str()).collect();
    let at = finding.nowhere.is_none().then_some(finding.at);
    json!({ "store": finding.store, "table": finding.table, "partition": at.map(|at| at.partition), "seq": at.map(|at| at.seq), "what": finding.what.as_str(), "fields": fields })
}

/// Writes events into `system-events`.
///
/// # Errors
/// What the log says.
pub async fn write(log: &dyn Log, events: Vec<SystemEvent>) -> Result<(), Reaction> {
    if events.is_empty() {
        return Ok(());
    }
    let records = events.iter().map(|event| Record { key: None, value: serde_json::to_vec(event).unwrap_or_default().into(), headers: Vec::new() }).collect();
    log.produce(SYSTEM_EVENTS, 0, records).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wh_sinks::reconcile::Checksum;

    fn range(from: u64, to: u64, missing: u64) -> RangeResult {
        let checksum = Checksum { rows: to - from, sum: u64::MAX };
        RangeResult { store: "ledger", stream: "scorer", partition: Some(0), from, to, expected: checksum, stored: checksum, missing, ..RangeResult::default() }
    }

    #[test]
    fn ranges_that_agree_are_told_as_one() {
        let mut journal = Journal::begin();
        for one in [range(0, 10, 0), range(10, 20, 0), range(20, 30, 1), range(30, 40, 0)] {
            journal.take(&Told::Range(&one));
        }
        let events = journal.events();
        let [SystemEvent::Audit { data, severity, .. }] = &events[..] else { panic!("{events:?}") };
        let told: Vec<ToldRange> = serde_json::from_value(data["ranges"].clone()).unwrap();
        let places: Vec<(u64, u64, u64, u64)> = told.iter().map(|range| (range.from_seq, range.to_seq, range.rows_stored, range.missing)).collect();
        assert_eq!(places, [(0, 20, 20, 0), (20, 30, 10, 1), (30, 40, 10, 0)]);
        assert_eq!((told[0].checksum_stored.as_str(), severity.as_str()), ("fffffffffffffffe", "error"));
        assert!(journal.events().is_empty());
    }
}
