//! Rows of the embedded ledger and documents read back by their position.
//!
//! What must stay true: the file is only read, each time on a connection of its own, so that none keeps the write-ahead log from shrinking; what is stored
//! as JSON is compared by its content, and a value that is no JSON any more is a difference, never an error.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row as SqliteRow, params};
use wh_eventlog::Stored;
use wh_schemas::alert::PATTERN_ROWS;
use wh_schemas::layout::{DOCUMENTS, LEDGER, Layout};
use wh_schemas::position::SeqPosition;
use wh_schemas::topics::{RISK_ALERTS, RISK_SCORES};
use wh_schemas::{Cents, Reaction, ScoreRecord};
use wh_stores::sqlite;

use super::file::key;
use crate::delivery::walk::stream_of;
use crate::explanation::Explanation;
use crate::reconcile::{self, ALERTS, Expected, Field, Known, Plain, Reached, Row, Span, StoredRows, TRANSACTIONS};

/// How a column is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// As it stands.
    Plain,
    /// Cents.
    Money,
    /// A JSONB blob.
    Jsonb,
}

/// A table whose rows stand at a position.
#[derive(Debug)]
struct Table {
    name: &'static str,
    columns: &'static [(&'static str, Kind)],
    /// Its column of append times.
    appended: &'static str,
    /// Its column of ids.
    id: &'static str,
    /// Whether rows of patterns stand in it.
    takes_patterns: bool,
}

const LEDGER_TABLES: &[Table] = &[
    Table {
        name: TRANSACTIONS,
        columns: &[
            ("transaction_id", Kind::Plain),
            ("timestamp", Kind::Plain),
            ("user_id", Kind::Plain),
            ("account_id", Kind::Plain),
            ("counterparty_account", Kind::Plain),
            ("department", Kind::Plain),
            ("transaction_type", Kind::Plain),
            ("amount", Kind::Money),
            ("description", Kind::Plain),
            ("risk_score", Kind::Plain),
            ("risk_level", Kind::Plain),
            ("is_anomaly", Kind::Plain),
            ("amount_score", Kind::Plain),
            ("time_score", Kind::Plain),
            ("frequency_score", Kind::Plain),
            ("behavior_score", Kind::Plain),
            ("metadata_score", Kind::Plain),
            ("detection_rules", Kind::Plain),
            ("ruleset", Kind::Plain),
            ("metadata", Kind::Plain),
            ("content_hash", Kind::Plain),
            ("processed_at", Kind::Plain),
        ],
        appended: "processed_at",
        id: "transaction_id",
        takes_patterns: false,
    },
    Table {
        name: ALERTS,
        columns: &[
            ("alert_id", Kind::Plain),
            ("transaction_id", Kind::Plain),
            ("user_id", Kind::Plain),
            ("alert_type", Kind::Plain),
            ("severity", Kind::Plain),
            ("risk_score", Kind::Plain),
            ("title", Kind::Plain),
            ("message", Kind::Plain),
            ("detection_rules", Kind::Plain),
            ("created_at", Kind::Plain),
            ("metadata", Kind::Plain),
        ],
        appended: "created_at",
        id: "alert_id",
        takes_patterns: true,
    },
];

const DOCUMENTS_TABLES: &[Table] = &[Table {
    name: DOCUMENT,
    columns: &[
        ("transaction_id", Kind::Plain),
        ("user_id", Kind::Plain),
        ("timestamp", Kind::Plain),
        ("processed_at", Kind::Plain),
        ("metadata", Kind::Jsonb),
        ("explanation", Kind::Jsonb),
    ],
    appended: "processed_at",
    id: "transaction_id",
    takes_patterns: false,
}];

/// The table of documents.
const DOCUMENT: &str = "documents";

/// The rows of an embedded ledger, or of embedded documents.
#[derive(Debug)]
pub struct SqliteRows {
    layout: &'static Layout,
    path: Arc<PathBuf>,
    tables: &'static [Table],
}

impl SqliteRows {
    /// Of the ledger in a file.
    #[must_use]
    pub fn ledger(path: &Path) -> SqliteRows {
        SqliteRows { layout: &LEDGER, path: Arc::new(path.to_owned()), tables: LEDGER_TABLES }
    }

    /// Of the documents in a file.
    #[must_use]
    pub fn documents(path: &Path) -> SqliteRows {
        SqliteRows { layout: &DOCUMENTS, path: Arc::new(path.to_owned()), tables: DOCUMENTS_TABLES }
    }

    async fn read<T: Send + 'static>(&self, work: impl FnOnce(&Connection, &'static [Table]) -> rusqlite::Result<T> + Send + 'static) -> Result<T, Reaction> {
        let tables = self.tables;
        reading(self.layout, &self.path, move |connection| work(connection, tables)).await
    }
}

/// Reads a file on a thread that may block.
pub(super) async fn reading<T: Send + 'static>(
    layout: &'static Layout,
    path: &Arc<PathBuf>,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
) -> Result<T, Reaction> {
    let path = Arc::clone(path);
    let task = tokio::task::spawn_blocking(move || {
        let connection = sqlite::open_reader(&path, layout)?;
        work(&connection).map_err(|error| sqlite::reaction(layout.role, &path, &error))
    });
    task.await.map_err(|error| Reaction::fatal(format!("the task that reads the {} failed: {error}", layout.role)))?
}

/// How far a file says that it has come with a stream.
pub(super) fn reached(connection: &Connection, stream: &str) -> rusqlite::Result<Vec<Reached>> {
    let mut statement = connection.prepare("SELECT partition, visible_seq, floor_seq FROM positions WHERE stream = ?1 ORDER BY partition")?;
    let rows = statement.query_map([stream], |row| Ok(Reached { partition: row.get(0)?, visible: row.get(1)?, floor: row.get(2)? }))?;
    rows.collect()
}

/// A value as it is compared.
pub(super) fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(value) => Some(value.to_string()),
        ValueRef::Real(value) => Some(format!("{value:?}")),
        ValueRef::Text(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Blob(bytes) => Some(format!("{bytes:02x?}")),
    }
}

impl Table {
    fn select(&self) -> String {
        let column = |(name, kind): &(&str, Kind)| match kind {
            // A blob that is no JSON any more is told by its bytes.
            Kind::Jsonb => format!("CASE WHEN json_valid({name}, 8) THEN json({name}) ELSE 'no JSON: ' || hex(substr({name}, 1, 64)) END"),
            _ => (*name).to_owned(),
        };
        let columns: Vec<String> = self.columns.iter().map(column).collect();
        format!("SELECT pos, {} FROM {}", columns.join(", "), self.name)
    }

    fn row(&self, held: &SqliteRow<'_>) -> rusqlite::Result<Row> {
        let pos: i64 = held.get(0)?;
        let mut fields: Vec<Field> = Vec::with_capacity(self.columns.len());
        for (index, (name, kind)) in self.columns.iter().enumerate() {
            let value = match (kind, held.get_ref(index + 1)?) {
                (Kind::Money, ValueRef::Integer(cents)) => Some(Cents(cents).to_string()),
                (Kind::Jsonb, value) => text(value).map(|text| reconcile::normal(&text)),
                (_, value) => text(value),
            };
            fields.push((Cow::Borrowed(*name), value));
        }
        let row = Row::new(self.name, reconcile::position_of(pos), fields);
        let (id, time) = (row.field(self.id).unwrap_or_default().to_owned(), row.field(self.appended).and_then(|time| time.parse().ok()).unwrap_or(0));
        Ok(Row { id, time, place: pos.to_string(), ..row })
    }
}

#[async_trait]
impl StoredRows for SqliteRows {
    fn role(&self) -> &'static str {
        self.layout.role
    }

    fn topics(&self) -> &'static [&'static str] {
        if self.layout.role == LEDGER.role { &[RISK_SCORES, RISK_ALERTS] } else { &[RISK_SCORES] }
    }

    fn grain(&self) -> u64 {
        1
    }

    async fn refresh(&mut self) -> Result<(), Reaction> {
        Ok(())
    }

    async fn reached(&mut self, topic: &str) -> Result<Vec<Reached>, Reaction> {
        let stream = stream_of(topic).to_owned();
        self.read(move |connection, _| reached(connection, &stream)).await
    }

    async fn kept_since(&mut self, _now: i64) -> Result<Option<i64>, Reaction> {
        Ok(None)
    }

    fn expected(&self, topic: &'static str) -> Box<dyn Expected> {
        if self.layout.role == LEDGER.role {
            Box::new(Plain::new(topic, |topic, record, out| reconcile::ledger_rows(topic, record, reconcile::as_text, out)))
        } else {
            Box::new(Plain::new(topic, |_, record, out| out.extend(document(record))))
        }
    }

    async fn stored(&mut self, topic: &'static str, span: &Span, _expected: &[Row]) -> Result<Vec<Row>, Reaction> {
        let (first, behind) = (key(span.rows, span.from), key(span.rows, span.to));
        self.read(move |connection, tables| {
            let mut rows = Vec::new();
            for table in tables.iter().filter(|table| topic != RISK_ALERTS || table.takes_patterns) {
                let mut statement = connection.prepare(&format!("{} WHERE pos >= ?1 AND pos < ?2 ORDER BY pos", table.select()))?;
                let mut found = statement.query(params![first, behind])?;
                while let Some(held) = found.next()? {
                    rows.push(table.row(held)?);
                }
            }
            Ok(rows)
        })
        .await
    }

    async fn elsewhere(&mut self, ids: &[&str]) -> Result<Vec<(String, SeqPosition)>, Reaction> {
        let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        self.read(move |connection, tables| {
            let mut found = Vec::new();
            for table in tables {
                let mut statement = connection.prepare(&format!("SELECT pos FROM {} WHERE {} = ?1", table.name, table.id))?;
                for id in &ids {
                    let pos: Option<i64> = statement.query_row([id], |row| row.get(0)).optional()?;
                    found.extend(pos.map(|pos| (id.clone(), reconcile::position_of(pos))));
                }
            }
            Ok(found)
        })
        .await
    }

    async fn strays(&mut self, known: &[Known], limit: usize) -> Result<Vec<Row>, Reaction> {
        let known = known.to_vec();
        self.read(move |connection, tables| {
            let mut rows = Vec::new();
            for table in tables {
                let places = known.iter().filter(|known| known.rows < PATTERN_ROWS || table.takes_patterns);
                let outside: Vec<String> = places.map(|known| format!("NOT (pos >= {} AND pos < {})", key(known.rows, 0), key(known.rows, known.below))).collect();
                let outside = if outside.is_empty() { "TRUE".to_owned() } else { outside.join(" AND ") };
                let left = limit.saturating_sub(rows.len());
                let mut statement = connection.prepare(&format!("{} WHERE {outside} ORDER BY pos LIMIT {left}", table.select()))?;
                let mut found = statement.query([])?;
                while let Some(held) = found.next()? {
                    rows.push(table.row(held)?);
                }
            }
            Ok(rows)
        })
        .await
    }
}

/// The document of a record; none for a duplicate, or a record that no sink takes.
fn document(record: &Stored) -> Option<Row> {
    let row: ScoreRecord<'_> = serde_json::from_slice(&record.value).ok()?;
    let explanation = serde_json::to_string(&Explanation::of(&row)?).unwrap_or_else(|_| "{}".to_owned());
    let field = |name: &'static str, value: String| -> Field { (Cow::Borrowed(name), Some(value)) };
    let fields = vec![
        field("transaction_id", row.transaction_id.to_string()),
        field("user_id", row.user_id.to_string()),
        field("timestamp", row.timestamp.0.to_string()),
        field("processed_at", record.append_time.to_string()),
        field("metadata", reconcile::normal(row.metadata.get())),
        field("explanation", reconcile::normal(&explanation)),
    ];
    Some(Row { id: row.transaction_id.to_string(), time: record.append_time, ..Row::new(DOCUMENT, ScoreRecord::position(&row), fields) })
}
