//! The bytes of each form.

use arrow::array::{Decimal128Array, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::ipc::reader::StreamDecoder;
use axum::http::StatusCode;

use super::*;

fn batch() -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("amount", Arc::new(Decimal128Array::from(vec![Some(999_999_999_999_999), None]).with_precision_and_scale(15, 2).unwrap())),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![1_772_323_200_000_001, 0]).with_timezone("Europe/Berlin"))),
        ("te\"xt", Arc::new(StringArray::from(vec![Some("a,\"b\"\nü"), None]))),
        ("ratio", Arc::new(Float64Array::from(vec![f64::NAN, -0.5]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

fn encoded(format: Format, batches: &[RecordBatch], fault: Option<&Fault>) -> Vec<u8> {
    let notices = ["a \"notice\"".to_owned()];
    let mut encoder = Encoder::new(format, batch().schema(), 7).unwrap();
    let mut bytes = encoder.begin().unwrap();
    for batch in batches {
        bytes.extend(encoder.batch(batch).unwrap());
    }
    match fault {
        Some(fault) => bytes.extend(encoder.fail(fault, &notices, 1.5)),
        None => bytes.extend(encoder.end(&notices, 1.5).unwrap()),
    }
    bytes.concat()
}

fn text(format: Format, batches: &[RecordBatch], fault: Option<&Fault>) -> String {
    String::from_utf8(encoded(format, batches, fault)).unwrap()
}

#[test]
fn json_has_columns_exact_rows_and_what_there_is_to_say() {
    let written = text(Format::Json, &[batch(), batch()], None);
    assert!(written.contains("[9999999999999.99,\"2026-03-01T01:00:00.000001+01:00\",\"a,\\\"b\\\"\\nü\",null]"), "{written}");
    let read: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(read["columns"][0], json!({ "name": "amount", "type": "decimal(15,2)" }));
    assert_eq!((read["query_id"].as_u64(), read["row_count"].as_u64(), read["rows"].as_array().unwrap().len()), (Some(7), Some(4), 4));
    assert_eq!(read["notices"][0], "a \"notice\"");
    assert_eq!(read["rows"][1][0], Value::Null);
}

#[test]
fn no_rows_are_an_answer_too() {
    let read: Value = serde_json::from_str(&text(Format::Json, &[], None)).unwrap();
    assert_eq!(read["rows"], json!([]));
    assert_eq!(text(Format::Csv, &[], None), "amount,at,\"te\"\"xt\",ratio\n");
    assert_eq!(text(Format::Ndjson, &[], None), "");
}

#[test]
fn each_line_of_ndjson_is_an_object() {
    let written = text(Format::Ndjson, &[batch()], None);
    let lines: Vec<Value> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["te\"xt"], "a,\"b\"\nü");
    assert_eq!(lines[1]["amount"], Value::Null);
}

#[test]
fn a_failure_is_the_last_member_and_the_last_line() {
    let fault = Fault::new(StatusCode::SERVICE_UNAVAILABLE, "58030", "the ledger does not answer");
    let read: Value = serde_json::from_str(&text(Format::Json, &[batch()], Some(&fault))).unwrap();
    assert_eq!((read["error"]["sqlstate"].as_str(), read["row_count"].as_u64()), (Some("58030"), Some(2)));
    let written = text(Format::Ndjson, &[batch()], Some(&fault));
    let last: Value = serde_json::from_str(written.lines().last().unwrap()).unwrap();
    assert_eq!(last["error"]["message"], "the ledger does not answer");
}

#[test]
fn csv_has_one_header() {
    let written = text(Format::Csv, &[batch(), batch()], None);
    assert_eq!(written.matches("amount,at").count(), 1);
    assert!(written.contains("9999999999999.99,2026-03-01T01:00:00.000001+01:00,\"a,\"\"b\"\"\nü\",NaN\n"), "{written}");
}

#[test]
fn an_arrow_stream_reads_back_as_it_was() {
    let bytes = encoded(Format::Arrow, &[batch(), batch()], None);
    let mut buffer = Buffer::from_vec(bytes);
    let mut decoder = StreamDecoder::new();
    let mut read = Vec::new();
    while let Some(batch) = decoder.decode(&mut buffer).unwrap() {
        read.push(batch);
    }
    decoder.finish().unwrap();
    assert_eq!(read.len(), 2);
    assert_eq!(read[0].schema(), batch().schema());
    assert_eq!(read[0].column(0), batch().column(0));
    let numbers = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
    assert_ne!(numbers.schema(), read[0].schema());
}
