//! What is remembered of one account: its recent events, its edges, and which patterns it has raised.
//!
//! What must stay true: at most [`STATE_BYTES`] serialised, whatever its ids look like; version byte first; in memory some 4 KB.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use wh_schemas::time::DAY;

use super::StateError;
use crate::engine::{is_amount, is_time};

/// Most bytes of an account's state, serialised. Its name is the key and not counted.
pub const STATE_BYTES: usize = 2_048;
/// Version of the serialised form.
pub(super) const STATE_VERSION: u8 = 1;

/// Most recent events kept.
const ENTRIES: usize = 18;
/// Most bytes of their transaction ids together.
const ID_BYTES: usize = 680;
/// Most edges kept.
const EDGES: usize = 18;
/// Most raised patterns kept.
const RAISED: usize = 6;
/// The years 1 to 9999, in days since 1970, and some more.
const DAYS: RangeInclusive<i32> = -720_000..=2_940_000;

/// Whether an event brought this account money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Flow {
    In,
    Out,
    /// No money moved; this account is the counterparty.
    Beside,
    /// No money moved; this account is `account_id`.
    Own,
}

/// One recent event as this account sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) at: i64,
    pub(super) id: Box<str>,
    #[serde(with = "postcard::fixint::le")]
    pub(super) partner: u64,
    #[serde(with = "postcard::fixint::le")]
    pub(super) user: u64,
    #[serde(with = "postcard::fixint::le")]
    pub(super) department: u32,
    pub(super) cents: i64,
    pub(super) kind: u8,
    pub(super) risk: u8,
    pub(super) flow: Flow,
    /// Whether the edge was young then.
    pub(super) young: bool,
    /// Tenths of a standard deviation of the log amount from department and type.
    pub(super) z10: i8,
}

/// What is known of the dealings with one partner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Edge {
    #[serde(with = "postcard::fixint::le")]
    pub(super) partner: u64,
    /// Days since 1970.
    pub(super) first_day: i32,
    pub(super) last_day: i32,
    /// Distinct days with an event.
    pub(super) days: u16,
    pub(super) events: u16,
}

/// A pattern that was reported with this account as its anchor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Raised {
    pub(super) pattern: u8,
    pub(super) family: u8,
    pub(super) at: i64,
    pub(super) size: u16,
    pub(super) alert: bool,
}

/// The state of one account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Account {
    /// First event of any kind.
    pub(super) first: i64,
    /// First event that brought it money or made it a counterparty.
    pub(super) first_in: i64,
    /// Number of the last evaluation that touched it: the order of forgetting.
    pub(super) used: u64,
    /// Events as `account_id`.
    pub(super) as_account: u32,
    /// Events as counterparty, by type.
    pub(super) received: [u16; 8],
    /// Money sent out: events, and those of them to a payee that was new to the whole stream.
    pub(super) sent: u32,
    pub(super) sent_new: u32,
    /// Events that brought an amount which it had got before from another party or on another day.
    pub(super) repeats: u16,
    /// Whether edges were forgotten for want of room: then an absent one is not known to be young.
    pub(super) edges_lost: bool,
    pub(super) recent: VecDeque<Entry>,
    pub(super) edges: Vec<Edge>,
    pub(super) raised: Vec<Raised>,
}

pub(super) fn day_of(at: i64) -> i32 {
    i32::try_from(at.div_euclid(DAY)).unwrap_or(0)
}

impl Account {
    pub(super) fn new(at: i64) -> Account {
        Account {
            first: at,
            first_in: i64::MAX,
            used: 0,
            as_account: 0,
            received: [0; 8],
            sent: 0,
            sent_new: 0,
            repeats: 0,
            edges_lost: false,
            recent: VecDeque::new(),
            edges: Vec::new(),
            raised: Vec::new(),
        }
    }

    /// Events as counterparty.
    pub(super) fn received_total(&self) -> u32 {
        self.received.iter().map(|n| u32::from(*n)).sum()
    }

    pub(super) fn edge(&self, partner: u64) -> Option<&Edge> {
        self.edges.iter().find(|e| e.partner == partner)
    }

    /// Counts an event with a partner.
    pub(super) fn touch_edge(&mut self, partner: u64, day: i32) {
        if let Some(edge) = self.edges.iter_mut().find(|e| e.partner == partner) {
            edge.events = edge.events.saturating_add(1);
            if day != edge.last_day {
                edge.days = edge.days.saturating_add(1);
                edge.last_day = edge.last_day.max(day);
            }
            return;
        }
        if self.edges.len() >= EDGES {
            self.edges_lost = true;
            // The least used of the oldest goes; ties by partner, so that the choice is the same everywhere.
            if let Some(at) = self.edges.iter().enumerate().min_by_key(|(_, e)| (e.last_day + i32::from(e.days.min(30)), e.partner)).map(|(i, _)| i) {
                self.edges.swap_remove(at);
            }
        }
        self.edges.push(Edge { partner, first_day: day, last_day: day, days: 1, events: 1 });
    }

    /// Remembers an event; where room is short, first the oldest on a habitual edge goes, then the oldest.
    pub(super) fn remember(&mut self, entry: Entry, keep_from: i64) {
        if entry.id.len() > ID_BYTES {
            return;
        }
        while self.recent.front().is_some_and(|e| e.at < keep_from) {
            self.recent.pop_front();
        }
        let mut bytes: usize = self.recent.iter().map(|e| e.id.len()).sum::<usize>() + entry.id.len();
        while self.recent.len() >= ENTRIES || bytes > ID_BYTES {
            let at = self.recent.iter().position(|e| !e.young).unwrap_or(0);
            let Some(gone) = self.recent.remove(at) else { break };
            bytes -= gone.id.len();
        }
        self.recent.push_back(entry);
    }

    /// Marks a pattern as reported.
    pub(super) fn mark(&mut self, raised: Raised) {
        if let Some(known) = self.raised.iter_mut().find(|r| r.pattern == raised.pattern) {
            let alert = raised.alert || known.alert;
            *known = Raised { alert, ..raised };
            return;
        }
        if self.raised.len() >= RAISED
            && let Some(at) = self.raised.iter().enumerate().min_by_key(|(_, r)| (r.alert, r.at, r.pattern)).map(|(i, _)| i)
        {
            self.raised.remove(at);
        }
        self.raised.push(raised);
    }

    /// Version byte, then the state.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // Writing into a growing vector cannot fail.
        postcard::to_extend(self, vec![STATE_VERSION]).unwrap_or_default()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Account, StateError> {
        let body = body_of(bytes)?;
        let (account, behind): (Account, &[u8]) = postcard::take_from_bytes(body).map_err(|e| StateError::Damaged(e.to_string()))?;
        if !behind.is_empty() {
            return Err(StateError::Damaged(format!("{} bytes too many", behind.len())));
        }
        if account.is_sound() { Ok(account) } else { Err(StateError::Damaged("an account with times or amounts that cannot be".to_owned())) }
    }

    /// Whether what was decoded brings no arithmetic out of its range.
    fn is_sound(&self) -> bool {
        let events = self.recent.iter().all(|entry| is_time(entry.at) && is_amount(entry.cents));
        let edges = self.edges.iter().all(|edge| DAYS.contains(&edge.first_day) && DAYS.contains(&edge.last_day));
        is_time(self.first)
            && (self.first_in == i64::MAX || is_time(self.first_in))
            && self.used <= i64::MAX.unsigned_abs()
            && events
            && edges
            && self.raised.iter().all(|raised| is_time(raised.at))
    }
}

/// What follows the version byte.
pub(super) fn body_of(bytes: &[u8]) -> Result<&[u8], StateError> {
    match bytes.split_first() {
        Some((&STATE_VERSION, body)) => Ok(body),
        Some((&found, _)) => Err(StateError::Version { found }),
        None => Err(StateError::Damaged("empty".to_owned())),
    }
}
