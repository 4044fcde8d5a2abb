//! What a user is known to deal with: a bounded set of fingerprints, the one not seen for longest going first.

use serde::{Deserialize, Serialize};

/// A fingerprint with how often and when it was last seen. 24 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    #[serde(with = "postcard::fixint::le")]
    fingerprint: u64,
    count: u32,
    last: i64,
}

/// Known fingerprints, at most as many as the capacity given to [`Known::learn`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    entries: Vec<Entry>,
    /// Events learnt in all.
    seen: u32,
    /// How many of them met an unknown fingerprint.
    novel: u32,
}

impl Known {
    /// How often a fingerprint was seen, 0 for an unknown one.
    #[must_use]
    pub fn count(&self, fingerprint: u64) -> u32 {
        self.entries.iter().find(|e| e.fingerprint == fingerprint).map_or(0, |e| e.count)
    }

    /// Events learnt.
    #[must_use]
    pub fn seen(&self) -> u32 {
        self.seen
    }

    /// Different fingerprints that are known.
    #[must_use]
    pub fn distinct(&self) -> usize {
        self.entries.len()
    }

    /// Share of events that meet an unknown fingerprint, with a prior of one in two.
    #[must_use]
    pub fn novelty_rate(&self) -> f64 {
        (f64::from(self.novel) + 1.0) / (f64::from(self.seen) + 2.0)
    }

    /// The fingerprint seen most often, ties by the smaller.
    #[must_use]
    pub fn most_frequent(&self) -> Option<u64> {
        self.entries.iter().max_by(|a, b| a.count.cmp(&b.count).then(b.fingerprint.cmp(&a.fingerprint))).map(|e| e.fingerprint)
    }

    /// Takes an event in.
    pub fn learn(&mut self, fingerprint: u64, at: i64, capacity: usize) {
        self.seen = self.seen.saturating_add(1);
        if self.seen == 4_000 {
            // What is long past weighs less, so that a new habit is learnt in weeks.
            self.seen /= 2;
            self.novel /= 2;
        }
        if let Some(entry) = self.entries.iter_mut().find(|e| e.fingerprint == fingerprint) {
            entry.count = entry.count.saturating_add(1);
            entry.last = entry.last.max(at);
            return;
        }
        self.novel = self.novel.saturating_add(1);
        if self.entries.len() >= capacity
            && let Some(oldest) = self.entries.iter().enumerate().min_by_key(|(_, e)| (e.last, e.fingerprint)).map(|(i, _)| i)
        {
            self.entries.swap_remove(oldest);
        }
        self.entries.push(Entry { fingerprint, count: 1, last: at });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_not_seen_for_longest_goes_first() {
        let mut known = Known::default();
        for (at, fingerprint) in [1, 2, 3, 1, 4].into_iter().enumerate() {
            known.learn(fingerprint, i64::try_from(at).unwrap(), 3);
        }
        assert_eq!((known.count(1), known.count(2), known.count(3), known.count(4), known.distinct()), (2, 0, 1, 1, 3));
    }
}
