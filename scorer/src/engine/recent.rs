//! The last notable rows of a user with what made them so: what patterns over several rows are found in, and whose members they name.
//!
//! What must stay true: how many rows are remembered does not depend on how long ids are; only how many of them can still be named does.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use wh_schemas::TransactionType;

use super::encoded::{length, signed, varint};
use super::user::sound::{is_amount, is_kind, is_second};

/// Rows that are remembered, in all.
const CAPACITY: usize = 28;
/// Among them, rows that nothing was notable about.
const PLAIN: usize = 8;
/// Bytes of ids that are remembered, in all: where ids are long, fewer rows can be named.
const ID_BYTES: usize = 640;

/// What can be notable about a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Mark {
    /// Far above the usual amount.
    Spike = 1,
    /// At an hour at which the user is hardly seen.
    OddHour = 2,
    /// Just below a limit.
    BelowLimit = 4,
    /// A refund or an adjustment.
    Reversal = 8,
    /// The same amount to the same parties again.
    Repeat = 16,
    /// With a counterparty never or hardly seen.
    NewParty = 32,
    /// Of a type or in a department that is not the user's.
    Outside = 64,
    /// With metadata never seen.
    NewMetadata = 128,
    /// Part of a burst.
    Burst = 256,
    /// Undoes an earlier row.
    Undo = 512,
    /// Not the first row with a party that is known for days only.
    Again = 1024,
}

/// An id: a UUID takes 16 bytes, another its length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Id {
    /// As it is.
    Text(Box<str>),
    /// A UUID in its usual form, lower case.
    Uuid(#[serde(with = "postcard::fixint::le")] u128),
    /// No longer known: what the row does to others is.
    Gone,
}

impl Id {
    /// Packs an id where that is possible without loss.
    #[must_use]
    pub fn new(text: &str) -> Id {
        if text.len() == 36
            && let Ok(uuid) = uuid::Uuid::try_parse(text)
            && uuid.hyphenated().to_string() == text
        {
            return Id::Uuid(uuid.as_u128());
        }
        Id::Text(text.into())
    }

    /// The id's text, where it is still known.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match self {
            Id::Text(text) => Some(text.to_string()),
            Id::Uuid(number) => Some(uuid::Uuid::from_u128(*number).hyphenated().to_string()),
            Id::Gone => None,
        }
    }

    /// Bytes that the name takes.
    fn named_bytes(&self) -> usize {
        match self {
            Id::Text(text) => text.len() + 1,
            Id::Uuid(_) => 16,
            Id::Gone => 0,
        }
    }

    /// Bytes when serialised.
    pub(super) fn bytes(&self) -> usize {
        1 + match self {
            Id::Text(text) => length(text.len()) + text.len(),
            Id::Uuid(_) => 16,
            Id::Gone => 0,
        }
    }
}

/// One remembered row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Event time, in seconds.
    pub at: i64,
    /// How much.
    pub cents: i64,
    /// Fingerprint of the account.
    #[serde(with = "postcard::fixint::le")]
    pub account: u32,
    /// Fingerprint of the counterparty, 0 for none.
    #[serde(with = "postcard::fixint::le")]
    pub counterparty: u32,
    /// What it does.
    pub kind: u8,
    /// Its [`Mark`]s.
    pub marks: u16,
    /// Scales of its amount above the usual of its time, in tenths.
    pub tenths: i8,
    /// Its score.
    pub score: u8,
    /// Its id.
    pub id: Id,
}

impl Row {
    /// Whether a mark is set.
    #[must_use]
    pub fn is(&self, mark: Mark) -> bool {
        self.marks & mark as u16 != 0
    }

    /// Bytes when serialised: type, deviation and score take one each.
    fn bytes(&self) -> usize {
        signed(self.at) + signed(self.cents) + 8 + varint(self.marks.into()) + 3 + self.id.bytes()
    }

    /// Whether it is of a type.
    #[must_use]
    pub fn of(&self, transaction_type: TransactionType) -> bool {
        usize::from(self.kind) == transaction_type.index()
    }
}

/// The rows, oldest first as they arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recent {
    rows: VecDeque<Row>,
}

impl Recent {
    /// Takes a row in; a plain one goes before a notable one.
    pub fn remember(&mut self, row: Row) {
        self.rows.push_back(row);
        let plain = self.rows.iter().filter(|r| r.marks == 0).count();
        if plain > PLAIN
            && let Some(oldest) = self.rows.iter().position(|r| r.marks == 0)
        {
            self.rows.remove(oldest);
        }
        while self.rows.len() > CAPACITY {
            self.rows.pop_front();
        }
        while self.rows.iter().map(|r| r.id.named_bytes()).sum::<usize>() > ID_BYTES && self.forget_name(1) {}
    }

    /// Forgets the name of the oldest row, of a plain one first, where more than `keep` are known: whether it did.
    pub(super) fn forget_name(&mut self, keep: usize) -> bool {
        let named = |row: &Row| row.id != Id::Gone;
        if self.rows.iter().filter(|row| named(row)).count() <= keep {
            return false;
        }
        let plain = self.rows.iter().position(|row| named(row) && row.marks == 0);
        let Some(oldest) = plain.or_else(|| self.rows.iter().position(named)) else { return false };
        if let Some(row) = self.rows.get_mut(oldest) {
            row.id = Id::Gone;
        }
        true
    }

    /// Forgets the oldest row, where there are more than `keep`: whether it did.
    pub(super) fn forget_oldest(&mut self, keep: usize) -> bool {
        self.rows.len() > keep && self.rows.pop_front().is_some()
    }

    /// Whether the engine can go on with what was decoded: times, amounts and types that there are.
    pub(super) fn is_sound(&self) -> bool {
        self.rows.iter().all(|row| is_second(row.at) && is_amount(row.cents) && is_kind(row.kind))
    }

    /// Bytes when serialised.
    pub(super) fn bytes(&self) -> usize {
        length(self.rows.len()) + self.rows.iter().map(Row::bytes).sum::<usize>()
    }

    /// Rows within `length` seconds up to and including `until`.
    pub fn within(&self, until: i64, length: i64) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.at > until - length && row.at <= until)
    }

    /// All rows.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: i64, marks: u16, id: &str) -> Row {
        Row { at: number, cents: 100, account: 1, counterparty: 2, kind: 1, marks, tenths: -3, score: 9, id: Id::new(id) }
    }

    #[test]
    fn long_ids_cost_names_and_no_rows() {
        let (mut short, mut long) = (Recent::default(), Recent::default());
        for number in 0..60 {
            let marks = if number % 3 == 0 { 0 } else { Mark::Spike as u16 };
            short.remember(row(number, marks, &format!("T{number}")));
            long.remember(row(number, marks, &format!("{number:0>128}")));
            assert_eq!(long.bytes(), postcard::to_allocvec(&long).unwrap().len());
            let kept = |recent: &Recent| recent.rows().map(|row| (row.at, row.marks)).collect::<Vec<_>>();
            assert_eq!(kept(&short), kept(&long));
        }
        let named: Vec<i64> = long.rows().filter(|row| row.id.text().is_some()).map(|row| row.at).collect();
        assert!(named.len() >= 4 && long.rows().count() == CAPACITY, "{named:?}");
        assert!(short.rows().all(|row| row.id.text().is_some()));
    }

    #[test]
    fn a_uuid_takes_sixteen_bytes_and_reads_back() {
        let text = "0191b2c3-4d5e-7f60-8a9b-0c1d2e3f4a5b";
        assert!(matches!(Id::new(text), Id::Uuid(_)) && Id::new(text).text().as_deref() == Some(text));
        assert_eq!(Id::new(&text.to_uppercase()).text().unwrap(), text.to_uppercase());
    }
}
