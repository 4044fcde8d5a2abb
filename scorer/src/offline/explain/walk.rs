//! One partition of a history on the way to a record: scored from its beginning on, copies told apart as the live scorer does.
//!
//! What must stay true: a record meets the state that it met when it was scored, the stream's time and the bound on users included.

use std::collections::BTreeMap;

use wh_schemas::AcceptedTransaction;

use crate::dedup::{Ids, Seen, Verdict, fingerprints};
use crate::engine::{Engine, Observation, Ruleset};

/// A partition up to where it was read.
pub(super) struct Walk {
    pub(super) engine: Engine,
    known: Ids,
    /// Records so far that have a number in the output, duplicates included.
    pub(super) before: u64,
}

impl Walk {
    /// At the beginning.
    pub(super) fn new(ruleset: &Ruleset, dedup_horizon: usize) -> Walk {
        Walk { engine: Engine::new(ruleset.clone()), known: Ids::new(dedup_horizon), before: 0 }
    }

    /// Whether a transaction is to be scored: it is neither a duplicate nor an id that came with another content.
    pub(super) fn is_new(&mut self, transaction: &AcceptedTransaction<'_>) -> bool {
        let (id, content) = fingerprints(&transaction.transaction_id, &transaction.content_hash);
        match self.known.verdict(id, content) {
            Verdict::New => {
                self.known.remember(Seen { id, content, seq: self.before });
                true
            }
            Verdict::Duplicate(_) => {
                // It has a number in the output too.
                self.before += 1;
                false
            }
            Verdict::Conflict(_) => false,
        }
    }

    /// Scores a record that is not the one sought.
    pub(super) fn pass(&mut self, observation: &Observation<'_>) {
        self.engine.score(observation);
        self.before += 1;
    }
}

/// What a user usually does, by how often: for variations of a record.
#[derive(Debug, Default)]
pub(super) struct Habits {
    pub(super) accounts: BTreeMap<String, u32>,
    pub(super) counterparties: BTreeMap<String, u32>,
    pub(super) departments: BTreeMap<String, u32>,
    pub(super) places: BTreeMap<Vec<Option<u32>>, u32>,
}

/// The most frequent, the first of equals.
pub(super) fn most<K: Ord>(counts: &BTreeMap<K, u32>) -> Option<&K> {
    counts.iter().max_by(|a, b| a.1.cmp(b.1).then_with(|| b.0.cmp(a.0))).map(|(key, _)| key)
}

fn count<K: Ord + ?Sized + ToOwned>(counts: &mut BTreeMap<K::Owned, u32>, key: &K)
where
    K::Owned: Ord + std::borrow::Borrow<K>,
{
    match counts.get_mut(key) {
        Some(count) => *count += 1,
        None => {
            counts.insert(key.to_owned(), 1);
        }
    }
}

impl Habits {
    pub(super) fn learn(&mut self, transaction: &AcceptedTransaction<'_>, observation: &Observation<'_>) {
        count(&mut self.accounts, transaction.account_id.as_str());
        if let Some(counterparty) = &transaction.counterparty_account {
            count(&mut self.counterparties, counterparty.as_str());
        }
        count(&mut self.departments, transaction.department.as_str());
        count(&mut self.places, observation.metadata.as_slice());
    }
}
