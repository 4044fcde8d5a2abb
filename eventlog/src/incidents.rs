//! What kind of incident it is when a stage stops by itself.
//!
//! What must stay true: a kind is told by how a sentence begins or what it says word by word; the words stand here, and whoever says them
//! takes them from here or is tested against them.

use wh_schemas::Reaction;

/// Event type of an incident in `system-events`.
pub const OPENED: &str = "incident_opened";

/// What is said of a position that the log no longer holds.
pub(crate) const RECORDS_GONE: &str = "records between are gone";
/// What is said of a store that is not this log's.
pub const ANOTHER_LOG: &str = "was filled from another log";

/// The kind of an incident: `position_gone`, `too_many_dead_letters`, `another_log`, or the reaction's class.
#[must_use]
pub fn kind(reaction: &Reaction) -> &'static str {
    let said = reaction.to_string();
    if [RECORDS_GONE, "the position is not there", "reaches back to offset"].iter().any(|word| said.contains(word)) {
        "position_gone"
    } else if said.contains(crate::dead_letters::TOO_MANY) {
        "too_many_dead_letters"
    } else if said.contains(ANOTHER_LOG) {
        "another_log"
    } else {
        reaction.class()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letters::{Limit, LimitSettings};
    use crate::{Record, embedded};
    use tokio::time::Instant;
    use wh_schemas::topics::{self, RISK_SCORES};

    #[tokio::test(flavor = "multi_thread")]
    async fn what_stages_say_has_a_kind() {
        let folder = tempfile::tempdir().unwrap();
        let log = embedded::EmbeddedLog::open(folder.path(), embedded::Settings::default()).unwrap();
        crate::Log::ensure_topics(&*log, &topics::ALL, 3).await.unwrap();
        let gone = crate::Reader::read(&*log, RISK_SCORES, 0, 7, 1).await.unwrap_err();
        assert_eq!(kind(&gone), "position_gone");
        let mut limit = Limit::new(LimitSettings { per_minute: 1, percent: 0 });
        let many = limit.admit(Instant::now(), &[Record::new("a", "a"), Record::new("b", "b")]).unwrap_err();
        assert_eq!(kind(&many), "too_many_dead_letters");
        assert_eq!(kind(&Reaction::fatal("no such table")), "fatal");
    }
}
