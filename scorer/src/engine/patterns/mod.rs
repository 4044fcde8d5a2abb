//! Patterns by user: what several rows together confirm. A confirmed pattern may saturate the dimensions that it speaks
//! to, and says so in its reason; a half-seen one gives a part of their points.
//!
//! What must stay true: a pattern rests on how surprising its rows are *for this user*: something that is part of their
//! ordinary work has a rate of its own, against which every run of it is measured. A detector says what it sees in
//! [`Aspects`]; the ruleset's weights say what that is worth.

mod aspects;
mod duplicate;
mod escalation;
mod intrusion;
mod payee;
mod reversal;
mod runs;
mod structuring;
mod view;
mod weights;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wh_schemas::scored::Dimension;

pub use aspects::{Aspects, PatternRule};
use view::{View, float, tail_bits};

use super::combination::{self, Measures};
use super::recent::Row;
use super::ruleset::Ruleset;
use super::signals::Signals;
use super::user::UserState;
use super::{Observation, Proposed};

/// Below this strength a pattern gives no points.
const LEAST: f64 = 0.02;
/// From this strength on it is told what the combination rests on.
const TOLD: f64 = 0.25;
/// From this strength on the combination takes the name of the pattern that is seen best.
const NAMED: f64 = 0.45;

/// Which patterns by user are looked for, and what their aspects weigh.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PatternRules {
    /// Several amounts far above the usual.
    pub amount_spikes: PatternRule,
    /// A run at hours at which the user is hardly seen.
    pub off_hours_run: PatternRule,
    /// Many events in minutes.
    pub burst: PatternRule,
    /// Amounts just below a limit, one after another.
    pub structuring: PatternRule,
    /// The same claim or payment again.
    pub duplicate: PatternRule,
    /// Refunds and write-offs to one party, or against the payments that they undo.
    pub refund_cycle: PatternRule,
    /// A user awake after long dormancy who does what they never did.
    pub dormant_user: PatternRule,
    /// Work outside the user's types and departments.
    pub outside_role: PatternRule,
    /// Rising payments to one new payee.
    pub escalating_payee: PatternRule,
    /// Several things at once that are each unusual: place, hour, payee, amount.
    pub intrusion: PatternRule,
    /// Rows that gather on a party that is new to the user.
    pub payee_run: PatternRule,
    /// Unusual rows that gather on one party.
    pub gathering: PatternRule,
}

/// A pattern that the present row completes, or half of one.
#[derive(Clone, Debug, PartialEq)]
pub struct Sight {
    /// Its name.
    pub pattern: &'static str,
    /// 1 and above: confirmed.
    pub strength: f64,
    /// What it rests on.
    pub aspects: Aspects,
    /// The dimensions that it speaks to.
    pub dimensions: &'static [Dimension],
    /// The arithmetic.
    pub evidence: String,
    /// How many rows before belong to it, as far as they are remembered.
    pub rows: usize,
    /// Their ids and times (seconds), as far as they can still be named.
    pub members: Vec<(i64, String)>,
    /// How many of them raised an alert.
    pub alerted: usize,
}

impl Sight {
    /// Whether it is told as a pattern of its own: when it is first confirmed, and each time that the rows that confirmed it have doubled.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.strength >= 1.0 && self.rows > 0 && (self.alerted == 0 || (self.alerted + 1).is_power_of_two())
    }
}

/// What a detector found.
struct Found<'a> {
    /// Strength below which it does not fall, whatever is measured together: what is beyond any doubt.
    least: f64,
    aspects: Aspects,
    rows: Vec<&'a Row>,
    /// The arithmetic: written only where it is told.
    evidence: Box<dyn Fn() -> String + 'a>,
}

fn said<'a>(evidence: impl Fn() -> String + 'a) -> Box<dyn Fn() -> String + 'a> {
    Box::new(evidence)
}

/// What the detectors see of every pattern, with what the combination measures.
fn seen<'a>(view: &View<'a>, rules: &PatternRules) -> [Option<Found<'a>>; combination::PATTERNS.len()] {
    let on = |rule: &PatternRule, look: &dyn Fn() -> Option<Found<'a>>| if rule.enabled { look() } else { None };
    [
        on(&rules.amount_spikes, &|| runs::spikes(view)),
        on(&rules.off_hours_run, &|| runs::off_hours(view)),
        on(&rules.burst, &|| runs::burst(view)),
        on(&rules.structuring, &|| structuring::structuring(view)),
        on(&rules.duplicate, &|| duplicate::duplicate(view)),
        on(&rules.refund_cycle, &|| reversal::refund_cycle(view)),
        on(&rules.dormant_user, &|| intrusion::dormant(view)),
        on(&rules.outside_role, &|| intrusion::outside_role(view)),
        on(&rules.escalating_payee, &|| escalation::escalating(view)),
        on(&rules.intrusion, &|| intrusion::intrusion(view)),
        on(&rules.payee_run, &|| payee::payee_run(view, &rules.payee_run)),
        on(&rules.gathering, &|| escalation::gathering(view)),
    ]
}

impl PatternRules {
    fn in_order(&self) -> [&PatternRule; combination::PATTERNS.len()] {
        [
            &self.amount_spikes,
            &self.off_hours_run,
            &self.burst,
            &self.structuring,
            &self.duplicate,
            &self.refund_cycle,
            &self.dormant_user,
            &self.outside_role,
            &self.escalating_payee,
            &self.intrusion,
            &self.payee_run,
            &self.gathering,
        ]
    }
}

/// The dimensions that a pattern speaks to.
fn dimensions(pattern: &str) -> &'static [Dimension] {
    match pattern {
        "off_hours_run" | "dormant_user" | "outside_role" => &[Dimension::Time, Dimension::Frequency, Dimension::Behavior, Dimension::Amount],
        "intrusion" => &[Dimension::Behavior, Dimension::Time, Dimension::Metadata, Dimension::Amount],
        _ => &[Dimension::Amount, Dimension::Frequency, Dimension::Behavior],
    }
}

/// What is measured of an event beside its signals.
#[must_use]
pub fn measures(observation: &Observation<'_>, signals: &Signals, user: &UserState, points: f64, ruleset: &Ruleset) -> Measures {
    let view = View::new(observation, signals, user, points);
    let found = seen(&view, &ruleset.patterns).map(|found| found.map(|found| found.aspects));
    combination::measures(observation, signals, &view.aspects(), &found)
}

/// Every pattern that this event completes or nearly completes, strongest first, and the strength of all that is measured together.
pub(super) fn by_user(observation: &Observation<'_>, signals: &Signals, user: &UserState, points: f64, ruleset: &Ruleset) -> (Vec<Sight>, Option<f64>) {
    let mut sights = Vec::new();
    if user.learnt < 8 {
        return (sights, None);
    }
    let view = View::new(observation, signals, user, points);
    let found = seen(&view, &ruleset.patterns);
    // A young baseline confirms less.
    let trust = 0.4 + 0.6 * (signals.maturity * 1.3).min(1.0);
    let rules = &ruleset.combination;
    let together = rules.enabled.then(|| {
        let aspects = std::array::from_fn(|i| found[i].as_ref().map(|found| found.aspects));
        let measures = combination::measures(observation, signals, &view.aspects(), &aspects);
        (measures, combination::strength(combination::log_odds(&measures) - rules.confirms_at) * trust)
    });
    let mut seen: Vec<(f64, f64, &'static str, Found<'_>)> = Vec::new();
    for ((found, rule), (pattern, _)) in found.into_iter().zip(ruleset.patterns.in_order()).zip(combination::PATTERNS) {
        let Some(found) = found else { continue };
        let own = (rule.strength(&found.aspects) * trust).max(found.least * trust);
        let strength = together.as_ref().map_or(own, |(_, together)| own.min(together + rules.leeway)).max(found.least * trust);
        // What the combination names itself by must be seen on its own.
        if strength >= NAMED {
            seen.push((strength, own, pattern, found));
        }
    }
    // The one that is seen best gives its name; that something gathers says least of what it is.
    let vague = |pattern: &str| pattern == "gathering";
    seen.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| vague(a.2).cmp(&vague(b.2))).then_with(|| b.1.total_cmp(&a.1)).then_with(|| a.2.cmp(b.2)));
    for (strength, _, pattern, found) in seen {
        let members = found.rows.iter().filter_map(|row| row.id.text().map(|id| (row.at, id))).collect();
        let alerted = found.rows.iter().filter(|row| row.score >= ruleset.levels.alert_from).count();
        let (rows, dimensions) = (found.rows.len(), dimensions(pattern));
        sights.push(Sight { pattern, strength, aspects: found.aspects, dimensions, evidence: (found.evidence)(), rows, members, alerted });
    }
    let strength = together.as_ref().map(|(_, strength)| *strength);
    if let Some((measures, strength)) = together.filter(|(_, strength)| *strength >= LEAST) {
        combined(&mut sights, &measures, strength);
    }
    (sights, strength)
}

/// The combination lends its strength to the pattern that is seen best, or stands for itself where none is.
fn combined(sights: &mut Vec<Sight>, measures: &Measures, strength: f64) {
    let said = || {
        if strength < TOLD {
            return "together the measurements say a little more than one by one".to_owned();
        }
        let parts = combination::contributions(measures).into_iter().filter(|(_, given)| *given > 0.15).take(4);
        let parts: Vec<String> = parts.map(|(index, given)| format!("{} {given:+.1}", combination::name(index).0)).collect();
        format!("together, in log-odds: {}", parts.join(", "))
    };
    match sights.first_mut() {
        Some(first) if first.strength >= strength => {}
        Some(first) => {
            first.strength = strength;
            first.evidence = format!("{}; {}", first.evidence, said());
        }
        None => {
            let dimensions: &[Dimension] = if measures.get(6..8).is_some_and(|hour| hour.iter().any(|h| *h > 0.5)) {
                &[Dimension::Amount, Dimension::Behavior, Dimension::Frequency, Dimension::Time]
            } else {
                &[Dimension::Amount, Dimension::Behavior, Dimension::Frequency]
            };
            sights.push(Sight { pattern: "combination", strength, aspects: Aspects::default(), dimensions, evidence: said(), rows: 0, members: Vec::new(), alerted: 0 });
        }
    }
}

/// Proposes what the strongest pattern gives beyond what the dimensions' own rules propose: seventy points once it is confirmed, which
/// saturates its dimensions, in proportion before. Patterns see much of the same thing, so that their points do not add up.
pub(super) fn propose(sight: &Sight, ruleset: &Ruleset, proposed: &mut Proposed) {
    let confirmed = sight.strength >= 1.0;
    let alert = f64::from(ruleset.levels.alert_from);
    let total = if confirmed { alert + 20.0 * (sight.strength - 1.0).min(1.0) } else { (alert - 1.0) * sight.strength };
    let caps: f64 = sight.dimensions.iter().map(|d| f64::from(ruleset.caps.of(*d))).sum();
    let missing = total - proposed.points(ruleset.caps);
    for dimension in sight.dimensions {
        let cap = f64::from(ruleset.caps.of(*dimension));
        let points = if confirmed { (total * cap / caps).min(cap) } else { missing * cap / caps };
        proposed
            .add(sight.pattern, *dimension, points, || if confirmed { format!("confirmed pattern: {}", sight.evidence) } else { format!("half of a pattern: {}", sight.evidence) });
    }
}
