//! SQL over small stores of every role.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod aggregates;
mod answers;
mod bounds;
mod clients;
mod dialect;
mod documents;
mod faults;
mod fixture;
mod messages;
mod numbers;
mod postgres_numbers;
mod prepared;
mod pushdown;
mod sessions;
mod subqueries;
