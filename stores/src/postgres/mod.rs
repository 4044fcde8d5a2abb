//! PostgreSQL, the server of the ledger role.

pub mod checks;
pub mod connect;
pub mod errors;
pub mod layout;
pub mod metadata;
mod removal;
pub mod settings;
pub mod text;
pub mod values;

pub use checks::examine;
pub use connect::connect;
pub use errors::{in_words, reaction};
pub use removal::drop_database;
pub use settings::{PostgresSettings, RawPostgres};
