//! `(state, record, ruleset) → (score, state')`, by event time alone.
//!
//! A score is the sum of five capped dimensions, each the sum of its reasons' points after the cap. Baselines are kept
//! per user; what scores as an alert is not learnt, and a record far from the stream's time moves nothing.

pub mod amounts;
pub mod combination;
mod encoded;
pub mod hours;
pub mod known;
mod observation;
pub mod parties;
pub mod patterns;
mod proposed;
pub mod recent;
pub mod repeats;
mod rules;
pub mod ruleset;
mod score;
pub mod signals;
pub mod stream_time;
mod team;
pub mod user;
pub mod window;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::rules::CompiledRules;
pub use observation::Observation;
use observation::short;
use patterns::Sight;
use proposed::Proposed;
pub use ruleset::Ruleset;
pub use score::Score;
use signals::Signals;
use stream_time::{StreamTime, Timeliness};
pub use user::UserState;
pub(crate) use user::sound::{is_amount, is_time};
use user::{Moment, Outcome};

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

/// Points that the rules may give beyond what the combination allows.
const DAMPED_TO: f64 = 0.5;

/// What became of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// It was in quarantine and is learnt; one whose time is not certain yet is learnt once it is.
    Learnt,
    /// Nothing of this id, time, type and amount is in this user's quarantine: it was learnt when it came, or released before, or so many
    /// rows were quarantined since that it is forgotten. Nothing changed.
    NotQuarantined,
    /// Its time is none that teaches: of another century, of days to come, or too long ago. Nothing changed.
    Implausible,
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
        let team = team::compiled(&ruleset);
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

    /// How many events each of the team's rules had no answer for under this ruleset: its name, why, and how many, where there are any.
    pub fn unanswered(&self) -> impl Iterator<Item = (&str, &'static str, u64)> {
        self.team.unanswered()
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
        let user = self.standing(observation, &self.ruleset);
        let signals = Signals::of(observation, &user, &self.ruleset);
        let points = Proposed::by_rules(&self.ruleset, observation, &signals, &user).points(self.ruleset.caps);
        patterns::measures(observation, &signals, &user, points, &self.ruleset)
    }

    /// The same under other rules.
    #[must_use]
    pub fn look_by(&self, observation: &Observation<'_>, ruleset: &Ruleset) -> (Signals, Vec<Sight>) {
        let user = self.standing(observation, ruleset);
        let signals = Signals::of(observation, &user, ruleset);
        let points = Proposed::by_rules(ruleset, observation, &signals, &user).points(ruleset.caps);
        let (sights, _) = patterns::by_user(observation, &signals, &user, points, ruleset);
        (signals, sights)
    }

    /// The user as an observation would be scored against it.
    fn standing(&self, observation: &Observation<'_>, ruleset: &Ruleset) -> Cow<'_, UserState> {
        let Some(user) = self.users.get(observation.user_id) else { return Cow::Owned(UserState::new(observation.timestamp)) };
        if !user.is_waiting() {
            return Cow::Borrowed(user);
        }
        let mut user = user.clone();
        user.settle(observation.timestamp, moment(&mut self.stream_time.clone(), observation), ruleset);
        Cow::Owned(user)
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
        self.team = team::compiled(&ruleset);
        self.ruleset = ruleset;
    }

    /// Learns from an event that was quarantined and turned out benign, as if it had been learnt when it came; windows and memories have it
    /// already. What is not in quarantine, or of no plausible time, changes nothing.
    pub fn release(&mut self, observation: &Observation<'_>) -> Released {
        let Some(user) = self.users.get_mut(observation.user_id) else { return Released::NotQuarantined };
        let print = observation.print();
        if !user.is_quarantined(print) {
            return Released::NotQuarantined;
        }
        // One that waits is not learnt before its time is certain.
        if !user.waits_for(print, &self.ruleset) && !self.stream_time.is_plausible(observation.timestamp) {
            return Released::Implausible;
        }
        let signals = Signals::of(observation, user, &self.ruleset);
        let points = Proposed::by_rules(&self.ruleset, observation, &signals, user).points(self.ruleset.caps);
        user.release(observation, &signals, points, &self.ruleset);
        Released::Learnt
    }

    /// Scores one observation and learns from it.
    pub fn score(&mut self, observation: &Observation<'_>) -> Score {
        let moment = moment(&mut self.stream_time, observation);
        self.touch(observation);
        let Some(user) = self.users.get_mut(observation.user_id) else { return Score::default() };
        user.settle(observation.timestamp, moment, &self.ruleset);
        let mut signals = Signals::of(observation, user, &self.ruleset);
        if moment.timeliness == Timeliness::Implausible {
            // From another century nobody is long away.
            (signals.idle_hours, signals.dormant) = (0.0, 0.0);
        }
        let (caps, alert) = (self.ruleset.caps, self.ruleset.levels.alert_from);
        let mut proposed = Proposed::by_rules(&self.ruleset, observation, &signals, user);
        let patternless = proposed.points(caps);
        let (mut patterns, together) = patterns::by_user(observation, &signals, user, patternless, &self.ruleset);
        if let Some(together) = together {
            // What the rules say one by one may mean less together: a new party to one who has moved to other work.
            proposed.damp(f64::from(alert) * together.max(0.0) + DAMPED_TO, patternless);
        }
        if let Some(strongest) = patterns.first() {
            patterns::propose(strongest, &self.ruleset, &mut proposed);
        }
        team::propose(&self.team, observation, &signals, user, &self.ruleset, &mut proposed);
        patterns.retain(|sight| sight.strength >= 1.0);
        // What no pattern confirms is an alert where its points come to one, not where rounding them does.
        let (dimensions, reasons) = proposed.settle(caps, patterns.is_empty().then_some(alert));
        let (late, implausible) = (moment.timeliness == Timeliness::Late, moment.timeliness == Timeliness::Implausible);
        let score = Score { dimensions, reasons, late, implausible, patterns };
        let points = score.risk_score();
        user.take(observation, &signals, moment, Outcome { points, patternless, quarantined: points >= alert }, &self.ruleset);
        score
    }
}

/// Takes an observation's time in: how it stands to the stream.
fn moment(stream_time: &mut StreamTime, observation: &Observation<'_>) -> Moment {
    let timeliness = stream_time.observe(observation.timestamp, observation.user_id);
    Moment { timeliness, newest: stream_time.newest().unwrap_or(observation.timestamp) }
}

#[cfg(test)]
mod tests;
