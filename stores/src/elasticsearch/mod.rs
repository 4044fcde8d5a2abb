//! Elasticsearch, a server of the search role.

pub mod checks;
pub mod connect;
pub mod errors;
pub mod layout;
pub mod positions;
pub mod rollover;
pub mod settings;

pub use connect::{Client, Method, connect};
pub use errors::Failure;
pub use rollover::Rollover;
pub use settings::{ElasticsearchSettings, RawElasticsearch};
