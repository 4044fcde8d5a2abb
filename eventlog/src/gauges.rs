//! What a stage tells of itself while it runs: counters and latencies that the status line and `/metrics` read.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use wh_schemas::dead_letter as header;

use crate::Record;

/// Largest latency that is told apart: ten minutes.
const LARGEST_MICROS: u64 = 600_000_000;
/// Kinds of dead letters that are told apart; what is of another kind counts together.
const KINDS: usize = 100;
/// Longest class of a kind: the classes of a record with many faults are joined.
const CLASS_CHARS: usize = 120;

/// How often at most a stage tells that it tries again: what is away is asked many times a second.
const TELLS_EVERY: Duration = Duration::from_secs(1);

/// Dead letters that are alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LetterKind {
    /// Class of the error.
    pub class: String,
    /// The same for records that fail alike.
    pub fingerprint: String,
}

/// Counters of one stage.
#[derive(Debug)]
pub struct Gauges {
    /// The stage's name, e.g. `scorer` or `ledger`.
    pub stage: &'static str,
    /// Records settled since the process started.
    pub records: AtomicU64,
    /// Records that became dead letters.
    pub dead_letters: AtomicU64,
    /// Alerts raised (scorer) or stored (sinks).
    pub alerts: AtomicU64,
    /// Writes that were tried again.
    pub retries: AtomicU64,
    /// What this stage waits for before all that it has taken counts: partitions of the scorer that may still bring something earlier
    /// (patterns); 0 of any other stage.
    pub waiting: AtomicU64,
    reached: Mutex<BTreeMap<(String, u32), u64>>,
    letters: Mutex<BTreeMap<LetterKind, u64>>,
    latency: Mutex<Latencies>,
    told: Mutex<Told>,
}

/// When a stage told last that it tries again, and how often it has kept silent since.
#[derive(Debug, Default)]
struct Told {
    last: Option<Instant>,
    silent: u64,
}

#[derive(Debug)]
struct Latencies {
    append_to_visible: Option<Histogram<u64>>,
    write: Option<Histogram<u64>>,
}

fn histogram() -> Option<Histogram<u64>> {
    Histogram::new_with_bounds(1, LARGEST_MICROS, 2).ok()
}

impl Gauges {
    /// All at zero.
    #[must_use]
    pub fn new(stage: &'static str) -> Gauges {
        Gauges {
            stage,
            records: AtomicU64::new(0),
            dead_letters: AtomicU64::new(0),
            alerts: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            reached: Mutex::new(BTreeMap::new()),
            letters: Mutex::new(BTreeMap::new()),
            latency: Mutex::new(Latencies { append_to_visible: histogram(), write: histogram() }),
            told: Mutex::new(Told::default()),
        }
    }

    /// Whether a failure that is tried again may be told now, once a second at most: how many were not told since the last one that was.
    pub(crate) fn tells_failure(&self, now: Instant) -> Option<u64> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.last.is_some_and(|last| now.saturating_duration_since(last) < TELLS_EVERY) {
            told.silent += 1;
            return None;
        }
        told.last = Some(now);
        Some(std::mem::take(&mut told.silent))
    }

    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }

    /// Counts dead letters that the log holds now, and which of them are alike.
    pub fn buried(&self, letters: &[Record]) {
        Gauges::add(&self.dead_letters, letters.len() as u64);
        let mut kinds = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        for letter in letters {
            let text = |name: &str| letter.headers.iter().find(|(of, _)| of == name).map(|(_, value)| String::from_utf8_lossy(value)).unwrap_or_default();
            let kind = LetterKind { class: text(header::ERROR_CLASS).chars().take(CLASS_CHARS).collect(), fingerprint: text(header::FINGERPRINT).into_owned() };
            let others = LetterKind { class: "others".to_owned(), fingerprint: String::new() };
            let kind = if kinds.len() < KINDS || kinds.contains_key(&kind) { kind } else { others };
            *kinds.entry(kind).or_default() += 1;
        }
    }

    /// Dead letters written since the process started, by what is alike.
    #[must_use]
    pub fn letters(&self) -> Vec<(LetterKind, u64)> {
        let kinds = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.iter().map(|(kind, count)| (kind.clone(), *count)).collect()
    }

    /// Says that every record of a partition below `offset` is settled and visible.
    pub fn reached(&self, topic: &str, partition: u32, offset: u64) {
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        reached.insert((topic.to_owned(), partition), offset);
    }

    /// Says that a partition is another member's now.
    pub fn left(&self, topic: &str, partition: u32) {
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        reached.remove(&(topic.to_owned(), partition));
    }

    /// Says that no partition is this stage's, until it is assigned some.
    pub fn left_all(&self) {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The offset below which every record of a partition is settled and visible, once the stage has said so.
    #[must_use]
    pub fn offset(&self, topic: &str, partition: u32) -> Option<u64> {
        let reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        reached.get(&(topic.to_owned(), partition)).copied()
    }

    /// Records microseconds from the source record's append to its being visible in the store.
    pub fn visible_after(&self, micros: impl Iterator<Item = i64>) {
        let mut latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(histogram) = &mut latency.append_to_visible {
            for each in micros {
                histogram.saturating_record(each.max(1).unsigned_abs());
            }
        }
    }

    /// Records how long one write to the store took.
    pub fn wrote_in(&self, duration: Duration) {
        let mut latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(histogram) = &mut latency.write {
            histogram.saturating_record(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
        }
    }

    /// Microseconds at quantiles of the time from append to visible, and the number of records behind them. `reset` begins anew.
    pub fn visible_quantiles(&self, quantiles: &[f64], reset: bool) -> (Vec<u64>, u64) {
        let mut latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(histogram) = &mut latency.append_to_visible else { return (vec![0; quantiles.len()], 0) };
        let found = (quantiles.iter().map(|q| histogram.value_at_quantile(*q)).collect(), histogram.len());
        if reset {
            histogram.reset();
        }
        found
    }

    /// Microseconds at quantiles of the time that a write took.
    pub fn write_quantiles(&self, quantiles: &[f64]) -> Vec<u64> {
        let latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        latency.write.as_ref().map_or_else(|| vec![0; quantiles.len()], |h| quantiles.iter().map(|q| h.value_at_quantile(*q)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_tells_its_failures_once_a_second_and_how_many_it_did_not_tell() {
        let (gauges, begin) = (Gauges::new("ledger"), Instant::now());
        let told: Vec<u64> = (0..60).filter_map(|i| gauges.tells_failure(begin + Duration::from_millis(50) * i)).collect();
        assert_eq!(told, [0, 19, 19], "twenty a second for three seconds");
        assert_eq!(Gauges::new("search").tells_failure(begin), Some(0), "each stage for itself");
    }

    #[test]
    fn letters_are_counted_by_what_is_alike_and_the_kinds_are_bounded() {
        let gauges = Gauges::new("intake");
        let letter = |fingerprint: &str| Record::new("k", "v").with_header(header::ERROR_CLASS, "amount:missing").with_header(header::FINGERPRINT, fingerprint.to_owned());
        gauges.buried(&[letter("a"), letter("b"), letter("a")]);
        let told = |gauges: &Gauges| gauges.letters().into_iter().map(|(kind, count)| (kind.fingerprint, count)).collect::<Vec<_>>();
        assert_eq!(told(&gauges), [("a".to_owned(), 2), ("b".to_owned(), 1)]);
        for i in 0..500 {
            gauges.buried(&[letter(&format!("{i:03}"))]);
        }
        gauges.buried(&[letter("a")]);
        let kinds = gauges.letters();
        assert!(kinds.len() <= KINDS + 1 && kinds.iter().map(|(_, count)| count).sum::<u64>() == 504, "{} kinds", kinds.len());
        assert_eq!(gauges.dead_letters.load(Ordering::Relaxed), 504);
    }
}
