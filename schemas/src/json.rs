//! JSON as text that keeps what was sent: numbers digit by digit, nothing doubled, nothing too deep.
//!
//! [`Node`] is a parsed value whose numbers are their own text; its canonical form (keys sorted, no blanks) is what is
//! stored and hashed. [`Text`] and [`RawObject`] borrow from a record's bytes where they can.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Deepest nesting of arrays and objects that is read.
pub const MAX_DEPTH: usize = 32;

/// A string, borrowed from the record where it has no escapes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Text<'a>(pub Cow<'a, str>);

impl<'a> Text<'a> {
    /// The text as it is.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same text, owning its bytes.
    #[must_use]
    pub fn into_owned(self) -> Text<'static> {
        Text(Cow::Owned(self.0.into_owned()))
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Text(Cow::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Text(Cow::Owned(text))
    }
}

impl std::ops::Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Strings;
        impl<'de> Visitor<'de> for Strings {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Strings)
    }
}

impl schemars::JsonSchema for Text<'_> {
    fn schema_name() -> Cow<'static, str> {
        "string".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }
}

/// A JSON object as its text.
#[derive(Clone, Debug)]
pub struct RawObject<'a>(pub Cow<'a, RawValue>);

impl RawObject<'_> {
    /// The object's text.
    #[must_use]
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// The object `{}`.
    #[must_use]
    pub fn empty() -> RawObject<'static> {
        RawObject(Cow::Owned(RawValue::from_string("{}".to_owned()).unwrap_or_default()))
    }
}

impl Serialize for RawObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for RawObject<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'de RawValue>::deserialize(deserializer).map(|raw| RawObject(Cow::Borrowed(raw)))
    }
}

impl schemars::JsonSchema for RawObject<'_> {
    fn schema_name() -> Cow<'static, str> {
        "object".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "object" })
    }
}

/// A value whose numbers are kept as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number's own text.
    Number(&'a str),
    /// A string without its escapes.
    String(Text<'a>),
    /// An array.
    Array(Vec<Node<'a>>),
    /// An object in the order of its keys as sent; no key twice.
    Object(Vec<(Text<'a>, Node<'a>)>),
}

/// Why a text is not taken as JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON; with serde_json's place and word.
    #[error("not valid JSON: {0}")]
    Syntax(String),
    /// A key occurs twice in one object.
    #[error("the key {0:?} occurs twice in one object")]
    DuplicateKey(String),
    /// Deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// U+0000 in a string or key, which PostgreSQL cannot store.
    #[error("contains the character U+0000")]
    Nul,
}

/// The members of one object, each value as its text; a key that occurs twice is an error.
struct Members<'a>(Vec<(Text<'a>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::with_capacity(16);
                while let Some(entry) = map.next_entry()? {
                    members.push(entry);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

struct Items<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Items<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Items<'de>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Items(items))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

fn syntax(error: &serde_json::Error) -> JsonError {
    JsonError::Syntax(error.to_string())
}

/// The members of the object that `text` is, each value as its text.
///
/// # Errors
/// Not JSON, not an object, a key twice, U+0000 in a key.
pub fn members(text: &str) -> Result<Vec<(Text<'_>, &RawValue)>, JsonError> {
    let Members(members) = serde_json::from_str(text).map_err(|e| syntax(&e))?;
    let duplicate = if members.len() <= 24 {
        members.iter().enumerate().find(|(i, (key, _))| members[..*i].iter().any(|(other, _)| other == key)).map(|(_, (key, _))| key)
    } else {
        let mut seen = hashbrown::HashSet::with_capacity(members.len());
        members.iter().map(|(key, _)| key).find(|key| !seen.insert(key.as_str()))
    };
    if let Some(key) = duplicate {
        return Err(JsonError::DuplicateKey(key.chars().take(64).collect()));
    }
    if members.iter().any(|(key, _)| key.contains('\0')) {
        return Err(JsonError::Nul);
    }
    Ok(members)
}

impl<'a> Node<'a> {
    /// Reads a value, numbers as their text.
    ///
    /// # Errors
    /// See [`JsonError`].
    pub fn parse(text: &'a str) -> Result<Node<'a>, JsonError> {
        Self::parse_below(text, 0)
    }

    fn parse_below(text: &'a str, depth: usize) -> Result<Node<'a>, JsonError> {
        if depth > MAX_DEPTH {
            return Err(JsonError::TooDeep);
        }
        let text = text.trim_matches([' ', '\t', '\n', '\r']);
        match text.as_bytes().first() {
            Some(b'{') => {
                let mut fields = Vec::new();
                for (key, value) in members(text)? {
                    fields.push((key, Node::parse_below(value.get(), depth + 1)?));
                }
                Ok(Node::Object(fields))
            }
            Some(b'[') => {
                let Items(items) = serde_json::from_str(text).map_err(|e| syntax(&e))?;
                items.into_iter().map(|item| Node::parse_below(item.get(), depth + 1)).collect::<Result<_, _>>().map(Node::Array)
            }
            Some(b'"') => {
                let string: Text<'a> = serde_json::from_str(text).map_err(|e| syntax(&e))?;
                if string.contains('\0') { Err(JsonError::Nul) } else { Ok(Node::String(string)) }
            }
            _ => match text {
                "null" => Ok(Node::Null),
                "true" => Ok(Node::Bool(true)),
                "false" => Ok(Node::Bool(false)),
                _ => {
                    let _: &RawValue = serde_json::from_str(text).map_err(|e| syntax(&e))?;
                    Ok(Node::Number(text))
                }
            },
        }
    }

    /// Whether anything in it is nested deeper than so many levels.
    #[must_use]
    pub fn is_deeper_than(&self, levels: usize) -> bool {
        let is_below = |inner: &Node<'_>| levels == 0 || inner.is_deeper_than(levels - 1);
        match self {
            Node::Array(items) => items.iter().any(is_below),
            Node::Object(fields) => fields.iter().any(|(_, value)| is_below(value)),
            _ => false,
        }
    }

    /// Appends the canonical text: keys sorted by their bytes, no blanks, numbers as they were.
    pub fn write_canonical(&self, out: &mut String) {
        match self {
            Node::Null => out.push_str("null"),
            Node::Bool(true) => out.push_str("true"),
            Node::Bool(false) => out.push_str("false"),
            Node::Number(text) => out.push_str(text),
            Node::String(text) => write_string(text, out),
            Node::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    item.write_canonical(out);
                }
                out.push(']');
            }
            Node::Object(fields) => {
                let mut order: Vec<&(Text<'_>, Node<'_>)> = fields.iter().collect();
                order.sort_by(|a, b| a.0.cmp(&b.0));
                out.push('{');
                for (i, (key, value)) in order.into_iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    write_string(key, out);
                    out.push(':');
                    value.write_canonical(out);
                }
                out.push('}');
            }
        }
    }
}

/// Appends `text` as a JSON string.
pub fn write_string(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c == '"' || c == '\\' || c < ' ') {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            control => {
                out.push_str("\\u00");
                out.push(char::from(HEX[usize::from(control >> 4)]));
                out.push(char::from(HEX[usize::from(control & 15)]));
            }
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Result<String, JsonError> {
        let mut out = String::new();
        Node::parse(text)?.write_canonical(&mut out);
        Ok(out)
    }

    #[test]
    fn the_canonical_form_sorts_keys_and_keeps_numbers() {
        assert_eq!(canonical(" {\"b\" : 12345678901234567890.10, \"a\":[1e2 , \"\\u00e9\\n\"]} ").unwrap(), "{\"a\":[1e2,\"é\\n\"],\"b\":12345678901234567890.10}");
        assert_eq!(canonical("\"a\\u0001\\\"\\\\\"").unwrap(), "\"a\\u0001\\\"\\\\\"");
    }

    #[test]
    fn doubled_keys_depth_bombs_and_nul_are_named() {
        assert_eq!(canonical("{\"a\":{\"x\":1,\"x\":2}}"), Err(JsonError::DuplicateKey("x".into())));
        assert_eq!(canonical("{\"a\":1,\"\\u0061\":2}"), Err(JsonError::DuplicateKey("a".into())));
        assert_eq!(canonical("\"\\u0000\""), Err(JsonError::Nul));
        for (levels, deeper) in [(MAX_DEPTH, false), (MAX_DEPTH + 1, true)] {
            let text = format!("{}0{}", "[".repeat(levels), "]".repeat(levels));
            assert_eq!(Node::parse(&text).is_err(), deeper, "{levels}");
            assert_eq!(Node::parse(&text[1..text.len() - 1]).unwrap().is_deeper_than(MAX_DEPTH - 1), deeper, "{levels}");
        }
        let bomb = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(canonical(&bomb), Err(JsonError::TooDeep));
        assert!(matches!(canonical("{\"a\":NaN}"), Err(JsonError::Syntax(_))));
        assert!(matches!(canonical("\"\\ud800\""), Err(JsonError::Syntax(_))));
    }
}
