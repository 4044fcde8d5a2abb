//! `(state, record, ruleset) → (score, state')`, by event time alone.
//!
//! A score is the sum of five capped dimensions, each the sum of its reasons' points after the cap. Baselines are kept
//! per user; what scores as an alert is not learnt, and a record far from the stream's time moves nothing.

pub mod amounts;
pub mod combination;
pub mod hours;
pub mod known;
pub mod parties;
pub mod patterns;
pub mod recent;
pub mod repeats;
mod rules;
pub mod ruleset;
pub mod signals;
pub mod stream_time;
pub mod user;
pub mod window;

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use wh_schemas::json::Text;
use wh_schemas::scored::{Dimension, Dimensions, Reason};
use wh_schemas::{AcceptedTransaction, Cents, Micros, TransactionType, ids};

use crate::rules::{CompiledRules, Facts, TransactionFacts, UserFacts, metadata_texts as rules_metadata};
use patterns::Sight;
use ruleset::Caps;
pub use ruleset::Ruleset;
use signals::Signals;
use stream_time::{StreamTime, Timeliness};
pub use user::UserState;

/// The names of reasons and patterns by user: a team's own rule cannot take one.
pub const BUILT_IN_RULES: &[&str] = &[
    "again_new_party",
    "amount_above_largest",
    "amount_outlier",
    "amount_spikes",
    "below_limit",
    "burst",
    "combination",
    "dear_party",
    "dormant_user",
    "duplicate",
    "escalating_payee",
    "gathering",
    "intrusion",
    "new_account",
    "new_counterparty",
    "new_metadata_value",
    "odd_party",
    "off_hours_run",
    "other_price",
    "outside_role",
    "payee_run",
    "rare_reversal",
    "rate_10_minutes",
    "rate_1_hour",
    "rate_24_hours",
    "refund_cycle",
    "repeated_payment",
    "structuring",
    "unusual_day",
    "unusual_department",
    "unusual_hour",
    "unusual_type",
    "young_party",
];

/// What the engine reads of a transaction: no label, no free text, no metadata beyond the allow-listed keys.
#[derive(Clone, Debug)]
pub struct Observation<'a> {
    /// Its id: named among a pattern's members, and of no other effect.
    pub transaction_id: &'a str,
    /// When it happened.
    pub timestamp: Micros,
    /// Who did it.
    pub user_id: &'a str,
    /// On which account, as a fingerprint.
    pub account: u64,
    /// The other side's account, as a fingerprint.
    pub counterparty: Option<u64>,
    /// In which department.
    pub department: &'a str,
    /// The department's fingerprint.
    pub department_print: u32,
    /// What it does.
    pub transaction_type: TransactionType,
    /// How much.
    pub amount: Cents,
    /// The account, for the team's rules.
    pub account_id: &'a str,
    /// The counterparty, for the team's rules.
    pub counterparty_account: Option<&'a str>,
    /// The metadata as it is: the team's rules see the allow-listed keys of it.
    pub metadata_text: &'a str,
    /// Fingerprints of the values under the ruleset's metadata keys, in the ruleset's order; `None` where a key is absent.
    pub metadata: Vec<Option<u32>>,
}

/// The low half of a fingerprint: what the state keeps.
#[must_use]
pub(crate) fn short(fingerprint: u64) -> u32 {
    u32::try_from(fingerprint & 0xffff_ffff).unwrap_or(0)
}

impl<'a> Observation<'a> {
    /// What the engine may see of an accepted transaction under a ruleset.
    #[must_use]
    pub fn of(transaction: &'a AcceptedTransaction<'_>, ruleset: &Ruleset) -> Observation<'a> {
        Observation {
            transaction_id: &transaction.transaction_id,
            timestamp: transaction.timestamp,
            user_id: &transaction.user_id,
            account: ids::fingerprint(transaction.account_id.as_bytes()),
            counterparty: transaction.counterparty_account.as_ref().map(|c| ids::fingerprint(c.as_bytes())),
            department: &transaction.department,
            department_print: short(ids::fingerprint(transaction.department.as_bytes())),
            transaction_type: transaction.transaction_type,
            amount: transaction.amount,
            account_id: &transaction.account_id,
            counterparty_account: transaction.counterparty_account.as_deref(),
            metadata_text: transaction.metadata.get(),
            metadata: ruleset.metadata_values(transaction.metadata.get()),
        }
    }

    /// The account as the state keeps it.
    fn account_short(&self) -> u32 {
        short(self.account)
    }

    /// The counterparty as the state keeps it; 0 where there is none.
    fn counterparty_short(&self) -> u32 {
        self.counterparty.map_or(0, |c| short(c).max(1))
    }
}

/// A score with the arithmetic behind it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Score {
    /// The five parts.
    pub dimensions: Dimensions,
    /// Why each point was given; points of one dimension add up to it.
    pub reasons: Vec<Reason<'static>>,
    /// Arrived far behind the newest event.
    pub late: bool,
    /// So far from the stream's time that it moved nothing.
    pub implausible: bool,
    /// The patterns that it confirms, strongest first.
    pub patterns: Vec<Sight>,
}

impl Score {
    /// 0 to 100.
    #[must_use]
    pub fn risk_score(&self) -> u8 {
        self.dimensions.sum()
    }

    /// Names of the rules that gave points, most points first, ties by name.
    #[must_use]
    pub fn rules(&self) -> Vec<Text<'static>> {
        let mut totals: Vec<(&Text<'static>, u16)> = Vec::new();
        for reason in &self.reasons {
            match totals.iter_mut().find(|(rule, _)| **rule == reason.rule) {
                Some((_, points)) => *points += u16::from(reason.points),
                None => totals.push((&reason.rule, u16::from(reason.points))),
            }
        }
        totals.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        totals.into_iter().map(|(rule, _)| rule.clone()).collect()
    }
}

/// Points that the rules may give beyond what the combination allows.
const DAMPED_TO: f64 = 0.5;
/// Points of rules that the combination may halve, and no more.
const LOUD: f64 = 24.0;

/// Points as the rules propose them, before the caps.
#[derive(Debug, Default)]
struct Proposed(Vec<Proposal>);

#[derive(Debug)]
struct Proposal {
    rule: Text<'static>,
    dimension: Dimension,
    points: f64,
    evidence: String,
}

impl Proposed {
    /// Proposes points where they round to at least one; the evidence is made only then.
    fn add(&mut self, rule: impl Into<Text<'static>>, dimension: Dimension, points: f64, evidence: impl FnOnce() -> String) {
        if points >= 0.5 {
            self.0.push(Proposal { rule: rule.into(), dimension, points, evidence: evidence() });
        }
    }

    /// Lessens all proposals alike, where they come to more than `most`; what says much alone goes on saying half of it.
    fn damp(&mut self, most: f64, points: f64) {
        let least = if points >= LOUD { 0.5 } else { 0.0 };
        if points > most {
            for proposal in &mut self.0 {
                proposal.points *= (most / points).max(least);
            }
        }
    }

    /// What is proposed for a dimension.
    fn of(&self, dimension: Dimension) -> f64 {
        self.0.iter().filter(|p| p.dimension == dimension).map(|p| p.points).sum()
    }

    /// What the proposals come to after the caps.
    fn points(&self, caps: Caps) -> f64 {
        Dimension::ALL.into_iter().map(|d| self.of(d).min(f64::from(caps.of(d)))).sum()
    }

    /// Caps each dimension, the strongest reasons first, so that what stays adds up to the dimension's points.
    fn settle(mut self, caps: Caps) -> (Dimensions, Vec<Reason<'static>>) {
        self.0.sort_by(|a, b| b.points.total_cmp(&a.points).then_with(|| a.rule.cmp(&b.rule)));
        let mut dimensions = Dimensions::default();
        let mut reasons = Vec::with_capacity(self.0.len());
        for proposal in self.0 {
            let cap = caps.of(proposal.dimension);
            let given = dimensions.get_mut(proposal.dimension);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=25 before")]
            let points = (libm::round(proposal.points.clamp(0.0, f64::from(cap))) as u8).min(cap - *given);
            if points > 0 {
                *given += points;
                reasons.push(Reason { rule: proposal.rule, dimension: proposal.dimension, points, evidence: Text::from(proposal.evidence) });
            }
        }
        (dimensions, reasons)
    }
}

/// The state of one partition: its users and its stream's time.
#[derive(Debug)]
pub struct Engine {
    ruleset: Ruleset,
    team: Arc<CompiledRules>,
    users: HashMap<Arc<str>, UserState>,
    /// Users by when they were last seen, the one not seen for longest first: keys of `UserState::touched`.
    by_touch: BTreeMap<u64, Arc<str>>,
    /// Events scored: what `UserState::touched` counts in.
    touches: u64,
    /// Users forgotten since they were last asked for.
    forgotten: Vec<String>,
    stream_time: StreamTime,
}

impl Engine {
    /// An engine that has seen nothing.
    #[must_use]
    pub fn new(ruleset: Ruleset) -> Engine {
        Engine::restored(ruleset, Vec::new(), StreamTime::default())
    }

    /// An engine from a checkpoint.
    #[must_use]
    pub fn restored(ruleset: Ruleset, users: impl IntoIterator<Item = (String, UserState)>, stream_time: StreamTime) -> Engine {
        let team = compiled(&ruleset);
        let users: HashMap<Arc<str>, UserState> = users.into_iter().map(|(id, state)| (Arc::from(id), state)).collect();
        let by_touch: BTreeMap<u64, Arc<str>> = users.iter().map(|(id, state)| (state.touched, id.clone())).collect();
        let touches = by_touch.last_key_value().map_or(0, |(touched, _)| *touched);
        Engine { ruleset, team, users, by_touch, touches, forgotten: Vec::new(), stream_time }
    }

    /// The rules that it scores by.
    #[must_use]
    pub fn ruleset(&self) -> &Ruleset {
        &self.ruleset
    }

    /// The newest plausible event time.
    #[must_use]
    pub fn stream_time(&self) -> &StreamTime {
        &self.stream_time
    }

    /// A user's state.
    #[must_use]
    pub fn user(&self, user_id: &str) -> Option<&UserState> {
        self.users.get(user_id)
    }

    /// Users with their states, in no order that anything may depend on.
    pub fn users(&self) -> impl Iterator<Item = (&str, &UserState)> {
        self.users.iter().map(|(id, state)| (&**id, state))
    }

    /// What would be measured of an observation, and which patterns would be seen, without learning from it.
    #[must_use]
    pub fn look(&self, observation: &Observation<'_>) -> (Signals, Vec<Sight>) {
        self.look_by(observation, &self.ruleset)
    }

    /// What the combination would measure of an observation.
    #[must_use]
    pub fn measures(&self, observation: &Observation<'_>) -> combination::Measures {
        let fresh = UserState::new(observation.timestamp);
        let user = self.users.get(observation.user_id).unwrap_or(&fresh);
        let signals = Signals::of(observation, user, &self.ruleset);
        let points = propose(&self.ruleset, observation, &signals, user).points(self.ruleset.caps);
        patterns::measures(observation, &signals, user, points, &self.ruleset)
    }

    /// The same under other rules.
    #[must_use]
    pub fn look_by(&self, observation: &Observation<'_>, ruleset: &Ruleset) -> (Signals, Vec<Sight>) {
        let fresh = UserState::new(observation.timestamp);
        let user = self.users.get(observation.user_id).unwrap_or(&fresh);
        let signals = Signals::of(observation, user, ruleset);
        let points = propose(ruleset, observation, &signals, user).points(ruleset.caps);
        let (sights, _) = patterns::by_user(observation, &signals, user, points, ruleset);
        (signals, sights)
    }

    /// Makes room for an observation's user, and notes that it was seen now.
    fn touch(&mut self, observation: &Observation<'_>) {
        self.touches += 1;
        let id = match self.users.get_key_value(observation.user_id) {
            Some((id, state)) => {
                let id = id.clone();
                self.by_touch.remove(&state.touched);
                id
            }
            None => {
                let most = usize::try_from(self.ruleset.state.max_users_per_partition).unwrap_or(usize::MAX).max(1);
                while self.users.len() >= most
                    && let Some((_, oldest)) = self.by_touch.pop_first()
                {
                    self.users.remove(&oldest);
                    self.forgotten.push(oldest.to_string());
                }
                let id: Arc<str> = Arc::from(observation.user_id);
                self.users.insert(id.clone(), UserState::new(observation.timestamp));
                id
            }
        };
        if let Some(state) = self.users.get_mut(&*id) {
            state.touched = self.touches;
        }
        self.by_touch.insert(self.touches, id);
    }

    /// Users forgotten since this was last asked: what a checkpoint has to remove.
    pub fn take_forgotten(&mut self) -> Vec<String> {
        std::mem::take(&mut self.forgotten)
    }

    /// Goes on under another ruleset: baselines stay, the rules are others from the next event on.
    pub fn set_ruleset(&mut self, ruleset: Ruleset) {
        self.team = compiled(&ruleset);
        self.ruleset = ruleset;
    }

    /// Learns from an event that was quarantined and turned out benign, as if it had been learnt when it came; windows and memories have it already.
    pub fn release(&mut self, observation: &Observation<'_>) {
        let Some(user) = self.users.get_mut(observation.user_id) else { return };
        let signals = Signals::of(observation, user, &self.ruleset);
        let points = propose(&self.ruleset, observation, &signals, user).points(self.ruleset.caps);
        user.alerts = user.alerts.saturating_sub(1);
        user.learn(observation, &signals, points, &self.ruleset);
    }

    /// Scores one observation and learns from it.
    pub fn score(&mut self, observation: &Observation<'_>) -> Score {
        let timeliness = self.stream_time.observe(observation.timestamp);
        self.touch(observation);
        let Some(user) = self.users.get_mut(observation.user_id) else { return Score::default() };
        let mut signals = Signals::of(observation, user, &self.ruleset);
        if timeliness == Timeliness::Implausible {
            // From another century nobody is long away.
            (signals.idle_hours, signals.dormant) = (0.0, 0.0);
        }
        let mut proposed = propose(&self.ruleset, observation, &signals, user);
        let patternless = proposed.points(self.ruleset.caps);
        let (mut patterns, together) = patterns::by_user(observation, &signals, user, patternless, &self.ruleset);
        if let Some(together) = together {
            // What the rules say one by one may mean less together: a new party to one who has moved to other work.
            proposed.damp(f64::from(self.ruleset.levels.alert_from) * together.max(0.0) + DAMPED_TO, patternless);
        }
        if let Some(strongest) = patterns.first() {
            patterns::propose(strongest, &self.ruleset, &mut proposed);
        }
        team(&self.team, observation, &signals, user, &self.ruleset, &mut proposed);
        let (dimensions, reasons) = proposed.settle(self.ruleset.caps);
        patterns.retain(|sight| sight.strength >= 1.0);
        let score = Score { dimensions, reasons, late: timeliness == Timeliness::Late, implausible: timeliness == Timeliness::Implausible, patterns };
        let points = score.risk_score();
        user.observe(observation, &signals, timeliness, points, patternless, points >= self.ruleset.levels.alert_from, &self.ruleset);
        score
    }
}

/// The team's rules of a ruleset. A ruleset with a faulty one is refused where it is read; nothing is asked of one that came otherwise.
fn compiled(ruleset: &Ruleset) -> Arc<CompiledRules> {
    Arc::new(CompiledRules::compile(&ruleset.rules, &ruleset.metadata_keys).unwrap_or_default())
}

/// What the team's own rules propose: what they hold is said by them, and nothing lessens it.
fn team(team: &CompiledRules, observation: &Observation<'_>, signals: &Signals, user: &UserState, ruleset: &Ruleset, proposed: &mut Proposed) {
    if team.is_empty() {
        return;
    }
    #[expect(clippy::cast_precision_loss, reason = "days")]
    let days = |micros: i64| micros as f64 / wh_schemas::time::DAY as f64;
    let facts = Facts {
        tx: TransactionFacts {
            amount: observation.amount.as_units(),
            cents: observation.amount.0,
            transaction_type: observation.transaction_type.as_str(),
            department: observation.department,
            user_id: observation.user_id,
            account_id: observation.account_id,
            counterparty: observation.counterparty_account.unwrap_or_default(),
            hour: signals.hour % 24,
            weekday: signals.hour / 24 + 1,
            metadata: rules_metadata(&ruleset.metadata_keys, observation.metadata_text),
        },
        user: UserFacts {
            events: user.events,
            learnt: user.learnt,
            days_known: days(observation.timestamp.0.saturating_sub(user.first).max(0)),
            idle_days: signals.idle_hours / 24.0,
            home_department: &user.home_department,
            usual_amount: signals.deviation.usual,
            amount_z: signals.deviation.z,
            hour_share: signals.likelihood,
            events_10m: u64::from(signals.ten_minutes.events),
            events_1h: u64::from(signals.one_hour.events),
            events_24h: u64::from(signals.one_day.events),
            counterparty_known: u64::from(signals.counterparty_rows),
            account_known: u64::from(signals.account_rows),
            type_share: signals.type_share,
            department_share: signals.department_share,
        },
    };
    team.evaluate(&facts, |_, rule, evidence| {
        proposed.add(Text::from(rule.name.clone()), rule.dimension, f64::from(rule.points), || evidence);
    });
}

fn propose(ruleset: &Ruleset, observation: &Observation<'_>, signals: &Signals, user: &UserState) -> Proposed {
    let mut proposed = Proposed::default();
    rules::amount(observation, signals, ruleset, &mut proposed);
    rules::time(signals, user, ruleset, &mut proposed);
    rules::frequency(signals, ruleset, &mut proposed);
    rules::behavior(observation, signals, user, ruleset, &mut proposed);
    rules::metadata(signals, ruleset, &mut proposed);
    proposed
}

#[cfg(test)]
mod tests;
