//! The JSON Schema files under `schemas/json/`, generated from the record types.

use schemars::{JsonSchema, schema_for};

use crate::accepted::AcceptedTransaction;
use crate::activity::Activity;
use crate::alert::Alert;
use crate::control::ControlRecord;
use crate::event::SystemEvent;
use crate::scored::ScoreRecord;
use crate::transaction::Transaction;

fn text<T: JsonSchema>() -> String {
    let mut text = serde_json::to_string_pretty(&schema_for!(T)).unwrap_or_default();
    text.push('\n');
    text
}

/// File name and content of each schema.
#[must_use]
pub fn files() -> Vec<(&'static str, String)> {
    vec![
        ("transaction.json", text::<Transaction<'static>>()),
        ("accepted-transaction.json", text::<AcceptedTransaction<'static>>()),
        ("score-record.json", text::<ScoreRecord<'static>>()),
        ("account-activity.json", text::<Activity<'static>>()),
        ("alert.json", text::<Alert<'static>>()),
        ("system-event.json", text::<SystemEvent>()),
        ("control-record.json", text::<ControlRecord>()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `WARDHOUSE_WRITE_SCHEMAS=1 cargo test -p wh-schemas json_schema` writes them anew.
    #[test]
    fn the_committed_schemas_are_those_of_the_types() {
        // Asked while running: clones that share a target folder share the compiled test.
        let folder = std::path::PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("json");
        let write = std::env::var_os("WARDHOUSE_WRITE_SCHEMAS").is_some();
        for (name, text) in files() {
            let path = folder.join(name);
            if write {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(&path, &text).unwrap();
            }
            let committed = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(committed == text, "{} is not current: run WARDHOUSE_WRITE_SCHEMAS=1 cargo test -p wh-schemas json_schema", path.display());
        }
    }
}
