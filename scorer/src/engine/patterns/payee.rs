//! Rows that gather on a party that is new to the user: more than new parties of theirs draw, and for more than they usually pay.

use super::super::parties::Parties;
use super::super::recent::{Mark, Row};
use super::super::signals::YOUNG;
use super::super::user::hours_of;
use super::{Aspects, Found, PatternRule, View, float, said, tail_bits};

/// The stronger of what is seen at the counterparty and at the account.
pub(super) fn payee_run<'a>(view: &View<'a>, rule: &PatternRule) -> Option<Found<'a>> {
    let (account, counterparty) = (view.account, view.counterparty);
    let other = if counterparty == 0 { None } else { at_party(view, &view.user.counterparties, counterparty, |row| row.counterparty == counterparty) };
    let own = at_party(view, &view.user.accounts, account, |row| row.account == account);
    match (other, own) {
        (Some(a), Some(b)) => Some(if rule.strength(&a.aspects) >= rule.strength(&b.aspects) { a } else { b }),
        (a, b) => a.or(b),
    }
}

fn at_party<'a>(view: &View<'a>, parties: &Parties, fingerprint: u32, of_party: impl Fn(&Row) -> bool) -> Option<Found<'a>> {
    let now = hours_of(view.observation.timestamp.0);
    let party = parties.get(fingerprint)?;
    let age = now.saturating_sub(party.first);
    if age > 3 * YOUNG || party.count < 2 || parties.seen() < 20 {
        return None;
    }
    let (signals, user) = (view.signals, view.user);
    let count = f64::from(party.count) + 1.0;
    let days = f64::from(age) / 24.0 + 0.5;
    // What each young party of this user may expect of their rows beyond the first.
    let expected = parties.again_rate() * user.expected_events(days).max(count - 1.0) / float(parties.young(now, YOUNG).max(1));
    let bits = tail_bits(usize::from(party.count), expected.max(0.15));
    let above = party.mean_above(signals.deviation.z);
    let rows: Vec<&Row> = user.recent.rows().filter(|row| of_party(row)).collect();
    let share = |mark: Mark| float(rows.iter().filter(|row| row.is(mark)).count() + usize::from(signals.is(mark))) / float(rows.len() + 1);
    let common = view.aspects();
    let aspects = Aspects {
        surprise: bits.min(50.0) / 10.0,
        count: libm::log2(count),
        own: share(Mark::Spike),
        amounts: (above * libm::sqrt(count) / libm::sqrt(1.0 + 0.5 * count)).clamp(-1.0, 4.0),
        hour: 5.0 * share(Mark::OddHour),
        outside: share(Mark::Outside),
        limit: share(Mark::BelowLimit),
        place: common.place.max(share(Mark::NewMetadata)),
        repeat: common.repeat.max(share(Mark::Repeat)),
        newness: if age <= YOUNG { 1.0 } else { 0.0 },
        party: if signals.is(Mark::Reversal) { 1.0 } else { 0.0 },
        habit: libm::log2(1.0 + float(parties.young(now, YOUNG))) / 2.0,
        ..common
    };
    let evidence = said(move || {
        format!(
            "{count:.0} rows within {days:.1} days with a party new to this user, where {expected:.1} are usual, for amounts {above:.1} scales above the usual; {bits:.0} bits against chance"
        )
    });
    Some(Found { least: 0.0, aspects, rows, evidence })
}
