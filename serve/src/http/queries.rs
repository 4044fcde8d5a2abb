//! The register of queries over HTTP: what runs, how far each is, and an end to it.
//!
//! What must stay true: everyone sees that a query runs, and only who may read it ([`Principal::may_read`]) what it asks, and ends it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde_json::{Value, json};
use wh_query::{Principal, QueryInfo, QueryState, StoreWork};
use wh_schemas::Micros;

use super::errors::Fault;
use super::{Shared, milliseconds};

fn state(state: &QueryState) -> &'static str {
    match state {
        QueryState::Running => "running",
        QueryState::Done => "done",
        QueryState::Failed => "failed",
        QueryState::Cancelled => "cancelled",
    }
}

fn work(work: &StoreWork) -> Value {
    json!({
        "store": work.store,
        "relation": work.relation,
        "rows": work.rows,
        "bytes": work.bytes,
        "in_store_ms": milliseconds(work.in_store),
        "waiting_ms": milliseconds(work.waiting),
    })
}

fn described(query: &QueryInfo, principal: &Principal) -> Value {
    let may = principal.may_read(query);
    json!({
        "id": query.id,
        "session": query.session,
        "principal": query.principal,
        "role": query.role,
        "way": query.way.to_string(),
        "peer": query.peer.filter(|_| may).map(|peer| peer.to_string()),
        "sql": may.then_some(&query.sql),
        "state": state(&query.state),
        "started_at": Micros(query.started_at).to_string(),
        "elapsed_ms": milliseconds(query.elapsed),
        "rows_out": query.rows_out,
        "stores": query.stores.iter().map(work).collect::<Vec<_>>(),
        "error": query.error.as_ref().filter(|_| may),
    })
}

fn found(shared: &Shared, id: u64) -> Result<QueryInfo, Fault> {
    shared.engine.queries().find(id).ok_or_else(|| Fault::new(StatusCode::NOT_FOUND, "42704", format!("there is no query {id} among those that run and the newest that ran")))
}

/// `GET /v1/sql/queries`
pub(super) async fn list(State(shared): State<Arc<Shared>>, Extension(principal): Extension<Principal>) -> Json<Value> {
    let all = |queries: Vec<QueryInfo>| queries.iter().map(|query| described(query, &principal)).collect::<Vec<_>>();
    let queries = shared.engine.queries();
    Json(json!({ "running": all(queries.running()), "recent": all(queries.recent()) }))
}

/// `GET /v1/sql/queries/{id}`
pub(super) async fn one(State(shared): State<Arc<Shared>>, Extension(principal): Extension<Principal>, Path(id): Path<u64>) -> Result<Json<Value>, Fault> {
    let query = found(&shared, id)?;
    let mut told = described(&query, &principal);
    if principal.may_read(&query) {
        told["late_notices"] = json!(shared.late_of(id));
    }
    Ok(Json(told))
}

/// `DELETE /v1/sql/queries/{id}`
pub(super) async fn cancel(State(shared): State<Arc<Shared>>, Extension(principal): Extension<Principal>, Path(id): Path<u64>) -> Result<Json<Value>, Fault> {
    let query = found(&shared, id)?;
    if !principal.may_read(&query) {
        let message = format!("query {id} is another's: it can be ended by {}, or by a user of the role admin", query.principal);
        return Err(Fault::new(StatusCode::FORBIDDEN, "42501", message));
    }
    Ok(Json(json!({ "id": id, "cancelled": shared.engine.queries().cancel(id) })))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wh_query::Way;

    use super::*;

    #[test]
    fn what_a_query_asks_is_told_to_its_own_and_to_admins() {
        let query = QueryInfo {
            id: 7,
            session: 1,
            principal: "ann".into(),
            proved: true,
            role: "analyst".into(),
            way: Way::Http,
            peer: None,
            sql: "SELECT 1".into(),
            state: QueryState::Running,
            started_at: 1_772_323_200_000_000,
            elapsed: Duration::from_millis(1_500),
            rows_out: 3,
            stores: vec![StoreWork {
                store: "ledger".into(),
                relation: "ledger.transactions".into(),
                rows: 5,
                bytes: 80,
                in_store: Duration::from_millis(2),
                waiting: Duration::ZERO,
            }],
            error: None,
        };
        let seen_by = |name: &str, role: &str| described(&query, &Principal { name: name.into(), proved: true, role: role.into(), ..Principal::local(Way::Http) });
        assert_eq!(seen_by("ann", "analyst")["sql"], "SELECT 1");
        assert_eq!(seen_by("ben", "admin")["sql"], "SELECT 1");
        let other = seen_by("ben", "analyst");
        assert_eq!((&other["sql"], &other["state"], other["stores"][0]["rows"].as_u64()), (&Value::Null, &json!("running"), Some(5)));
        assert_eq!((other["started_at"].as_str(), other["elapsed_ms"].as_f64()), (Some("2026-03-01T00:00:00Z"), Some(1_500.0)));
    }
}
