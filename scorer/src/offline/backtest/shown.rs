//! What a backtest shows, as numbers.
//!
//! What must stay true: what is gained and lost explains the difference between present and candidate, in every line.

use std::collections::BTreeMap;

use serde::Serialize;
use wh_schemas::{Cents, Micros};

use crate::offline::pass::{self, Passed};

/// A number under the present ruleset and under the candidate, and what was gained and lost between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Under the present ruleset.
    pub present: u64,
    /// Under the candidate.
    pub candidate: u64,
    /// Under the candidate only.
    pub gained: u64,
    /// Under the present ruleset only.
    pub lost: u64,
}

impl Change {
    pub(super) fn count(&mut self, [present, candidate]: [bool; 2]) {
        self.present += u64::from(present);
        self.candidate += u64::from(candidate);
        self.gained += u64::from(candidate && !present);
        self.lost += u64::from(present && !candidate);
    }
}

/// A line whose alert was gained or lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    /// The transaction.
    pub transaction_id: String,
    /// Its user.
    pub user_id: String,
    /// How much.
    pub amount: Cents,
    /// Score, or that of a pattern on the line, under the present ruleset.
    pub present: u8,
    /// … and under the candidate.
    pub candidate: u8,
    /// The reason that made the difference.
    pub difference: String,
    /// Whether it was fraud, where that is known.
    pub fraud: Option<bool>,
}

/// How alerts stand to what is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Outcome {
    /// Alerted lines of which it is known whether they were fraud.
    pub alerts: u64,
    /// Of them fraudulent.
    pub real: u64,
    /// Share of the alerted that was fraud; none without alerts.
    pub precision: Option<f64>,
    /// Share of the fraud that was alerted; none without fraud.
    pub recall: Option<f64>,
    /// Incidents with an alerted line.
    pub incidents: u64,
}

/// What was known of the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Outcomes {
    /// Rows of which it is known whether they were fraud: with labels beside the history all of them, since one that is not named was honest.
    pub rows: u64,
    /// Of them named by a label.
    pub named: u64,
    /// Of them fraudulent.
    pub fraud: u64,
    /// Incidents that they name.
    pub incidents: u64,
    /// Under the present ruleset.
    pub present: Outcome,
    /// Under the candidate.
    pub candidate: Outcome,
}

/// What a backtest shows.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Backtest {
    /// Content hash of the present ruleset.
    pub present: String,
    /// Content hash of the candidate.
    pub candidate: String,
    /// What was read.
    pub passed: Passed,
    /// Rows within the time that was asked for.
    pub rows: u64,
    /// First and last event time of them.
    pub span: Option<(Micros, Micros)>,
    /// Days of event time with a row.
    pub days: u64,
    /// Rows whose score differs.
    pub scores_changed: u64,
    /// Alerted lines.
    pub alerts: Change,
    /// The busiest day's alerted lines, under each.
    pub busiest_day: (u64, u64),
    /// Alerts by what raised them: a rule, a pattern by user, a pattern by account.
    pub by_rule: BTreeMap<String, Change>,
    /// Alerted lines by department.
    pub by_department: BTreeMap<String, Change>,
    /// Rows by level under the present ruleset (low, medium, high), then under the candidate.
    pub levels: [[u64; 3]; 3],
    /// Alerts that are gained, the largest differences first.
    pub gained: Vec<Example>,
    /// Alerts that are lost.
    pub lost: Vec<Example>,
    /// How alerts stand to labels, where there are any.
    pub outcomes: Option<Outcomes>,
}

impl Backtest {
    /// Alerted lines a day, under the present ruleset and under the candidate.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of alerts and days")]
    pub fn a_day(&self) -> (f64, f64) {
        let days = self.days.max(1) as f64;
        (self.alerts.present as f64 / days, self.alerts.candidate as f64 / days)
    }

    /// A sentence for each rule that had no answer for some rows, those that were only learnt from included.
    #[must_use]
    pub fn unanswered(&self) -> Vec<String> {
        pass::sentences(&self.passed.unanswered, self.passed.scored, &["present", "candidate"])
    }
}
