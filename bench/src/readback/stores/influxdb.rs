//! The metrics in InfluxDB: points hold sums of blocks, so that a transaction is seen once the position beside them is behind it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use wh_schemas::Reaction;
use wh_stores::influxdb::points::{OUT_OF_RANGE, THROUGHPUT, TIMES, latest_positions, tag_of};
use wh_stores::influxdb::{Client, InfluxdbSettings};

use super::super::{Look, Sample};

/// A client that looks at the metrics.
pub(super) struct Metrics(Client);

impl Metrics {
    pub(super) async fn open(settings: &InfluxdbSettings) -> Result<Metrics, Reaction> {
        wh_stores::influxdb::connect(settings).await.map(Metrics)
    }

    /// How far each partition is published.
    async fn positions(&self) -> Result<BTreeMap<u32, u64>, Reaction> {
        let found = self.0.fields(&latest_positions()).await?;
        let scorer = tag_of("scorer");
        let ours = found.iter().filter(|fields| fields.text("stream") == scorer);
        Ok(ours.filter_map(|fields| Some((fields.text("partition").parse().ok()?, fields.count("visible_seq")))).collect())
    }

    async fn summed(&self, measurement: &str) -> Result<u64, Reaction> {
        let asked = format!("SELECT sum(\"transactions\") AS \"transactions\" FROM \"{measurement}\" WHERE time >= {} AND time < {}", TIMES.0, TIMES.1);
        Ok(self.0.fields(&asked).await?.iter().map(|fields| fields.count("transactions")).sum())
    }
}

#[async_trait]
impl Look for Metrics {
    async fn find(&mut self, samples: &[Sample]) -> Result<Vec<bool>, Reaction> {
        let reached = self.positions().await?;
        Ok(samples.iter().map(|sample| reached.get(&sample.partition).is_some_and(|reached| *reached > sample.seq)).collect())
    }

    async fn reached(&mut self) -> Result<u64, Reaction> {
        Ok(self.positions().await?.values().sum())
    }

    async fn rows(&mut self) -> Result<u64, Reaction> {
        Ok(self.summed(THROUGHPUT).await? + self.summed(OUT_OF_RANGE).await?)
    }

    async fn bytes(&mut self) -> Result<Option<u64>, Reaction> {
        // The server tells no size of a bucket.
        Ok(None)
    }
}
