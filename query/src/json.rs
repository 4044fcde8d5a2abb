//! `->` and `->>` on JSON columns, which are text here.
//!
//! What must stay true: as in PostgreSQL a key asks for a member and an integer for an element, counted from the end when
//! negative; what is not there is NULL, and so is anything asked of a value that has no members. No store is asked: the
//! operators are computed by DataFusion.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, AsArray, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{DFSchema, Result, ScalarValue, exec_err};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility};
use datafusion::sql::sqlparser::ast::BinaryOperator;
use serde_json::value::RawValue;

/// What an access gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Gives {
    /// The member as JSON.
    Json,
    /// A string without its quotes; else the member as JSON; JSON's `null` as NULL.
    Text,
}

/// The functions behind the operators: `json_get(json, key)` and `json_get_text(json, key)`.
pub(crate) fn functions() -> [ScalarUDF; 2] {
    [access(Gives::Json), access(Gives::Text)]
}

fn access(gives: Gives) -> ScalarUDF {
    let keys = vec![TypeSignature::Exact(vec![DataType::Utf8, DataType::Utf8]), TypeSignature::Exact(vec![DataType::Utf8, DataType::Int64])];
    ScalarUDF::new_from_impl(JsonGet { gives, signature: Signature::one_of(keys, Volatility::Immutable) })
}

/// Plans the operators as their functions.
#[derive(Debug)]
pub(crate) struct JsonOperators {
    json: Arc<ScalarUDF>,
    text: Arc<ScalarUDF>,
}

impl JsonOperators {
    pub(crate) fn new() -> JsonOperators {
        JsonOperators { json: Arc::new(access(Gives::Json)), text: Arc::new(access(Gives::Text)) }
    }
}

impl ExprPlanner for JsonOperators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, _schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let function = match expr.op {
            BinaryOperator::Arrow => &self.json,
            BinaryOperator::LongArrow => &self.text,
            _ => return Ok(PlannerResult::Original(expr)),
        };
        Ok(PlannerResult::Planned(function.call(vec![expr.left, expr.right])))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonGet {
    gives: Gives,
    signature: Signature,
}

impl ScalarUDFImpl for JsonGet {
    fn name(&self) -> &str {
        match self.gives {
            Gives::Json => "json_get",
            Gives::Text => "json_get_text",
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
            let value = key(row).filter(|_| json.is_valid(row)).and_then(|key| get(json.value(row), key, self.gives));
            found.append_option(value);
        }
        found.finish()
    }
}

/// What is asked of a value.
#[derive(Clone, Copy, Debug)]
enum Key<'k> {
    Member(&'k str),
    Element(i64),
}

fn get<'a>(json: &'a str, key: Key<'_>, gives: Gives) -> Option<Cow<'a, str>> {
    let value = match key {
        Key::Member(name) => wh_schemas::json::members(json).ok()?.into_iter().find(|(key, _)| &**key == name).map(|(_, value)| value)?,
        Key::Element(index) => {
            let elements: Vec<&RawValue> = serde_json::from_str(json).ok()?;
            let place = if index < 0 { elements.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?)? } else { usize::try_from(index).ok()? };
            elements.get(place).copied()?
        }
    };
    let text = value.get();
    match gives {
        Gives::Json => Some(Cow::Borrowed(text)),
        Gives::Text if text == "null" => None,
        Gives::Text if text.starts_with('"') => serde_json::from_str::<String>(text).ok().map(Cow::Owned),
        Gives::Text => Some(Cow::Borrowed(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str, key: Key<'_>) -> Option<String> {
        get(json, key, Gives::Text).map(Cow::into_owned)
    }

    fn json(json: &str, key: Key<'_>) -> Option<String> {
        get(json, key, Gives::Json).map(Cow::into_owned)
    }

    #[test]
    fn members_are_found_by_their_name() {
        let object = r#"{"ip":"10.0.0.1","n":1.50,"o":{"a":[1,2]},"z":null,"é":true}"#;
        assert_eq!(text(object, Key::Member("ip")).as_deref(), Some("10.0.0.1"));
        assert_eq!(json(object, Key::Member("ip")).as_deref(), Some("\"10.0.0.1\""));
        assert_eq!(text(object, Key::Member("n")).as_deref(), Some("1.50"));
        assert_eq!(text(object, Key::Member("o")).as_deref(), Some("{\"a\":[1,2]}"));
        assert_eq!(text(object, Key::Member("z")), None);
        assert_eq!(json(object, Key::Member("z")).as_deref(), Some("null"));
        assert_eq!(text(object, Key::Member("é")).as_deref(), Some("true"));
        assert_eq!(text(object, Key::Member("missing")), None);
    }

    #[test]
    fn elements_are_counted_from_both_ends() {
        assert_eq!(text("[1,\"b\",3]", Key::Element(1)).as_deref(), Some("b"));
        assert_eq!(text("[1,\"b\",3]", Key::Element(-1)).as_deref(), Some("3"));
        assert_eq!(text("[1]", Key::Element(1)), None);
        assert_eq!(text("[1]", Key::Element(-2)), None);
        assert_eq!(text("[1]", Key::Element(i64::MIN)), None);
    }

    #[test]
    fn what_has_no_members_gives_null() {
        for value in ["7", "\"text\"", "[1]", "not json", ""] {
            assert_eq!(text(value, Key::Member("a")), None, "{value}");
        }
        assert_eq!(text("{\"a\":1}", Key::Element(0)), None);
    }
}
