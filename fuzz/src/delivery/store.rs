//! What the store and the dead letters of the model do, and say.

use std::collections::BTreeMap;

use wh_eventlog::Bounds;
use wh_schemas::Reaction;
use wh_sinks::delivery::machine::{Answer, Task};
use wh_sinks::delivery::{Batch, StorePosition, Written};

use super::rows::{Held, Nature, Seen};
use super::{Model, away};

impl Model {
    /// What is said where the store, or the log, is away.
    pub(super) fn fail(&mut self, task: &Task) -> Answer {
        match task {
            Task::Ask { .. } => Answer::Stands { positions: Err(away()), bound: false, bounds: Ok(BTreeMap::new()) },
            Task::Bind => Answer::Bound(Err(away())),
            Task::Write(_) => Answer::Wrote(Err(away())),
            Task::Bury(_) => Answer::Buried(Err(away())),
            Task::Publish => {
                self.seen.values_mut().for_each(Seen::give_up);
                Answer::Published(Err(away()))
            }
            Task::Retain => Answer::Retained(Err(away())),
        }
    }

    /// What the store does, and says.
    pub(super) fn perform(&mut self, task: &Task) -> Answer {
        match task {
            Task::Ask { partitions, .. } => {
                self.seen.values_mut().for_each(Seen::give_up);
                let positions = partitions.iter().map(|partition| position(*partition, self.seen[partition].visible)).collect();
                let bounds = partitions.iter().map(|partition| (*partition, Bounds { start: 0, end: self.seen[partition].end() })).collect();
                Answer::Stands { positions: Ok(positions), bound: self.bound, bounds: Ok(bounds) }
            }
            Task::Bind => {
                self.bound = true;
                Answer::Bound(Ok(()))
            }
            Task::Write(batch) => Answer::Wrote(self.write(batch)),
            Task::Bury(letter) => {
                self.letters.insert((letter.partition, letter.record.offset));
                Answer::Buried(Ok(()))
            }
            Task::Publish => {
                for (partition, seen) in &mut self.seen {
                    let Some(written) = seen.written.take() else { continue };
                    for offset in seen.visible..written {
                        if !self.letters.contains(&(*partition, offset)) {
                            assert_eq!(seen.row(offset), (Nature::Good, Held::Written), "offset {offset} is made visible");
                            seen.hold(offset, Held::Visible);
                        }
                    }
                    seen.visible = seen.visible.max(written);
                }
                Answer::Published(Ok(()))
            }
            Task::Retain => Answer::Retained(Ok(self.now.as_millis().is_multiple_of(2))),
        }
    }

    fn write(&mut self, batch: &Batch) -> Result<Written, Reaction> {
        let (first, next) = (batch.records[0].offset, batch.records.last().unwrap().offset + 1);
        let seen = self.of(batch.partition);
        let reached = seen.written.unwrap_or(seen.visible);
        assert!(first <= reached, "a gap: offset {first} behind {reached}");
        // What the store has already is a copy, and dropped.
        let open: Vec<u64> = (reached..next).filter(|offset| !batch.buried.contains(offset)).collect();
        for offset in &open {
            match seen.row(*offset).0 {
                Nature::Good => {}
                Nature::Refused => return Ok(Written::Refused { offset: *offset, position: None, class: "row:bad".to_owned(), message: "bad".to_owned() }),
                Nature::Poison => return Err(Reaction::Rejected("one of them is bad".to_owned())),
            }
        }
        for offset in open {
            seen.hold(offset, Held::Written);
        }
        let reached = reached.max(next);
        seen.written = Some(reached);
        Ok(Written::Done { position: position(batch.partition, reached), alerts: 0 })
    }
}

fn position(partition: u32, next: u64) -> StorePosition {
    StorePosition { partition, next_seq: next, next_offset: next, visible_seq: next, visible_offset: next, ..StorePosition::default() }
}
