//! Metadata, and what stands beside the known fields: any JSON object is taken, nothing of it is lost, labels are set aside.

use super::cases::{Corpus, Expected};

/// Name, the metadata as it stands in the record, and what becomes of it.
const METADATA: &[(&str, &str, &str)] = &[
    ("blanks", r#"{ "b" : 1 , "a" : [ 1 , 2 ] }"#, r#"ok={"a":[1,2],"b":1}"#),
    ("every kind of value", r#"{"a":null,"b":true,"c":false,"d":0,"e":"","f":[],"g":{}}"#, r#"ok={"a":null,"b":true,"c":false,"d":0,"e":"","f":[],"g":{}}"#),
    ("numbers digit by digit", r#"{"a":1.50,"b":-0,"c":1E+2,"d":12345678901234567890.10,"e":1e-400}"#, r#"ok={"a":1.50,"b":-0,"c":1E+2,"d":12345678901234567890.10,"e":1e-400}"#),
    ("escapes", r#"{"\u0061":"\u00e9\/\u0001\b\f\n\r\t\"\\"}"#, "ok={\"a\":\"é/\\u0001\\u0008\\u000c\\n\\r\\t\\\"\\\\\"}"),
    ("an empty key", r#"{"":{"":[]}}"#, r#"ok={"":{"":[]}}"#),
    ("keys that stores give a meaning", r#"{"$set":1,"$where":"x","_id":2,"a.b":3,"__proto__":4,"0":5}"#, r#"ok={"$set":1,"$where":"x","0":5,"__proto__":4,"_id":2,"a.b":3}"#),
    ("keys that look alike", "{\"é\":1,\"e\u{301}\":2}", "ok={\"e\u{301}\":2,\"é\":1}"),
    ("keys that differ by case", r#"{"a":1,"A":2}"#, r#"ok={"A":2,"a":1}"#),
    ("a long key", r#"{"<<k*10000>>":1}"#, "ok"),
    ("a long text", r#"{"a":"<<x*200000>>"}"#, "ok"),
    ("many keys", r#"{"a":[<<{"b":[1,2,3]},*5000>>0]}"#, "ok"),
    ("labels", r#"{"is_fraud":true,"ip":"::1","Anomaly_Type":"spike"}"#, r#"ok={"_labels":{"Anomaly_Type":"spike","is_fraud":true},"ip":"::1"}"#),
    ("labels in every case", r#"{"LABEL":1,"Label":2,"label":3}"#, r#"ok={"_labels":{"LABEL":1,"Label":2,"label":3}}"#),
    ("a label within something is none", r#"{"a":{"is_fraud":true}}"#, r#"ok={"a":{"is_fraud":true}}"#),
    ("a name of ours for labels", r#"{"_labels":{"a":1},"label":2}"#, r#"ok={"_labels":{"a":1,"label":2}}"#),
    ("a name of ours for labels, of another type", r#"{"_labels":[1],"label":2}"#, r#"ok={"_labels":{"_":[1],"label":2}}"#),
    ("a name of ours for labels, and one that is taken", r#"{"_labels":{"label":1,"label_2":5},"label":2}"#, r#"ok={"_labels":{"label":1,"label_2":5,"label_3":2}}"#),
    ("a name of ours for what stands beside", r#"{"_extra":"x"}"#, r#"ok={"_extra":{"_":"x"}}"#),
    ("a name of ours and nothing in it", r#"{"_extra":{},"_labels":{}}"#, r#"ok={}"#),
    ("U+0000 deep inside", r#"{"a":[{"b":"\u0000"}]}"#, "nul_character"),
    ("U+0000 in a key deep inside", r#"{"a":[{"b\u0000":1}]}"#, "nul_character"),
    ("a lone surrogate deep inside", r#"{"a":[{"b":"\udead"}]}"#, "invalid_json"),
    ("a key twice deep inside", r#"{"a":[{"b":1,"c":2,"b":3}]}"#, "duplicate_key"),
    ("a key twice, once as an escape", r#"{"a":{"b":1,"\u0062":2}}"#, "duplicate_key"),
    ("a key twice among many", r#"{"a":{<<"k":0,*2>>"z":1}}"#, "duplicate_key"),
    ("32 levels", r#"<<{"a":*32>>1<<}*32>>"#, "ok"),
    ("33 levels", r#"<<{"a":*33>>1<<}*33>>"#, "too_deep"),
    ("32 levels of arrays", r#"{"a":<<[*31>>1<<]*31>>}"#, "ok"),
    ("33 levels of arrays", r#"{"a":<<[*32>>1<<]*32>>}"#, "too_deep"),
    ("33 levels, the last of them empty", r#"{"a":<<[*32>><<]*32>>}"#, "ok"),
    ("34 levels, the last of them empty", r#"{"a":<<[*33>><<]*33>>}"#, "too_deep"),
    ("a label that is too deep where it is kept", r#"{"label":<<[*31>>1<<]*31>>}"#, "too_deep"),
    ("a label that is just not too deep where it is kept", r#"{"label":<<[*30>>1<<]*30>>}"#, "ok"),
    ("a tower", r#"<<{"a":*20000>>1<<}*20000>>"#, "too_deep"),
    ("a text that is an object", r#""{}""#, "wrong_type"),
    ("a text that is base64", r#""eyJhIjoxfQ==""#, "wrong_type"),
    ("pairs in an array", r#"[["a",1]]"#, "wrong_type"),
    ("an array of an object", r#"[{"a":1}]"#, "wrong_type"),
];

/// Name, key and value of a field that is not known, and what becomes of the record: of its metadata, which had an `ip` before.
const BESIDE: &[(&str, &str, &str, &str)] = &[
    ("a field that is not known", "ward", r#""7b""#, r#"ok={"_extra":{"ward":"7b"},"ip":"10.0.0.1"}"#),
    ("a field of ours", "schema_version", r#"1"#, r#"ok={"ip":"10.0.0.1"}"#),
    ("a field of ours with a version to come", "schema_version", r#"99"#, r#"ok={"ip":"10.0.0.1"}"#),
    ("a field of ours that is nonsense", "schema_version", r#"{"a":[]}"#, r#"ok={"ip":"10.0.0.1"}"#),
    ("a field with the name of metadata's own", "ip", r#""::1""#, r#"ok={"_extra":{"ip":"::1"},"ip":"10.0.0.1"}"#),
    ("a label", "is_anomaly", r#"true"#, r#"ok={"_labels":{"is_anomaly":true},"ip":"10.0.0.1"}"#),
    ("a label in capitals", "IS_ANOMALY", r#"null"#, r#"ok={"_labels":{"IS_ANOMALY":null},"ip":"10.0.0.1"}"#),
    ("a score of its own", "risk_score", r#"0"#, r#"ok={"_labels":{"risk_score":0},"ip":"10.0.0.1"}"#),
    ("a content hash of its own", "content_hash", r#""00""#, r#"ok={"_extra":{"content_hash":"00"},"ip":"10.0.0.1"}"#),
    ("a seq of its own", "seq", r#"0"#, r#"ok={"_extra":{"seq":0},"ip":"10.0.0.1"}"#),
    ("a position of its own", "duplicate_of", r#"{"partition":0,"seq":0}"#, r#"ok={"_extra":{"duplicate_of":{"partition":0,"seq":0}},"ip":"10.0.0.1"}"#),
    ("the name under which others are kept", "_extra", r#"1"#, r#"ok={"_extra":{"_extra":1},"ip":"10.0.0.1"}"#),
    ("an empty name", "", r#"1"#, r#"ok={"_extra":{"":1},"ip":"10.0.0.1"}"#),
    ("a name of blanks", "  ", r#"1"#, r#"ok={"_extra":{"  ":1},"ip":"10.0.0.1"}"#),
    ("a name in another script", "сумма", r#"5"#, r#"ok={"_extra":{"сумма":5},"ip":"10.0.0.1"}"#),
    ("a name of 5,000 letters", "<<n*5000>>", r#"1"#, "ok"),
    ("31 levels beside", "ward", r#"<<[*31>>1<<]*31>>"#, "metadata:too_deep"),
    ("30 levels beside", "ward", r#"<<[*30>>1<<]*30>>"#, "ok"),
    ("a label of 31 levels beside", "label", r#"<<[*31>>1<<]*31>>"#, "metadata:too_deep"),
    ("U+0000 beside", "ward", r#"["\u0000"]"#, "ward:nul_character"),
    ("a key twice beside", "ward", r#"[{"a":1,"a":1}]"#, "ward:duplicate_key"),
    ("a lone surrogate beside", "ward", r#"["\ud800"]"#, "ward:invalid_json"),
];

pub(super) fn add(corpus: &mut Corpus) {
    for (name, value, said) in METADATA {
        corpus.draft(format!("metadata: {name}"), &corpus.good().with("metadata", value), Expected::said("metadata", said));
    }
    for (name, key, value, said) in BESIDE {
        corpus.draft(format!("beside: {name}"), &corpus.good().with(key, value), Expected::said("metadata", said));
    }
    // Thousands of them, each looked up among those before.
    let mut draft = corpus.good();
    draft.0.extend((0..15_000).map(|i| (format!("\"f{i}\""), i.to_string())));
    corpus.draft("beside: 15,000 fields".to_owned(), &draft, Expected::Accepted(None));
}
