//! What the account engine makes of one event: both accounts are brought up to it, every detector is asked, what is new is reported.
//!
//! What must stay true: an edge is looked at as it was before the event, the accounts as they are after it; a case is reported once as a row,
//! once when confirmed, and again only when it has doubled.

use wh_schemas::scored::ALERT_SCORE;
use wh_schemas::time::DAY;
use wh_schemas::{TransactionType, ids};

use super::account::{Entry, Flow, Raised, day_of};
use super::case::Case;
use super::event::{Direction, Event, kind_of, short};
use super::rules::{AccountRules, PATTERNS};
use super::view::{EdgeView, View};
use super::{AccountEngine, Found, duplicate, fan, ghost, round_trip, shared_payee, sink};

impl AccountEngine {
    /// Takes the next event in the one order of all: learns from it, and adds what it completes.
    pub(super) fn evaluate(&mut self, event: &Event, out: &mut Vec<Found>) {
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
        let edge = EdgeView::of(&self.book, &self.norms, &self.rules, account, counterparty, day);
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
