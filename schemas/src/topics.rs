//! The topics' names and what each is kept for. Names are made here and nowhere else.

/// Partitions of a topic that is keyed by user or account, unless the settings say otherwise.
pub const DEFAULT_PARTITIONS: u32 = 3;
/// How long a topic keeps its records: 168 hours.
pub const DEFAULT_RETENTION_MS: i64 = 168 * 3_600_000;

/// Raw transactions as any producer sends them.
pub const HOSPITAL_TRANSACTIONS: &str = "hospital-transactions";
/// Validated transactions, partitioned by user.
pub const ACCEPTED_TRANSACTIONS: &str = "accepted-transactions";
/// Scored transactions and duplicates, one dense `seq` a partition.
pub const RISK_SCORES: &str = "risk-scores";
/// Alerts, for whoever listens.
pub const RISK_ALERTS: &str = "risk-alerts";
/// What patterns by account read: everything in partition 0, since a chain over several accounts needs them in one place.
pub const ACCOUNT_ACTIVITY: &str = "account-activity";
/// Ruleset changes, priors, releases from quarantine.
pub const SCORER_CONTROL: &str = "scorer-control";
/// Audit events and system metrics of all stages.
pub const SYSTEM_EVENTS: &str = "system-events";
/// Snapshots of the scorer's state.
pub const SCORER_STATE: &str = "scorer-state";
/// Records that a stage could not take, as original bytes.
pub const DEAD_LETTERS: &str = "dead-letters";

/// How one topic is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name in the log.
    pub name: &'static str,
    /// `true`: always one partition; else as many as the settings say.
    pub single_partition: bool,
    /// Milliseconds after append; −1 for ever.
    pub retention_ms: i64,
    /// Keeps the latest record of each key.
    pub compacted: bool,
}

impl TopicSpec {
    /// How many partitions a new topic gets where the settings ask for `partitions`.
    #[must_use]
    pub fn wanted(&self, partitions: u32) -> u32 {
        if self.single_partition { 1 } else { partitions }
    }

    /// Whether a topic that is there with `found` partitions can be gone on with.
    ///
    /// `account-activity` was once made with as many partitions as the others, and nothing was ever written into it then. Such a topic
    /// is kept: partition 0 is written and read, the others stay empty. Of no other topic can partitions be left unused.
    #[must_use]
    pub fn admits(&self, found: u32, partitions: u32) -> bool {
        found == self.wanted(partitions) || (self.name == ACCOUNT_ACTIVITY && found > 1)
    }
}

const fn topic(name: &'static str) -> TopicSpec {
    TopicSpec { name, single_partition: false, retention_ms: DEFAULT_RETENTION_MS, compacted: false }
}

/// Every topic.
pub const ALL: [TopicSpec; 9] = [
    topic(HOSPITAL_TRANSACTIONS),
    topic(ACCEPTED_TRANSACTIONS),
    topic(RISK_SCORES),
    topic(RISK_ALERTS),
    TopicSpec { single_partition: true, ..topic(ACCOUNT_ACTIVITY) },
    TopicSpec { single_partition: true, retention_ms: -1, ..topic(SCORER_CONTROL) },
    TopicSpec { single_partition: true, ..topic(SYSTEM_EVENTS) },
    TopicSpec { retention_ms: -1, compacted: true, ..topic(SCORER_STATE) },
    topic(DEAD_LETTERS),
];

/// The name under which SQL shows a topic: `-` becomes `_`.
#[must_use]
pub fn sql_name(topic: &str) -> String {
    topic.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_account_activity_may_have_partitions_that_are_not_used() {
        for spec in ALL {
            assert!(spec.admits(spec.wanted(3), 3), "{}", spec.name);
            assert_eq!(spec.admits(5, 3), spec.name == ACCOUNT_ACTIVITY, "{}", spec.name);
            assert!(!spec.admits(0, 3), "{}", spec.name);
        }
    }
}
