//! What a user is known to deal with: a bounded set of fingerprints, the one not seen for longest going first.

use serde::{Deserialize, Serialize};

use super::encoded::{length, varint};

/// Events after which all counts are halved.
const HALVE_AT: u16 = 4_000;

/// A fingerprint with how often and when it was last seen. About 9 bytes when serialised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    #[serde(with = "postcard::fixint::le")]
    fingerprint: u32,
    count: u16,
    /// Hours since 1970.
    last: u32,
}

/// Known fingerprints, at most as many as the capacity given to [`Known::learn`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    entries: Vec<Entry>,
    seen: u16,
    novel: u16,
}

impl Known {
    /// How often a fingerprint was seen, 0 for an unknown one.
    #[must_use]
    pub fn count(&self, fingerprint: u32) -> u16 {
        self.entries.iter().find(|e| e.fingerprint == fingerprint).map_or(0, |e| e.count)
    }

    /// How often a fingerprint was seen before today.
    #[must_use]
    pub fn count_before(&self, fingerprint: u32, hour: u32) -> u16 {
        self.entries.iter().find(|e| e.fingerprint == fingerprint).map_or(0, |e| if e.last / 24 == hour / 24 { e.count - 1 } else { e.count })
    }

    /// Events learnt, those long past weighing less.
    #[must_use]
    pub fn seen(&self) -> u16 {
        self.seen
    }

    /// Different fingerprints that are known.
    #[must_use]
    pub fn distinct(&self) -> usize {
        self.entries.len()
    }

    /// Bits of surprise at an unknown fingerprint: −log2 of the share of events that met one, with a prior of one in two.
    #[must_use]
    pub fn novelty_bits(&self) -> f64 {
        -libm::log2(self.novelty_rate())
    }

    /// Share of events that met an unknown fingerprint, with a prior of one in two.
    #[must_use]
    pub fn novelty_rate(&self) -> f64 {
        (f64::from(self.novel) + 1.0) / (f64::from(self.seen) + 2.0)
    }

    /// The fingerprint seen most often, ties by the smaller.
    #[must_use]
    pub fn most_frequent(&self) -> Option<u32> {
        self.entries.iter().max_by(|a, b| a.count.cmp(&b.count).then(b.fingerprint.cmp(&a.fingerprint))).map(|e| e.fingerprint)
    }

    /// Takes a day's first event in, and no other of that day: what is done often on one day is learnt once. Hours are those of the
    /// hospital's clocks, so that a day is its day. What comes late to a day that is over adds none to those behind it.
    pub fn learn_daily(&mut self, fingerprint: u32, hour: u32, capacity: usize) {
        if self.entries.iter().any(|e| e.fingerprint == fingerprint && e.last / 24 >= hour / 24) {
            return;
        }
        self.learn(fingerprint, hour, capacity);
    }

    /// Takes an event in.
    pub fn learn(&mut self, fingerprint: u32, hour: u32, capacity: usize) {
        self.seen += 1;
        if self.seen >= HALVE_AT {
            // What is long past weighs less, so that a new habit is learnt in weeks.
            self.seen /= 2;
            self.novel /= 2;
            for entry in &mut self.entries {
                entry.count = (entry.count / 2).max(1);
            }
        }
        if let Some(entry) = self.entries.iter_mut().find(|e| e.fingerprint == fingerprint) {
            entry.count = entry.count.saturating_add(1);
            entry.last = entry.last.max(hour);
            return;
        }
        self.novel += 1;
        if self.entries.len() >= capacity {
            self.forget_oldest(0);
        }
        self.entries.push(Entry { fingerprint, count: 1, last: hour });
    }

    /// Forgets the one not seen for longest, where there are more than `keep`: whether it did.
    pub(super) fn forget_oldest(&mut self, keep: usize) -> bool {
        let oldest = self.entries.iter().enumerate().min_by_key(|(_, e)| (e.last, e.fingerprint)).map(|(i, _)| i);
        let Some(oldest) = oldest.filter(|_| self.entries.len() > keep) else { return false };
        self.entries.swap_remove(oldest);
        true
    }

    /// Says of what was seen after an hour that it was seen then: the clock that said otherwise was wrong.
    pub(super) fn take_back(&mut self, hour: u32) {
        for entry in &mut self.entries {
            entry.last = entry.last.min(hour);
        }
    }

    /// Whether the engine can go on with what was decoded: no count of nothing, no more that was new than was seen.
    pub(super) fn is_sound(&self) -> bool {
        self.seen < HALVE_AT && self.novel <= self.seen && self.entries.iter().all(|entry| entry.count > 0)
    }

    /// Bytes when serialised.
    pub(super) fn bytes(&self) -> usize {
        let entries: usize = self.entries.iter().map(|e| 4 + varint(e.count.into()) + varint(e.last.into())).sum();
        length(self.entries.len()) + entries + varint(self.seen.into()) + varint(self.novel.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_not_seen_for_longest_goes_first() {
        let mut known = Known::default();
        for (at, fingerprint) in [1, 2, 3, 1, 4].into_iter().enumerate() {
            known.learn(fingerprint, u32::try_from(at).unwrap(), 3);
        }
        assert_eq!((known.count(1), known.count(2), known.count(3), known.count(4), known.distinct()), (2, 0, 1, 1, 3));
    }

    #[test]
    fn a_day_is_learnt_once_and_one_that_is_over_not_again() {
        let mut known = Known::default();
        for hour in [24, 30, 47, 48, 25, 30, 71, 72] {
            known.learn_daily(5, hour, 4);
        }
        assert_eq!((known.count(5), known.count_before(5, 80), known.count_before(5, 96)), (3, 2, 3));
    }
}
