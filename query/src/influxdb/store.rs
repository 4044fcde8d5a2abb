//! An InfluxDB bucket as the store of the metrics.
//!
//! What must stay true: one client, made when it is first needed, and made anew after the server did not know its token.

use std::sync::Arc;

use tokio::sync::Mutex;
use wh_schemas::Reaction;
use wh_stores::influxdb::points::{latest_positions, text_of};
use wh_stores::influxdb::{Client, InfluxdbSettings, connect, layout};

use super::scan::ThroughputScan;
use crate::errors::QueryError;
use crate::positions::Position;
use crate::shape;
use crate::store::{RoleStore, SinkStore, wait};
use crate::table::Relation;

/// A bucket.
#[derive(Debug)]
pub(crate) struct InfluxdbMetrics {
    settings: InfluxdbSettings,
    client: Mutex<Option<Client>>,
}

impl InfluxdbMetrics {
    /// No I/O.
    pub(crate) fn new(settings: InfluxdbSettings) -> InfluxdbMetrics {
        InfluxdbMetrics { settings, client: Mutex::new(None) }
    }

    /// The client, connected; the bucket holds no newer layout than this knows.
    pub(crate) async fn client(&self) -> Result<Client, QueryError> {
        let mut held = self.client.lock().await;
        if let Some(client) = held.as_ref() {
            return Ok(client.clone());
        }
        let client = connect(&self.settings).await.map_err(|reaction| told(&reaction))?;
        layout::version(&client).await.map_err(|reaction| told(&reaction))?;
        *held = Some(client.clone());
        Ok(client)
    }

    /// What a failure says. A client that can never do it is let go: its token may have been changed.
    pub(crate) fn failed(&self, reaction: &Reaction) -> QueryError {
        if let (Reaction::Fatal(_), Ok(mut held)) = (reaction, self.client.try_lock()) {
            *held = None;
        }
        told(reaction)
    }

    async fn read_positions(&self) -> Result<Vec<Position>, QueryError> {
        let client = self.client().await?;
        let found = client.fields(&latest_positions()).await.map_err(|reaction| self.failed(&reaction))?;
        let mut positions: Vec<Position> = found
            .iter()
            .map(|fields| Position {
                stream: text_of(fields.text("stream")).into_owned(),
                partition: fields.text("partition").parse().unwrap_or(-1),
                next_seq: fields.int("next_seq").max(fields.int("visible_seq")),
                next_offset: fields.int("next_offset"),
                stored: fields.int("stored"),
                duplicates: fields.int("duplicates"),
                dead_letters: fields.int("dead_letters"),
                discarded: fields.int("discarded"),
                updated_at: fields.int("updated_at"),
                floor_seq: 0,
            })
            .collect();
        positions.sort_by(|one, other| (&one.stream, one.partition).cmp(&(&other.stream, other.partition)));
        Ok(positions)
    }
}

fn told(reaction: &Reaction) -> QueryError {
    let (message, remedy) = match reaction {
        Reaction::Transient { message, .. } => (message.clone(), "ask again once it answers"),
        Reaction::Fatal(message) | Reaction::Rejected(message) => (message.clone(), "`wardhouse doctor` looks at it"),
    };
    QueryError::Store { role: "metrics", message, remedy: remedy.to_owned() }
}

impl RoleStore for InfluxdbMetrics {
    fn kind(&self) -> &'static str {
        "influxdb"
    }

    fn place(&self) -> String {
        self.settings.place()
    }

    fn layout(&self) -> Result<Option<i64>, QueryError> {
        wait(async {
            let client = self.client().await?;
            layout::version(&client).await.map_err(|reaction| self.failed(&reaction))
        })
    }

    fn bytes(&self) -> Option<u64> {
        // The server does not say.
        None
    }

    fn relations(self: Arc<Self>) -> Vec<Relation> {
        let shape = shape::metrics();
        let scan = ThroughputScan { store: self, shape: Arc::new(shape.clone()), surveys: Arc::default() };
        vec![Relation::new("metrics", &shape, Arc::new(scan))]
    }
}

impl SinkStore for InfluxdbMetrics {
    fn positions(&self) -> Result<Vec<Position>, QueryError> {
        wait(self.read_positions())
    }
}
