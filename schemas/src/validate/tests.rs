//! What real producers send is read, what must not pass is named.

use super::*;

const GOOD: &str =
    r#"{"transaction_id":"T1","timestamp":"2026-03-01T08:30:00Z","user_id":"U1","account_id":"A1","department":"Emergency","transaction_type":"billing","amount":12.5}"#;

fn read(text: &str) -> Result<Transaction<'_>, Rejection> {
    decode_transaction(text.as_bytes(), &Reading::default())
}

fn class(text: &str) -> String {
    read(text).map(|_| "accepted".to_owned()).unwrap_or_else(|r| r.class())
}

fn with(field: &str, value: &str) -> String {
    let mut map: serde_json::Map<String, serde_json::Value> = serde_json::from_str(GOOD).unwrap();
    map.remove(field);
    let rest = serde_json::to_string(&map).unwrap();
    format!("{},\"{field}\":{value}}}", rest.trim_end_matches('}'))
}

#[test]
fn a_plain_record_is_accepted() {
    let t = read(GOOD).unwrap();
    assert_eq!((t.transaction_id.as_str(), t.amount, t.metadata.get()), ("T1", Cents(1250), "{}"));
    assert!(t.description.is_none());
}

#[test]
fn amounts_may_be_numbers_or_numeric_strings() {
    for (value, cents) in [("100", 10000), ("100.00", 10000), ("\"100.5\"", 10050), ("1e2", 10000), ("\" 7 \"", 700), ("12.340", 1234)] {
        assert_eq!(read(&with("amount", value)).unwrap().amount, Cents(cents), "{value}");
    }
}

#[test]
fn money_faults_are_named() {
    for (value, code) in [
        ("-5", "amount:not_positive"),
        ("0", "amount:not_positive"),
        ("-1e300", "amount:not_positive"),
        ("\"-1e300\"", "amount:not_positive"),
        ("-1.005", "amount:too_many_places"),
        ("1.005", "amount:too_many_places"),
        ("\"NaN\"", "amount:not_a_number"),
        ("\"inf\"", "amount:not_a_number"),
        ("\"1,000.00\"", "amount:not_a_number"),
        ("true", "amount:wrong_type"),
        ("null", "amount:missing"),
        ("1e30", "amount:too_large"),
        ("99999999999999999999", "amount:too_large"),
        ("NaN", "record:invalid_json"),
        ("[1]", "amount:wrong_type"),
    ] {
        assert_eq!(class(&with("amount", value)), code, "{value}");
    }
}

#[test]
fn identity_faults_are_named() {
    let long = format!("\"{}\"", "x".repeat(MAX_ID_BYTES + 1));
    for (value, code) in [
        ("\"\"", "user_id:empty"),
        ("\"  \"", "user_id:empty"),
        ("7", "user_id:wrong_type"),
        ("null", "user_id:missing"),
        (&long, "user_id:too_long"),
        ("\"a\\u0000b\"", "user_id:nul_character"),
    ] {
        assert_eq!(class(&with("user_id", value)), code, "{value}");
    }
}

#[test]
fn every_fault_is_told_at_once() {
    let rejection = read(r#"{"transaction_id":"","amount":-1,"transaction_type":"gift","metadata":[]}"#).unwrap_err();
    assert_eq!(
        rejection.class(),
        "account_id:missing,amount:not_positive,department:missing,metadata:wrong_type,timestamp:missing,transaction_id:empty,transaction_type:unknown_type,user_id:missing"
    );
    assert!(rejection.to_string().contains("amount: expected a decimal number above 0 with at most 2 places, found -1"));
}

#[test]
fn unreadable_records_are_named() {
    for (text, code) in [
        ("", "record:invalid_json"),
        ("hello", "record:invalid_json"),
        ("[]", "record:not_an_object"),
        ("42", "record:not_an_object"),
        ("{\"a\":1", "record:invalid_json"),
        ("{} {}", "record:invalid_json"),
        ("{\"amount\":1,\"amount\":2}", "record:duplicate_key"),
        ("{\"\\u0061\":1,\"a\":2}", "record:duplicate_key"),
    ] {
        assert_eq!(class(text), code, "{text}");
    }
    assert_eq!(decode_transaction(b"{\"a\":\"\xff\"}", &Reading::default()).unwrap_err().class(), "record:invalid_utf8");
    let bomb = with("metadata", &format!("{}1{}", "{\"a\":".repeat(5000), "}".repeat(5000)));
    assert_eq!(class(&bomb), "metadata:too_deep");
    let huge = with("metadata", &format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_RECORD_BYTES)));
    assert_eq!(class(&huge), "record:record_too_large");
}

#[test]
fn sixty_four_kilobytes_of_metadata_pass() {
    let value = format!("{{\"a.b\":\"{}\",\"$set\":null}}", "x".repeat(64 * 1024));
    assert!(read(&with("metadata", &value)).is_ok());
}

#[test]
fn unknown_fields_are_kept_and_labels_are_set_aside() {
    let text =
        format!("{},\"ward\":\"7b\",\"is_anomaly\":true,\"metadata\":{{\"ip\":\"10.0.0.1\",\"Anomaly_Type\":\"spike\",\"_extra\":{{\"ward\":1}}}}}}", GOOD.trim_end_matches('}'));
    let t = read(&text).unwrap();
    assert_eq!(t.metadata.get(), r#"{"_extra":{"ward":1,"ward_2":"7b"},"_labels":{"Anomaly_Type":"spike","is_anomaly":true},"ip":"10.0.0.1"}"#);
}

#[test]
fn what_is_set_aside_is_no_deeper_than_what_is_read() {
    let nested = |levels: usize| format!("{}0{}", "[".repeat(levels), "]".repeat(levels));
    let beside = |key: &str, levels: usize| format!("{},\"{key}\":{}}}", GOOD.trim_end_matches('}'), nested(levels));
    let inside = |key: &str, levels: usize| with("metadata", &format!("{{\"{key}\":{}}}", nested(levels)));
    // The object, what is kept in it, and for a label or an unknown field the object that it is kept in.
    for (levels, text) in [(31, inside("a", 31)), (30, inside("is_fraud", 30)), (30, beside("ward", 30)), (30, beside("is_fraud", 30))] {
        let t = read(&text).unwrap();
        let json = serde_json::to_string(&t).unwrap();
        let back = read(&json).unwrap();
        assert_eq!(crate::accepted::content_hash(&t), crate::accepted::content_hash(&back), "{levels}: {text}");
    }
    for text in [inside("a", 32), inside("is_fraud", 31), beside("ward", 31), beside("is_fraud", 31)] {
        assert_eq!(class(&text), "metadata:too_deep", "{text}");
    }
    assert_eq!(class(&beside("ward", 33)), "ward:too_deep");
}

#[test]
fn thousands_of_unknown_fields_are_all_kept() {
    let fields: Vec<String> = (0..20_000).map(|i| format!("\"f{i}\":1")).collect();
    let text = format!("{},{},\"metadata\":{{\"_extra\":{{\"f7\":2}}}}}}", GOOD.trim_end_matches('}'), fields.join(","));
    let t = read(&text).unwrap();
    assert_eq!(t.metadata.get().matches(":1").count(), 20_000);
    assert!(t.metadata.get().contains("\"f7\":2") && t.metadata.get().contains("\"f7_2\":1"));
}

#[test]
fn key_order_and_blanks_change_nothing() {
    let spaced = "\u{feff} {\n\"amount\" : 12.50 ,\"transaction_type\":\"billing\",\"department\":\"Emergency\",\"account_id\":\"A1\",\"user_id\":\"U1\",\"timestamp\":\"2026-03-01 10:30:00.000+02:00\",\"transaction_id\":\"T1\", \"description\":null}\n";
    let (a, b) = (read(GOOD).unwrap(), read(spaced).unwrap());
    assert_eq!(crate::accepted::content_hash(&a), crate::accepted::content_hash(&b));
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        drop(decode_transaction(&bytes, &Reading::default()));
    }

    #[test]
    fn no_mutation_of_a_good_record_panics_and_what_passes_is_whole(at in 0usize..160, byte: u8, cut in 0usize..160) {
        let mut bytes = GOOD.as_bytes().to_vec();
        if at < bytes.len() { bytes[at] = byte; }
        bytes.truncate(bytes.len().saturating_sub(cut % 7));
        if let Ok(t) = decode_transaction(&bytes, &Reading::default()) {
            assert!(t.amount.0 > 0 && !t.user_id.trim().is_empty() && !t.transaction_id.trim().is_empty());
            let json = serde_json::to_string(&t).unwrap();
            let back = read(&json).unwrap();
            assert_eq!(crate::accepted::content_hash(&t), crate::accepted::content_hash(&back));
        }
    }
}
