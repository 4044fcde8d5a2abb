//! Texts that are made of values: `format` and `json_build_object`.
//!
//! What must stay true: `format` follows `text_format` in PostgreSQL's src/backend/utils/adt/varlena.c, without positions and widths; an object has its members
//! in the order of the arguments, as `json_build_object` has them.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::names;

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Format,
    Object,
}

/// The functions.
pub(super) fn all() -> [ScalarUDF; 3] {
    [("format", Kind::Format), ("json_build_object", Kind::Object), ("jsonb_build_object", Kind::Object)].map(|(name, kind)| {
        let signature = Signature::variadic_any(Volatility::Immutable);
        ScalarUDF::new_from_impl(Formatted { name, kind, signature })
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Formatted {
    name: &'static str,
    kind: Kind,
    signature: Signature,
}

impl ScalarUDFImpl for Formatted {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arguments = args.args.iter().map(|argument| argument.to_array(args.number_rows)).collect::<Result<Vec<_>>>()?;
        let texts: StringArray = match self.kind {
            Kind::Format => {
                let Some((pattern, values)) = arguments.split_first() else { return plan_err!("format takes a pattern") };
                let pattern = cast(pattern, &DataType::Utf8)?;
                let pattern = pattern.as_string::<i32>();
                (0..args.number_rows).map(|row| if pattern.is_null(row) { Ok(None) } else { format(pattern.value(row), values, row).map(Some) }).collect::<Result<_>>()?
            }
            Kind::Object => {
                if arguments.len() % 2 == 1 {
                    return plan_err!("{} takes a name and a value, again and again", self.name);
                }
                (0..args.number_rows).map(|row| object(&arguments, row).map(Some)).collect::<Result<_>>()?
            }
        };
        Ok(ColumnarValue::Array(Arc::new(texts)))
    }
}

fn is_null(array: &ArrayRef, row: usize) -> bool {
    array.logical_nulls().is_some_and(|nulls| nulls.is_null(row))
}

/// `%s`, `%I`, `%L` and `%%`.
fn format(pattern: &str, values: &[ArrayRef], row: usize) -> Result<String> {
    let mut text = String::new();
    let mut values = values.iter();
    let mut rest = pattern.chars();
    while let Some(next) = rest.next() {
        if next != '%' {
            text.push(next);
            continue;
        }
        let kind = rest.next();
        if kind == Some('%') {
            text.push('%');
            continue;
        }
        let Some(kind) = kind.filter(|kind| ['s', 'I', 'L'].contains(kind)) else { return plan_err!("format knows %s, %I, %L and %%") };
        let Some(value) = values.next() else { return plan_err!("too few arguments for format()") };
        let shown = if is_null(value, row) { None } else { Some(array_value_to_string(value, row)?) };
        match (kind, shown) {
            ('s', shown) => text.push_str(&shown.unwrap_or_default()),
            ('I', Some(name)) => text.push_str(&names::quoted(&name)),
            ('L', Some(value)) => text.push_str(&format!("'{}'", value.replace('\'', "''"))),
            ('L', None) => text.push_str("NULL"),
            _ => return plan_err!("null values cannot be formatted as an SQL identifier"),
        }
    }
    Ok(text)
}

fn object(members: &[ArrayRef], row: usize) -> Result<String> {
    let mut text = String::from("{");
    for (place, member) in members.chunks_exact(2).enumerate() {
        let [name, value] = member else { continue };
        if is_null(name, row) {
            return plan_err!("the name of a member of an object must not be NULL");
        }
        let separator = if place > 0 { ", " } else { "" };
        let (name, value) = (serde_json::Value::from(array_value_to_string(name, row)?), json(value, row)?);
        if write!(text, "{separator}{name} : {value}").is_err() {
            return plan_err!("an object cannot be written");
        }
    }
    text.push('}');
    Ok(text)
}

/// A value as JSON: numbers and truth values as they are, anything else as text.
fn json(array: &ArrayRef, row: usize) -> Result<String> {
    if is_null(array, row) {
        return Ok("null".to_owned());
    }
    let shown = array_value_to_string(array, row)?;
    let finite = shown.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let plain = *array.data_type() == DataType::Boolean || (array.data_type().is_numeric() && finite);
    Ok(if plain { shown } else { serde_json::Value::from(shown).to_string() })
}

#[cfg(test)]
mod tests {
    use arrow::array::{BooleanArray, Int32Array};

    use super::*;

    fn text(value: Option<&str>) -> ArrayRef {
        Arc::new(StringArray::from(vec![value]))
    }

    #[test]
    fn a_pattern_is_filled() {
        assert_eq!(format("%I.%I = %L, %s%%", &[text(Some("A")), text(Some("b")), text(Some("it's")), text(None)], 0).unwrap(), "\"A\".b = 'it''s', %");
        assert!(format("%s", &[], 0).is_err() && format("%d", &[text(None)], 0).is_err() && format("%I", &[text(None)], 0).is_err());
    }

    #[test]
    fn an_object_has_its_members_in_their_order() {
        let members: [ArrayRef; 6] =
            [text(Some("z")), Arc::new(Int32Array::from(vec![7])), text(Some("a\"")), text(None), text(Some("c")), Arc::new(BooleanArray::from(vec![true]))];
        assert_eq!(object(&members, 0).unwrap(), r#"{"z" : 7, "a\"" : null, "c" : true}"#);
    }
}
