//! A transaction before it has ids, metadata and a place in the stream. Honest and fraudulent rows are both of this
//! type and are finished by the same code: whatever tells them apart must be in these fields.

use crate::transaction::{Department, Kind};

/// Seconds in a day.
pub const DAY: i64 = 86_400;
/// Seconds in an hour.
pub const HOUR: i64 = 3_600;

/// An account by its place in [`World::accounts`](crate::world::World::accounts), or one that an incident opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// An account of the world.
    Known(usize),
    /// A new account of this incident: equal numbers within an incident are the same account.
    Fresh(usize),
}

/// Where a row is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    /// Wherever that user sits on that day.
    Usual,
    /// A device that the user has not used before; equal numbers within an incident are the same device.
    Strange(usize),
    /// A file import: its rows share their second, session and device.
    Batch(usize),
}

/// One entry in the books.
#[derive(Clone, Debug)]
pub struct Row {
    /// Seconds on the hospital's wall clock since midnight of day 0.
    pub at: i64,
    /// Place in [`World::people`](crate::world::World::people).
    pub user: usize,
    /// Booked on.
    pub account: Party,
    /// The other side.
    pub counterparty: Option<Party>,
    /// `None`: the user's own on that day.
    pub department: Option<Department>,
    /// What it does.
    pub kind: Kind,
    /// How much, above 0.
    pub cents: i64,
    /// Number of the invoice, claim or bill that it belongs to; `None`: a new one. Equal numbers read equal on the wire.
    pub reference: Option<usize>,
    /// Where it is entered.
    pub device: Device,
    /// Name of the scheme or confuser.
    pub scenario: &'static str,
}

impl Row {
    /// The day on which it is entered, by the wall clock.
    #[must_use]
    pub fn day(&self) -> usize {
        crate::dice::index(self.at.div_euclid(DAY))
    }

    /// The same with another instant.
    #[must_use]
    pub fn at(self, at: i64) -> Row {
        Row { at, ..self }
    }

    /// The same with another counterparty.
    #[must_use]
    pub fn to(self, party: Party) -> Row {
        Row { counterparty: Some(party), ..self }
    }

    /// The same booked on another account.
    #[must_use]
    pub fn on(self, party: Party) -> Row {
        Row { account: party, ..self }
    }

    /// The same with another amount, at least one cent.
    #[must_use]
    pub fn cents(self, cents: i64) -> Row {
        Row { cents: cents.max(1), ..self }
    }

    /// The same about that invoice, claim or bill.
    #[must_use]
    pub fn about(self, reference: Option<usize>) -> Row {
        Row { reference, ..self }
    }

    /// The same on another device.
    #[must_use]
    pub fn from_device(self, device: Device) -> Row {
        Row { device, ..self }
    }

    /// The same under another name.
    #[must_use]
    pub fn named(self, scenario: &'static str) -> Row {
        Row { scenario, ..self }
    }
}
