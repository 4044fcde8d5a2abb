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

use serde::{Deserialize, Serialize};
use wh_schemas::activity::Activity;
use wh_schemas::pattern::Pattern;
use wh_schemas::position::Seq;
use wh_schemas::scored::{ALERT_SCORE, Reason};
use wh_schemas::time::DAY;
use wh_schemas::{Cents, TransactionType, ids};

pub use account::STATE_BYTES;
use account::{Entry, Flow, Raised, STATE_VERSION, body_of, day_of};
use book::Book;
use case::Case;
use event::{Direction, Event, kind_of, short};
use norms::Norms;
use order::Order;
pub use rules::{AccountRules, PATTERNS};
use view::View;

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

    fn evaluate(&mut self, event: &Event, out: &mut Vec<Found>) {
        if self.norms.start == i64::MIN {
            self.norms.start = event.at;
        }
        let account = ids::fingerprint(event.account.as_bytes());
        self.evaluated += 2;
        let used = self.evaluated;
        let opened = self.book.open(account, &event.account, event.at, used, &self.rules);
        opened.as_account = opened.as_account.saturating_add(1);
        let department = short(&event.department);
        let kind = kind_of(event.kind);
        let z = self.norms.deviation(department, event.kind, event.cents);
        if let Some(name) = event.counterparty.as_deref().filter(|name| *name != event.account) {
            let counterparty = ids::fingerprint(name.as_bytes());
            let cases = self.deal(event, (account, counterparty, name), (department, kind, z), used + 1);
            for case in cases {
                self.settle(case, event, out);
            }
        }
        self.norms.learn_amount(department, event.kind, event.cents);
    }

    /// Records an event between two accounts and asks every detector.
    fn deal(&mut self, event: &Event, (account, counterparty, name): (u64, u64, &str), (department, kind, z): (u32, TransactionType, f64), used: u64) -> Vec<Case> {
        let user = ids::fingerprint(event.user.as_bytes());
        let index = usize::from(event.kind);
        let day = day_of(event.at);
        self.book.open(counterparty, name, event.at, used, &self.rules);
        let edge = view::EdgeView::of(&self.book, &self.norms, &self.rules, account, counterparty, day);
        let (there, here, payee, payer) = match Direction::of(kind) {
            Direction::ToCounterparty => (Flow::In, Flow::Out, counterparty, account),
            Direction::ToAccount => (Flow::Out, Flow::In, account, counterparty),
            Direction::Still => (Flow::Beside, Flow::Own, counterparty, account),
        };
        let in_run = kind == TransactionType::Payroll && self.norms.learn_payroll(event.at);
        let price = self.norms.price(event.kind, event.cents);
        let keep_from = event.at.saturating_sub(AccountRules::days(self.rules.window_days.max(self.rules.round_trip_days)));
        #[expect(clippy::cast_possible_truncation, reason = "z is clamped to ±12 before")]
        let entry = Entry {
            at: event.at,
            id: event.id.as_str().into(),
            partner: 0,
            user,
            department,
            cents: event.cents,
            kind: event.kind,
            risk: event.risk,
            flow: Flow::Own,
            young: edge.young,
            z10: libm::round(z * 10.0) as i8,
        };
        let stranger = self.book.get(payee).is_none_or(|a| a.first_in == i64::MAX);
        self.norms.to_new[index].learn(stranger);
        if let Some(a) = self.book.get_mut(payee) {
            let earlier = a.recent.iter().filter(|e| matches!(e.flow, Flow::In | Flow::Beside));
            let (mut any, mut source, mut by, mut again) = (0, false, false, false);
            for e in earlier {
                any += 1;
                source |= e.partner == payer;
                by |= e.user == user;
                again |= e.kind == event.kind && event.at.saturating_sub(e.at) <= 9 * DAY;
                if e.cents == event.cents && e.kind == event.kind {
                    a.repeats = a.repeats.saturating_add(1);
                }
            }
            // The first few events of a payee only: a scheme with many must not make itself usual.
            if (1..=2).contains(&any) && event.at.saturating_sub(a.first_in) <= AccountRules::days(self.rules.new_payee_days) {
                self.norms.other_source[index].learn(!source);
                self.norms.other_user[index].learn(!by);
            }
            a.first_in = a.first_in.min(event.at);
            if kind == TransactionType::Payroll {
                self.norms.wages_again.learn(again);
            }
        }
        if let Some(a) = self.book.get_mut(account) {
            a.touch_edge(counterparty, day);
            a.remember(Entry { partner: counterparty, flow: here, ..entry.clone() }, keep_from);
        }
        if let Some(a) = self.book.get_mut(counterparty) {
            a.received[index] = a.received[index].saturating_add(1);
            a.touch_edge(account, day);
            a.remember(Entry { partner: account, flow: there, ..entry.clone() }, keep_from);
        }
        if there != Flow::Beside
            && let Some(a) = self.book.get_mut(payer)
        {
            a.sent = a.sent.saturating_add(1);
            a.sent_new = a.sent_new.saturating_add(u32::from(stranger));
        }
        let view = View {
            event,
            book: &self.book,
            norms: &self.norms,
            rules: &self.rules,
            kind,
            account,
            counterparty,
            payer,
            payee,
            user,
            department,
            z,
            edge,
            stranger,
            in_run,
            price,
            moved: there != Flow::Beside,
        };
        let mut cases = Vec::new();
        for detect in [round_trip::detect, shared_payee::detect, ghost::detect, fan::fan_in, fan::fan_out, fan::pass_through, sink::detect, duplicate::detect] {
            detect(&view, &mut cases);
        }
        self.norms.learn_price(event.kind, event.cents, event.at);
        cases
    }

    /// Reports a case unless it was told before: once as a row, once when confirmed, again only when it has doubled.
    fn settle(&mut self, case: Case, event: &Event, out: &mut Vec<Found>) {
        let score = case.score();
        let Some(name) = PATTERNS.get(case.pattern) else { return };
        if score < self.rules.row_score || self.rules.disabled.contains(*name) {
            return;
        }
        let alert = score >= ALERT_SCORE;
        let window = AccountRules::days(self.rules.window_days);
        let pattern = u8::try_from(case.pattern).unwrap_or(u8::MAX);
        for anchor in &case.anchors {
            let Some(account) = self.book.get(*anchor) else { continue };
            for raised in account.raised.iter().filter(|r| event.at.saturating_sub(r.at) <= window) {
                let grown = case.size >= 2 * usize::from(raised.size);
                let told = if raised.pattern == pattern { !(grown || alert && !raised.alert) } else { raised.family == case.family && raised.alert && !grown };
                if told {
                    return;
                }
            }
        }
        for anchor in &case.anchors {
            if let Some(account) = self.book.get_mut(*anchor) {
                account.mark(Raised { pattern, family: case.family, at: event.at, size: u16::try_from(case.size).unwrap_or(u16::MAX), alert });
            }
        }
        out.push(case.found(name, event, &self.book));
    }
}

#[cfg(test)]
mod tests;
