//! `collusive_duplicate`: the same claim or payment entered again, by another user or beyond what one user's recent memory holds.
//!
//! What must stay true: list prices (an amount seen with many parties) and standing invoices (one that repeats at intervals, or a party that
//! repeats amounts) are none. Honest second entries look the same: by itself this is a row, an alert only where the amount is high or a member
//! stood out by itself.

use wh_schemas::scored::Dimension;
use wh_schemas::time::{DAY, HOUR};
use wh_schemas::{Cents, TransactionType};

use super::account::Flow;
use super::case::{Case, Member};
use super::view::{View, days};

pub(super) fn detect(view: &View<'_>, cases: &mut Vec<Case>) {
    if !matches!(view.kind, TransactionType::Payment | TransactionType::InsuranceClaim | TransactionType::Procurement | TransactionType::Transfer | TransactionType::Refund) {
        return;
    }
    let Some(account) = view.book.get(view.counterparty) else { return };
    // The account that remembers longer: the one with fewer events.
    let (memory, partner, anchor) = match view.book.get(view.account) {
        Some(own) if own.recent.len() < account.recent.len() => (own, view.counterparty, view.account),
        _ => (account, view.account, view.counterparty),
    };
    let same: Vec<_> = memory
        .recent
        .iter()
        .filter(|e| e.partner == partner && e.kind == view.event.kind && e.flow != Flow::Beside && (e.cents - view.event.cents).abs() <= 1 && e.id.as_ref() != view.event.id)
        .filter(|e| view.event.at - e.at <= 14 * DAY)
        .collect();
    let Some(last) = same.last() else { return };
    let others = same.iter().filter(|e| e.user != view.user).count();
    if others == 0 && view.event.at - last.at < 12 * HOUR {
        return;
    }
    let seen = usize::from(view.price);
    // Seen with other parties: a list price. Repeated by this payee as a rule: a standing invoice.
    let list_price = seen > same.len() + 1;
    let repeats = f64::from(account.repeats.max(memory.repeats)) / f64::from(account.received_total().max(1));
    if list_price || same.len() > 3 {
        return;
    }
    let story = format!(
        "{} between {} and {} was entered {} times within {:.1} days, {} of them by another user; the amount was seen {} times in all",
        Cents(view.event.cents).grouped(),
        view.event.account,
        view.event.counterparty.as_deref().unwrap_or("-"),
        same.len() + 1,
        days(view.event.at - same.first().map_or(view.event.at, |e| e.at)),
        others,
        seen + 1
    );
    let mut case = Case::new(6, 6, story);
    case.base("collusive_duplicate", Dimension::Behavior, 14.0, || "same account, counterparty, type and amount".to_owned());
    if others > 0 {
        case.aspect("another_user", Dimension::Behavior, 6.0 + 2.0 * f64::from(u8::try_from(others).unwrap_or(9)), || format!("{others} of them by another user"));
    }
    case.aspect("not_a_habit", Dimension::Frequency, 14.0 * (1.0 - 8.0 * repeats).max(0.0), || {
        format!("{:.1} % of what this counterparty gets repeats an amount", repeats * 100.0)
    });
    case.base("odd_amount", Dimension::Amount, if view.event.cents % 100 != 0 { 10.0 } else { 2.0 }, || "an amount with cents seldom repeats by chance".to_owned());
    case.aspect("amounts_above_usual", Dimension::Amount, 6.0 * view.z, || format!("{:.1} deviations above the usual", view.z));
    let risk = same.iter().map(|e| e.risk).chain([view.event.risk]).max().unwrap_or(0);
    case.aspect("members_scored", Dimension::Time, (f64::from(risk) - 20.0) / 2.0, || format!("one of them scored {risk} by itself"));
    case.members = same.iter().map(|e| Member::of(e)).chain([Member { at: view.event.at, id: view.event.id.clone() }]).collect();
    case.accounts = vec![view.account, view.counterparty];
    case.anchors = vec![anchor];
    case.size = same.len() + 1;
    case.single_user = others == 0;
    cases.push(case);
}
