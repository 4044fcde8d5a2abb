//! Scoring: a pure engine, its checkpointed state, the stage that runs it on the log, and the offline commands.
//!
//! What must stay true: a score is a function of the record, the state before it and the ruleset, and of nothing else.
//! `engine` names no clock, no randomness and no runtime.

pub mod account_activity;
pub mod control;
pub mod dedup;
pub mod engine;
pub mod offline;
pub mod output;
pub mod partition;
pub mod pattern_alert;
pub mod pattern_stage;
pub mod patterns;
pub mod rules;
#[cfg(test)]
mod schedules;
pub mod stage;
pub mod state;
