//! One file a command: what it does is another crate's; here it is wired and told.

pub(crate) mod backtest;
pub(crate) mod backup;
pub(crate) mod benford;
pub(crate) mod config;
pub(crate) mod control;
pub(crate) mod dead_letters;
pub(crate) mod doctor;
pub(crate) mod evaluate;
pub(crate) mod explain;
pub(crate) mod fit_priors;
pub(crate) mod generate;
pub(crate) mod import;
pub(crate) mod input;
pub(crate) mod migrate;
pub(crate) mod question;
pub(crate) mod reconcile;
pub(crate) mod replay;
pub(crate) mod restore;
pub(crate) mod rules;
pub(crate) mod run;
pub(crate) mod score;
pub(crate) mod sql;
pub(crate) mod status;
pub(crate) mod ticker;
pub(crate) mod up;

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::failure::Failure;
use crate::settings::Settings;

/// The runtime that the pipeline runs on.
pub(crate) fn runtime(name: &'static str) -> Result<Runtime, Failure> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(32)
        .thread_keep_alive(Duration::from_secs(10))
        .thread_name(name)
        .enable_all()
        .build()
        .map_err(|e| Failure::Failed(format!("cannot start threads: {e}")))
}

/// The SQL engine over the stores of these settings.
pub(crate) fn engine(settings: &Settings) -> Result<wh_query::Engine, Failure> {
    let options = wh_query::EngineSettings {
        zone: settings.zone.name().to_owned(),
        memory_limit_bytes: settings.sql.memory_bytes,
        target_partitions: 2,
        statement_timeout: settings.sql.statement_timeout,
    };
    wh_query::Engine::open(settings.places.for_queries(), options).map_err(|e| Failure::Failed(e.to_string()))
}

/// How a person runs this program again: by cargo, where cargo runs it.
pub(crate) fn invocation() -> &'static str {
    if std::env::var_os("CARGO").is_some() { "cargo run -q --" } else { "wardhouse" }
}

/// Resolves at Ctrl-C, SIGTERM, or when the terminal closes.
pub(crate) async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::terminate()), signal(SignalKind::hangup())) {
        (Ok(mut terminate), Ok(mut hangup)) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        }
        _ => {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
