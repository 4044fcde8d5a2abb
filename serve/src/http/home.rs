//! What there is: the endpoints, the status, the tables; and tokens for those who do not want to send a password each time.
//!
//! What must stay true: the status names this process and nothing of its data; it is how a client finds out whether a server that a
//! file speaks of is still that one.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};
use wh_query::Principal;

use super::Shared;
use super::errors::Fault;

const HOME: &str = "\
Wardhouse: SQL over five stores.

POST   /v1/sql               {\"sql\": \"SELECT …\", \"parameters\": […], \"settings\": {\"statement_timeout\": \"5s\"}, \"format\": \"json|ndjson|csv|arrow\"},
                             or the statement as text/plain; Accept decides on the form as well
GET    /v1/sql/tables        the tables and their columns
GET    /v1/sql/queries       the queries that run, and those that ran
GET    /v1/sql/queries/{id}  one of them, with its rows by store
DELETE /v1/sql/queries/{id}  ends it
POST   /v1/sql/token         a bearer token in place of user and password
GET    /v1/sql/status        whether this server is there

curl -s localhost:8081/v1/sql -H 'Content-Type: text/plain' -d 'SELECT count(*) FROM transactions'
";

/// `GET /`
pub(super) async fn home() -> Response {
    HOME.into_response()
}

/// `GET /v1/sql/status`
pub(super) async fn status(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!({ "server": "wardhouse", "version": env!("CARGO_PKG_VERSION"), "instance": crate::handle::instance(), "users": !shared.access.is_open() }))
}

/// `GET /v1/sql/tables`
pub(super) async fn tables(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let tables: Vec<Value> = shared
        .engine
        .tables()
        .iter()
        .map(|table| {
            let columns: Vec<Value> = table.columns.iter().map(|column| json!({ "name": column.name, "data_type": column.data_type, "nullable": column.nullable })).collect();
            json!({ "schema": table.schema, "name": table.name, "description": table.description, "is_view": table.is_view, "unique": table.unique, "columns": columns })
        })
        .collect();
    Json(json!({ "tables": tables }))
}

/// `POST /v1/sql/token`
pub(super) async fn token(State(shared): State<Arc<Shared>>, Extension(principal): Extension<Principal>) -> Result<Json<Value>, Fault> {
    let token = shared.access.issue(&principal).map_err(Fault::internal)?;
    Ok(Json(json!({ "token": token })))
}
