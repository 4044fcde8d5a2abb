//! docs/sql-reference.md: every table and column, what is pushed into which store, and the settings, as the code has them.
//!
//! What must stay true: what it says of pushing is what the translators answer when they are asked; what is not current fails here.
//! `WARDHOUSE_WRITE_DOCS=1 cargo test -p wh-query reference` writes it anew.

mod asked;
mod text;

use std::path::PathBuf;
use std::sync::Arc;

use wh_stores::elasticsearch::{ElasticsearchSettings, RawElasticsearch};
use wh_stores::influxdb::{InfluxdbSettings, RawInfluxdb};
use wh_stores::kafka::{KafkaSettings, RawKafka};
use wh_stores::mongodb::{MongodbSettings, RawMongodb};
use wh_stores::places::{BaselinesPlace, DocumentsPlace, LedgerPlace, LogPlace, MetricsPlace, SearchPlace};
use wh_stores::postgres::{PostgresSettings, RawPostgres};
use wh_stores::redis::{RawRedis, RedisSettings};
use wh_stores::{Durability, ServerUrl};

use crate::catalog;
use crate::meanings;
use crate::places::{Places, Stores};
use crate::queries::Queries;
use crate::table::Relation;

/// The relations over stores of one kind, in the catalog's order.
fn relations(places: Places) -> Vec<Arc<Relation>> {
    catalog::relations(&Arc::new(Stores::new(places)), &Arc::new(Queries::default()))
}

fn embedded() -> Vec<Arc<Relation>> {
    let place = PathBuf::from("/nowhere");
    relations(Places {
        log: LogPlace::Sqlite(place.clone()),
        ledger: LedgerPlace::Sqlite(place.clone()),
        documents: DocumentsPlace::Sqlite(place.clone()),
        metrics: MetricsPlace::Sqlite(place.clone()),
        baselines: BaselinesPlace::Sqlite(place.clone()),
        search: SearchPlace::Tantivy(place),
    })
}

fn settings<T>(url: &str, of: impl FnOnce(&ServerUrl) -> Result<T, Vec<String>>) -> T {
    of(&ServerUrl::parse(url).unwrap()).unwrap()
}

fn servers() -> Vec<Arc<Relation>> {
    let warn = Durability::Warn;
    relations(Places {
        log: LogPlace::Kafka(settings("kafka://host:9092", |url| KafkaSettings::try_new(url, &RawKafka::default(), warn))),
        ledger: LedgerPlace::Postgres(settings("postgres://user@host/wardhouse", |url| PostgresSettings::try_new(url, &RawPostgres::default(), warn))),
        documents: DocumentsPlace::Mongodb(settings("mongodb://host/wardhouse", |url| MongodbSettings::try_new(url, &RawMongodb::default(), warn))),
        metrics: MetricsPlace::Influxdb(settings("influxdb://host:8086/org/bucket", |url| InfluxdbSettings::try_new(url, &RawInfluxdb::default(), warn))),
        baselines: BaselinesPlace::Redis(settings("redis://host", |url| RedisSettings::try_new(url, &RawRedis::default(), warn))),
        search: SearchPlace::Elasticsearch(settings("elasticsearch://host:9200", |url| ElasticsearchSettings::try_new(url, &RawElasticsearch::default(), warn))),
    })
}

#[test]
fn every_column_has_a_meaning_and_every_meaning_a_column() {
    for relation in embedded() {
        let table = relation.qualified_name();
        let columns: Vec<String> = relation.scan.schema().fields().iter().map(|field| field.name().clone()).collect();
        let meant: Vec<&str> = meanings::columns(&table).iter().map(|(name, _)| *name).collect();
        assert_eq!(columns, meant, "{table}: add what is missing to meanings.rs, in the order of the columns");
    }
}

#[test]
fn both_kinds_of_stores_have_the_same_tables() {
    for (one, other) in embedded().iter().zip(servers()) {
        assert_eq!((one.qualified_name(), one.scan.schema()), (other.qualified_name(), other.scan.schema()));
    }
}

/// `WARDHOUSE_WRITE_DOCS=1 cargo test -p wh-query reference` writes it anew.
#[test]
fn the_committed_reference_is_that_of_the_code() {
    // Asked while running: clones that share a target folder share the compiled test.
    let path = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../docs/sql-reference.md");
    let text = text::reference(&embedded(), &servers());
    if std::env::var_os("WARDHOUSE_WRITE_DOCS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "docs/sql-reference.md is not current: run WARDHOUSE_WRITE_DOCS=1 cargo test -p wh-query reference");
}
