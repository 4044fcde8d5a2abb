//! How the scorer's stage runs.
//!
//! What must stay true: each setting but the rules and the build has a default.

use std::time::Duration;

use wh_eventlog::dead_letters::LimitSettings;

use crate::dedup;
use crate::engine::Ruleset;

/// How the stage runs.
#[derive(Clone, Debug)]
pub struct StageSettings {
    /// The rules to score by, until a control record says otherwise.
    pub ruleset: Ruleset,
    /// How many transaction ids each partition remembers.
    pub dedup_horizon: usize,
    /// A checkpoint is written at the latest after this long.
    pub checkpoint_every: Duration,
    /// … or after so many records.
    pub checkpoint_records: u64,
    /// A snapshot goes to `scorer-state` after so many records …
    pub snapshot_records: u64,
    /// … or after this long, if anything changed.
    pub snapshot_every: Duration,
    /// How long the scorer goes on when the baselines store is away: all can be reproduced from the log.
    pub without_checkpoint: Duration,
    /// Where neither the baselines store nor the log reaches back far enough, begins with an empty state and a new `state_epoch`.
    pub cold_start: bool,
    /// How many dead letters are too many.
    pub dead_letters: LimitSettings,
    /// Version and commit, for dead letters.
    pub build: String,
}

impl StageSettings {
    /// The defaults, for a ruleset and a build.
    #[must_use]
    pub fn new(ruleset: Ruleset, build: &str) -> StageSettings {
        StageSettings {
            ruleset,
            dedup_horizon: dedup::DEFAULT_HORIZON,
            checkpoint_every: Duration::from_millis(500),
            checkpoint_records: 20_000,
            snapshot_records: 200_000,
            snapshot_every: Duration::from_secs(60),
            without_checkpoint: Duration::from_secs(600),
            cold_start: false,
            dead_letters: LimitSettings::default(),
            build: build.to_owned(),
        }
    }
}
