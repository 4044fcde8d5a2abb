//! The metrics on InfluxDB: rows are summed into points, which are what is counted. Raw: the same points, as large and as many requests at
//! a time as the sink sends, posted plain, and compressed as the sink does.

use wh_bench::raw::{self, Corpus};
use wh_sinks::influxdb::MetricsStore;
use wh_stores::influxdb::{InfluxdbSettings, RawInfluxdb};
use wh_stores::{Durability, ServerUrl};

use crate::{Contest, Measured, Meter, check, cpu, write};

const SERVER: &str = "influxdb";

/// Settings for a bucket of its own, which keeps everything.
fn own_bucket(url: &str) -> InfluxdbSettings {
    let token = std::env::var("WARDHOUSE_TEST_INFLUXDB_TOKEN").unwrap();
    let raw = RawInfluxdb { token: Some(token.into()), ..RawInfluxdb::default() };
    raw::influxdb::own_bucket(&InfluxdbSettings::try_new(&ServerUrl::parse(url).unwrap(), &raw, Durability::Warn).unwrap())
}

async fn sink(settings: &InfluxdbSettings, corpus: &Corpus, points: usize) -> Measured {
    let mut store = MetricsStore::open(settings).await.unwrap();
    let meter = Meter::start(SERVER);
    write(&mut store, &corpus.scored).await;
    let measured = meter.stop(points);
    check(&mut store, corpus.rows).await;
    measured
}

pub(crate) async fn contest(url: &str, corpus: &Corpus, rounds: usize) -> Contest {
    let mut contest = Contest::new(SERVER, "points", &["sink", "raw: POST, plain", "raw: POST, gzip"], &[]);
    let lines = raw::influxdb::points(corpus).unwrap();
    // Nobody is the first whom the server serves.
    let first = own_bucket(url);
    sink(&first, corpus, lines.len()).await;
    raw::influxdb::remove(&first).await.unwrap();
    for round in 0..rounds {
        for way in contest.order(round) {
            let settings = own_bucket(url);
            let measured = if way == 0 {
                sink(&settings, corpus, lines.len()).await
            } else {
                let posting = InfluxdbSettings { gzip: way == 2, ..settings.clone() };
                Measured::of(&raw::influxdb::write(&posting, &lines, &cpu(SERVER)).await.unwrap())
            };
            raw::influxdb::remove(&settings).await.unwrap();
            contest.add(way, measured);
        }
    }
    let rate = crate::median(contest.ways[0].rounds.iter().map(|round| round.rate)) * corpus.rows as f64 / lines.len() as f64;
    contest.notes.push(format!("influxdb: {} rows are {} points; the sink takes {rate:.0} rows a second", corpus.rows, lines.len()));
    contest
}
