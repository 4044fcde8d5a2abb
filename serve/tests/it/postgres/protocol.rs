//! What a connection is told besides rows: settings, transactions, failures, cancelling.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::types::Type;
use tokio_postgres::{Config, NoTls, SimpleQueryMessage};

use super::{code, connect, connect_as, position, text, texts, told};
use crate::served::{ENDLESS, Served};

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_over_loopback_is_trusted_and_told_what_the_server_is() {
    let served = Served::open().await;
    let client = connect_as(&served, "somebody", None).await.unwrap();
    assert!(text(&client, "SHOW server_version").await.starts_with("16"));
    assert_eq!(text(&client, "SHOW session_authorization").await, "somebody");
    assert_eq!(text(&client, "SHOW application_name").await, "test");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sql_prepares_is_executed_and_let_go_of() {
    let served = Served::open().await;
    let client = connect(&served).await;
    client.batch_execute("PREPARE p (bigint) AS SELECT $1 + 1 AS more").await.unwrap();
    assert_eq!(texts(&client, "EXECUTE p (41); EXECUTE p (-1)").await, [["42"], ["0"]]);
    let row = client.query_one("EXECUTE p (1)", &[]).await.unwrap();
    assert_eq!((row.columns()[0].name(), row.get::<_, i64>(0)), ("more", 2));
    assert_eq!(code(&client, "PREPARE p AS SELECT 1").await, "42P05");
    assert_eq!(code(&client, "EXECUTE p (9223372036854775807)").await, "22003");
    client.batch_execute("DEALLOCATE p").await.unwrap();
    for gone in ["EXECUTE p (1)", "DEALLOCATE p"] {
        assert_eq!(code(&client, gone).await, "26000", "{gone}");
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoding_is_known_by_its_letters() {
    let served = Served::open().await;
    for (said, known) in [("'utf-8'", true), ("Unicode", true), ("'latin1'", false)] {
        let stream = TcpStream::connect(served.postgres()).await.unwrap();
        let connected = Config::new().user("ann").options(format!("-c client_encoding={said}")).connect_raw(stream, NoTls).await;
        assert_eq!(connected.is_ok(), known, "{said}");
    }
    served.end().await;
}

/// A message of a client: its kind and its body.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &i32::try_from(body.len() + 4).unwrap().to_be_bytes(), body].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_is_described_as_the_portal_that_it_is() {
    let served = Served::open().await;
    let mut stream = TcpStream::connect(served.postgres()).await.unwrap();
    let start = b"\0\x03\0\0user\0ann\0\0";
    stream.write_i32(i32::try_from(start.len() + 4).unwrap()).await.unwrap();
    stream.write_all(start).await.unwrap();
    stream.write_all(&message(b'Q', b"BEGIN; DECLARE \"all of them\" CURSOR FOR SELECT 1 AS one\0")).await.unwrap();
    for name in ["all of them", "none of them"] {
        stream.write_all(&message(b'D', format!("P{name}\0").as_bytes())).await.unwrap();
        stream.write_all(&message(b'S', b"")).await.unwrap();
    }
    let mut kinds = Vec::new();
    // Ready after the start, the statements, and each description.
    while kinds.iter().filter(|kind| **kind == b'Z').count() < 4 {
        let kind = stream.read_u8().await.unwrap();
        let length = usize::try_from(stream.read_i32().await.unwrap() - 4).unwrap();
        stream.read_exact(&mut vec![0; length]).await.unwrap();
        kinds.push(kind);
    }
    let ready: Vec<&[u8]> = kinds.split(|kind| *kind == b'Z').skip(2).collect();
    assert_eq!(ready, [&b"T"[..], b"E", b""], "{kinds:?}");
    drop(stream);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_that_are_numbers_of_objects_are_told_as_such() {
    let served = Served::open().await;
    let client = connect(&served).await;
    let statement = client.prepare("SELECT typname FROM pg_catalog.pg_type WHERE oid = $1::oid AND typlen < $2").await.unwrap();
    assert_eq!(statement.params()[0], Type::OID);
    assert_eq!(client.query_one(&statement, &[&23_u32, &8_i16]).await.unwrap().get::<_, &str>(0), "int4");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_statements_come_in_one_message_and_end_with_the_first_that_fails() {
    let served = Served::open().await;
    let client = connect(&served).await;
    let messages = client.simple_query("SELECT 1; ; -- nothing\n SELECT 'a;b' AS x; SET application_name = 'y'").await.unwrap();
    let rows = messages.iter().filter(|message| matches!(message, SimpleQueryMessage::Row(_))).count();
    assert_eq!(rows, 2);
    assert_eq!(text(&client, "SHOW application_name").await, "y");
    let error = client.simple_query("SELECT 1; SELECT nothing_here; SET application_name = 'z'").await.unwrap_err();
    assert_eq!((told(&error).0.as_str(), position(&error)), ("42703", Some(18)));
    assert_eq!(text(&client, "SHOW application_name").await, "y");
    assert_eq!(texts(&client, " ; ").await, Vec::<Vec<String>>::new());
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_have_their_code_place_and_hint() {
    let served = Served::open().await;
    let client = connect(&served).await;
    for (sql, expected, place) in [
        ("SELECT * FROM trasactions", "42P01", Some(15)),
        ("SELECT usr_id FROM transactions", "42703", Some(8)),
        ("SELEC 1", "42601", Some(1)),
        ("SELECT 1 FROM", "42601", None),
        ("DELETE FROM transactions", "25006", None),
        ("SET no_such_setting = 1", "42704", None),
    ] {
        let error = client.simple_query(sql).await.unwrap_err();
        assert_eq!(told(&error).0, expected, "{sql}");
        if place.is_some() {
            assert_eq!(position(&error), place, "{sql}");
        }
        // The extended protocol says the same.
        assert_eq!(told(&client.query(sql, &[]).await.unwrap_err()).0, expected, "{sql}");
    }
    let error = client.simple_query("SELECT * FROM ledger.transaction").await.unwrap_err();
    assert!(told(&error).1.contains("ledger.transactions"), "{error:?}");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_failed_takes_nothing_but_its_end() {
    let served = Served::open().await;
    let mut client = connect(&served).await;
    client.batch_execute("BEGIN").await.unwrap();
    assert_eq!(code(&client, "SELECT nothing_here").await, "42703");
    assert_eq!(code(&client, "SELECT 1").await, "25P02");
    client.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(text(&client, "SELECT 1").await, "1");
    client.batch_execute("BEGIN; SAVEPOINT a").await.unwrap();
    assert_eq!(code(&client, "SELECT nothing_here").await, "42703");
    client.batch_execute("ROLLBACK TO SAVEPOINT a").await.unwrap();
    assert_eq!(text(&client, "SELECT 1").await, "1");
    client.batch_execute("COMMIT; DISCARD ALL").await.unwrap();
    assert_eq!(code(&client, "SAVEPOINT a").await, "25P01");
    let transaction = client.transaction().await.unwrap();
    assert_eq!(transaction.query("SELECT seq FROM transactions", &[]).await.unwrap().len(), 200);
    transaction.rollback().await.unwrap();
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_cancelled_within_a_second_and_the_session_lives_on() {
    let served = Served::open().await;
    let client = connect(&served).await;
    let token = client.cancel_token();
    let address = served.postgres();
    let endless = client.simple_query("SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b");
    let cancel = async {
        while served.engine.queries().running().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let asked = Instant::now();
        token.cancel_query_raw(TcpStream::connect(address).await.unwrap(), NoTls).await.unwrap();
        asked
    };
    let (ended, asked) = tokio::join!(endless, cancel);
    assert!(asked.elapsed() < Duration::from_secs(1));
    assert_eq!(told(&ended.unwrap_err()).0, "57014");
    assert_eq!(text(&client, "SELECT 1").await, "1");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_cancels_the_queries_of_others() {
    let served = Served::open().await;
    let client = connect(&served).await;
    // Numbers that are right, and a key that is wrong.
    let request = |id: i32| [&16_i32.to_be_bytes()[..], &80_877_102_i32.to_be_bytes(), &id.to_be_bytes(), &[0; 4]].concat();
    let slow = client.simple_query("SELECT count(*) FROM generate_series(1, 3000) a, generate_series(1, 3000) b");
    let forged = async {
        for id in 1..20 {
            TcpStream::connect(served.postgres()).await.unwrap().write_all(&request(id)).await.unwrap();
        }
    };
    let (ended, ()) = tokio::join!(slow, forged);
    assert!(ended.is_ok(), "{ended:?}");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_runs_no_longer_than_it_may() {
    let served = Served::open().await;
    let client = connect(&served).await;
    client.batch_execute("SET statement_timeout = '100ms'").await.unwrap();
    assert_eq!(code(&client, "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b").await, "57014");
    served.until_idle().await;
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_ends_its_query() {
    let served = Served::open().await;
    let stream = TcpStream::connect(served.postgres()).await.unwrap();
    let (client, connection) = Config::new().user("ann").connect_raw(stream, NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let asked = tokio::spawn(async move { client.simple_query(ENDLESS).await.map(|messages| messages.len()) });
    while served.engine.queries().running().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    connection.abort();
    assert!(asked.await.unwrap().is_err());
    served.until_idle().await;
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prepared_statements_are_let_go_of() {
    let served = Served::open().await;
    let client = connect(&served).await;
    for round in 0..1_200 {
        let statement = client.prepare(&format!("SELECT {round}")).await.unwrap();
        assert_eq!(client.query_one(&statement, &[]).await.unwrap().get::<_, i64>(0), round);
    }
    client.batch_execute("DEALLOCATE ALL").await.unwrap();
    assert_eq!(code(&client, "DEALLOCATE nothing").await, "26000");
    served.end().await;
}
