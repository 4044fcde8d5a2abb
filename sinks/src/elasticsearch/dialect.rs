//! From alerts to the lines of `_bulk`, and from its answer to what became of each. Pure.
//!
//! What must stay true: an alert's index and id follow from its record alone, so that writing it again meets what is there; no line is
//! longer than its alert makes it; the lines keep the order of the records.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wh_eventlog::Stored;
use wh_schemas::json::Text;
use wh_schemas::position::{Seq, SeqPosition};
use wh_schemas::{Alert, Micros};
use wh_stores::elasticsearch::errors::{self, Row as Outcome};
use wh_stores::elasticsearch::{ElasticsearchSettings, Failure};

use crate::delivery::walk::Positioned;
use crate::pattern::Told;

/// What the search store needs of a scored record.
#[derive(Deserialize)]
pub(super) struct Row<'a> {
    partition: u32,
    seq: Seq,
    timestamp: Micros,
    #[serde(borrow)]
    user_id: Text<'a>,
    department: Text<'a>,
    #[serde(default)]
    pub(super) risk_score: Option<u8>,
    #[serde(borrow, default)]
    pub(super) alerts: Vec<Alert<'a>>,
}

impl Row<'_> {
    /// Its alerts.
    pub(super) fn told(&self) -> impl Iterator<Item = Told<'_>> {
        let row = self.position();
        self.alerts.iter().map(move |alert| Told { alert, user_id: &self.user_id, department: &self.department, timestamp: self.timestamp, row })
    }
}

impl Positioned for Row<'_> {
    fn position(&self) -> SeqPosition {
        SeqPosition { partition: self.partition, seq: self.seq }
    }
}

#[derive(Serialize)]
struct Action<'a> {
    create: Target<'a>,
}

#[derive(Serialize)]
struct Target<'a> {
    _index: &'a str,
    _id: &'a str,
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "@timestamp")]
    appended_millis: i64,
    alert_id: &'a str,
    transaction_id: &'a str,
    user_id: &'a str,
    alert_type: &'a str,
    severity: &'a str,
    department: &'a str,
    detection_rules: &'a [Text<'a>],
    risk_score: u8,
    partition: u32,
    seq: Seq,
    created_at: i64,
    timestamp: i64,
    title: &'a str,
    message: &'a str,
}

/// One alert among the lines.
#[derive(Debug)]
pub(super) struct Line {
    /// Offset of its record.
    pub(super) offset: u64,
    /// Where the record stands.
    pub(super) position: SeqPosition,
    /// The index that it belongs to.
    pub(super) index: Arc<str>,
    /// Its id.
    pub(super) id: String,
    bytes: Range<usize>,
}

/// Alerts on their way into the store.
#[derive(Debug, Default)]
pub(super) struct Bulk {
    bytes: Vec<u8>,
    lines: Vec<Line>,
}

impl Bulk {
    /// Adds the alerts of a record, which stands at `position` in its stream, but those that are held already. Returns how many it has.
    pub(super) fn add<'t>(
        &mut self,
        settings: &ElasticsearchSettings,
        record: &Stored,
        position: SeqPosition,
        alerts: impl Iterator<Item = Told<'t>>,
        held: &BTreeSet<String>,
    ) -> Result<u64, serde_json::Error> {
        let mut count = 0;
        for Told { alert, user_id, department, timestamp, row } in alerts {
            count += 1;
            if held.contains(alert.alert_id.as_str()) {
                continue;
            }
            let name = settings.index_of(record.append_time);
            let index = match self.lines.last() {
                Some(line) if *line.index == *name => Arc::clone(&line.index),
                _ => Arc::from(name),
            };
            let start = self.bytes.len();
            let document = Document {
                appended_millis: record.append_time.div_euclid(1_000),
                alert_id: &alert.alert_id,
                transaction_id: &alert.transaction_id,
                user_id,
                alert_type: &alert.alert_type,
                severity: alert.severity.as_str(),
                department,
                detection_rules: &alert.detection_rules,
                risk_score: alert.risk_score,
                partition: row.partition,
                seq: row.seq,
                created_at: record.append_time,
                timestamp: timestamp.0,
                title: &alert.title,
                message: &alert.message,
            };
            serde_json::to_writer(&mut self.bytes, &Action { create: Target { _index: &index, _id: &alert.alert_id } })?;
            self.bytes.push(b'\n');
            serde_json::to_writer(&mut self.bytes, &document)?;
            self.bytes.push(b'\n');
            let bytes = start..self.bytes.len();
            self.lines.push(Line { offset: record.offset, position, index, id: alert.alert_id.to_string(), bytes });
        }
        Ok(count)
    }

    /// Leaves out the alerts with these ids.
    pub(super) fn without(&mut self, ids: &BTreeSet<String>) {
        self.lines.retain(|line| !ids.contains(&line.id));
    }

    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The lines in parts of at most so many bytes; one that is longer stands alone.
    pub(super) fn parts(&self, most: usize) -> Vec<&[Line]> {
        let mut parts = Vec::new();
        let mut rest = self.lines.as_slice();
        while !rest.is_empty() {
            let mut bytes = 0;
            let count = rest.iter().take_while(|line| {
                bytes += line.bytes.len();
                bytes <= most
            });
            let (part, behind) = rest.split_at(count.count().max(1));
            parts.push(part);
            rest = behind;
        }
        parts
    }

    /// The body that says these lines.
    pub(super) fn body(&self, part: &[Line]) -> Vec<u8> {
        let mut body = Vec::with_capacity(part.iter().map(|line| line.bytes.len()).sum());
        for line in part {
            body.extend_from_slice(self.bytes.get(line.bytes.clone()).unwrap_or_default());
        }
        body
    }
}

#[derive(Deserialize)]
struct Answer {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    create: Answered,
}

#[derive(Deserialize)]
struct Answered {
    status: u16,
    #[serde(default)]
    error: Cause,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Cause {
    #[serde(rename = "type")]
    kind: String,
    reason: String,
}

/// What became of each of so many lines.
pub(super) fn outcomes(answer: &[u8], lines: usize) -> Result<Vec<Outcome>, Failure> {
    let Answer { items } = wh_stores::elasticsearch::connect::decode(answer)?;
    if items.len() != lines {
        return Err(Failure::fatal(format!("it answered {} rows where {lines} were sent", items.len()), "check what stands between the server and here"));
    }
    Ok(items.into_iter().map(|item| errors::row(item.create.status, &item.create.error.kind, &item.create.error.reason)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wh_schemas::json::write_string;
    use wh_stores::elasticsearch::RawElasticsearch;
    use wh_stores::{Durability, ServerUrl};

    fn settings() -> ElasticsearchSettings {
        ElasticsearchSettings::try_new(&ServerUrl::parse("elasticsearch://h?namespace=x").unwrap(), &RawElasticsearch::default(), Durability::Warn).unwrap()
    }

    fn record(offset: u64, append_time: i64, message: &str) -> Stored {
        let mut said = String::new();
        write_string(message, &mut said);
        let alert = format!(
            r#"{{"alert_id":"a-{offset}","transaction_id":"t","alert_type":"night","severity":"high","risk_score":70,"title":"Night","message":{said},"detection_rules":["n","m"]}}"#
        );
        let value = format!(r#"{{"partition":1,"seq":{offset},"timestamp":"1970-01-01T00:00:00.000005Z","user_id":"u","department":"IT","risk_score":70,"alerts":[{alert}]}}"#);
        Stored { offset, append_time, key: None, value: value.into_bytes().into(), headers: Vec::new() }
    }

    fn bulk(records: &[Stored], held: &BTreeSet<String>) -> Bulk {
        let mut bulk = Bulk::default();
        for record in records {
            let row: Row<'_> = serde_json::from_slice(&record.value).unwrap();
            assert_eq!(bulk.add(&settings(), record, row.position(), row.told(), held).unwrap(), 1);
        }
        bulk
    }

    #[test]
    fn an_alert_is_two_lines() {
        let bulk = bulk(&[record(7, 1_769_904_000_000_001, "line\nline \"é\"")], &BTreeSet::new());
        let body = String::from_utf8(bulk.body(bulk.lines())).unwrap();
        let lines: Vec<&str> = body.lines().collect();
        assert_eq!(lines[0], r#"{"create":{"_index":"x-alerts-2026.02","_id":"a-7"}}"#);
        assert_eq!(
            lines[1],
            r#"{"@timestamp":1769904000000,"alert_id":"a-7","transaction_id":"t","user_id":"u","alert_type":"night","severity":"high","department":"IT","detection_rules":["n","m"],"risk_score":70,"partition":1,"seq":7,"created_at":1769904000000001,"timestamp":5,"title":"Night","message":"line\nline \"é\""}"#
        );
        assert_eq!((lines.len(), bulk.lines()[0].offset, bulk.lines()[0].position), (2, 7, SeqPosition { partition: 1, seq: 7 }));
    }

    #[test]
    fn lines_go_in_parts_and_none_is_left_out() {
        let records: Vec<Stored> = (0..10).map(|offset| record(offset, 0, &"x".repeat(100))).collect();
        let all = bulk(&records, &BTreeSet::new());
        for most in [1, 1_000, 1_000_000] {
            let parts = all.parts(most);
            let ids: Vec<&str> = parts.iter().flat_map(|part| part.iter()).map(|line| line.id.as_str()).collect();
            assert_eq!(ids, (0..10).map(|offset| format!("a-{offset}")).collect::<Vec<_>>());
            assert!(parts.iter().all(|part| part.len() == 1 || all.body(part).len() <= most), "{most}");
        }
        let mut rest = bulk(&records, &["a-3".to_owned()].into());
        rest.without(&["a-5".to_owned()].into());
        assert_eq!((rest.lines().len(), String::from_utf8(rest.body(rest.lines())).unwrap().lines().count()), (8, 16));
    }

    #[test]
    fn each_line_has_an_outcome() {
        let answer = br#"{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"x"}}},
            {"create":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"full"}}},{"create":{"status":400,"error":{"type":"document_parsing_exception","reason":"no"}}}]}"#;
        let outcomes = outcomes(answer, 4).unwrap();
        assert!(matches!(outcomes.as_slice(), [Outcome::Held, Outcome::Held, Outcome::Again(_), Outcome::Refused(_)]), "{outcomes:?}");
        assert!(super::outcomes(answer, 5).is_err() && super::outcomes(b"[]", 0).is_err());
    }
}
