//! SQLite, the embedded store of five roles.

pub mod connect;
pub mod errors;
pub mod settings;

pub use connect::{open_reader, open_writer};
pub use errors::reaction;
pub use settings::Settings;
