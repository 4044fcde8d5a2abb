//! The ruleset file on its way into the settings: read, validated, its faults as they are shown to a person.
//!
//! What must stay true: a file's ruleset and hash depend on that file alone, never on the settings beside it.

use std::path::Path;

use wh_scorer::engine::Ruleset;
use wh_scorer::rules;

/// The ruleset of a file.
///
/// # Errors
/// Every fault with its line and a mark below it, or that the file cannot be read.
pub(crate) fn read(path: &Path) -> Result<Ruleset, Vec<String>> {
    let text = std::fs::read_to_string(path).map_err(|e| vec![format!("cannot read the ruleset {}: {e}", path.display())])?;
    let name = path.display().to_string();
    rules::parse(&text).map_err(|faults| faults.iter().map(|fault| fault.render(&name, &text)).collect())
}
