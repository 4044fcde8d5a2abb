//! The metrics on an InfluxDB server, for its suite: each place has a bucket of its own, which keeps what comes for ever.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use influxdb2::api::buckets::ListBucketsRequest;
use wh_query::Engine;
use wh_schemas::layout::METRICS_BLOCK;
use wh_schemas::position::Seq;
use wh_sinks::delivery::{Store, StorePosition};
use wh_sinks::influxdb::{MetricsStore, read_positions};
use wh_stores::influxdb::points::{NANOS, THROUGHPUT, second_and_block};
use wh_stores::influxdb::{InfluxdbSettings, RawInfluxdb, connect};
use wh_stores::places::MetricsPlace;
use wh_stores::{Durability, ServerUrl};

use super::{own_name, url};
use crate::content::Role;
use crate::contract::sinks::SinkAdapter;
use crate::sql::engine_with;

/// The adapter of the server.
pub(in crate::contract) fn metrics() -> Arc<dyn SinkAdapter> {
    Arc::new(OnInfluxdb { batch_points: RawInfluxdb::default().batch_points, opened: Mutex::default() })
}

/// The same, where most writes take several requests.
pub(in crate::contract) fn metrics_in_parts() -> Arc<dyn SinkAdapter> {
    Arc::new(OnInfluxdb { batch_points: 100, opened: Mutex::default() })
}

struct OnInfluxdb {
    batch_points: u64,
    /// Buckets of the places that were opened: other tests of this process have theirs.
    opened: Mutex<BTreeSet<String>>,
}

/// The token of the test server.
pub(crate) fn token() -> String {
    std::env::var("WARDHOUSE_TEST_INFLUXDB_TOKEN").unwrap()
}

/// What tests ask for: nothing is forgotten, and nothing but the bucket is made.
pub(crate) fn raw() -> RawInfluxdb {
    RawInfluxdb { token: Some(token().into()), retention_days: 0, downsample: false, ..RawInfluxdb::default() }
}

/// Settings for a bucket of the test server.
pub(crate) fn settings(bucket: &str, raw: &RawInfluxdb) -> InfluxdbSettings {
    let server = ServerUrl::parse(&url("INFLUXDB").unwrap()).unwrap();
    let mut settings = InfluxdbSettings::try_new(&server, raw, Durability::Warn).unwrap();
    settings.bucket = bucket.to_owned();
    settings
}

/// The server's own client.
pub(crate) fn admin(settings: &InfluxdbSettings) -> influxdb2::Client {
    influxdb2::Client::new(settings.base(), settings.org.clone(), token())
}

/// Drops a bucket, if it is there.
pub(crate) async fn drop_bucket(settings: &InfluxdbSettings, bucket: &str) {
    let admin = admin(settings);
    let request = ListBucketsRequest { name: Some(bucket.to_owned()), org: Some(settings.org.clone()), ..ListBucketsRequest::default() };
    // One that is not there is answered with 404.
    let Ok(found) = admin.list_buckets(Some(request)).await else { return };
    for bucket in found.buckets {
        admin.delete_bucket(&bucket.id.unwrap()).await.unwrap();
    }
}

impl OnInfluxdb {
    fn settings(&self, place: &Path) -> InfluxdbSettings {
        settings(&own_name(place), &RawInfluxdb { batch_points: self.batch_points, ..raw() })
    }
}

#[async_trait]
impl SinkAdapter for OnInfluxdb {
    fn name(&self) -> &'static str {
        if self.batch_points > 100 { "the metrics on InfluxDB" } else { "the metrics on InfluxDB, in parts" }
    }

    fn role(&self) -> Role {
        Role::Metrics
    }

    async fn open(&self, place: &Path) -> Box<dyn Store> {
        self.opened.lock().unwrap().insert(own_name(place));
        Box::new(MetricsStore::open(&self.settings(place)).await.unwrap())
    }

    async fn engine(&self, place: &Path) -> Engine {
        engine_with(place, |places| places.metrics = MetricsPlace::Influxdb(self.settings(place)))
    }

    async fn published(&self, place: &Path) -> Vec<StorePosition> {
        read_positions(&self.settings(place), "scorer").await.unwrap()
    }

    async fn lose(&self, place: &Path, partition: u32, seqs: Range<Seq>) {
        let client = connect(&self.settings(place)).await.unwrap();
        let points = client.fields(&format!("SELECT \"transactions\" FROM \"{THROUGHPUT}\" WHERE \"partition\" = '{partition}'")).await.unwrap();
        let [first, behind] = [seqs.start / METRICS_BLOCK, seqs.end.div_ceil(METRICS_BLOCK)].map(|block| i64::try_from(block).unwrap());
        let places = points.iter().map(|point| second_and_block(point.int("time"))).filter(|(_, block)| (first..behind).contains(block));
        let seconds: BTreeSet<i64> = places.map(|(second, _)| second).collect();
        for second in seconds {
            let predicate = format!("_measurement=\"{THROUGHPUT}\" AND partition=\"{partition}\"");
            client.delete(&predicate, second * NANOS + first, second * NANOS + behind - 1).await.unwrap();
        }
    }

    async fn sweep(&self) {
        let opened = std::mem::take(&mut *self.opened.lock().unwrap());
        for bucket in opened {
            drop_bucket(&settings(&bucket, &raw()), &bucket).await;
        }
    }
}
