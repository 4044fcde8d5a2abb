//! Errors sorted by what to do about them. Every boundary to a store or the log ends in one of these.

use std::time::Duration;

/// What a caller does with a failure.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Reaction {
    /// This row is bad: dead letter after one try.
    #[error("rejected: {0}")]
    Rejected(String),
    /// The store is busy or away: try again, for ever, with backoff.
    #[error("{message}")]
    Transient {
        /// What failed, on what.
        message: String,
        /// How long the store asked to be left alone.
        retry_after: Option<Duration>,
    },
    /// Credentials, schema or disk: stop this stage and say so.
    #[error("{0}")]
    Fatal(String),
}

impl Reaction {
    /// A transient failure without a wish of the store's own.
    pub fn transient(message: impl Into<String>) -> Self {
        Reaction::Transient { message: message.into(), retry_after: None }
    }

    /// A failure that ends the stage.
    pub fn fatal(message: impl Into<String>) -> Self {
        Reaction::Fatal(message.into())
    }

    /// The class's name as it stands in dead letters and metrics.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Reaction::Rejected(_) => "rejected",
            Reaction::Transient { .. } => "transient",
            Reaction::Fatal(_) => "fatal",
        }
    }
}
