//! Whether a store and a log belong together. Pure.
//!
//! What must stay true: the store's own word counts, the log's note may be ahead of a store that was restored from a backup; nothing is
//! written into a store that was filled from another log, as far as positions can tell.

use wh_eventlog::Bounds;
use wh_eventlog::incidents::{ANOTHER_LOG, SET_BACK};
use wh_schemas::Reaction;

use super::protocol::Place;
use crate::delivery::StorePosition;

/// Judges a partition that is to be placed where the store says. `known` tells whether the log has a word of this group, or the store
/// keeps the mark of this log.
///
/// # Errors
/// Fatal where the store was filled from another log.
pub(super) fn judge(role: &str, place: &Place, position: &StorePosition, bounds: Bounds, known: bool) -> Result<(), Reaction> {
    let (topic, partition) = place;
    let (next, end) = (position.next_offset, bounds.end);
    if next > end {
        return Err(Reaction::fatal(format!(
            "{role}: the store has come to offset {next} of {topic} partition {partition}, and this log ends at {end}: the store {ANOTHER_LOG}, or the log was emptied or {SET_BACK}: \
             restore both from the same backup, name the log that belongs to it in stores.log, or another place for the {role} store"
        )));
    }
    // A store whose first block is still open goes on from 0, and holds rows all the same.
    if !known && (next > 0 || position.visible_seq > 0) {
        return Err(Reaction::fatal(format!(
            "{role}: the store has come to offset {next} of {topic} partition {partition}, and this log knows nothing of the group {role}: the store {ANOTHER_LOG}, or was \
             stopped for longer than the log keeps positions; name the log that belongs to it in stores.log, or, where it is this one, set the group's offset to {next} by hand"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(next_offset: u64, visible_seq: u64, end: u64, known: bool) -> Result<(), String> {
        let position = StorePosition { next_offset, visible_seq, ..StorePosition::default() };
        judge("ledger", &("risk-scores".into(), 0), &position, Bounds { start: 0, end }, known).map_err(|reaction| reaction.to_string())
    }

    #[test]
    fn a_store_that_is_ahead_of_the_log_or_that_the_log_does_not_know_is_refused() {
        assert_eq!(judged(5, 5, 5, true), Ok(()));
        assert_eq!(judged(0, 0, 9, false), Ok(()));
        assert!(judged(6, 5, 5, true).is_err_and(|word| word.contains("this log ends at 5")));
        assert!(judged(3, 3, 9, false).is_err_and(|word| word.contains("knows nothing of the group ledger")));
        assert!(judged(0, 3, 9, false).is_err_and(|word| word.contains("was filled from another log")), "an open block");
    }
}
