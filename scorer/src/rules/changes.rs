//! What differs between two rulesets, setting by setting; rules are matched by name, so that moving one changes nothing but order.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::engine::Ruleset;

/// A setting that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The setting.
    pub path: String,
    /// As it was; none where it was not there.
    pub before: Option<String>,
    /// As it is; none where it is not there.
    pub after: Option<String>,
}

/// Every setting that differs, by path.
#[must_use]
pub fn changes(before: &Ruleset, after: &Ruleset) -> Vec<Change> {
    let settings = |ruleset: &Ruleset| {
        let mut out = BTreeMap::new();
        flatten(&serde_json::to_value(ruleset).unwrap_or_default(), String::new(), &mut out);
        let order: Vec<&str> = ruleset.rules.iter().map(|rule| rule.name.as_str()).collect();
        out.insert("rules (their order)".to_owned(), order.join(", "));
        out
    };
    let (before, after) = (settings(before), settings(after));
    let mut paths: Vec<&String> = before.keys().chain(after.keys()).collect();
    paths.sort();
    paths.dedup();
    paths
        .into_iter()
        .filter(|path| before.get(*path) != after.get(*path))
        .map(|path| Change { path: path.clone(), before: before.get(path).cloned(), after: after.get(path).cloned() })
        .collect()
}

/// Leaves by path; a list of plain values is one.
fn flatten(value: &Value, path: String, out: &mut BTreeMap<String, String>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| flatten(value, below(name), out)),
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (index, item) in items.iter().enumerate() {
                let name = item.get("name").and_then(Value::as_str).map_or_else(|| index.to_string(), str::to_owned);
                flatten(item, below(&name), out);
            }
        }
        leaf => {
            out.insert(path, leaf.to_string());
        }
    }
}
