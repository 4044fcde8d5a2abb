//! The ledger in PostgreSQL.

use std::collections::HashSet;

use async_trait::async_trait;
use sqlx::Postgres;
use sqlx::postgres::PgConnection;
use wh_schemas::Reaction;
use wh_stores::postgres::PostgresSettings;

use super::super::{Look, Sample};

/// A session that looks at the ledger.
pub(super) struct Ledger {
    connection: PgConnection,
    place: String,
}

impl Ledger {
    pub(super) async fn open(settings: &PostgresSettings) -> Result<Ledger, Reaction> {
        Ok(Ledger { connection: wh_stores::postgres::connect(settings).await?, place: settings.place() })
    }

    async fn number(&mut self, statement: &'static str) -> Result<u64, Reaction> {
        let found = sqlx::query_scalar::<Postgres, i64>(statement).fetch_one(&mut self.connection).await;
        found.map(|number| u64::try_from(number).unwrap_or(0)).map_err(|error| wh_stores::postgres::reaction(&self.place, &error))
    }
}

#[async_trait]
impl Look for Ledger {
    async fn find(&mut self, samples: &[Sample]) -> Result<Vec<bool>, Reaction> {
        let ids: Vec<String> = samples.iter().map(|sample| sample.transaction_id.clone()).collect();
        let asked = sqlx::query_scalar::<Postgres, String>("SELECT transaction_id FROM transactions WHERE transaction_id = ANY($1)").bind(ids);
        let found = asked.fetch_all(&mut self.connection).await.map_err(|error| wh_stores::postgres::reaction(&self.place, &error))?;
        let found: HashSet<String> = found.into_iter().collect();
        Ok(samples.iter().map(|sample| found.contains(&sample.transaction_id)).collect())
    }

    async fn reached(&mut self) -> Result<u64, Reaction> {
        self.number("SELECT coalesce(sum(visible_seq), 0)::bigint FROM positions WHERE stream = 'scorer'").await
    }

    async fn rows(&mut self) -> Result<u64, Reaction> {
        self.number("SELECT count(*) FROM transactions").await
    }

    async fn bytes(&mut self) -> Result<Option<u64>, Reaction> {
        self.number("SELECT pg_database_size(current_database())").await.map(Some)
    }
}
