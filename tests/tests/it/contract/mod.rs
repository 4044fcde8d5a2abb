//! One suite of checks a role, run unchanged over every adapter of it. An adapter that passes is interchangeable.
//!
//! A check is a function that panics where the contract is broken; each has a place of its own and knows of its adapter only
//! how to open and read it. A server's adapter is in `servers`, and its suite is one more line below. `broken` holds adapters that
//! break the contract on purpose, and shows that each check finds out.

/// The checks of a suite, with their names.
macro_rules! checks {
    ($($check:ident),+ $(,)?) => { &[$((stringify!($check), |adapter| Box::pin($check(adapter)))),+] };
}

mod baselines;
mod broken;
mod log;
mod pattern_checkpoints;
pub(crate) mod servers;
mod sink_checks;
mod sinks;

use std::time::Duration;

use futures::future::BoxFuture;

use crate::content::Role;

/// A check's name, and what runs it on an adapter.
pub(crate) type Check<A> = (&'static str, fn(A) -> BoxFuture<'static, ()>);

/// How long one check may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs checks side by side; gives the names of those that failed and what they said.
async fn failures<A: Clone>(adapter: &A, checks: &[Check<A>]) -> Vec<(&'static str, String)> {
    let running: Vec<_> = checks.iter().map(|(name, check)| (*name, tokio::spawn(tokio::time::timeout(LIMIT, check(adapter.clone()))))).collect();
    let mut failed = Vec::new();
    for (name, task) in running {
        match task.await {
            Ok(Ok(())) => {}
            Ok(Err(late)) => failed.push((name, format!("not within {LIMIT:?}: {late}"))),
            Err(error) => failed.push((name, said(error))),
        }
    }
    failed
}

/// What a check said when it panicked.
fn said(error: tokio::task::JoinError) -> String {
    let panic = error.into_panic();
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}

/// Panics with every check that failed and what it said.
#[track_caller]
fn kept(name: &str, checks: usize, failed: &[(&'static str, String)]) {
    let report: Vec<String> = failed.iter().map(|(check, why)| format!("- {check}: {why}")).collect();
    assert!(failed.is_empty(), "{name} breaks {} of {checks} checks of its contract:\n{}", failed.len(), report.join("\n"));
}

/// Runs one check of a suite over an adapter that must not pass it.
async fn caught<A: Clone>(adapter: &A, checks: &[Check<A>], check: &str, fault: &str) {
    let named: Vec<Check<A>> = checks.iter().filter(|(name, _)| *name == check).copied().collect();
    assert_eq!(named.len(), 1, "there is one check {check}");
    assert!(!failures(adapter, &named).await.is_empty(), "{check} did not find out that the adapter is broken: {fault}");
}

/// The suite of a role, over one of its adapters.
macro_rules! suites {
    ($($(#[$attribute:meta])* $test:ident: $adapter:expr, $checks:expr;)+) => {$(
        $(#[$attribute])*
        #[tokio::test(flavor = "multi_thread")]
        async fn $test() {
            let adapter = $adapter;
            let outcome = failures(&adapter, $checks).await;
            adapter.sweep().await;
            kept(adapter.name(), $checks.len(), &outcome);
        }
    )+};
}

suites! {
    the_log_on_sqlite_keeps_its_contract: log::embedded(), log::CHECKS;
    the_ledger_on_sqlite_keeps_the_contract_of_the_sinks: sinks::embedded(Role::Ledger), sink_checks::CHECKS;
    the_documents_on_sqlite_keep_the_contract_of_the_sinks: sinks::embedded(Role::Documents), sink_checks::CHECKS;
    the_metrics_on_sqlite_keep_the_contract_of_the_sinks: sinks::embedded(Role::Metrics), sink_checks::CHECKS;
    the_search_on_tantivy_keeps_the_contract_of_the_sinks: sinks::embedded(Role::Search), sink_checks::CHECKS;
    the_baselines_on_sqlite_keep_their_contract: baselines::embedded(), baselines::CHECKS;
    the_baselines_on_sqlite_keep_the_contract_of_patterns: baselines::embedded(), pattern_checkpoints::CHECKS;
    #[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES is not set")]
    the_ledger_on_postgresql_keeps_the_contract_of_the_sinks: servers::postgres::ledger(), sink_checks::CHECKS;
    #[cfg_attr(not(has_postgres), ignore = "WARDHOUSE_TEST_POSTGRES is not set")]
    the_ledger_on_postgresql_in_parts_keeps_the_contract_of_the_sinks: servers::postgres::ledger_in_parts(), sink_checks::CHECKS;
    #[cfg_attr(not(has_mongodb), ignore = "WARDHOUSE_TEST_MONGODB is not set")]
    the_documents_on_mongodb_keep_the_contract_of_the_sinks: servers::mongodb::documents(), sink_checks::CHECKS;
    #[cfg_attr(not(has_mongodb), ignore = "WARDHOUSE_TEST_MONGODB is not set")]
    the_documents_on_mongodb_in_parts_keep_the_contract_of_the_sinks: servers::mongodb::documents_in_parts(), sink_checks::CHECKS;
    #[cfg_attr(not(has_influxdb), ignore = "WARDHOUSE_TEST_INFLUXDB is not set")]
    the_metrics_on_influxdb_keep_the_contract_of_the_sinks: servers::influxdb::metrics(), sink_checks::CHECKS;
    #[cfg_attr(not(has_influxdb), ignore = "WARDHOUSE_TEST_INFLUXDB is not set")]
    the_metrics_on_influxdb_in_parts_keep_the_contract_of_the_sinks: servers::influxdb::metrics_in_parts(), sink_checks::CHECKS;
    #[cfg_attr(not(has_elasticsearch), ignore = "WARDHOUSE_TEST_ELASTICSEARCH is not set")]
    the_search_on_elasticsearch_keeps_the_contract_of_the_sinks: servers::elasticsearch::search(), sink_checks::CHECKS;
    #[cfg_attr(not(has_elasticsearch), ignore = "WARDHOUSE_TEST_ELASTICSEARCH is not set")]
    the_search_on_elasticsearch_in_parts_keeps_the_contract_of_the_sinks: servers::elasticsearch::search_in_parts(), sink_checks::CHECKS;
    #[cfg_attr(not(has_kafka), ignore = "WARDHOUSE_TEST_KAFKA is not set")]
    the_log_on_kafka_keeps_its_contract: servers::kafka::log(), log::CHECKS;
    #[cfg_attr(not(has_redis), ignore = "WARDHOUSE_TEST_REDIS is not set")]
    the_baselines_on_redis_keep_their_contract: servers::redis::baselines(), baselines::CHECKS;
    #[cfg_attr(not(has_redis), ignore = "WARDHOUSE_TEST_REDIS is not set")]
    the_baselines_on_redis_in_parts_keep_their_contract: servers::redis::baselines_in_parts(), baselines::CHECKS;
    #[cfg_attr(not(has_redis), ignore = "WARDHOUSE_TEST_REDIS is not set")]
    the_baselines_on_redis_keep_the_contract_of_patterns: servers::redis::baselines(), pattern_checkpoints::CHECKS;
    #[cfg_attr(not(has_redis), ignore = "WARDHOUSE_TEST_REDIS is not set")]
    the_baselines_on_redis_in_parts_keep_the_contract_of_patterns: servers::redis::baselines_in_parts(), pattern_checkpoints::CHECKS;
}
