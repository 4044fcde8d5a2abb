//! MongoDB: unordered `insertMany` of what the sink wrote into a collection of the same layout (unique index and validator) in a database of
//! our own, by the same client with the same write concern, as large and as many at a time as the sink does.

use futures::{TryStreamExt, stream};
use mongodb::bson::{RawDocumentBuf, doc};
use wh_sinks::mongodb::DocumentsStore;
use wh_stores::mongodb::{MongodbSettings, connect, layout};

use super::meter::{Meter, ServerCpu, Took};
use super::{Run, Unmeasured, and_remove, counted, fill, own_name};
use crate::report::RawRate;

/// How it is called in reports.
pub const WAY: &str = "insertMany, unordered";

fn failed(error: mongodb::error::Error) -> Unmeasured {
    Unmeasured::new("MongoDB", error)
}

/// What the sink wrote, read back.
///
/// # Errors
/// As the store's.
pub async fn written(settings: &MongodbSettings) -> Result<Vec<RawDocumentBuf>, Unmeasured> {
    let connected = connect(settings).await?;
    let documents = connected.collection::<RawDocumentBuf>(layout::DOCUMENTS);
    documents.find(doc! {}).sort(doc! { "_id": 1 }).await.map_err(failed)?.try_collect().await.map_err(failed)
}

/// Writes documents into a database that holds none.
///
/// # Errors
/// As the store's.
pub async fn write(settings: &MongodbSettings, documents: &[RawDocumentBuf], cpu: &ServerCpu) -> Result<Took, Unmeasured> {
    let connected = connect(settings).await?;
    layout::ensure(&connected, settings).await?;
    let collection = connected.collection::<RawDocumentBuf>(layout::DOCUMENTS);
    let bytes = documents.iter().map(|document| document.as_bytes().len()).sum();
    let meter = Meter::start(cpu);
    stream::iter(documents.chunks(settings.batch_documents()).map(Ok))
        .try_for_each_concurrent(settings.parallel_inserts(), |chunk| {
            let insert = collection.insert_many(chunk).ordered(false);
            async move { insert.await.map(drop) }
        })
        .await
        .map_err(failed)?;
    let took = meter.stop(documents.len(), bytes);
    let found = collection.count_documents(doc! {}).await.map_err(failed)?;
    counted(usize::try_from(found).unwrap_or(usize::MAX), documents.len())?;
    Ok(took)
}

/// Removes the database with everything in it.
///
/// # Errors
/// As the store's.
pub async fn remove(settings: &MongodbSettings) -> Result<(), Unmeasured> {
    let told = format!("the database {}", settings.database());
    connect(settings).await?.database().drop().await.map_err(|error| Unmeasured::new(&told, error))
}

/// Measures it.
pub(super) async fn measure(settings: &MongodbSettings, run: &Run<'_>) -> Result<RawRate, Unmeasured> {
    let own = settings.clone().with_database(own_name());
    let work = async {
        let mut store = DocumentsStore::open(&own).await?;
        fill(&mut store, &run.corpus.scored, run.stop).await?;
        drop(store);
        let documents = written(&own).await?;
        remove(&own).await?;
        let took = write(&own, &documents, &run.cpu).await?;
        Ok::<_, Unmeasured>(took.raw_rate("documents", WAY))
    };
    and_remove(run.stop, work, remove(&own)).await
}
