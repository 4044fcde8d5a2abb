//! What a store has published, while it stays the same: asked for, and read with, at the same time.
//!
//! Rows are seen up to the positions that a store publishes, so that whoever reads asks for the positions first, and then for the rows below
//! them: two ways to the server, one behind the other. Where the positions have not changed for a while they probably will not now.
//!
//! What must stay true: an answer that was asked for with other positions than are found is thrown away; while rows come in nothing is asked
//! for in vain.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::errors::QueryError;

/// For how long positions must have been the same: stores publish a few times a second while rows come in.
const QUIET: Duration = Duration::from_secs(1);

/// The positions that were found last, and since when they have been found so.
#[derive(Debug)]
pub(crate) struct Settled<P>(Mutex<Option<(P, Instant)>>);

impl<P> Default for Settled<P> {
    fn default() -> Settled<P> {
        Settled(Mutex::new(None))
    }
}

impl<P: Clone + PartialEq> Settled<P> {
    /// Finds the positions, and what is answered by them.
    pub(crate) async fn at_once<A>(&self, find: impl AsyncFn() -> Result<P, QueryError>, ask: impl AsyncFn(&P) -> Result<A, QueryError>) -> Result<(P, A), QueryError> {
        self.quiet_for(QUIET, find, ask).await
    }

    async fn quiet_for<A>(&self, quiet: Duration, find: impl AsyncFn() -> Result<P, QueryError>, ask: impl AsyncFn(&P) -> Result<A, QueryError>) -> Result<(P, A), QueryError> {
        if let Some(guessed) = self.known(quiet) {
            let (found, answer) = futures::future::join(find(), ask(&guessed)).await;
            let found = found?;
            self.note(&found);
            return if found == guessed { Ok((found, answer?)) } else { Self::asked(found, ask).await };
        }
        let found = find().await?;
        self.note(&found);
        Self::asked(found, ask).await
    }

    async fn asked<A>(found: P, ask: impl AsyncFn(&P) -> Result<A, QueryError>) -> Result<(P, A), QueryError> {
        let answer = ask(&found).await?;
        Ok((found, answer))
    }

    /// The positions, where they have been the same for so long.
    fn known(&self, quiet: Duration) -> Option<P> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().filter(|(_, since)| since.elapsed() >= quiet).map(|(positions, _)| positions.clone())
    }

    fn note(&self, found: &P) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.as_ref().is_none_or(|(known, _)| known != found) {
            *held = Some((found.clone(), Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[tokio::test]
    async fn what_is_answered_is_answered_by_what_is_found() {
        let settled = Settled::default();
        let asked = RefCell::new(Vec::new());
        let ask = async |position: &i32| -> Result<i32, QueryError> {
            asked.borrow_mut().push(*position);
            Ok(*position * 10)
        };
        let found = async |position: i32, quiet: Duration| settled.quiet_for(quiet, async || Ok(position), &ask).await.unwrap();
        assert_eq!(found(1, Duration::ZERO).await, (1, 10));
        // The same again: asked once. Another one: asked with it, too.
        assert_eq!(found(1, Duration::ZERO).await, (1, 10));
        assert_eq!(found(2, Duration::ZERO).await, (2, 20));
        // Not yet quiet: asked once.
        assert_eq!(found(3, QUIET).await, (3, 30));
        assert_eq!(asked.take(), [1, 1, 1, 2, 3]);
    }

    #[tokio::test]
    async fn what_fails_for_a_guess_is_asked_again_and_what_is_not_found_is_told() {
        let settled = Settled::default();
        let ask = async |position: &i32| -> Result<(), QueryError> { if *position == 1 { Err(QueryError::internal("gone")) } else { Ok(()) } };
        assert!(settled.quiet_for(Duration::ZERO, async || Ok(1), &ask).await.is_err());
        assert!(settled.quiet_for(Duration::ZERO, async || Ok(2), &ask).await.is_ok());
        assert!(settled.quiet_for(Duration::ZERO, async || Err(QueryError::internal("away")), &ask).await.is_err());
    }
}
