//! Which build this is.

/// Version and commit.
pub(crate) const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("WARDHOUSE_COMMIT"), ")");
