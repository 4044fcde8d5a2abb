//! What every detector sees of one event: the two accounts as they are after it, the edge between them as it was before.
//!
//! What must stay true: detectors read only; they change nothing.

use wh_schemas::TransactionType;
use wh_schemas::time::DAY;

use super::account::{Account, day_of};
use super::book::Book;
use super::event::Event;
use super::norms::Norms;
use super::rules::AccountRules;

/// Distinct days with an event from which an edge is a habit.
const HABIT_DAYS: u16 = 5;

/// The dealings between two accounts before an event.
#[derive(Clone, Copy, Debug)]
pub(super) struct EdgeView {
    /// First seen lately, as far as can be known; never before the stream is warm.
    pub(super) young: bool,
    /// On many days before.
    pub(super) habitual: bool,
}

impl EdgeView {
    pub(super) fn of(book: &Book, norms: &Norms, rules: &AccountRules, a: u64, b: u64, day: i32) -> EdgeView {
        let (Some(one), Some(two)) = (book.get(a), book.get(b)) else { return EdgeView { young: false, habitual: false } };
        let warm = day_of(norms.start).saturating_add(i32::try_from(rules.warm_up_days).unwrap_or(i32::MAX));
        let mut first = day;
        let mut days = 0;
        for edge in [one.edge(b), two.edge(a)].into_iter().flatten() {
            first = first.min(edge.first_day);
            days = days.max(edge.days);
        }
        let known = days > 0 || !(one.edges_lost && two.edges_lost);
        let recent = day.saturating_sub(first) <= i32::try_from(rules.young_edge_days).unwrap_or(i32::MAX);
        EdgeView { young: known && recent && first >= warm && days < HABIT_DAYS, habitual: days >= HABIT_DAYS }
    }
}

/// One event with all that a detector may look at.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) event: &'a Event,
    pub(super) book: &'a Book,
    pub(super) norms: &'a Norms,
    pub(super) rules: &'a AccountRules,
    pub(super) kind: TransactionType,
    pub(super) account: u64,
    pub(super) counterparty: u64,
    pub(super) payer: u64,
    pub(super) payee: u64,
    pub(super) user: u64,
    pub(super) department: u32,
    /// Deviations of the log amount from what department and type are like.
    pub(super) z: f64,
    pub(super) edge: EdgeView,
    /// The payee had never got money before.
    pub(super) stranger: bool,
    /// A payroll event within a pay run.
    pub(super) in_run: bool,
    /// How often the amount was seen with whatever parties before.
    pub(super) price: u8,
    /// Whether money moved.
    pub(super) moved: bool,
}

impl View<'_> {
    /// Whether an account was first seen lately, in whatever role, in a stream that has run long enough to say so.
    pub(super) fn is_new(&self, account: &Account) -> bool {
        let warm = self.norms.start.saturating_add(AccountRules::days(self.rules.warm_up_days));
        account.first >= warm && self.event.at.saturating_sub(account.first) <= AccountRules::days(self.rules.new_payee_days)
    }
}

/// Microseconds as days.
#[expect(clippy::cast_precision_loss, reason = "days, for statistics only")]
pub(super) fn days(micros: i64) -> f64 {
    micros as f64 / DAY as f64
}

/// A count as a number to reckon with.
#[expect(clippy::cast_precision_loss, reason = "small counts")]
pub(super) fn number(count: usize) -> f64 {
    count as f64
}
