//! Rows beyond retention, removed some at a time, so that no transaction is long and nobody waits behind it.
//!
//! What must stay true: a floor is published before the rows below it go; only the head of a partition goes, so that what is
//! left is whole.

use std::time::Duration;

use sqlx::Postgres;
use sqlx::postgres::PgConnection;
use tokio::time::Instant;
use wh_schemas::SeqPosition;
use wh_schemas::alert::PATTERN_ROWS;
use wh_stores::postgres::values;

/// Most rows of one statement.
const ROWS: i64 = 10_000;
/// How long rows are removed at once: nothing is written meanwhile. Whoever asks again goes on with it.
const STEP: Duration = Duration::from_millis(500);

/// A table whose rows go, and how it is asked.
struct Table {
    /// The first row of a range of positions that is kept.
    kept: &'static str,
    /// Removes some from the head of a range of positions.
    remove: &'static str,
    /// Whether the positions' floor follows it.
    has_floor: bool,
}

const TABLES: [Table; 2] = [
    Table {
        kept: "SELECT pos FROM transactions WHERE pos >= $1 AND pos < $2 AND processed_at >= $3 ORDER BY pos LIMIT 1",
        remove: "DELETE FROM transactions WHERE pos >= $1 AND pos < coalesce((SELECT pos FROM transactions WHERE pos >= $1 AND pos < $2 ORDER BY pos OFFSET $3 LIMIT 1), $2)",
        has_floor: true,
    },
    Table {
        kept: "SELECT pos FROM risk_alerts WHERE pos >= $1 AND pos < $2 AND created_at >= $3 ORDER BY pos LIMIT 1",
        remove: "DELETE FROM risk_alerts WHERE pos >= $1 AND pos < coalesce((SELECT pos FROM risk_alerts WHERE pos >= $1 AND pos < $2 ORDER BY pos OFFSET $3 LIMIT 1), $2)",
        has_floor: false,
    },
];
/// Rows of patterns are few, and stay; their alerts go.
const REMOVE_PATTERN_ALERTS: &str = "DELETE FROM risk_alerts WHERE pos >= $1 AND created_at < $2";
const REMOVE_METRICS: &str = "DELETE FROM system_metrics WHERE id IN (SELECT id FROM system_metrics WHERE timestamp < $1 LIMIT $2)";
const RAISE_FLOOR: &str = "UPDATE positions SET floor_seq = greatest(floor_seq, $2) WHERE stream = 'scorer' AND partition = $1";

/// Removes what was appended before `before`, as far as a step goes, and some of each table; gives the number of transactions and alerts
/// removed.
pub(super) async fn remove(connection: &mut PgConnection, before: i64) -> Result<u64, sqlx::Error> {
    let (mut removed, until) = (0, Instant::now() + STEP);
    for position in super::positions::read(connection, "scorer").await? {
        let first = SeqPosition { partition: position.partition, seq: 0 }.packed();
        let behind = SeqPosition { partition: position.partition, seq: position.next_seq }.packed();
        for table in &TABLES {
            let kept = sqlx::query_scalar::<Postgres, i64>(table.kept).bind(first).bind(behind).bind(values::Instant(before)).fetch_optional(&mut *connection).await?;
            let floor = kept.unwrap_or(behind);
            if table.has_floor {
                let seq = super::positions::int(SeqPosition::unpacked(floor).seq);
                sqlx::query::<Postgres>(RAISE_FLOOR).bind(i64::from(position.partition)).bind(seq).execute(&mut *connection).await?;
            }
            removed += some(connection, table.remove, first, floor, until).await?;
        }
    }
    let patterns = SeqPosition { partition: PATTERN_ROWS, seq: 0 }.packed();
    removed += sqlx::query::<Postgres>(REMOVE_PATTERN_ALERTS).bind(patterns).bind(values::Instant(before)).execute(&mut *connection).await?.rows_affected();
    loop {
        let metrics = sqlx::query::<Postgres>(REMOVE_METRICS).bind(values::Instant(before)).bind(ROWS).execute(&mut *connection).await?.rows_affected();
        if metrics == 0 || Instant::now() >= until {
            return Ok(removed);
        }
    }
}

async fn some(connection: &mut PgConnection, remove: &'static str, first: i64, floor: i64, until: Instant) -> Result<u64, sqlx::Error> {
    let mut removed = 0;
    loop {
        let rows = sqlx::query::<Postgres>(remove).bind(first).bind(floor).bind(ROWS).execute(&mut *connection).await?.rows_affected();
        removed += rows;
        if rows == 0 || Instant::now() >= until {
            return Ok(removed);
        }
    }
}
