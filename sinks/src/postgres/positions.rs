//! How far each stream is in the ledger: read and locked when a batch begins, published with its rows.
//!
//! What must stay true: whoever writes a partition holds its position until the batch is there, so that of two instances the later
//! one finds what the earlier one wrote; a position is moved only from where the batch began.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Postgres, Row};
use wh_eventlog::crash;
use wh_schemas::Reaction;
use wh_schemas::position::{LOG_STREAM, WITNESS_STREAM};
use wh_stores::clock;
use wh_stores::postgres::values::Instant;
use wh_stores::postgres::{PostgresSettings, connect, layout, reaction};

use crate::delivery::{StorePosition, Tally};

const LOCK: &str = "SELECT partition, next_seq, next_offset, visible_seq, stored, duplicates, dead_letters, discarded, unreadable FROM positions \
     WHERE stream = $1 AND partition = $2 FOR UPDATE";
/// Makes the row, or locks the one that another instance made meanwhile.
const MAKE: &str = "INSERT INTO positions (stream, partition, next_seq, next_offset, updated_at) VALUES ($1, $2, 0, 0, $3) \
     ON CONFLICT (stream, partition) DO UPDATE SET updated_at = positions.updated_at \
     RETURNING partition, next_seq, next_offset, visible_seq, stored, duplicates, dead_letters, discarded, unreadable";
const PUBLISH: &str = "UPDATE positions SET next_seq = $3, next_offset = $4, visible_seq = $5, stored = $6, duplicates = $7, dead_letters = $8, discarded = $9, \
     unreadable = $10, updated_at = $11 WHERE stream = $1 AND partition = $2 AND next_seq = $12 AND next_offset = $13";
const READ: &str = "SELECT partition, next_seq, next_offset, visible_seq, stored, duplicates, dead_letters, discarded, unreadable FROM positions \
     WHERE stream = $1 ORDER BY partition";

/// Of two instances the first one's mark stays: the other's statement waits for it.
const BIND: &str = "INSERT INTO positions (stream, partition, next_seq, next_offset, updated_at) VALUES ($1, 0, 0, $2, $3) ON CONFLICT (stream, partition) DO NOTHING";

const REMEMBER: &str = "INSERT INTO positions (stream, partition, next_seq, next_offset, updated_at) VALUES ($1, $2, $3, $4, $5) \
     ON CONFLICT (stream, partition) DO UPDATE SET next_seq = excluded.next_seq, next_offset = excluded.next_offset, updated_at = excluded.updated_at";

/// A count or a place in the log, as PostgreSQL keeps it.
pub(super) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn count(row: &PgRow, index: usize) -> Result<u64, sqlx::Error> {
    Ok(u64::try_from(row.try_get::<i64, _>(index)?).unwrap_or(0))
}

fn position(row: &PgRow) -> Result<StorePosition, sqlx::Error> {
    Ok(StorePosition {
        partition: u32::try_from(row.try_get::<i32, _>(0)?).unwrap_or(0),
        next_seq: count(row, 1)?,
        next_offset: count(row, 2)?,
        visible_seq: count(row, 3)?,
        visible_offset: count(row, 2)?,
        unreadable: count(row, 8)?,
        tally: Tally { stored: count(row, 4)?, duplicates: count(row, 5)?, dead_letters: count(row, 6)?, discarded: count(row, 7)? },
    })
}

/// Where the ledger stands in one partition; nobody else moves it until the transaction ends.
pub(super) async fn lock(connection: &mut PgConnection, stream: &str, partition: u32) -> Result<StorePosition, sqlx::Error> {
    let found = sqlx::query::<Postgres>(LOCK).bind(stream).bind(i64::from(partition)).fetch_optional(&mut *connection).await?;
    let row = match found {
        Some(row) => row,
        None => sqlx::query::<Postgres>(MAKE).bind(stream).bind(i64::from(partition)).bind(Instant(clock::now().0)).fetch_one(connection).await?,
    };
    position(&row)
}

/// Moves a position from where the batch began. `false` where it is not there any more.
pub(super) async fn publish(connection: &mut PgConnection, stream: &str, from: &StorePosition, to: &StorePosition) -> Result<bool, sqlx::Error> {
    crash::point("sink.rows");
    let published = sqlx::query::<Postgres>(PUBLISH)
        .bind(stream)
        .bind(i64::from(to.partition))
        .bind(int(to.next_seq))
        .bind(int(to.next_offset))
        .bind(int(to.visible_seq))
        .bind(int(to.tally.stored))
        .bind(int(to.tally.duplicates))
        .bind(int(to.tally.dead_letters))
        .bind(int(to.tally.discarded))
        .bind(int(to.unreadable))
        .bind(Instant(clock::now().0))
        .bind(int(from.next_seq))
        .bind(int(from.next_offset))
        .execute(connection)
        .await?;
    Ok(published.rows_affected() == 1)
}

/// The ledger's positions in a stream.
pub(super) async fn read(connection: &mut PgConnection, stream: &str) -> Result<Vec<StorePosition>, sqlx::Error> {
    let rows = sqlx::query::<Postgres>(READ).bind(stream).fetch_all(connection).await?;
    rows.iter().map(position).collect()
}

/// The mark of the log that the ledger is filled from, where it keeps one.
pub(super) async fn log(connection: &mut PgConnection) -> Result<Option<u64>, sqlx::Error> {
    Ok(read(connection, LOG_STREAM).await?.first().map(|kept| kept.next_offset))
}

/// Keeps the mark of a log where none is kept; gives the one that is.
pub(super) async fn bind(connection: &mut PgConnection, mark: u64) -> Result<u64, sqlx::Error> {
    sqlx::query::<Postgres>(BIND).bind(LOG_STREAM).bind(int(mark)).bind(Instant(clock::now().0)).execute(&mut *connection).await?;
    log(connection).await?.ok_or(sqlx::Error::RowNotFound)
}

/// Keeps what the last records were that were taken.
pub(super) async fn remember(connection: &mut PgConnection, taken: &[StorePosition]) -> Result<(), sqlx::Error> {
    for place in taken {
        let kept = sqlx::query::<Postgres>(REMEMBER).bind(WITNESS_STREAM).bind(i64::from(place.partition)).bind(int(place.next_seq)).bind(int(place.next_offset));
        kept.bind(Instant(clock::now().0)).execute(&mut *connection).await?;
    }
    Ok(())
}

/// What the ledger says of itself, read without writing anything; nothing where the ledger is not there yet.
///
/// # Errors
/// Where it cannot be read.
pub async fn read_positions(settings: &PostgresSettings, stream: &str) -> Result<Vec<StorePosition>, Reaction> {
    let place = settings.place();
    let mut connection = connect(settings).await?;
    let found = async {
        match layout::version(&mut connection).await? {
            None => Ok(Vec::new()),
            Some(_) => read(&mut connection, stream).await,
        }
    };
    let timed = tokio::time::timeout(settings.statement_timeout, found).await;
    timed.map_err(|_| Reaction::transient(format!("ledger ({place}): no answer in time")))?.map_err(|error| reaction(&place, &error))
}
