//! The last notable rows of a user with what made them so: what patterns over several rows are found in, and whose members they name.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use wh_schemas::TransactionType;

/// Rows that are remembered, in all.
const CAPACITY: usize = 28;
/// Among them, rows that nothing was notable about.
const PLAIN: usize = 8;
/// Bytes of ids that are remembered, in all: where ids are long, fewer rows are.
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

    /// The id's text.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Id::Text(text) => text.to_string(),
            Id::Uuid(number) => uuid::Uuid::from_u128(*number).hyphenated().to_string(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Id::Text(text) => text.len() + 1,
            Id::Uuid(_) => 16,
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
        while self.rows.len() > CAPACITY || (self.rows.len() > 1 && self.rows.iter().map(|r| r.id.bytes()).sum::<usize>() > ID_BYTES) {
            self.rows.pop_front();
        }
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
