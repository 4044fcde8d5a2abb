//! PostgreSQL: COPY in binary form of what the sink wrote, into tables of the same columns and indexes in a database of our own, one
//! transaction a batch as the sink does; without profiles and positions.
//!
//! What must stay true: it goes through `tokio-postgres` over a socket with TCP_NODELAY. sqlx writes the data and their end one after the other
//! to a socket without, so that each COPY waits some 40 ms for an acknowledgement that the server delays.

use std::pin::pin;

use futures::{SinkExt, StreamExt};
use secrecy::ExposeSecret;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Postgres};
use tokio::net::TcpStream;
use tokio_postgres::{Client, Config, NoTls, Statement};
use wh_eventlog::{Bytes, Stored};
use wh_schemas::ScoreRecord;
use wh_sinks::postgres::LedgerStore;
use wh_stores::postgres::{PostgresSettings, connect, layout};

use super::corpus::unread;
use super::meter::{Meter, ServerCpu, Took};
use super::{Corpus, Run, Unmeasured, and_remove, counted, fill, own_name};
use crate::report::RawRate;

/// How it is called in reports.
pub const WAY: &str = "COPY BINARY, a transaction a batch";

/// What the sink writes of the two tables, in this order.
const TRANSACTIONS: &str = "pos, timestamp, processed_at, risk_score, amount_score, time_score, frequency_score, behavior_score, metadata_score, is_anomaly, transaction_id, \
     user_id, account_id, counterparty_account, department, transaction_type, amount, description, risk_level, detection_rules, ruleset, content_hash, metadata, metadata_text";
const ALERTS: &str = "pos, created_at, risk_score, alert_id, transaction_id, user_id, alert_type, severity, title, message, detection_rules, metadata";

/// Head and end of a COPY in binary form that holds no row.
const EMPTY: usize = 21;

/// What the sink's session does about a server that would not wait for its disk.
const DURABLE: &str = "SELECT set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') IN ('off', 'local') THEN 'on' \
     ELSE current_setting('synchronous_commit') END, false)";

/// A database of our own.
pub struct Database {
    server: PostgresSettings,
    /// Settings that lead to it.
    pub settings: PostgresSettings,
}

impl Database {
    /// Makes it beside the one that the settings name, which needs the right to make databases.
    ///
    /// # Errors
    /// Where the server cannot be reached, or does not let it be made.
    pub async fn make(server: &PostgresSettings) -> Result<Database, Unmeasured> {
        let mut settings = server.clone();
        settings.server.database = own_name();
        settings.replica = None;
        let database = Database { server: server.clone(), settings };
        database.run(format!("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'", database.settings.server.database)).await?;
        Ok(database)
    }

    /// Removes it, whoever is connected to it.
    ///
    /// # Errors
    /// Where the server cannot be reached.
    pub async fn remove(&self) -> Result<(), Unmeasured> {
        Ok(wh_stores::postgres::drop_database(&self.server, &self.settings.server.database).await?)
    }

    async fn run(&self, statement: String) -> Result<(), Unmeasured> {
        let mut connection = connect(&self.server).await?;
        let told = format!("{}: {statement}", self.server.server);
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.map_err(|error| Unmeasured::new(&told, error))?;
        Ok(())
    }

    /// Makes the ledger's tables in it.
    ///
    /// # Errors
    /// As the store's.
    pub async fn lay_out(&self) -> Result<PgConnection, Unmeasured> {
        let mut connection = connect(&self.settings).await?;
        layout::ensure(&mut connection, &self.settings).await?;
        Ok(connection)
    }
}

/// One batch.
struct Piece {
    transactions: Bytes,
    /// None where the batch raised none.
    alerts: Option<Bytes>,
}

/// What the sink wrote, in the form that COPY takes.
pub struct Prepared {
    pieces: Vec<Piece>,
    /// Transactions in it.
    pub rows: usize,
    /// Alerts in it.
    pub alerts: usize,
    /// Bytes in all.
    pub bytes: usize,
}

impl Prepared {
    /// Reads what the sink wrote of a corpus, by batches.
    ///
    /// # Errors
    /// As the store's.
    pub async fn read(settings: &PostgresSettings, corpus: &Corpus) -> Result<Prepared, Unmeasured> {
        let mut connection = connect(settings).await?;
        let mut prepared = Prepared { pieces: Vec::new(), rows: 0, alerts: 0, bytes: 0 };
        for (first, last) in corpus.scored.iter().filter_map(|batch| Some((batch.first()?, batch.last()?))) {
            let range = format!("WHERE pos BETWEEN {} AND {} ORDER BY pos", position(first)?, position(last)?);
            let transactions = copy_out(&mut connection, &format!("SELECT {TRANSACTIONS} FROM transactions {range}")).await?;
            let alerts = copy_out(&mut connection, &format!("SELECT {ALERTS} FROM risk_alerts {range}")).await?;
            let alerts = (alerts.len() > EMPTY).then_some(alerts);
            prepared.bytes += transactions.len() + alerts.as_ref().map_or(0, Bytes::len);
            prepared.pieces.push(Piece { transactions, alerts });
        }
        (prepared.rows, prepared.alerts) = counts(&mut connection).await?;
        Ok(prepared)
    }

    /// How many batches.
    #[must_use]
    pub fn batches(&self) -> usize {
        self.pieces.len()
    }

    /// Sees that all of it stands in a database.
    ///
    /// # Errors
    /// Where it does not.
    pub async fn check(&self, settings: &PostgresSettings) -> Result<(), Unmeasured> {
        let (rows, alerts) = counts(&mut connect(settings).await?).await?;
        counted(rows, self.rows)?;
        counted(alerts, self.alerts)
    }
}

fn position(record: &Stored) -> Result<i64, Unmeasured> {
    serde_json::from_slice::<ScoreRecord<'_>>(&record.value).map(|row| row.position().packed()).map_err(unread)
}

fn failed(error: sqlx::Error) -> Unmeasured {
    Unmeasured::new("PostgreSQL", error)
}

async fn copy_out(connection: &mut PgConnection, query: &str) -> Result<Bytes, Unmeasured> {
    let mut pieces = connection.copy_out_raw(&format!("COPY ({query}) TO STDOUT (FORMAT binary)")).await.map_err(failed)?;
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        bytes.extend_from_slice(&piece.map_err(failed)?);
    }
    Ok(Bytes::from(bytes))
}

/// Transactions and alerts.
async fn counts(connection: &mut PgConnection) -> Result<(usize, usize), Unmeasured> {
    let counts = sqlx::query_as::<Postgres, (i64, i64)>("SELECT (SELECT count(*) FROM transactions), (SELECT count(*) FROM risk_alerts)");
    let (rows, alerts) = counts.fetch_one(connection).await.map_err(failed)?;
    Ok((usize::try_from(rows).unwrap_or(0), usize::try_from(alerts).unwrap_or(0)))
}

/// Writes it into a database that is laid out and empty.
///
/// # Errors
/// Where the connection is to be encrypted, which this way is not, or fails.
pub async fn write(settings: &PostgresSettings, prepared: &Prepared, cpu: &ServerCpu) -> Result<Took, Unmeasured> {
    let server = &settings.server;
    if server.tls.is_some() {
        return Err(Unmeasured::Failed(format!("{server}: COPY is measured over plain connections alone, and this one is encrypted")));
    }
    let mut config = Config::new();
    config.dbname(server.database.as_str()).application_name(settings.application_name.as_str());
    if let Some(user) = &server.user {
        config.user(user.as_str());
    }
    if let Some(password) = server.password.read()? {
        config.password(password.expose_secret());
    }
    let stream = reach(settings).await?;
    let (client, connection) = config.connect_raw(stream, NoTls).await.map_err(refused)?;
    let took = tokio::select! {
        gone = connection => return Err(gone.map_or_else(refused, |()| Unmeasured::Failed(format!("{server}: the server closed the connection")))),
        took = copy_in(&client, prepared, cpu) => took.map_err(refused)?,
    };
    prepared.check(settings).await?;
    Ok(took)
}

/// A socket to the first host that answers.
async fn reach(settings: &PostgresSettings) -> Result<TcpStream, Unmeasured> {
    let mut failed = Unmeasured::Failed(format!("{}: there is no host", settings.server));
    for (host, port) in &settings.server.hosts {
        match TcpStream::connect((host.as_str(), *port)).await.and_then(|stream| stream.set_nodelay(true).map(|()| stream)) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = Unmeasured::new(&format!("postgres://{host}:{port}"), error),
        }
    }
    Err(failed)
}

fn refused(error: tokio_postgres::Error) -> Unmeasured {
    // Its own words say no more than that the database refused it.
    match error.as_db_error() {
        Some(said) => Unmeasured::new("PostgreSQL", said),
        None => Unmeasured::new("PostgreSQL", error),
    }
}

async fn copy_in(client: &Client, prepared: &Prepared, cpu: &ServerCpu) -> Result<Took, tokio_postgres::Error> {
    client.batch_execute(DURABLE).await?;
    let transactions = client.prepare(&format!("COPY transactions ({TRANSACTIONS}) FROM STDIN (FORMAT binary)")).await?;
    let alerts = client.prepare(&format!("COPY risk_alerts ({ALERTS}) FROM STDIN (FORMAT binary)")).await?;
    let meter = Meter::start(cpu);
    for piece in &prepared.pieces {
        match &piece.alerts {
            None => send(client, &transactions, &piece.transactions).await?,
            Some(raised) => {
                client.batch_execute("BEGIN").await?;
                send(client, &transactions, &piece.transactions).await?;
                send(client, &alerts, raised).await?;
                client.batch_execute("COMMIT").await?;
            }
        }
    }
    Ok(meter.stop(prepared.rows, prepared.bytes))
}

async fn send(client: &Client, statement: &Statement, rows: &Bytes) -> Result<(), tokio_postgres::Error> {
    let mut sink = pin!(client.copy_in::<Statement, Bytes>(statement).await?);
    sink.send(rows.clone()).await?;
    sink.as_mut().finish().await?;
    Ok(())
}

/// Measures it.
pub(super) async fn measure(settings: &PostgresSettings, run: &Run<'_>) -> Result<RawRate, Unmeasured> {
    let (filled, plain) = (Database::make(settings).await?, Database::make(settings).await);
    let remove = async {
        let first = filled.remove().await;
        match &plain {
            Ok(plain) => first.and(plain.remove().await),
            Err(_) => first,
        }
    };
    let work = async {
        let plain = plain.as_ref().map_err(Clone::clone)?;
        let mut store = LedgerStore::open(&filled.settings, chrono_tz::Tz::UTC).await?;
        fill(&mut store, &run.corpus.scored, run.stop).await?;
        drop(store);
        let prepared = Prepared::read(&filled.settings, run.corpus).await?;
        drop(plain.lay_out().await?);
        let took = write(&plain.settings, &prepared, &run.cpu).await?;
        Ok::<_, Unmeasured>(took.raw_rate("ledger", WAY))
    };
    and_remove(run.stop, work, remove).await
}
