//! Comparing behind the live stream, round after round.
//!
//! What must stay true: never more rows a second than was allowed, so that the stores answer others; a store that is away keeps no other from being
//! compared, and is compared by the next round; what a round came to is written before the next begins. It may be ended at any moment.

use std::time::Duration;

use tokio::time::Instant;
use wh_eventlog::Log;
use wh_schemas::Reaction;
use wh_sinks::reconcile::StoredRows;

use super::report::{self, Journal};
use super::{Options, Tell, Told, reconcile};

/// How stores are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchSettings {
    /// A round begins so long after the one before.
    pub every: Duration,
    /// Rows a second at most.
    pub rate: u64,
    /// How long rows are kept; `None` for ever.
    pub retention: Option<Duration>,
}

/// Compares stores whole, round after round, for ever.
///
/// # Errors
/// Fatal where the log or a store can never be read.
pub async fn watch(log: &dyn Log, stores: &mut [Box<dyn StoredRows>], settings: WatchSettings, tell: Tell<'_>) -> Result<(), Reaction> {
    loop {
        let begun = Instant::now();
        for rows in stores.iter_mut() {
            round(log, &mut **rows, settings, &mut *tell).await?;
        }
        tokio::time::sleep(settings.every.saturating_sub(begun.elapsed())).await;
    }
}

/// Compares one store, and writes what it came to.
async fn round(log: &dyn Log, rows: &mut dyn StoredRows, settings: WatchSettings, tell: Tell<'_>) -> Result<(), Reaction> {
    let options = Options { retention: settings.retention, rate: Some(settings.rate), ..Options::default() };
    let store = rows.role();
    let mut journal = Journal::begin();
    let mut take = |told: Told<'_>| {
        journal.take(&told);
        tell(told);
    };
    let compared = reconcile(log, rows, None, options, &mut take).await;
    let ended = match compared {
        Ok(_) => report::write(log, journal.events()).await,
        Err(other) => Err(other),
    };
    match ended {
        Err(Reaction::Transient { message, .. }) => {
            tell(Told::Note(format!("{store}: {message}; it is compared by the next round")));
            Ok(())
        }
        ended => ended,
    }
}
