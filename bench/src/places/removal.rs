//! Removing a measurement's places.
//!
//! What must stay true: nothing is removed whose name is not the measurement's; what was never made is no fault.

use redis::aio::MultiplexedConnection;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Map, Value};
use wh_schemas::Reaction;
use wh_stores::elasticsearch::{ElasticsearchSettings, Method};
use wh_stores::influxdb::InfluxdbSettings;
use wh_stores::influxdb::layout::task_name;
use wh_stores::places::{BaselinesPlace, DocumentsPlace, LedgerPlace, LogPlace, MetricsPlace, SearchPlace};
use wh_stores::redis::RedisSettings;

use super::{Own, PREFIX};

/// Groups of the stages, and of who reads back.
const GROUPS: [&str; 8] = ["intake", "scorer", "patterns", "ledger", "documents", "metrics", "search", crate::readback::GROUP];
/// Keys that one look at Redis aims at.
const KEYS: usize = 1_000;
/// Names that stand in one request: its first line is bounded.
const NAMES: usize = 40;

impl Own {
    /// Removes everything of the measurement's name. A sentence for each thing that is left; the folder then stays too, by which a later
    /// removal finds the name.
    pub async fn remove(&self) -> Vec<String> {
        // Whatever the settings came to hold, nothing of another name is touched.
        if !self.name.starts_with(PREFIX) {
            return vec![format!("nothing was removed: {:?} is no name of a measurement", self.name)];
        }
        let (log, ledger, documents, metrics, baselines, search) =
            tokio::join!(self.remove_topics(), self.remove_database(), self.remove_documents(), self.remove_buckets(), self.remove_keys(), self.remove_indexes());
        let outcomes = [("topics and groups", log), ("database", ledger), ("documents", documents), ("buckets", metrics), ("keys", baselines), ("indexes", search)];
        let mut left: Vec<String> =
            outcomes.into_iter().filter_map(|(what, outcome)| outcome.err().map(|reaction| format!("the {what} called {} were not removed: {reaction}", self.name))).collect();
        if !left.is_empty() {
            return left;
        }
        // Who writes plainly has a folder of the name alone.
        for folder in [self.folder.clone(), self.folder.with_file_name(&self.name)] {
            if folder.to_str().is_some_and(|folder| folder.contains(&self.name))
                && let Err(error) = std::fs::remove_dir_all(&folder)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                left.push(format!("{} was not removed: {error}", folder.display()));
            }
        }
        left
    }

    async fn remove_topics(&self) -> Result<(), Reaction> {
        match &self.places.log {
            LogPlace::Kafka(settings) if settings.namespace.as_ref() == Some(&self.name) => wh_eventlog::kafka::remove(settings, &GROUPS).await,
            LogPlace::Kafka(_) | LogPlace::Sqlite(_) => Ok(()),
        }
    }

    async fn remove_database(&self) -> Result<(), Reaction> {
        match (&self.places.ledger, &self.door) {
            (LedgerPlace::Postgres(own), Some(door)) if own.server.database == self.name => wh_stores::postgres::drop_database(door, &self.name).await,
            _ => Ok(()),
        }
    }

    async fn remove_documents(&self) -> Result<(), Reaction> {
        match &self.places.documents {
            DocumentsPlace::Mongodb(settings) if settings.database() == self.name => {
                let connected = wh_stores::mongodb::connect(settings).await?;
                connected.ask(connected.database().drop()).await
            }
            DocumentsPlace::Mongodb(_) | DocumentsPlace::Sqlite(_) => Ok(()),
        }
    }

    async fn remove_buckets(&self) -> Result<(), Reaction> {
        match &self.places.metrics {
            MetricsPlace::Influxdb(settings) if settings.bucket == self.name => {
                buckets(settings).await.map_err(|why| Reaction::fatal(format!("{}: {why}: remove them by hand", settings.place())))
            }
            MetricsPlace::Influxdb(_) | MetricsPlace::Sqlite(_) => Ok(()),
        }
    }

    async fn remove_keys(&self) -> Result<(), Reaction> {
        match &self.places.baselines {
            BaselinesPlace::Redis(settings) if settings.namespace == self.name => {
                let mut connection = wh_stores::redis::connect(settings).await?;
                keys(&mut connection, settings).await.map_err(|error| wh_stores::redis::reaction(&settings.place(), &error))
            }
            BaselinesPlace::Redis(_) | BaselinesPlace::Sqlite(_) => Ok(()),
        }
    }

    async fn remove_indexes(&self) -> Result<(), Reaction> {
        match &self.places.search {
            SearchPlace::Elasticsearch(settings) if settings.namespace == self.name => indexes(settings).await,
            SearchPlace::Elasticsearch(_) | SearchPlace::Tantivy(_) => Ok(()),
        }
    }
}

/// A client of InfluxDB's own interface, and the header by which it knows us.
pub(super) fn http(settings: &InfluxdbSettings) -> Result<(reqwest::Client, String), String> {
    let told = |error: reqwest::Error| error.to_string();
    let token = settings.token.read().map_err(|reaction| reaction.to_string())?.unwrap_or_default();
    let mut builder = reqwest::ClientBuilder::new().no_proxy().connect_timeout(settings.connect_timeout).timeout(settings.request_timeout);
    if let Some(path) = settings.tls.as_ref().and_then(|tls| tls.ca_file.as_ref()) {
        let pem = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        builder = reqwest::Certificate::from_pem_bundle(&pem).map_err(told)?.into_iter().fold(builder, reqwest::ClientBuilder::add_root_certificate);
    }
    Ok((builder.build().map_err(told)?, format!("Token {}", token.expose_secret())))
}

/// The bucket, the one of hourly sums, and the task that fills it.
async fn buckets(settings: &InfluxdbSettings) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Named {
        id: String,
        name: String,
    }
    #[derive(Deserialize)]
    struct Listed {
        #[serde(default)]
        tasks: Vec<Named>,
        #[serde(default)]
        buckets: Vec<Named>,
    }
    let told = |error: reqwest::Error| error.to_string();
    let ((http, authorization), base) = (http(settings)?, settings.base());
    let task = task_name(&settings.bucket);
    let hourly = settings.hourly_bucket();
    for (kind, name) in [("tasks", task.as_str()), ("buckets", settings.bucket.as_str()), ("buckets", hourly.as_str())] {
        let asked = http.get(format!("{base}/api/v2/{kind}")).query(&[("org", settings.org.as_str()), ("name", name)]).header("Authorization", &authorization);
        let answer = asked.send().await.map_err(told)?;
        if answer.status() == reqwest::StatusCode::NOT_FOUND {
            continue;
        }
        let listed: Listed = serde_json::from_str(&answer.error_for_status().map_err(told)?.text().await.map_err(told)?).map_err(|error| error.to_string())?;
        for found in listed.tasks.into_iter().chain(listed.buckets).filter(|found| found.name == name) {
            let removed = http.delete(format!("{base}/api/v2/{kind}/{}", found.id)).header("Authorization", &authorization).send().await.map_err(told)?;
            if removed.status() != reqwest::StatusCode::NOT_FOUND {
                removed.error_for_status().map_err(told)?;
            }
        }
    }
    Ok(())
}

/// Every key of the namespace.
async fn keys(connection: &mut MultiplexedConnection, settings: &RedisSettings) -> redis::RedisResult<()> {
    let pattern = format!("{}:*", settings.namespace);
    let mut cursor = 0_u64;
    loop {
        let (next, found): (u64, Vec<Vec<u8>>) = redis::cmd("SCAN").arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(KEYS).query_async(connection).await?;
        if !found.is_empty() {
            redis::cmd("UNLINK").arg(&found).exec_async(connection).await?;
        }
        if next == 0 {
            return Ok(());
        }
        cursor = next;
    }
}

/// Every index of the namespace, and the template of the alerts'.
async fn indexes(settings: &ElasticsearchSettings) -> Result<(), Reaction> {
    let client = wh_stores::elasticsearch::connect(settings).await?;
    let told = |failure| client.reaction(&failure);
    let found: Map<String, Value> = client.ask(Method::Get, &format!("{}-*/_alias", settings.namespace), &[], None).await.map_err(told)?;
    let names: Vec<&str> = found.keys().map(String::as_str).filter(|name| name.starts_with(&settings.namespace)).collect();
    for names in names.chunks(NAMES) {
        let _: Value = client.ask(Method::Delete, &names.join(","), &[], None).await.map_err(told)?;
    }
    match client.ask::<Value>(Method::Delete, &format!("_index_template/{}", settings.alerts()), &[], None).await {
        Err(failure) if failure.status != Some(404) => Err(client.reaction(&failure)),
        _ => Ok(()),
    }
}
