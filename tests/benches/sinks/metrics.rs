//! The metrics on InfluxDB: rows are summed into points, which are what is counted. Raw: the same points, as large and as many requests at
//! a time as the sink sends, posted plain by the crate `influxdb2`, and compressed as the sink does.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{StreamExt, stream};
use influxdb2::api::buckets::ListBucketsRequest;
use wh_eventlog::{Bytes, Stored};
use wh_schemas::topics::RISK_SCORES;
use wh_sinks::delivery::Batch;
use wh_sinks::influxdb::MetricsStore;
use wh_sinks::influxdb::dialect::{Lines, take_again};
use wh_stores::influxdb::errors::Wrote;
use wh_stores::influxdb::{InfluxdbSettings, RawInfluxdb, connect, layout};
use wh_stores::{Durability, ServerUrl};

use crate::records::Corpus;
use crate::{Contest, Measured, Meter, check, own_name, write};

const SERVER: &str = "influxdb";

fn token() -> String {
    std::env::var("WARDHOUSE_TEST_INFLUXDB_TOKEN").unwrap()
}

/// Settings for a bucket of its own, which keeps everything.
fn own_bucket(url: &str) -> InfluxdbSettings {
    let raw = RawInfluxdb { token: Some(token().into()), retention_days: 0, downsample: false, ..RawInfluxdb::default() };
    let mut settings = InfluxdbSettings::try_new(&ServerUrl::parse(url).unwrap(), &raw, Durability::Warn).unwrap();
    settings.bucket = own_name();
    settings
}

/// The server's own client.
fn client(settings: &InfluxdbSettings) -> influxdb2::Client {
    influxdb2::Client::new(settings.base(), settings.org.clone(), token())
}

async fn drop_bucket(settings: &InfluxdbSettings) {
    let client = client(settings);
    let request = ListBucketsRequest { name: Some(settings.bucket.clone()), org: Some(settings.org.clone()), ..ListBucketsRequest::default() };
    for bucket in client.list_buckets(Some(request)).await.unwrap().buckets {
        client.delete_bucket(&bucket.id.unwrap()).await.unwrap();
    }
}

/// The points of all rows, in the order of the sink.
fn points(corpus: &Corpus) -> Lines {
    let records: Vec<Stored> = corpus.scored.iter().flat_map(|batch| batch.iter().cloned()).collect();
    let batch = Batch { topic: Arc::from(RISK_SCORES), partition: 0, records: Arc::new(records), buried: BTreeSet::new() };
    let (blocks, rows) = take_again(&batch, i64::MIN);
    assert_eq!(rows, corpus.rows as u64, "no row is a duplicate");
    let mut lines = Lines::default();
    for block in &blocks {
        block.write(true, &mut lines);
    }
    lines
}

async fn sink(settings: &InfluxdbSettings, corpus: &Corpus, points: usize) -> Measured {
    let mut store = MetricsStore::open(settings).await.unwrap();
    let meter = Meter::start(SERVER);
    write(&mut store, &corpus.scored).await;
    let measured = meter.stop(points);
    check(&mut store, corpus.rows).await;
    measured
}

async fn raw(settings: &InfluxdbSettings, lines: &Lines, compressed: bool) -> Measured {
    // Makes the bucket.
    let (ours, plain) = (connect(settings).await.unwrap(), client(settings));
    layout::ensure(&ours).await.unwrap();
    let parts = (0..lines.len()).step_by(settings.batch_points).map(|begin| begin..(begin + settings.batch_points).min(lines.len()));
    let bodies: Vec<Bytes> = parts.map(|part| Bytes::copy_from_slice(lines.part(&part))).collect();
    let meter = Meter::start(SERVER);
    stream::iter(&bodies)
        .for_each_concurrent(settings.parallel_writes, |body| {
            let (ours, plain) = (&ours, &plain);
            async move {
                if compressed {
                    assert_eq!(ours.write(body).await.unwrap(), Wrote::All);
                } else {
                    plain.write_line_protocol(&settings.org, &settings.bucket, body.clone()).await.unwrap();
                }
            }
        })
        .await;
    meter.stop(lines.len())
}

pub(crate) async fn contest(url: &str, corpus: &Corpus, rounds: usize) -> Contest {
    let mut contest = Contest::new(SERVER, "points", &["sink", "raw: POST, plain", "raw: POST, gzip"], &[]);
    let lines = points(corpus);
    // Nobody is the first whom the server serves.
    let first = own_bucket(url);
    sink(&first, corpus, lines.len()).await;
    drop_bucket(&first).await;
    for round in 0..rounds {
        for way in contest.order(round) {
            let settings = own_bucket(url);
            let measured = if way == 0 { sink(&settings, corpus, lines.len()).await } else { raw(&settings, &lines, way == 2).await };
            drop_bucket(&settings).await;
            contest.add(way, measured);
        }
    }
    let rate = crate::median(contest.ways[0].rounds.iter().map(|round| round.rate)) * corpus.rows as f64 / lines.len() as f64;
    contest.notes.push(format!("influxdb: {} rows are {} points; the sink takes {rate:.0} rows a second", corpus.rows, lines.len()));
    contest
}
