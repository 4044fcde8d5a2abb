//! Checkpoints in Redis: a hash each user, and the position beside them by one script.

mod dialect;
mod patterns;
mod store;
mod users;

pub use patterns::read_patterns;
pub use store::{RedisCheckpoints, read_checkpoints, read_partitions};
