//! Answers are right to the row: queries made by chance, each asked of the stores with push-down, of the same stores without it, and of
//! DataFusion over the same rows in memory.
//!
//! What must stay true: a query is made of the seed and its number alone. One that failed is asked again by
//! `WARDHOUSE_TEST_QUERY=<number>`; `WARDHOUSE_TEST_QUERIES` says how many are asked, `WARDHOUSE_TEST_SEED` which.

mod aimed;
#[expect(clippy::explicit_auto_deref, reason = "without it the list would be taken for one of str")]
mod awkward;
mod branches;
mod catalog;
mod compare;
#[expect(clippy::explicit_auto_deref, reason = "without it the list would be taken for one of str")]
mod conditions;
mod dice;
mod fixture;
mod joins;
mod literals;
mod matching;
mod nested;
#[expect(clippy::explicit_auto_deref, reason = "without it the list would be taken for one of str")]
mod queries;
mod stand;
mod values;

use std::sync::Arc;

use tokio::task::JoinSet;

use branches::{ENOUGH, Tally, required};
use fixture::{Place, Servers};
use stand::{AIMED, Report, Stand};

const SEED: u64 = 0x57a2_d043;
/// Queries that are asked at a time.
const WORKERS: usize = 4;
/// How often a branch that was reached too seldom is aimed at, so many queries each time.
const ROUNDS: u64 = 8;
const AIMS: u64 = 25;
/// Failures that are told in full.
const TOLD: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn generated_queries_mean_the_same_over_embedded_stores() {
    compared(Servers::NONE, 2_000).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(
    not(any(has_postgres, has_mongodb, has_influxdb, has_redis, has_elasticsearch, has_kafka)),
    ignore = "WARDHOUSE_TEST_POSTGRES, _MONGODB, _INFLUXDB, _REDIS, _ELASTICSEARCH, _KAFKA name no server"
)]
async fn generated_queries_mean_the_same_over_servers() {
    compared(Servers::named(), 1_000).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes many minutes: cargo test -p wh-tests -- --ignored a_longer_run"]
async fn a_longer_run_of_generated_queries_means_the_same() {
    compared(Servers::NONE, 20_000).await;
}

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// Fills stores, compares, and leaves nothing behind.
async fn compared(servers: Servers, queries: u64) {
    let place = Arc::new(Place::new(servers));
    let running = Arc::clone(&place);
    let outcome = tokio::spawn(async move {
        running.fill().await;
        let stand = Arc::new(Stand::open(&running, number_of("WARDHOUSE_TEST_SEED").unwrap_or(SEED)).await);
        match number_of("WARDHOUSE_TEST_QUERY") {
            Some(number) => replayed(&stand, number).await,
            None => every(&stand, servers, number_of("WARDHOUSE_TEST_QUERIES").unwrap_or(queries)).await,
        }
    })
    .await;
    place.sweep().await;
    if let Err(error) = outcome {
        std::panic::resume_unwind(error.into_panic());
    }
}

async fn replayed(stand: &Stand, number: u64) {
    let report = stand.ask(number).await;
    println!("{}\n\n{}\n{:#?}", report.sql, stand.plan(&report.sql).await, report.pushed.kinds);
    assert!(report.fault.is_none(), "{}", report.fault.unwrap_or_default());
}

async fn every(stand: &Arc<Stand>, servers: Servers, queries: u64) {
    let mut tally = Tally::default();
    let mut reports = ask(stand, (0..queries).collect()).await;
    reports.iter().for_each(|report| tally.add(&report.pushed));
    let (asked, pushed, failed) = (reports.len(), reports.iter().filter(|report| report.pushed.is_some).count(), reports.iter().filter(|report| report.is_error).count());
    let branches = required(servers);
    for round in 0..ROUNDS {
        let seldom = (0_u64..).zip(&branches).filter(|(_, branch)| tally.of(branch) < ENOUGH);
        let numbers: Vec<u64> = seldom.flat_map(|(place, _)| (0..AIMS).map(move |aim| AIMED + place * ROUNDS * AIMS + round * AIMS + aim)).collect();
        let more = ask(stand, numbers).await;
        more.iter().for_each(|report| tally.add(&report.pushed));
        reports.extend(more);
    }
    println!("{} queries, {asked} of them by chance: {pushed} of these pushed something, {failed} had no answer{}", reports.len(), tally.table());
    let faults: Vec<&String> = reports.iter().filter_map(|report| report.fault.as_ref()).collect();
    let told: Vec<&str> = faults.iter().take(TOLD).map(|fault| fault.as_str()).collect();
    assert!(faults.is_empty(), "{} of {} queries have different answers\n\n{}", faults.len(), reports.len(), told.join("\n\n"));
    assert!(pushed * 100 >= asked * 60, "{pushed} of {asked} queries push something");
    assert!(failed * 100 <= asked * 8, "{failed} of {asked} queries had no answer: they compare little");
    let seldom: Vec<String> = branches.iter().filter(|branch| tally.of(branch) < ENOUGH).map(|branch| format!("{} {}: {}", branch.role, branch.kind, tally.of(branch))).collect();
    assert!(seldom.is_empty(), "these branches were reached less than {ENOUGH} times: {seldom:#?}");
}

/// Asks queries side by side.
async fn ask(stand: &Arc<Stand>, numbers: Vec<u64>) -> Vec<Report> {
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let stand = Arc::clone(stand);
        let own: Vec<u64> = numbers.iter().copied().skip(worker).step_by(WORKERS).collect();
        workers.spawn(async move {
            let mut reports = Vec::with_capacity(own.len());
            for number in own {
                reports.push(stand.ask(number).await);
            }
            reports
        });
    }
    let mut reports = workers.join_all().await.concat();
    reports.sort_by_key(|report| report.number);
    reports
}
