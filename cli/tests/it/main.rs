//! The binary as its users run it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod backup;
mod bench;
mod command;
mod dead_letters;
mod explained;
mod faults;
mod kill;
mod offline;
mod scoring;
mod served;
mod stopping;
