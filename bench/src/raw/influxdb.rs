//! InfluxDB: line protocol with the points that our sink makes of the rows, posted plain into a bucket of our own, as large and as many
//! requests at a time as the sink sends.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{TryStreamExt, stream};
use influxdb2::api::buckets::ListBucketsRequest;
use secrecy::ExposeSecret;
use wh_eventlog::Stored;
use wh_schemas::topics::RISK_SCORES;
use wh_sinks::delivery::Batch;
use wh_sinks::influxdb::dialect::{Lines, take_again};
use wh_stores::Durability;
use wh_stores::influxdb::errors::Wrote;
use wh_stores::influxdb::{InfluxdbSettings, connect, layout};

use super::meter::{Meter, ServerCpu, Took};
use super::{Corpus, Run, Unmeasured, and_remove, counted, own_name};
use crate::report::RawRate;

/// How it is called in reports.
pub const WAY: &str = "line protocol, not compressed";

/// Settings for a bucket of our own, which keeps everything and is summed by no task. That it has no retention is no fault of it.
#[must_use]
pub fn own_bucket(settings: &InfluxdbSettings) -> InfluxdbSettings {
    InfluxdbSettings { bucket: own_name(), retention_days: 0, downsample: false, durability: Durability::Warn, ..settings.clone() }
}

/// The points of all rows, in the order of the sink.
///
/// # Errors
/// Where a row is a duplicate, which is a fault of ours.
pub fn points(corpus: &Corpus) -> Result<Lines, Unmeasured> {
    let records: Vec<Stored> = corpus.scored.iter().flat_map(|batch| batch.iter().cloned()).collect();
    let batch = Batch { topic: Arc::from(RISK_SCORES), partition: 0, records: Arc::new(records), buried: BTreeSet::new() };
    let (blocks, rows) = take_again(&batch, i64::MIN);
    counted(usize::try_from(rows).unwrap_or(0), corpus.rows)?;
    let mut lines = Lines::default();
    for block in &blocks {
        block.write(true, &mut lines);
    }
    Ok(lines)
}

/// Writes points into a bucket, which is made where it is not there; compressed or not, as the settings say.
///
/// # Errors
/// As the store's, and where the server cannot read a point.
pub async fn write(settings: &InfluxdbSettings, lines: &Lines, cpu: &ServerCpu) -> Result<Took, Unmeasured> {
    let client = connect(settings).await?;
    layout::ensure(&client).await?;
    let parts = (0..lines.len()).step_by(settings.batch_points).map(|begin| begin..(begin + settings.batch_points).min(lines.len()));
    let bodies: Vec<&[u8]> = parts.map(|part| lines.part(&part)).collect();
    let bytes = bodies.iter().map(|body| body.len()).sum();
    let meter = Meter::start(cpu);
    stream::iter(bodies.into_iter().map(Ok))
        .try_for_each_concurrent(settings.parallel_writes, |body| {
            let client = &client;
            async move {
                match client.write(body).await? {
                    Wrote::All => Ok(()),
                    other => Err(Unmeasured::Failed(format!("{}: not all points were taken: {other:?}", client.place()))),
                }
            }
        })
        .await?;
    Ok(meter.stop(lines.len(), bytes))
}

/// Removes the bucket.
///
/// # Errors
/// As the store's.
pub async fn remove(settings: &InfluxdbSettings) -> Result<(), Unmeasured> {
    let told = format!("the bucket {} ({})", settings.bucket, settings.base());
    let failed = |error: influxdb2::RequestError| Unmeasured::new(&told, error);
    let client = client(settings)?;
    let request = ListBucketsRequest { name: Some(settings.bucket.clone()), org: Some(settings.org.clone()), ..ListBucketsRequest::default() };
    let buckets = match client.list_buckets(Some(request)).await {
        Ok(found) => found.buckets,
        // There is none of that name: it was not made yet.
        Err(influxdb2::RequestError::Http { status, .. }) if status.as_u16() == 404 => Vec::new(),
        Err(error) => return Err(failed(error)),
    };
    for id in buckets.into_iter().filter(|bucket| bucket.name == settings.bucket).filter_map(|bucket| bucket.id) {
        client.delete_bucket(&id).await.map_err(failed)?;
    }
    Ok(())
}

/// The server's own client: ours removes nothing.
fn client(settings: &InfluxdbSettings) -> Result<influxdb2::Client, Unmeasured> {
    let told = |error: &dyn std::fmt::Display| Unmeasured::Failed(format!("{}: {error}", settings.base()));
    let mut builder = reqwest::Client::builder().no_proxy().connect_timeout(settings.connect_timeout).timeout(settings.request_timeout);
    if let Some(path) = settings.tls.as_ref().and_then(|tls| tls.ca_file.as_ref()) {
        let pem = std::fs::read(path).map_err(|error| told(&error))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| told(&error))?;
        builder = certificates.into_iter().fold(builder, reqwest::ClientBuilder::add_root_certificate);
    }
    let token = settings.token.read()?.ok_or_else(|| told(&"there is no token: set influxdb.token"))?;
    influxdb2::ClientBuilder::with_builder(builder, settings.base(), settings.org.clone(), token.expose_secret()).build().map_err(|error| told(&error))
}

/// Measures it.
pub(super) async fn measure(settings: &InfluxdbSettings, run: &Run<'_>) -> Result<RawRate, Unmeasured> {
    let own = InfluxdbSettings { gzip: false, ..own_bucket(settings) };
    let work = async {
        let lines = points(run.corpus)?;
        let took = write(&own, &lines, &run.cpu).await?;
        Ok::<_, Unmeasured>(took.of(run.corpus.rows).raw_rate("metrics", WAY))
    };
    and_remove(run.stop, work, remove(&own)).await
}
