//! `json_get(json, key)` and `json_get_text(json, key)`: the functions behind `->` and `->>`.
//!
//! What must stay true: as in PostgreSQL a key asks for a member and an integer for an element, counted from the end when negative.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, AsArray, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility};

use super::value::{self, Key};

/// Names of the two functions.
pub(super) const GET: &str = "json_get";
pub(super) const GET_TEXT: &str = "json_get_text";

/// What an access gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Gives {
    /// The value as JSON.
    Json,
    /// A string without its quotes; else the value as JSON; JSON's `null` as NULL.
    Text,
}

impl Gives {
    /// What it gives of a value.
    pub(super) fn of(self, value: &str) -> Option<Cow<'_, str>> {
        match self {
            Gives::Json => Some(Cow::Borrowed(value)),
            Gives::Text => value::text(value),
        }
    }
}

/// The function.
pub(super) fn function(gives: Gives) -> ScalarUDF {
    let keys = vec![TypeSignature::Exact(vec![DataType::Utf8, DataType::Utf8]), TypeSignature::Exact(vec![DataType::Utf8, DataType::Int64])];
    ScalarUDF::new_from_impl(JsonGet { gives, signature: Signature::one_of(keys, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonGet {
    gives: Gives,
    signature: Signature,
}

impl ScalarUDFImpl for JsonGet {
    fn name(&self) -> &str {
        match self.gives {
            Gives::Json => GET,
            Gives::Text => GET_TEXT,
        }
    }

    // The heading of a result's column: as the query says it.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let [json, key] = args else { return exec_err!("{} takes a JSON text and a key", self.name()) };
        let operator = match self.gives {
            Gives::Json => "->",
            Gives::Text => "->>",
        };
        Ok(match key {
            Expr::Literal(ScalarValue::Utf8(Some(key)), _) => format!("{}{operator}'{key}'", json.schema_name()),
            Expr::Literal(ScalarValue::Int64(Some(key)), _) => format!("{}{operator}{key}", json.schema_name()),
            key => format!("{}{operator}({})", json.schema_name(), key.schema_name()),
        })
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let Ok([json, keys]) = <[ColumnarValue; 2]>::try_from(args.args) else { return exec_err!("{} takes a JSON text and a key", self.name()) };
        let json = json.into_array(rows)?;
        let Some(json) = json.as_string_opt::<i32>() else { return exec_err!("{} takes JSON as text, not as {}", self.name(), json.data_type()) };
        let found = match keys {
            ColumnarValue::Scalar(ScalarValue::Utf8(Some(key))) => self.each(json, |_| Some(Key::Member(&key))),
            ColumnarValue::Scalar(ScalarValue::Int64(Some(index))) => self.each(json, |_| Some(Key::Element(index))),
            keys => {
                let keys = keys.into_array(rows)?;
                if let Some(keys) = keys.as_string_opt::<i32>() {
                    self.each(json, |row| keys.is_valid(row).then(|| Key::Member(keys.value(row))))
                } else if let Some(keys) = keys.as_primitive_opt::<Int64Type>() {
                    self.each(json, |row| keys.is_valid(row).then(|| Key::Element(keys.value(row))))
                } else {
                    return exec_err!("{} takes a text or an integer as key, not {}", self.name(), keys.data_type());
                }
            }
        };
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}

impl JsonGet {
    fn each<'k>(&self, json: &StringArray, key: impl Fn(usize) -> Option<Key<'k>>) -> StringArray {
        let mut found = StringBuilder::with_capacity(json.len(), json.len() * 16);
        for row in 0..json.len() {
            let value = key(row).filter(|_| json.is_valid(row)).and_then(|key| value::get(json.value(row), key)).and_then(|value| self.gives.of(value));
            found.append_option(value);
        }
        found.finish()
    }
}
