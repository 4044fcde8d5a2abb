//! One suspicion while its points are added up.
//!
//! What must stay true: a score is the sum of its reasons' points within each dimension's cap, and 70 or more only where at least two
//! independent aspects agree with the mechanism.

use wh_schemas::json::Text;
use wh_schemas::pattern::Pattern;
use wh_schemas::scored::{ALERT_SCORE, Dimension, Dimensions, Reason};
use wh_schemas::{Cents, Micros, ids};

use super::Found;
use super::account::Entry;
use super::book::Book;
use super::event::Event;

/// Points from which a reason counts as an independent aspect.
const ASPECT: f64 = 8.0;

/// A member of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Member {
    pub(super) at: i64,
    pub(super) id: String,
}

impl Member {
    pub(super) fn of(entry: &Entry) -> Member {
        Member { at: entry.at, id: entry.id.to_string() }
    }
}

/// A suspicion about accounts.
#[derive(Debug)]
pub(super) struct Case {
    /// Index in [`super::rules::PATTERNS`].
    pub(super) pattern: usize,
    /// Patterns of one family on one account tell the same story: one alert is enough.
    pub(super) family: u8,
    /// The accounts that are marked, so that the same is not told twice.
    pub(super) anchors: Vec<u64>,
    pub(super) accounts: Vec<u64>,
    pub(super) members: Vec<Member>,
    /// How large it is, to tell growth: members, senders, rounds.
    pub(super) size: usize,
    /// The user, where it is the work of one.
    pub(super) single_user: bool,
    pub(super) story: String,
    aspects: usize,
    dimensions: Dimensions,
    reasons: Vec<Reason<'static>>,
}

impl Case {
    pub(super) fn new(pattern: usize, family: u8, story: String) -> Case {
        Case {
            pattern,
            family,
            anchors: Vec::new(),
            accounts: Vec::new(),
            members: Vec::new(),
            size: 0,
            single_user: false,
            story,
            aspects: 0,
            dimensions: Dimensions::default(),
            reasons: Vec::new(),
        }
    }

    /// What the mechanism itself gives.
    pub(super) fn base(&mut self, rule: &'static str, dimension: Dimension, points: f64, evidence: impl FnOnce() -> String) {
        let given = self.dimensions.get(dimension);
        let room = dimension.cap().saturating_sub(given);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=25 before")]
        let points = (libm::round(points.clamp(0.0, 25.0)) as u8).min(room);
        if points > 0 {
            *self.dimensions.get_mut(dimension) += points;
            self.reasons.push(Reason { rule: Text::from(rule), dimension, points, evidence: Text::from(evidence()) });
        }
    }

    /// What agrees with it from another side.
    pub(super) fn aspect(&mut self, rule: &'static str, dimension: Dimension, points: f64, evidence: impl FnOnce() -> String) {
        if points >= ASPECT {
            self.aspects += 1;
        }
        self.base(rule, dimension, points, evidence);
    }

    pub(super) fn score(&self) -> u8 {
        let sum = self.dimensions.sum();
        if self.aspects < 2 { sum.min(ALERT_SCORE - 1) } else { sum }
    }

    /// The report. Points above the score are taken from the last reasons, so that what stays adds up.
    pub(super) fn found(mut self, name: &str, event: &Event, book: &Book) -> Found {
        let score = self.score();
        let mut over = self.dimensions.sum() - score;
        while over > 0 {
            let Some(last) = self.reasons.last_mut() else { break };
            let cut = over.min(last.points);
            last.points -= cut;
            over -= cut;
            if last.points == 0 {
                self.reasons.pop();
            }
        }
        self.members.sort_unstable();
        self.members.dedup();
        let mut accounts: Vec<Text<'static>> = self.accounts.iter().filter_map(|key| book.name(*key)).map(|n| Text::from(n.to_owned())).collect();
        accounts.sort_unstable();
        accounts.dedup();
        let refs: Vec<&str> = self.members.iter().map(|m| m.id.as_str()).collect();
        let (first, last) = (self.members.first().map_or(event.at, |m| m.at), self.members.last().map_or(event.at, |m| m.at));
        let pattern = Pattern {
            pattern_id: Text::from(ids::pattern_id(name, &refs).to_string()),
            pattern_type: Text::from(name.to_owned()),
            user_id: self.single_user.then(|| Text::from(event.user.clone())),
            accounts,
            members: self.members.iter().map(|m| Text::from(m.id.clone())).collect(),
            risk_score: score,
            description: Text::from(self.story),
            first_event: Micros(first),
            last_event: Micros(last),
        };
        Found { pattern, reasons: self.reasons, transaction_id: event.id.clone(), user_id: event.user.clone(), amount: Cents(event.cents) }
    }
}
