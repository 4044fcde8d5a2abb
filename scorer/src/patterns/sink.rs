//! `refund_sink` and `skimming`: what belongs to many accounts ends in one place.
//!
//! What must stay true: an insurer or a third payer gets many refunds too, but in one sitting or always; a sink gets them in several sittings,
//! from accounts that have nothing else to do with it, by one or two users, and the stream's own rate of several sources to a new payee is low.

use wh_schemas::TransactionType;
use wh_schemas::scored::Dimension;
use wh_schemas::time::{DAY, HOUR};

use super::account::Flow;
use super::case::Case;
use super::payee::Profile;
use super::view::{View, number};

pub(super) fn detect(view: &View<'_>, cases: &mut Vec<Case>) {
    if !matches!(view.kind, TransactionType::Refund | TransactionType::Transfer | TransactionType::Adjustment | TransactionType::Payment) {
        return;
    }
    let Some(payee) = view.book.get(view.payee) else { return };
    if !view.is_new(payee) {
        return;
    }
    let from = view.event.at - 21 * DAY;
    let profile = Profile::of(payee.recent.iter().filter(|e| matches!(e.flow, Flow::In | Flow::Beside) && e.at >= from));
    if profile.sources < 3 || profile.users > 3 {
        return;
    }
    let n = profile.len();
    let rate = view.norms.other_source.get(view.kind.index()).map_or(0.5, |s| s.of(0.1)).clamp(0.005, 1.0);
    let bits = number(profile.sources - 1) * -libm::log2(rate);
    let small = profile.z < -1.5;
    if small && profile.users > 2 {
        return;
    }
    let story = format!(
        "{} of {} accounts ended in {} within {}: {n} transactions by {} users in {} sittings; a new payee's money comes from another account than before in {:.1} % of such events",
        profile.total(),
        profile.sources,
        view.book.name(view.payee).unwrap_or("one account"),
        profile.took(),
        profile.users,
        profile.sittings,
        rate * 100.0
    );
    let mut case = if small { Case::new(8, 2, story) } else { Case::new(7, 2, story) };
    let rule = if small { "skimming" } else { "refund_sink" };
    case.base(rule, Dimension::Behavior, 2.5 * bits, || format!("{} accounts, one receiver", profile.sources));
    case.aspect("many_sources", Dimension::Frequency, 4.5 * number(profile.sources - 1), || format!("{} different accounts", profile.sources));
    if profile.users == 1 && (profile.sittings >= 2 || profile.span >= HOUR) {
        case.aspect("one_user", Dimension::Time, 4.0 * number(profile.sittings) + 5.0, || format!("one user in {} sittings", profile.sittings));
    }
    case.aspect("amounts_above_usual", Dimension::Amount, 14.0 * profile.z, || format!("on average {:.1} deviations above the usual", profile.z));
    if small {
        case.base("many", Dimension::Time, 1.2 * number(n), || format!("{n} amounts that each draw no attention"));
        case.aspect("below_attention", Dimension::Amount, -10.0 * profile.z, || format!("on average {:.1} deviations below the usual", -profile.z));
    }
    case.base("members_scored", Dimension::Metadata, (profile.risk - 15.0) / 3.0, || format!("they scored {:.0} on average by themselves", profile.risk));
    case.members = profile.members();
    case.accounts = profile.partners();
    case.accounts.push(view.payee);
    case.anchors = vec![view.payee];
    case.size = n;
    case.single_user = profile.users == 1;
    cases.push(case);
}
