//! How the stage of patterns by account runs.
//!
//! What must stay true: each setting but the rules, the group of intake and the build has a default.

use std::time::Duration;

use wh_eventlog::dead_letters::LimitSettings;

use crate::patterns::AccountRules;

/// How the stage runs.
#[derive(Clone, Debug)]
pub struct PatternSettings {
    /// The rules to judge by.
    pub rules: AccountRules,
    /// A checkpoint is written at the latest after this long …
    pub checkpoint_every: Duration,
    /// … or after so many records, but for the rest that a large one is followed by.
    pub checkpoint_records: u64,
    /// How long the stage goes on when the baselines store is away; not at all where a decision waits to be kept.
    pub without_checkpoint: Duration,
    /// How long a partition of the scorer must have had nothing before it until it is no longer waited for.
    pub idle_after: Duration,
    /// The consumer group of intake.
    pub intake: &'static str,
    /// How many dead letters are too many.
    pub dead_letters: LimitSettings,
    /// Version and commit, for dead letters.
    pub build: String,
}

impl PatternSettings {
    /// The defaults, for rules, the group of intake and a build.
    #[must_use]
    pub fn new(rules: AccountRules, intake: &'static str, build: &str) -> PatternSettings {
        PatternSettings {
            rules,
            checkpoint_every: Duration::from_millis(500),
            checkpoint_records: 20_000,
            without_checkpoint: Duration::from_secs(600),
            idle_after: Duration::from_secs(5),
            intake,
            dead_letters: LimitSettings::default(),
            build: build.to_owned(),
        }
    }

    /// How often the log is asked whether anything is before a partition.
    pub(super) fn look_every(&self) -> Duration {
        (self.idle_after / 5).clamp(Duration::from_millis(20), Duration::from_secs(1))
    }
}
