//! What gathers on one party: rising payments to a new payee, unusual rows with the same party.

use super::super::user::hours_of;
use super::{Aspects, Found, View, said};

/// Days within which a payee counts as new for its payments to rise.
const NEW_DAYS: u32 = 60;

/// Rising payments to a payee that this user has not known for long.
pub(super) fn escalating<'a>(view: &View<'a>) -> Option<Found<'a>> {
    let signals = view.signals;
    let party = if view.counterparty == 0 { view.user.accounts.get(view.account) } else { view.user.counterparties.get(view.counterparty) }?;
    let age = hours_of(view.observation.timestamp.0).saturating_sub(party.first);
    if !party.rising(signals.log_amount) || party.rises < 1 || age > 24 * NEW_DAYS {
        return None;
    }
    let rises = u32::from(party.rises) + 1;
    let growth = party.growth(signals.log_amount);
    // Of so many amounts in no order, one in (rises + 1)! rises all along; a later run of rises has had as many chances as there were rows.
    let chances = f64::from(party.count.saturating_sub(u16::from(party.rises))).max(1.0);
    let bits = (2..=rises + 1).map(|n| libm::log2(f64::from(n))).sum::<f64>() - libm::log2(chances);
    let aspects = Aspects {
        surprise: bits.clamp(0.0, 30.0) / 10.0,
        count: libm::log2(f64::from(rises)),
        own: libm::log2(growth.max(0.5)).clamp(-1.0, 5.0),
        habit: libm::log2(chances),
        ..view.aspects()
    };
    let evidence = said(move || {
        format!(
            "{rises} payments in a row rise, the last to {growth:.1} times the first, to a party known for {:.0} days; this one lies {:.1} scales above the usual",
            f64::from(age) / 24.0,
            signals.deviation.z
        )
    });
    Some(Found { least: 0.0, aspects, rows: view.user.recent.rows().filter(|row| view.same_party(row)).collect(), evidence })
}

/// Unusual rows, each too weak alone, that gather on one party.
pub(super) fn gathering<'a>(view: &View<'a>) -> Option<Found<'a>> {
    let (heat, rows) = view.signals.party_heat;
    let usual = f64::from(view.user.points.0);
    let own = view.points - usual - 4.0;
    if rows < 1 || own < 4.0 {
        return None;
    }
    let aspects = Aspects {
        surprise: (heat / 20.0).min(4.0),
        count: libm::log2(f64::from(rows) + 1.0),
        own: (own / 15.0).min(4.0),
        habit: (f64::from(view.user.points.1) / 5.0).min(3.0),
        ..view.aspects()
    };
    let v = *view;
    let evidence = said(move || format!("{rows} unusual rows of this user went to the same party before, and this one has {:.0} points where {usual:.0} are usual", v.points));
    Some(Found { least: 0.0, aspects, rows: view.user.recent.rows().filter(|row| view.same_party(row)).collect(), evidence })
}
