//! MongoDB, the server of the documents role.

mod agreement;
pub mod checks;
pub mod connect;
pub mod errors;
pub mod json;
pub mod layout;
pub mod rows;
pub mod settings;

pub use checks::examine;
pub use connect::{Connected, connect};
pub use settings::{MongodbSettings, RawMongodb};
