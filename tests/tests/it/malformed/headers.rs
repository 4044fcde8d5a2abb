//! Keys and headers as no producer should send them: a record is judged by its value alone, and a dead letter keeps them.

use wh_eventlog::{Bytes, Record};
use wh_schemas::dead_letter;
use wh_schemas::position::{ORIGIN_HEADER, ORIGIN_TIME_HEADER};

use super::cases::{Corpus, Expected};

fn keys() -> Vec<(&'static str, Option<Bytes>)> {
    vec![
        ("no key", None),
        ("an empty key", Some(Bytes::new())),
        ("a key that is another transaction's", Some(Bytes::from_static(b"another"))),
        ("a key that is no UTF-8", Some(Bytes::from_static(b"\xff\xfe\x00"))),
        ("a key of U+0000", Some(Bytes::from_static(b"\0"))),
        ("a key that is a number", Some(Bytes::from_static(&[0, 0, 0, 7]))),
        ("a key that is JSON", Some(Bytes::from_static(b"{\"transaction_id\":\"x\"}"))),
        ("a key of 100,000 bytes", Some(Bytes::from(vec![b'k'; 100_000]))),
    ]
}

fn headers() -> Vec<(&'static str, Vec<(String, Bytes)>)> {
    let one = |name: &str, value: &[u8]| vec![(name.to_owned(), Bytes::copy_from_slice(value))];
    let ours = |value: &[u8]| dead_letter::OURS.map(|name| (name.to_owned(), Bytes::copy_from_slice(value))).to_vec();
    vec![
        ("an empty name", one("", b"x")),
        ("an empty value", one("trace", b"")),
        ("a value that is no UTF-8", one("trace", b"\xff\x00\xc0")),
        ("a name in another script", one("след", b"x")),
        ("a name with line ends", one("a\r\nwh-stage: x", b"x")),
        ("a name with U+0000", one("a\0b", b"x")),
        ("a long name", one(&"n".repeat(20_000), b"x")),
        ("a long value", one("trace", &[b'v'; 200_000])),
        ("the same name twice", [one("trace", b"1"), one("trace", b"2")].concat()),
        ("a hundred headers", (0..100).map(|i| (format!("h{i}"), Bytes::from(i.to_string()))).collect()),
        ("a content type that is not JSON", one("content-type", b"application/x-protobuf")),
        ("a content encoding that does not hold", one("content-encoding", b"gzip")),
        ("a character set that does not hold", one("content-type", b"application/json; charset=utf-16")),
        ("an origin of its own", one(ORIGIN_HEADER, b"hospital-transactions/0/0")),
        ("an origin that is none", one(ORIGIN_HEADER, b"nowhere")),
        ("an origin time that is none", one(ORIGIN_TIME_HEADER, b"yesterday")),
        ("an origin time beyond numbers", one(ORIGIN_TIME_HEADER, b"99999999999999999999")),
        ("a disposition of its own", one(dead_letter::DISPOSITION, dead_letter::DISCARDED.as_bytes())),
        ("a word that its value was left out", one(dead_letter::VALUE_LEFT_OUT, b"7")),
        ("every header of ours", ours(b"forged")),
        ("every header of ours, empty", ours(b"")),
        ("every header of ours, no UTF-8", ours(b"\xff")),
        ("every header of ours in capitals", dead_letter::OURS.map(|name| (name.to_uppercase(), Bytes::from_static(b"x"))).to_vec()),
    ]
}

/// Each key and each list of headers, with a value that is as it should be, one that is not, and none: what Kafka's topics of tables have for a row that was
/// deleted.
pub(super) fn add(corpus: &mut Corpus) {
    let keys = keys().into_iter().map(|(name, key)| (name, key, Vec::new()));
    let headers = headers().into_iter().map(|(name, headers)| (name, Some(Bytes::from_static(b"key")), headers));
    for (name, key, headers) in keys.chain(headers) {
        let good = corpus.good().text();
        let not_positive = corpus.good().with("amount", "-5").text();
        for (what, value, expected) in [
            ("a record", good, Expected::Accepted(None)),
            ("a record with a fault", not_positive, Expected::said("amount", "not_positive")),
            ("no value", String::new(), Expected::invalid_json()),
        ] {
            corpus.record(format!("{what} with {name}"), Record { key: key.clone(), value: value.into(), headers: headers.clone() }, expected);
        }
    }
}
