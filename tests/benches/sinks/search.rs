//! The search on Elasticsearch, given records that each raise an alert: of the others it writes nothing. Raw: `_bulk` with `create` of the
//! same documents into an index of the same mapping, as many bytes a request as the sink may send, and one refresh at the end.

use wh_bench::raw::{self, Corpus};
use wh_sinks::elasticsearch::SearchStore;
use wh_stores::elasticsearch::{ElasticsearchSettings, RawElasticsearch};
use wh_stores::{Durability, ServerUrl};

use crate::{Contest, Measured, Meter, check, cpu, write};

const SERVER: &str = "elasticsearch";

/// Settings for a namespace of its own; a server of one node has no place for copies.
fn own_namespace(url: &str) -> ElasticsearchSettings {
    let raw = RawElasticsearch { replicas: 0, ..RawElasticsearch::default() };
    let server = ElasticsearchSettings::try_new(&ServerUrl::parse(url).unwrap(), &raw, Durability::Warn).unwrap();
    ElasticsearchSettings { namespace: raw::own_name(), ..server }
}

async fn sink(settings: &ElasticsearchSettings, corpus: &Corpus, alerting: bool) -> Measured {
    let (batches, rows) = if alerting { (&corpus.alerting, corpus.alerting_rows) } else { (&corpus.scored, corpus.rows) };
    let mut store = SearchStore::open(settings.clone()).await.unwrap();
    let meter = Meter::start(SERVER);
    write(&mut store, batches).await;
    let measured = meter.stop(rows);
    check(&mut store, rows).await;
    measured
}

pub(crate) async fn contest(url: &str, corpus: &Corpus, rounds: usize) -> Contest {
    let compared = ["sink, each record with an alert", "raw: _bulk", "raw: _bulk, two at a time"];
    let mut contest = Contest::new(SERVER, "alerts", &compared, &["sink, records as they come (records, not alerts)"]);
    let first = own_namespace(url);
    sink(&first, corpus, true).await;
    let documents = raw::elasticsearch::written(&first).await.unwrap();
    raw::elasticsearch::remove(&first).await.unwrap();
    let appended = raw::elasticsearch::appended(corpus);
    for round in 0..rounds {
        for way in contest.order(round) {
            let settings = own_namespace(url);
            let measured = match way {
                0 => sink(&settings, corpus, true).await,
                3 => sink(&settings, corpus, false).await,
                at_once => Measured::of(&raw::elasticsearch::write(&settings, &documents, appended, at_once, &cpu(SERVER)).await.unwrap()),
            };
            raw::elasticsearch::remove(&settings).await.unwrap();
            contest.add(way, measured);
        }
    }
    contest.notes.push(format!("elasticsearch: {} alerts of as many records", documents.len()));
    contest
}
