//! HTTP intake: `POST /v1/transactions` into `hospital-transactions`.
//!
//! `body` splits a request into rows, `rows` validates them, `lag` knows how far intake is behind, `answer` is what goes
//! back. What must stay true: a row is told as accepted only after the log holds its original bytes; a row that is
//! refused is told with every fault; no request holds more than the settings admit. A client that gets no answer, or 429
//! or 5xx, may send all again: rows with the same id and content are recognised by the scorer.

mod answer;
mod body;
mod lag;
mod rows;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::response::Response;
use axum::routing::post;
use tokio::sync::OnceCell;
use wh_eventlog::{Bytes, Log, Offset, Record};
use wh_schemas::Reaction;
use wh_schemas::topics::HOSPITAL_TRANSACTIONS;
use wh_schemas::validate::Reading;

use answer::Failure;
use lag::Lag;
use rows::Prepared;

/// What the intake takes.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Most bytes of one body.
    pub max_body_bytes: usize,
    /// Most rows of one body.
    pub max_rows: usize,
    /// Zone and labels for the validation.
    pub reading: Reading,
    /// Records of `hospital-transactions` that the group `intake` has not read, beyond which the answer is 429.
    pub max_lag_records: u64,
}

impl Default for HttpSettings {
    /// 8 MiB, 10,000 rows, a million records of lag.
    fn default() -> Self {
        HttpSettings { max_body_bytes: 8 * 1024 * 1024, max_rows: 10_000, reading: Reading::default(), max_lag_records: 1_000_000 }
    }
}

struct Intake {
    log: Arc<dyn Log>,
    settings: HttpSettings,
    lag: Lag,
    partitions: OnceCell<u32>,
}

/// The routes of the intake. Answers are JSON.
///
/// | status | when |
/// |---|---|
/// | 200, 207, 422 | all, some, none of the rows accepted: `{"accepted":1,"rejected":1,"results":[{"status":"accepted","index":0,"transaction_id":"T1","partition":0,"offset":17},{"status":"rejected","index":1,"faults":[{"field":"amount","code":"missing","message":"…"}]}]}` |
/// | 400, 413, 415 | no rows to be found in the body; more than the settings admit; neither JSON nor NDJSON |
/// | 429, 503 | the log is full or intake behind; the log is busy, or its producer had to be made anew: again after `Retry-After` seconds |
/// | 500 | the log cannot be written |
///
/// All but the first line answer `{"error":"…"}`.
pub fn router(log: Arc<dyn Log>, settings: HttpSettings) -> Router {
    let intake = Intake { log, settings, lag: Lag::default(), partitions: OnceCell::new() };
    Router::new().route("/v1/transactions", post(take)).with_state(Arc::new(intake))
}

async fn take(State(intake): State<Arc<Intake>>, mut request: Request) -> Result<Response, Failure> {
    let limit = intake.settings.max_body_bytes;
    // What can be refused without the body is refused before it is sent.
    let declared = body::declared(request.headers())?;
    let length = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit as u64) {
        return Err(Failure::too_large(format!("expected at most {limit} bytes")));
    }
    let partitions = intake.partitions.get_or_try_init(|| intake.log.partitions(HOSPITAL_TRANSACTIONS)).await.map_err(|e| Failure::of_log(&e))?;
    let unread = intake.lag.unread(&*intake.log, *partitions).await.map_err(|e| Failure::of_log(&e))?;
    if unread > intake.settings.max_lag_records {
        return Err(Failure::behind(unread));
    }
    DefaultBodyLimit::max(limit).apply(&mut request);
    let body = Bytes::from_request(request, &()).await.map_err(|rejection| Failure::of_body(rejection.status(), limit))?;
    // Some ten milliseconds for a large body: not on a thread that others wait for.
    let (prepare, partitions) = (Arc::clone(&intake), *partitions);
    let prepared = tokio::task::spawn_blocking(move || {
        let rows = body::split(&body, declared, prepare.settings.max_rows)?;
        Ok::<Prepared, Failure>(rows::prepare(&rows, &prepare.settings.reading, partitions))
    });
    let Prepared { verdicts, records } = prepared.await.map_err(|_| Failure::internal())??;
    let produced = records.into_iter().zip(0_u32..).map(|(records, partition)| produce(&*intake.log, partition, records));
    // All are awaited, so that nothing goes on behind an answer that says no.
    let offsets = futures::future::join_all(produced).await.into_iter().collect::<Result<Vec<Offset>, Reaction>>();
    let offsets = offsets.map_err(|e| Failure::of_log(&e))?;
    Ok(answer::of_rows(verdicts, &offsets))
}

async fn produce(log: &dyn Log, partition: u32, records: Vec<Record>) -> Result<Offset, Reaction> {
    if records.is_empty() {
        return Ok(0);
    }
    log.produce(HOSPITAL_TRANSACTIONS, partition, records).await
}
