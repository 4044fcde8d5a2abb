//! A ruleset as a file: every setting with its meaning above it.
//!
//! What must stay true: what is written reads back as the same ruleset, with the same hash; the meanings are those of the
//! Rust types, so that they cannot differ from what the program does.

use serde_json::{Map, Value};

use super::shape::{Kind, Shape};
use crate::engine::Ruleset;

/// Width of comments, in characters.
const WIDTH: usize = 120;

/// What stands where a ruleset has no rules of its own.
const EXAMPLE: &str = "
# Rules of your own, in CEL over the record (tx) and its user's baseline (user). docs/rules.md lists what they may ask.
#[[rules]]
#name = \"large_refund_at_night\"
#when = 'tx.type == \"refund\" && tx.amount > 2000.0 && (tx.hour < 6 || tx.hour >= 22)'
#dimension = \"behavior\"
#points = 12
#evidence = \"refund of {tx.amount} at {tx.hour} o'clock\"
#enabled = true
";

/// The file of a ruleset.
#[must_use]
pub fn to_toml(ruleset: &Ruleset) -> String {
    let mut out = format!("# A ruleset of Wardhouse, content hash {} when this was written. What is left out has its default.\n", ruleset.content_hash());
    if let (Value::Object(members), Some(shape)) = (serde_json::to_value(ruleset).unwrap_or_default(), Shape::of_ruleset()) {
        section(&mut out, &mut Vec::new(), &members, Some(shape));
    }
    if ruleset.rules.is_empty() {
        out.push_str(EXAMPLE);
    }
    out
}

/// A table: its own values first, then the tables in it.
fn section(out: &mut String, path: &mut Vec<String>, members: &Map<String, Value>, shape: Option<Shape>) {
    let names = shape.map(Shape::names).unwrap_or_default();
    // In the order of the type; a map has that of its keys.
    let ordered = names.iter().filter_map(|name| members.get_key_value(*name)).chain(members.iter().filter(|(name, _)| !names.contains(&name.as_str())));
    let (values, sections): (Vec<_>, Vec<_>) = ordered.partition(|(_, value)| is_value(value));
    for (name, value) in values {
        let inner = shape.and_then(|shape| shape.under(name));
        // An empty list of sections is written as none: a section of that name could not follow it.
        if value.as_array().is_some_and(Vec::is_empty) && inner.and_then(Shape::items).is_some_and(|item| item.kind() == Kind::Table) {
            continue;
        }
        // What stands under the keys of a map means the same for each.
        if let Some(meaning) = inner.filter(|_| names.contains(&name.as_str())).and_then(Shape::meaning) {
            comment(out, &meaning);
        }
        out.push_str(&format!("{} = {}\n", key(name), written(value)));
    }
    for (name, value) in sections {
        let inner = shape.and_then(|shape| shape.under(name));
        path.push(key(name));
        match value {
            Value::Object(members) => {
                head(out, inner, &format!("[{}]", path.join(".")));
                section(out, path, members, inner);
            }
            Value::Array(items) => {
                let item = inner.and_then(Shape::items);
                for members in items.iter().filter_map(Value::as_object) {
                    head(out, inner, &format!("[[{}]]", path.join(".")));
                    section(out, path, members, item);
                }
            }
            _ => {}
        }
        path.pop();
    }
}

fn head(out: &mut String, shape: Option<Shape>, header: &str) {
    out.push('\n');
    if let Some(meaning) = shape.and_then(Shape::meaning) {
        comment(out, &meaning);
    }
    out.push_str(header);
    out.push('\n');
}

/// Whether it stands on one line: a prior is a pair of numbers, and eight of them are a table.
fn is_value(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.len() == 2 && members.contains_key("location") && members.contains_key("scale"),
        Value::Array(items) => !items.iter().any(Value::is_object),
        _ => true,
    }
}

/// A value as TOML.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) => toml::Value::String(text.clone()).to_string(),
        Value::Array(items) => format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => format!("{{ {} }}", members.iter().map(|(name, value)| format!("{} = {}", key(name), written(value))).collect::<Vec<_>>().join(", ")),
        // JSON's numbers and truths are TOML's.
        other => other.to_string(),
    }
}

/// A key, in quotes where it needs them.
fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if bare {
        return name.to_owned();
    }
    let mut quoted = String::with_capacity(name.len() + 2);
    wh_schemas::json::write_string(name, &mut quoted);
    // The one sign that JSON leaves as it is and TOML does not.
    quoted.replace('\u{7f}', "\\u007f")
}

/// A comment, broken into lines.
fn comment(out: &mut String, text: &str) {
    let mut length = 0;
    for word in text.split_whitespace() {
        let word_length = word.chars().count();
        if length == 0 || length + 1 + word_length > WIDTH {
            if length > 0 {
                out.push('\n');
            }
            out.push('#');
            length = 1;
        }
        out.push(' ');
        out.push_str(word);
        length += 1 + word_length;
    }
    if length > 0 {
        out.push('\n');
    }
}
