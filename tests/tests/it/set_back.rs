//! A log that was set back alone, to an older copy of itself: whoever keeps a position outside of it stops, while the log is shorter and once it
//! has grown past, and writes nothing.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tokio_util::sync::CancellationToken;
use wh_eventlog::gauges::Gauges;
use wh_eventlog::incidents::kind;
use wh_eventlog::{Producer, Record};
use wh_schemas::Reaction;
use wh_schemas::topics::{RISK_ALERTS, RISK_SCORES};
use wh_scorer::stage;
use wh_scorer::state::sqlite::SqliteCheckpoints;
use wh_sinks::delivery::runner;

use crate::content::{self, Role, published};
use crate::pipeline::{PARTITIONS, Pipeline, STAGES, runner_settings, scorer_settings};
use crate::records::hospital;

/// A file of SQLite as it stands, beside which no other is needed.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    Connection::open(from).unwrap().execute("VACUUM INTO ?1", [to.to_str().unwrap()]).unwrap();
}

async fn refused(what: &str, running: impl Future<Output = Result<(), Reaction>>) -> Reaction {
    let ended = tokio::time::timeout(Duration::from_secs(30), running).await.unwrap_or_else(|_| panic!("{what} went on"));
    let Err(reaction) = ended else { panic!("{what} went on") };
    assert_eq!((reaction.class(), kind(&reaction)), ("fatal", "log_set_back"), "{what}: {reaction}");
    reaction
}

async fn scorer(pipeline: &Pipeline, data: &Path) -> Reaction {
    let store = SqliteCheckpoints::open(&data.join("baselines.db")).unwrap();
    let gauges = Arc::new(Gauges::new(stage::GROUP));
    refused("the scorer", stage::run(pipeline.log.clone(), Box::new(store), scorer_settings(), gauges, CancellationToken::new())).await
}

async fn sink(pipeline: &Pipeline, data: &Path, role: Role) -> Reaction {
    let before = published(role, data).unwrap();
    let store = content::open(role, data).unwrap();
    let gauges = Arc::new(Gauges::new(role.name()));
    let told = refused(role.name(), runner::run(pipeline.log.clone(), store, runner_settings(), gauges, CancellationToken::new())).await;
    assert_eq!(published(role, data).unwrap(), before, "{}: nothing was written", role.name());
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_set_back_alone_is_noticed_however_far_it_has_grown_again() {
    let (live, back) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let data = back.path();
    let mut pipeline = Pipeline::open(live.path()).await;
    pipeline.start_all(&STAGES);
    let lines = hospital(5, 1_200);
    pipeline.feed(&lines[..500]).await;
    pipeline.settle().await;
    copy(&live.path().join("log/log.db"), &data.join("log/log.db"));
    pipeline.feed(&lines[500..]).await;
    pipeline.settle().await;
    pipeline.stop().await;
    for store in ["baselines.db", "ledger.db", "documents.db", "metrics.db"] {
        copy(&live.path().join(store), &data.join(store));
    }
    std::fs::create_dir_all(data.join("search")).unwrap();
    for entry in std::fs::read_dir(live.path().join("search")).unwrap() {
        let path = entry.unwrap().path();
        // Locks are of who runs.
        if path.extension().is_none_or(|extension| extension != "lock") {
            std::fs::copy(&path, data.join("search").join(path.file_name().unwrap())).unwrap();
        }
    }
    drop(pipeline);

    let mut pipeline = Pipeline::open(data).await;
    let scored = pipeline.count(RISK_SCORES).await;
    assert_eq!(scored, 500);
    let shorter = scorer(&pipeline, data).await;
    assert!(shorter.to_string().contains("this log ends at"), "{shorter}");
    for role in Role::ALL {
        sink(&pipeline, data, role).await;
    }
    let status = pipeline.status().await.unwrap();
    assert!(!status.settled() && status.set_back().is_some_and(|told| told.contains("scorer is 700 ahead")), "{:?}", status.set_back());

    // Other records, past every position.
    pipeline.start(STAGES[0]);
    pipeline.feed(&hospital(9, 4_000)).await;
    pipeline.settle().await;
    pipeline.stop().await;
    let past = scorer(&pipeline, data).await;
    assert!(past.to_string().contains("stands another record than it has taken there"), "{past}");
    assert_eq!(pipeline.count(RISK_SCORES).await, scored, "nothing was scored");
    for partition in 0..PARTITIONS {
        for topic in [RISK_SCORES, RISK_ALERTS] {
            let records = (0..2_000).map(|number| Record::new(format!("{number}"), format!("{{\"other\":{number}}}"))).collect();
            pipeline.log.produce(topic, partition, records).await.unwrap();
        }
    }
    for role in Role::ALL {
        let told = sink(&pipeline, data, role).await;
        assert!(told.to_string().contains("nothing was written"), "{told}");
    }
}
