//! One file a command: what it does is another crate's; here it is wired and told.

pub(crate) mod backtest;
pub(crate) mod backup;
pub(crate) mod bench;
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
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

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

/// A number with its word, as `1 row` or `2 rows`.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// How a person runs this program again: by cargo, where cargo runs it.
pub(crate) fn invocation() -> &'static str {
    if std::env::var_os("CARGO").is_some() { "cargo run -q --" } else { "wardhouse" }
}

/// Ctrl-C, SIGTERM, and that the terminal closes. What comes between two looks is not lost.
struct Asked([Option<Signal>; 3]);

impl Asked {
    /// From now on none of them ends the process by itself.
    fn listen() -> Asked {
        Asked([SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(|kind| signal(kind).ok()))
    }

    async fn next(&mut self) {
        async fn one(signal: &mut Option<Signal>) {
            let heard = match signal {
                Some(signal) => signal.recv().await,
                None => None,
            };
            if heard.is_none() {
                std::future::pending::<()>().await;
            }
        }
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            () = one(interrupt) => {}
            () = one(terminate) => {}
            () = one(hangup) => {}
        }
    }
}

/// Resolves at Ctrl-C, SIGTERM, or when the terminal closes.
pub(crate) async fn asked_to_stop() {
    Asked::listen().next().await;
}

/// How long a stop may take in all. What it is made of takes less than this together (see `pipeline`); where something hangs all the same,
/// the process ends: nothing that was acknowledged is in its memory alone.
pub(crate) const STOP: Duration = Duration::from_millis(14_500);
/// How long threads that are still at something are waited for when a runtime ends.
pub(crate) const LAST_THREADS: Duration = Duration::from_secs(1);

fn end_in_time() {
    std::thread::sleep(STOP);
    tracing::warn!("the stop took longer than {STOP:?}; what was not settled follows at the next start");
    std::process::exit(0)
}

/// Cancelled when the process is asked to stop, which then ends within [`STOP`]. Asked again it ends at once.
pub(crate) fn stop_when_asked() -> CancellationToken {
    let stop = CancellationToken::new();
    let asked = stop.clone();
    let mut signals = Asked::listen();
    tokio::spawn(async move {
        signals.next().await;
        asked.cancel();
        // A thread of its own: it goes on whatever the runtimes are at.
        if let Err(error) = std::thread::Builder::new().name("stop".to_owned()).spawn(end_in_time) {
            tracing::warn!("the stop takes as long as it takes: {error}");
        }
        // Whoever asks twice does not want to wait.
        signals.next().await;
        std::process::exit(1);
    });
    stop
}
