//! What a client sees, over a real connection and a real embedded log.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wh_eventlog::embedded::{EmbeddedLog, Settings};
use wh_eventlog::{Producer, Reader};
use wh_schemas::{ids, topics};

use super::*;
use crate::import::refusing::RefusingLog;

const NDJSON: &str = "Content-Type: application/x-ndjson\r\n";
const JSON: &str = "Content-Type: application/json\r\n";

async fn log(folder: &Path) -> Arc<EmbeddedLog> {
    let log = EmbeddedLog::open(folder, Settings::default()).unwrap();
    log.ensure_topics(&topics::ALL, 3).await.unwrap();
    log
}

fn small() -> HttpSettings {
    HttpSettings { max_body_bytes: 2_000, max_rows: 5, ..HttpSettings::default() }
}

async fn serve(log: Arc<dyn Log>, settings: HttpSettings) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router(log, settings)).await.unwrap() });
    address
}

struct Response {
    status: u16,
    head: String,
    body: Value,
}

async fn send(address: SocketAddr, request: String) -> Response {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        response
    };
    let response = tokio::time::timeout(Duration::from_secs(60), exchange).await.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let head = head.to_ascii_lowercase();
    Response { status: head.split(' ').nth(1).unwrap().parse().unwrap(), body: serde_json::from_str(body).unwrap(), head }
}

async fn post_rows(address: SocketAddr, headers: &str, body: &str) -> Response {
    let head = format!("POST /v1/transactions HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    send(address, head + body).await
}

fn row(i: u64) -> String {
    format!(r#"{{ "transaction_id":"T{i}","timestamp":"2026-03-01T08:30:00Z","user_id":"U{i}","account_id":"A1","department":"IT","transaction_type":"billing","amount":{i}.50 }}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_row_is_in_the_log_byte_by_byte_where_the_answer_says() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path()).await;
    let address = serve(log.clone(), small()).await;
    for (headers, body) in [("", row(1)), (JSON, format!("[{},\n {},{}]", row(2), row(3), row(4))), (NDJSON, format!("{}\r\n\n{}\n", row(5), row(6)))] {
        let response = post_rows(address, headers, &body).await;
        let results = response.body["results"].as_array().unwrap();
        assert_eq!((response.status, &response.body["accepted"], &response.body["rejected"]), (200, &json!(results.len()), &json!(0)), "{}", response.body);
        for (index, result) in results.iter().enumerate() {
            let id = result["transaction_id"].as_str().unwrap();
            let number: u64 = id[1..].parse().unwrap();
            assert_eq!((&result["status"], &result["index"]), (&json!("accepted"), &json!(index)));
            let partition = ids::partition_of(format!("U{number}").as_bytes(), 3);
            assert_eq!(result["partition"], partition);
            let offset = result["offset"].as_u64().unwrap();
            let record = log.read(topics::HOSPITAL_TRANSACTIONS, partition, offset, 1).await.unwrap().remove(0);
            assert_eq!((record.offset, record.key.as_deref()), (offset, Some(id.as_bytes())));
            assert_eq!(record.value, row(number));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_has_its_own_result() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path()).await;
    let address = serve(log.clone(), small()).await;
    let bad = row(2).replace("2.50", "-2.505");
    let mixed = post_rows(address, NDJSON, &format!("{}\n{bad}\noops\n", row(1))).await;
    assert_eq!((mixed.status, &mixed.body["accepted"], &mixed.body["rejected"]), (207, &json!(1), &json!(2)), "{}", mixed.body);
    let results = &mixed.body["results"];
    assert_eq!((&results[0]["status"], &results[1]["status"]), (&json!("accepted"), &json!("rejected")));
    assert_eq!((&results[1]["index"], &results[1]["faults"][0]["field"], &results[1]["faults"][0]["code"]), (&json!(1), &json!("amount"), &json!("too_many_places")));
    assert_eq!(results[2]["faults"][0]["code"], "invalid_json");
    let none = post_rows(address, JSON, &format!("[{bad},7]")).await;
    assert_eq!((none.status, &none.body["accepted"], &none.body["results"][1]["faults"][0]["code"]), (422, &json!(0), &json!("not_an_object")));
    let mut held = 0;
    for partition in 0..3 {
        held += log.bounds(topics::HOSPITAL_TRANSACTIONS, partition).await.unwrap().end;
    }
    assert_eq!(held, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_cannot_be_taken_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let address = serve(log(folder.path()).await, small()).await;
    let large = row(1).replace("billing", &"x".repeat(2_000));
    for (headers, body, status, word) in [
        (JSON, "{\"a\":", 400, "expected one JSON object"),
        (JSON, "", 400, "empty body"),
        (JSON, "[1,2,3,4,5,6]", 413, "at most 5 transactions"),
        (JSON, large.as_str(), 413, "at most 2000 bytes"),
        ("Content-Type: text/csv\r\n", "a,b", 415, "application/x-ndjson"),
        ("Content-Encoding: gzip\r\n", "xx", 415, "Content-Encoding"),
    ] {
        let response = post_rows(address, headers, body).await;
        assert_eq!(response.status, status, "{}", response.body);
        assert!(response.body["error"].as_str().unwrap().contains(word), "{}", response.body);
    }
    let chunked = format!("POST /v1/transactions HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    assert_eq!(send(address, chunked).await.status, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_intake_is_behind_the_client_is_told_to_wait() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path()).await;
    for i in 0..4 {
        log.produce(topics::HOSPITAL_TRANSACTIONS, 0, vec![Record::new(format!("T{i}"), row(i))]).await.unwrap();
    }
    let behind = serve(log.clone(), HttpSettings { max_lag_records: 3, ..small() }).await;
    let response = post_rows(behind, JSON, &row(9)).await;
    assert_eq!(response.status, 429);
    assert!(response.head.contains("\r\nretry-after: 5"), "{}", response.head);
    let near = serve(log.clone(), HttpSettings { max_lag_records: 4, ..small() }).await;
    assert_eq!(post_rows(near, JSON, &row(9)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_refuses_is_told_by_what_the_client_can_do() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path()).await;
    for (reaction, status, retry_after) in [
        (Reaction::Transient { message: "full".into(), retry_after: Some(Duration::from_millis(1_200)) }, 429, Some("2")),
        (Reaction::transient("busy"), 503, Some("1")),
        (Reaction::fatal(format!("/secret/place: {}", wh_eventlog::incidents::PRODUCER_ENDED)), 503, Some("1")),
        (Reaction::fatal("no space left for /secret/place"), 500, None),
    ] {
        let refusing = RefusingLog::new(&log, move |_, _| Some(reaction.clone()));
        let address = serve(Arc::new(refusing), small()).await;
        let response = post_rows(address, JSON, &row(1)).await;
        assert_eq!(response.status, status, "{}", response.body);
        let told = response.head.lines().find_map(|line| line.strip_prefix("retry-after: "));
        assert_eq!(told, retry_after);
        assert!(!response.body["error"].as_str().unwrap().contains("secret"));
    }
}
