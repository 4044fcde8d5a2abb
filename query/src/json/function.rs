//! The functions of JSON beside those of `->` and `->>`: paths, containment, keys, types, elements, and values of another type.
//!
//! What must stay true: of a text that is no JSON, and of what is not there, each gives NULL. Where a value is of another type than is asked
//! for, `json_get_int` and its like give NULL, where a cast (`(metadata->>'n')::bigint`) is an error that names the value.

use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int32Array, Int64Array, ListArray, ListBuilder, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field, Int64Type};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility};
use wh_schemas::json::Node;

use super::containment::contains;
use super::get::Gives;
use super::paths::{Paths, texts};
use super::value::{self, Key};

/// Names of what stores are asked about.
pub(super) const CONTAINS: &str = "json_contains";
pub(super) const EXTRACT: &str = "json_extract_path";
pub(super) const EXTRACT_TEXT: &str = "json_extract_path_text";
pub(super) const PATH: &str = "json_path";
pub(super) const PATH_TEXT: &str = "json_path_text";

/// What a function does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// `json_extract_path(json, 'a', 'b')`, as in PostgreSQL.
    Extract(Gives),
    /// `json #> path`: the path is an array of text, or a text like `{a,b}`.
    Path(Gives),
    /// `json @> json`
    Contains,
    /// `json ? 'key'`
    HasKey,
    /// `json ?| keys`
    HasAny,
    /// `json ?& keys`
    HasAll,
    /// `json_typeof(json)`: object, array, string, number, boolean, or null.
    TypeOf,
    /// `json_array_length(json)`; NULL for what is no array.
    Length,
    /// `json_elements(json)`: the elements of an array, for `unnest`; NULL for what is no array.
    Elements(Gives),
    /// `json_get_int(json, key)`
    Int,
    /// `json_get_float(json, key)`
    Float,
    /// `json_get_bool(json, key)`
    Bool,
}

/// All of them.
pub(super) fn functions() -> impl Iterator<Item = ScalarUDF> {
    let kinds = [
        Kind::Extract(Gives::Json),
        Kind::Extract(Gives::Text),
        Kind::Path(Gives::Json),
        Kind::Path(Gives::Text),
        Kind::Contains,
        Kind::HasKey,
        Kind::HasAny,
        Kind::HasAll,
        Kind::TypeOf,
        Kind::Length,
        Kind::Elements(Gives::Json),
        Kind::Elements(Gives::Text),
        Kind::Int,
        Kind::Float,
        Kind::Bool,
    ];
    kinds.into_iter().map(function)
}

/// The function of a kind.
pub(super) fn function(kind: Kind) -> ScalarUDF {
    ScalarUDF::new_from_impl(JsonFunction { kind, aliases: kind.aliases().iter().map(|alias| (*alias).to_owned()).collect(), signature: kind.signature() })
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Extract(Gives::Json) => EXTRACT,
            Kind::Extract(Gives::Text) => EXTRACT_TEXT,
            Kind::Path(Gives::Json) => PATH,
            Kind::Path(Gives::Text) => PATH_TEXT,
            Kind::Contains => CONTAINS,
            Kind::HasKey => "json_has_key",
            Kind::HasAny => "json_has_any_key",
            Kind::HasAll => "json_has_all_keys",
            Kind::TypeOf => "json_typeof",
            Kind::Length => "json_array_length",
            Kind::Elements(Gives::Json) => "json_elements",
            Kind::Elements(Gives::Text) => "json_elements_text",
            Kind::Int => "json_get_int",
            Kind::Float => "json_get_float",
            Kind::Bool => "json_get_bool",
        }
    }

    /// The names that PostgreSQL has for it too.
    fn aliases(self) -> &'static [&'static str] {
        match self {
            Kind::Extract(Gives::Json) => &["jsonb_extract_path"],
            Kind::Extract(Gives::Text) => &["jsonb_extract_path_text"],
            Kind::Contains => &["jsonb_contains"],
            Kind::HasKey => &["jsonb_exists"],
            Kind::TypeOf => &["jsonb_typeof"],
            Kind::Length => &["jsonb_array_length"],
            _ => &[],
        }
    }

    fn signature(self) -> Signature {
        let text = DataType::Utf8;
        let either = |one: DataType, other: DataType| {
            let signatures = [one, other].map(|second| TypeSignature::Exact(vec![DataType::Utf8, second]));
            Signature::one_of(signatures.to_vec(), Volatility::Immutable)
        };
        match self {
            Kind::Extract(_) => Signature::variadic(vec![text], Volatility::Immutable),
            Kind::Path(_) | Kind::HasAny | Kind::HasAll => either(text, texts_type()),
            Kind::Int | Kind::Float | Kind::Bool => either(text, DataType::Int64),
            Kind::Contains | Kind::HasKey => Signature::exact(vec![text.clone(), text], Volatility::Immutable),
            Kind::TypeOf | Kind::Length | Kind::Elements(_) => Signature::exact(vec![text], Volatility::Immutable),
        }
    }

    fn gives(self) -> DataType {
        match self {
            Kind::Extract(_) | Kind::Path(_) | Kind::TypeOf => DataType::Utf8,
            Kind::Contains | Kind::HasKey | Kind::HasAny | Kind::HasAll | Kind::Bool => DataType::Boolean,
            Kind::Length => DataType::Int32,
            Kind::Elements(_) => texts_type(),
            Kind::Int => DataType::Int64,
            Kind::Float => DataType::Float64,
        }
    }
}

/// An array of text.
fn texts_type() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonFunction {
    kind: Kind,
    aliases: Vec<String>,
    signature: Signature,
}

impl ScalarUDFImpl for JsonFunction {
    fn name(&self) -> &str {
        self.kind.name()
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.kind.gives())
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let arrays = args.args.into_iter().map(|argument| argument.into_array(rows)).collect::<Result<Vec<ArrayRef>>>()?;
        let Some((json, others)) = arrays.split_first() else { return exec_err!("{} takes a JSON text", self.name()) };
        let json = self.texts(json)?;
        Ok(ColumnarValue::Array(self.computed(json, others)?))
    }
}

impl JsonFunction {
    fn computed(&self, json: &StringArray, others: &[ArrayRef]) -> Result<ArrayRef> {
        let other = || others.first().ok_or_else(|| exec_datafusion_err!("{} takes one argument more", self.name()));
        Ok(match self.kind {
            Kind::Extract(gives) => {
                let keys = others.iter().map(|keys| self.texts(keys)).collect::<Result<Vec<_>>>()?;
                let found = each(json, |row, json| {
                    if keys.iter().any(|keys| keys.is_null(row)) {
                        return None;
                    }
                    value::at(json, keys.iter().map(|keys| keys.value(row))).and_then(|value| gives.of(value))
                });
                Arc::new(found.collect::<StringArray>())
            }
            Kind::Path(gives) => {
                let paths = Paths::of(self.name(), other()?)?;
                let mut found = StringBuilder::with_capacity(json.len(), json.len() * 16);
                for row in 0..json.len() {
                    let path = paths.at(row)?.filter(|_| json.is_valid(row));
                    let value = path.and_then(|path| value::at(json.value(row), path.iter().map(String::as_str)));
                    found.append_option(value.and_then(|value| gives.of(value)));
                }
                Arc::new(found.finish())
            }
            Kind::Contains => Arc::new(contained(json, self.texts(other()?)?)),
            Kind::HasKey => {
                let keys = self.texts(other()?)?;
                Arc::new(each(json, |row, json| if keys.is_null(row) { None } else { value::has_key(json, keys.value(row)) }).collect::<BooleanArray>())
            }
            Kind::HasAny | Kind::HasAll => {
                let paths = Paths::of(self.name(), other()?)?;
                let mut found = Vec::with_capacity(json.len());
                for row in 0..json.len() {
                    let keys = paths.at(row)?.filter(|_| json.is_valid(row));
                    found.push(keys.and_then(|keys| {
                        value::whole(json.value(row))?;
                        let has: Option<Vec<bool>> = keys.iter().map(|key| value::has_key(json.value(row), key)).collect();
                        has.map(|has| if self.kind == Kind::HasAny { has.contains(&true) } else { !has.contains(&false) })
                    }));
                }
                Arc::new(BooleanArray::from(found))
            }
            Kind::TypeOf => Arc::new(each(json, |_, json| value::type_of(json)).collect::<StringArray>()),
            Kind::Length => Arc::new(each(json, |_, json| value::elements(json).and_then(|elements| i32::try_from(elements.len()).ok())).collect::<Int32Array>()),
            Kind::Elements(gives) => Arc::new(elements(json, gives)),
            Kind::Int => Arc::new(self.parsed::<i64>(json, other()?)?.into_iter().collect::<Int64Array>()),
            Kind::Float => {
                let numbers = self.parsed::<f64>(json, other()?)?;
                Arc::new(numbers.into_iter().map(|number| number.filter(|number| number.is_finite())).collect::<Float64Array>())
            }
            Kind::Bool => Arc::new(BooleanArray::from(self.parsed::<bool>(json, other()?)?)),
        })
    }

    fn texts<'a>(&self, array: &'a ArrayRef) -> Result<&'a StringArray> {
        texts(self.name(), array)
    }

    /// The values that keys ask for, where they can be read as a type.
    fn parsed<T: FromStr>(&self, json: &StringArray, keys: &ArrayRef) -> Result<Vec<Option<T>>> {
        let read = |found: Option<&str>| found.and_then(value::text).and_then(|text| text.parse::<T>().ok());
        if let Some(keys) = keys.as_primitive_opt::<Int64Type>() {
            return Ok(each(json, |row, json| if keys.is_null(row) { None } else { read(value::get(json, Key::Element(keys.value(row)))) }).collect());
        }
        let keys = self.texts(keys)?;
        Ok(each(json, |row, json| if keys.is_null(row) { None } else { read(value::get(json, Key::Member(keys.value(row)))) }).collect())
    }
}

/// What is computed of each text that is not NULL.
fn each<'a, T>(json: &'a StringArray, compute: impl Fn(usize, &'a str) -> Option<T>) -> impl Iterator<Item = Option<T>> {
    json.iter().enumerate().map(move |(row, json)| json.and_then(|json| compute(row, json)))
}

/// A text that both sides have often is read once only where it follows itself, as a constant does.
fn contained(outer: &StringArray, inner: &StringArray) -> BooleanArray {
    let mut last: Option<(&str, Option<Node<'_>>)> = None;
    let mut found = Vec::with_capacity(outer.len());
    for (outer, inner) in outer.iter().zip(inner.iter()) {
        let (Some(outer), Some(inner)) = (outer, inner) else {
            found.push(None);
            continue;
        };
        if last.as_ref().is_none_or(|(text, _)| *text != inner) {
            last = Some((inner, Node::parse(inner).ok()));
        }
        let wanted = last.as_ref().and_then(|(_, node)| node.as_ref());
        found.push(wanted.and_then(|wanted| Node::parse(outer).ok().map(|outer| contains(&outer, wanted))));
    }
    BooleanArray::from(found)
}

fn elements(json: &StringArray, gives: Gives) -> ListArray {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for json in json.iter() {
        match json.and_then(value::elements) {
            None => lists.append_null(),
            Some(elements) => {
                for element in elements {
                    lists.values().append_option(gives.of(element));
                }
                lists.append(true);
            }
        }
    }
    lists.finish()
}

#[cfg(test)]
#[path = "function_tests.rs"]
mod tests;
