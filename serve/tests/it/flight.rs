//! Flight SQL, by the client of the library.

use std::collections::HashMap;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Int64Type, Schema};
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{CommandGetDbSchemas, CommandGetPrimaryKeys, CommandGetTables, CommandGetXdbcTypeInfo, CommandStatementQuery, ProstMessageExt, SqlInfo};
use arrow_flight::{Action, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightDescriptor, FlightInfo, IpcMessage};
use futures::{StreamExt, TryStreamExt};
use prost::Message;
use std::sync::Arc;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::served::{ENDLESS, ROWS, Served};

type Client = FlightSqlServiceClient<Channel>;

async fn client(served: &Served) -> Client {
    let channel = Channel::from_shared(format!("http://{}", served.flight())).unwrap().connect().await.unwrap();
    FlightSqlServiceClient::new(channel)
}

async fn rows(client: &mut Client, info: FlightInfo) -> Vec<RecordBatch> {
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    client.do_get(ticket).await.unwrap().try_collect().await.unwrap()
}

async fn asked(client: &mut Client, sql: &str) -> Vec<RecordBatch> {
    let info = client.execute(sql.to_owned(), None).await.unwrap();
    rows(client, info).await
}

/// One column of texts.
async fn texts(client: &mut Client, sql: &str) -> Vec<String> {
    asked(client, sql).await.iter().flat_map(|batch| batch.column(0).as_string::<i32>().iter().map(|text| text.unwrap_or("NULL").to_owned()).collect::<Vec<_>>()).collect()
}

fn status(error: FlightError) -> Status {
    match error {
        FlightError::Tonic(status) => *status,
        other => panic!("{other}"),
    }
}

async fn refused(client: &mut Client, sql: &str) -> Status {
    match client.execute(sql.to_owned(), None).await {
        Err(error) => status(error),
        Ok(info) => {
            let ticket = info.endpoint[0].ticket.clone().unwrap();
            let outcome: Result<Vec<RecordBatch>, FlightError> = match client.do_get(ticket).await {
                Ok(stream) => stream.try_collect().await,
                Err(error) => Err(error),
            };
            status(outcome.expect_err(sql))
        }
    }
}

async fn act<M: Message + Default>(client: &mut Client, name: &str, body: Vec<u8>) -> M {
    let answer = client.do_action(Action::new(name, body)).await.unwrap().message().await.unwrap().unwrap();
    M::decode(answer.body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_gives_its_schema_and_then_its_rows() {
    let served = Served::open().await;
    let mut client = client(&served).await;
    let info = client.execute("SELECT transaction_id, amount, timestamp FROM transactions ORDER BY transaction_id LIMIT 3".into(), None).await.unwrap();
    let schema = info.clone().try_decode_schema().unwrap();
    assert_eq!(schema.field(1).data_type(), &DataType::Decimal128(15, 2));
    let batches = rows(&mut client, info).await;
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
    assert_eq!(batches[0].schema().field(1).data_type(), schema.field(1).data_type());
    assert_eq!(batches[0].column(0).as_string::<i32>().value(0), "t-000");
    assert!(asked(&mut client, "SELECT 1 WHERE false").await.iter().all(|batch| batch.num_rows() == 0));
    let descriptor = FlightDescriptor::new_cmd(CommandStatementQuery { query: "SELECT 'a' AS b".into(), transaction_id: None }.as_any().encode_to_vec());
    let answer = client.inner_mut().get_schema(descriptor).await.unwrap().into_inner();
    assert_eq!(Schema::try_from(&answer).unwrap().field(0).name(), "b");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_have_the_schema_that_was_told_to_the_last_flag() {
    let served = Served::open().await;
    let mut client = client(&served).await;
    for sql in [
        "SELECT current_date AS a, CASE WHEN true THEN 1 END AS b, ARRAY[1, NULL] AS c, CAST(NULL AS numeric(15,2)) AS d, CAST('2026-02-28T12:34:56Z' AS timestamptz) AS e",
        "SELECT count(*) AS n, sum(amount) AS amount, max(\"timestamp\") AS last FROM transactions",
        "SELECT * FROM transactions LIMIT 1",
        "SELECT 1 AS a WHERE false",
    ] {
        let info = client.execute(sql.into(), None).await.unwrap();
        let told = info.clone().try_decode_schema().unwrap();
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let mut stream = client.do_get(ticket).await.unwrap();
        while let Some(batch) = stream.try_next().await.unwrap() {
            assert_eq!(*batch.schema(), told, "{sql}");
        }
        assert_eq!(stream.schema().map(|schema| Schema::clone(schema)), Some(told), "{sql}");
    }
    let prepared = client.prepare("SELECT user_id FROM transactions WHERE user_id = $1 AND amount > $2".into(), None).await.unwrap();
    let types: Vec<DataType> = prepared.parameter_schema().unwrap().fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types, [DataType::Utf8, DataType::Decimal128(15, 2)]);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_statement_is_bound_run_and_bound_again() {
    let served = Served::open().await;
    let mut client = client(&served).await;
    let mut prepared = client.prepare("SELECT transaction_id FROM transactions WHERE risk_score >= $1 AND user_id = $2 ORDER BY 1".into(), None).await.unwrap();
    assert_eq!((prepared.parameter_schema().unwrap().fields().len(), prepared.dataset_schema().unwrap().fields().len()), (2, 1));
    let unbound = prepared.execute().await.unwrap_err();
    assert_eq!(status(unbound).code(), Code::InvalidArgument);
    for (score, user, expected) in [(0_i64, "u1", ROWS / 4), (1_000, "u1", 0), (0, "O'Brien\"; DROP TABLE x; --", 0)] {
        let columns: [(&str, ArrayRef); 2] = [("a", Arc::new(Int64Array::from(vec![score]))), ("b", Arc::new(StringArray::from(vec![user])))];
        prepared.set_parameters(RecordBatch::try_from_iter(columns).unwrap()).unwrap();
        let info = prepared.execute().await.unwrap();
        let found: usize = rows(&mut client, info).await.iter().map(RecordBatch::num_rows).sum();
        assert_eq!(i64::try_from(found).unwrap(), expected, "{score} {user}");
    }
    let two: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let users: ArrayRef = Arc::new(StringArray::from(vec!["u1", "u2"]));
    prepared.set_parameters(RecordBatch::try_from_iter([("a", two), ("b", users)]).unwrap()).unwrap();
    assert!(status(prepared.execute().await.unwrap_err()).message().contains("2 rows"));
    prepared.clone().close().await.unwrap();
    let gone = status(prepared.execute().await.unwrap_err());
    assert_eq!(gone.code(), Code::NotFound, "{gone}");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_is_told() {
    let served = Served::open().await;
    let mut client = client(&served).await;
    let info = client.get_catalogs().await.unwrap();
    assert_eq!(rows(&mut client, info).await[0].column(0).as_string::<i32>().value(0), "wardhouse");
    let info = client.get_db_schemas(CommandGetDbSchemas { catalog: None, db_schema_filter_pattern: Some("led%".into()) }).await.unwrap();
    assert_eq!(rows(&mut client, info).await[0].num_rows(), 1);
    let request = CommandGetTables {
        catalog: None,
        db_schema_filter_pattern: Some("ledger".into()),
        table_name_filter_pattern: Some("transactions".into()),
        table_types: vec![],
        include_schema: true,
    };
    let info = client.get_tables(request).await.unwrap();
    let tables = rows(&mut client, info).await;
    assert_eq!((tables[0].num_rows(), tables[0].column(3).as_string::<i32>().value(0)), (1, "TABLE"));
    let bytes = tables[0].column(4).as_binary::<i32>().value(0).to_vec();
    let schema = Schema::try_from(IpcMessage(bytes.into())).unwrap();
    let amount = schema.field_with_name("amount").unwrap();
    assert_eq!(amount.metadata().get("ARROW:FLIGHT:SQL:TYPE_NAME").map(String::as_str), Some("decimal(15,2)"));
    let info = client.get_primary_keys(CommandGetPrimaryKeys { catalog: None, db_schema: Some("ledger".into()), table: "transactions".into() }).await.unwrap();
    assert_eq!(rows(&mut client, info).await[0].column(3).as_string::<i32>().value(0), "transaction_id");
    let info = client.get_table_types().await.unwrap();
    assert_eq!(rows(&mut client, info).await[0].num_rows(), 2);
    let info = client.get_sql_info(vec![SqlInfo::FlightSqlServerReadOnly, SqlInfo::FlightSqlServerCancel]).await.unwrap();
    assert_eq!(rows(&mut client, info).await[0].num_rows(), 2);
    let info = client.get_xdbc_type_info(CommandGetXdbcTypeInfo { data_type: None }).await.unwrap();
    assert!(rows(&mut client, info).await[0].num_rows() >= 8);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_query_is_cancelled_by_its_flight_info() {
    let served = Served::open().await;
    let mut client = client(&served).await;
    let info = client.execute(ENDLESS.into(), None).await.unwrap();
    let mut stream = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    assert_eq!(served.engine.queries().running().len(), 1);
    let answer: CancelFlightInfoResult = act(&mut client, "CancelFlightInfo", CancelFlightInfoRequest::new(info.clone()).encode_to_vec()).await;
    assert_eq!(answer.status(), CancelStatus::Cancelled);
    let mut last = None;
    while let Some(batch) = stream.next().await {
        last = Some(batch.map(|_| ()));
    }
    assert_eq!(status(last.unwrap().unwrap_err()).code(), Code::Cancelled);
    let again = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap_err();
    assert_eq!(status(again).code(), Code::Cancelled);
    served.until_idle().await;
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_ends_its_query() {
    let served = Served::open().await;
    let mut client = client(&served).await;
    let info = client.execute(ENDLESS.into(), None).await.unwrap();
    let mut stream = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    drop(stream);
    served.until_idle().await;
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_message_is_larger_than_clients_take() {
    let served = Served::open().await;
    let mut client = client(&served).await;
    let info = client.execute("SELECT repeat('x', 20000) AS x FROM generate_series(1, 2000)".into(), None).await.unwrap();
    let mut messages = client.inner_mut().do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap().into_inner();
    let (mut largest, mut all) = (0, 0);
    while let Some(message) = messages.message().await.unwrap() {
        largest = largest.max(message.encoded_len());
        all += message.encoded_len();
    }
    assert!(largest < 4 << 20 && all > 40_000_000, "{largest} of {all}");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_with_its_sqlstate() {
    let served = Served::open().await;
    let mut client = client(&served).await;
    let told = refused(&mut client, "SELEC 1").await;
    assert_eq!(told.code(), Code::InvalidArgument, "{told}");
    assert!(told.message().contains("(SQLSTATE 42601)"), "{told}");
    let told = refused(&mut client, "SELECT * FROM trasactions").await;
    assert!(told.code() == Code::NotFound && told.message().contains("ledger.transactions"), "{told}");
    assert!(told.metadata().contains_key("x-wardhouse-position"), "{told:?}");
    let told = refused(&mut client, "INSERT INTO transactions VALUES (1)").await;
    assert_eq!(told.code(), Code::FailedPrecondition, "{told}");
    let told = status(client.execute_update("DELETE FROM transactions".into(), None).await.unwrap_err());
    assert_eq!(told.code(), Code::FailedPrecondition, "{told}");
    let told = status(client.execute_update("SELECT 1".into(), None).await.unwrap_err());
    assert!(told.message().contains("as a query"), "{told}");
    let told = status(client.begin_transaction().await.unwrap_err());
    assert_eq!(told.code(), Code::Unimplemented, "{told}");
    assert_eq!(asked(&mut client, "SELECT 1").await[0].column(0).as_primitive::<Int64Type>().value(0), 1);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_connection_has_a_session_of_its_own() {
    let served = Served::open().await;
    let (mut one, mut other) = (client(&served).await, client(&served).await);
    assert_eq!(one.execute_update("SET wardhouse.read = 'cut'".into(), None).await.unwrap(), 0);
    assert_eq!(shown(&mut one).await, "cut");
    assert_eq!(shown(&mut other).await, "latest");
    served.end().await;
}

/// The value that SHOW has in its last column.
async fn shown(client: &mut Client) -> String {
    let batch = asked(client, "SHOW wardhouse.read").await.remove(0);
    batch.columns().last().unwrap().as_string::<i32>().value(0).to_owned()
}

/// The messages of the session actions, as a client has them.
mod session {
    #[derive(Clone, PartialEq, ::prost::Message)]
    pub(super) struct Value {
        #[prost(oneof = "Kind", tags = "1")]
        pub(super) kind: Option<Kind>,
    }
    #[derive(Clone, PartialEq, ::prost::Oneof)]
    pub(super) enum Kind {
        #[prost(string, tag = "1")]
        Text(String),
    }
    #[derive(Clone, PartialEq, ::prost::Message)]
    pub(super) struct Options {
        #[prost(map = "string, message", tag = "1")]
        pub(super) options: std::collections::HashMap<String, Value>,
    }
    #[derive(Clone, PartialEq, ::prost::Message)]
    pub(super) struct Error {
        #[prost(int32, tag = "1")]
        pub(super) value: i32,
    }
    #[derive(Clone, PartialEq, ::prost::Message)]
    pub(super) struct Errors {
        #[prost(map = "string, message", tag = "1")]
        pub(super) errors: std::collections::HashMap<String, Error>,
    }
    #[derive(Clone, PartialEq, ::prost::Message)]
    pub(super) struct Closed {
        #[prost(int32, tag = "1")]
        pub(super) status: i32,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn options_are_set_by_name_and_a_closed_session_begins_anew() {
    let served = Served::open().await;
    let mut client = client(&served).await;
    let text = |text: &str| session::Value { kind: Some(session::Kind::Text(text.to_owned())) };
    let wanted = HashMap::from([
        ("wardhouse.read".to_owned(), text("cut")),
        ("catalog".to_owned(), text("wardhouse")),
        ("nonsense".to_owned(), text("1")),
        ("statement_timeout".to_owned(), text("soon")),
    ]);
    let answer: session::Errors = act(&mut client, "SetSessionOptions", session::Options { options: wanted }.encode_to_vec()).await;
    let mut errors: Vec<(String, i32)> = answer.errors.into_iter().map(|(name, error)| (name, error.value)).collect();
    errors.sort();
    assert_eq!(errors, [("nonsense".to_owned(), 1), ("statement_timeout".to_owned(), 2)]);
    assert_eq!(shown(&mut client).await, "cut");
    let answer: session::Options = act(&mut client, "GetSessionOptions", Vec::new()).await;
    assert_eq!(answer.options.get("wardhouse.read"), Some(&text("cut")));
    let answer: session::Closed = act(&mut client, "CloseSession", Vec::new()).await;
    assert_eq!(answer.status, 1);
    assert_eq!(shown(&mut client).await, "latest");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_is_known_is_answered_and_tickets_are_their_own() {
    let served = Served::with_users().await;
    let mut ann = client(&served).await;
    assert_eq!(refused(&mut ann, "SELECT 1").await.code(), Code::Unauthenticated);
    assert!(ann.handshake("ann", "wrong").await.is_err());
    assert!(ann.handshake("nobody", "ann's password").await.is_err());
    ann.handshake("ann", "ann's password").await.unwrap();
    assert_eq!(texts(&mut ann, "SELECT 'yes'").await, ["yes"]);
    let mut ben = client(&served).await;
    ben.handshake("ben", "ben's password").await.unwrap();
    let info = ann.execute("SELECT 'mine' AS a".into(), None).await.unwrap();
    let taken = ben.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap_err();
    assert_eq!(status(taken).code(), Code::NotFound);
    // The same user may bring it over another connection.
    let mut second = client(&served).await;
    second.handshake("ann", "ann's password").await.unwrap();
    assert_eq!(rows(&mut second, info).await[0].num_rows(), 1);
    let limited = refused(&mut ann, "SELECT transaction_id FROM transactions").await;
    assert_eq!(limited.code(), Code::ResourceExhausted, "{limited}");
    assert!(limited.message().contains("54000"), "{limited}");
    served.end().await;
}
