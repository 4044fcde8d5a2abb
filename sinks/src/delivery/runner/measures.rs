//! What a sink tells of itself: how long writes take, and how long it takes until a record is visible.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;
use wh_eventlog::Stored;
use wh_eventlog::gauges::Gauges;
use wh_schemas::position::ORIGIN_TIME_HEADER;
use wh_schemas::topics::RISK_SCORES;
use wh_stores::clock;

use crate::delivery::machine::{Answer, Place, Task};
use crate::delivery::{StorePosition, Written};

/// Measures of what is under way.
#[derive(Default)]
pub(super) struct Measures {
    writing: Option<(Place, Arc<Vec<Stored>>, Instant)>,
    written: BTreeMap<Place, Unseen>,
    /// What was visible before: rows of an open block are read again.
    seen: BTreeMap<Place, u64>,
}

/// Rows that are written and not visible yet.
#[derive(Default)]
struct Unseen {
    /// When their source records were appended.
    appended: Vec<i64>,
    records: u64,
}

impl Measures {
    /// A task begins.
    pub(super) fn begun(&mut self, task: &Task) {
        if let Task::Write(batch) = task {
            self.writing = Some(((Arc::clone(&batch.topic), batch.partition), Arc::clone(&batch.records), Instant::now()));
        }
    }

    /// A task came to its end.
    pub(super) fn ended(&mut self, answer: &Answer, gauges: &Gauges) {
        let Answer::Wrote(outcome) = answer else { return };
        let Some((place, records, begun)) = self.writing.take() else { return };
        if let Ok(Written::Done { alerts, .. }) = outcome {
            gauges.wrote_in(begun.elapsed());
            Gauges::add(&gauges.alerts, *alerts);
            let seen = self.seen.get(&place).copied().unwrap_or(0);
            let unseen = self.written.entry(place).or_default();
            unseen.records += records.len() as u64;
            unseen.appended.extend(records.iter().filter(|r| r.offset >= seen).filter_map(|r| r.header(ORIGIN_TIME_HEADER)?.parse::<i64>().ok()));
        }
    }

    /// The store has said where to go on with a partition: what was written and not visible may come again.
    pub(super) fn placed(&mut self, place: Place, position: &StorePosition, gauges: &Gauges) {
        self.written.remove(&place);
        gauges.reached(&place.0, place.1, position.next_offset);
        let seen = if *place.0 == *RISK_SCORES { position.visible_seq } else { position.next_offset };
        self.seen.insert(place, seen);
    }

    /// Rows of a partition became visible.
    pub(super) fn visible(&mut self, place: &Place, position: &StorePosition, gauges: &Gauges) {
        gauges.reached(&place.0, place.1, position.visible_offset);
        if let Some(unseen) = self.written.remove(place) {
            let now = clock::now().0;
            gauges.visible_after(unseen.appended.iter().map(|appended| now - appended));
            Gauges::add(&gauges.records, unseen.records);
        }
    }

    /// A partition is another member's now.
    pub(super) fn left(&mut self, place: &Place, gauges: &Gauges) {
        self.written.remove(place);
        self.seen.remove(place);
        gauges.left(&place.0, place.1);
    }
}
