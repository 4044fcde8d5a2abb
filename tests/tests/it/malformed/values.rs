//! Values of every JSON kind and of none, in every field; and texts of every length at the limits.

use super::cases::{Corpus, Expected, fields};

/// Name, the value as it stands in the record, and what becomes of it: as an id (user, account, department), as an optional text, as the timestamp, as the
/// amount, as the type, as the metadata, as a field that is not known. As `transaction_id` it is what it is as an id.
const VALUES: &[(&str, &str, [&str; 7])] = &[
    ("null", r#"null"#, ["missing", "ok", "missing", "missing", "missing", "ok", "ok"]),
    ("true", r#"true"#, ["wrong_type", "wrong_type", "wrong_type", "wrong_type", "wrong_type", "wrong_type", "ok"]),
    ("false", r#"false"#, ["wrong_type", "wrong_type", "wrong_type", "wrong_type", "wrong_type", "wrong_type", "ok"]),
    ("zero", r#"0"#, ["wrong_type", "wrong_type", "wrong_type", "not_positive", "wrong_type", "wrong_type", "ok"]),
    ("one", r#"1"#, ["wrong_type", "wrong_type", "wrong_type", "ok=1.00", "wrong_type", "wrong_type", "ok"]),
    ("negative zero", r#"-0"#, ["wrong_type", "wrong_type", "wrong_type", "not_positive", "wrong_type", "wrong_type", "ok"]),
    ("a number with an exponent", r#"1.5e1"#, ["wrong_type", "wrong_type", "wrong_type", "ok=15.00", "wrong_type", "wrong_type", "ok"]),
    ("a number beyond doubles", r#"1e400"#, ["wrong_type", "wrong_type", "wrong_type", "too_large", "wrong_type", "wrong_type", "ok"]),
    ("a number of 400 digits", r#"<<9*400>>"#, ["wrong_type", "wrong_type", "wrong_type", "too_large", "wrong_type", "wrong_type", "ok"]),
    ("an empty string", r#""""#, ["empty", "ok", "invalid_timestamp", "not_a_number", "unknown_type", "wrong_type", "ok"]),
    ("a blank", r#"" ""#, ["empty", "ok", "invalid_timestamp", "not_a_number", "unknown_type", "wrong_type", "ok"]),
    ("blanks as escapes", r#""\t\n\r\u0020""#, ["empty", "ok", "invalid_timestamp", "not_a_number", "unknown_type", "wrong_type", "ok"]),
    ("a no-break space", "\"\u{a0}\"", ["empty", "ok", "invalid_timestamp", "not_a_number", "unknown_type", "wrong_type", "ok"]),
    ("an ideographic space", "\"\u{3000}\"", ["empty", "ok", "invalid_timestamp", "not_a_number", "unknown_type", "wrong_type", "ok"]),
    ("a zero-width space", "\"\u{200b}\"", ["ok", "ok", "invalid_timestamp", "not_a_number", "unknown_type", "wrong_type", "ok"]),
    ("a byte order mark", "\"\u{feff}\"", ["ok", "ok", "invalid_timestamp", "not_a_number", "unknown_type", "wrong_type", "ok"]),
    ("a right-to-left override", "\"\u{202e}abc\"", ["ok", "ok", "invalid_timestamp", "not_a_number", "unknown_type", "wrong_type", "ok"]),
    ("a line separator", "\"a\u{2028}b\"", ["ok", "ok", "invalid_timestamp", "not_a_number", "unknown_type", "wrong_type", "ok"]),
    ("a combining accent alone", "\"\u{301}\"", ["ok", "ok", "invalid_timestamp", "not_a_number", "unknown_type", "wrong_type", "ok"]),
    ("a noncharacter", "\"\u{ffff}\"", ["ok", "ok", "invalid_timestamp", "not_a_number", "unknown_type", "wrong_type", "ok"]),
    ("an emoji", "\"🩺\"", ["ok", "ok", "invalid_timestamp", "not_a_number", "unknown_type", "wrong_type", "ok"]),
    ("an escaped pair of surrogates", r#""\ud83d\ude80""#, ["ok", "ok", "invalid_timestamp", "not_a_number", "unknown_type", "wrong_type", "ok"]),
    ("escaped control characters", r#""\u0001\b\f\u001f""#, ["ok", "ok", "invalid_timestamp", "not_a_number", "unknown_type", "wrong_type", "ok"]),
    ("DEL", "\"a\u{7f}\"", ["ok", "ok", "invalid_timestamp", "not_a_number", "unknown_type", "wrong_type", "ok"]),
    ("U+0000 alone", r#""\u0000""#, ["nul_character", "nul_character", "nul_character", "nul_character", "nul_character", "wrong_type", "nul_character"]),
    ("U+0000 inside", r#""a\u0000b""#, ["nul_character", "nul_character", "nul_character", "nul_character", "nul_character", "wrong_type", "nul_character"]),
    ("a lone leading surrogate", r#""\ud800""#, ["invalid_json", "invalid_json", "invalid_json", "invalid_json", "invalid_json", "wrong_type", "invalid_json"]),
    ("a lone trailing surrogate", r#""a\udc00""#, ["invalid_json", "invalid_json", "invalid_json", "invalid_json", "invalid_json", "wrong_type", "invalid_json"]),
    ("surrogates in the wrong order", r#""\udc00\ud800""#, ["invalid_json", "invalid_json", "invalid_json", "invalid_json", "invalid_json", "wrong_type", "invalid_json"]),
    ("two leading surrogates", r#""\ud800\ud800""#, ["invalid_json", "invalid_json", "invalid_json", "invalid_json", "invalid_json", "wrong_type", "invalid_json"]),
    ("a leading surrogate before a letter", r#""\ud800a""#, ["invalid_json", "invalid_json", "invalid_json", "invalid_json", "invalid_json", "wrong_type", "invalid_json"]),
    ("SQL", r#""'; DROP TABLE transactions; --""#, ["ok", "ok", "invalid_timestamp", "not_a_number", "unknown_type", "wrong_type", "ok"]),
    ("a shell's", r#""$(reboot) `id` ${jndi:ldap://x/a}""#, ["ok", "ok", "invalid_timestamp", "not_a_number", "unknown_type", "wrong_type", "ok"]),
    ("HTML", r#""<script>alert(1)</script>""#, ["ok", "ok", "invalid_timestamp", "not_a_number", "unknown_type", "wrong_type", "ok"]),
    ("line protocol", r#""a,b=c d=1i 17\\""#, ["ok", "ok", "invalid_timestamp", "not_a_number", "unknown_type", "wrong_type", "ok"]),
    ("NaN in quotes", r#""NaN""#, ["ok", "ok", "invalid_timestamp", "not_a_number", "unknown_type", "wrong_type", "ok"]),
    ("null in quotes", r#""null""#, ["ok", "ok", "invalid_timestamp", "not_a_number", "unknown_type", "wrong_type", "ok"]),
    ("undefined in quotes", r#""undefined""#, ["ok", "ok", "invalid_timestamp", "not_a_number", "unknown_type", "wrong_type", "ok"]),
    ("JSON in quotes", r#""{\"a\":1}""#, ["ok", "ok", "invalid_timestamp", "not_a_number", "unknown_type", "wrong_type", "ok"]),
    ("an empty array", r#"[]"#, ["wrong_type", "wrong_type", "wrong_type", "wrong_type", "wrong_type", "wrong_type", "ok"]),
    ("an array of a text", r#"["x"]"#, ["wrong_type", "wrong_type", "wrong_type", "wrong_type", "wrong_type", "wrong_type", "ok"]),
    ("a wide array", r#"[<<0,*5000>>0]"#, ["wrong_type", "wrong_type", "wrong_type", "wrong_type", "wrong_type", "wrong_type", "ok"]),
    ("arrays within arrays", r#"<<[*60>><<]*60>>"#, ["wrong_type", "wrong_type", "wrong_type", "wrong_type", "wrong_type", "wrong_type", "too_deep"]),
    ("a tower of arrays", r#"<<[*60000>><<]*60000>>"#, ["wrong_type", "wrong_type", "wrong_type", "wrong_type", "wrong_type", "wrong_type", "too_deep"]),
    ("an empty object", r#"{}"#, ["wrong_type", "wrong_type", "wrong_type", "wrong_type", "wrong_type", "ok", "ok"]),
    ("an object", r#"{"$oid":"5f"}"#, ["wrong_type", "wrong_type", "wrong_type", "wrong_type", "wrong_type", "ok", "ok"]),
    ("an object with a key twice", r#"{"a":1,"a":1}"#, ["wrong_type", "wrong_type", "wrong_type", "wrong_type", "wrong_type", "duplicate_key", "duplicate_key"]),
    ("an object with U+0000 in a key", r#"{"\u0000":1}"#, ["wrong_type", "wrong_type", "wrong_type", "wrong_type", "wrong_type", "nul_character", "nul_character"]),
    ("an object with a lone surrogate in a key", r#"{"\udfff":1}"#, ["wrong_type", "wrong_type", "wrong_type", "wrong_type", "wrong_type", "invalid_json", "invalid_json"]),
    ("a tower of objects", r#"<<{"a":*5000>>1<<}*5000>>"#, ["wrong_type", "wrong_type", "wrong_type", "wrong_type", "wrong_type", "too_deep", "too_deep"]),
];

/// What is no JSON value, whatever the field: name and text.
const NO_VALUES: &[(&str, &str)] = &[
    ("nothing", r#""#),
    ("NaN", r#"NaN"#),
    ("Infinity", r#"Infinity"#),
    ("minus Infinity", r#"-Infinity"#),
    ("undefined", r#"undefined"#),
    ("None", r#"None"#),
    ("a capital True", r#"True"#),
    ("a capital NULL", r#"NULL"#),
    ("a bare word", r#"abc"#),
    ("a leading zero", r#"01"#),
    ("a leading plus", r#"+1"#),
    ("a point without a digit before it", r#".5"#),
    ("a point without a digit behind it", r#"5."#),
    ("an exponent without digits", r#"1e"#),
    ("a signed exponent without digits", r#"1e+"#),
    ("a minus alone", r#"-"#),
    ("two minuses", r#"--1"#),
    ("hexadecimal", r#"0x1F"#),
    ("underscores in a number", r#"1_000"#),
    ("a decimal comma", r#"1,5"#),
    ("a currency sign", r#"$5"#),
    ("a number with a unit", r#"5EUR"#),
    ("digits of another script", "٣"),
    ("full-width digits", "１２"),
    ("single quotes", r#"'a'"#),
    ("typographic quotes", "“a”"),
    ("a string that does not end", r#""abc"#),
    ("a string with an escape that is none", r#""\x41""#),
    ("a string with a short escape", r#""\u12""#),
    ("a string with an escape of no digits", r#""\uZZZZ""#),
    ("a string that ends in a backslash", r#""abc\""#),
    ("a raw line feed in a string", "\"a\nb\""),
    ("a raw tab in a string", "\"a\tb\""),
    ("a raw U+0000 in a string", r#""a<<hex 00>>b""#),
    ("an array that does not end", r#"[1"#),
    ("an array with a comma at its end", r#"[1,]"#),
    ("an array that begins with a comma", r#"[,1]"#),
    ("an object that does not end", r#"{"a":1"#),
    ("an object with a comma at its end", r#"{"a":1,}"#),
    ("an object without a colon", r#"{"a"}"#),
    ("an object with a bare key", r#"{a:1}"#),
    ("brackets that do not match", r#"[1}"#),
    ("two values", r#"1 2"#),
    ("a comment", r#"/* 1 */"#),
    ("a tower that does not end", r#"<<[*50000>>"#),
];

/// Field, bytes of its text, and what becomes of it. The text is made of `x`.
const LENGTHS: &[(&str, usize, &str)] = &[
    ("transaction_id", 127, "ok"),
    ("transaction_id", 128, "ok"),
    ("transaction_id", 129, "too_long"),
    ("transaction_id", 100_000, "too_long"),
    ("user_id", 128, "ok"),
    ("user_id", 129, "too_long"),
    ("user_id", 200_000, "too_long"),
    ("account_id", 128, "ok"),
    ("account_id", 129, "too_long"),
    ("department", 64, "ok"),
    ("department", 65, "too_long"),
    ("department", 10_000, "too_long"),
    ("timestamp", 64, "invalid_timestamp"),
    ("timestamp", 65, "too_long"),
    ("transaction_type", 64, "unknown_type"),
    ("transaction_type", 65, "too_long"),
    ("amount", 64, "not_a_number"),
    ("amount", 65, "too_long"),
    ("description", 4_096, "ok"),
    ("description", 4_097, "too_long"),
    ("description", 200_000, "too_long"),
    ("counterparty_account", 128, "ok"),
    ("counterparty_account", 129, "too_long"),
];

/// Limits are of bytes of UTF-8, after the escapes are read: field, text, and what becomes of it.
const MULTIBYTE: &[(&str, &str, &str)] = &[
    ("user_id", "<<é*64>>", "ok"),
    ("user_id", "<<é*64>>x", "too_long"),
    ("user_id", "<<🩺*32>>", "ok"),
    ("user_id", "<<🩺*32>>x", "too_long"),
    ("user_id", r"<<\u0061*128>>", "ok"),
    ("user_id", r"<<\u0061*129>>", "too_long"),
    ("user_id", r"<<\ud83e\ude7a*32>>", "ok"),
    ("user_id", r"<<\ud83e\ude7a*33>>", "too_long"),
    ("department", "<<Ω*32>>", "ok"),
    ("department", "<<Ω*33>>", "too_long"),
    ("description", "<<ж*2048>>", "ok"),
    ("description", "<<ж*2048>>.", "too_long"),
    ("counterparty_account", "<<日*42>>ab", "ok"),
    ("counterparty_account", "<<日*42>>abc", "too_long"),
];

pub(super) fn add(corpus: &mut Corpus) {
    for field in fields().chain(["ward"]) {
        let column = match field {
            "description" | "counterparty_account" => 1,
            "timestamp" => 2,
            "amount" => 3,
            "transaction_type" => 4,
            "metadata" => 5,
            "ward" => 6,
            _ => 0,
        };
        for (name, value, said) in VALUES {
            corpus.draft(format!("{field}: {name}"), &corpus.good().with(field, value), Expected::said(field, said[column]));
        }
        for (name, value) in NO_VALUES {
            corpus.draft(format!("{field}: {name}"), &corpus.good().with(field, value), Expected::invalid_json());
        }
    }
    for (field, length, said) in LENGTHS {
        let value = format!("\"<<x*{length}>>\"");
        corpus.draft(format!("{field}: {length} bytes"), &corpus.good().with(field, &value), Expected::said(field, said));
    }
    for (field, text, said) in MULTIBYTE {
        corpus.draft(format!("{field}: {text}"), &corpus.good().with(field, &format!("\"{text}\"")), Expected::said(field, said));
    }
}
