//! The documents that say how far the store has come: one a partition of a stream.
//!
//! What must stay true: a position moves only from where it was seen, in one step that the server does as a whole; the floor, which
//! retention raises, is not touched by that.

use ::mongodb::bson::{Document, doc};
use wh_schemas::Reaction;
use wh_schemas::position::Seq;
use wh_stores::mongodb::layout::{self, POSITIONS, PositionDocument};
use wh_stores::mongodb::{Connected, MongodbSettings, connect};

use crate::delivery::{StorePosition, Tally};

/// The key of a position.
pub(super) fn id(stream: &str, partition: u32) -> String {
    format!("{stream}/{partition}")
}

/// As MongoDB counts.
pub(super) fn long(value: Seq) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// As the log counts.
pub(super) fn short(value: i64) -> Seq {
    Seq::try_from(value).unwrap_or(0)
}

/// What a document says.
pub(super) fn of(held: &PositionDocument) -> StorePosition {
    let tally = Tally { stored: short(held.stored), duplicates: short(held.duplicates), dead_letters: short(held.dead_letters), discarded: short(held.discarded) };
    let (next_seq, next_offset) = (short(held.next_seq), short(held.next_offset));
    StorePosition {
        partition: u32::try_from(held.partition).unwrap_or(u32::MAX),
        next_seq,
        next_offset,
        visible_seq: next_seq,
        visible_offset: next_offset,
        unreadable: short(held.unreadable),
        tally,
    }
}

/// The step from where a position was seen: which document it is, and what becomes of it. A position that was not there is to be inserted.
pub(super) fn advance(stream: &str, known: Option<&StorePosition>, to: &StorePosition, now: i64) -> (Document, Document) {
    let (next_seq, next_offset) = known.map_or((0, 0), |known| (known.next_seq, known.next_offset));
    let from = doc! { "_id": id(stream, to.partition), "next_seq": long(next_seq), "next_offset": long(next_offset) };
    let step = doc! {
        "$set": {
            "stream": stream,
            "partition": i64::from(to.partition),
            "next_seq": long(to.next_seq),
            "next_offset": long(to.next_offset),
            "stored": long(to.tally.stored),
            "duplicates": long(to.tally.duplicates),
            "dead_letters": long(to.tally.dead_letters),
            "discarded": long(to.tally.discarded),
            "unreadable": long(to.unreadable),
            "updated_at": now,
        },
        "$setOnInsert": { "floor_seq": 0_i64 },
    };
    (from, step)
}

/// The same step from wherever it was.
pub(super) fn put(stream: &str, to: &StorePosition, now: i64) -> (Document, Document) {
    (doc! { "_id": id(stream, to.partition) }, advance(stream, None, to, now).1)
}

/// The positions of a stream, by partition.
///
/// # Errors
/// Where they cannot be read.
pub(super) async fn read(connected: &Connected, stream: &str) -> Result<Vec<PositionDocument>, Reaction> {
    let positions = connected.collection::<PositionDocument>(POSITIONS);
    let mut cursor = connected.ask(positions.find(doc! { "stream": stream }).sort(doc! { "partition": 1 })).await?;
    let mut found = Vec::new();
    while connected.ask(cursor.advance()).await? {
        found.push(cursor.deserialize_current().map_err(|error| connected.told(&error))?);
    }
    Ok(found)
}

/// What the store says of itself, read without writing anything; nothing where there is no layout yet.
///
/// # Errors
/// Where it cannot be read, or a newer Wardhouse wrote it.
pub async fn read_positions(settings: &MongodbSettings, stream: &str) -> Result<Vec<StorePosition>, Reaction> {
    let connected = connect(settings).await?;
    let Some(version) = layout::version(&connected).await? else { return Ok(Vec::new()) };
    layout::known(connected.place(), version)?;
    Ok(read(&connected, stream).await?.iter().map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_moves_from_where_it_was_seen_and_is_made_complete() {
        let seen = StorePosition { partition: 2, next_seq: 7, next_offset: 9, ..StorePosition::default() };
        let to = StorePosition {
            next_seq: 8,
            next_offset: 11,
            visible_seq: 8,
            visible_offset: 11,
            unreadable: 1,
            tally: Tally { stored: 5, duplicates: 3, ..Tally::default() },
            ..seen
        };
        let (from, step) = advance("scorer", Some(&seen), &to, 99);
        assert_eq!(from, doc! { "_id": "scorer/2", "next_seq": 7_i64, "next_offset": 9_i64 });
        assert_eq!(advance("scorer", None, &to, 99).0, doc! { "_id": "scorer/2", "next_seq": 0_i64, "next_offset": 0_i64 });
        let mut whole = step.get_document("$set").unwrap().clone();
        whole.extend(step.get_document("$setOnInsert").unwrap().clone());
        whole.insert("_id", "scorer/2");
        let held: PositionDocument = ::mongodb::bson::deserialize_from_document(whole).unwrap();
        assert_eq!((of(&held), held.floor_seq, held.updated_at), (to, 0, 99));
    }
}
