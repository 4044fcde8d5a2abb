//! Redis, the server of the baselines role.

pub mod checks;
pub mod connect;
pub mod errors;
pub mod layout;
pub mod settings;

pub use connect::{Link, connect};
pub use errors::{Failure, reaction};
pub use layout::Keys;
pub use settings::{RawRedis, RedisSettings};
