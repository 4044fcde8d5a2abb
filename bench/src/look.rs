//! A look at everything at once: what was sent, scored and stored by then, and what the processes had used; and what two looks tell.
//!
//! What must stay true: what is told of a time is the difference of two looks by the clock of both, never of a look by what it was meant for.

use std::collections::BTreeMap;

use crate::processes::{Used, Watched, busiest, by_name, disk_waits_us, machine_busy_s, used};
use crate::report::{ProcessUse, Second};
use crate::session::{GENERATOR, Session};

/// Everything as it was at an instant.
pub struct Look {
    /// When: microseconds of the measurement's clock.
    pub at: u64,
    /// Transactions that the log had acknowledged.
    pub sent: u64,
    /// Transactions that had been scored.
    pub scored: u64,
    /// Scored records that each store showed.
    pub reached: BTreeMap<&'static str, u64>,
    used: BTreeMap<String, Used>,
    disk_waits: Option<u64>,
    busy: Option<f64>,
    watched: Vec<Watched>,
}

#[expect(clippy::cast_precision_loss, reason = "counts and microseconds of a run")]
fn real(count: u64) -> f64 {
    count as f64
}

impl Look {
    /// Looks.
    ///
    /// # Errors
    /// Where it cannot.
    pub async fn now(session: &Session) -> Result<Look, String> {
        let watched = session.watched.clone();
        // Some milliseconds of files in /proc: not on a thread that sends.
        let looked = tokio::task::spawn_blocking(move || (used(&watched), disk_waits_us(), machine_busy_s(), watched));
        let (used, disk_waits, busy, watched) = looked.await.map_err(|error| error.to_string())?;
        let reached = session.watching.iter().map(|watching| (watching.role.as_str(), watching.reached())).collect();
        let shared = &session.shared;
        Ok(Look { at: shared.clock.micros(), sent: shared.sent_so_far(), scored: shared.scored_so_far(), reached, used, disk_waits, busy, watched })
    }

    /// Records sent and not yet in the slowest store.
    #[must_use]
    pub fn lag(&self) -> f64 {
        real(self.sent.saturating_sub(self.reached.values().copied().min().unwrap_or(0)))
    }

    /// Seconds since an earlier look.
    #[must_use]
    pub fn seconds_since(&self, before: &Look) -> f64 {
        real(self.at.saturating_sub(before.at).max(1)) / 1e6
    }

    fn cpu(&self, name: &str) -> f64 {
        self.used.get(name).map_or(0.0, |used| used.cpu_s)
    }

    /// Resident memory of each process.
    pub fn memory(&self) -> impl Iterator<Item = (&str, u64)> {
        self.used.iter().map(|(name, used)| (name.as_str(), used.rss_bytes))
    }

    /// What happened since an earlier look; `from` is when the measured time began.
    #[must_use]
    pub fn second(&self, before: &Look, from: u64, p99_us: Option<u64>) -> Second {
        let elapsed = self.seconds_since(before);
        let cores = |ours: bool| {
            let names = self.watched.iter().filter(|one| one.ours == ours && one.name != GENERATOR);
            names.map(|one| (self.cpu(&one.name) - before.cpu(&one.name)).max(0.0)).sum::<f64>() / elapsed
        };
        let ours = self.watched.iter().filter(|one| one.ours && one.name != GENERATOR);
        let stored = |role: &'static str, reached: u64| (role.to_owned(), reached.saturating_sub(before.reached.get(role).copied().unwrap_or(0)));
        Second {
            t_s: (real(self.at) - real(from)) / 1e6,
            sent: self.sent.saturating_sub(before.sent),
            scored: self.scored.saturating_sub(before.scored),
            by_store: self.reached.iter().map(|(role, reached)| stored(role, *reached)).collect(),
            lag: self.lag(),
            p99_us,
            cpu_ours: cores(true),
            cpu_servers: cores(false),
            rss_bytes: ours.filter_map(|one| self.used.get(&one.name)).map(|used| used.rss_bytes).sum(),
        }
    }

    /// What each process used since an earlier look, in which so many transactions were sent. `most` is the most memory that was seen.
    #[must_use]
    pub fn processes(&self, before: &Look, most: &BTreeMap<String, u64>) -> Vec<ProcessUse> {
        let (elapsed, sent) = (self.seconds_since(before), real(self.sent.saturating_sub(before.sent).max(1)));
        let told = |one: &Watched| {
            let (earlier, later) = (before.used.get(&one.name)?, self.used.get(&one.name)?);
            let cpu_s = (later.cpu_s - earlier.cpu_s).max(0.0);
            let (busiest_thread, busiest_thread_cores) = busiest(earlier, later, elapsed);
            Some(ProcessUse {
                name: one.name.clone(),
                ours: one.ours,
                cpu_s,
                cpu_us_per_tx: cpu_s * 1e6 / sent,
                cores: cpu_s / elapsed,
                rss_bytes_max: most.get(&one.name).copied().unwrap_or(0).max(later.rss_bytes),
                fds: later.fds,
                written_bytes: later.written_bytes.saturating_sub(earlier.written_bytes),
                busiest_thread_cores,
                busiest_thread,
            })
        };
        self.watched.iter().filter_map(told).collect()
    }

    /// CPU of a transaction by the names of a process's threads.
    #[must_use]
    pub fn threads(&self, before: &Look, process: &str) -> BTreeMap<String, f64> {
        let sent = real(self.sent.saturating_sub(before.sent).max(1));
        match (before.used.get(process), self.used.get(process)) {
            (Some(earlier), Some(later)) => by_name(earlier, later).into_iter().map(|(name, cpu)| (name, cpu * 1e6 / sent)).collect(),
            _ => BTreeMap::new(),
        }
    }

    /// Cores that processes which are not watched kept busy since an earlier look, those that are having used `watched`.
    #[must_use]
    pub fn other_cores(&self, before: &Look, watched: &[ProcessUse]) -> f64 {
        let known: f64 = watched.iter().map(|process| process.cores).sum();
        match (before.busy, self.busy) {
            (Some(earlier), Some(later)) => ((later - earlier) / self.seconds_since(before) - known).max(0.0),
            _ => 0.0,
        }
    }

    /// Part of the time since an earlier look in which something waited for the disks; 0 where that is not told.
    #[must_use]
    pub fn disk_waits(&self, before: &Look) -> f64 {
        match (before.disk_waits, self.disk_waits) {
            (Some(earlier), Some(later)) => (real(later.saturating_sub(earlier)) / 1e6 / self.seconds_since(before)).min(1.0),
            _ => 0.0,
        }
    }
}
