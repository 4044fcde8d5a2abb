//! The documents on MongoDB. Raw: unordered `insert_many` of the same documents into a collection of the same layout (unique index and
//! validator), by the same client with the same write concern, as large and as many at a time as the sink does.

use futures::{StreamExt, TryStreamExt, stream};
use mongodb::bson::{RawDocumentBuf, doc};
use wh_sinks::mongodb::DocumentsStore;
use wh_stores::mongodb::{MongodbSettings, RawMongodb, connect, layout};
use wh_stores::{Durability, ServerUrl};

use crate::records::Corpus;
use crate::{Contest, Measured, Meter, check, own_name, write};

const SERVER: &str = "mongodb";

/// Settings for a database of its own.
fn own_database(url: &str) -> MongodbSettings {
    let (place, query) = url.split_once('?').map_or((url, String::new()), |(place, query)| (place, format!("?{query}")));
    let host = place.find("://").map_or(0, |at| at + 3);
    let end = place[host..].find('/').map_or(place.len(), |at| host + at);
    let url = ServerUrl::parse(&format!("{}/{}{query}", &place[..end], own_name())).unwrap();
    MongodbSettings::try_new(&url, &RawMongodb::default(), Durability::Warn).unwrap()
}

async fn drop_database(settings: &MongodbSettings) {
    connect(settings).await.unwrap().database().drop().await.unwrap();
}

async fn sink(settings: &MongodbSettings, corpus: &Corpus) -> Measured {
    let mut store = DocumentsStore::open(settings).await.unwrap();
    let meter = Meter::start(SERVER);
    write(&mut store, &corpus.scored).await;
    let measured = meter.stop(corpus.rows);
    check(&mut store, corpus.rows).await;
    measured
}

/// What the sink wrote, read back.
async fn written(settings: &MongodbSettings) -> Vec<RawDocumentBuf> {
    let connected = connect(settings).await.unwrap();
    let documents = connected.collection::<RawDocumentBuf>(layout::DOCUMENTS);
    documents.find(doc! {}).sort(doc! { "_id": 1 }).await.unwrap().try_collect().await.unwrap()
}

async fn raw(settings: &MongodbSettings, documents: &[RawDocumentBuf]) -> Measured {
    let connected = connect(settings).await.unwrap();
    layout::ensure(&connected, settings).await.unwrap();
    let collection = connected.collection::<RawDocumentBuf>(layout::DOCUMENTS);
    let meter = Meter::start(SERVER);
    let inserts = stream::iter(documents.chunks(settings.batch_documents()));
    inserts
        .for_each_concurrent(settings.parallel_inserts(), |chunk| {
            let insert = collection.insert_many(chunk).ordered(false);
            async move {
                insert.await.unwrap();
            }
        })
        .await;
    let measured = meter.stop(documents.len());
    assert_eq!(collection.count_documents(doc! {}).await.unwrap(), documents.len() as u64);
    measured
}

pub(crate) async fn contest(url: &str, corpus: &Corpus, rounds: usize) -> Contest {
    let mut contest = Contest::new(SERVER, "documents", &["sink", "raw: insert_many"], &[]);
    let first = own_database(url);
    sink(&first, corpus).await;
    let documents = written(&first).await;
    drop_database(&first).await;
    for round in 0..rounds {
        for way in contest.order(round) {
            let settings = own_database(url);
            let measured = if way == 0 { sink(&settings, corpus).await } else { raw(&settings, &documents).await };
            drop_database(&settings).await;
            contest.add(way, measured);
        }
    }
    let bytes: usize = documents.iter().map(|document| document.as_bytes().len()).sum();
    contest.notes.push(format!("mongodb: {} documents of {} bytes in the mean", documents.len(), bytes / documents.len().max(1)));
    contest
}
