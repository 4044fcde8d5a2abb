//! Tests over the whole workspace, in one binary: the contract of each role, delivery under kills, the engine offline and
//! live, SQL over five stores, and what no crate may do.
//!
//! Each test has its own folder and waits for conditions, never for time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod aggregates;
mod backup;
mod content;
mod contract;
mod control;
mod delivery;
mod engine_equality;
mod five_stores;
mod fuzzing;
mod golden;
mod layering;
mod malformed;
mod mutation;
mod patterns;
mod pipeline;
mod reconcile;
mod records;
mod replaying;
mod retention;
mod servers;
mod set_back;
mod sql;
