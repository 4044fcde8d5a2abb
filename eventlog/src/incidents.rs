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
/// What is said of a log that no longer holds what a store has taken from it.
pub const SET_BACK: &str = "was set back";

/// What is said of a producer that takes nothing any more: what was under way may stand in the log or not, and nothing comes behind it.
pub const PRODUCER_ENDED: &str = "producing cannot go on without a gap";

/// Whether a call failed because its producer has ended, rather than for what it wrote: the next call finds another producer. For whoever may
/// write the same twice; a stage reads from the log first what stands there, which takes a fresh start.
#[must_use]
pub fn ended_with_its_producer(reaction: &Reaction) -> bool {
    matches!(reaction, Reaction::Fatal(message) if message.contains(PRODUCER_ENDED))
}

/// A failure as it is for whoever may write the same twice: behind a producer that has ended, it is tried again with another.
#[must_use]
pub fn may_come_twice(reaction: Reaction) -> Reaction {
    if ended_with_its_producer(&reaction) { Reaction::transient(reaction.to_string()) } else { reaction }
}

/// The kind of an incident: `position_gone`, `too_many_dead_letters`, `another_log`, `log_set_back`, `producer_ended`, or the reaction's class.
#[must_use]
pub fn kind(reaction: &Reaction) -> &'static str {
    let said = reaction.to_string();
    if [RECORDS_GONE, "the position is not there", "reaches back to offset"].iter().any(|word| said.contains(word)) {
        "position_gone"
    } else if said.contains(crate::dead_letters::TOO_MANY) {
        "too_many_dead_letters"
    } else if said.contains(ANOTHER_LOG) {
        "another_log"
    } else if said.contains(SET_BACK) {
        "log_set_back"
    } else if ended_with_its_producer(reaction) {
        "producer_ended"
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
        assert_eq!(kind(&Reaction::fatal(format!("a broker: {PRODUCER_ENDED}"))), "producer_ended");
        assert_eq!(kind(&Reaction::fatal("no such table")), "fatal");
    }
}
