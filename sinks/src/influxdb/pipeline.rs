//! Lag and latencies of the pipeline's stages, as points beside the metrics.
//!
//! What must stay true: they are for people to look at; nothing is decided by them, and losing them loses nothing.

use std::io::Write;
use std::sync::atomic::Ordering;

use wh_eventlog::gauges::Gauges;
use wh_schemas::{Micros, Reaction};
use wh_stores::clock;
use wh_stores::influxdb::points::{PIPELINE, push_tag, tag_of};
use wh_stores::influxdb::{Client, InfluxdbSettings, connect};

use super::dialect::Lines;

/// The quantiles of which a latency's histogram is shown, and what they are called.
const QUANTILES: [(&str, f64); 6] = [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)];

/// Writes what stages tell of themselves.
#[derive(Debug)]
pub struct Reporter {
    client: Client,
}

impl Reporter {
    /// Connects. The bucket must be there: the sink makes it.
    ///
    /// # Errors
    /// As the store's.
    pub async fn open(settings: &InfluxdbSettings) -> Result<Reporter, Reaction> {
        Ok(Reporter { client: connect(settings).await? })
    }

    /// Writes one point a stage: its gauges and how many records it is behind.
    ///
    /// # Errors
    /// As the store's.
    pub async fn report(&self, stages: &[(&Gauges, u64)]) -> Result<(), Reaction> {
        let mut lines = Lines::default();
        let now = clock::now();
        for (gauges, lag) in stages {
            histogram_line(gauges, *lag, now, &mut lines);
        }
        self.client.write(lines.part(&(0..lines.len()))).await.map(|_| ())
    }
}

/// Appends the point of a stage: records settled, retries, lag, and the histograms of its latencies since it started, by quantile in
/// microseconds.
pub fn histogram_line(gauges: &Gauges, lag: u64, now: Micros, lines: &mut Lines) {
    let quantiles = QUANTILES.map(|(_, quantile)| quantile);
    let (visible, _) = gauges.visible_quantiles(&quantiles, false);
    let written = gauges.write_quantiles(&quantiles);
    lines.push(|line| {
        write!(line, "{PIPELINE},stage=")?;
        push_tag(&tag_of(gauges.stage), line);
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        write!(
            line,
            " lag={lag}i,records={}i,dead_letters={}i,alerts={}i,retries={}i",
            count(&gauges.records),
            count(&gauges.dead_letters),
            count(&gauges.alerts),
            count(&gauges.retries)
        )?;
        for (what, values) in [("visible", &visible), ("write", &written)] {
            for ((name, _), micros) in QUANTILES.iter().zip(values) {
                write!(line, ",{what}_{name}={micros}i")?;
            }
        }
        writeln!(line, " {}", now.0.saturating_mul(1_000))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_stage_is_one_point() {
        let gauges = Gauges::new("ledger");
        gauges.wrote_in(Duration::from_millis(5));
        Gauges::add(&gauges.records, 7);
        let mut lines = Lines::default();
        histogram_line(&gauges, 3, Micros(1_000_000), &mut lines);
        let text = String::from_utf8(lines.part(&(0..1)).to_vec()).unwrap();
        assert!(text.starts_with("wardhouse_pipeline,stage=ledger lag=3i,records=7i,dead_letters=0i,alerts=0i,retries=0i,visible_p50=0i,"), "{text}");
        assert!(text.contains(",write_p50=") && text.ends_with(" 1000000000\n"), "{text}");
    }
}
