//! The table that a Redis server holds: `baselines.users`.

pub(crate) mod dialect;
pub(crate) mod names;
pub(crate) mod scan;
pub(crate) mod store;

pub(crate) use store::RedisBaselines;
