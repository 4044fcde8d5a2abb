//! Values on their way out and in, rows in portions, COPY.

use std::pin::pin;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::{connect, text, texts};
use crate::served::{BEGIN, ENDLESS, ROWS, Served};

#[tokio::test(flavor = "multi_thread")]
async fn values_are_written_as_postgresql_writes_them() {
    let served = Served::open().await;
    let client = connect(&served).await;
    let row = texts(&client, "SELECT transaction_id, timestamp, amount, is_anomaly, description, counterparty_account, risk_score FROM transactions WHERE seq = 7").await;
    assert_eq!(row, [["t-007", "2026-03-01 00:00:00.000007+00", "10.07", "f", "NULL", "NULL", "7"]]);
    client.simple_query("SET TimeZone = 'Europe/Berlin'").await.unwrap();
    assert_eq!(text(&client, "SELECT timestamp FROM transactions WHERE seq = 0").await, "2026-03-01 01:00:00+01");
    for (sql, shown) in [
        ("SELECT -0.0::double", "-0"),
        ("SELECT 'NaN'::double", "NaN"),
        ("SELECT '1e20'::double", "1e+20"),
        ("SELECT CAST('0001-01-01 00:00:00' AS timestamp(6))", "0001-01-01 00:00:00"),
        ("SELECT CAST('9999-12-31 23:59:59' AS timestamp(6))", "9999-12-31 23:59:59"),
        ("SELECT ARRAY['a b', NULL, '', 'c']", "{\"a b\",NULL,\"\",c}"),
        ("SELECT date '2024-02-29'", "2024-02-29"),
        ("SELECT NULL", "NULL"),
        ("SELECT count(*) FROM transactions", "200"),
    ] {
        assert_eq!(text(&client, sql).await, shown, "{sql}");
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_and_rows_go_in_binary() {
    let served = Served::open().await;
    let client = connect(&served).await;
    let begin = DateTime::<Utc>::from_timestamp_micros(BEGIN).unwrap();
    let row = client
        .query_one("SELECT transaction_id, timestamp, is_anomaly, seq, risk_score, description FROM transactions WHERE seq = $1 AND timestamp >= $2", &[&8_i64, &begin])
        .await
        .unwrap();
    assert_eq!(row.get::<_, &str>(0), "t-008");
    assert_eq!(row.get::<_, DateTime<Utc>>(1), begin + Duration::from_micros(8));
    assert_eq!((row.get::<_, bool>(2), row.get::<_, i64>(3), row.get::<_, i32>(4)), (false, 8, 8));
    assert_eq!(row.get::<_, Option<&str>>(5), Some("Größe"));

    let statement = client.prepare("SELECT count(*) FROM transactions WHERE user_id = $1 AND risk_score < $2 AND is_anomaly = $3").await.unwrap();
    assert_eq!(statement.params(), [Type::TEXT, Type::INT4, Type::BOOL]);
    assert_eq!(statement.columns()[0].type_(), &Type::INT8);
    for user in ["u1", "u2", "nobody' OR '1'='1"] {
        let counted: i64 = client.query_one(&statement, &[&user, &100_i32, &false]).await.unwrap().get(0);
        assert_eq!(counted > 0, user.len() == 2, "{user}");
    }
    let none: Option<&str> = None;
    let counted: i64 = client.query_one("SELECT count(*) FROM transactions WHERE user_id = $1", &[&none]).await.unwrap().get(0);
    assert_eq!(counted, 0);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn arrays_are_parameters_too() {
    let served = Served::open().await;
    let client = connect(&served).await;
    let statement = client.prepare_typed("SELECT count(*) FROM transactions WHERE user_id = ANY($1)", &[Type::TEXT_ARRAY]).await.unwrap();
    let counted: i64 = client.query_one(&statement, &[&vec!["u1", "u3", "nobody"]]).await.unwrap().get(0);
    assert_eq!(counted, ROWS / 2);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_goes_on_where_it_stopped() {
    let served = Served::open().await;
    let mut client = connect(&served).await;
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("SELECT seq FROM transactions ORDER BY seq", &[]).await.unwrap();
    let mut seen = Vec::new();
    loop {
        let rows = transaction.query_portal(&portal, 60).await.unwrap();
        if rows.is_empty() {
            break;
        }
        assert!(rows.len() <= 60);
        seen.extend(rows.iter().map(|row| row.get::<_, i64>(0)));
        // Another statement in between changes nothing.
        assert_eq!(transaction.query_one("SELECT 1::bigint", &[]).await.unwrap().get::<_, i64>(0), 1);
    }
    assert_eq!(seen, (0..ROWS).collect::<Vec<_>>());
    // A portal over rows without end holds none of them.
    let endless = transaction.bind(ENDLESS, &[]).await.unwrap();
    assert_eq!(transaction.query_portal(&endless, 3).await.unwrap().len(), 3);
    transaction.commit().await.unwrap();
    drop(client);
    served.until_idle().await;
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cursors_are_read_in_portions_and_end_with_their_transaction() {
    let served = Served::open().await;
    let client = connect(&served).await;
    client.batch_execute("BEGIN; DECLARE c CURSOR FOR SELECT seq FROM transactions ORDER BY seq; DECLARE h CURSOR WITH HOLD FOR SELECT 7").await.unwrap();
    assert_eq!(texts(&client, "FETCH 2 FROM c").await, [["0"], ["1"]]);
    assert_eq!(texts(&client, "FETCH NEXT FROM c").await, [["2"]]);
    assert_eq!(i64::try_from(texts(&client, "FETCH ALL FROM c").await.len()).unwrap(), ROWS - 3);
    assert_eq!(texts(&client, "FETCH 5 FROM c").await, Vec::<Vec<String>>::new());
    let rows = client.query("FETCH 1 FROM h", &[]).await.unwrap();
    assert_eq!(rows.len(), 1);
    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!(super::code(&client, "FETCH 1 FROM c").await, "34000");
    client.batch_execute("FETCH 1 FROM h; CLOSE h").await.unwrap();
    assert_eq!(super::code(&client, "CLOSE h").await, "34000");
    served.end().await;
}

async fn copied(client: &Client, sql: &str) -> Vec<u8> {
    let mut stream = pin!(client.copy_out(sql).await.unwrap());
    let mut all = Vec::new();
    while let Some(bytes) = stream.try_next().await.unwrap() {
        all.extend_from_slice(&bytes);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_writes_all_rows_in_each_format() {
    let served = Served::open().await;
    let client = connect(&served).await;
    let of = |format: &str| format!("COPY (SELECT transaction_id, amount, description FROM transactions ORDER BY seq) TO STDOUT {format}");
    let text = String::from_utf8(copied(&client, &of("")).await).unwrap();
    assert!(text.starts_with("t-000\t10.00\tGröße\nt-001\t10.01\t\\N\n"), "{text}");
    assert_eq!(i64::try_from(text.lines().count()).unwrap(), ROWS);
    let csv = String::from_utf8(copied(&client, &of("WITH (FORMAT csv, HEADER true)")).await).unwrap();
    assert!(csv.starts_with("transaction_id,amount,description\nt-000,10.00,Größe\nt-001,10.01,\n"), "{csv}");
    let binary = copied(&client, &of("WITH (FORMAT binary)")).await;
    assert!(binary.starts_with(b"PGCOPY\n\xff\r\n\0") && binary.ends_with(&[0xff, 0xff]));
    assert_eq!(super::code(&client, "COPY transactions FROM STDIN").await, "25006");
    assert_eq!(super::text(&client, "SELECT 1").await, "1");
    served.end().await;
}
