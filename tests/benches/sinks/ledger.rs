//! The ledger on PostgreSQL: one transaction a batch, with its position and the profiles. Raw: the same rows into the same tables, one
//! transaction a batch, by COPY (binary), and by one INSERT of arrays with ON CONFLICT DO NOTHING; no profiles and no positions.

use chrono_tz::Tz;
use futures::StreamExt;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Postgres};
use wh_eventlog::Stored;
use wh_schemas::ScoreRecord;
use wh_sinks::postgres::LedgerStore;
use wh_stores::postgres::values::{Instant, Money};
use wh_stores::postgres::{PostgresSettings, RawPostgres, connect, layout, metadata};
use wh_stores::{Durability, ServerUrl};

use crate::records::Corpus;
use crate::{Contest, Measured, Meter, check, own_name, write};

const SERVER: &str = "postgres";

/// What the sink writes of the two tables, in this order.
const TRANSACTIONS: &str = "pos, timestamp, processed_at, risk_score, amount_score, time_score, frequency_score, behavior_score, metadata_score, is_anomaly, transaction_id, \
     user_id, account_id, counterparty_account, department, transaction_type, amount, description, risk_level, detection_rules, ruleset, content_hash, metadata, metadata_text";
const ALERTS: &str = "pos, created_at, risk_score, alert_id, transaction_id, user_id, alert_type, severity, title, message, detection_rules, metadata";

const UNNEST: &str = "INSERT INTO transactions (pos, timestamp, processed_at, risk_score, amount_score, time_score, frequency_score, behavior_score, metadata_score, is_anomaly, \
     transaction_id, user_id, account_id, counterparty_account, department, transaction_type, amount, description, risk_level, detection_rules, ruleset, content_hash, metadata, \
     metadata_text) SELECT r.pos, r.timestamp, r.processed_at, r.risk_score, r.amount_score, r.time_score, r.frequency_score, r.behavior_score, r.metadata_score, r.is_anomaly, \
     r.transaction_id, r.user_id, r.account_id, r.counterparty_account, r.department, r.transaction_type, r.amount, r.description, r.risk_level, r.detection_rules::json, \
     r.ruleset, r.content_hash, r.metadata::jsonb, r.metadata_text FROM unnest($1::int8[], $2::timestamptz[], $3::timestamptz[], $4::int2[], $5::int2[], $6::int2[], $7::int2[], \
     $8::int2[], $9::int2[], $10::bool[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::numeric[], $18::text[], $19::text[], $20::text[], \
     $21::text[], $22::text[], $23::text[], $24::text[]) AS r (pos, timestamp, processed_at, risk_score, amount_score, time_score, frequency_score, behavior_score, \
     metadata_score, is_anomaly, transaction_id, user_id, account_id, counterparty_account, department, transaction_type, amount, description, risk_level, detection_rules, \
     ruleset, content_hash, metadata, metadata_text) ON CONFLICT DO NOTHING";

/// A database of its own.
struct Database {
    server: PostgresSettings,
    settings: PostgresSettings,
}

impl Database {
    async fn make(url: &str) -> Database {
        let server = PostgresSettings::try_new(&ServerUrl::parse(url).unwrap(), &RawPostgres::default(), Durability::Warn).unwrap();
        let mut settings = server.clone();
        settings.server.database = own_name();
        let database = Database { server, settings };
        database.run(format!("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'", database.settings.server.database)).await;
        database
    }

    async fn remove(self) {
        self.run(format!("DROP DATABASE {} WITH (FORCE)", self.settings.server.database)).await;
    }

    async fn run(&self, statement: String) {
        let mut connection = connect(&self.server).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    }
}

/// A batch's rows as arrays.
#[derive(Default)]
struct Columns {
    pos: Vec<i64>,
    timestamp: Vec<Instant>,
    processed_at: Vec<Instant>,
    points: [Vec<i16>; 6],
    is_anomaly: Vec<bool>,
    transaction_id: Vec<String>,
    user_id: Vec<String>,
    account_id: Vec<String>,
    counterparty_account: Vec<Option<String>>,
    department: Vec<String>,
    transaction_type: Vec<String>,
    amount: Vec<Money>,
    description: Vec<Option<String>>,
    risk_level: Vec<String>,
    detection_rules: Vec<String>,
    ruleset: Vec<String>,
    content_hash: Vec<String>,
    metadata: Vec<Option<String>>,
    metadata_text: Vec<Option<String>>,
}

impl Columns {
    fn of(records: &[Stored]) -> Columns {
        let mut columns = Columns::default();
        for record in records {
            let row: ScoreRecord<'_> = serde_json::from_slice(&record.value).unwrap();
            // A recognised duplicate has no score and no row.
            let (Some(points), Some(level), Some(parts)) = (row.risk_score, row.risk_level, row.dimensions) else { continue };
            let kept = metadata::columns(row.metadata.get());
            columns.pos.push(row.position().packed());
            columns.timestamp.push(Instant(row.timestamp.0));
            columns.processed_at.push(Instant(record.append_time));
            for (column, points) in columns.points.iter_mut().zip([points, parts.amount, parts.time, parts.frequency, parts.behavior, parts.metadata]) {
                column.push(i16::from(points));
            }
            columns.is_anomaly.push(row.is_anomaly.unwrap_or(false));
            columns.transaction_id.push(row.transaction_id.to_string());
            columns.user_id.push(row.user_id.to_string());
            columns.account_id.push(row.account_id.to_string());
            columns.counterparty_account.push(row.counterparty_account.as_deref().map(str::to_owned));
            columns.department.push(row.department.to_string());
            columns.transaction_type.push(row.transaction_type.as_str().to_owned());
            columns.amount.push(Money(row.amount.0));
            columns.description.push(row.description.as_deref().map(str::to_owned));
            columns.risk_level.push(level.as_str().to_owned());
            columns.detection_rules.push(serde_json::to_string(&row.detection_rules).unwrap());
            columns.ruleset.push(row.ruleset.as_deref().unwrap_or_default().to_owned());
            columns.content_hash.push(row.content_hash.to_string());
            columns.metadata.push(kept.json.map(str::to_owned));
            columns.metadata_text.push(kept.text.map(str::to_owned));
        }
        columns
    }

    async fn insert(&self, connection: &mut PgConnection) {
        let [risk_score, amount_score, time_score, frequency_score, behavior_score, metadata_score] = &self.points;
        let insert = sqlx::query::<Postgres>(UNNEST)
            .bind(&self.pos[..])
            .bind(&self.timestamp[..])
            .bind(&self.processed_at[..])
            .bind(&risk_score[..])
            .bind(&amount_score[..])
            .bind(&time_score[..])
            .bind(&frequency_score[..])
            .bind(&behavior_score[..])
            .bind(&metadata_score[..])
            .bind(&self.is_anomaly[..])
            .bind(&self.transaction_id[..])
            .bind(&self.user_id[..])
            .bind(&self.account_id[..])
            .bind(&self.counterparty_account[..])
            .bind(&self.department[..])
            .bind(&self.transaction_type[..])
            .bind(&self.amount[..])
            .bind(&self.description[..])
            .bind(&self.risk_level[..])
            .bind(&self.detection_rules[..])
            .bind(&self.ruleset[..])
            .bind(&self.content_hash[..])
            .bind(&self.metadata[..])
            .bind(&self.metadata_text[..]);
        insert.execute(connection).await.unwrap();
    }
}

/// A batch as the raw ways write it.
struct Part {
    /// COPY data of the table of transactions.
    transactions: Vec<u8>,
    /// COPY data of the alerts; none where the batch raises none.
    alerts: Option<Vec<u8>>,
    columns: Columns,
}

/// What the sink wrote, read back by batches.
async fn parts(database: &Database, corpus: &Corpus) -> Vec<Part> {
    let mut connection = connect(&database.settings).await.unwrap();
    let mut parts = Vec::new();
    for records in &corpus.scored {
        let (first, last) = (records.first().unwrap(), records.last().unwrap());
        let position = |record: &Stored| serde_json::from_slice::<ScoreRecord<'_>>(&record.value).unwrap().position().packed();
        let rows = format!("WHERE pos BETWEEN {} AND {} ORDER BY pos", position(first), position(last));
        let columns = Columns::of(records);
        let transactions = export(&mut connection, format!("SELECT {TRANSACTIONS} FROM transactions {rows}")).await;
        let raises = sqlx::query_scalar::<Postgres, i64>(AssertSqlSafe(format!("SELECT count(*) FROM risk_alerts WHERE pos BETWEEN {} AND {}", position(first), position(last))));
        let raises = raises.fetch_one(&mut connection).await.unwrap() > 0;
        let alerts = if raises { Some(export(&mut connection, format!("SELECT {ALERTS} FROM risk_alerts {rows}")).await) } else { None };
        parts.push(Part { transactions, alerts, columns });
    }
    parts
}

async fn export(connection: &mut PgConnection, query: String) -> Vec<u8> {
    let statement = format!("COPY ({query}) TO STDOUT (FORMAT binary)");
    let mut pieces = connection.copy_out_raw(&statement).await.unwrap();
    let mut data = Vec::new();
    while let Some(piece) = pieces.next().await {
        data.extend_from_slice(&piece.unwrap());
    }
    data
}

async fn import(connection: &mut PgConnection, statement: &str, data: &[u8]) {
    let mut copy = connection.copy_in_raw(statement).await.unwrap();
    copy.send(data).await.unwrap();
    copy.finish().await.unwrap();
}

async fn sink(database: &Database, corpus: &Corpus) -> Measured {
    let mut store = LedgerStore::open(&database.settings, Tz::UTC).await.unwrap();
    let meter = Meter::start(SERVER);
    write(&mut store, &corpus.scored).await;
    let measured = meter.stop(corpus.rows);
    check(&mut store, corpus.rows).await;
    measured
}

async fn raw(database: &Database, parts: &[Part], by_copy: bool) -> Measured {
    let mut connection = connect(&database.settings).await.unwrap();
    layout::ensure(&mut connection, &database.settings).await.unwrap();
    let (copy_transactions, copy_alerts) =
        (format!("COPY transactions ({TRANSACTIONS}) FROM STDIN (FORMAT binary)"), format!("COPY risk_alerts ({ALERTS}) FROM STDIN (FORMAT binary)"));
    let rows: usize = parts.iter().map(|part| part.columns.pos.len()).sum();
    let meter = Meter::start(SERVER);
    for part in parts {
        let mut transaction = connection.begin().await.unwrap();
        if by_copy {
            import(&mut transaction, &copy_transactions, &part.transactions).await;
        } else {
            part.columns.insert(&mut transaction).await;
        }
        if let Some(alerts) = &part.alerts {
            import(&mut transaction, &copy_alerts, alerts).await;
        }
        transaction.commit().await.unwrap();
    }
    let measured = meter.stop(rows);
    let written = sqlx::query_scalar::<Postgres, i64>("SELECT count(*) FROM transactions").fetch_one(&mut connection).await.unwrap();
    assert_eq!(usize::try_from(written).unwrap(), rows);
    measured
}

pub(crate) async fn contest(url: &str, corpus: &Corpus, rounds: usize) -> Contest {
    let mut contest = Contest::new(SERVER, "rows", &["sink", "raw: COPY", "raw: INSERT of arrays"], &[]);
    let first = Database::make(url).await;
    sink(&first, corpus).await;
    let parts = parts(&first, corpus).await;
    first.remove().await;
    for round in 0..rounds {
        for way in contest.order(round) {
            let database = Database::make(url).await;
            let measured = if way == 0 { sink(&database, corpus).await } else { raw(&database, &parts, way == 1).await };
            database.remove().await;
            contest.add(way, measured);
        }
    }
    let alerts = parts.iter().filter(|part| part.alerts.is_some()).count();
    let note = format!("postgres: of {} batches {alerts} have alerts; both raw ways write these by COPY in the same transaction, and neither profiles nor positions", parts.len());
    contest.notes.push(note);
    contest
}
