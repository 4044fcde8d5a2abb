//! Messages of Flight's session actions, which the library does not know yet: `format/Flight.proto` of Apache Arrow.
//!
//! What must stay true: fields and tags are that file's. They travel as they are, not wrapped in an `Any`.

use std::collections::HashMap;

/// One value of a session's option; none at all resets the option.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(crate) struct SessionOptionValue {
    #[prost(oneof = "OptionValue", tags = "1, 2, 3, 4, 5")]
    pub(crate) option_value: Option<OptionValue>,
}

/// The kinds of values.
#[derive(Clone, PartialEq, ::prost::Oneof)]
pub(crate) enum OptionValue {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Truth(bool),
    #[prost(sfixed64, tag = "3")]
    Integer(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    Texts(StringListValue),
}

/// Several texts.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(crate) struct StringListValue {
    #[prost(string, repeated, tag = "1")]
    pub(crate) values: Vec<String>,
}

/// Body of `SetSessionOptions`.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(crate) struct SetSessionOptionsRequest {
    #[prost(map = "string, message", tag = "1")]
    pub(crate) session_options: HashMap<String, SessionOptionValue>,
}

/// Why an option was not set.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(crate) struct SessionOptionError {
    /// [`INVALID_NAME`] or [`INVALID_VALUE`].
    #[prost(int32, tag = "1")]
    pub(crate) value: i32,
}

/// There is no option of that name.
pub(crate) const INVALID_NAME: i32 = 1;
/// The option cannot have this value.
pub(crate) const INVALID_VALUE: i32 = 2;

/// Answer to `SetSessionOptions`: only what could not be set.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(crate) struct SetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub(crate) errors: HashMap<String, SessionOptionError>,
}

/// Answer to `GetSessionOptions`.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(crate) struct GetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub(crate) session_options: HashMap<String, SessionOptionValue>,
}

/// Answer to `CloseSession`.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(crate) struct CloseSessionResult {
    /// [`CLOSED`].
    #[prost(int32, tag = "1")]
    pub(crate) status: i32,
}

/// The session is closed.
pub(crate) const CLOSED: i32 = 1;

impl SessionOptionValue {
    /// An option as text.
    pub(crate) fn text(text: String) -> SessionOptionValue {
        SessionOptionValue { option_value: Some(OptionValue::Text(text)) }
    }

    /// The text that SET takes for it; `None` where the option is to be reset.
    pub(crate) fn as_setting(&self) -> Option<String> {
        Some(match self.option_value.as_ref()? {
            OptionValue::Text(text) => text.clone(),
            OptionValue::Truth(truth) => if *truth { "on" } else { "off" }.to_owned(),
            OptionValue::Integer(integer) => integer.to_string(),
            OptionValue::Double(double) => double.to_string(),
            OptionValue::Texts(texts) => texts.values.join(", "),
        })
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    /// As protoc encodes `session_options { key: "a" value { int64_value: 5 } }`.
    #[test]
    fn bytes_are_those_of_the_specification() {
        let value = SessionOptionValue { option_value: Some(OptionValue::Integer(5)) };
        let request = SetSessionOptionsRequest { session_options: HashMap::from([("a".to_owned(), value)]) };
        let bytes = [0x0a, 0x0e, 0x0a, 0x01, b'a', 0x12, 0x09, 0x19, 5, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(request.encode_to_vec(), bytes);
        assert_eq!(SetSessionOptionsRequest::decode(&bytes[..]).unwrap(), request);
    }

    #[test]
    fn every_kind_of_value_is_a_text_for_set() {
        let told = |value| SessionOptionValue { option_value: Some(value) }.as_setting();
        assert_eq!(told(OptionValue::Truth(true)), Some("on".into()));
        assert_eq!(told(OptionValue::Integer(-5)), Some("-5".into()));
        assert_eq!(told(OptionValue::Texts(StringListValue { values: vec!["a".into(), "b".into()] })), Some("a, b".into()));
        assert_eq!(SessionOptionValue { option_value: None }.as_setting(), None);
    }
}
