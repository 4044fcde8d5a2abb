//! What the money that came to an account lately looks like, as numbers.
//!
//! What must stay true: a profile is made of the entries still remembered; it says nothing about what was forgotten.

use std::collections::BTreeSet;

use wh_schemas::Cents;
use wh_schemas::time::{HOUR, SECOND};

use super::account::{Account, Entry, Flow};
use super::case::Member;
use super::view::number;

/// Gap after which another sitting begins.
const SITTING: i64 = 90 * 60 * SECOND;

/// Some of the entries of one account, counted.
#[derive(Debug, Default)]
pub(super) struct Profile<'a> {
    pub(super) entries: Vec<&'a Entry>,
    pub(super) users: usize,
    pub(super) departments: usize,
    pub(super) sources: usize,
    /// Groups of events with gaps of an hour and a half between them.
    pub(super) sittings: usize,
    pub(super) cents: i64,
    /// Mean deviation of the log amounts.
    pub(super) z: f64,
    /// Spread of the log amounts.
    pub(super) spread: f64,
    /// Members that scored 40 or more by themselves.
    pub(super) risky: usize,
    /// Mean score of the members by themselves.
    pub(super) risk: f64,
    pub(super) span: i64,
}

impl<'a> Profile<'a> {
    pub(super) fn of(entries: impl Iterator<Item = &'a Entry>) -> Profile<'a> {
        let entries: Vec<&Entry> = entries.collect();
        let n = number(entries.len().max(1));
        let distinct = |key: &dyn Fn(&Entry) -> u64| entries.iter().map(|e| key(e)).collect::<BTreeSet<u64>>().len();
        let logs: Vec<f64> = entries.iter().map(|e| libm::log(Cents(e.cents.max(1)).as_units())).collect();
        let mean = logs.iter().sum::<f64>() / n;
        let spread = (logs.iter().map(|l| (l - mean) * (l - mean)).sum::<f64>() / n).sqrt();
        let sittings = usize::from(!entries.is_empty()) + entries.windows(2).filter(|w| w[1].at - w[0].at > SITTING).count();
        Profile {
            users: distinct(&|e| e.user),
            departments: distinct(&|e| u64::from(e.department)),
            sources: distinct(&|e| e.partner),
            sittings,
            cents: entries.iter().map(|e| e.cents).sum(),
            z: entries.iter().map(|e| f64::from(e.z10)).sum::<f64>() / 10.0 / n,
            spread,
            risky: entries.iter().filter(|e| e.risk >= 40).count(),
            risk: entries.iter().map(|e| f64::from(e.risk)).sum::<f64>() / n,
            span: entries.last().map_or(0, |e| e.at) - entries.first().map_or(0, |e| e.at),
            entries,
        }
    }

    /// What came to an account from an instant on.
    pub(super) fn incoming(account: &'a Account, from: i64) -> Profile<'a> {
        Profile::of(account.recent.iter().filter(|e| e.flow == Flow::In && e.at >= from))
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn members(&self) -> Vec<Member> {
        self.entries.iter().map(|e| Member::of(e)).collect()
    }

    /// The accounts on the other side.
    pub(super) fn partners(&self) -> Vec<u64> {
        let set: BTreeSet<u64> = self.entries.iter().map(|e| e.partner).collect();
        set.into_iter().collect()
    }

    pub(super) fn total(&self) -> String {
        Cents(self.cents).grouped()
    }

    /// For people: how long it took.
    pub(super) fn took(&self) -> String {
        let hours = self.span / HOUR;
        if hours < 48 { format!("{hours} hours") } else { format!("{} days", hours / 24) }
    }
}
