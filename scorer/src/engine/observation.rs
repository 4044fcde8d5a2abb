//! What the engine reads of a transaction.
//!
//! What must stay true: no label, no free text and no metadata beyond the allow-listed keys is in it; names are there for evidence and for
//! the team's rules, and what is compared is compared by fingerprint.

use wh_schemas::{AcceptedTransaction, Cents, Micros, TransactionType, ids};

use super::ruleset::Ruleset;

/// What the engine reads of a transaction: no label, no free text, no metadata beyond the allow-listed keys.
#[derive(Clone, Debug)]
pub struct Observation<'a> {
    /// Its id: named among a pattern's members, and of no other effect.
    pub transaction_id: &'a str,
    /// When it happened.
    pub timestamp: Micros,
    /// Who did it.
    pub user_id: &'a str,
    /// On which account, as a fingerprint.
    pub account: u64,
    /// The other side's account, as a fingerprint.
    pub counterparty: Option<u64>,
    /// In which department.
    pub department: &'a str,
    /// The department's fingerprint.
    pub department_print: u32,
    /// What it does.
    pub transaction_type: TransactionType,
    /// How much.
    pub amount: Cents,
    /// The account, for the team's rules.
    pub account_id: &'a str,
    /// The counterparty, for the team's rules.
    pub counterparty_account: Option<&'a str>,
    /// The metadata as it is: the team's rules see the allow-listed keys of it.
    pub metadata_text: &'a str,
    /// Fingerprints of the values under the ruleset's metadata keys, in the ruleset's order; `None` where a key is absent.
    pub metadata: Vec<Option<u32>>,
}

/// The low half of a fingerprint: what the state keeps.
#[must_use]
pub(super) fn short(fingerprint: u64) -> u32 {
    u32::try_from(fingerprint & 0xffff_ffff).unwrap_or(0)
}

impl<'a> Observation<'a> {
    /// What the engine may see of an accepted transaction under a ruleset.
    #[must_use]
    pub fn of(transaction: &'a AcceptedTransaction<'_>, ruleset: &Ruleset) -> Observation<'a> {
        Observation {
            transaction_id: &transaction.transaction_id,
            timestamp: transaction.timestamp,
            user_id: &transaction.user_id,
            account: ids::fingerprint(transaction.account_id.as_bytes()),
            counterparty: transaction.counterparty_account.as_ref().map(|c| ids::fingerprint(c.as_bytes())),
            department: &transaction.department,
            department_print: short(ids::fingerprint(transaction.department.as_bytes())),
            transaction_type: transaction.transaction_type,
            amount: transaction.amount,
            account_id: &transaction.account_id,
            counterparty_account: transaction.counterparty_account.as_deref(),
            metadata_text: transaction.metadata.get(),
            metadata: ruleset.metadata_values(transaction.metadata.get()),
        }
    }

    /// The account as the state keeps it.
    pub(super) fn account_short(&self) -> u32 {
        short(self.account)
    }

    /// The counterparty as the state keeps it; 0 where there is none.
    pub(super) fn counterparty_short(&self) -> u32 {
        self.counterparty.map_or(0, |c| short(c).max(1))
    }

    /// What a row in quarantine is known by: its id, its time, what it does and how much, so that nothing else is released in its name.
    pub(super) fn print(&self) -> u32 {
        let said = format!("{}\0{}\0{}\0{}", self.transaction_id, self.timestamp.0, self.transaction_type.as_str(), self.amount.0);
        short(ids::fingerprint(said.as_bytes()))
    }
}
