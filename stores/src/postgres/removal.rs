//! Removing a database that was made for a while: by measurements and tests.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection};
use tokio::time::{Instant, sleep};
use wh_schemas::Reaction;

use super::{PostgresSettings, connect, reaction};

/// As long as the server's own autovacuum may work in it: only a superuser may end that, and it ends by itself.
const WAIT: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(200);
/// `insufficient_privilege`, said of a session that this one may not end.
const NOT_OURS: &str = "42501";

/// Drops `database`, whoever is connected to it; one that is not there is no fault. `settings` name another one of its server.
///
/// # Errors
/// As [`connect()`]'s, and where the server refuses.
pub async fn drop_database(settings: &PostgresSettings, database: &str) -> Result<(), Reaction> {
    let statement = format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)");
    let mut connection = connect(settings).await?;
    let begun = Instant::now();
    let done = loop {
        match sqlx::raw_sql(AssertSqlSafe(statement.as_str())).execute(&mut connection).await {
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(NOT_OURS) && begun.elapsed() < WAIT => sleep(PAUSE).await,
            done => break done,
        }
    };
    // Whether it is closed in form is of no account any more.
    drop(connection.close().await);
    done.map(drop).map_err(|error| reaction(&settings.place(), &error))
}
