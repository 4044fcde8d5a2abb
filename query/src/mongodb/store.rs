//! A MongoDB database as the store of the documents.
//!
//! What must stay true: making one does no I/O; one pool of connections is made when it is first needed, and kept; what may be seen is
//! read anew for each scan.

use std::fmt;
use std::sync::Arc;

use ::mongodb::bson::{Bson, doc};
use tokio::sync::OnceCell;
use wh_schemas::Reaction;
use wh_stores::mongodb::layout::{self, POSITIONS, PositionDocument};
use wh_stores::mongodb::{Connected, MongodbSettings, connect};

use super::columns::Table;
use super::keys::Visible;
use super::scan::MongodbScan;
use crate::errors::QueryError;
use crate::positions::Position;
use crate::settled::Settled;
use crate::shape;
use crate::store::{RoleStore, SinkStore, wait};
use crate::table::Relation;

const ROLE: &str = "documents";

/// The documents of a MongoDB database.
pub(crate) struct MongodbDocuments {
    settings: MongodbSettings,
    connected: OnceCell<Connected>,
    pub(super) settled: Settled<Vec<Visible>>,
}

impl fmt::Debug for MongodbDocuments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongodbDocuments").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl MongodbDocuments {
    /// No I/O.
    pub(crate) fn new(settings: MongodbSettings) -> MongodbDocuments {
        MongodbDocuments { settings, connected: OnceCell::new(), settled: Settled::default() }
    }

    /// What a failure says.
    pub(super) fn failed(&self, reaction: &Reaction) -> QueryError {
        let remedy = if let Reaction::Transient { .. } = reaction { "ask again when it answers" } else { "`wardhouse doctor` says more" };
        QueryError::Store { role: ROLE, message: reaction.to_string(), remedy: remedy.to_owned() }
    }

    /// What is wrong with a document.
    pub(super) fn damaged(&self, key: i64, what: &dyn fmt::Display) -> QueryError {
        QueryError::Store {
            role: ROLE,
            message: format!("{}: the document {key}: {what}", self.settings.place()),
            remedy: "somebody changed it behind Wardhouse's back: `wardhouse replay` writes it again once it is removed".to_owned(),
        }
    }

    /// What is wrong with a group of documents.
    pub(super) fn failed_group(&self, what: &dyn fmt::Display) -> QueryError {
        QueryError::Store {
            role: ROLE,
            message: format!("{}: the documents cannot be grouped: {what}", self.settings.place()),
            remedy: "somebody changed one behind Wardhouse's back: `wardhouse replay` writes it again once it is removed".to_owned(),
        }
    }

    /// The connected client.
    pub(super) async fn connected(&self) -> Result<&Connected, QueryError> {
        self.connected.get_or_try_init(|| async { connect(&self.settings).await }).await.map_err(|reaction| self.failed(&reaction))
    }

    async fn version(&self) -> Result<Option<i64>, QueryError> {
        let connected = self.connected().await?;
        let version = layout::version(connected).await.map_err(|reaction| self.failed(&reaction))?;
        if let Some(version) = version {
            layout::known(connected.place(), version).map_err(|reaction| self.failed(&reaction))?;
        }
        Ok(version)
    }

    async fn read_positions(&self) -> Result<Vec<PositionDocument>, QueryError> {
        // At the same time; what a layout says that there is not, or is newer, is not believed.
        let (version, found) = futures::future::join(self.version(), self.find_positions()).await;
        if version?.is_none() {
            return Err(QueryError::Store {
                role: ROLE,
                message: format!("{} holds no documents of Wardhouse yet", self.settings.place()),
                remedy: "start the documents sink on it, or name another database in stores.documents".to_owned(),
            });
        }
        found
    }

    async fn find_positions(&self) -> Result<Vec<PositionDocument>, QueryError> {
        let connected = self.connected().await?;
        let positions = connected.collection::<PositionDocument>(POSITIONS);
        let failed = |reaction: Reaction| self.failed(&reaction);
        let mut cursor = connected.ask(positions.find(doc! {}).sort(doc! { "stream": 1, "partition": 1 })).await.map_err(failed)?;
        let mut found = Vec::new();
        while connected.ask(cursor.advance()).await.map_err(failed)? {
            found.push(cursor.deserialize_current().map_err(|error| self.failed(&connected.told(&error)))?);
        }
        Ok(found)
    }

    /// What may be seen now, and the client to see it with.
    pub(super) async fn visible(&self) -> Result<(&Connected, Vec<Visible>), QueryError> {
        let positions = self.read_positions().await?;
        let of_documents = positions.into_iter().filter(|position| position.stream == "scorer");
        let visible = of_documents.map(|position| Visible { partition: position.partition, floor: position.floor_seq, next: position.next_seq }).collect();
        Ok((self.connected().await?, visible))
    }
}

impl RoleStore for MongodbDocuments {
    fn kind(&self) -> &'static str {
        "mongodb"
    }

    fn place(&self) -> String {
        self.settings.url().to_string()
    }

    fn layout(&self) -> Result<Option<i64>, QueryError> {
        wait(self.version())
    }

    fn bytes(&self) -> Option<u64> {
        let said = wait(async {
            let connected = self.connected().await.ok()?;
            connected.ask(connected.database().run_command(doc! { "dbStats": 1 })).await.ok()
        })?;
        let of = |name: &str| match said.get(name) {
            Some(Bson::Int32(bytes)) => u64::try_from(*bytes).ok(),
            Some(Bson::Int64(bytes)) => u64::try_from(*bytes).ok(),
            #[expect(clippy::cast_possible_truncation, reason = "a whole number of bytes that the server writes as a real one")]
            Some(Bson::Double(bytes)) if *bytes >= 0.0 => Some(*bytes as u64),
            _ => None,
        };
        Some(of("storageSize")? + of("indexSize").unwrap_or(0))
    }

    fn relations(self: Arc<Self>) -> Vec<Relation> {
        let tables = shape::documents().into_iter().filter_map(Table::of);
        tables
            .map(|table| {
                let shape = table.shape.clone();
                Relation::new(ROLE, &shape, Arc::new(MongodbScan::new(Arc::clone(&self), table)))
            })
            .collect()
    }
}

impl SinkStore for MongodbDocuments {
    fn positions(&self) -> Result<Vec<Position>, QueryError> {
        let position = |found: PositionDocument| Position {
            stream: found.stream,
            partition: found.partition,
            next_seq: found.next_seq,
            next_offset: found.next_offset,
            stored: found.stored,
            duplicates: found.duplicates,
            dead_letters: found.dead_letters,
            discarded: found.discarded,
            updated_at: found.updated_at,
            floor_seq: found.floor_seq,
        };
        Ok(wait(self.read_positions())?.into_iter().map(position).collect())
    }
}

#[cfg(test)]
mod tests {
    use wh_stores::mongodb::RawMongodb;
    use wh_stores::{Durability, ServerUrl};

    use super::*;

    #[test]
    fn a_store_shows_its_place_without_secrets_and_both_tables() {
        let url = ServerUrl::parse("mongodb://user:secret@host/wardhouse").unwrap();
        let store = Arc::new(MongodbDocuments::new(MongodbSettings::try_new(&url, &RawMongodb::default(), Durability::Warn).unwrap()));
        assert_eq!(store.place(), "mongodb://…@host/wardhouse");
        assert!(!format!("{store:?}").contains("secret"));
        let relations = store.relations();
        let names: Vec<String> = relations.iter().map(Relation::qualified_name).collect();
        assert_eq!(names, ["documents.transaction_metadata", "documents.explanations"]);
    }
}
