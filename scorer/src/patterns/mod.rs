//! Patterns by account: chains and flows over several accounts, users and partitions, told from the honest ones by mechanism.
//!
//! Pure: what is found is a function of the set of activities, ordered by (effective event time, transaction id) behind a watermark, and of
//! the rules. One instance sees all accounts, since a chain needs them in one place.
//!
//! What must stay true: any interleaving of the scorer's partitions, any chunking, any restart from a checkpoint finds the same; no clock, no
//! randomness, no hash order; an account takes at most 2 KB in a checkpoint, and there are at most [`AccountRules::accounts`] of them.

mod account;
mod book;
mod case;
mod duplicate;
mod evaluation;
mod event;
mod fan;
mod ghost;
mod norms;
mod order;
mod payee;
mod round_trip;
mod rules;
mod shared_payee;
mod sink;
mod view;
pub(crate) mod watermark;

use serde::{Deserialize, Serialize};
use wh_schemas::Cents;
use wh_schemas::activity::Activity;
use wh_schemas::pattern::Pattern;
use wh_schemas::position::Seq;
use wh_schemas::scored::Reason;

pub use account::STATE_BYTES;
use account::{STATE_VERSION, body_of};
use book::Book;
use norms::Norms;
use order::Order;
pub use rules::{AccountRules, PATTERNS};

/// A pattern that was found, of `risk_score` 70 and above an alert, below it a row of `transaction_patterns` only.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The row.
    pub pattern: Pattern<'static>,
    /// Why each point was given; they add up to the score.
    pub reasons: Vec<Reason<'static>>,
    /// The transaction that completes it: the last by (event time, id).
    pub transaction_id: String,
    /// Its user.
    pub user_id: String,
    /// Its amount.
    pub amount: Cents,
}

/// Why a checkpoint cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Written by another version.
    #[error("the account state is of version {found}, this build reads version {STATE_VERSION}: rebuild it from the log")]
    Version {
        /// The version found.
        found: u8,
    },
    /// Cut short or altered.
    #[error("the account state is damaged ({0}): rebuild it from the log")]
    Damaged(String),
}

/// What a checkpoint must write to be as the engine is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Partitions, watermark, events held back, norms: replaces the one before.
    pub header: Vec<u8>,
    /// Accounts that changed, by name.
    pub accounts: Vec<(String, Vec<u8>)>,
    /// Accounts that were forgotten, by name.
    pub removed: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    evaluated: u64,
    order: order::Kept,
    norms: Norms,
}

/// Finds patterns by account.
#[derive(Debug)]
pub struct AccountEngine {
    rules: AccountRules,
    order: Order,
    book: Book,
    norms: Norms,
    evaluated: u64,
}

impl AccountEngine {
    /// An engine that has seen nothing.
    #[must_use]
    pub fn new(rules: AccountRules) -> AccountEngine {
        AccountEngine { rules, order: Order::new(), book: Book::default(), norms: Norms::new(), evaluated: 0 }
    }

    /// An engine from a checkpoint.
    ///
    /// # Errors
    /// Header or an account of another version, or damaged.
    pub fn restored(rules: AccountRules, header: &[u8], accounts: impl IntoIterator<Item = (String, Vec<u8>)>) -> Result<AccountEngine, StateError> {
        let header: Header = postcard::from_bytes(body_of(header)?).map_err(|e| StateError::Damaged(e.to_string()))?;
        Ok(AccountEngine { rules, order: Order::restored(header.order), book: Book::restored(accounts)?, norms: header.norms, evaluated: header.evaluated })
    }

    /// The rules that it judges by.
    #[must_use]
    pub fn rules(&self) -> &AccountRules {
        &self.rules
    }

    /// One activity, in whatever interleaving of partitions, in order within each; what the watermark passes is evaluated.
    /// A record of a partition makes it awaited.
    pub fn take(&mut self, activity: &Activity<'_>, out: &mut Vec<Found>) {
        self.order.take(activity, &self.rules);
        self.run(out);
    }

    /// Whether a scorer partition may hold the watermark back: `false` while it has nothing before it. One that is awaited and was never
    /// seen holds all back; one that was never named holds nothing back until its first record.
    pub fn expect(&mut self, partition: u32, awaited: bool, out: &mut Vec<Found>) {
        self.order.expect(partition, awaited, &self.rules);
        self.run(out);
    }

    /// The end of the input: everything held back is evaluated.
    pub fn flush(&mut self, out: &mut Vec<Found>) {
        while let Some(event) = self.order.drain() {
            self.evaluate(&event, out);
        }
    }

    /// Highest `seq` taken of a scorer partition; a record at or below it is a copy.
    #[must_use]
    pub fn taken(&self, partition: u32) -> Option<Seq> {
        self.order.taken(partition)
    }

    /// What changed since this was last called.
    pub fn take_changes(&mut self) -> Changes {
        let header = Header { evaluated: self.evaluated, order: self.order.keep(), norms: self.norms.clone() };
        let (accounts, removed) = self.book.take_changes();
        // Writing into a growing vector cannot fail.
        Changes { header: postcard::to_extend(&header, vec![STATE_VERSION]).unwrap_or_default(), accounts, removed }
    }

    fn run(&mut self, out: &mut Vec<Found>) {
        while let Some(event) = self.order.next(&self.rules) {
            self.evaluate(&event, out);
        }
    }
}

#[cfg(test)]
mod tests;
