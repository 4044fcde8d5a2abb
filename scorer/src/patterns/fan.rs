//! `fan_in`, `fan_out`, `pass_through`: many to one, one to many, and what came in leaves again nearly whole.
//!
//! What must stay true: an account is measured against its own habit: hubs, pay runs and cash pooling do daily what would be strange elsewhere.

use std::collections::BTreeSet;

use wh_schemas::scored::Dimension;
use wh_schemas::time::DAY;
use wh_schemas::{Cents, TransactionType};

use super::account::{Account, Flow};
use super::case::Case;
use super::event::kind_of;
use super::payee::Profile;
use super::view::{View, days, number};

/// Money from many accounts to one that is new, within a day or two.
pub(super) fn fan_in(view: &View<'_>, cases: &mut Vec<Case>) {
    if !view.moved || !matches!(view.kind, TransactionType::Payment | TransactionType::Transfer | TransactionType::Procurement) {
        return;
    }
    let Some(payee) = view.book.get(view.payee) else { return };
    if !view.is_new(payee) {
        return;
    }
    let profile = Profile::incoming(payee, view.event.at - 2 * DAY);
    let total = payee.received_total();
    let n = profile.len();
    if profile.sources < 5 || number(n) < 0.7 * f64::from(total) {
        return;
    }
    let story = format!(
        "{} accounts sent {} in {n} transactions within {} to {}, which had got nothing before, by {} users",
        profile.sources,
        profile.total(),
        profile.took(),
        view.book.name(view.payee).unwrap_or("one account"),
        profile.users
    );
    let mut case = Case::new(3, 2, story);
    case.base("fan_in", Dimension::Behavior, 3.5 * number(profile.sources), || format!("{} accounts sent to one that is new", profile.sources));
    case.base("haste", Dimension::Frequency, 5.0 * number(n) / (0.5 + days(profile.span)), || format!("{n} events within {}", profile.took()));
    if profile.sources * 10 >= n * 9 {
        case.aspect("once_each", Dimension::Time, 2.0 * number(profile.sources) - 4.0, || format!("{} of {n} senders sent once only", profile.sources));
    }
    case.aspect("amounts_above_usual", Dimension::Amount, 10.0 * (profile.z - 0.2), || format!("on average {:.1} deviations above the usual", profile.z));
    if profile.spread < 0.5 {
        case.aspect("amounts_alike", Dimension::Amount, 9.0, || format!("the amounts are near each other: spread {:.2} of their logarithm", profile.spread));
    }
    case.base("members_scored", Dimension::Metadata, (profile.risk - 15.0) / 4.0, || format!("they scored {:.0} on average by themselves", profile.risk));
    if profile.users >= 5 {
        case.base("many_users", Dimension::Frequency, 6.0, || format!("{} users", profile.users));
    }
    close(view, case, &profile, view.payee, cases);
}

/// Money from one account to many that are new to the whole stream, within three days, where this account seldom pays strangers.
pub(super) fn fan_out(view: &View<'_>, cases: &mut Vec<Case>) {
    // Wages and refunds go from one to many by their nature.
    if !matches!(view.kind, TransactionType::Payment | TransactionType::Transfer | TransactionType::Procurement)
        || !view.stranger
        || view.norms.age_days(view.event.at) < i64::from(view.rules.warm_up_days)
    {
        return;
    }
    let Some(payer) = view.book.get(view.payer) else { return };
    let profile = outgoing_to_strangers(view, payer);
    let n = profile.len();
    if n < 3 {
        return;
    }
    // How often this account's money, and this type's, goes to strangers otherwise; the events at hand are left out.
    let at_hand = u32::try_from(n).unwrap_or(0);
    let (sent, sent_new) = (payer.sent.saturating_sub(at_hand), payer.sent_new.saturating_sub(at_hand));
    let type_share = view.norms.to_new.get(view.kind.index()).map_or(0.5, |s| s.of(0.2));
    let own = (f64::from(sent_new) + 4.0 * type_share) / (f64::from(sent) + 4.0);
    let share = own.max(type_share * 0.5).clamp(0.01, 1.0);
    let bits = number(n) * -libm::log2(share);
    let story = format!(
        "{} paid {} to {n} payees that nobody had paid before, within {}, by {} users; {:.0} % of what it sends otherwise goes to strangers",
        view.book.name(view.payer).unwrap_or("one account"),
        profile.total(),
        profile.took(),
        profile.users,
        share * 100.0
    );
    let mut case = Case::new(4, 4, story);
    case.base("fan_out", Dimension::Behavior, bits - 2.0, || format!("{n} strangers paid, where {:.1} % are usual", share * 100.0));
    case.aspect("haste", Dimension::Frequency, 4.0 * number(n) / (0.5 + days(profile.span)), || format!("{n} events within {}", profile.took()));
    if profile.users == 1 {
        case.base("one_user", Dimension::Time, 8.0, || "all of them entered by one user".to_owned());
    }
    case.aspect("amounts_above_usual", Dimension::Amount, 10.0 * (profile.z - 0.2), || format!("on average {:.1} deviations above the usual", profile.z));
    if profile.spread < 0.5 {
        case.aspect("amounts_alike", Dimension::Amount, 12.0, || format!("the amounts are near each other: spread {:.2} of their logarithm", profile.spread));
    }
    case.base("members_scored", Dimension::Metadata, (profile.risk - 15.0) / 4.0, || format!("they scored {:.0} on average by themselves", profile.risk));
    close(view, case, &profile, view.payer, cases);
}

/// What came in lately leaves again, nearly whole: the account only passes on.
pub(super) fn pass_through(view: &View<'_>, cases: &mut Vec<Case>) {
    if !view.moved || view.edge.habitual {
        return;
    }
    let Some(mule) = view.book.get(view.payer) else { return };
    if !view.is_new(mule) {
        return;
    }
    let within = view.event.at - 5 * DAY;
    // Claims and bills bring money to a patient's account which then pays: that is no mule.
    let care = |kind: u8| matches!(kind_of(kind), TransactionType::Billing | TransactionType::InsuranceClaim);
    let incoming = Profile::of(mule.recent.iter().filter(|e| e.flow == Flow::In && e.at >= within && !care(e.kind)));
    let outgoing = Profile::of(mule.recent.iter().filter(|e| e.flow == Flow::Out && e.at >= within && !care(e.kind)));
    let Some(first_out) = outgoing.entries.first().map(|e| e.at) else { return };
    let before = incoming.entries.iter().filter(|e| e.at <= first_out).count();
    let share = Cents(outgoing.cents).as_units() / Cents(incoming.cents.max(1)).as_units();
    if incoming.sources < 2 || before < 2 || !(0.7..=1.02).contains(&share) {
        return;
    }
    let n = incoming.len();
    let story = format!(
        "{} came from {} accounts to {}, which is new, and {} ({:.0} %) left again to {} accounts within {:.1} days",
        incoming.total(),
        incoming.sources,
        view.book.name(view.payer).unwrap_or("one account"),
        outgoing.total(),
        share * 100.0,
        outgoing.sources,
        days(outgoing.entries.last().map_or(0, |e| e.at) - incoming.entries.first().map_or(0, |e| e.at))
    );
    let mut case = Case::new(5, 5, story);
    case.base("pass_through", Dimension::Behavior, 20.0, || format!("{:.0} % of what came in left again", share * 100.0));
    case.aspect("many_senders", Dimension::Frequency, 5.0 * number(incoming.sources), || format!("{} accounts sent", incoming.sources));
    let strangers = outgoing.entries.iter().filter(|e| e.young).count();
    if strangers == outgoing.len() {
        case.aspect("young_receivers", Dimension::Time, 12.0, || format!("all {} receivers are new to it", outgoing.sources));
    }
    case.aspect("nearly_whole", Dimension::Amount, 18.0 * (1.0 - 2.0 * (1.0 - share).abs()), || format!("only {:.0} % stayed", (1.0 - share) * 100.0));
    case.base("amounts_above_usual", Dimension::Amount, 5.0 * incoming.z, || format!("on average {:.1} deviations above the usual", incoming.z));
    case.members = incoming.members();
    case.members.extend(outgoing.members());
    case.accounts = incoming.partners();
    case.accounts.extend(outgoing.partners());
    case.accounts.push(view.payer);
    case.anchors = vec![view.payer];
    case.size = n;
    case.single_user = incoming.users == 1 && outgoing.users == 1;
    cases.push(case);
}

fn outgoing_to_strangers<'a>(view: &View<'a>, payer: &'a Account) -> Profile<'a> {
    let from = view.event.at - 3 * DAY;
    let strangers: BTreeSet<u64> =
        payer.recent.iter().filter(|e| e.flow == Flow::Out && e.at >= from).map(|e| e.partner).filter(|p| view.book.get(*p).is_some_and(|a| a.first_in >= from)).collect();
    Profile::of(payer.recent.iter().filter(move |e| e.flow == Flow::Out && e.at >= from && e.kind == view.event.kind && strangers.contains(&e.partner)))
}

fn close(view: &View<'_>, mut case: Case, profile: &Profile<'_>, anchor: u64, cases: &mut Vec<Case>) {
    case.members = profile.members();
    case.accounts = profile.partners();
    case.accounts.extend([view.payer, view.payee]);
    case.anchors = vec![anchor];
    case.size = profile.len();
    case.single_user = profile.users == 1;
    cases.push(case);
}
