//! Reaching into JSON that is text: members, elements, paths, and what a value is as text.
//!
//! What must stay true: pure; what is not there is `None`, and so is whatever is asked of a text that is no JSON or of a value that has no
//! such parts; a number is the text that was written.

use std::borrow::Cow;

use serde_json::value::RawValue;

/// What is asked of a value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key<'k> {
    Member(&'k str),
    Element(i64),
}

/// The value that a key asks for, as JSON.
pub(super) fn get<'a>(json: &'a str, key: Key<'_>) -> Option<&'a str> {
    match key {
        Key::Member(name) => wh_schemas::json::members(json).ok()?.into_iter().find(|(key, _)| key.as_str() == name).map(|(_, value)| value.get()),
        Key::Element(index) => {
            let elements = elements(json)?;
            let place = if index < 0 { elements.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?)? } else { usize::try_from(index).ok()? };
            elements.get(place).copied()
        }
    }
}

/// A value as text: a string without its quotes, JSON's `null` as NULL, all else as it is in JSON.
pub(super) fn text(value: &str) -> Option<Cow<'_, str>> {
    match value {
        "null" => None,
        value if value.starts_with('"') => serde_json::from_str::<String>(value).ok().map(Cow::Owned),
        value => Some(Cow::Borrowed(value)),
    }
}

/// A text that is JSON, without the blanks around it.
pub(super) fn whole(json: &str) -> Option<&str> {
    serde_json::from_str::<&RawValue>(json).ok().map(RawValue::get)
}

/// The value at the end of a path, each step of which names a member of an object or, as an integer, an element of an array. No steps: the
/// value itself.
pub(super) fn at<'a, 'k>(json: &'a str, path: impl IntoIterator<Item = &'k str>) -> Option<&'a str> {
    let mut value = whole(json)?;
    for step in path {
        let key = if value.starts_with('[') { Key::Element(step.parse().ok()?) } else { Key::Member(step) };
        value = get(value, key)?;
    }
    Some(value)
}

/// The elements of an array, each as JSON.
pub(super) fn elements(json: &str) -> Option<Vec<&str>> {
    let elements: Vec<&RawValue> = serde_json::from_str(json).ok()?;
    Some(elements.into_iter().map(RawValue::get).collect())
}

/// What a value is, in PostgreSQL's words.
pub(super) fn type_of(json: &str) -> Option<&'static str> {
    Some(match whole(json)?.as_bytes().first()? {
        b'{' => "object",
        b'[' => "array",
        b'"' => "string",
        b't' | b'f' => "boolean",
        b'n' => "null",
        _ => "number",
    })
}

/// Whether a text is the name of a member, or one of the strings of an array, or the string that the value is.
pub(super) fn has_key(json: &str, key: &str) -> Option<bool> {
    let value = whole(json)?;
    let is_key = |value: &str| value.starts_with('"') && text(value).is_some_and(|text| text == key);
    Some(match value.as_bytes().first()? {
        b'{' => wh_schemas::json::members(value).ok()?.iter().any(|(name, _)| name.as_str() == key),
        b'[' => elements(value)?.into_iter().any(is_key),
        _ => is_key(value),
    })
}

/// The texts of a PostgreSQL array of text, `{a,"b c"}`; `None` where it is none, or has NULL in it.
pub(super) fn text_array(array: &str) -> Option<Vec<String>> {
    array_texts(array)?.into_iter().collect()
}

/// The elements of a PostgreSQL array of one dimension, `{a,"b c",NULL}`; `None` where it is none.
pub(crate) fn array_texts(array: &str) -> Option<Vec<Option<String>>> {
    let inner = array.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut texts = Vec::new();
    if inner.trim().is_empty() {
        return Some(texts);
    }
    let mut chars = inner.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let mut text = String::new();
        let mut is_null = false;
        if chars.next_if_eq(&'"').is_some() {
            loop {
                match chars.next()? {
                    '"' => break,
                    '\\' => text.push(chars.next()?),
                    c => text.push(c),
                }
            }
            while chars.next_if(|c| c.is_whitespace()).is_some() {}
        } else {
            while let Some(c) = chars.next_if(|c| *c != ',') {
                match c {
                    '\\' => text.push(chars.next()?),
                    '{' | '}' | '"' => return None,
                    c => text.push(c),
                }
            }
            text.truncate(text.trim_end().len());
            if text.is_empty() {
                return None;
            }
            is_null = text.eq_ignore_ascii_case("null");
        }
        texts.push((!is_null).then_some(text));
        match chars.next() {
            None => return Some(texts),
            Some(',') => {}
            Some(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_text(json: &str, key: Key<'_>) -> Option<String> {
        get(json, key).and_then(text).map(Cow::into_owned)
    }

    #[test]
    fn members_are_found_by_their_name() {
        let object = r#"{"ip":"10.0.0.1","n":1.50,"o":{"a":[1,2]},"z":null,"é":true}"#;
        assert_eq!(as_text(object, Key::Member("ip")).as_deref(), Some("10.0.0.1"));
        assert_eq!(get(object, Key::Member("ip")), Some("\"10.0.0.1\""));
        assert_eq!(as_text(object, Key::Member("n")).as_deref(), Some("1.50"));
        assert_eq!(as_text(object, Key::Member("o")).as_deref(), Some("{\"a\":[1,2]}"));
        assert_eq!(as_text(object, Key::Member("z")), None);
        assert_eq!(get(object, Key::Member("z")), Some("null"));
        assert_eq!(as_text(object, Key::Member("é")).as_deref(), Some("true"));
        assert_eq!(as_text(object, Key::Member("missing")), None);
    }

    #[test]
    fn elements_are_counted_from_both_ends() {
        assert_eq!(as_text("[1,\"b\",3]", Key::Element(1)).as_deref(), Some("b"));
        assert_eq!(as_text("[1,\"b\",3]", Key::Element(-1)).as_deref(), Some("3"));
        assert_eq!(as_text("[1]", Key::Element(1)), None);
        assert_eq!(as_text("[1]", Key::Element(-2)), None);
        assert_eq!(as_text("[1]", Key::Element(i64::MIN)), None);
    }

    #[test]
    fn what_has_no_members_gives_nothing() {
        for value in ["7", "\"text\"", "[1]", "not json", ""] {
            assert_eq!(as_text(value, Key::Member("a")), None, "{value}");
        }
        assert_eq!(as_text("{\"a\":1}", Key::Element(0)), None);
        assert_eq!(elements("{}"), None);
    }

    #[test]
    fn a_path_goes_through_objects_and_arrays() {
        let json = r#" {"a":[{"b":"x"},{"b":null}],"0":7} "#;
        assert_eq!(at(json, ["a", "0", "b"]), Some("\"x\""));
        assert_eq!(at(json, ["a", "-1", "b"]), Some("null"));
        assert_eq!(at(json, ["0"]), Some("7"));
        assert_eq!(at(json, ["a", "b"]), None);
        assert_eq!(at(json, ["a", "0", "b", "c"]), None);
        assert_eq!(at(json, []), Some(json.trim()));
        assert_eq!(at("no json", []), None);
    }

    #[test]
    fn types_and_keys_are_those_of_postgresql() {
        let types = ["{}", "[1]", "\"a\"", "-1.5e3", "true", "false", "null", "", "nul"].map(type_of);
        let wanted = [Some("object"), Some("array"), Some("string"), Some("number"), Some("boolean"), Some("boolean"), Some("null"), None, None];
        assert_eq!(types, wanted);
        assert_eq!(has_key(r#"{"a":null,"b":1}"#, "a"), Some(true));
        assert_eq!(has_key(r#"{"a":{"b":1}}"#, "b"), Some(false));
        assert_eq!([has_key(r#"["a",1]"#, "a"), has_key(r#"["a",1]"#, "1"), has_key("\"a\"", "a"), has_key("1", "1")], [Some(true), Some(false), Some(true), Some(false)]);
        assert_eq!(has_key("{", "a"), None);
    }

    #[test]
    fn arrays_of_text_are_read_as_postgresql_writes_them() {
        let of = |text: &str| text_array(text).map(|texts| texts.join("|"));
        assert_eq!(of("{a,b}").as_deref(), Some("a|b"));
        assert_eq!(of(r#"{ a , "b, c" ,"d\"e",-1}"#).as_deref(), Some("a|b, c|d\"e|-1"));
        assert_eq!(of("{}").as_deref(), Some(""));
        assert_eq!(text_array("{}"), Some(Vec::new()));
        assert_eq!(of("{\"\"}").as_deref(), Some(""));
        for wrong in ["a,b", "{a", "{a,}", "{,a}", "{{a}}", "{a,NULL}", "{\"a\"b}", "{\"a}"] {
            assert_eq!(text_array(wrong), None, "{wrong}");
        }
    }
}
