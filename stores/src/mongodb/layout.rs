//! The layout of the database: two collections with validators and indexes, and the record of its version.
//!
//! What must stay true: a database that somebody else filled, or a newer Wardhouse, is refused and left as it is; making the layout may be
//! broken off anywhere and done by two processes at once. The record of the version is written first, so that a collection without one
//! is somebody else's.
//!
//! Retention is the sink's work: it publishes a floor and removes what lies below. The TTL index `retention` is there only where a retention
//! is set, and a week later: it removes what no sink was running to remove.

use std::time::Duration;

use ::mongodb::bson::{Bson, Document, doc};
use serde::{Deserialize, Serialize};
use wh_schemas::Reaction;

use super::connect::Connected;
use super::errors;
use super::settings::MongodbSettings;

/// Raised by each change; a database with a higher one was written by a newer Wardhouse.
pub const VERSION: i64 = 1;
/// One document a transaction.
pub const DOCUMENTS: &str = "documents";
/// How far each partition can be read.
pub const POSITIONS: &str = "positions";
/// The record of the version.
pub const LAYOUT: &str = "wardhouse_layout";
/// The role, in the record of the version.
const STORE: &str = "documents";
/// The unique index of the documents.
pub const BY_TRANSACTION: &str = "transaction_id";
/// The TTL index.
const RETENTION: &str = "retention";
/// How long after the retention the server removes what no sink removed.
const GRACE: Duration = Duration::from_secs(7 * 24 * 3_600);

const COLLECTIONS: [(&str, &str); 2] = [(DOCUMENTS, include_str!("../../../schemas/mongodb/documents.json")), (POSITIONS, include_str!("../../../schemas/mongodb/positions.json"))];

/// A document of [`POSITIONS`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PositionDocument {
    /// `stream/partition`
    #[serde(rename = "_id")]
    pub id: String,
    /// `scorer`
    pub stream: String,
    /// The partition.
    pub partition: i64,
    /// Documents of the partition below it can be read; those at and above it are on their way.
    pub next_seq: i64,
    /// Offset of the topic from which its sink reads on.
    pub next_offset: i64,
    /// See `Tally`.
    pub stored: i64,
    /// See `Tally`.
    pub duplicates: i64,
    /// See `Tally`.
    pub dead_letters: i64,
    /// See `Tally`.
    pub discarded: i64,
    /// Buried records behind the last seq that could not be read.
    pub unreadable: i64,
    /// Documents below it may have been removed.
    pub floor_seq: i64,
    /// Microseconds since 1970 UTC.
    pub updated_at: i64,
}

/// A collection as the files in `schemas/mongodb` have it.
struct Shape {
    options: Document,
    indexes: Vec<Document>,
}

fn shape(text: &str) -> Result<Shape, Reaction> {
    let wrong = |why: &dyn std::fmt::Display| Reaction::fatal(format!("a layout of the documents store that Wardhouse brought along cannot be read: {why}"));
    let whole: Document = serde_json::from_str(text).map_err(|error| wrong(&error))?;
    let options = whole.get_document("options").map_err(|error| wrong(&error))?.clone();
    let indexes = whole.get_array("indexes").map_err(|error| wrong(&error))?.iter().filter_map(Bson::as_document).cloned().collect();
    Ok(Shape { options, indexes })
}

/// An integer of whatever width.
pub(super) fn number(value: Option<&Bson>) -> Option<i64> {
    match value? {
        Bson::Int32(value) => Some(i64::from(*value)),
        Bson::Int64(value) => Some(*value),
        #[expect(clippy::cast_possible_truncation, reason = "a whole number that a server wrote as a real one")]
        Bson::Double(value) if value.is_finite() => Some(*value as i64),
        _ => None,
    }
}

/// Version of the layout; nothing where there is none yet.
///
/// # Errors
/// Where the database cannot be read.
pub async fn version(connected: &Connected) -> Result<Option<i64>, Reaction> {
    let records = connected.collection::<Document>(LAYOUT);
    let found = connected.ask(records.find_one(doc! { "_id": STORE })).await?;
    Ok(found.and_then(|record| number(record.get("version"))))
}

/// Checks the version of a layout that is there.
///
/// # Errors
/// Fatal where a newer Wardhouse wrote it.
pub fn known(place: &str, version: i64) -> Result<(), Reaction> {
    if version <= VERSION {
        return Ok(());
    }
    Err(Reaction::fatal(format!("{place} was written by a newer Wardhouse (layout {version}, this one knows {VERSION}): use that version, nothing was changed")))
}

/// Makes what is missing of the layout; says what was done.
///
/// # Errors
/// Fatal where the database is somebody else's or a newer Wardhouse's, or this user may not make it.
pub async fn ensure(connected: &Connected, settings: &MongodbSettings) -> Result<Vec<String>, Reaction> {
    let mut done = Vec::new();
    // In this order: what another process makes at this moment it records first.
    let there = connected.list(doc! { "listCollections": 1, "filter": { "name": { "$in": [DOCUMENTS, POSITIONS] } } }, None).await?;
    match version(connected).await? {
        Some(version) => known(connected.place(), version)?,
        None if there.is_empty() => record(connected).await?,
        None => {
            return Err(Reaction::fatal(format!(
                "{} has a collection that no Wardhouse made ({}): name another database in stores.documents",
                connected.place(),
                there.iter().filter_map(|found| found.get_str("name").ok()).collect::<Vec<_>>().join(", ")
            )));
        }
    }
    for (name, text) in COLLECTIONS {
        let shape = shape(text)?;
        match there.iter().find(|found| found.get_str("name").is_ok_and(|found| found == name)) {
            None => make(connected, name, &shape, &mut done).await?,
            Some(found) => validate(connected, name, &shape, found, &mut done).await?,
        }
        index(connected, name, &shape, &mut done).await?;
    }
    expire(connected, settings.retention(), &mut done).await?;
    Ok(done)
}

async fn record(connected: &Connected) -> Result<(), Reaction> {
    let records = connected.collection::<Document>(LAYOUT);
    match connected.answer(records.insert_one(doc! { "_id": STORE, "version": VERSION })).await? {
        Err(error) if errors::code(&error) == Some(errors::UNAUTHORIZED) => Err(errors::forbidden(connected.place(), "make the layout")),
        // Another process was first.
        Err(error) if errors::is_duplicate_key(&error) => Ok(()),
        Err(error) => Err(connected.told(&error)),
        Ok(_) => Ok(()),
    }
}

/// Runs a command that changes the layout. Returns `false` where it fails with the code `already`.
async fn change(connected: &Connected, mut command: Document, what: &str, already: Option<i32>) -> Result<bool, Reaction> {
    command.insert("writeConcern", doc! { "w": "majority" });
    match connected.answer(connected.database().run_command(command)).await? {
        Ok(_) => Ok(true),
        Err(error) if already.is_some() && errors::code(&error) == already => Ok(false),
        Err(error) if errors::code(&error) == Some(errors::UNAUTHORIZED) => Err(errors::forbidden(connected.place(), what)),
        Err(error) => Err(connected.told(&error)),
    }
}

async fn make(connected: &Connected, name: &str, shape: &Shape, done: &mut Vec<String>) -> Result<(), Reaction> {
    let mut command = doc! { "create": name };
    command.extend(shape.options.clone());
    if change(connected, command, &format!("make the collection {name}"), Some(errors::NAMESPACE_EXISTS)).await? {
        done.push(format!("made the collection {name} in the database {}", connected.database().name()));
    }
    Ok(())
}

/// Puts back the validator, where it is another. A user who may not do that is told, and goes on: the rows are ours.
async fn validate(connected: &Connected, name: &str, shape: &Shape, found: &Document, done: &mut Vec<String>) -> Result<(), Reaction> {
    let present = found.get_document("options").ok().and_then(|options| options.get_document("validator").ok());
    if present == shape.options.get_document("validator").ok() {
        return Ok(());
    }
    let mut command = doc! { "collMod": name };
    command.extend(shape.options.clone());
    if change(connected, command, "change a validator", Some(errors::UNAUTHORIZED)).await? {
        done.push(format!("put back the validator of the collection {name}"));
    } else {
        tracing::warn!(store = "documents", "the validator of {name} is not ours, and this user may not put it back: run `wardhouse migrate` with a user that has dbAdmin");
    }
    Ok(())
}

async fn index(connected: &Connected, name: &str, shape: &Shape, done: &mut Vec<String>) -> Result<(), Reaction> {
    let there = connected.list(doc! { "listIndexes": name }, Some(errors::NAMESPACE_NOT_FOUND)).await?;
    for wanted in &shape.indexes {
        let wanted_name = wanted.get_str("name").unwrap_or_default();
        let Some(found) = there.iter().find(|found| found.get_str("name").is_ok_and(|found| found == wanted_name)) else {
            change(connected, doc! { "createIndexes": name, "indexes": [wanted.clone()] }, &format!("make the index {wanted_name} of {name}"), None).await?;
            done.push(format!("made the index {wanted_name} of the collection {name}"));
            continue;
        };
        if found.get_bool("unique").unwrap_or(false) != wanted.get_bool("unique").unwrap_or(false) {
            return Err(Reaction::fatal(format!("{}: the index {wanted_name} of {name} is not unique: drop it, and Wardhouse makes it anew", connected.place())));
        }
    }
    Ok(())
}

/// Seconds after which the server removes a document; nothing where none was asked to.
///
/// # Errors
/// Where the database cannot be read.
pub async fn expiry(connected: &Connected) -> Result<Option<i64>, Reaction> {
    let there = connected.list(doc! { "listIndexes": DOCUMENTS }, Some(errors::NAMESPACE_NOT_FOUND)).await?;
    let index = there.iter().find(|found| found.get_str("name").is_ok_and(|found| found == RETENTION));
    Ok(index.and_then(|index| number(index.get("expireAfterSeconds"))))
}

/// Makes the TTL index what the retention says.
async fn expire(connected: &Connected, retention: Option<Duration>, done: &mut Vec<String>) -> Result<(), Reaction> {
    let present = expiry(connected).await?;
    // The server takes 31 bits.
    let wanted = retention.map(|retention| i64::from(i32::try_from((retention + GRACE).as_secs()).unwrap_or(i32::MAX)));
    let command = match (present, wanted) {
        (present, wanted) if present == wanted => return Ok(()),
        (None, Some(seconds)) => doc! { "createIndexes": DOCUMENTS, "indexes": [{ "key": { "appended_at": 1 }, "name": RETENTION, "expireAfterSeconds": seconds }] },
        (Some(_), Some(seconds)) => doc! { "collMod": DOCUMENTS, "index": { "name": RETENTION, "expireAfterSeconds": seconds } },
        (_, None) => doc! { "dropIndexes": DOCUMENTS, "index": RETENTION },
    };
    change(connected, command, "change the retention of the collection documents", None).await?;
    done.push(match wanted {
        Some(seconds) => format!("documents are removed by the server {} days after their append, where no sink did so before", seconds / 86_400),
        None => "documents are no longer removed by the server".to_owned(),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_layout_are_read() {
        for (name, text) in COLLECTIONS {
            let shape = shape(text).unwrap();
            let schema = shape.options.get_document("validator").unwrap().get_document("$jsonSchema").unwrap();
            assert_eq!(schema.get_str("title").unwrap(), name);
            assert!(schema.get_array("required").unwrap().contains(&Bson::from("_id")));
        }
        let unique = &shape(COLLECTIONS[0].1).unwrap().indexes[0];
        assert_eq!((unique.get_str("name").unwrap(), unique.get_bool("unique").unwrap()), (BY_TRANSACTION, true));
    }

    #[test]
    fn every_field_of_a_position_is_validated() {
        let shape = shape(COLLECTIONS[1].1).unwrap();
        let schema = shape.options.get_document("validator").unwrap().get_document("$jsonSchema").unwrap();
        let written = ::mongodb::bson::serialize_to_document(&PositionDocument::default()).unwrap();
        assert_eq!(written.keys().collect::<Vec<_>>(), schema.get_document("properties").unwrap().keys().collect::<Vec<_>>());
    }

    #[test]
    fn a_newer_layout_is_refused() {
        assert!(known("documents", VERSION).is_ok());
        let told = known("documents", VERSION + 1).unwrap_err().to_string();
        assert!(told.contains("newer Wardhouse (layout 2, this one knows 1)"), "{told}");
    }
}
