//! `shared_new_payee` and `phantom_vendor`: a payee that nobody knew before and that gets much money quickly, from several users or from one.
//!
//! What must stay true: a new honest vendor gets ordinary amounts at an ordinary pace; only amounts high for department and type, or just
//! below limits, together with haste and unrelated departments make an alert.

use std::collections::BTreeSet;

use wh_schemas::scored::Dimension;
use wh_schemas::time::DAY;
use wh_schemas::{Cents, TransactionType};

use super::case::Case;
use super::payee::Profile;
use super::view::{View, days, number};

pub(super) fn detect(view: &View<'_>, cases: &mut Vec<Case>) {
    if !view.moved || !matches!(view.kind, TransactionType::Payment | TransactionType::Procurement | TransactionType::Transfer) {
        return;
    }
    let Some(payee) = view.book.get(view.payee) else { return };
    if !view.is_new(payee) {
        return;
    }
    let profile = Profile::incoming(payee, view.event.at - 15 * DAY);
    if profile.len() < 3 {
        return;
    }
    if profile.users >= 3 {
        shared(view, &profile, cases);
    } else if profile.users == 1 {
        phantom(view, &profile, cases);
    }
}

/// How many different amounts lie just below a limit, all below the same: a list price that happens to lie there counts once.
fn below_limits(view: &View<'_>, profile: &Profile<'_>) -> usize {
    view.rules
        .limits
        .iter()
        .map(|limit| profile.entries.iter().filter(|e| view.rules.limit_above(Cents(e.cents).as_units()) == Some(*limit)).map(|e| e.cents).collect::<BTreeSet<i64>>().len())
        .max()
        .unwrap_or(0)
}

fn finish(view: &View<'_>, profile: &Profile<'_>, mut case: Case, cases: &mut Vec<Case>) {
    case.aspect("members_scored", Dimension::Time, (profile.risk - 15.0) / 2.0, || {
        format!("its transactions scored {:.0} on average by themselves, {} of them 40 or more", profile.risk, profile.risky)
    });
    case.members = profile.members();
    case.accounts = profile.partners();
    case.accounts.push(view.payee);
    case.anchors = vec![view.payee];
    case.size = profile.len();
    case.single_user = profile.users == 1;
    cases.push(case);
}

fn shared(view: &View<'_>, profile: &Profile<'_>, cases: &mut Vec<Case>) {
    let n = profile.len();
    let story = format!(
        "{} users of {} departments paid {} in {n} transactions within {} to {}, which nobody had paid before; the amounts lie {:.1} deviations above what is usual",
        profile.users,
        profile.departments,
        profile.total(),
        profile.took(),
        view.book.name(view.payee).unwrap_or("one payee"),
        profile.z
    );
    let per_day = number(n) / days(profile.span).max(1.0);
    let mut case = Case::new(1, 2, story);
    case.base("shared_new_payee", Dimension::Behavior, 4.0 * number(profile.users), || format!("{} users paid one payee that was new", profile.users));
    case.base("unrelated_departments", Dimension::Behavior, 2.0 * number(profile.departments), || format!("they are of {} departments", profile.departments));
    let haste = || format!("{n} payments within {}, {per_day:.1} a day", profile.took());
    if n >= 6 && per_day >= 4.0 {
        case.aspect("haste", Dimension::Frequency, 6.0 * per_day, haste);
    } else {
        case.base("haste", Dimension::Frequency, 6.0 * per_day, haste);
    }
    if profile.span <= 2 * DAY {
        case.base("at_once", Dimension::Time, 2.0 * number(n) - 8.0, || format!("a new vendor seldom gets {n} orders within {}", profile.took()));
    }
    case.aspect("amounts_above_usual", Dimension::Amount, 16.0 * (profile.z - 0.3), || {
        format!("on average {:.1} deviations above what these departments pay for the type", profile.z)
    });
    let below = below_limits(view, profile);
    if below * 2 > n && below >= 3 {
        case.aspect("below_limit", Dimension::Amount, 4.0 * number(below), || format!("{below} of {n} amounts lie just below a limit"));
    }
    if profile.spread < 0.45 {
        case.aspect("amounts_alike", Dimension::Time, 10.0 * (0.45 - profile.spread) / 0.25, || {
            format!("the amounts are near each other: spread {:.2} of their logarithm", profile.spread)
        });
    }
    finish(view, profile, case, cases);
}

fn phantom(view: &View<'_>, profile: &Profile<'_>, cases: &mut Vec<Case>) {
    let n = profile.len();
    let bits = rising_bits(profile);
    let growth = profile.entries.first().map_or(1.0, |e| Cents(view.event.cents).as_units() / Cents(e.cents.max(1)).as_units());
    let per_day = number(n) / days(profile.span).max(1.0);
    let story = format!(
        "one user alone paid {} in {n} transactions within {} to {}, which nobody had paid before; the amounts lie {:.1} deviations above what is usual, the last is {growth:.1} times the first",
        profile.total(),
        profile.took(),
        view.book.name(view.payee).unwrap_or("one payee"),
        profile.z
    );
    let mut case = Case::new(9, 2, story);
    case.base("phantom_vendor", Dimension::Behavior, 9.0 + 2.0 * number(n), || format!("{n} payments to a new payee, all entered by one user"));
    case.base("haste", Dimension::Frequency, 6.0 * per_day, || format!("{n} payments within {}, {per_day:.1} a day", profile.took()));
    if growth >= 1.5 {
        case.aspect("rising", Dimension::Frequency, 1.6 * bits, || format!("the amounts rise: {bits:.1} bits of chance"));
    }
    if bits >= 5.0 {
        case.aspect("escalation", Dimension::Time, 3.0 * libm::log2(growth.max(1.0)), || format!("the last is {growth:.1} times the first"));
    }
    if profile.span <= 5 * DAY {
        case.aspect("at_once", Dimension::Time, (2.0 * number(n) - 7.0).min(15.0), || format!("{n} payments within {}", profile.took()));
    }
    case.aspect("amounts_above_usual", Dimension::Amount, 12.0 * (profile.z - 0.4), || {
        format!("on average {:.1} deviations above what is usual for department and type", profile.z)
    });
    let below = below_limits(view, profile);
    if below * 3 > 2 * n && below >= 3 {
        case.aspect("below_limit", Dimension::Amount, 4.0 * number(below), || format!("{below} of {n} amounts lie just below a limit"));
        case.aspect("below_limit", Dimension::Time, 3.0 * number(below), || format!("{below} times below the same limit is no chance"));
    }
    if profile.spread < 0.05 && n >= 4 && profile.sittings >= 2 {
        case.aspect("amounts_alike", Dimension::Time, 10.0, || format!("the amounts are alike: spread {:.2} of their logarithm", profile.spread));
    }
    finish(view, profile, case, cases);
}

/// How little chance would order the amounts so well: bits of the share of orders with as few inversions, counted by Mahonian numbers
/// (D. E. Knuth, The Art of Computer Programming, volume 3, section 5.1.1).
fn rising_bits(profile: &Profile<'_>) -> f64 {
    let inversions: usize = profile.entries.iter().enumerate().map(|(i, earlier)| profile.entries.iter().skip(i + 1).filter(|later| later.cents <= earlier.cents).count()).sum();
    // counts[d]: orders of the first k amounts with d inversions; the k-th adds 0 to k − 1.
    let mut counts = vec![0.0_f64; inversions + 1];
    if let Some(first) = counts.first_mut() {
        *first = 1.0;
    }
    let mut all = 0.0;
    for k in 2..=profile.len() {
        all += libm::log2(number(k));
        let before = counts.clone();
        for (d, count) in counts.iter_mut().enumerate() {
            *count = before.iter().take(d + 1).skip((d + 1).saturating_sub(k)).sum();
        }
    }
    (all - libm::log2(counts.iter().sum())).max(0.0)
}
