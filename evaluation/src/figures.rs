//! What an evaluation measures. Pure functions over scores, alerts and labels that are aligned by index.

use std::collections::BTreeMap;

use crate::config::Grade;
use crate::transaction::Label;

/// Area under the ROC curve: how often a fraudulent row scores above an honest one, ties counted half. 0.5 if either is missing.
#[must_use]
pub fn roc_auc(scores: &[f64], fraud: &[bool]) -> f64 {
    let positive = fraud.iter().filter(|f| **f).count() as f64;
    let negative = fraud.len() as f64 - positive;
    if positive == 0.0 || negative == 0.0 {
        return 0.5;
    }
    let (mut below, mut won) = (0.0, 0.0);
    for (_, hits, misses) in ties(scores, fraud).into_iter().rev() {
        won += hits * (below + misses / 2.0);
        below += misses;
    }
    won / (positive * negative)
}

/// Average precision: the precision at each threshold, weighted by the recall gained there. Rows of one score are one threshold, so
/// their order does not matter. 0 without fraud.
#[must_use]
pub fn average_precision(scores: &[f64], fraud: &[bool]) -> f64 {
    let mut before = 0.0;
    let mut sum = 0.0;
    for point in precision_recall(scores, fraud) {
        sum += (point.recall - before) * point.precision;
        before = point.recall;
    }
    sum
}

/// Scores that occur, highest first, each with its fraudulent and honest rows.
fn ties(scores: &[f64], fraud: &[bool]) -> Vec<(f64, f64, f64)> {
    let mut order: Vec<(f64, bool)> = scores.iter().copied().zip(fraud.iter().copied()).collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut out: Vec<(f64, f64, f64)> = Vec::new();
    for (score, hit) in order {
        let (hits, misses) = if hit { (1.0, 0.0) } else { (0.0, 1.0) };
        match out.last_mut() {
            Some(last) if last.0.total_cmp(&score).is_eq() => {
                last.1 += hits;
                last.2 += misses;
            }
            _ => out.push((score, hits, misses)),
        }
    }
    out
}

/// One threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// What scores at least this is flagged.
    pub threshold: f64,
    /// Share of the fraud that is flagged.
    pub recall: f64,
    /// Share of the flagged that is fraud.
    pub precision: f64,
}

/// Precision and recall at every score that occurs, highest first. Empty without fraud.
#[must_use]
pub fn precision_recall(scores: &[f64], fraud: &[bool]) -> Vec<Point> {
    let all = fraud.iter().filter(|f| **f).count() as f64;
    if all == 0.0 {
        return Vec::new();
    }
    let (mut hits, mut flagged) = (0.0, 0.0);
    ties(scores, fraud)
        .into_iter()
        .map(|(threshold, h, m)| {
            hits += h;
            flagged += h + m;
            Point { threshold, recall: hits / all, precision: hits / flagged }
        })
        .collect()
}

/// Rows of one band of scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    /// Lower bound of the score, included.
    pub from: f64,
    /// Upper bound, included in the last band only.
    pub to: f64,
    /// Mean score of its rows; the middle of the band if it has none.
    pub mean: f64,
    /// Rows.
    pub rows: usize,
    /// Of them fraudulent.
    pub fraud: usize,
}

impl Band {
    /// Observed share of fraud, 0 without rows.
    #[must_use]
    pub fn share(&self) -> f64 {
        if self.rows == 0 { 0.0 } else { self.fraud as f64 / self.rows as f64 }
    }
}

/// Observed fraud in ten bands of equal width over 0 to `top`. Scores outside are counted in the nearest band.
#[must_use]
pub fn calibration(scores: &[f64], fraud: &[bool], top: f64) -> Vec<Band> {
    let mut sums = [0.0; 10];
    let mut bands: Vec<Band> = (0..10).map(|i| Band { from: f64::from(i) * top / 10.0, to: f64::from(i + 1) * top / 10.0, mean: 0.0, rows: 0, fraud: 0 }).collect();
    for (score, hit) in scores.iter().zip(fraud) {
        // The last band that begins at or below the score.
        let at = bands.iter().rposition(|b| b.from <= *score).unwrap_or(0);
        bands[at].rows += 1;
        bands[at].fraud += usize::from(*hit);
        sums[at] += score;
    }
    for (band, sum) in bands.iter_mut().zip(sums) {
        band.mean = if band.rows == 0 { (band.from + band.to) / 2.0 } else { sum / band.rows as f64 };
    }
    bands
}

/// Found among all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recall {
    /// With at least one alert.
    pub found: usize,
    /// In all.
    pub all: usize,
}

impl Recall {
    /// `found / all`, 0 of none.
    #[must_use]
    pub fn share(&self) -> f64 {
        if self.all == 0 { 0.0 } else { self.found as f64 / self.all as f64 }
    }
}

/// Incidents by scheme and grade, found if any of their rows is alerted.
#[must_use]
pub fn incident_recall(labels: &[Label], alerted: &[bool]) -> BTreeMap<(&'static str, Grade), Recall> {
    let mut incidents: BTreeMap<u32, ((&'static str, Grade), bool)> = BTreeMap::new();
    for (label, alert) in labels.iter().zip(alerted) {
        if let (Some(incident), Some(grade)) = (label.incident, label.grade) {
            incidents.entry(incident).or_insert(((label.scenario, grade), false)).1 |= alert;
        }
    }
    let mut out: BTreeMap<(&'static str, Grade), Recall> = BTreeMap::new();
    for (key, found) in incidents.into_values() {
        let recall = out.entry(key).or_default();
        recall.all += 1;
        recall.found += usize::from(found);
    }
    out
}

/// [`incident_recall`] summed by grade.
#[must_use]
pub fn recall_by_grade(labels: &[Label], alerted: &[bool]) -> BTreeMap<Grade, Recall> {
    sum_by(labels, alerted, |key| key.1)
}

/// [`incident_recall`] summed by scheme.
#[must_use]
pub fn recall_by_scenario(labels: &[Label], alerted: &[bool]) -> BTreeMap<&'static str, Recall> {
    sum_by(labels, alerted, |key| key.0)
}

fn sum_by<K: Ord>(labels: &[Label], alerted: &[bool], part: impl Fn((&'static str, Grade)) -> K) -> BTreeMap<K, Recall> {
    let mut out: BTreeMap<K, Recall> = BTreeMap::new();
    for (key, recall) in incident_recall(labels, alerted) {
        let sum = out.entry(part(key)).or_default();
        sum.found += recall.found;
        sum.all += recall.all;
    }
    out
}

/// Share of the alerts that are on fraud; `None` without alerts.
#[must_use]
pub fn alert_precision(labels: &[Label], alerted: &[bool]) -> Option<f64> {
    let alerts = alerted.iter().filter(|a| **a).count();
    let real = labels.iter().zip(alerted).filter(|(l, a)| l.fraud && **a).count();
    (alerts > 0).then(|| real as f64 / alerts as f64)
}

/// Alerts on honest rows by the confuser's name, and how many rows each confuser has.
#[must_use]
pub fn false_alerts(labels: &[Label], alerted: &[bool]) -> BTreeMap<&'static str, Recall> {
    let mut out: BTreeMap<&'static str, Recall> = BTreeMap::new();
    for (label, alert) in labels.iter().zip(alerted).filter(|(l, _)| !l.fraud) {
        let count = out.entry(label.scenario).or_default();
        count.all += 1;
        count.found += usize::from(*alert);
    }
    out
}

/// Marks the `k` highest-scored rows of each day; `days` gives each row's day. Of equal scores the earlier row is taken.
#[must_use]
pub fn top_a_day(scores: &[f64], days: &[i64], k: usize) -> Vec<bool> {
    let mut by_day: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (i, day) in days.iter().enumerate().take(scores.len()) {
        by_day.entry(*day).or_default().push(i);
    }
    let mut out = vec![false; scores.len()];
    for mut rows in by_day.into_values() {
        // A stable sort keeps the order of the stream among equals.
        rows.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        for i in rows.into_iter().take(k) {
            out[i] = true;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(incident: Option<u32>, scenario: &'static str, grade: Option<Grade>) -> Label {
        Label { fraud: incident.is_some(), incident, scenario, grade }
    }

    #[test]
    fn auc_counts_pairs_and_half_of_the_ties() {
        // Pairs: (.9 > .8, .9 > .1, .4 < .8, .4 > .1) = 3 of 4.
        assert!((roc_auc(&[0.9, 0.8, 0.4, 0.1], &[true, false, true, false]) - 0.75).abs() < 1e-12);
        // One win, one tie of two pairs.
        assert!((roc_auc(&[0.5, 0.5, 0.1], &[true, false, false]) - 0.75).abs() < 1e-12);
        assert!((roc_auc(&[0.3, 0.3, 0.3], &[true, false, true]) - 0.5).abs() < 1e-12);
        assert!((roc_auc(&[0.3], &[true]) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn average_precision_does_not_depend_on_the_order_of_ties() {
        // 1/2 · 1/1 + 1/2 · 2/3.
        assert!((average_precision(&[0.9, 0.8, 0.4, 0.1], &[true, false, true, false]) - (0.5 + 1.0 / 3.0)).abs() < 1e-12);
        let tied = average_precision(&[0.5, 0.5, 0.1], &[true, false, false]);
        assert!((tied - 0.5).abs() < 1e-12);
        assert!((average_precision(&[0.5, 0.5, 0.1], &[false, true, false]) - tied).abs() < 1e-12);
        assert!(average_precision(&[0.5], &[false]).abs() < 1e-12);
    }

    #[test]
    fn points_have_one_threshold_for_each_score() {
        let points = precision_recall(&[0.9, 0.5, 0.5], &[true, false, true]);
        assert_eq!(points, [Point { threshold: 0.9, recall: 0.5, precision: 1.0 }, Point { threshold: 0.5, recall: 1.0, precision: 2.0 / 3.0 }]);
    }

    #[test]
    fn bands_hold_their_lower_bound() {
        let bands = calibration(&[0.0, 5.0, 10.0, 99.0, 100.0, 120.0], &[false, true, true, true, false, true], 100.0);
        assert_eq!((bands[0].rows, bands[0].fraud), (2, 1));
        assert!((bands[0].mean - 2.5).abs() < 1e-12 && (bands[0].share() - 0.5).abs() < 1e-12);
        assert_eq!((bands[1].rows, bands[1].fraud), (1, 1));
        assert_eq!((bands[9].rows, bands[9].fraud), (3, 2));
        assert!((bands[5].mean - 55.0).abs() < 1e-12);
    }

    #[test]
    fn an_incident_is_found_by_any_of_its_rows() {
        let labels = [
            label(Some(0), "burst", Some(Grade::Blatant)),
            label(Some(0), "burst", Some(Grade::Blatant)),
            label(Some(1), "burst", Some(Grade::Subtle)),
            label(None, "pay_run", None),
            label(None, "pay_run", None),
        ];
        let alerts = [false, true, false, true, false];
        assert_eq!(recall_by_grade(&labels, &alerts)[&Grade::Blatant], Recall { found: 1, all: 1 });
        assert_eq!(recall_by_grade(&labels, &alerts)[&Grade::Subtle], Recall { found: 0, all: 1 });
        assert!((recall_by_scenario(&labels, &alerts)["burst"].share() - 0.5).abs() < 1e-12);
        assert_eq!(alert_precision(&labels, &alerts), Some(0.5));
        assert_eq!(alert_precision(&labels, &[false; 5]), None);
        assert_eq!(false_alerts(&labels, &alerts)["pay_run"], Recall { found: 1, all: 2 });
    }

    #[test]
    fn the_highest_of_each_day_are_marked() {
        assert_eq!(top_a_day(&[0.1, 0.9, 0.5, 0.5, 0.2], &[0, 0, 1, 1, 1], 1), [false, true, true, false, false]);
    }
}
