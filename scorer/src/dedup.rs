//! Transaction ids that were seen: recognised again within a horizon of so many ids, by 8-byte fingerprints.
//!
//! A false match needs two of 2^64 fingerprints to agree on both the id and the content: it would take a dead letter's
//! fate of one in about 10^12 at a million ids.

use std::collections::VecDeque;

use hashbrown::HashMap;
use wh_schemas::ids;
use wh_schemas::position::Seq;

/// How many ids one partition remembers unless the settings say otherwise: about 50 MB.
pub const DEFAULT_HORIZON: usize = 500_000;

/// One id that was seen. 24 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Fingerprint of the id.
    pub id: u64,
    /// Fingerprint of the content hash.
    pub content: u64,
    /// Where the first record with this id stands.
    pub seq: Seq,
}

/// What an id turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not seen within the horizon.
    New,
    /// Seen with the same content.
    Duplicate(Seq),
    /// Seen with another content.
    Conflict(Seq),
}

/// The ids of one partition.
#[derive(Debug)]
pub struct Ids {
    horizon: usize,
    order: VecDeque<u64>,
    seen: HashMap<u64, (u64, Seq)>,
}

impl Ids {
    /// Remembers up to `horizon` ids.
    #[must_use]
    pub fn new(horizon: usize) -> Ids {
        Ids { horizon: horizon.max(1), order: VecDeque::new(), seen: HashMap::new() }
    }

    /// Looks an id up.
    #[must_use]
    pub fn verdict(&self, id: u64, content: u64) -> Verdict {
        match self.seen.get(&id) {
            None => Verdict::New,
            Some((known, seq)) if *known == content => Verdict::Duplicate(*seq),
            Some((_, seq)) => Verdict::Conflict(*seq),
        }
    }

    /// Remembers an id, forgetting the oldest beyond the horizon.
    pub fn remember(&mut self, seen: Seen) {
        if self.seen.insert(seen.id, (seen.content, seen.seq)).is_none() {
            self.order.push_back(seen.id);
        }
        while self.order.len() > self.horizon {
            if let Some(oldest) = self.order.pop_front() {
                self.seen.remove(&oldest);
            }
        }
    }
}

/// The fingerprints of a transaction's id and content hash.
#[must_use]
pub fn fingerprints(transaction_id: &str, content_hash: &str) -> (u64, u64) {
    // The content hash is SHA-256 already: its first digits will do.
    let content = content_hash.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_else(|| ids::fingerprint(content_hash.as_bytes()));
    (ids::fingerprint(transaction_id.as_bytes()), content)
}

/// The checkpoint's form of ids: 24 bytes each.
#[must_use]
pub fn to_bytes(seen: &[Seen]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(seen.len() * 24);
    for s in seen {
        for number in [s.id, s.content, s.seq] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
    }
    bytes
}

/// Reads what [`to_bytes`] wrote.
pub fn from_bytes(bytes: &[u8]) -> impl Iterator<Item = Seen> + '_ {
    bytes.chunks_exact(24).map(|chunk| {
        let number = |at: usize| {
            let mut eight = [0; 8];
            eight.copy_from_slice(&chunk[at..at + 8]);
            u64::from_le_bytes(eight)
        };
        Seen { id: number(0), content: number(8), seq: number(16) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_recognised_within_the_horizon_and_its_content_compared() {
        let mut ids = Ids::new(2);
        for seq in 0..3 {
            ids.remember(Seen { id: seq + 10, content: 1, seq });
        }
        assert_eq!(ids.verdict(10, 1), Verdict::New);
        assert_eq!(ids.verdict(11, 1), Verdict::Duplicate(1));
        assert_eq!(ids.verdict(12, 2), Verdict::Conflict(2));
        let seen = [Seen { id: 1, content: u64::MAX, seq: 3 }];
        assert_eq!(from_bytes(&to_bytes(&seen)).collect::<Vec<_>>(), seen);
    }
}
