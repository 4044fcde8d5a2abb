//! Places of a measurement's own: a database, topics, a bucket, keys, indexes and a folder that nobody has, made at its beginning and
//! removed at its end.
//!
//! What must stay true: everything that is removed bears the measurement's own name, which no one else's has; what settings name is
//! connected to and otherwise left alone; a removal that fails is told with what is left, and the others go on.

mod removal;
mod stale;
mod url;

use std::path::PathBuf;

use sqlx::{AssertSqlSafe, Connection, Postgres};
use wh_eventlog::kafka::KafkaLog;
use wh_schemas::Reaction;
use wh_stores::Role;
use wh_stores::places::{BaselinesPlace, DocumentsPlace, LedgerPlace, LogPlace, MetricsPlace, SearchPlace};
use wh_stores::postgres::PostgresSettings;

use crate::report::StoreUsed;

pub use stale::{Found, Maker, maker, own_name};
pub use url::own_url;

/// What every name of a measurement begins with.
pub const PREFIX: &str = "whbench_";
/// How sentences of stores end that a sink says while it waits.
const TRIED_AGAIN: &str = "; it is tried again";

pub use wh_stores::places::Places;

/// The places of one measurement.
#[derive(Clone, Debug)]
pub struct Own {
    /// Its name, which databases, buckets and namespaces bear.
    pub name: String,
    /// Its folder: embedded stores, and what its processes say.
    pub folder: PathBuf,
    /// Where each role is kept.
    pub places: Places,
    /// The database that the settings name, from which its own is made. Nothing else is done there.
    pub door: Option<PostgresSettings>,
}

/// What was found at a place.
fn used(role: Role, scheme: &str, address: String, server: String) -> StoreUsed {
    StoreUsed { role: role.as_str().to_owned(), scheme: scheme.to_owned(), address, server, durability: String::new() }
}

/// An embedded store needs no reaching.
fn embedded(role: Role) -> StoreUsed {
    used(role, role.embedded_scheme(), String::new(), String::new())
}

impl Own {
    /// Connects to each store, and says what is there.
    ///
    /// # Errors
    /// A sentence for each that cannot be reached or will not do.
    pub async fn reach(&self) -> Result<Vec<StoreUsed>, Vec<String>> {
        let places = &self.places;
        let (log, ledger, documents, metrics, baselines, search) = tokio::join!(
            log(&places.log),
            ledger(&places.ledger, self.door.as_ref()),
            documents(&places.documents),
            metrics(&places.metrics),
            baselines(&places.baselines),
            search(&places.search),
        );
        let (mut found, mut faults) = (Vec::new(), Vec::new());
        for (role, reached) in Role::ALL.into_iter().zip([log, ledger, documents, metrics, baselines, search]) {
            match reached {
                Ok(used) => found.push(used),
                // Sinks try again for ever, and their sentences say so; a measurement does not begin.
                Err(reaction) => faults.push(format!("stores.{role} cannot be measured: {}", reaction.to_string().replace(TRIED_AGAIN, ""))),
            }
        }
        if faults.is_empty() { Ok(found) } else { Err(faults) }
    }

    /// Makes the folder and what no stage makes by itself: the database.
    ///
    /// # Errors
    /// A sentence.
    pub async fn make(&self) -> Result<(), String> {
        std::fs::create_dir_all(&self.folder)
            .map_err(|error| format!("cannot create {}: {error}; choose a data folder that can be written (--data DIR)", self.folder.display()))?;
        if let (LedgerPlace::Postgres(own), Some(door)) = (&self.places.ledger, &self.door) {
            // Of the name, nothing needs quoting.
            let made = statement(door, format!("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'", own.server.database)).await;
            made.map_err(|reaction| format!("a database of the measurement's own cannot be made: {reaction}; let the user of stores.ledger have CREATEDB"))?;
        }
        Ok(())
    }
}

/// Runs one statement in the database that the settings name.
async fn statement(door: &PostgresSettings, statement: String) -> Result<(), Reaction> {
    let mut connection = wh_stores::postgres::connect(door).await?;
    let done = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await;
    done.map_err(|error| wh_stores::postgres::reaction(&door.place(), &error))?;
    // Whether it is closed in form is of no account any more.
    drop(connection.close().await);
    Ok(())
}

async fn log(place: &LogPlace) -> Result<StoreUsed, Reaction> {
    match place {
        LogPlace::Sqlite(_) => Ok(embedded(Role::Log)),
        LogPlace::Kafka(settings) => {
            drop(KafkaLog::open(settings, 64 * 1_024).await?);
            Ok(used(Role::Log, "kafka", settings.brokers.clone(), String::new()))
        }
    }
}

async fn ledger(place: &LedgerPlace, door: Option<&PostgresSettings>) -> Result<StoreUsed, Reaction> {
    let (LedgerPlace::Postgres(_), Some(door)) = (place, door) else { return Ok(embedded(Role::Ledger)) };
    let mut connection = wh_stores::postgres::connect(door).await?;
    let version = sqlx::query_scalar::<Postgres, String>("SELECT current_setting('server_version')").fetch_one(&mut connection).await;
    let version = version.map_err(|error| wh_stores::postgres::reaction(&door.place(), &error))?;
    let hosts: Vec<String> = door.server.hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
    Ok(used(Role::Ledger, "postgres", hosts.join(","), format!("PostgreSQL {version}")))
}

async fn documents(place: &DocumentsPlace) -> Result<StoreUsed, Reaction> {
    let DocumentsPlace::Mongodb(settings) = place else { return Ok(embedded(Role::Documents)) };
    let connected = wh_stores::mongodb::connect(settings).await?;
    let hosts: Vec<String> = settings.url().hosts().iter().map(|host| host.with_port(27_017)).collect();
    Ok(used(Role::Documents, "mongodb", hosts.join(","), format!("MongoDB {}", connected.version())))
}

async fn metrics(place: &MetricsPlace) -> Result<StoreUsed, Reaction> {
    let MetricsPlace::Influxdb(settings) = place else { return Ok(embedded(Role::Metrics)) };
    let client = wh_stores::influxdb::connect(settings).await?;
    let version = wh_stores::influxdb::connect::version_of(&client).await?;
    Ok(used(Role::Metrics, "influxdb", settings.authority.clone(), format!("InfluxDB {version}")))
}

async fn baselines(place: &BaselinesPlace) -> Result<StoreUsed, Reaction> {
    let BaselinesPlace::Redis(settings) = place else { return Ok(embedded(Role::Baselines)) };
    let (_, greeting) = wh_stores::redis::connect::open(settings).await.map_err(|failure| failure.reaction(&settings.place()))?;
    Ok(used(Role::Baselines, "redis", format!("{}:{}", settings.host, settings.port), format!("{} {}", greeting.server, greeting.version)))
}

async fn search(place: &SearchPlace) -> Result<StoreUsed, Reaction> {
    let SearchPlace::Elasticsearch(settings) = place else { return Ok(embedded(Role::Search)) };
    let client = wh_stores::elasticsearch::connect(settings).await?;
    let nodes: Vec<String> = settings.nodes.iter().map(|node| format!("{}:{}", node.host_str().unwrap_or_default(), node.port_or_known_default().unwrap_or_default())).collect();
    Ok(used(Role::Search, "elasticsearch", nodes.join(","), format!("Elasticsearch {}", client.version())))
}
