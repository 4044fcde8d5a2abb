//! A transaction's metadata in two columns: `metadata` for whoever asks PostgreSQL itself, and `metadata_text` where the text
//! could not be had back from it.
//!
//! `jsonb` keeps strings, and numbers without an exponent that are not −0, but sorts keys in its own order, drops blanks, and
//! refuses U+0000 and numbers beyond its `numeric`. Metadata comes in canonical form (keys sorted, no blanks), so it is enough
//! to make that form again; where this would not give the same text, the text is stored too.
//!
//! What must stay true: pure; for every text, what [`columns`] stores is what [`canonical`] or the second column gives back.

use wh_schemas::json::{JsonError, Node};

/// Longest number, and greatest power of ten, that `jsonb` is given.
const LONGEST: usize = 400;

/// What is stored of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns<'a> {
    /// Column `metadata`.
    pub json: Option<&'a str>,
    /// Column `metadata_text`.
    pub text: Option<&'a str>,
}

/// How well `jsonb` keeps a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kept {
    Exactly,
    /// With its numbers written otherwise.
    InMeaning,
    No,
}

/// What is stored of an object's text.
#[must_use]
pub fn columns(text: &str) -> Columns<'_> {
    let Ok(node) = Node::parse(text) else { return Columns { json: None, text: Some(text) } };
    match kept(&node) {
        Kept::No => Columns { json: None, text: Some(text) },
        Kept::InMeaning => Columns { json: Some(text), text: Some(text) },
        Kept::Exactly => {
            let mut form = String::with_capacity(text.len());
            node.write_canonical(&mut form);
            Columns { json: Some(text), text: (form != text).then_some(text) }
        }
    }
}

/// Appends the canonical form of what `jsonb` gives.
///
/// # Errors
/// It is no JSON, which `jsonb` never gives.
pub fn canonical(json: &str, out: &mut String) -> Result<(), JsonError> {
    match flat(json) {
        Some(mut members) => {
            members.sort_unstable_by_key(|(key, _)| *key);
            out.push('{');
            for (at, (key, value)) in members.into_iter().enumerate() {
                out.push_str(if at > 0 { ",\"" } else { "\"" });
                out.push_str(key);
                out.push_str("\":");
                out.push_str(value);
            }
            out.push('}');
            Ok(())
        }
        None => Node::parse(json).map(|node| node.write_canonical(out)),
    }
}

/// The members of an object, key by key, where none has parts and nothing is escaped, as of most metadata. `None` for whatever else `jsonb`
/// gives; it has no blanks but one behind each colon and comma.
fn flat(json: &str) -> Option<Vec<(&str, &str)>> {
    let mut rest = json.strip_prefix('{')?.strip_suffix('}')?;
    if json.contains('\\') {
        return None;
    }
    let mut members = Vec::with_capacity(16);
    while !rest.is_empty() {
        let (key, value) = rest.strip_prefix('"')?.split_once('"')?;
        let value = value.strip_prefix(": ")?;
        let end = match value.as_bytes().first()? {
            b'"' => value.get(1..)?.find('"')? + 2,
            b'{' | b'[' => return None,
            _ => value.find(',').unwrap_or(value.len()),
        };
        let (value, behind) = value.split_at_checked(end)?;
        members.push((key, value));
        rest = if behind.is_empty() { behind } else { behind.strip_prefix(", ")? };
    }
    Some(members)
}

fn kept(node: &Node<'_>) -> Kept {
    match node {
        Node::Null | Node::Bool(_) | Node::String(_) => Kept::Exactly,
        Node::Number(number) => kept_number(number),
        Node::Array(items) => items.iter().map(kept).max().unwrap_or(Kept::Exactly),
        Node::Object(fields) => fields.iter().map(|(_, value)| kept(value)).max().unwrap_or(Kept::Exactly),
    }
}

fn kept_number(number: &str) -> Kept {
    if number.len() > LONGEST {
        return Kept::No;
    }
    match number.split_once(['e', 'E']) {
        Some((_, exponent)) => match exponent.parse::<i32>() {
            Ok(power) if usize::try_from(power.unsigned_abs()).is_ok_and(|power| power <= LONGEST) => Kept::InMeaning,
            _ => Kept::No,
        },
        None if number.starts_with('-') && !number.contains(|c: char| ('1'..='9').contains(&c)) => Kept::InMeaning,
        None => Kept::Exactly,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_jsonb_keeps_is_stored_once() {
        for text in ["{}", r#"{"a":[1,-2,0.50,true,null],"b":{"":"é\n\u0001"}}"#, r#"{"n":12345678901234567890.10}"#] {
            assert_eq!(columns(text), Columns { json: Some(text), text: None }, "{text}");
            let mut form = String::new();
            canonical(text, &mut form).unwrap();
            assert_eq!(form, text);
        }
    }

    #[test]
    fn what_it_writes_otherwise_is_stored_twice() {
        for text in [r#"{"a":1e2}"#, r#"{"a":-0}"#, r#"{"a":[-0.00]}"#, r#"{"a":1E-7}"#, r#"{"b":1,"a":2}"#, r#"{ "a":1}"#, r#"{"a":"\u00e9"}"#] {
            assert_eq!(columns(text), Columns { json: Some(text), text: Some(text) }, "{text}");
        }
    }

    #[test]
    fn what_it_refuses_is_stored_as_text() {
        let long = format!("{{\"a\":{}}}", "7".repeat(500));
        for text in [r#"{"a":"\u0000"}"#, r#"{"a":1,"a":2}"#, r#"{"a":1e400000}"#, r#"{"a":1e99999999999}"#, "no object", &long] {
            assert_eq!(columns(text), Columns { json: None, text: Some(text) }, "{text}");
        }
    }

    #[test]
    fn the_canonical_form_is_made_of_what_the_server_gives() {
        // In jsonb's own order and spacing.
        let mut form = String::new();
        canonical(r#"{"b": 1, "aa": [1, {"c": "x\\y"}]}"#, &mut form).unwrap();
        assert_eq!(form, r#"{"aa":[1,{"c":"x\\y"}],"b":1}"#);
    }

    #[test]
    fn flat_objects_have_the_same_canonical_form_as_others() {
        let flat_ones = ["{}", r#"{"b": 1, "aa": "x, ': é", "": null}"#, r#"{"z": -0.50, "ab": true, "é": "", "ö, ": "}{"}"#, r#"{"a": "[1"}"#];
        for json in flat_ones {
            let (mut form, mut wanted) = (String::new(), String::new());
            assert!(flat(json).is_some(), "{json}");
            canonical(json, &mut form).unwrap();
            Node::parse(json).unwrap().write_canonical(&mut wanted);
            assert_eq!(form, wanted);
        }
        for other in [r#"{"a": [1]}"#, r#"{"a": {"b": 1}}"#, r#"{"a": "\n"}"#, r#"{"\"": 1}"#, "[1]", "1", r#""a""#, r#"{"a":1}"#] {
            assert_eq!(flat(other), None, "{other}");
        }
    }
}
