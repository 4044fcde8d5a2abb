//! Time and CPU of one way of writing.
//!
//! What must stay true: asking for the server's CPU, which may take milliseconds, is not measured.

use std::sync::Arc;
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::report::RawRate;

/// CPU seconds that a store's own processes have used so far; `None` where they are not known.
pub type ServerCpu = Arc<dyn Fn() -> Option<f64> + Send + Sync>;

/// Of a store that has no process of its own, or is on another machine.
#[must_use]
pub fn no_server() -> ServerCpu {
    Arc::new(|| None)
}

/// Time and CPU since it was started.
pub struct Meter {
    server: ServerCpu,
    served: Option<f64>,
    used: f64,
    begun: Instant,
}

/// What some rows took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Took {
    /// Rows, in whatever unit.
    pub rows: usize,
    /// Bytes that were sent for them.
    pub bytes: usize,
    /// From the first byte to the last acknowledgement.
    pub seconds: f64,
    /// CPU seconds of this process.
    pub client: f64,
    /// CPU seconds of the server.
    pub server: Option<f64>,
}

impl Meter {
    /// Begins.
    #[must_use]
    pub fn start(server: &ServerCpu) -> Meter {
        let served = server();
        Meter { server: Arc::clone(server), served, used: used(), begun: Instant::now() }
    }

    /// Ends, so many rows having been written in so many bytes.
    #[must_use]
    pub fn stop(self, rows: usize, bytes: usize) -> Took {
        let seconds = self.begun.elapsed().as_secs_f64();
        let client = used() - self.used;
        let server = self.served.and_then(|before| Some((self.server)()? - before));
        Took { rows, bytes, seconds, client, server }
    }
}

impl Took {
    /// The same of rows in another unit.
    #[must_use]
    pub fn of(self, rows: usize) -> Took {
        Took { rows, ..self }
    }

    /// Rows a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rows as f64 / self.seconds.max(1e-9)
    }

    /// CPU-µs of this process a row.
    #[must_use]
    pub fn client_micros(&self) -> f64 {
        self.client * 1e6 / self.rows.max(1) as f64
    }

    /// CPU-µs of the server a row.
    #[must_use]
    pub fn server_micros(&self) -> Option<f64> {
        self.server.map(|server| server * 1e6 / self.rows.max(1) as f64)
    }

    /// The line of a report.
    #[must_use]
    pub fn raw_rate(&self, store: &str, way: &str) -> RawRate {
        RawRate {
            store: store.to_owned(),
            way: way.to_owned(),
            rows_per_s: self.rate(),
            bytes_per_row: self.bytes as f64 / self.rows.max(1) as f64,
            client_cpu_us: self.client_micros(),
            server_cpu_us: self.server_micros(),
            ..RawRate::default()
        }
    }
}

/// CPU seconds of this process.
fn used() -> f64 {
    getrusage(UsageWho::RUSAGE_SELF).map_or(0.0, |usage| (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rows_took_is_told_by_row() {
        let took = Took { rows: 1_000, bytes: 500_000, seconds: 2.0, client: 0.01, server: Some(0.02) };
        let rate = took.of(2_000).raw_rate("ledger", "COPY");
        assert_eq!((rate.rows_per_s, rate.bytes_per_row, rate.client_cpu_us, rate.server_cpu_us), (1_000.0, 250.0, 5.0, Some(10.0)));
        assert_eq!((rate.pipeline_rows_per_s, rate.ratio), (None, None));
        assert_eq!(Took { server: None, ..took }.server_micros(), None);
    }

    #[test]
    fn a_server_that_is_not_known_has_no_cpu() {
        let took = Meter::start(&no_server()).stop(10, 100);
        assert_eq!((took.rows, took.bytes, took.server), (10, 100, None));
        assert!(took.seconds >= 0.0 && took.client >= 0.0);
    }
}
