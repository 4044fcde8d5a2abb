//! `wardhouse replay --begin`: a store that was added later gets its first position, so that its stage takes up the stream there.

use wh_ops::replay::{self, Begin};
use wh_schemas::{Reaction, layout};
use wh_sinks::delivery::StorePosition;
use wh_sinks::delivery::identity::Binding;
use wh_stores::holder::Holder;
use wh_stores::places::{DocumentsPlace, LedgerPlace, MetricsPlace, SearchPlace};

use crate::args::StoreName;
use crate::commands::{invocation, runtime};
use crate::failure::Failure;
use crate::settings::Settings;
use crate::stores;

/// Positions by topic.
type Positions = Vec<(&'static str, Vec<StorePosition>)>;

pub(super) fn run(settings: &Settings, store: StoreName, name: &'static str, begin: Begin) -> Result<(), Failure> {
    let positions = runtime("replay")?.block_on(async {
        // The stage must not run. Its group takes the same lock on an embedded log: there it is only looked at.
        let holder = if settings.places.log_is_embedded() || settings.places.is_embedded(store.into()) { Some(Holder::take(settings.places.locks(), name)?) } else { None };
        let _held = holder.filter(|_| !settings.places.log_is_embedded());
        let log = stores::open_log(settings).await?;
        let mut opened = stores::open_store(settings, store).await?;
        let topics = opened.topics();
        for topic in &topics {
            if !opened.positions(topic).await?.is_empty() {
                return Err(Failure::Failed(format!(
                    "the {name} store stands somewhere in {topic} already, and its stage goes on from there: only a store that holds nothing can be told where to begin"
                )));
            }
        }
        Binding::default().keep(&*log, &mut *opened).await?;
        drop(opened);
        let positions = replay::beginning(&*log, name, &topics, begin).await?;
        // First the log, then the store: broken off in between, this can be done again.
        replay::register(&*log, name, &positions).await?;
        write(settings, store, &positions).await?;
        Ok::<Positions, Failure>(positions)
    })?;
    for (topic, places) in &positions {
        for place in places {
            anstream::println!("{name} begins with seq {} of {topic} partition {}", place.next_seq, place.partition);
        }
    }
    let how = invocation();
    anstream::println!("now start its stage ({how} run {name}, or up); what the log has from before is filled in beside it by: {how} replay --store {name}");
    Ok(())
}

async fn write(settings: &Settings, store: StoreName, positions: &Positions) -> Result<(), Reaction> {
    let places = &settings.places;
    match store {
        StoreName::Ledger => match &places.ledger {
            LedgerPlace::Sqlite(path) => wh_sinks::sqlite::begin(path, &layout::LEDGER, positions),
            LedgerPlace::Postgres(postgres) => wh_sinks::postgres::begin(postgres, positions).await,
        },
        StoreName::Documents => match &places.documents {
            DocumentsPlace::Sqlite(path) => wh_sinks::sqlite::begin(path, &layout::DOCUMENTS, positions),
            DocumentsPlace::Mongodb(mongodb) => wh_sinks::mongodb::begin(&mongodb.clone().with_retention(settings.retention), positions).await,
        },
        StoreName::Metrics => match &places.metrics {
            MetricsPlace::Sqlite(path) => wh_sinks::sqlite::begin(path, &layout::METRICS, positions),
            MetricsPlace::Influxdb(influxdb) => wh_sinks::influxdb::begin(influxdb, positions).await,
        },
        StoreName::Search => match &places.search {
            SearchPlace::Tantivy(folder) => wh_sinks::tantivy::begin(folder, positions),
            SearchPlace::Elasticsearch(elasticsearch) => wh_sinks::elasticsearch::begin(elasticsearch, positions).await,
        },
    }
}
