//! Where each role is kept, from its URL and its server's section of the settings. No I/O.

use std::path::{Path, PathBuf};

use wh_stores::elasticsearch::ElasticsearchSettings;
use wh_stores::influxdb::InfluxdbSettings;
use wh_stores::kafka::KafkaSettings;
use wh_stores::mongodb::MongodbSettings;
use wh_stores::places::{BaselinesPlace, DocumentsPlace, LedgerPlace, LogPlace, MetricsPlace, SearchPlace};
use wh_stores::postgres::PostgresSettings;
use wh_stores::redis::RedisSettings;
use wh_stores::{Durability, Place, Role, ServerUrl};

use crate::args::RoleName;
use crate::settings::Raw;

/// Where each role is kept.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) log: LogPlace,
    pub(crate) ledger: LedgerPlace,
    pub(crate) documents: DocumentsPlace,
    pub(crate) metrics: MetricsPlace,
    pub(crate) baselines: BaselinesPlace,
    pub(crate) search: SearchPlace,
    /// The folder of locks: at most one process takes a role on embedded files.
    locks: PathBuf,
    /// What `config show` prints for each role.
    shown: Vec<(Role, String)>,
}

impl Places {
    /// Reads every URL; faults are added, and an embedded place stands where one is at fault.
    pub(crate) fn try_new(raw: &Raw, data: &Path, faults: &mut Vec<String>) -> Places {
        let mut reading = Reading { raw, data, durability: raw.stores.durability.into(), faults, files: Vec::new(), shown: Vec::new() };
        let log = reading.place(Role::Log, LogPlace::Sqlite, |raw, url, durability| KafkaSettings::try_new(url, &raw.kafka, durability).map(LogPlace::Kafka));
        let ledger = reading.place(Role::Ledger, LedgerPlace::Sqlite, |raw, url, durability| PostgresSettings::try_new(url, &raw.postgres, durability).map(LedgerPlace::Postgres));
        let documents =
            reading.place(Role::Documents, DocumentsPlace::Sqlite, |raw, url, durability| MongodbSettings::try_new(url, &raw.mongodb, durability).map(DocumentsPlace::Mongodb));
        let metrics =
            reading.place(Role::Metrics, MetricsPlace::Sqlite, |raw, url, durability| InfluxdbSettings::try_new(url, &raw.influxdb, durability).map(MetricsPlace::Influxdb));
        let baselines =
            reading.place(Role::Baselines, BaselinesPlace::Sqlite, |raw, url, durability| RedisSettings::try_new(url, &raw.redis, durability).map(BaselinesPlace::Redis));
        let search = reading
            .place(Role::Search, SearchPlace::Tantivy, |raw, url, durability| ElasticsearchSettings::try_new(url, &raw.elasticsearch, durability).map(SearchPlace::Elasticsearch));
        let shown = reading.shown;
        let locks = match &log {
            LogPlace::Sqlite(folder) => folder.clone(),
            LogPlace::Kafka(_) => data.to_owned(),
        };
        Places { log, ledger, documents, metrics, baselines, search, locks, shown }
    }

    /// The URL of a role, without secrets.
    pub(crate) fn shown(&self, role: Role) -> String {
        self.shown.iter().find(|(found, _)| *found == role).map(|(_, url)| url.clone()).unwrap_or_default()
    }

    /// Whether the log is embedded: one process a role then, which its groups see to.
    pub(crate) fn log_is_embedded(&self) -> bool {
        matches!(self.log, LogPlace::Sqlite(_))
    }

    /// Whether the store that a role writes is embedded: one process writes it.
    pub(crate) fn is_embedded(&self, role: RoleName) -> bool {
        match role {
            RoleName::Ledger => matches!(self.ledger, LedgerPlace::Sqlite(_)),
            RoleName::Documents => matches!(self.documents, DocumentsPlace::Sqlite(_)),
            RoleName::Metrics => matches!(self.metrics, MetricsPlace::Sqlite(_)),
            RoleName::Search => matches!(self.search, SearchPlace::Tantivy(_)),
            RoleName::Scorer | RoleName::Patterns => matches!(self.baselines, BaselinesPlace::Sqlite(_)),
            RoleName::Intake | RoleName::Http | RoleName::Sql => false,
        }
    }

    /// The folder of locks.
    pub(crate) fn locks(&self) -> &Path {
        &self.locks
    }

    /// The same places for whoever reads.
    pub(crate) fn for_queries(&self) -> wh_query::Places {
        wh_query::Places {
            log: self.log.clone(),
            ledger: self.ledger.clone(),
            documents: self.documents.clone(),
            metrics: self.metrics.clone(),
            baselines: self.baselines.clone(),
            search: self.search.clone(),
        }
    }
}

/// What is needed while the URLs are read.
struct Reading<'a> {
    raw: &'a Raw,
    data: &'a Path,
    durability: Durability,
    faults: &'a mut Vec<String>,
    files: Vec<PathBuf>,
    shown: Vec<(Role, String)>,
}

impl Reading<'_> {
    fn place<T>(&mut self, role: Role, embedded: fn(PathBuf) -> T, server: impl FnOnce(&Raw, &ServerUrl, Durability) -> Result<T, Vec<String>>) -> T {
        let default = self.data.join(match role {
            Role::Log => "log".to_owned(),
            Role::Search => "search".to_owned(),
            other => format!("{other}.db"),
        });
        let place = match self.raw.stores.url(role) {
            None => Ok(Place::Embedded(default.clone())),
            Some(url) => Place::parse(role, url).map_err(|error| error.to_string()),
        };
        match place {
            Ok(Place::Embedded(path)) => {
                if self.files.contains(&path) {
                    self.faults.push(format!("stores: two roles share {}: give each its own", path.display()));
                }
                self.files.push(path.clone());
                self.shown.push((role, format!("{}:{}", role.embedded_scheme(), path.display())));
                embedded(path)
            }
            Ok(Place::Server(url)) => {
                self.shown.push((role, url.without_password()));
                server(self.raw, &url, self.durability).unwrap_or_else(|faults| {
                    self.faults.extend(faults);
                    embedded(default)
                })
            }
            Err(fault) => {
                self.faults.push(fault);
                embedded(default)
            }
        }
    }
}
