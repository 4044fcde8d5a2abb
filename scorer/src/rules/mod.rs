//! The ruleset as one TOML file that a risk team owns, and the team's own rules in CEL.
//!
//! A file is read into a validated [`crate::engine::Ruleset`], or all its faults are told at once with line and column.
//! Names, types, ranges and comments of a ruleset stand in one place: the documented Rust types; this module reads them
//! from their JSON Schema, so that a field that is added there is checked, written and explained here without a line more.
//!
//! What must stay true: no clock, no randomness, no I/O; the same text gives the same ruleset and the same hash everywhere.

mod changes;
mod checks;
mod compiled;
mod condition;
mod evidence;
mod facts;
mod file;
mod language;
mod nearest;
mod quoted;
mod shape;
mod team;
mod typing;
mod write;

pub use changes::{Change, changes};
pub use compiled::{CompiledRules, Fault};
pub use facts::{Facts, TransactionFacts, UserFacts, metadata_texts};
pub use file::{RulesetFault, parse};
pub use team::TeamRule;
pub use write::to_toml;

#[cfg(test)]
mod language_tests;
#[cfg(test)]
mod tests;
