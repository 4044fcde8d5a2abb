//! Which log a store is filled from: offsets and seqs of one log mean nothing in another, and rows would be passed over in silence.
//!
//! What must stay true: the store keeps the log's mark before its first row is written, and never another one; a store that keeps another
//! mark is written by nobody; one that keeps none, because an earlier version filled it, is given one only after its positions were found
//! to fit this log.

use wh_eventlog::Reader;
use wh_eventlog::incidents::ANOTHER_LOG;
use wh_schemas::{Reaction, ids};

use super::{Store, witness};

/// What is known of a store and the log that it is to be filled from.
#[derive(Debug, Default)]
pub struct Binding {
    /// The log's mark, once it was asked.
    ours: Option<u64>,
    /// Whether the store keeps it.
    is_kept: bool,
}

impl Binding {
    async fn ours(&mut self, log: &dyn Reader) -> Result<u64, Reaction> {
        match self.ours {
            Some(ours) => Ok(ours),
            None => Ok(*self.ours.insert(ids::log_mark(&log.identity().await?))),
        }
    }

    /// Compares the store with the log: whenever the store is asked where it stands, since it may have been restored meanwhile.
    ///
    /// # Errors
    /// Fatal where the store was filled from another log, or the log was set back; transient while one of them does not answer.
    pub async fn check(&mut self, log: &dyn Reader, store: &mut dyn Store) -> Result<(), Reaction> {
        let ours = self.ours(log).await?;
        self.is_kept = false;
        let Some(theirs) = store.log().await? else { return Ok(()) };
        agree(store.role(), ours, theirs)?;
        witness::check(log, store).await?;
        self.is_kept = true;
        Ok(())
    }

    /// Whether the store was found to keep the log's mark.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// Sees that the store keeps the log's mark: before anything is written, and after its positions were found to fit.
    ///
    /// # Errors
    /// As [`Binding::check`].
    pub async fn keep(&mut self, log: &dyn Reader, store: &mut dyn Store) -> Result<(), Reaction> {
        if self.is_kept {
            return Ok(());
        }
        let ours = self.ours(log).await?;
        agree(store.role(), ours, store.bind(ours).await?)?;
        self.is_kept = true;
        Ok(())
    }
}

fn agree(role: &str, ours: u64, theirs: u64) -> Result<(), Reaction> {
    if ours == theirs {
        return Ok(());
    }
    Err(Reaction::fatal(format!(
        "{role}: the store {ANOTHER_LOG} (it keeps the mark {theirs:013x}, this log's is {ours:013x}): name the log that belongs to it in stores.log, or another place for the {role} store, which \
         this log then fills as far as it reaches back; nothing was written"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_of_another_log_is_told_in_words() {
        assert!(agree("ledger", 7, 7).is_ok());
        let told = agree("ledger", 7, 0xab).unwrap_err();
        assert_eq!((told.class(), wh_eventlog::incidents::kind(&told)), ("fatal", "another_log"));
        assert!(told.to_string().contains("was filled from another log (it keeps the mark 00000000000ab"), "{told}");
    }
}
