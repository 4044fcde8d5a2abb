//! The ledger on PostgreSQL: one transaction a batch, with its position and the profiles. Raw: the same rows into the same tables, one
//! transaction a batch, by COPY in binary form, and by INSERT of arrays with ON CONFLICT DO NOTHING; no profiles and no positions. The faster
//! of the two decides the ratio.

use chrono_tz::Tz;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Postgres};
use wh_bench::raw::Corpus;
use wh_bench::raw::postgres::{self, Database, Prepared};
use wh_eventlog::Stored;
use wh_schemas::ScoreRecord;
use wh_sinks::postgres::LedgerStore;
use wh_stores::postgres::values::{Instant, Money};
use wh_stores::postgres::{PostgresSettings, RawPostgres, connect, metadata};
use wh_stores::{Durability, ServerUrl};

use crate::{Contest, Measured, Meter, check, cpu, write};

const SERVER: &str = "postgres";

const UNNEST: &str = "INSERT INTO transactions (pos, timestamp, processed_at, risk_score, amount_score, time_score, frequency_score, behavior_score, metadata_score, is_anomaly, \
     transaction_id, user_id, account_id, counterparty_account, department, transaction_type, amount, description, risk_level, detection_rules, ruleset, content_hash, metadata, \
     metadata_text) SELECT r.pos, r.timestamp, r.processed_at, r.risk_score, r.amount_score, r.time_score, r.frequency_score, r.behavior_score, r.metadata_score, r.is_anomaly, \
     r.transaction_id, r.user_id, r.account_id, r.counterparty_account, r.department, r.transaction_type, r.amount, r.description, r.risk_level, r.detection_rules::json, \
     r.ruleset, r.content_hash, r.metadata::jsonb, r.metadata_text FROM unnest($1::int8[], $2::timestamptz[], $3::timestamptz[], $4::int2[], $5::int2[], $6::int2[], $7::int2[], \
     $8::int2[], $9::int2[], $10::bool[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::numeric[], $18::text[], $19::text[], $20::text[], \
     $21::text[], $22::text[], $23::text[], $24::text[]) AS r (pos, timestamp, processed_at, risk_score, amount_score, time_score, frequency_score, behavior_score, \
     metadata_score, is_anomaly, transaction_id, user_id, account_id, counterparty_account, department, transaction_type, amount, description, risk_level, detection_rules, \
     ruleset, content_hash, metadata, metadata_text) ON CONFLICT DO NOTHING";

const UNNEST_ALERTS: &str = "INSERT INTO risk_alerts (pos, created_at, risk_score, alert_id, transaction_id, user_id, alert_type, severity, title, message, detection_rules, \
     metadata) SELECT r.pos, r.created_at, r.risk_score, r.alert_id, r.transaction_id, r.user_id, r.alert_type, r.severity, r.title, r.message, r.detection_rules::json, \
     r.metadata::json FROM unnest($1::int8[], $2::timestamptz[], $3::int2[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], \
     $12::text[]) AS r (pos, created_at, risk_score, alert_id, transaction_id, user_id, alert_type, severity, title, message, detection_rules, metadata) ON CONFLICT DO NOTHING";

/// A batch's alerts as they stand in the table.
const READ_ALERTS: &str = "SELECT pos, (extract(epoch FROM created_at) * 1000000)::int8, risk_score, alert_id, transaction_id, user_id, alert_type, severity, title, message, \
     detection_rules::text, metadata::text FROM risk_alerts WHERE pos BETWEEN $1 AND $2 ORDER BY pos";

const SINK: &str = "sink";
const COPY: &str = "raw: COPY BINARY";
const INSERT: &str = "raw: INSERT of arrays";

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

/// A row of [`READ_ALERTS`].
type AlertRow = (i64, i64, i16, String, String, String, String, String, String, String, String, String);

/// A batch's alerts as arrays.
#[derive(Default)]
struct AlertColumns {
    pos: Vec<i64>,
    created_at: Vec<Instant>,
    risk_score: Vec<i16>,
    /// From `alert_id` to `metadata`.
    texts: [Vec<String>; 9],
}

impl AlertColumns {
    fn of(rows: Vec<AlertRow>) -> AlertColumns {
        let mut columns = AlertColumns::default();
        for (pos, created_at, risk_score, alert_id, transaction_id, user_id, alert_type, severity, title, message, detection_rules, metadata) in rows {
            columns.pos.push(pos);
            columns.created_at.push(Instant(created_at));
            columns.risk_score.push(risk_score);
            let texts = [alert_id, transaction_id, user_id, alert_type, severity, title, message, detection_rules, metadata];
            for (column, text) in columns.texts.iter_mut().zip(texts) {
                column.push(text);
            }
        }
        columns
    }

    async fn insert(&self, connection: &mut PgConnection) {
        let mut insert = sqlx::query::<Postgres>(UNNEST_ALERTS).bind(&self.pos[..]).bind(&self.created_at[..]).bind(&self.risk_score[..]);
        for column in &self.texts {
            insert = insert.bind(&column[..]);
        }
        insert.execute(connection).await.unwrap();
    }
}

/// The arrays of each batch that the sink wrote.
async fn arrays(database: &Database, corpus: &Corpus) -> Vec<(Columns, AlertColumns)> {
    let mut connection = connect(&database.settings).await.unwrap();
    let mut batches = Vec::new();
    for records in &corpus.scored {
        let position = |record: &Stored| serde_json::from_slice::<ScoreRecord<'_>>(&record.value).unwrap().position().packed();
        let (first, last) = (position(records.first().unwrap()), position(records.last().unwrap()));
        let alerts = sqlx::query_as::<Postgres, AlertRow>(READ_ALERTS).bind(first).bind(last).fetch_all(&mut connection).await.unwrap();
        batches.push((Columns::of(records), AlertColumns::of(alerts)));
    }
    batches
}

async fn sink(database: &Database, corpus: &Corpus) -> Measured {
    let mut store = LedgerStore::open(&database.settings, Tz::UTC).await.unwrap();
    let meter = Meter::start(SERVER);
    write(&mut store, &corpus.scored).await;
    let measured = meter.stop(corpus.rows);
    check(&mut store, corpus.rows).await;
    measured
}

async fn copy(database: &Database, prepared: &Prepared) -> Measured {
    drop(database.lay_out().await.unwrap());
    Measured::of(&postgres::write(&database.settings, prepared, &cpu(SERVER)).await.unwrap())
}

async fn insert(database: &Database, batches: &[(Columns, AlertColumns)], prepared: &Prepared) -> Measured {
    let mut connection = database.lay_out().await.unwrap();
    let meter = Meter::start(SERVER);
    for (columns, alerts) in batches {
        let mut transaction = connection.begin().await.unwrap();
        columns.insert(&mut transaction).await;
        if !alerts.pos.is_empty() {
            alerts.insert(&mut transaction).await;
        }
        transaction.commit().await.unwrap();
    }
    let measured = meter.stop(prepared.rows);
    prepared.check(&database.settings).await.unwrap();
    measured
}

pub(crate) async fn contest(url: &str, corpus: &Corpus, rounds: usize) -> Contest {
    let server = PostgresSettings::try_new(&ServerUrl::parse(url).unwrap(), &RawPostgres::default(), Durability::Warn).unwrap();
    let first = Database::make(&server).await.unwrap();
    sink(&first, corpus).await;
    let (prepared, batches) = (Prepared::read(&first.settings, corpus).await.unwrap(), arrays(&first, corpus).await);
    first.remove().await.unwrap();
    // COPY is not written over an encrypted connection.
    let copied = server.server.tls.is_none();
    let compared: &[&'static str] = if copied { &[SINK, COPY, INSERT] } else { &[SINK, INSERT] };
    let mut contest = Contest::new(SERVER, "rows", compared, &[]);
    for round in 0..rounds {
        for way in contest.order(round) {
            let database = Database::make(&server).await.unwrap();
            let measured = match contest.ways[way].name {
                SINK => sink(&database, corpus).await,
                COPY => copy(&database, &prepared).await,
                _ => insert(&database, &batches, &prepared).await,
            };
            database.remove().await.unwrap();
            contest.add(way, measured);
        }
    }
    if copied && contest.ratio(2) < contest.ratio(1) {
        contest.ways.swap(1, 2);
    }
    let (pieces, alerts) = (prepared.batches(), prepared.alerts);
    let beside = if copied { "; the faster raw way decides" } else { "; COPY was left out" };
    contest
        .notes
        .push(format!("postgres: {pieces} batches with {alerts} alerts; raw ways write a batch's rows and alerts in one transaction, neither profiles nor positions{beside}"));
    contest
}
