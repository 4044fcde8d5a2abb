//! From a store's URL to a connected, version-checked client, and what that client's errors mean.
//!
//! What must stay true: no row is read or written here. One folder a store: `settings.rs` (what it takes),
//! `connect.rs` (how it is reached), `errors.rs` (what its errors ask for).

pub mod alerts;
pub mod clock;
mod credentials;
pub mod disk;
pub mod elasticsearch;
pub mod faults;
pub mod finding;
pub mod holder;
pub mod influxdb;
pub mod kafka;
pub mod mongodb;
pub mod place;
pub mod places;
pub mod postgres;
pub mod redis;
pub mod secret;
mod section;
pub mod server_url;
pub mod sqlite;
pub mod tantivy;
pub mod tls;

pub use faults::Faults;
pub use finding::{DURABILITY, Durability, Finding, Level};
pub use place::{Place, PlaceError, Role};
pub use secret::Secret;
pub use server_url::ServerUrl;
