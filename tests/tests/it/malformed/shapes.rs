//! Records that are no record as a whole: cut, doubled, wrapped, in another encoding, in another format, compressed.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use wh_schemas::validate::MAX_RECORD_BYTES;

use super::cases::{Corpus, Draft, Expected, REQUIRED, expand, fields};

/// Name, what stands before the record, what stands behind it, and what becomes of it.
const AROUND: &[(&str, &str, &str, &str)] = &[
    ("blanks around it", " \t\r\n", " \t\r\n", "ok"),
    ("a byte order mark before it", "\u{feff}", "", "ok"),
    ("a byte order mark and a blank before it", "\u{feff} ", "", "ok"),
    ("two byte order marks before it", "\u{feff}\u{feff}", "", "record:invalid_json"),
    ("a blank and a byte order mark before it", " \u{feff}", "", "record:invalid_json"),
    ("a byte order mark behind it", "", "\u{feff}", "record:invalid_json"),
    ("a form feed before it", "\u{c}", "", "record:invalid_json"),
    ("a vertical tab behind it", "", "\u{b}", "record:invalid_json"),
    ("a no-break space before it", "\u{a0}", "", "record:invalid_json"),
    ("a no-break space behind it", "", "\u{a0}", "record:invalid_json"),
    ("U+0000 before it", "<<hex 00>>", "", "record:invalid_json"),
    ("U+0000 behind it", "", "<<hex 00>>", "record:invalid_json"),
    ("a letter behind it", "", "x", "record:invalid_json"),
    ("a comma behind it", "", ",", "record:invalid_json"),
    ("a semicolon behind it", "", ";", "record:invalid_json"),
    ("a brace behind it", "", "}", "record:invalid_json"),
    ("a bracket behind it", "", "]", "record:invalid_json"),
    ("a brace before it", "{", "", "record:invalid_json"),
    ("a bracket before it", "[", "", "record:invalid_json"),
    ("an empty object behind it", "", "{}", "record:invalid_json"),
    ("an empty object on the next line", "", "\n{}", "record:invalid_json"),
    ("null behind it", "", " null", "record:invalid_json"),
    ("a comment behind it", "", " // a comment", "record:invalid_json"),
    ("a comment before it", "/* a comment */", "", "record:invalid_json"),
    ("a line of shell before it", "# a comment\n", "", "record:invalid_json"),
    ("what guards against scripts before it", ")]}',\n", "", "record:invalid_json"),
    ("a call around it", "callback(", ")", "record:invalid_json"),
    ("an assignment before it", "var t = ", ";", "record:invalid_json"),
    ("a record separator before it", "\u{1e}", "\n", "record:invalid_json"),
    ("an event stream's word before it", "data: ", "\n\n", "record:invalid_json"),
    ("Confluent's mark of a schema before it", "<<hex 00 00 00 00 01>>", "", "record:invalid_json"),
    ("its length before it", "<<hex 00 00 01 2c>>", "", "record:invalid_json"),
    ("an array around it", "[", "]", "record:not_an_object"),
    ("two arrays around it", "[[", "]]", "record:not_an_object"),
    ("an array of it and nothing", "[", ",null]", "record:not_an_object"),
    ("an array with a comma at its end around it", "[", ",]", "record:invalid_json"),
    (
        "an envelope around it",
        "{\"payload\":",
        "}",
        "account_id:missing,amount:missing,department:missing,timestamp:missing,transaction_id:missing,transaction_type:missing,user_id:missing",
    ),
    ("three backticks around it", "```json\n", "\n```", "record:invalid_json"),
];

/// Name, the whole value, and what becomes of it.
const WHOLE: &[(&str, &str, &str)] = &[
    ("nothing at all", "", "record:invalid_json"),
    ("a blank", " ", "record:invalid_json"),
    ("line ends", "\r\n\r\n", "record:invalid_json"),
    ("a byte order mark alone", "\u{feff}", "record:invalid_json"),
    ("U+0000", "<<hex 00>>", "record:invalid_json"),
    ("a thousand escapes of U+0000", r#"<<\u0000*1000>>"#, "record:invalid_json"),
    ("an array", "[]", "record:not_an_object"),
    ("a string", "\"abc\"", "record:not_an_object"),
    ("a number", "42", "record:not_an_object"),
    ("a negative number", "-4.2e1", "record:not_an_object"),
    ("true", "true", "record:not_an_object"),
    ("null", "null", "record:not_an_object"),
    ("two objects", "{}{}", "record:invalid_json"),
    ("an opening brace", "{", "record:invalid_json"),
    ("a closing brace", "}", "record:invalid_json"),
    ("braces the wrong way round", "}{", "record:invalid_json"),
    ("a tower of arrays", "<<[*100000>><<]*100000>>", "record:not_an_object"),
    ("a tower of arrays without an end", "<<[*200000>>", "record:invalid_json"),
    ("a tower of objects without an end", "<<{\"a\":*40000>>", "record:invalid_json"),
    ("words", "no JSON at all", "record:invalid_json"),
    ("NaN", "NaN", "record:invalid_json"),
    ("a line of CSV", "T1,2026-03-01T08:30:00Z,U1,A1,IT,billing,12.50", "record:invalid_json"),
    ("XML", "<?xml version=\"1.0\"?><transaction amount=\"5\"/>", "record:invalid_json"),
    ("YAML", "---\ntransaction_id: T1\namount: 5\n", "record:invalid_json"),
    ("TOML", "[transaction]\namount = 5\n", "record:invalid_json"),
    ("JSON5", "{transaction_id:'T1',amount:5,}", "record:invalid_json"),
    ("Python's repr", "{'transaction_id': 'T1', 'amount': 5}", "record:invalid_json"),
    ("a form", "transaction_id=T1&amount=5", "record:invalid_json"),
    ("base64", "eyJ0cmFuc2FjdGlvbl9pZCI6IlQxIn0=", "record:invalid_json"),
    ("hexadecimal digits", "7b22616d6f756e74223a357d", "record:invalid_json"),
    ("an HTTP error", "HTTP/1.1 502 Bad Gateway\r\n\r\n<html></html>", "record:invalid_json"),
    ("line protocol", "transactions,user=u1 amount=5i 1772353800000000000", "record:invalid_json"),
    ("HL7", "MSH|^~\\&|HIS|RIH|EKG|EKG|199904140038||ADT^A01|1|P|2.2", "record:invalid_json"),
    ("EDIFACT", "UNB+UNOC:3+SENDER+RECEIVER+260301:0830+1'", "record:invalid_json"),
    ("MT940", ":61:2603010301DR12,50NTRFNONREF", "record:invalid_json"),
    ("a stack trace", "java.lang.NullPointerException\n\tat a.b.C.d(C.java:7)", "record:invalid_json"),
    ("MessagePack", "<<hex 81 a6 61 6d 6f 75 6e 74 05>>", "record:invalid_utf8"),
    ("CBOR", "<<hex a1 66 61 6d 6f 75 6e 74 05>>", "record:invalid_utf8"),
    ("protocol buffers", "<<hex 0a 02 54 31 10 05>>", "record:invalid_json"),
    ("Avro", "<<hex 4f 62 6a 01 04 14 61 76 72 6f>>", "record:invalid_json"),
    ("Parquet", "<<hex 50 41 52 31 15 04 15 ff>>", "record:invalid_utf8"),
    ("Java's serialisation", "<<hex ac ed 00 05 73 72>>", "record:invalid_utf8"),
    ("a zip", "<<hex 50 4b 03 04 14 00 00 00>>", "record:invalid_json"),
    ("a PNG", "<<hex 89 50 4e 47 0d 0a 1a 0a>>", "record:invalid_utf8"),
    ("random bytes", "<<hex 9f 86 d0 81 88 4c 7d 65 9a 2f ea a0 c5 5a d0 15>>", "record:invalid_utf8"),
];

/// Bytes that are no UTF-8, by name.
const NO_UTF8: &[(&str, &str)] = &[
    ("a byte of Latin-1", "<<hex e9>>x"),
    ("a quote of Windows-1252", "<<hex 93>>x<<hex 94>>"),
    ("a continuation alone", "<<hex 80>>"),
    ("two continuations", "<<hex 80 bf>>"),
    ("two bytes cut to one", "<<hex c3>>"),
    ("three bytes cut to two", "<<hex e2 82>>"),
    ("four bytes cut to three", "<<hex f0 9f a9>>"),
    ("an overlong U+0000", "<<hex c0 80>>"),
    ("an overlong slash", "<<hex c0 af>>"),
    ("an overlong slash of three bytes", "<<hex e0 80 af>>"),
    ("an overlong slash of four bytes", "<<hex f0 80 80 af>>"),
    ("a surrogate as bytes", "<<hex ed a0 80>>"),
    ("a pair of surrogates as bytes", "<<hex ed a0 bd ed b9 ba>>"),
    ("beyond U+10FFFF", "<<hex f4 90 80 80>>"),
    ("five bytes", "<<hex f8 88 80 80 80>>"),
    ("six bytes", "<<hex fc 84 80 80 80 80>>"),
    ("FE", "<<hex fe>>"),
    ("FF", "<<hex ff>>"),
];

fn of(said: &str) -> Expected {
    Expected::said("record", said)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn add(corpus: &mut Corpus) {
    // Its length does not depend on the number.
    let whole = Draft::good(0).text().into_bytes();
    for at in 0..whole.len() {
        corpus.bytes(format!("cut behind byte {at}"), whole[..at].to_vec(), Expected::invalid_json());
    }
    for (name, before, behind, said) in AROUND {
        let text = format!("{before}{}{behind}", corpus.good().text());
        corpus.bytes(format!("the record, {name}"), expand(&text), of(said));
    }
    for (name, text, said) in WHOLE {
        corpus.bytes(format!("instead of a record, {name}"), expand(text), of(said));
    }
    for field in fields().filter(|field| *field != "amount") {
        for (name, bytes) in NO_UTF8 {
            let value = if field == "metadata" { format!("{{\"a\":\"{bytes}\"}}") } else { format!("\"a{bytes}b\"") };
            corpus.draft(format!("{field}: {name}"), &corpus.good().with(field, &value), of("record:invalid_utf8"));
        }
    }
    for control in 0..=0x1f_u8 {
        let in_text = corpus.good().with("description", &format!("\"a<<hex {control:02x}>>b\""));
        corpus.draft(format!("U+{control:04X} as it is in a text"), &in_text, Expected::invalid_json());
        let between = corpus.good().renamed("amount", &format!("<<hex {control:02x}>>\"amount\""));
        let said = if matches!(control, b'\t' | b'\n' | b'\r') { "ok" } else { "record:invalid_json" };
        corpus.draft(format!("U+{control:04X} between two fields"), &between, of(said));
    }
    doubled(corpus);
    encoded(corpus);
    compressed(corpus);
    sized(corpus);
}

fn doubled(corpus: &mut Corpus) {
    let text = corpus.good().text();
    for (name, between) in [("nothing", ""), ("a line end", "\n"), ("a comma", ","), ("a record separator", "\u{1e}"), ("U+0000", "\0")] {
        corpus.bytes(format!("two records with {name} between them"), format!("{text}{between}{text}").into_bytes(), Expected::invalid_json());
    }
    let quoted = serde_json::to_string(&text).unwrap();
    corpus.bytes("the record as a JSON string".to_owned(), quoted.clone().into_bytes(), of("record:not_an_object"));
    corpus.bytes("the record as a JSON string twice over".to_owned(), serde_json::to_vec(&quoted).unwrap(), of("record:not_an_object"));
    corpus.bytes("the record with every quote escaped".to_owned(), text.replace('"', "\\\"").into_bytes(), Expected::invalid_json());
    corpus.bytes("the record in single quotes".to_owned(), text.replace('"', "'").into_bytes(), Expected::invalid_json());
    corpus.bytes("the record backwards".to_owned(), text.bytes().rev().collect(), Expected::invalid_json());
    let mut missing = REQUIRED.map(|field| format!("{field}:missing"));
    missing.sort();
    corpus.bytes("the record in capitals".to_owned(), text.to_uppercase().into_bytes(), Expected::Letter(missing.join(",")));
}

fn encoded(corpus: &mut Corpus) {
    let text = corpus.good().text();
    let utf16 = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    let utf32 = |bytes: fn(u32) -> [u8; 4]| text.chars().flat_map(|letter| bytes(u32::from(letter))).collect::<Vec<u8>>();
    // Without a mark each second byte is U+0000, which is UTF-8.
    for (name, bytes, said) in [
        ("UTF-16, little end first", utf16(u16::to_le_bytes), "record:invalid_json"),
        ("UTF-16, big end first", utf16(u16::to_be_bytes), "record:invalid_json"),
        ("UTF-16 with its mark, little end first", [&b"\xff\xfe"[..], &utf16(u16::to_le_bytes)[..]].concat(), "record:invalid_utf8"),
        ("UTF-16 with its mark, big end first", [&b"\xfe\xff"[..], &utf16(u16::to_be_bytes)[..]].concat(), "record:invalid_utf8"),
        ("UTF-32, little end first", utf32(u32::to_le_bytes), "record:invalid_json"),
        ("UTF-32, big end first", utf32(u32::to_be_bytes), "record:invalid_json"),
        ("UTF-7", text.replace('{', "+AHs-").replace('}', "+AH0-").into_bytes(), "record:invalid_json"),
        ("percent signs", text.replace('"', "%22").replace('{', "%7B").replace('}', "%7D").into_bytes(), "record:invalid_json"),
        ("entities", text.replace('"', "&quot;").into_bytes(), "record:invalid_json"),
        ("bytes with the highest bit set", text.bytes().map(|byte| byte | 0x80).collect(), "record:invalid_utf8"),
    ] {
        corpus.bytes(format!("the record in {name}"), bytes, of(said));
    }
}

fn compressed(corpus: &mut Corpus) {
    let text = corpus.good().text().into_bytes();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(&text).unwrap();
    // A bare stream may begin like a text.
    let mut deflate = DeflateEncoder::new(vec![0xff], Compression::default());
    deflate.write_all(&text).unwrap();
    let bomb = vec![b' '; 20_000_000];
    for (name, bytes) in [
        ("gzip", gzip(&text)),
        ("gzip within gzip", gzip(&gzip(&text))),
        ("gzip of twenty million blanks", gzip(&bomb)),
        ("zlib", zlib.finish().unwrap()),
        ("deflate", deflate.finish().unwrap()),
        ("zstd", zstd::encode_all(&text[..], 3).unwrap()),
        ("zstd of twenty million blanks", zstd::encode_all(&bomb[..], 3).unwrap()),
    ] {
        // Nothing is decompressed that is not said to be: it is bytes that are no UTF-8.
        corpus.bytes(format!("the record as {name}"), bytes, of("record:invalid_utf8"));
    }
}

/// Records at the limit of what is read, and beyond.
fn sized(corpus: &mut Corpus) {
    for (size, said) in [(MAX_RECORD_BYTES - 1, "ok"), (MAX_RECORD_BYTES, "ok"), (MAX_RECORD_BYTES + 1, "record:record_too_large"), (3_000_000, "record:record_too_large")] {
        let bare = corpus.good().with("metadata", "{\"pad\":\"\"}");
        let padding = "x".repeat(size - bare.text().len());
        let padded = bare.with("metadata", &format!("{{\"pad\":\"{padding}\"}}")).text();
        corpus.bytes(format!("a record of {size} bytes"), padded.into_bytes(), of(said));
    }
    for (name, byte, size) in [("blanks", b' ', 300_000), ("U+0000", 0, 1_000_000), ("FF", 0xff, 300_000), ("opening braces", b'{', 300_000)] {
        corpus.bytes(format!("{size} bytes of {name}"), vec![byte; size], of("record:record_too_large"));
    }
    let text = corpus.good().text();
    corpus.bytes("a record before many blanks".to_owned(), format!("{text}{}", " ".repeat(200_000)).into_bytes(), Expected::Accepted(None));
}
