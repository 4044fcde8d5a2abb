//! What is fuzzed: one function a target, which takes any bytes and panics where something does not hold.
//!
//! The targets of libFuzzer in `fuzz_targets/` call these, and so does a test of the workspace, some thousand times a run, on the stable
//! compiler (`tests/tests/it/fuzzing.rs`). What must stay true: a run is a function of its bytes, so that what fails once fails again.

pub mod blocks;
pub mod checkpoints;
mod choices;
pub mod csv;
pub mod delivery;
pub mod matching;
pub mod records;
