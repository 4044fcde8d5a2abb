//! The ledger's tables in a database, made and migrated.
//!
//! What must stay true: a migration runs once, in one transaction with the version that it leads to, whoever else tries at the
//! same time; a database of a newer Wardhouse, or of somebody else, is left as it is.

use sqlx::postgres::PgConnection;
use sqlx::{Connection, Postgres};
use wh_schemas::Reaction;

use super::errors::reaction;
use super::settings::PostgresSettings;

/// Version of the layout that this binary writes and reads.
pub const VERSION: i64 = 1;

const LAYOUT: &str = include_str!("../../../schemas/postgres/layout.sql");
/// Each with the version that it leads to and what it does. One that stands here is never changed: a later one mends it.
const MIGRATIONS: [(i64, &str, &str); 1] = [(1, "tables, views and indexes of the ledger", include_str!("../../../schemas/postgres/0001_ledger.sql"))];

/// Name of this store in `wardhouse_layout`.
const STORE: &str = "ledger";
/// Held by whoever migrates: "wardhous".
const LOCK: i64 = 0x7761_7264_686f_7573;

/// What the layout consists of; where one of them is and no version, the database is somebody else's.
pub const RELATIONS: [&str; 11] = [
    "positions",
    "transactions",
    "risk_alerts",
    "user_profiles",
    "audit_log",
    "transaction_patterns",
    "system_metrics",
    "high_risk_transactions",
    "recent_alerts",
    "transaction_summary",
    "user_risk_summary",
];

/// The version of the ledger in this database; `None` where there is none yet.
///
/// # Errors
/// Where it cannot be read.
pub async fn version(connection: &mut PgConnection) -> Result<Option<i64>, sqlx::Error> {
    // Not by `to_regclass`: behind a wait for a lock it may still answer from a cache of names that another session has made stale.
    let sql = "SELECT EXISTS (SELECT 1 FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname = 'wardhouse_layout')";
    let there: bool = sqlx::query_scalar::<Postgres, bool>(sql).fetch_one(&mut *connection).await?;
    if !there {
        return Ok(None);
    }
    sqlx::query_scalar::<Postgres, i64>("SELECT version FROM public.wardhouse_layout WHERE store = $1").bind(STORE).fetch_optional(connection).await
}

/// Refuses a database whose layout is not the one that this binary knows. Changes nothing.
///
/// # Errors
/// Fatal for a newer or an older layout and for none.
pub async fn check(connection: &mut PgConnection, place: &str) -> Result<(), Reaction> {
    let found = version(connection).await.map_err(|error| reaction(place, &error))?;
    match not_newer(place, found)? {
        Some(VERSION) => Ok(()),
        Some(older) => Err(Reaction::fatal(format!("ledger ({place}): has layout {older}, this Wardhouse works with {VERSION}: run `wardhouse migrate`"))),
        None => Err(Reaction::fatal(format!("ledger ({place}): has no ledger in it: run `wardhouse migrate`"))),
    }
}

fn not_newer(place: &str, found: Option<i64>) -> Result<Option<i64>, Reaction> {
    match found {
        Some(newer) if newer > VERSION => {
            Err(Reaction::fatal(format!("ledger ({place}): was written by a newer Wardhouse (layout {newer}, this one knows {VERSION}): use that version, nothing was changed")))
        }
        other => Ok(other),
    }
}

/// Makes the layout, or brings it to this version. Tells what was done; nothing where all was there.
///
/// # Errors
/// Fatal where the database is somebody else's, of a newer Wardhouse, or the rights are lacking.
pub async fn ensure(connection: &mut PgConnection, settings: &PostgresSettings) -> Result<Vec<String>, Reaction> {
    let place = settings.place();
    let told = |error: sqlx::Error| reaction(&place, &error);
    // Most often nothing is to be done, for which no lock is worth taking.
    if not_newer(&place, version(connection).await.map_err(told)?)? == Some(VERSION) {
        return Ok(Vec::new());
    }
    let mut transaction = connection.begin().await.map_err(told)?;
    sqlx::raw_sql("SET LOCAL statement_timeout = 0").execute(&mut *transaction).await.map_err(told)?;
    sqlx::query::<Postgres>("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await.map_err(told)?;
    let found = not_newer(&place, version(&mut transaction).await.map_err(told)?)?;
    if found == Some(VERSION) {
        // Somebody else was first.
        return transaction.rollback().await.map(|()| Vec::new()).map_err(told);
    }
    if found.is_none() {
        let foreign = relations(&mut transaction).await.map_err(told)?;
        if !foreign.is_empty() {
            return Err(Reaction::fatal(format!(
                "ledger ({place}): holds {} that no Wardhouse made: name a database of its own in stores.ledger, nothing was changed",
                foreign.join(", ")
            )));
        }
        sqlx::raw_sql(LAYOUT).execute(&mut *transaction).await.map_err(told)?;
    }
    let mut done = Vec::new();
    for (leads_to, what, statements) in MIGRATIONS {
        if found.is_none_or(|found| found < leads_to) {
            sqlx::raw_sql(statements).execute(&mut *transaction).await.map_err(told)?;
            done.push(format!("ledger ({place}): layout {leads_to}: {what}"));
        }
    }
    let record = "INSERT INTO wardhouse_layout (store, version, migrated_at) VALUES ($1, $2, now()) \
                  ON CONFLICT (store) DO UPDATE SET version = excluded.version, migrated_at = excluded.migrated_at";
    sqlx::query::<Postgres>(record).bind(STORE).bind(VERSION).execute(&mut *transaction).await.map_err(told)?;
    transaction.commit().await.map_err(told)?;
    Ok(done)
}

/// What stands in `public` under a name of the layout.
async fn relations(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    let sql = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND (relname::text = ANY($1) OR relname = 'wardhouse_layout') ORDER BY 1";
    sqlx::query_scalar::<Postgres, String>(sql).bind(&RELATIONS[..]).fetch_all(connection).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_migration_leads_to_this_version() {
        assert_eq!(MIGRATIONS.map(|(version, _, _)| version).last(), Some(&VERSION));
        assert!(MIGRATIONS.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0));
    }

    #[test]
    fn every_relation_is_made_by_a_migration() {
        let all: String = MIGRATIONS.map(|(_, _, statements)| statements).concat();
        for relation in RELATIONS {
            assert!(all.contains(&format!("CREATE TABLE {relation} (")) || all.contains(&format!("CREATE VIEW {relation} AS")), "{relation}");
        }
    }

    #[test]
    fn a_newer_layout_is_refused() {
        let told = not_newer("p", Some(9)).unwrap_err().to_string();
        assert!(told.contains("newer Wardhouse (layout 9, this one knows 1)"), "{told}");
        assert_eq!(not_newer("p", None).unwrap(), None);
    }
}
