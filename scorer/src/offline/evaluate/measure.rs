//! From judged rows and their labels to figures. Pure.
//!
//! What must stay true: an incident is alerted where one of its rows has an alert or is a member of one; precision counts lines with an
//! alert; of equal scores the earlier row stands higher among a day's forty.

use std::collections::BTreeMap;

use hashbrown::HashSet;
use serde::Serialize;
use wh_evaluation::{Grade, Label, figures};

use super::Judged;

/// Rows of a day that an investigator looks at.
pub(super) const A_DAY: usize = 40;

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// That were found.
    pub found: usize,
    /// In all.
    pub all: usize,
}

impl Share {
    /// `found / all`; none of none.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of rows")]
    pub fn share(self) -> Option<f64> {
        (self.all > 0).then(|| self.found as f64 / self.all as f64)
    }

    pub(super) fn add(&mut self, other: Share) {
        self.found += other.found;
        self.all += other.all;
    }

    fn count(&mut self, found: bool) {
        self.all += 1;
        self.found += usize::from(found);
    }
}

/// What became of the incidents of one scheme and grade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Scenario {
    /// Alerted.
    pub alerted: Share,
    /// Among the forty highest of a day.
    pub top: Share,
}

/// The figures of one stream, and what they can be drawn from.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Its seed, or its file.
    pub name: String,
    /// Rows scored.
    pub rows: usize,
    /// Of them fraudulent.
    pub fraud: usize,
    /// Area under the ROC curve.
    pub auc: f64,
    /// Average precision.
    pub average_precision: f64,
    /// The plain baseline's area under the ROC curve.
    pub plain_auc: f64,
    /// … and its average precision.
    pub plain_average_precision: f64,
    /// Lines with an alert.
    pub alerts: usize,
    /// Of them fraudulent.
    pub real_alerts: usize,
    /// Incidents alerted.
    pub alerted: Share,
    /// … by grade.
    pub by_grade: BTreeMap<&'static str, Share>,
    /// Incidents with a row among the forty highest of a day.
    pub top: Share,
    /// By scheme, then by grade.
    pub by_scheme: BTreeMap<&'static str, BTreeMap<&'static str, Scenario>>,
    /// Alerts on honest rows, by what they are.
    pub false_alerts: BTreeMap<&'static str, Share>,
    /// Ranks of the rows.
    #[serde(skip)]
    pub scores: Vec<f64>,
    /// The plain baseline's.
    #[serde(skip)]
    pub plain: Vec<f64>,
    /// Which rows are fraud.
    #[serde(skip)]
    pub truth: Vec<bool>,
}

/// A grade's name in tables.
fn grade_of(label: &Label) -> &'static str {
    label.grade.map_or("all", Grade::as_str)
}

/// Measures judged rows against labels that are aligned with them.
pub(super) fn measure(name: &str, rows: &[Judged], labels: &[Label], plain: Vec<f64>) -> Measured {
    let scores: Vec<f64> = rows.iter().map(|row| f64::from(row.rank)).collect();
    let truth: Vec<bool> = labels.iter().map(|label| label.fraud).collect();
    let days: Vec<i64> = rows.iter().map(|row| row.day).collect();
    let members: HashSet<&str> = rows.iter().flat_map(|row| row.members.iter().map(String::as_str)).collect();
    let mut highest = figures::top_a_day(&scores, &days, A_DAY);
    for (high, row) in highest.iter_mut().zip(rows) {
        *high &= row.rank > 0;
    }
    let mut incidents: BTreeMap<u32, (&Label, bool, bool)> = BTreeMap::new();
    let mut false_alerts: BTreeMap<&'static str, Share> = BTreeMap::new();
    let (mut alerts, mut real_alerts) = (0, 0);
    for ((row, label), high) in rows.iter().zip(labels).zip(&highest) {
        alerts += usize::from(row.alert);
        if label.fraud {
            real_alerts += usize::from(row.alert);
        } else {
            false_alerts.entry(label.scenario).or_default().count(row.alert);
        }
        if let Some(incident) = label.incident {
            let entry = incidents.entry(incident).or_insert((label, false, false));
            entry.1 |= row.alert || members.contains(row.id.as_str());
            entry.2 |= *high;
        }
    }
    let (mut alerted, mut top) = (Share::default(), Share::default());
    let mut by_grade: BTreeMap<&'static str, Share> = BTreeMap::new();
    let mut by_scheme: BTreeMap<&'static str, BTreeMap<&'static str, Scenario>> = BTreeMap::new();
    for (label, is_alerted, is_high) in incidents.into_values() {
        alerted.count(is_alerted);
        top.count(is_high);
        by_grade.entry(grade_of(label)).or_default().count(is_alerted);
        let scenario = by_scheme.entry(label.scenario).or_default().entry(grade_of(label)).or_default();
        scenario.alerted.count(is_alerted);
        scenario.top.count(is_high);
    }
    Measured {
        name: name.to_owned(),
        rows: rows.len(),
        fraud: truth.iter().filter(|fraud| **fraud).count(),
        auc: figures::roc_auc(&scores, &truth),
        average_precision: figures::average_precision(&scores, &truth),
        plain_auc: figures::roc_auc(&plain, &truth),
        plain_average_precision: figures::average_precision(&plain, &truth),
        alerts,
        real_alerts,
        alerted,
        by_grade,
        top,
        by_scheme,
        false_alerts,
        scores,
        plain,
        truth,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, rank: u8, members: &[&str]) -> Judged {
        Judged { id: id.to_owned(), rank, alert: !members.is_empty(), members: members.iter().map(|m| (*m).to_owned()).collect(), ..Judged::default() }
    }

    fn label(incident: Option<u32>, grade: Option<Grade>) -> Label {
        Label { fraud: incident.is_some(), incident, scenario: if incident.is_some() { "scheme" } else { "pay_run" }, grade }
    }

    #[test]
    fn a_member_of_an_alert_counts_for_its_incident_and_not_for_precision() {
        let rows = [row("a", 30, &[]), row("b", 80, &["a", "b"]), row("c", 0, &[]), row("d", 75, &["d"])];
        let labels = [label(Some(0), Some(Grade::Subtle)), label(None, None), label(Some(1), Some(Grade::Blatant)), label(Some(2), Some(Grade::Blatant))];
        let measured = measure("x", &rows, &labels, vec![0.0; 4]);
        assert_eq!((measured.alerts, measured.real_alerts), (2, 1));
        assert_eq!(
            (measured.alerted, measured.by_grade["subtle"], measured.by_grade["blatant"]),
            (Share { found: 2, all: 3 }, Share { found: 1, all: 1 }, Share { found: 1, all: 2 })
        );
        // A row without a point is not among the highest, however few there are.
        assert_eq!(measured.top, Share { found: 2, all: 3 });
        assert_eq!(measured.false_alerts["pay_run"], Share { found: 1, all: 1 });
        assert_eq!(measured.by_scheme["scheme"]["blatant"].top, Share { found: 1, all: 2 });
    }
}
