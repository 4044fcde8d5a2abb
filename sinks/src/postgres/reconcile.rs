//! Rows of the ledger on PostgreSQL read back by their position.
//!
//! What must stay true: nothing is written, and no value stands in the text of a statement; a text is read as the sink stored it; metadata is compared by its
//! content in `jsonb` and by its text beside it, each as it is stored.

use std::borrow::Cow;

use async_trait::async_trait;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Postgres, Row as _, ValueRef};
use wh_schemas::alert::PATTERN_ROWS;
use wh_schemas::position::{Seq, SeqPosition};
use wh_schemas::topics::{RISK_ALERTS, RISK_SCORES};
use wh_schemas::{Cents, Reaction};
use wh_stores::postgres::values::{Instant, Money};
use wh_stores::postgres::{PostgresSettings, connect, layout, metadata, reaction, text};

use super::positions::int;
use super::sink::within;
use crate::delivery::walk::stream_of;
use crate::reconcile::{self, ALERTS, Expected, Field, Known, Plain, Reached, Row, Span, StoredRows, TRANSACTIONS};

const REACHED: &str = "SELECT partition::int8, visible_seq, floor_seq FROM positions WHERE stream = $1 ORDER BY partition";
const ELSEWHERE: &str = "SELECT transaction_id, pos FROM transactions WHERE transaction_id = ANY($1) UNION ALL SELECT alert_id, pos FROM risk_alerts WHERE alert_id = ANY($1)";

/// The columns of a table, in the order in which its statements ask for them.
macro_rules! statements {
    ($columns:literal, $table:literal) => {
        [
            concat!("SELECT pos, ", $columns, " FROM ", $table, " WHERE pos >= $1 AND pos < $2 ORDER BY pos"),
            concat!(
                "SELECT pos, ",
                $columns,
                " FROM ",
                $table,
                " WHERE NOT EXISTS (SELECT 1 FROM unnest($1::int8[], $2::int8[]) AS known (first, behind) WHERE pos >= known.first AND pos < known.behind) ORDER BY pos LIMIT $3"
            ),
        ]
    };
}

/// How a column is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Int,
    Text,
    /// JSON of our own making, as its text.
    Json,
    Money,
    Instant,
    /// A transaction's metadata as `jsonb`, and behind it the text beside it.
    Metadata,
}

/// A table whose rows stand at a position.
#[derive(Debug)]
struct Table {
    name: &'static str,
    /// Of a range of positions; and of what stands in none of some ranges.
    statements: [&'static str; 2],
    columns: &'static [(&'static str, Kind)],
    appended: &'static str,
    id: &'static str,
    takes_patterns: bool,
}

const TABLES: [Table; 2] = [
    Table {
        name: TRANSACTIONS,
        statements: statements!(
            "transaction_id, timestamp, user_id, account_id, counterparty_account, department, transaction_type, amount, description, risk_score::int8, risk_level, \
             is_anomaly::int4::int8, amount_score::int8, time_score::int8, frequency_score::int8, behavior_score::int8, metadata_score::int8, detection_rules::text, ruleset, \
             content_hash, processed_at, metadata::text, metadata_text",
            "transactions"
        ),
        columns: &[
            ("transaction_id", Kind::Text),
            ("timestamp", Kind::Instant),
            ("user_id", Kind::Text),
            ("account_id", Kind::Text),
            ("counterparty_account", Kind::Text),
            ("department", Kind::Text),
            ("transaction_type", Kind::Text),
            ("amount", Kind::Money),
            ("description", Kind::Text),
            ("risk_score", Kind::Int),
            ("risk_level", Kind::Text),
            ("is_anomaly", Kind::Int),
            ("amount_score", Kind::Int),
            ("time_score", Kind::Int),
            ("frequency_score", Kind::Int),
            ("behavior_score", Kind::Int),
            ("metadata_score", Kind::Int),
            ("detection_rules", Kind::Json),
            ("ruleset", Kind::Text),
            ("content_hash", Kind::Text),
            ("processed_at", Kind::Instant),
            ("metadata", Kind::Metadata),
        ],
        appended: "processed_at",
        id: "transaction_id",
        takes_patterns: false,
    },
    Table {
        name: ALERTS,
        statements: statements!(
            "alert_id, transaction_id, user_id, alert_type, severity, risk_score::int8, title, message, detection_rules::text, created_at, metadata::text",
            "risk_alerts"
        ),
        columns: &[
            ("alert_id", Kind::Text),
            ("transaction_id", Kind::Text),
            ("user_id", Kind::Text),
            ("alert_type", Kind::Text),
            ("severity", Kind::Text),
            ("risk_score", Kind::Int),
            ("title", Kind::Text),
            ("message", Kind::Text),
            ("detection_rules", Kind::Json),
            ("created_at", Kind::Instant),
            ("metadata", Kind::Json),
        ],
        appended: "created_at",
        id: "alert_id",
        takes_patterns: true,
    },
];

/// The bytes of a column; `None` for NULL.
fn bytes(row: &PgRow, index: usize) -> Result<Option<Vec<u8>>, sqlx::Error> {
    let value = row.try_get_raw(index)?;
    if value.is_null() {
        return Ok(None);
    }
    value.as_bytes().map(|bytes| Some(bytes.to_vec())).map_err(sqlx::Error::Decode)
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Table {
    fn row(&self, held: &PgRow) -> Result<Row, sqlx::Error> {
        let pos: i64 = held.try_get(0)?;
        let mut fields: Vec<Field> = Vec::with_capacity(self.columns.len() + 1);
        for (index, (name, kind)) in self.columns.iter().enumerate() {
            let Some(bytes) = bytes(held, index + 1)? else {
                fields.push((Cow::Borrowed(*name), None));
                if *kind == Kind::Metadata {
                    fields.push(beside(held, index + 2)?);
                }
                continue;
            };
            let value = match kind {
                Kind::Int => bytes.as_slice().try_into().map(|bytes| i64::from_be_bytes(bytes).to_string()).unwrap_or_else(|_| said(&bytes)),
                Kind::Text => said(&text::read(&bytes)),
                Kind::Json => said(&bytes),
                Kind::Money => Money::decode(&bytes).map_or_else(|| "no amount".to_owned(), |cents| Cents(cents).to_string()),
                Kind::Instant => Instant::decode(&bytes).map_or_else(|| "no time".to_owned(), |micros| micros.to_string()),
                Kind::Metadata => {
                    let beside = beside(held, index + 2)?;
                    let value = in_jsonb(&said(&bytes), beside.1.is_some());
                    fields.push(beside);
                    value
                }
            };
            fields.push((Cow::Borrowed(*name), Some(value)));
        }
        let row = Row::new(self.name, reconcile::position_of(pos), fields);
        let (id, time) = (row.field(self.id).unwrap_or_default().to_owned(), row.field(self.appended).and_then(|time| time.parse().ok()).unwrap_or(0));
        Ok(Row { id, time, place: pos.to_string(), ..row })
    }
}

fn beside(held: &PgRow, index: usize) -> Result<Field, sqlx::Error> {
    Ok((Cow::Borrowed("metadata_text"), bytes(held, index)?.map(|bytes| said(&bytes))))
}

/// Metadata as `jsonb` gives it: by its text where that can be had back, else by what it means.
fn in_jsonb(json: &str, has_text: bool) -> String {
    if has_text { reconcile::meaning(json) } else { reconcile::normal(json) }
}

/// What columns a transaction's metadata becomes.
fn metadata_columns(sent: &str) -> Vec<Field> {
    let metadata::Columns { json, text } = metadata::columns(sent);
    vec![(Cow::Borrowed("metadata"), json.map(|json| in_jsonb(json, text.is_some()))), (Cow::Borrowed("metadata_text"), text.map(str::to_owned))]
}

fn key(partition: u32, seq: Seq) -> i64 {
    SeqPosition { partition, seq }.packed()
}

/// The rows of the ledger on PostgreSQL.
pub struct PostgresRows {
    settings: PostgresSettings,
    place: String,
    /// None until it is needed, and after a failure.
    connection: Option<PgConnection>,
}

impl PostgresRows {
    /// Of the ledger that settings name. No I/O.
    #[must_use]
    pub fn new(settings: &PostgresSettings) -> PostgresRows {
        PostgresRows { settings: settings.clone(), place: settings.place(), connection: None }
    }

    async fn connection(&mut self) -> Result<PgConnection, Reaction> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        let mut connection = connect(&self.settings).await?;
        within(&self.place, self.settings.statement_timeout, layout::check(&mut connection, &self.place)).await?;
        Ok(connection)
    }

    fn settled<T>(&mut self, connection: PgConnection, answer: Result<Result<T, sqlx::Error>, Reaction>) -> Result<T, Reaction> {
        let value = answer?.map_err(|error| reaction(&self.place, &error))?;
        self.connection = Some(connection);
        Ok(value)
    }
}

#[async_trait]
impl StoredRows for PostgresRows {
    fn role(&self) -> &'static str {
        "ledger"
    }

    fn topics(&self) -> &'static [&'static str] {
        &[RISK_SCORES, RISK_ALERTS]
    }

    fn grain(&self) -> u64 {
        1
    }

    async fn refresh(&mut self) -> Result<(), Reaction> {
        Ok(())
    }

    async fn reached(&mut self, topic: &str) -> Result<Vec<Reached>, Reaction> {
        let mut connection = self.connection().await?;
        let asked = async { Ok(sqlx::query_as::<Postgres, (i64, i64, i64)>(REACHED).bind(stream_of(topic)).fetch_all(&mut connection).await) };
        let answer = within(&self.place, self.settings.statement_timeout, asked).await;
        let found = self.settled(connection, answer)?;
        let number = |value: i64| u64::try_from(value).unwrap_or(0);
        Ok(found
            .into_iter()
            .map(|(partition, visible, floor)| Reached { partition: u32::try_from(partition).unwrap_or(u32::MAX), visible: number(visible), floor: number(floor) })
            .collect())
    }

    async fn kept_since(&mut self, _now: i64) -> Result<Option<i64>, Reaction> {
        Ok(None)
    }

    fn expected(&self, topic: &'static str) -> Box<dyn Expected> {
        Box::new(Plain::new(topic, |topic, record, out| reconcile::ledger_rows(topic, record, metadata_columns, out)))
    }

    async fn stored(&mut self, topic: &'static str, span: &Span, _expected: &[Row]) -> Result<Vec<Row>, Reaction> {
        let mut rows = Vec::new();
        for table in TABLES.iter().filter(|table| topic != RISK_ALERTS || table.takes_patterns) {
            let mut connection = self.connection().await?;
            let asked = async { Ok(sqlx::query::<Postgres>(table.statements[0]).bind(key(span.rows, span.from)).bind(key(span.rows, span.to)).fetch_all(&mut connection).await) };
            let answer = within(&self.place, self.settings.statement_timeout, asked).await;
            for held in self.settled(connection, answer)? {
                rows.push(table.row(&held).map_err(|error| reaction(&self.place, &error))?);
            }
        }
        Ok(rows)
    }

    async fn elsewhere(&mut self, ids: &[&str]) -> Result<Vec<(String, SeqPosition)>, Reaction> {
        let stored: Vec<String> = ids.iter().map(|id| text::stored(id).into_owned()).collect();
        let mut connection = self.connection().await?;
        let asked = async { Ok(sqlx::query_as::<Postgres, (String, i64)>(ELSEWHERE).bind(&stored).fetch_all(&mut connection).await) };
        let answer = within(&self.place, self.settings.statement_timeout, asked).await;
        let found = self.settled(connection, answer)?;
        Ok(found.into_iter().map(|(id, pos)| (said(&text::read(id.as_bytes())), reconcile::position_of(pos))).collect())
    }

    async fn strays(&mut self, known: &[Known], limit: usize) -> Result<Vec<Row>, Reaction> {
        let mut rows = Vec::new();
        for table in &TABLES {
            let places: Vec<&Known> = known.iter().filter(|known| known.rows < PATTERN_ROWS || table.takes_patterns).collect();
            let first: Vec<i64> = places.iter().map(|known| key(known.rows, 0)).collect();
            let behind: Vec<i64> = places.iter().map(|known| key(known.rows, known.below)).collect();
            let left = int(limit.saturating_sub(rows.len()) as u64);
            let mut connection = self.connection().await?;
            let asked = async { Ok(sqlx::query::<Postgres>(table.statements[1]).bind(&first).bind(&behind).bind(left).fetch_all(&mut connection).await) };
            // The whole table is looked through.
            let answer = within(&self.place, self.settings.statement_timeout * PATIENCE, asked).await;
            for held in self.settled(connection, answer)? {
                rows.push(table.row(&held).map_err(|error| reaction(&self.place, &error))?);
            }
        }
        Ok(rows)
    }
}

/// How many times a statement's time one may take that looks through a table.
const PATIENCE: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_compared_as_jsonb_keeps_it() {
        let field = |sent: &str, name: &str| metadata_columns(sent).into_iter().find(|(field, _)| field == name).and_then(|(_, value)| value);
        assert_eq!(field(r#"{"a":1.50,"b":"x"}"#, "metadata"), Some(in_jsonb(r#"{"b": "x", "a": 1.50}"#, false)));
        assert_eq!(field(r#"{"a":1e2}"#, "metadata"), Some(in_jsonb(r#"{"a": 100}"#, true)));
        assert_eq!((field(r#"{"a":1e2}"#, "metadata_text").as_deref(), field(r#"{"a":1}"#, "metadata_text")), (Some(r#"{"a":1e2}"#), None));
        assert_ne!(in_jsonb(r#"{"a": 1.5}"#, false), in_jsonb(r#"{"a": 1.50}"#, false), "what SQL shows is another text");
    }
}
