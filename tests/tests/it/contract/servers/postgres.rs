//! The ledger on a PostgreSQL server, for its suite: each place has a database of its own.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono_tz::Tz;
use sqlx::{AssertSqlSafe, Postgres};
use wh_query::Engine;
use wh_schemas::SeqPosition;
use wh_schemas::position::Seq;
use wh_sinks::delivery::{Store, StorePosition};
use wh_sinks::postgres::{LedgerStore, read_positions};
use wh_stores::places::LedgerPlace;
use wh_stores::postgres::{PostgresSettings, RawPostgres, connect};
use wh_stores::{Durability, ServerUrl};

use super::{own_name, url};
use crate::content::Role;
use crate::contract::sinks::SinkAdapter;
use crate::sql::engine_with;

/// The adapter of the server.
pub(in crate::contract) fn ledger() -> Arc<dyn SinkAdapter> {
    Arc::new(OnPostgres { batch_rows: RawPostgres::default().batch_rows, opened: Mutex::default() })
}

/// The same, where nearly every batch takes several statements.
pub(in crate::contract) fn ledger_in_parts() -> Arc<dyn SinkAdapter> {
    Arc::new(OnPostgres { batch_rows: 7, opened: Mutex::default() })
}

struct OnPostgres {
    batch_rows: u64,
    /// Databases of the places that were opened: other tests of this process have theirs.
    opened: Mutex<BTreeSet<String>>,
}

/// Settings for a database of the test server.
pub(crate) fn settings(database: &str, raw: &RawPostgres) -> PostgresSettings {
    let server = ServerUrl::parse(&url("POSTGRES").unwrap()).unwrap();
    let mut settings = PostgresSettings::try_new(&server, raw, Durability::Warn).unwrap();
    settings.server.database = database.to_owned();
    settings
}

/// Settings for the database that the test server's URL names, which is left as it is.
pub(crate) fn server() -> PostgresSettings {
    PostgresSettings::try_new(&ServerUrl::parse(&url("POSTGRES").unwrap()).unwrap(), &RawPostgres::default(), Durability::Warn).unwrap()
}

/// Runs a statement without values.
pub(crate) async fn run(settings: &PostgresSettings, statement: impl Into<String>) {
    let mut connection = connect(settings).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement.into())).execute(&mut connection).await.unwrap();
}

/// Makes a database that is not there yet.
pub(crate) async fn make(database: &str) {
    let mut connection = connect(&server()).await.unwrap();
    let there = "SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)";
    if !sqlx::query_scalar::<Postgres, bool>(there).bind(database).fetch_one(&mut connection).await.unwrap() {
        let statement = format!("CREATE DATABASE {database} TEMPLATE template0 ENCODING 'UTF8'");
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    }
}

/// Drops a database, whoever is in it.
pub(crate) async fn drop_database(database: &str) {
    wh_stores::postgres::drop_database(&server(), database).await.unwrap();
}

impl OnPostgres {
    fn settings(&self, place: &Path) -> PostgresSettings {
        settings(&own_name(place), &RawPostgres { batch_rows: self.batch_rows, ..RawPostgres::default() })
    }
}

#[async_trait]
impl SinkAdapter for OnPostgres {
    fn name(&self) -> &'static str {
        if self.batch_rows > 100 { "the ledger on PostgreSQL" } else { "the ledger on PostgreSQL, in parts" }
    }

    fn role(&self) -> Role {
        Role::Ledger
    }

    async fn open(&self, place: &Path) -> Box<dyn Store> {
        let name = own_name(place);
        let fresh = self.opened.lock().unwrap().insert(name.clone());
        if fresh {
            make(&name).await;
        }
        Box::new(LedgerStore::open(&self.settings(place), Tz::UTC).await.unwrap())
    }

    async fn engine(&self, place: &Path) -> Engine {
        engine_with(place, |places| places.ledger = LedgerPlace::Postgres(self.settings(place)))
    }

    async fn published(&self, place: &Path) -> Vec<StorePosition> {
        read_positions(&self.settings(place), "scorer").await.unwrap()
    }

    async fn lose(&self, place: &Path, partition: u32, seqs: Range<Seq>) {
        let at = |seq| SeqPosition { partition, seq }.packed();
        let mut connection = connect(&self.settings(place)).await.unwrap();
        for statement in ["DELETE FROM transactions WHERE pos >= $1 AND pos < $2", "DELETE FROM risk_alerts WHERE pos >= $1 AND pos < $2"] {
            sqlx::query::<Postgres>(statement).bind(at(seqs.start)).bind(at(seqs.end)).execute(&mut connection).await.unwrap();
        }
    }

    async fn sweep(&self) {
        let opened = std::mem::take(&mut *self.opened.lock().unwrap());
        for database in opened {
            drop_database(&database).await;
        }
    }
}
