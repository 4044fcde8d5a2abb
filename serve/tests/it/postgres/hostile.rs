//! What is sent by those who mean harm, or err greatly: it ends in an error or a bounded answer, and nobody else notices.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{connect, text, told};
use crate::served::Served;

/// Texts that mean something where they should not.
const TEXTS: [&str; 40] = [
    "'",
    "''",
    "\"",
    "\\",
    ";",
    "--",
    "/*",
    "*/",
    "$1",
    "$$",
    "$a$",
    "%",
    "_",
    "\u{0}x",
    "\u{202e}",
    "🦀",
    "' OR '1'='1",
    "'; DROP TABLE transactions; --",
    "\"; SELECT 1; --",
    "' UNION SELECT metadata FROM transactions --",
    "x' AND 1=(SELECT count(*) FROM transactions)--",
    "${jndi:ldap://x}",
    "{{7*7}}",
    "../../etc/passwd",
    "/etc/passwd",
    "file:///etc/passwd",
    "http://127.0.0.1/",
    "a\nb",
    "a\rb",
    "\t",
    "NULL",
    "true",
    "1e309",
    "-0",
    "9223372036854775808",
    "0x7fffffff",
    "ﷺ",
    "\u{feff}",
    "{\"$gt\":\"\"}",
    "[{}]",
];

/// Where they are put.
const FRAMES: [&str; 25] = [
    "SELECT * FROM transactions WHERE user_id = '{}'",
    "SELECT {} FROM transactions",
    "SELECT * FROM {}",
    "SELECT * FROM ledger.{}",
    "SELECT * FROM \"{}\"",
    "SELECT * FROM transactions ORDER BY {}",
    "SELECT * FROM transactions LIMIT {}",
    "SELECT metadata->>'{}' FROM transactions LIMIT 3",
    "SELECT metadata->{} FROM transactions LIMIT 3",
    "SELECT * FROM transactions WHERE description LIKE '{}'",
    "SELECT * FROM transactions WHERE description ~ '{}'",
    "SELECT * FROM transactions WHERE timestamp > '{}'",
    "SELECT * FROM transactions WHERE amount = {}",
    "SELECT '{}'::int",
    "SELECT CAST({} AS numeric(1,1))",
    "SET search_path = {}",
    "SET {} = 1",
    "SHOW {}",
    "DECLARE c CURSOR FOR {}",
    "FETCH {} FROM c",
    "COPY (SELECT {}) TO STDOUT",
    "COPY (SELECT 1) TO STDOUT WITH (FORMAT {})",
    "DEALLOCATE {}",
    "EXPLAIN {}",
    "{}",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_hostile_statements_leave_the_session_alive() {
    let served = Served::open().await;
    let client = connect(&served).await;
    let other = connect(&served).await;
    client.batch_execute("SET statement_timeout = '5s'").await.unwrap();
    let mut failed = 0;
    for (place, frame) in FRAMES.iter().enumerate() {
        for hostile in TEXTS {
            // A zero byte cannot be sent: it ends the message.
            let sql = frame.replace("{}", &hostile.replace('\0', ""));
            match client.simple_query(&sql).await {
                Ok(messages) => assert!(messages.len() < 1_000, "{sql}"),
                Err(error) => {
                    failed += 1;
                    // The client does not know COPY here.
                    if error.as_db_error().is_none() && sql.starts_with("COPY") {
                        continue;
                    }
                    let (code, message) = told(&error);
                    assert!(code != "XX000" && !message.contains("panic"), "{sql}: {code} {message}");
                }
            }
        }
        assert_eq!(text(&client, "SELECT 1").await, "1", "after {frame}");
        assert_eq!(text(&other, "SELECT 2").await, "2", "{place}");
    }
    assert!(failed > 500, "{failed}");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_deep_too_long_or_too_much_is_refused_in_time() {
    let served = Served::open().await;
    let client = connect(&served).await;
    client.batch_execute("SET statement_timeout = '500ms'").await.unwrap();
    for sql in [
        format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("SELECT {}", vec!["1"; 500_000].join("+")),
        format!("SELECT '{}'", "x".repeat(10 << 20)),
        format!("SELECT {}", (0..5_000).map(|i| format!("1 AS c{i}")).collect::<Vec<_>>().join(",")),
        format!("SELECT * FROM {}", (0..12).map(|i| format!("transactions t{i}")).collect::<Vec<_>>().join(",")),
        "SELECT count(*) FROM transactions a, transactions b, transactions c, transactions d, transactions e".to_owned(),
        "NOT ".repeat(50_000),
        format!("{}SELECT 1", "EXPLAIN ".repeat(10_000)),
    ] {
        let begun: String = sql.chars().take(40).collect();
        let ended = tokio::time::timeout(Duration::from_secs(20), client.query(&sql, &[])).await.expect("in time");
        assert!(ended.is_err(), "{begun}");
        assert_eq!(text(&client, "SELECT 1").await, "1", "{begun}");
    }
    served.until_idle().await;
    served.end().await;
}

/// Start, and what the server says until it is ready.
async fn started(served: &Served) -> TcpStream {
    let mut stream = TcpStream::connect(served.postgres()).await.unwrap();
    let start = b"\0\x03\0\0user\0eve\0\0";
    stream.write_i32(i32::try_from(start.len() + 4).unwrap()).await.unwrap();
    stream.write_all(start).await.unwrap();
    loop {
        let kind = stream.read_u8().await.unwrap();
        let length = stream.read_i32().await.unwrap();
        let mut body = vec![0; usize::try_from(length - 4).unwrap()];
        stream.read_exact(&mut body).await.unwrap();
        if kind == b'Z' {
            return stream;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_messages_disturb_nobody() {
    let served = Served::open().await;
    let client = connect(&served).await;
    let mut random = 7_u64;
    for round in 0..200 {
        // A linear congruential generator (Knuth, MMIX): the same bytes at each run.
        let bytes: Vec<u8> = (0..64)
            .map(|_| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                random.to_be_bytes()[0]
            })
            .collect();
        let mut stream = if round % 2 == 0 { started(&served).await } else { TcpStream::connect(served.postgres()).await.unwrap() };
        // Half of the messages begin as ones that there are.
        let kind = *b"QPBDECHSXp".get(round % 20).unwrap_or(&bytes[0]);
        if round % 2 == 0 {
            stream.write_all(&[kind, 0, 0, 0, 40]).await.unwrap();
        }
        stream.write_all(&bytes).await.unwrap();
        drop(stream);
    }
    assert_eq!(text(&client, "SELECT 1").await, "1");
    served.until_idle().await;
    served.end().await;
}
