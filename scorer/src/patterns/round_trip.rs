//! `round_trip`: money that returns to where it began over three to six accounts, whoever moves it.
//!
//! What must stay true: the search is bounded (six hops, eight edges a place, 96 places); at least half of the hops are young edges and none
//! is a habit, so that cash pooling is none; there and back again between two accounts is a returned transfer, unless three times or more
//! with changing amounts.

use wh_schemas::Cents;
use wh_schemas::scored::Dimension;

use super::account::{Entry, Flow};
use super::case::{Case, Member};
use super::rules::AccountRules;
use super::view::{View, days, number};

const DEPTH: usize = 6;
const BREADTH: usize = 8;
const PLACES: usize = 96;
/// What a hop may keep of what it got: fees down to 0.75, a little more than all.
const LEAST: f64 = 0.75;
const MOST: f64 = 1.02;

/// A hop backwards: the entry at the account that it paid.
struct Hop<'a> {
    entry: &'a Entry,
    habitual: bool,
}

pub(super) fn detect(view: &View<'_>, cases: &mut Vec<Case>) {
    if !view.moved || view.edge.habitual {
        return;
    }
    there_and_back(view, cases);
    let mut places = PLACES;
    let mut path = Vec::new();
    let mut best = None;
    let from = view.event.at.saturating_sub(AccountRules::days(view.rules.round_trip_days));
    search(view, view.payer, view.event.cents, view.event.at, from, &mut path, &mut places, &mut best);
    let Some(path): Option<Vec<&Entry>> = best else { return };
    let hops = path.len() + 1;
    let young = path.iter().filter(|e| e.young).count() + usize::from(view.edge.young);
    if young * 2 < hops {
        return;
    }
    // The path is from the last hop back to the first; the money began with the first.
    let began = path.last().map_or(view.event.cents, |e| e.cents);
    let kept = Cents(view.event.cents).as_units() / Cents(began.max(1)).as_units();
    let first = path.last().map_or(view.event.at, |e| e.at);
    let z = path.iter().map(|e| f64::from(e.z10) / 10.0).sum::<f64>() + view.z;
    let z = z / number(hops);
    let users: std::collections::BTreeSet<u64> = path.iter().map(|e| e.user).chain([view.user]).collect();
    let took = days(view.event.at - first);
    let story = format!(
        "{} left {} and {} came back over {hops} accounts within {took:.1} days ({:.0} % of it), by {} users; {young} of the {hops} edges are young",
        Cents(began).grouped(),
        view.book.name(view.payee).unwrap_or("an account"),
        Cents(view.event.cents).grouped(),
        kept * 100.0,
        users.len()
    );
    let mut case = Case::new(0, 1, story);
    case.base("round_trip", Dimension::Behavior, 20.0, || format!("the money is back where it began after {hops} hops, each 75 to 102 % of the one before"));
    case.base("round_trip", Dimension::Frequency, 10.0, || format!("{hops} hops within {took:.1} days"));
    let share = number(young) / number(hops);
    case.aspect("young_edges", Dimension::Frequency, 15.0 * share * share * share, || {
        format!("{young} of {hops} edges were first seen within {} days", view.rules.young_edge_days)
    });
    // The closer a hop's amount to the one before, the seldomer by chance: points by bits, a quarter off is none.
    let passed: Vec<i64> = [view.event.cents].into_iter().chain(path.iter().map(|e| e.cents)).collect();
    let bits: f64 = passed.windows(2).map(|w| (1.0 - Cents(w[0]).as_units() / Cents(w[1].max(1)).as_units()).abs().max(0.01)).map(|off| libm::log2(0.25 / off).max(0.0)).sum();
    case.aspect("amounts_conserved", Dimension::Amount, 1.7 * bits, || format!("each of {} hops passes on nearly what it got: {bits:.1} bits of chance", hops - 1));
    case.base("large_amounts", Dimension::Amount, 4.0 * z.max(0.0), || format!("the amounts lie {z:.1} deviations above what is usual for department and type"));
    case.aspect("quick", Dimension::Time, 14.0 - 1.5 * took, || format!("all of it took {took:.1} days"));
    let risk = path.iter().map(|e| e.risk).chain([view.event.risk]).max().unwrap_or(0);
    case.base("members_scored", Dimension::Time, f64::from(risk) / 10.0, || format!("one of its transactions scored {risk} by itself"));
    case.members = path.iter().map(|e| Member::of(e)).chain([Member { at: view.event.at, id: view.event.id.clone() }]).collect();
    case.accounts = path.iter().map(|e| e.partner).chain([view.payer, view.payee]).collect();
    case.anchors.clone_from(&case.accounts);
    case.size = hops;
    case.single_user = users.len() == 1;
    cases.push(case);
}

/// Money that went to and fro between the same two accounts, three times or more, each time another amount.
fn there_and_back(view: &View<'_>, cases: &mut Vec<Case>) {
    let (Some(payer), true) = (view.book.get(view.payer), view.edge.young) else { return };
    let from = view.event.at.saturating_sub(AccountRules::days(view.rules.round_trip_days));
    let dealings: Vec<&Entry> = payer.recent.iter().filter(|e| e.partner == view.payee && e.at >= from && matches!(e.flow, Flow::In | Flow::Out)).collect();
    let mut open: Vec<&Entry> = Vec::new();
    let mut rounds: Vec<(&Entry, &Entry)> = Vec::new();
    for entry in dealings {
        // What came in is returned by what goes out next in the band, and the other way round.
        let ratio = |back: &Entry, there: &Entry| Cents(back.cents).as_units() / Cents(there.cents.max(1)).as_units();
        match open.iter().position(|o| o.flow != entry.flow && (LEAST..=MOST).contains(&ratio(entry, o))) {
            Some(at) => rounds.push((open.remove(at), entry)),
            None => open.push(entry),
        }
    }
    let amounts: std::collections::BTreeSet<i64> = rounds.iter().map(|(there, _)| there.cents).collect();
    let closes = rounds.last().is_some_and(|(_, back)| back.id.as_ref() == view.event.id);
    if rounds.len() < 3 || amounts.len() < 3 || !closes {
        return;
    }
    let n = number(rounds.len());
    let users: std::collections::BTreeSet<u64> = rounds.iter().flat_map(|(a, b)| [a.user, b.user]).collect();
    let took = days(view.event.at - rounds.first().map_or(view.event.at, |(there, _)| there.at));
    let close = rounds.iter().filter(|(there, back)| back.cents * 100 >= there.cents * 95 && back.cents <= there.cents).count();
    let story = format!(
        "money went {} times from {} to {} and back within {took:.1} days, {} different amounts, by {} users",
        rounds.len(),
        view.book.name(view.payee).unwrap_or("one account"),
        view.book.name(view.payer).unwrap_or("another"),
        amounts.len(),
        users.len()
    );
    let mut case = Case::new(0, 1, story);
    case.base("round_trip", Dimension::Behavior, 20.0, || "there and back between the same two accounts, which had no dealings before".to_owned());
    case.aspect("repeated", Dimension::Frequency, 8.0 * n, || format!("{} times, where one is a returned transfer", rounds.len()));
    case.aspect("amounts_conserved", Dimension::Amount, 6.0 * number(close), || format!("{close} times 95 to 100 % came back"));
    case.aspect("quick", Dimension::Time, 14.0 - took, || format!("all of it took {took:.1} days"));
    case.members = rounds.iter().flat_map(|(a, b)| [Member::of(a), Member::of(b)]).collect();
    case.accounts = vec![view.payer, view.payee];
    case.anchors = vec![view.payer, view.payee];
    case.size = 2 * rounds.len();
    case.single_user = users.len() == 1;
    cases.push(case);
}

/// Looks backwards from a place for the payee of the closing hop, newest edges first; the longest admissible conserving chain that is found
/// first wins.
#[expect(clippy::too_many_arguments, reason = "the state of one recursive search")]
fn search<'a>(view: &View<'a>, place: u64, cents: i64, before: i64, from: i64, path: &mut Vec<&'a Entry>, places: &mut usize, best: &mut Option<Vec<&'a Entry>>) {
    if best.is_some() || *places == 0 || path.len() + 1 >= DEPTH {
        return;
    }
    *places -= 1;
    let Some(account) = view.book.get(place) else { return };
    let amount = Cents(cents).as_units();
    let candidates = account.recent.iter().rev().filter(|e| {
        let earlier = Cents(e.cents.max(1)).as_units();
        let ratio = amount / earlier;
        e.flow == Flow::In && e.at >= from && e.at <= before && e.id.as_ref() != view.event.id && (LEAST..=MOST).contains(&ratio)
    });
    for entry in candidates.take(BREADTH) {
        let hop = Hop { entry, habitual: account.edge(entry.partner).is_some_and(|e| e.days >= 5) };
        if hop.habitual || path.iter().any(|e| e.id == hop.entry.id) {
            continue;
        }
        path.push(hop.entry);
        if hop.entry.partner == view.payee {
            // Three accounts make a round; two are there and back.
            if path.len() >= 2 {
                *best = Some(path.clone());
            }
        } else if !path[..path.len() - 1].iter().any(|e| e.partner == hop.entry.partner) && hop.entry.partner != view.payer {
            search(view, hop.entry.partner, hop.entry.cents, hop.entry.at, from, path, places, best);
        }
        path.pop();
        if best.is_some() {
            return;
        }
    }
}
