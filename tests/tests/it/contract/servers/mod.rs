//! The adapters of the servers, for the suites of their roles; and where the servers are.
//!
//! A server is named by `WARDHOUSE_TEST_KAFKA`, `_POSTGRES`, `_MONGODB`, `_INFLUXDB`, `_REDIS`, `_ELASTICSEARCH` (`tests/stack env` prints
//! them). A test that needs one that is not named is ignored with that reason (see `build.rs`). Each place has its own database, bucket,
//! topics, keys or indexes; their names begin with this process's prefix.

pub(crate) mod elasticsearch;
pub(crate) mod influxdb;
pub(crate) mod kafka;
pub(crate) mod mongodb;
pub(crate) mod postgres;
pub(crate) mod redis;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

/// The URL of a test server.
pub(crate) fn url(server: &str) -> Option<String> {
    let variable = format!("WARDHOUSE_TEST_{server}");
    let url = std::env::var(&variable).ok().filter(|url| !url.is_empty());
    assert!(url.is_some(), "{variable} is not set: `tests/stack up` starts the servers, `tests/stack env` prints their URLs");
    url
}

/// What the names of all that this process makes on a server begin with.
pub(crate) fn own_prefix() -> String {
    format!("whtest_{}_", std::process::id())
}

/// The name of a place's own database, bucket or namespace.
pub(crate) fn own_name(place: &Path) -> String {
    let mut hasher = DefaultHasher::new();
    place.hash(&mut hasher);
    format!("{}{:016x}", own_prefix(), hasher.finish())
}
