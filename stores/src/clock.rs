//! The only place that reads the system's clock. Scores never depend on it.

use std::time::{SystemTime, UNIX_EPOCH};

use wh_schemas::Micros;

/// The present instant.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
#[must_use]
pub fn now() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
