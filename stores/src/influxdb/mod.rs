//! InfluxDB 2, the server of the metrics role.
//!
//! Beside the three files of every store: `client.rs` (its HTTP interface), `answer.rs` (what it answers to a query), `points.rs` (names
//! and times of the points, which the sink writes and SQL reads), `layout.rs`, `checks.rs`.

pub mod answer;
pub mod checks;
pub mod client;
pub mod connect;
pub mod errors;
pub mod layout;
pub mod points;
pub mod settings;

pub use client::Client;
pub use connect::connect;
pub use settings::{InfluxdbSettings, RawInfluxdb};
