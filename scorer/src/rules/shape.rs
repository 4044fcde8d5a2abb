//! What a ruleset file may hold, field by field: names, types, ranges and meanings, as the JSON Schema of the Rust types says.
//!
//! What must stay true: nothing here names a field; whatever is added to [`Ruleset`] is known here at once.

use std::sync::LazyLock;

use serde_json::{Map, Value};
use toml::de::DeValue;

use crate::engine::Ruleset;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| schemars::schema_for!(Ruleset).to_value());

/// Kinds of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Table,
    List,
    /// A number without a fraction.
    Whole,
    Number,
    Text,
    Truth,
    /// What the schema leaves to the deserialiser: names of a fixed set.
    Other,
}

/// What may stand at one place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// As it is written where the field is: it may hold the field's meaning beside a reference.
    node: &'static Map<String, Value>,
    /// What a reference leads to.
    resolved: &'static Map<String, Value>,
}

impl Shape {
    /// The whole file.
    pub(super) fn of_ruleset() -> Option<Shape> {
        Shape::of(&SCHEMA)
    }

    fn of(value: &'static Value) -> Option<Shape> {
        let node = value.as_object()?;
        // What may be left out is "this or null".
        let inner = node.get("anyOf").and_then(Value::as_array).and_then(|any| any.iter().find(|one| one.get("type").and_then(Value::as_str) != Some("null")));
        let reference = inner.unwrap_or(value).get("$ref").and_then(Value::as_str);
        let resolved = match reference {
            Some(reference) => SCHEMA.pointer(reference.trim_start_matches('#'))?.as_object()?,
            None => inner.and_then(Value::as_object).unwrap_or(node),
        };
        Some(Shape { node, resolved })
    }

    /// What it means, in one line.
    pub(super) fn meaning(self) -> Option<String> {
        let text = self.node.get("description").or_else(|| self.resolved.get("description")).and_then(Value::as_str)?;
        Some(text.split_whitespace().collect::<Vec<_>>().join(" ").replace("[`", "`").replace("`]", "`"))
    }

    /// Of which kind it is.
    pub(super) fn kind(self) -> Kind {
        let named = match self.resolved.get("type") {
            Some(Value::String(name)) => Some(name.as_str()),
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).find(|name| *name != "null"),
            _ => None,
        };
        match named {
            Some("object") => Kind::Table,
            Some("array") => Kind::List,
            Some("integer") => Kind::Whole,
            Some("number") => Kind::Number,
            Some("boolean") => Kind::Truth,
            Some("string") if !self.resolved.contains_key("enum") => Kind::Text,
            _ => Kind::Other,
        }
    }

    /// The names of a table that has fixed ones, in their order.
    pub(super) fn names(self) -> Vec<&'static str> {
        self.resolved.get("properties").and_then(Value::as_object).map(|properties| properties.keys().map(String::as_str).collect()).unwrap_or_default()
    }

    /// What may stand under a name of a table.
    pub(super) fn under(self, name: &str) -> Option<Shape> {
        let fixed = self.resolved.get("properties").and_then(|properties| properties.get(name));
        fixed.or_else(|| self.resolved.get("additionalProperties").filter(|any| any.is_object())).and_then(Shape::of)
    }

    /// What the items of a list are.
    pub(super) fn items(self) -> Option<Shape> {
        self.resolved.get("items").and_then(Shape::of)
    }

    /// Least and greatest number, where they are said.
    fn range(self) -> (Option<f64>, Option<f64>) {
        let bound = |name: &str| self.node.get(name).or_else(|| self.resolved.get(name)).and_then(Value::as_f64);
        (bound("minimum"), bound("maximum"))
    }

    /// Why a value does not fit, if it does not; tables and lists fit by what is in them.
    pub(super) fn unfit(self, value: &DeValue<'_>) -> Option<String> {
        let kind = self.kind();
        let (least, most) = self.range();
        let number = match value {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number as f64),
            DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
            _ => None,
        };
        let wanted = match kind {
            Kind::Table => "a section",
            Kind::List => "a list, [ … ]",
            Kind::Whole => "a number without a fraction",
            Kind::Number => "a number",
            Kind::Text => "text in quotes",
            Kind::Truth => "true or false",
            Kind::Other => return None,
        };
        let fits = match kind {
            Kind::Whole => value.is_integer(),
            Kind::Number => value.is_integer() || value.is_float(),
            Kind::Text => value.is_str(),
            Kind::Truth => value.is_bool(),
            Kind::Table | Kind::List | Kind::Other => false,
        };
        if !fits {
            return Some(format!("expected {wanted}, found {}", described(value)));
        }
        if !matches!(kind, Kind::Whole | Kind::Number) {
            return None;
        }
        let Some(number) = number.filter(|number| number.is_finite()) else {
            return Some(format!("expected {wanted} of ordinary size"));
        };
        let below = least.is_some_and(|least| number < least);
        let above = most.is_some_and(|most| number > most);
        match (below || above, least, most) {
            (false, ..) => None,
            (true, Some(least), Some(most)) => Some(format!("expected {least} to {most}, found {number}")),
            (true, Some(least), None) => Some(format!("expected {least} or more, found {number}")),
            (true, _, most) => Some(format!("expected {} or less, found {number}", most.unwrap_or_default())),
        }
    }
}

fn described(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}
