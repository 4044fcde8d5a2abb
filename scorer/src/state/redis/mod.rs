//! Checkpoints in Redis: a hash each user, and the position beside them by one script.

mod dialect;
mod store;

pub use store::{RedisCheckpoints, read_partitions};
