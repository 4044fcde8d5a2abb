//! From a store's URL to a connected, version-checked client, and what that client's errors mean.
//!
//! What must stay true: no row is read or written here. One folder a store: `settings.rs` (what it takes),
//! `connect.rs` (how it is reached), `errors.rs` (what its errors ask for).

pub mod clock;
pub mod holder;
pub mod place;
pub mod sqlite;
pub mod tantivy;

pub use place::{Place, PlaceError, Role};
