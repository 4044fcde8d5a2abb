//! `ghost_payee`: wages that go where no employee is.
//!
//! What must stay true: a newcomer is paid once a period, in the run in which all are paid; what counts against a payee is being paid several
//! times within days, outside the runs, by one user, or under several identities.

use wh_schemas::scored::Dimension;
use wh_schemas::time::DAY;
use wh_schemas::{Cents, TransactionType};

use super::account::Flow;
use super::case::Case;
use super::payee::Profile;
use super::view::{View, days, number};

pub(super) fn detect(view: &View<'_>, cases: &mut Vec<Case>) {
    if view.kind != TransactionType::Payroll {
        return;
    }
    let Some(payee) = view.book.get(view.payee) else { return };
    let payroll = TransactionType::Payroll.index();
    let wages = |days: i64| Profile::of(payee.recent.iter().filter(move |e| e.flow == Flow::In && usize::from(e.kind) == payroll && e.at >= view.event.at - days * DAY));
    let profile = wages(9);
    let n = profile.len();
    if n < 2 {
        return;
    }
    let runs = ((view.norms.in_run.of(0.3) - 0.5) * 2.0).max(0.0);
    let again = view.norms.wages_again.of(0.1).clamp(0.01, 1.0);
    let bits = number(n - 1) * -libm::log2(again);
    let usual = view.norms.usual(view.department, view.event.kind).max(1.0);
    let ratio = Cents(profile.cents).as_units() / usual;
    let equal = profile.entries.iter().filter(|e| e.cents == view.event.cents).count();
    let new = view.is_new(payee);
    let story = format!(
        "{} got wages {n} times within {}, {} in all, by {} users under {} identities, {equal} times the same amount",
        view.book.name(view.payee).unwrap_or("one payee"),
        profile.took(),
        profile.total(),
        profile.users,
        profile.sources
    );
    let mut case = Case::new(2, 3, story);
    case.aspect("ghost_payee", Dimension::Frequency, 2.5 * bits, || {
        format!("{n} wages within {}; {:.0} % of wages go to one who was paid within nine days before", profile.took(), again * 100.0)
    });
    if new {
        case.base("new_payee", Dimension::Behavior, 8.0, || "the payee was first paid within the last weeks".to_owned());
    }
    let other = payee.recent.iter().filter(|e| e.flow == Flow::In && usize::from(e.kind) != payroll).count();
    if other > 0 {
        case.base("other_money", Dimension::Behavior, 5.0, || format!("it also got money of other kinds, {other} times lately"));
    }
    if profile.users == 1 && n >= 3 {
        case.base("one_user", Dimension::Behavior, 12.0, || "all of them entered by one user".to_owned());
    }
    case.aspect("amounts_above_usual", Dimension::Amount, 12.0 * (profile.z - 0.8), || {
        format!("on average {:.1} deviations above the wages of the department, {} this time", profile.z, Cents(view.event.cents).grouped())
    });
    case.base("much_in_all", Dimension::Amount, 5.0 * libm::log2(ratio.max(1.0)), || format!("in all {ratio:.1} times a usual wage of {usual:.2}"));
    if equal >= 2 {
        case.aspect("same_amount", Dimension::Time, 5.0 * number(equal - 1), || format!("{} was paid {equal} times", Cents(view.event.cents).grouped()));
    }
    if !view.in_run && runs > 0.1 {
        case.aspect("outside_the_run", Dimension::Time, 20.0 * runs, || format!("{:.0} % of wages are paid in runs, this one was not", view.norms.in_run.of(0.3) * 100.0));
    }
    if profile.sources >= 2 && runs > 0.5 && equal >= 2 {
        case.aspect("several_identities", Dimension::Time, 10.0, || format!("under {} payroll identities", profile.sources));
    }
    case.aspect("in_one_breath", Dimension::Time, 4.0 * number(n) - 8.0 * days(profile.span), || format!("{n} wages within {}", profile.took()));
    case.base("members_scored", Dimension::Metadata, (profile.risk - 15.0) / 4.0, || format!("they scored {:.0} on average by themselves", profile.risk));
    case.members = profile.members();
    case.accounts = profile.partners();
    case.accounts.push(view.payee);
    case.anchors = vec![view.payee];
    case.size = n;
    case.single_user = profile.users == 1;
    cases.push(case);
}
