//! The ledger's I/O: one connection, one transaction a batch.
//!
//! What must stay true: rows, profiles and the position that covers them are there together or not at all; a connection on which
//! something failed is not used again; no wait is without an end; what cannot be written alone is told by its record.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use chrono_tz::Tz;
use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::{Connection, Postgres, Row as _};
use wh_eventlog::Stored;
use wh_schemas::pattern::Pattern;
use wh_schemas::position::WITNESS_STREAM;
use wh_schemas::topics::{RISK_ALERTS, RISK_SCORES, SYSTEM_EVENTS};
use wh_schemas::{Reaction, ScoreRecord};
use wh_stores::postgres::{PostgresSettings, connect, layout, reaction};

use super::dialect::{self, Row};
use super::events::Events;
use super::patterns::{self, Recorded, Wrote};
use super::positions;
use super::profiles::Profiles;
use super::retention;
use crate::delivery::walk::{self, DUPLICATE, Halt, Refused, STORED, stream_of};
use crate::delivery::{Batch, Store, StorePosition, Written};

/// How many statements a batch may take, each of which may take its time.
const STATEMENTS: u32 = 5;
/// How long a step of removing rows beyond retention may take: a statement of it may wait for another's lock.
const RETENTION_LIMIT: Duration = Duration::from_secs(60);

/// The ledger on PostgreSQL.
pub struct LedgerStore {
    settings: PostgresSettings,
    place: String,
    zone: Tz,
    /// None until it is needed, and after a failure.
    pub(super) connection: Option<PgConnection>,
}

/// What a write came to.
enum Outcome {
    Written(Written),
    /// The server refuses a value, nobody knows of which row.
    Rejected(String),
}

impl LedgerStore {
    /// Opens the ledger, made when it is not there. `zone` is the hospital's, for the hours of profiles.
    ///
    /// # Errors
    /// Transient while the server is away, fatal where it is of another kind, or its database somebody else's or a newer version's.
    pub async fn open(settings: &PostgresSettings, zone: Tz) -> Result<LedgerStore, Reaction> {
        let mut connection = connect(settings).await?;
        for done in layout::ensure(&mut connection, settings).await? {
            tracing::info!("{done}");
        }
        Ok(LedgerStore { settings: settings.clone(), place: settings.place(), zone, connection: Some(connection) })
    }

    /// The connection, to be given back where nothing failed on it.
    pub(super) async fn connection(&mut self) -> Result<PgConnection, Reaction> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        let mut connection = connect(&self.settings).await?;
        // Another version may have migrated the database meanwhile.
        within(&self.place, self.settings.statement_timeout, layout::check(&mut connection, &self.place)).await?;
        Ok(connection)
    }

    pub(super) fn writing(&self) -> Writing<'_> {
        Writing { place: &self.place, zone: self.zone, chunk: self.settings.batch_rows, limit: self.settings.statement_timeout * STATEMENTS }
    }
}

/// Waits for the server, but not for ever.
pub(super) async fn within<T>(place: &str, limit: Duration, work: impl Future<Output = Result<T, Reaction>> + Send) -> Result<T, Reaction> {
    let ended = tokio::time::timeout(limit, work).await;
    ended.unwrap_or_else(|_| Err(Reaction::transient(format!("ledger ({place}): no answer within {} s", limit.as_secs()))))
}

#[async_trait]
impl Store for LedgerStore {
    fn role(&self) -> &'static str {
        "ledger"
    }

    fn topics(&self) -> Vec<&'static str> {
        vec![RISK_SCORES, RISK_ALERTS, SYSTEM_EVENTS]
    }

    async fn log(&mut self) -> Result<Option<u64>, Reaction> {
        let mut connection = self.connection().await?;
        let place = &self.place;
        let read = async { positions::log(&mut connection).await.map_err(|error| reaction(place, &error)) };
        let found = within(place, self.settings.statement_timeout, read).await?;
        self.connection = Some(connection);
        Ok(found)
    }

    async fn bind(&mut self, log: u64) -> Result<u64, Reaction> {
        let mut connection = self.connection().await?;
        let place = &self.place;
        let bind = async { positions::bind(&mut connection, log).await.map_err(|error| reaction(place, &error)) };
        let kept = within(place, self.settings.statement_timeout, bind).await?;
        self.connection = Some(connection);
        Ok(kept)
    }

    async fn witnesses(&mut self) -> Result<Vec<StorePosition>, Reaction> {
        self.positions(WITNESS_STREAM).await
    }

    async fn remember(&mut self, taken: &[StorePosition]) -> Result<(), Reaction> {
        let mut connection = self.connection().await?;
        let place = &self.place;
        let kept = async { positions::remember(&mut connection, taken).await.map_err(|error| reaction(place, &error)) };
        within(place, self.settings.statement_timeout, kept).await?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn positions(&mut self, topic: &str) -> Result<Vec<StorePosition>, Reaction> {
        let mut connection = self.connection().await?;
        let place = &self.place;
        let read = async { positions::read(&mut connection, stream_of(topic)).await.map_err(|error| reaction(place, &error)) };
        let found = within(place, self.settings.statement_timeout, read).await?;
        self.connection = Some(connection);
        Ok(found)
    }

    async fn write(&mut self, batch: Batch) -> Result<Written, Reaction> {
        let mut connection = self.connection().await?;
        let writing = self.writing();
        let outcome = within(writing.place, writing.limit, writing.write(&mut connection, &batch)).await?;
        let written = match outcome {
            Outcome::Written(written) => written,
            Outcome::Rejected(message) => within(writing.place, writing.limit, writing.culprit(&mut connection, &batch, message)).await?.into(),
        };
        self.connection = Some(connection);
        Ok(written)
    }

    async fn replay(&mut self, batch: Batch) -> Result<u64, Reaction> {
        let mut connection = self.connection().await?;
        let writing = self.writing();
        let written = within(writing.place, writing.limit, writing.again(&mut connection, &batch, &batch.buried)).await?;
        self.connection = Some(connection);
        Ok(written)
    }

    async fn publish(&mut self) -> Result<bool, Reaction> {
        Ok(false)
    }

    async fn retain(&mut self, before: i64) -> Result<u64, Reaction> {
        let mut connection = self.connection().await?;
        let place = &self.place;
        let remove = async { retention::remove(&mut connection, before).await.map_err(|error| reaction(place, &error)) };
        let removed = within(place, RETENTION_LIMIT, remove).await?;
        self.connection = Some(connection);
        Ok(removed)
    }
}

/// What writing a batch needs to know.
#[derive(Clone, Copy)]
pub(super) struct Writing<'s> {
    pub(super) place: &'s str,
    zone: Tz,
    /// Rows of one statement.
    chunk: usize,
    /// How long a batch may take.
    pub(super) limit: Duration,
}

/// What an insert came to.
#[derive(Default)]
struct Inserted {
    rows: u64,
    /// Positions of the rows that were not inserted, because something was there.
    missing: HashSet<i64>,
}

fn read(record: &Stored) -> Result<ScoreRecord<'_>, serde_json::Error> {
    serde_json::from_slice(&record.value)
}

/// The rows of a batch behind a position, and the position behind them, were all of them stored. Pure.
fn rows<'r>(batch: &'r Batch, start: &StorePosition) -> Result<(Vec<Row<'r>>, StorePosition), Halt> {
    let mut rows = Vec::with_capacity(batch.records.len());
    let position = walk::walk(batch, start, read, |record, score, _| {
        Ok::<_, Halt>(match Row::of(record, score)? {
            Some(row) => {
                rows.push(row);
                STORED
            }
            None => DUPLICATE,
        })
    })?;
    Ok((rows, position))
}

impl Writing<'_> {
    pub(super) fn told(&self, error: &sqlx::Error) -> Reaction {
        reaction(self.place, error)
    }

    /// Writes a batch with its position, or nothing.
    async fn write(&self, connection: &mut PgConnection, batch: &Batch) -> Result<Outcome, Reaction> {
        let mut transaction = connection.begin().await.map_err(|error| self.told(&error))?;
        let outcome = self.attempt(&mut transaction, batch).await?;
        // One that is not committed is ended at once: it holds the partition's position.
        let ended = if matches!(outcome, Outcome::Written(Written::Done { .. })) { transaction.commit().await } else { transaction.rollback().await };
        ended.map_err(|error| self.told(&error))?;
        Ok(outcome)
    }

    async fn attempt(&self, connection: &mut PgConnection, batch: &Batch) -> Result<Outcome, Reaction> {
        let stream = stream_of(&batch.topic);
        let start = positions::lock(connection, stream, batch.partition).await.map_err(|error| self.told(&error))?;
        let written = if &*batch.topic == SYSTEM_EVENTS {
            match Events::read(batch, &start) {
                Ok(events) => events.write(connection).await.map(|position| Ok((position, 0))),
                Err(halt) => return halt.outcome().map(Outcome::Written),
            }
        } else if &*batch.topic == RISK_ALERTS {
            match patterns::rows(batch, &start) {
                Ok((rows, position)) => self.patterns(connection, &rows, position).await.map(Ok),
                Err(halt) => return halt.outcome().map(Outcome::Written),
            }
        } else {
            match rows(batch, &start) {
                Ok((rows, position)) => self.scores(connection, &rows, position).await,
                Err(halt) => return halt.outcome().map(Outcome::Written),
            }
        };
        let (position, alerts) = match written.map_err(|error| self.told(&error)) {
            Ok(Ok(written)) => written,
            Ok(Err(refused)) => return Ok(Outcome::Written(refused.into())),
            Err(Reaction::Rejected(message)) => return Ok(Outcome::Rejected(message)),
            Err(other) => return Err(other),
        };
        if positions::publish(connection, stream, &start, &position).await.map_err(|error| self.told(&error))? {
            return Ok(Outcome::Written(Written::Done { position, alerts }));
        }
        Err(Reaction::transient(format!("ledger ({}): another instance has gone on with partition {}", self.place, batch.partition)))
    }

    /// Writes scored rows, their alerts and profiles. Gives the position and the number of alerts, or the row that is refused.
    async fn scores(&self, connection: &mut PgConnection, rows: &[Row<'_>], mut position: StorePosition) -> Result<Result<(StorePosition, u64), Refused>, sqlx::Error> {
        let missing = self.insert(connection, rows).await?.missing;
        if !missing.is_empty() {
            if let Some(conflict) = conflicting(connection, rows, &missing).await? {
                return Ok(Err(conflict));
            }
            position.tally.stored -= missing.len() as u64;
            position.tally.duplicates += missing.len() as u64;
        }
        let fresh: Vec<&Row<'_>> = rows.iter().filter(|row| !missing.contains(&row.pos())).collect();
        let mut profiles = Profiles::new(self.zone);
        for row in &fresh {
            profiles.add(&row.score, row.points);
        }
        let alerts = self.alerts(connection, &fresh).await?;
        self.patterns_of(connection, &fresh).await?;
        profiles.write(connection).await?;
        Ok(Ok((position, alerts)))
    }

    /// Writes what patterns by account came to. Gives the position and the number of alerts.
    async fn patterns(&self, connection: &mut PgConnection, rows: &[Recorded<'_>], mut position: StorePosition) -> Result<(StorePosition, u64), sqlx::Error> {
        let Wrote { rows: stored, alerts } = patterns::write(connection, rows, self.chunk).await?;
        let there = rows.len() as u64 - stored;
        position.tally.stored -= there;
        position.tally.duplicates += there;
        Ok((position, alerts))
    }

    /// Inserts the patterns by user that rows complete.
    async fn patterns_of(&self, connection: &mut PgConnection, rows: &[&Row<'_>]) -> Result<(), sqlx::Error> {
        let found: Vec<&Pattern<'_>> = rows.iter().flat_map(|row| row.score.patterns.iter()).collect();
        patterns::insert(connection, &found, self.chunk).await.map(drop)
    }

    /// Inserts the rows that are not there.
    async fn insert(&self, connection: &mut PgConnection, rows: &[Row<'_>]) -> Result<Inserted, sqlx::Error> {
        let mut all = Inserted::default();
        for chunk in rows.chunks(self.chunk) {
            let arguments = dialect::transactions(chunk).map_err(sqlx::Error::Encode)?;
            let inserted = sqlx::query_scalar_with::<Postgres, Option<Vec<i64>>, PgArguments>(dialect::INSERT_TRANSACTIONS, arguments).fetch_one(&mut *connection).await?;
            let inserted = inserted.unwrap_or_default();
            all.rows += inserted.len() as u64;
            if inserted.len() < chunk.len() {
                let inserted: HashSet<i64> = inserted.into_iter().collect();
                all.missing.extend(chunk.iter().map(Row::pos).filter(|pos| !inserted.contains(pos)));
            }
        }
        Ok(all)
    }

    /// Inserts the alerts of rows; gives their number.
    async fn alerts(&self, connection: &mut PgConnection, rows: &[&Row<'_>]) -> Result<u64, sqlx::Error> {
        let alerts: Vec<_> = rows.iter().flat_map(|row| row.score.alerts.iter().map(move |alert| (*row, alert))).collect();
        for chunk in alerts.chunks(self.chunk) {
            let arguments = dialect::alerts(chunk).map_err(sqlx::Error::Encode)?;
            sqlx::query_with::<Postgres, _>(dialect::INSERT_ALERTS, arguments).execute(&mut *connection).await?;
        }
        Ok(alerts.len() as u64)
    }

    /// The record whose row the server refuses, found by halving: nothing is written.
    async fn culprit(&self, connection: &mut PgConnection, batch: &Batch, message: String) -> Result<Refused, Reaction> {
        let start = positions::read(connection, stream_of(&batch.topic)).await.map_err(|error| self.told(&error))?;
        let start = start.into_iter().find(|position| position.partition == batch.partition).unwrap_or(StorePosition { partition: batch.partition, ..StorePosition::default() });
        if &*batch.topic == RISK_ALERTS {
            return self.culprit_of_patterns(connection, batch, &start, message).await;
        }
        let rows = if &*batch.topic == SYSTEM_EVENTS { Vec::new() } else { rows(batch, &start).map(|(rows, _)| rows).unwrap_or_default() };
        let mut suspects = &rows[..];
        while suspects.len() > 1 {
            let (front, back) = suspects.split_at(suspects.len() / 2);
            suspects = if self.is_refused(connection, front).await? { front } else { back };
        }
        let alone = suspects.len() == 1 && self.is_refused(connection, suspects).await?;
        match suspects {
            [row] if alone => Ok(Refused { offset: row.offset, position: Some(ScoreRecord::position(&row.score)), class: "row:rejected", message }),
            _ => Err(Reaction::fatal(format!("{message}; no single record explains it"))),
        }
    }

    /// As [`Writing::culprit`], one by one: patterns are few.
    async fn culprit_of_patterns(&self, connection: &mut PgConnection, batch: &Batch, start: &StorePosition, message: String) -> Result<Refused, Reaction> {
        let rows = patterns::rows(batch, start).map(|(rows, _)| rows).unwrap_or_default();
        for recorded in &rows {
            let mut transaction = connection.begin().await.map_err(|error| self.told(&error))?;
            let tried = patterns::write(&mut transaction, std::slice::from_ref(recorded), self.chunk).await;
            transaction.rollback().await.map_err(|error| self.told(&error))?;
            match tried.map_err(|error| self.told(&error)) {
                Ok(_) => {}
                Err(Reaction::Rejected(_)) => {
                    return Ok(Refused { offset: recorded.offset, position: recorded.row.alert.position, class: "row:rejected", message });
                }
                Err(other) => return Err(other),
            }
        }
        Err(Reaction::fatal(format!("{message}; no single record explains it")))
    }

    /// Whether the server refuses a value of these rows. They are taken back.
    async fn is_refused(&self, connection: &mut PgConnection, rows: &[Row<'_>]) -> Result<bool, Reaction> {
        let mut transaction = connection.begin().await.map_err(|error| self.told(&error))?;
        let all: Vec<&Row<'_>> = rows.iter().collect();
        let tried = match self.insert(&mut transaction, rows).await {
            Ok(_) => match self.alerts(&mut transaction, &all).await {
                Ok(_) => self.patterns_of(&mut transaction, &all).await,
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        transaction.rollback().await.map_err(|error| self.told(&error))?;
        match tried.map_err(|error| self.told(&error)) {
            Ok(()) => Ok(false),
            Err(Reaction::Rejected(_)) => Ok(true),
            Err(other) => Err(other),
        }
    }

    /// Writes records again past the fence: the ledger's keys alone decide, and profiles, which counted them before, stay as they are, but for
    /// those of the offsets `uncounted`.
    pub(super) async fn again(&self, connection: &mut PgConnection, batch: &Batch, uncounted: &BTreeSet<u64>) -> Result<u64, Reaction> {
        if &*batch.topic == RISK_ALERTS {
            let mut transaction = connection.begin().await.map_err(|error| self.told(&error))?;
            let wrote = patterns::write(&mut transaction, &patterns::again(batch), self.chunk).await.map_err(|error| self.told(&error))?;
            transaction.commit().await.map_err(|error| self.told(&error))?;
            return Ok(wrote.rows);
        }
        // What cannot be read or stored is passed over: the dead letters hold it.
        let rows: Vec<Row<'_>> = batch.records.iter().filter_map(|record| Row::of(record, read(record).ok()?).ok().flatten()).collect();
        let mut transaction = connection.begin().await.map_err(|error| self.told(&error))?;
        let written = self.restore(&mut transaction, &rows, uncounted).await.map_err(|error| self.told(&error))?;
        transaction.commit().await.map_err(|error| self.told(&error))?;
        Ok(written)
    }

    async fn restore(&self, connection: &mut PgConnection, rows: &[Row<'_>], uncounted: &BTreeSet<u64>) -> Result<u64, sqlx::Error> {
        let inserted = self.insert(connection, rows).await?;
        let mut profiles = Profiles::new(self.zone);
        for row in rows.iter().filter(|row| uncounted.contains(&row.offset) && !inserted.missing.contains(&row.pos())) {
            profiles.add(&row.score, row.points);
        }
        // A row that is there may have lost its alert, or its pattern.
        let there = taken(connection, &inserted.missing).await?;
        let whole: Vec<&Row<'_>> = rows.iter().filter(|row| !inserted.missing.contains(&row.pos()) || there.contains(&row.pos())).collect();
        self.alerts(connection, &whole).await?;
        self.patterns_of(connection, &whole).await?;
        profiles.write(connection).await?;
        Ok(inserted.rows)
    }
}

/// The first of the rows that were not inserted which is no copy of what the ledger holds under its id: beyond the scorer's horizon
/// the store's key decides, the same way.
async fn conflicting(connection: &mut PgConnection, rows: &[Row<'_>], missing: &HashSet<i64>) -> Result<Option<Refused>, sqlx::Error> {
    let suspects: Vec<&Row<'_>> = rows.iter().filter(|row| missing.contains(&row.pos())).collect();
    let ids: Vec<_> = suspects.iter().map(|row| row.id()).collect();
    let mut hashes = HashMap::new();
    for row in sqlx::query::<Postgres>(dialect::HASHES).bind(&ids[..]).fetch_all(connection).await? {
        hashes.insert(row.try_get::<String, _>(0)?, row.try_get::<String, _>(1)?);
    }
    let is_copy = |row: &Row<'_>| hashes.get(&*row.id()).is_some_and(|hash| *hash == row.hash());
    Ok(suspects.into_iter().find(|row| !is_copy(row)).map(Row::conflict))
}

/// Which of these positions are taken.
async fn taken(connection: &mut PgConnection, positions: &HashSet<i64>) -> Result<HashSet<i64>, sqlx::Error> {
    if positions.is_empty() {
        return Ok(HashSet::new());
    }
    let wanted: Vec<i64> = positions.iter().copied().collect();
    let found = sqlx::query_scalar::<Postgres, i64>(dialect::TAKEN).bind(wanted).fetch_all(connection).await?;
    Ok(found.into_iter().collect())
}
