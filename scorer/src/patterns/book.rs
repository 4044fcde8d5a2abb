//! The accounts that are remembered, at most [`AccountRules::accounts`] of them.
//!
//! What must stay true: which account is forgotten follows from the order of evaluation alone. Forgetting costs this: an account that
//! comes back is a stranger, so that its edges look young and chains through it are not seen; what is asked for most is never forgotten.
//! At 100,000 accounts of 2 KB the states take 200 MB in a checkpoint at worst and some 400 MB in memory; most accounts have few events and a tenth of it.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use wh_schemas::ids;

use super::StateError;
use super::account::Account;
use super::rules::AccountRules;

#[derive(Debug)]
struct Slot {
    name: String,
    account: Account,
}

/// Accounts by the fingerprint of their name.
#[derive(Debug, Default)]
pub(super) struct Book {
    slots: HashMap<u64, Slot>,
    by_use: BTreeMap<u64, u64>,
    dirty: BTreeSet<u64>,
    removed: BTreeSet<String>,
}

impl Book {
    pub(super) fn restored(accounts: impl IntoIterator<Item = (String, Vec<u8>)>) -> Result<Book, StateError> {
        let mut book = Book::default();
        for (name, bytes) in accounts {
            let account = Account::from_bytes(&bytes)?;
            let key = ids::fingerprint(name.as_bytes());
            if book.by_use.insert(account.used, key).is_some() {
                return Err(StateError::Damaged(format!("two accounts were last used at evaluation {}", account.used)));
            }
            book.slots.insert(key, Slot { name, account });
        }
        Ok(book)
    }

    pub(super) fn get(&self, key: u64) -> Option<&Account> {
        self.slots.get(&key).map(|s| &s.account)
    }

    /// For marks and the like: does not count as use.
    pub(super) fn get_mut(&mut self, key: u64) -> Option<&mut Account> {
        let slot = self.slots.get_mut(&key)?;
        self.dirty.insert(key);
        Some(&mut slot.account)
    }

    pub(super) fn name(&self, key: u64) -> Option<&str> {
        self.slots.get(&key).map(|s| s.name.as_str())
    }

    /// The account of that name, made where there is none; `used` must be given once only.
    pub(super) fn open(&mut self, key: u64, name: &str, at: i64, used: u64, rules: &AccountRules) -> &mut Account {
        if !self.slots.contains_key(&key) {
            while self.slots.len() >= rules.accounts {
                let Some((_, oldest)) = self.by_use.pop_first() else { break };
                if let Some(slot) = self.slots.remove(&oldest) {
                    self.dirty.remove(&oldest);
                    self.removed.insert(slot.name);
                }
            }
            self.removed.remove(name);
        }
        let slot = self.slots.entry(key).or_insert_with(|| Slot { name: name.to_owned(), account: Account::new(at) });
        self.by_use.remove(&slot.account.used);
        slot.account.used = used;
        self.by_use.insert(used, key);
        self.dirty.insert(key);
        &mut slot.account
    }

    /// What changed since the last call, by name.
    pub(super) fn take_changes(&mut self) -> (Vec<(String, Vec<u8>)>, Vec<String>) {
        let dirty = std::mem::take(&mut self.dirty);
        let mut accounts: Vec<(String, Vec<u8>)> = dirty.iter().filter_map(|key| self.slots.get(key)).map(|s| (s.name.clone(), s.account.to_bytes())).collect();
        accounts.sort_unstable();
        (accounts, std::mem::take(&mut self.removed).into_iter().collect())
    }
}
