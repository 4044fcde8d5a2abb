//! SQL over HTTP, by a plain client and by bare bytes.

use std::time::Duration;

use arrow::buffer::Buffer;
use arrow::ipc::reader::StreamDecoder;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::served::{ENDLESS, ROWS, Served};

/// A query that fails at its last rows.
const FAILS_LATE: &str = "SELECT 1 / (value - 3000000) AS x FROM generate_series(1, 3000001)";

fn url(served: &Served, path: &str) -> String {
    format!("http://{}{path}", served.http())
}

fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

fn posted(served: &Served, body: &Value) -> RequestBuilder {
    client().post(url(served, "/v1/sql")).header(CONTENT_TYPE, "application/json").body(body.to_string())
}

async fn json_of(response: Response) -> Value {
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

/// Status and answer.
async fn asked(served: &Served, body: &Value) -> (u16, Value) {
    let response = posted(served, body).send().await.unwrap();
    (response.status().as_u16(), json_of(response).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn json_has_columns_and_rows_with_all_their_digits() {
    let served = Served::open().await;
    let sql = "SELECT transaction_id, amount, timestamp, description FROM transactions WHERE user_id = $1 AND amount > $2 ORDER BY 1 LIMIT 2";
    let (status, answer) = asked(&served, &json!({ "sql": sql, "parameters": ["u1", 10.5] })).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["columns"][1], json!({ "name": "amount", "type": "decimal(15,2)" }));
    assert_eq!(answer["rows"][0], json!(["t-053", 10.53, "2026-03-01T00:00:00.000053Z", null]));
    assert_eq!((answer["row_count"].as_u64(), answer["notices"].as_array().map(Vec::len)), (Some(2), Some(0)));
    assert!(answer["query_id"].as_u64().unwrap() > 0 && answer["elapsed_ms"].as_f64().unwrap() > 0.0);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_is_what_is_asked_for() {
    let served = Served::open().await;
    let sql = "SELECT transaction_id AS id, amount FROM transactions ORDER BY 1";
    let plain = |accept: &'static str| client().post(url(&served, "/v1/sql")).header(CONTENT_TYPE, "text/plain").header(ACCEPT, accept).body(sql).send();
    let csv = plain("text/csv").await.unwrap().text().await.unwrap();
    assert!(csv.starts_with("id,amount\nt-000,10.00\n") && i64::try_from(csv.lines().count()).unwrap() == ROWS + 1, "{csv}");
    let ndjson = plain("application/x-ndjson").await.unwrap().text().await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(ndjson.lines().next().unwrap()).unwrap(), json!({ "id": "t-000", "amount": 10.0 }));
    let response = plain("application/vnd.apache.arrow.stream").await.unwrap();
    assert!(response.headers().contains_key("x-wardhouse-query-id"));
    let mut bytes = Buffer::from(response.bytes().await.unwrap());
    let mut decoder = StreamDecoder::new();
    let mut rows = 0;
    while let Some(batch) = decoder.decode(&mut bytes).unwrap() {
        rows += batch.num_rows();
    }
    assert_eq!(i64::try_from(rows).unwrap(), ROWS);
    assert_eq!(plain("image/png").await.unwrap().status().as_u16(), 406);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_by_status_place_and_hint() {
    let served = Served::open().await;
    for (body, status, sqlstate) in [
        (json!({ "sql": "SELECT\n nope FROM transactions" }), 400, "42703"),
        (json!({ "sql": "DELETE FROM transactions" }), 403, "25006"),
        (json!({ "sql": "SELECT 1", "parameters": [1] }), 400, "07001"),
        (json!({ "sql": "SELECT 1", "settings": { "nonsense": 1 } }), 400, "42704"),
        (json!({ "sql": "DECLARE c CURSOR FOR SELECT 1" }), 400, "0A000"),
        (json!({ "sql": "PREPARE p AS SELECT 1" }), 400, "0A000"),
        (json!({ "query": "SELECT 1" }), 400, "08P01"),
        (json!({ "sql": "SELECT amount / 0 FROM transactions" }), 400, "22012"),
        (json!({ "sql": ENDLESS.replace("value", "sum(value)"), "settings": { "statement_timeout": "1s" } }), 200, "57014"),
        (json!({ "sql": "SELECT * FROM documents.transaction_metadata" }), 503, "58030"),
    ] {
        let (told, answer) = asked(&served, &body).await;
        assert_eq!((told, answer["error"]["sqlstate"].as_str()), (status, Some(sqlstate)), "{body} {answer}");
    }
    let (_, answer) = asked(&served, &json!({ "sql": "SELECT\n nope FROM transactions" })).await;
    assert_eq!((answer["error"]["line"].as_u64(), answer["error"]["column"].as_u64(), answer["error"]["position"].as_u64()), (Some(2), Some(2), Some(9)), "{answer}");
    let response = client().get(url(&served, "/v1/nothing")).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 404);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_refused() {
    let served = Served::open().await;
    let mut stream = TcpStream::connect(served.http()).await.unwrap();
    stream.write_all(b"POST /v1/sql HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 11000000\r\n\r\n").await.unwrap();
    let mut begin = [0; 12];
    stream.read_exact(&mut begin).await.unwrap();
    assert_eq!(&begin, b"HTTP/1.1 413");
    let long = format!("SELECT '{}'", "x".repeat(9 << 20));
    let response = client().post(url(&served, "/v1/sql")).header(CONTENT_TYPE, "text/plain").body(long).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 413, "a statement may have 1 MiB");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sends_too_much_is_answered_when_it_is_sent() {
    let served = Served::with_users().await;
    let body = vec![b'x'; 30 << 20];
    for (known, status) in [("Authorization: Basic YW5uOmFubidzIHBhc3N3b3Jk\r\n", "413"), ("", "401")] {
        let mut stream = TcpStream::connect(served.http()).await.unwrap();
        for _ in 0..2 {
            let head = format!("POST /v1/sql HTTP/1.1\r\nHost: localhost\r\n{known}Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&body).await.expect("the connection was closed on what it had not read");
            let mut answer = Vec::new();
            while !answer.ends_with(b"}}") {
                assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "{}", String::from_utf8_lossy(&answer));
            }
            let answer = String::from_utf8(answer).unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains("sqlstate"), "{answer}");
        }
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_before_the_first_row_is_told_by_the_status_where_the_form_cannot() {
    let served = Served::open().await;
    for format in ["csv", "arrow"] {
        let endless = json!({ "sql": ENDLESS.replace("value", "sum(value)"), "format": format, "settings": { "statement_timeout": "1s" } });
        let (status, answer) = asked(&served, &endless).await;
        assert_eq!((status, answer["error"]["sqlstate"].as_str()), (504, Some("57014")), "{answer}");
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_half_way_is_never_taken_for_the_whole() {
    let served = Served::open().await;
    let (status, answer) = asked(&served, &json!({ "sql": FAILS_LATE })).await;
    assert_eq!((status, answer["error"]["sqlstate"].as_str()), (200, Some("22012")), "{}", answer["error"]);
    assert!(answer["row_count"].as_u64().unwrap() > 0);
    let lines = posted(&served, &json!({ "sql": FAILS_LATE, "format": "ndjson" })).send().await.unwrap().text().await.unwrap();
    let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(last["error"]["sqlstate"], "22012");
    for format in ["csv", "arrow"] {
        let response = posted(&served, &json!({ "sql": FAILS_LATE, "format": format })).send().await.unwrap();
        let id = response.headers()["x-wardhouse-query-id"].to_str().unwrap().to_owned();
        assert!(response.bytes().await.is_err(), "{format}");
        let told = json_of(client().get(url(&served, &format!("/v1/sql/queries/{id}"))).send().await.unwrap()).await;
        assert_eq!(told["state"], "failed", "{told}");
        assert!(told["error"].as_str().unwrap().contains("zero"), "{told}");
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_are_sent_to_who_takes_them() {
    let served = Served::open().await;
    let body = "SELECT 1 AS a";
    for (te, expected) in [("TE: trailers\r\n", true), ("", false)] {
        let mut stream = TcpStream::connect(served.http()).await.unwrap();
        let head = format!("POST /v1/sql HTTP/1.1\r\nHost: localhost\r\n{te}Connection: close\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(Duration::from_secs(10), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        let end = answer.rsplit_once("\r\n0\r\n").unwrap().1;
        assert_eq!(end.to_ascii_lowercase().contains("x-wardhouse-sqlstate: 00000"), expected, "{answer}");
        assert_eq!(end.to_ascii_lowercase().contains("x-wardhouse-rows: 1"), expected, "{answer}");
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_query_is_seen_and_ended() {
    let served = Served::open().await;
    let mut response = posted(&served, &json!({ "sql": ENDLESS, "format": "csv" })).send().await.unwrap();
    let id: u64 = response.headers()["x-wardhouse-query-id"].to_str().unwrap().parse().unwrap();
    let one = url(&served, &format!("/v1/sql/queries/{id}"));
    let told = json_of(client().get(&one).send().await.unwrap()).await;
    assert_eq!((told["state"].as_str(), told["way"].as_str(), told["sql"].as_str()), (Some("running"), Some("http"), Some(ENDLESS)), "{told}");
    let listed = json_of(client().get(url(&served, "/v1/sql/queries")).send().await.unwrap()).await;
    assert_eq!(listed["running"].as_array().unwrap().len(), 1);
    let ended = json_of(client().delete(&one).send().await.unwrap()).await;
    assert_eq!(ended["cancelled"], true);
    let cut = tokio::time::timeout(Duration::from_secs(10), async {
        while response.chunk().await?.is_some() {}
        Ok::<_, reqwest::Error>(())
    })
    .await
    .unwrap();
    assert!(cut.is_err());
    served.until_idle().await;
    let told = json_of(client().get(&one).send().await.unwrap()).await;
    assert_eq!(told["state"], "cancelled", "{told}");
    assert_eq!(client().delete(url(&served, "/v1/sql/queries/123456")).send().await.unwrap().status().as_u16(), 404);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_ends_its_query() {
    let served = Served::open().await;
    let mut response = posted(&served, &json!({ "sql": ENDLESS, "format": "ndjson" })).send().await.unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    assert_eq!(served.engine.queries().running().len(), 1);
    drop(response);
    served.until_idle().await;
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_hold_for_one_request_and_are_told_for_the_next() {
    let served = Served::open().await;
    let (_, answer) = asked(&served, &json!({ "sql": "SHOW wardhouse.read", "settings": { "wardhouse.read": "cut" } })).await;
    assert_eq!(answer["rows"][0].as_array().unwrap().last().unwrap(), "cut");
    let response = posted(&served, &json!({ "sql": "SET wardhouse.read = 'cut'" })).send().await.unwrap();
    let set: Value = serde_json::from_str(response.headers()["x-wardhouse-settings"].to_str().unwrap()).unwrap();
    assert_eq!(set, json!({ "wardhouse.read": "cut" }));
    let (_, answer) = asked(&served, &json!({ "sql": "SHOW wardhouse.read" })).await;
    assert_eq!(answer["rows"][0].as_array().unwrap().last().unwrap(), "latest");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_elsewhere_are_not_answered() {
    let served = Served::open().await;
    let ask = |host: &'static str, origin: Option<&'static str>| {
        let request = client().post(url(&served, "/v1/sql")).header(CONTENT_TYPE, "text/plain").header("host", host).body("SELECT 1");
        match origin {
            Some(origin) => request.header("origin", origin),
            None => request,
        }
        .send()
    };
    assert_eq!(ask("localhost:8081", None).await.unwrap().status().as_u16(), 200);
    assert_eq!(ask("localhost:8081", Some("http://localhost:8081")).await.unwrap().status().as_u16(), 200);
    let refused = ask("localhost:8081", Some("http://evil.example")).await.unwrap();
    assert_eq!(refused.status().as_u16(), 403);
    assert!(!refused.headers().contains_key("access-control-allow-origin"));
    assert_eq!(ask("evil.example", None).await.unwrap().status().as_u16(), 403);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_is_known_is_answered_and_ends_only_what_is_theirs() {
    let served = Served::with_users().await;
    let as_user = |request: RequestBuilder, name: &str| request.basic_auth(name, Some(format!("{name}'s password")));
    let refused = posted(&served, &json!({ "sql": "SELECT 1" })).send().await.unwrap();
    assert_eq!(refused.status().as_u16(), 401);
    assert!(refused.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic"));
    let wrong = posted(&served, &json!({ "sql": "SELECT 1" })).basic_auth("ann", Some("x")).send().await.unwrap();
    assert_eq!(wrong.status().as_u16(), 401);
    assert_eq!(client().get(url(&served, "/v1/sql/status")).send().await.unwrap().status().as_u16(), 200);

    let token = json_of(as_user(client().post(url(&served, "/v1/sql/token")), "eve").send().await.unwrap()).await["token"].as_str().unwrap().to_owned();
    let response = posted(&served, &json!({ "sql": ENDLESS, "format": "csv" })).bearer_auth(&token).send().await.unwrap();
    let id = response.headers()["x-wardhouse-query-id"].to_str().unwrap().to_owned();
    let one = url(&served, &format!("/v1/sql/queries/{id}"));
    let seen = json_of(as_user(client().get(&one), "ann").send().await.unwrap()).await;
    assert_eq!((&seen["principal"], &seen["sql"]), (&json!("eve"), &Value::Null));
    assert_eq!(as_user(client().delete(&one), "ann").send().await.unwrap().status().as_u16(), 403);
    assert_eq!(served.engine.queries().running().len(), 1);
    let ended = as_user(client().delete(&one), "eve").send().await.unwrap();
    assert_eq!(ended.status().as_u16(), 200);
    served.until_idle().await;

    let limited = json_of(as_user(posted(&served, &json!({ "sql": "SELECT transaction_id FROM transactions" })), "ann").send().await.unwrap()).await;
    assert_eq!((limited["row_count"].as_u64(), limited["error"]["sqlstate"].as_str()), (Some(50), Some("54000")), "{limited}");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_home_names_what_there_is_and_the_status_this_process() {
    let served = Served::open().await;
    let home = client().get(url(&served, "/")).send().await.unwrap().text().await.unwrap();
    assert!(home.contains("/v1/sql/queries"), "{home}");
    let status = json_of(client().get(url(&served, "/v1/sql/status")).send().await.unwrap()).await;
    assert_eq!((status["instance"].as_str(), &status["users"]), (Some(wh_serve::instance()), &json!(false)));
    let tables = json_of(client().get(url(&served, "/v1/sql/tables")).send().await.unwrap()).await;
    let transactions = tables["tables"].as_array().unwrap().iter().find(|table| table["name"] == "transactions").unwrap();
    assert_eq!(transactions["unique"], json!(["transaction_id"]));
    served.end().await;
}
