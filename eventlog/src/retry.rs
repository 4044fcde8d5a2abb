//! Trying again what failed for the moment: for ever, with capped and jittered waits, until told to stop.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use wh_schemas::Reaction;

use crate::gauges::Gauges;

const FIRST: Duration = Duration::from_millis(50);
/// How long an attempt goes on after a stop.
const LAST_TRY: Duration = Duration::from_secs(5);
/// What comes back is noticed within it, by whoever waits as by a sink (`Limits::retry_longest`).
const LONGEST: Duration = Duration::from_secs(2);

/// Waits between tries: doubling up to a cap, each shortened at random by up to half.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    next: Duration,
    longest: Duration,
    seed: u64,
}

impl Default for Backoff {
    /// From 50 ms to 2 s.
    fn default() -> Self {
        Backoff::within(FIRST, LONGEST, u64::from(std::process::id()))
    }
}

impl Backoff {
    /// From `first` to `longest`; the same seed gives the same waits.
    #[must_use]
    pub fn within(first: Duration, longest: Duration, seed: u64) -> Backoff {
        Backoff { first, next: first, longest, seed: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 }
    }

    /// The wait before the next try; at least what the store asked for.
    pub fn wait(&mut self, retry_after: Option<Duration>) -> Duration {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        let half = self.next / 2;
        let jitter = Duration::from_millis(self.seed % (u64::try_from(half.as_millis()).unwrap_or(1) + 1));
        let wait = half + jitter;
        self.next = (self.next * 2).min(self.longest);
        wait.max(retry_after.unwrap_or_default())
    }

    /// Begins at the shortest wait again; the chances go on.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

/// Lets a transient failure pass, told (once a second at most) and after a short wait, where what failed will be tried again anyway: `None` then.
///
/// # Errors
/// What is not transient.
pub async fn tolerated<T>(result: Result<T, Reaction>, gauges: &Gauges) -> Result<Option<T>, Reaction> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Reaction::Transient { message, retry_after }) => {
            Gauges::add(&gauges.retries, 1);
            if let Some(silent) = gauges.tells_failure(Instant::now()) {
                tracing::warn!(stage = gauges.stage, alike_not_told = silent, "{message}");
            }
            tokio::time::sleep(retry_after.unwrap_or(FIRST)).await;
            Ok(None)
        }
        Err(other) => Err(other),
    }
}

/// Runs `attempt` until it succeeds or fails for good. `None` when stopped while waiting.
///
/// # Errors
/// What is not transient.
pub async fn until_settled<T, F>(stop: &CancellationToken, gauges: &Gauges, mut attempt: impl FnMut() -> F) -> Result<Option<T>, Reaction>
where
    F: Future<Output = Result<T, Reaction>>,
{
    let mut backoff = Backoff::default();
    let mut tries = 0_u32;
    loop {
        // What was begun gets some seconds to end: a log that is away would hold up a stop for ever.
        let outcome = tokio::select! {
            outcome = attempt() => outcome,
            () = async { stop.cancelled().await; tokio::time::sleep(LAST_TRY).await } => return Ok(None),
        };
        match outcome {
            Ok(value) => return Ok(Some(value)),
            Err(Reaction::Transient { message, retry_after }) => {
                tries += 1;
                Gauges::add(&gauges.retries, 1);
                let wait = backoff.wait(retry_after);
                if tries.is_power_of_two() {
                    tracing::warn!(stage = gauges.stage, tries, wait_ms = u64::try_from(wait.as_millis()).unwrap_or(0), "{message}");
                }
                tokio::select! {
                    () = stop.cancelled() => return Ok(None),
                    () = tokio::time::sleep(wait) => {}
                }
            }
            Err(other) => return Err(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_cap_and_obey_the_store() {
        let mut backoff = Backoff::default();
        let waits: Vec<Duration> = (0..20).map(|_| backoff.wait(None)).collect();
        assert!(waits[0] <= FIRST && waits[19] >= LONGEST / 2 && waits.iter().all(|w| *w <= LONGEST), "{waits:?}");
        assert!(backoff.wait(Some(Duration::from_secs(60))) >= Duration::from_secs(60));
    }
}
