//! Who asked what, and what became of it.

use super::*;
use crate::principal::Limits;

fn principal(queries: Option<usize>) -> Principal {
    Principal { role: "analyst".into(), limits: Limits { queries, ..Limits::default() }, ..Principal::local(Way::Http) }
}

#[test]
fn a_query_is_running_until_it_ends_and_recent_afterwards() {
    let queries = Arc::new(Queries::default());
    let mut one = queries.begin(7, &principal(None), "SELECT 1", None).unwrap();
    let two = queries.begin(7, &principal(None), "SELECT 2", None).unwrap();
    assert_eq!(queries.running().iter().map(|info| info.sql.clone()).collect::<Vec<_>>(), ["SELECT 1", "SELECT 2"]);
    one.done();
    let (first, second) = (one.id(), two.id());
    drop((one, two));
    assert!(queries.running().is_empty());
    let states: Vec<(u64, QueryState)> = queries.recent().into_iter().map(|info| (info.id, info.state)).collect();
    assert_eq!(states, [(second, QueryState::Cancelled), (first, QueryState::Done)]);
    assert_eq!(queries.find(first).map(|info| info.state), Some(QueryState::Done));
}

#[test]
fn a_role_runs_no_more_than_it_may() {
    let queries = Arc::new(Queries::default());
    let held = queries.begin(1, &principal(Some(1)), "SELECT 1", None).unwrap();
    let refused = queries.begin(2, &principal(Some(1)), "SELECT 2", None).unwrap_err();
    assert_eq!((refused.sqlstate(), refused), ("53300", QueryError::TooMany { role: "analyst".into(), queries: 1 }));
    assert!(queries.begin(2, &Principal::local(Way::Cli), "SELECT 2", None).is_ok());
    drop(held);
    assert!(queries.begin(2, &principal(Some(1)), "SELECT 2", None).is_ok());
}

#[test]
fn the_first_reason_for_an_end_is_the_one_that_is_told() {
    let queries = Arc::new(Queries::default());
    let ticket = queries.begin(3, &principal(None), "SELECT 1", Some(Duration::ZERO)).unwrap();
    let other = queries.begin(4, &principal(None), "SELECT 1", None).unwrap();
    assert!(ticket.query.stop.is_cancelled(), "the time of a query that nobody reads runs out");
    assert!(queries.cancel(ticket.id()));
    assert_eq!(ticket.query.why(), QueryError::Timeout);
    assert!(queries.cancel_session(4) && other.query.stop.is_cancelled());
    assert!(!queries.cancel_session(5) && !queries.cancel(99));
}

#[test]
fn what_is_remembered_is_bounded() {
    let queries = Arc::new(Queries::default());
    let long = "ä".repeat(1 << 20);
    for _ in 0..REMEMBERED + 5 {
        queries.begin(1, &principal(None), &long, None).unwrap().failed(&QueryError::internal(&long));
    }
    let recent = queries.recent();
    assert_eq!((recent.len(), recent[0].id), (REMEMBERED, REMEMBERED as u64 + 5));
    assert!(recent.iter().all(|info| info.sql.len() < 10_000 && info.error.as_ref().is_some_and(|error| error.len() < 10_000)));
}
