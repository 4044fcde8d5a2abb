//! The walk over a batch behind the fence: what every store does with records before its own language begins. Pure.
//!
//! What must stay true: each record is taken once, in the order of `seq`; what cannot be read is refused until it is buried.

use wh_eventlog::Stored;
use wh_schemas::position::SeqPosition;
use wh_schemas::{Reaction, ScoreRecord, topics};

use super::fence::{Admission, Fence};
use super::{Batch, StorePosition, Tally, Written};

/// Name in `positions` of what a topic carries.
#[must_use]
pub fn stream_of(topic: &str) -> &str {
    match topic {
        topics::RISK_SCORES => "scorer",
        topics::RISK_ALERTS => "patterns",
        other => other,
    }
}

/// A record that can never be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Offset of the record.
    pub offset: u64,
    /// Where it stands.
    pub position: Option<SeqPosition>,
    /// Class of the error.
    pub class: &'static str,
    /// For a person.
    pub message: String,
}

impl From<Refused> for Written {
    fn from(refused: Refused) -> Self {
        Written::Refused { offset: refused.offset, position: refused.position.map(|p| p.to_string()), class: refused.class.to_owned(), message: refused.message }
    }
}

/// Why a walk ended early.
#[derive(Clone, Debug)]
pub enum Halt {
    /// A record can never be stored.
    Refused(Refused),
    /// The stage must stop, or wait.
    Reaction(Reaction),
}

impl Halt {
    /// What a write that ended so returns.
    ///
    /// # Errors
    /// The reaction.
    pub fn outcome(self) -> Result<Written, Reaction> {
        match self {
            Halt::Refused(refused) => Ok(refused.into()),
            Halt::Reaction(reaction) => Err(reaction),
        }
    }
}

/// One row stored.
pub const STORED: Tally = Tally { stored: 1, duplicates: 0, dead_letters: 0, discarded: 0 };
/// One duplicate recognised.
pub const DUPLICATE: Tally = Tally { stored: 0, duplicates: 1, dead_letters: 0, discarded: 0 };
/// One row left out on purpose.
pub const DISCARDED: Tally = Tally { stored: 0, duplicates: 0, dead_letters: 0, discarded: 1 };

/// A record as a store reads it: of the scorer, or of patterns by account.
pub trait Positioned {
    /// Where it stands.
    fn position(&self) -> SeqPosition;
}

/// Walks over a batch behind the fence: `row` is called for each record that is to be written, in order, with the position before
/// it, and says what became of it.
///
/// # Errors
/// A record that cannot be read and is not buried yet, a gap, or what `row` says.
pub fn walk<'r, R: Positioned, E: From<Halt>>(
    batch: &'r Batch,
    start: &StorePosition,
    decode: impl Fn(&'r Stored) -> Result<R, serde_json::Error>,
    row: impl FnMut(&'r Stored, R, &StorePosition) -> Result<Tally, E>,
) -> Result<StorePosition, E> {
    walk_some(batch, start, |record| decode(record).map(Some), row)
}

/// As [`walk`], where a topic holds records of others too: those that `decode` gives nothing for have no `seq`, and are passed over.
///
/// # Errors
/// As [`walk`].
pub fn walk_some<'r, R: Positioned, E: From<Halt>>(
    batch: &'r Batch,
    start: &StorePosition,
    decode: impl Fn(&'r Stored) -> Result<Option<R>, serde_json::Error>,
    mut row: impl FnMut(&'r Stored, R, &StorePosition) -> Result<Tally, E>,
) -> Result<StorePosition, E> {
    let mut position = *start;
    let mut fence = Fence::behind(start.next_seq, start.unreadable);
    for record in batch.records.iter() {
        if record.offset < start.next_offset {
            continue;
        }
        position.next_offset = record.offset + 1;
        let buried = batch.buried.contains(&record.offset);
        let decoded = match decode(record) {
            Ok(Some(decoded)) => decoded,
            Ok(None) => continue,
            Err(_) if buried => {
                fence.bury_unreadable();
                continue;
            }
            Err(error) => {
                let emitter = if stream_of(&batch.topic) == "patterns" { "scorer or of patterns" } else { "scorer" };
                let message = format!("expected a record of the {emitter}: {error}");
                return Err(Halt::Refused(Refused { offset: record.offset, position: None, class: "record:unreadable", message }).into());
            }
        };
        let at = decoded.position();
        if at.partition != batch.partition {
            if buried {
                continue;
            }
            let message = format!("expected a record of partition {}, found one of {}", batch.partition, at.partition);
            return Err(Halt::Refused(Refused { offset: record.offset, position: Some(at), class: "record:partition", message }).into());
        }
        let (admission, passed_over) = fence.admit(at.seq).map_err(|gap| {
            Halt::Reaction(Reaction::fatal(format!("{} partition {}: {gap}; run `wardhouse replay` from a log that has them, or restore it", batch.topic, batch.partition)))
        })?;
        position.tally.dead_letters += passed_over;
        if admission == Admission::Copy {
            continue;
        }
        if buried {
            position.tally.dead_letters += 1;
        } else {
            let before = StorePosition { unreadable: 0, next_seq: at.seq, next_offset: record.offset, visible_seq: at.seq, visible_offset: record.offset, ..position };
            position.tally.add(row(record, decoded, &before)?);
        }
    }
    position.next_seq = fence.next();
    position.unreadable = fence.unreadable();
    position.visible_seq = position.next_seq;
    position.visible_offset = position.next_offset;
    Ok(position)
}

impl Positioned for ScoreRecord<'_> {
    fn position(&self) -> SeqPosition {
        ScoreRecord::position(self)
    }
}
