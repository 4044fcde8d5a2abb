//! Stores of every role with the same awkward rows, embedded or on servers, as the sinks and the scorer fill them.
//!
//! What must stay true: what no sink writes and SQL may still find (an acknowledged alert, a field that is missing) is put there by hand, the
//! same in an embedded store and on its server.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use chrono_tz::Tz;
use mongodb::bson::{Bson, Document, doc};
use rusqlite::Connection;
use tempfile::TempDir;
use wh_eventlog::embedded::{EmbeddedLog, Settings, file_of};
use wh_eventlog::kafka::KafkaLog;
use wh_eventlog::{Log, Record, Stored};
use wh_query::Engine;
use wh_schemas::topics::{self, DEAD_LETTERS, RISK_ALERTS, RISK_SCORES, SYSTEM_EVENTS};
use wh_scorer::dedup::{DEFAULT_HORIZON, Seen};
use wh_scorer::partition::{PartitionRecord, Position};
use wh_scorer::state::redis::RedisCheckpoints;
use wh_scorer::state::sqlite::SqliteCheckpoints;
use wh_scorer::state::{CheckpointStore, Committed, Delta};
use wh_sinks::delivery::{Batch, Store, Written};
use wh_stores::mongodb::RawMongodb;
use wh_stores::places::{BaselinesPlace, DocumentsPlace, LedgerPlace, LogPlace, MetricsPlace, SearchPlace};
use wh_stores::postgres::RawPostgres;
use wh_stores::redis::RawRedis;

use super::awkward;
use crate::content::{self, Role};
use crate::contract::servers::{elasticsearch, influxdb, kafka, mongodb as documents, own_name, postgres, redis as baselines};
use crate::sql;

/// Partitions of the scored stream.
const PARTITIONS: u32 = 2;

/// Which roles are on servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Servers {
    pub(super) ledger: bool,
    pub(super) documents: bool,
    pub(super) metrics: bool,
    pub(super) baselines: bool,
    pub(super) search: bool,
    pub(super) log: bool,
}

impl Servers {
    /// Every store is embedded.
    pub(super) const NONE: Servers = Servers { ledger: false, documents: false, metrics: false, baselines: false, search: false, log: false };

    /// Every role is on its server whose server is named.
    pub(super) fn named() -> Servers {
        Servers {
            ledger: cfg!(has_postgres),
            documents: cfg!(has_mongodb),
            metrics: cfg!(has_influxdb),
            baselines: cfg!(has_redis),
            search: cfg!(has_elasticsearch),
            log: cfg!(has_kafka),
        }
    }
}

/// Where the stores are.
pub(super) struct Place {
    folder: TempDir,
    /// Name of the database, bucket or namespace on a server.
    name: String,
    pub(super) servers: Servers,
}

impl Place {
    pub(super) fn new(servers: Servers) -> Place {
        let folder = tempfile::tempdir().unwrap();
        Place { name: own_name(folder.path()), folder, servers }
    }

    pub(super) fn engine(&self) -> Engine {
        let (name, on) = (self.name.as_str(), self.servers);
        sql::engine_with(self.folder.path(), |places| {
            if on.ledger {
                places.ledger = LedgerPlace::Postgres(postgres::settings(name, &RawPostgres::default()));
            }
            if on.documents {
                places.documents = DocumentsPlace::Mongodb(documents::settings(name, &RawMongodb::default()));
            }
            if on.metrics {
                places.metrics = MetricsPlace::Influxdb(influxdb::settings(name, &influxdb::raw()));
            }
            if on.baselines {
                places.baselines = BaselinesPlace::Redis(baselines::settings(name, &RawRedis::default()));
            }
            if on.search {
                places.search = SearchPlace::Elasticsearch(elasticsearch::settings(name, &elasticsearch::small()));
            }
            if on.log {
                places.log = LogPlace::Kafka(kafka::settings(name, &kafka::raw()));
            }
        })
    }

    /// Writes every row.
    pub(super) async fn fill(&self) {
        let folder = self.folder.path();
        for role in Role::ALL {
            let mut store = self.open(role).await;
            sink(&mut *store).await;
        }
        let mut store: Box<dyn CheckpointStore> = if self.servers.baselines {
            Box::new(RedisCheckpoints::open(&baselines::settings(&self.name, &RawRedis::default())).await.unwrap())
        } else {
            Box::new(SqliteCheckpoints::open(&folder.join("baselines.db")).unwrap())
        };
        checkpoint(&mut *store).await;
        let log: Arc<dyn Log> = if self.servers.log {
            KafkaLog::open(&kafka::settings(&self.name, &kafka::raw()), kafka::FETCH_BYTES).await.unwrap()
        } else {
            let folder = folder.join("log");
            std::fs::create_dir_all(&folder).unwrap();
            EmbeddedLog::open(&folder, Settings::default()).unwrap()
        };
        produce(&*log).await;
        drop((store, log));
        self.amend().await;
    }

    async fn open(&self, role: Role) -> Box<dyn Store> {
        let name = self.name.as_str();
        match role {
            Role::Ledger if self.servers.ledger => {
                postgres::make(name).await;
                Box::new(wh_sinks::postgres::LedgerStore::open(&postgres::settings(name, &RawPostgres::default()), Tz::UTC).await.unwrap())
            }
            Role::Documents if self.servers.documents => Box::new(wh_sinks::mongodb::DocumentsStore::open(&documents::settings(name, &RawMongodb::default())).await.unwrap()),
            Role::Metrics if self.servers.metrics => Box::new(wh_sinks::influxdb::MetricsStore::open(&influxdb::settings(name, &influxdb::raw())).await.unwrap()),
            Role::Search if self.servers.search => Box::new(wh_sinks::elasticsearch::SearchStore::open(elasticsearch::settings(name, &elasticsearch::small())).await.unwrap()),
            role => content::open(role, self.folder.path()).unwrap(),
        }
    }

    async fn amend(&self) {
        if self.servers.ledger {
            postgres::run(&postgres::settings(&self.name, &RawPostgres::default()), ON_POSTGRES).await;
        } else {
            amend(&self.folder.path().join("ledger.db"), ON_SQLITE);
        }
        if self.servers.documents {
            amend_documents(&self.name).await;
        } else {
            amend(&self.folder.path().join("documents.db"), DOCUMENTS_ON_SQLITE);
        }
        if !self.servers.log {
            // When a record was appended is no choice of whoever produces it: it would be another time in each run.
            amend(&file_of(&self.folder.path().join("log")), "UPDATE batches SET append_time = 1772323200000000 + base_offset * 1000003 + partition");
        }
    }

    /// Removes what is on servers.
    pub(super) async fn sweep(&self) {
        let name = self.name.as_str();
        if self.servers.ledger {
            postgres::drop_database(name).await;
        }
        if self.servers.documents {
            documents::drop_database(name).await;
        }
        if self.servers.metrics {
            influxdb::drop_bucket(&influxdb::settings(name, &influxdb::raw()), name).await;
        }
        if self.servers.baselines {
            let mut connection = wh_stores::redis::connect(&baselines::settings(name, &RawRedis::default())).await.unwrap();
            baselines::delete(&mut connection, name).await;
        }
        if self.servers.search {
            let client = wh_stores::elasticsearch::connect(&elasticsearch::settings(name, &elasticsearch::small())).await.unwrap();
            elasticsearch::delete(&client, name).await;
        }
        if self.servers.log {
            kafka::remove(&kafka::settings(name, &kafka::raw())).await;
        }
    }
}

/// Every record of the topics that a store takes.
async fn sink(store: &mut dyn Store) {
    for topic in store.topics() {
        store.positions(topic).await.unwrap();
        match topic {
            RISK_SCORES => {
                for partition in 0..PARTITIONS {
                    write(store, topic, partition, awkward::scored(partition)).await;
                }
            }
            RISK_ALERTS => write(store, topic, 0, awkward::patterns()).await,
            SYSTEM_EVENTS => write(store, topic, 0, awkward::events()).await,
            _ => {}
        }
    }
    store.publish().await.unwrap();
}

async fn write(store: &mut dyn Store, topic: &str, partition: u32, records: Vec<Stored>) {
    let batch = Batch { topic: topic.into(), partition, records: Arc::new(records), buried: BTreeSet::new() };
    if let refused @ Written::Refused { .. } = store.write(batch).await.unwrap() {
        panic!("{topic} {partition}: {refused:?}");
    }
}

async fn checkpoint(store: &mut dyn CheckpointStore) {
    for partition in 0..PARTITIONS {
        let (owner_epoch, _) = store.take_over(partition).await.unwrap();
        for (users, next_seq) in awkward::users(partition).into_iter().zip([100, 140]) {
            let delta = Delta {
                partition,
                owner_epoch,
                position: Position { next_seq, next_offset: next_seq, state_epoch: 0 },
                record: PartitionRecord::default(),
                users,
                forgotten: Vec::new(),
                ids: vec![Seen { id: next_seq, content: 1, seq: next_seq - 1 }],
                horizon: DEFAULT_HORIZON,
            };
            assert_eq!(store.commit(delta).await.unwrap(), Committed::Kept);
        }
    }
}

async fn produce(log: &dyn Log) {
    log.ensure_topics(&topics::ALL, 3).await.unwrap();
    for partition in 0..PARTITIONS {
        let again = |stored: &Stored| Record { key: stored.key.clone(), value: stored.value.clone(), headers: vec![("wh-origin".to_owned(), "x/0/1".into())] };
        let records: Vec<Record> = awkward::scored(partition).iter().take(90).map(again).collect();
        for some in records.chunks(20) {
            log.produce(RISK_SCORES, partition, some.to_vec()).await.unwrap();
        }
    }
    log.produce(DEAD_LETTERS, 1, awkward::strange()).await.unwrap();
}

const ON_SQLITE: &str = "\
UPDATE risk_alerts SET status = 'acknowledged', acknowledged_by = 'Ünal', acknowledged_at = 253402300799999999 WHERE pos % 3 = 0;
UPDATE risk_alerts SET acknowledged_by = '', acknowledged_at = -62135596800000000 WHERE pos % 7 = 1;
INSERT INTO user_profiles VALUES ('nobody', 0, 0, 0, '{}', '[]', 0, 0, 0, 0, 0, 0);";

const ON_POSTGRES: &str = "\
UPDATE risk_alerts SET status = 'acknowledged', acknowledged_by = 'Ünal', acknowledged_at = '9999-12-31 23:59:59.999999+00' WHERE pos % 3 = 0;
UPDATE risk_alerts SET acknowledged_by = '', acknowledged_at = '0001-01-01 00:00:00+00' WHERE pos % 7 = 1;
INSERT INTO user_profiles VALUES ('nobody', 0, 0, 0, '{}', '[]', 0, 0, 0, 'epoch', 'epoch', 'epoch');";

const DOCUMENTS_ON_SQLITE: &str = "\
UPDATE documents SET explanation = jsonb_remove(explanation, '$.risk_level') WHERE pos % 5 = 0;
UPDATE documents SET explanation = jsonb_remove(explanation, '$.ruleset', '$.reasons') WHERE pos % 7 = 1;
UPDATE documents SET explanation = jsonb_set(explanation, '$.risk_score', json('null')) WHERE pos % 11 = 2;
UPDATE documents SET explanation = jsonb_set(explanation, '$.risk_score', 2147483647) WHERE pos % 17 = 4;
UPDATE documents SET explanation = jsonb_set(explanation, '$.state_epoch', 9223372036854775807) WHERE pos % 19 = 5;
UPDATE documents SET explanation = jsonb_set(explanation, '$.state_epoch', -9223372036854775807) WHERE pos % 19 = 6;";

fn amend(file: &Path, statements: &str) {
    Connection::open(file).unwrap().execute_batch(statements).unwrap();
}

async fn amend_documents(name: &str) {
    let connected = wh_stores::mongodb::connect(&documents::settings(name, &RawMongodb::default())).await.unwrap();
    let collection = connected.collection::<Document>(wh_stores::mongodb::layout::DOCUMENTS);
    for (by, rest, change) in [
        (5_i64, 0_i64, doc! { "$unset": { "explanation.risk_level": "" } }),
        (7, 1, doc! { "$unset": { "explanation.ruleset": "", "explanation.reasons": "" } }),
        (11, 2, doc! { "$set": { "explanation.risk_score": Bson::Null } }),
        (17, 4, doc! { "$set": { "explanation.risk_score": i64::from(i32::MAX) } }),
        (19, 5, doc! { "$set": { "explanation.state_epoch": i64::MAX } }),
        (19, 6, doc! { "$set": { "explanation.state_epoch": -i64::MAX } }),
    ] {
        // The sink's own schema forbids what other writers may leave.
        collection.update_many(doc! { "_id": { "$mod": [by, rest] } }, change).bypass_document_validation(true).await.unwrap();
    }
}
