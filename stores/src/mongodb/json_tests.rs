//! What becomes of JSON on its way into BSON and back.

use super::*;
use crate::mongodb::rows::RowWriter;

/// The text that comes back, and whether it was said to be exact.
fn kept(text: &str) -> (String, bool) {
    let mut writer = RowWriter::new();
    let exact = writer.json("metadata", text);
    let row = writer.finish().unwrap();
    let mut back = String::new();
    text_of(row.get_document("metadata").unwrap(), &mut back).unwrap();
    (back, exact)
}

#[test]
fn what_intake_writes_comes_back_byte_by_byte() {
    for text in [
        "{}",
        r#"{"":""}"#,
        r#"{"$set":{"$inc":{"x.y":2}},"'":0,"__proto__":null,"_id":"x","a":{"":[]},"a.b":1}"#,
        r#"{"deep":[1,[2,[]],{"x":null,"y":[true,false]}]}"#,
        r#"{"ключ":"значение","🩺":"é \"quoted\" \\ \n\r\t\u0001\u001f"}"#,
        r#"{"i":[0,-1,2147483647,2147483648,-2147483649,9223372036854775807,-9223372036854775808]}"#,
        r#"{"f":[0.1,-0.0,1.0,1.5,0.0001,123456789.125]}"#,
        r#"{"d":[12.50,100.00,-0,0.00,12345678901234567890,12345678901234567890.10,9007199254740993.0,1E-7,0.00001]}"#,
        &format!("{{\"note\":\"{}\"}}", "x".repeat(64 * 1024)),
    ] {
        assert_eq!(kept(text), (text.to_owned(), true), "{text}");
    }
}

#[test]
fn what_bson_cannot_hold_exactly_is_said_to_be_inexact() {
    for (text, nearest) in [
        (r#"{ "a": 1 }"#, r#"{"a":1}"#),
        (r#"{"a":"\u00e9\/"}"#, r#"{"a":"é/"}"#),
        (r#"{"a":"\b"}"#, "{\"a\":\"\\u0008\"}"),
        (r#"{"a":1e400}"#, r#"{"a":1E+400}"#),
        (r#"{"a":1e5}"#, r#"{"a":100000.0}"#),
        (r#"{"a":0.1234567890123456789012345678901234567890}"#, r#"{"a":0.12345678901234568}"#),
        (r#"{"a":1e9999}"#, r#"{"a":"1e9999"}"#),
    ] {
        assert_eq!(kept(text), (nearest.to_owned(), false), "{text}");
    }
}

#[test]
fn what_is_no_document_at_all_becomes_an_empty_one() {
    let deep = |levels: usize| format!("{}0{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    assert!(kept(&deep(MAX_DEPTH)).1);
    for text in [
        "null",
        "[1]",
        "\"x\"",
        "7",
        "",
        "{",
        "{\"a\":}",
        "{\"a\":tru}",
        "{\"a\":1}x",
        r#"{"a":1,"a":2}"#,
        r#"{"b":1,"a":2,"b":3}"#,
        r#"{"a\u0000b":1}"#,
        "{\"a\":\"\n\"}",
        &deep(MAX_DEPTH + 1),
        &deep(100_000),
    ] {
        assert_eq!(kept(text), ("{}".to_owned(), false), "{}", text.chars().take(40).collect::<String>());
    }
}

#[test]
fn every_number_of_an_object_has_the_type_that_mongodb_counts_with() {
    let mut writer = RowWriter::new();
    assert!(writer.json("n", r#"{"i":1,"l":5000000000,"f":0.5,"d":0.50}"#));
    let row = writer.finish().unwrap();
    let numbers = row.get_document("n").unwrap();
    assert_eq!(numbers.get_i32("i").unwrap(), 1);
    assert_eq!(numbers.get_i64("l").unwrap(), 5_000_000_000);
    assert!((numbers.get_f64("f").unwrap() - 0.5).abs() < f64::EPSILON);
    assert!(matches!(numbers.get("d"), Ok(Some(RawBsonRef::Decimal128(_)))));
}

#[test]
fn what_somebody_else_wrote_is_not_guessed_at() {
    let mut writer = RowWriter::new();
    writer.date("at", 7);
    let told = text_of(&writer.finish().unwrap(), &mut String::new()).unwrap_err().to_string();
    assert!(told.contains("DateTime"), "{told}");
}
