//! The one time base of a measurement: monotonic microseconds since it began, the same for who sends and who reads back.

use std::time::{Duration, Instant};

/// When a measurement began.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    zero: Instant,
}

impl Clock {
    /// It begins now.
    #[must_use]
    pub fn start() -> Clock {
        Clock { zero: Instant::now() }
    }

    /// Microseconds since then.
    #[must_use]
    pub fn micros(&self) -> u64 {
        u64::try_from(self.zero.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The instant of so many microseconds.
    #[must_use]
    pub fn instant(&self, micros: u64) -> tokio::time::Instant {
        (self.zero + Duration::from_micros(micros)).into()
    }
}
