//! The documents on MongoDB. Raw: unordered `insert_many` of the same documents into a collection of the same layout (unique index and
//! validator), by the same client with the same write concern, as large and as many at a time as the sink does.

use wh_bench::raw::{self, Corpus};
use wh_sinks::mongodb::DocumentsStore;
use wh_stores::mongodb::{MongodbSettings, RawMongodb};
use wh_stores::{Durability, ServerUrl};

use crate::{Contest, Measured, Meter, check, cpu, write};

const SERVER: &str = "mongodb";

async fn sink(settings: &MongodbSettings, corpus: &Corpus) -> Measured {
    let mut store = DocumentsStore::open(settings).await.unwrap();
    let meter = Meter::start(SERVER);
    write(&mut store, &corpus.scored).await;
    let measured = meter.stop(corpus.rows);
    check(&mut store, corpus.rows).await;
    measured
}

pub(crate) async fn contest(url: &str, corpus: &Corpus, rounds: usize) -> Contest {
    let server = MongodbSettings::try_new(&ServerUrl::parse(url).unwrap(), &RawMongodb::default(), Durability::Warn).unwrap();
    let own_database = || server.clone().with_database(raw::own_name());
    let mut contest = Contest::new(SERVER, "documents", &["sink", "raw: insert_many"], &[]);
    let first = own_database();
    sink(&first, corpus).await;
    let documents = raw::mongodb::written(&first).await.unwrap();
    raw::mongodb::remove(&first).await.unwrap();
    for round in 0..rounds {
        for way in contest.order(round) {
            let settings = own_database();
            let measured = if way == 0 { sink(&settings, corpus).await } else { Measured::of(&raw::mongodb::write(&settings, &documents, &cpu(SERVER)).await.unwrap()) };
            raw::mongodb::remove(&settings).await.unwrap();
            contest.add(way, measured);
        }
    }
    let bytes: usize = documents.iter().map(|document| document.as_bytes().len()).sum();
    contest.notes.push(format!("mongodb: {} documents of {} bytes in the mean", documents.len(), bytes / documents.len().max(1)));
    contest
}
