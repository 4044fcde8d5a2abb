use std::sync::Mutex;

use arrow::array::{Decimal128Array, Int64Array, ListBuilder, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::TimeUnit;
use futures::stream;

use super::*;

/// An output that the test can read afterwards.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn transactions() -> RecordBatch {
    let mut rules = ListBuilder::new(StringBuilder::new());
    rules.append_value([Some("night"), Some("say \"hi\"")]);
    rules.append_null();
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["t-1", "t,2"]));
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![Some(1_700_000_000_123_456), None]).with_timezone("UTC"));
    let amounts: ArrayRef = Arc::new(Decimal128Array::from(vec![1_250_i128, 99_999_999_999_999]).with_precision_and_scale(15, 2).unwrap());
    let rules: ArrayRef = Arc::new(rules.finish());
    let columns = [("id", ids, false), ("at", times, true), ("amount", amounts, false), ("rules", rules, true)];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn numbers(count: i64) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..count));
    RecordBatch::try_from_iter([("n", column)]).unwrap()
}

async fn written(format: Format, batches: Vec<RecordBatch>) -> (Vec<u8>, usize) {
    let shared = Shared::default();
    let schema = batches[0].schema();
    let body = Body::open(format, &schema, Output::new(Box::new(shared.clone())), Look::default()).unwrap();
    let mut batches = stream::iter(batches.into_iter().map(Ok::<_, wh_query::QueryError>));
    let rows = copy(&mut batches, body, Instant::now(), false).await.unwrap_or_else(|_| panic!("the copy failed"));
    let bytes = shared.0.lock().unwrap().clone();
    (bytes, rows)
}

async fn text(format: Format, batches: Vec<RecordBatch>) -> String {
    String::from_utf8(written(format, batches).await.0).unwrap()
}

#[tokio::test]
async fn a_table_shows_exact_money_and_times_in_utc() {
    let text = text(Format::Table, vec![transactions()]).await;
    assert!(text.contains(" t-1 | 2023-11-14T22:13:20.123456Z |           12.50 | [\"night\",\"say \\\"hi\\\"\"]\n"), "{text}");
    assert!(text.contains(" t,2 | NULL                        | 999999999999.99 | NULL\n"), "{text}");
    assert!(text.ends_with("\n(2 rows)\n"), "{text}");
}

#[tokio::test]
async fn csv_quotes_what_needs_it_and_has_one_header() {
    let text = text(Format::Csv, vec![transactions(), transactions()]).await;
    let once = "t-1,2023-11-14T22:13:20.123456Z,12.50,\"[\"\"night\"\",\"\"say \\\"\"hi\\\"\"\"\"]\"\n\"t,2\",,999999999999.99,\n";
    assert_eq!(text, format!("id,at,amount,rules\n{once}{once}"));
}

#[tokio::test]
async fn csv_of_no_rows_has_its_header() {
    assert_eq!(text(Format::Csv, vec![numbers(0)]).await, "n\n");
}

#[tokio::test]
async fn json_is_one_array_over_all_batches() {
    let text = text(Format::Json, vec![transactions(), transactions()]).await;
    let rows: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(rows.as_array().map(Vec::len), Some(4));
    assert_eq!(rows[3]["at"], serde_json::Value::Null);
    assert!(text.contains("\"amount\":12.50"), "{text}");
    assert!(text.ends_with("]\n"), "{text}");
    assert_eq!(self::text(Format::Json, vec![numbers(0)]).await, "[]\n");
}

#[tokio::test]
async fn ndjson_is_one_object_a_line() {
    let text = text(Format::Ndjson, vec![numbers(2), numbers(1)]).await;
    assert_eq!(text, "{\"n\":0}\n{\"n\":1}\n{\"n\":0}\n");
}

#[tokio::test]
async fn parquet_is_a_whole_file() {
    let (bytes, rows) = written(Format::Parquet, vec![numbers(3), numbers(4)]).await;
    assert_eq!(rows, 7);
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
}

#[tokio::test]
async fn a_table_stops_after_its_most_rows_and_says_so() {
    let (bytes, rows) = written(Format::Table, vec![numbers(6_000), numbers(6_000)]).await;
    assert_eq!(rows, TABLE_ROWS);
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.ends_with("\n… more rows; use --format csv\n(10000 rows)\n"));
    let exact = self::text(Format::Table, vec![numbers(10_000), numbers(0)]).await;
    assert!(!exact.contains("more rows"));
}

#[tokio::test]
async fn a_stream_that_fails_fails_the_copy() {
    let schema: SchemaRef = numbers(1).schema();
    let body = Body::open(Format::Csv, &schema, Output::new(Box::new(Shared::default())), Look::default()).unwrap();
    let gone = wh_query::QueryError::Refused { message: "the store is gone".to_owned(), hint: None };
    let mut batches = stream::iter([Ok(numbers(1)), Err(gone)]);
    let outcome = copy(&mut batches, body, Instant::now(), false).await;
    assert!(matches!(outcome, Err(Failure::Query(message)) if message.contains("the store is gone")));
}

#[test]
fn only_numbers_stand_to_the_right_and_only_text_is_cut() {
    let schema = Schema::new(vec![
        Field::new("amount", DataType::Decimal128(15, 2), false),
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
        Field::new("message", DataType::Utf8, false),
    ]);
    let manners: Vec<(bool, bool)> = columns(&schema).iter().map(|column| (column.right, column.cuttable)).collect();
    assert_eq!(manners, [(true, false), (false, false), (false, true)]);
}

#[test]
fn durations_are_said_as_a_person_would() {
    let said = |millis: u64| duration(Duration::from_millis(millis));
    assert_eq!([said(3), said(34), said(1_250), said(125_000)], ["3.0 ms", "34 ms", "1.25 s", "2 min 5 s"]);
    assert_eq!(summary(1, None), "(1 row)");
    assert_eq!(summary(12, Some(Duration::from_millis(34))), "(12 rows, 34 ms)");
}
