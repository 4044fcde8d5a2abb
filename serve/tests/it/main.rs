//! The ways into SQL, over a small ledger.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod flight;
mod http;
mod postgres;
mod served;
