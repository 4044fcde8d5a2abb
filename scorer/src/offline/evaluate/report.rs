//! Figures for people, for programs, and as pictures. Pure.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};
use wh_evaluation::{Grade, figures, plot};

use super::measure::{A_DAY, Measured, Scenario, Share};

// Writing to a string cannot fail: `ok` drops nothing, here and below.

fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
}

fn of(share: Share) -> String {
    if share.all == 0 { "-".to_owned() } else { format!("{}/{}", share.found, share.all) }
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows")]
fn float(count: usize) -> f64 {
    count as f64
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0_u32);
    for value in values {
        sum += value;
        count += 1;
    }
    if count == 0 { 0.0 } else { sum / f64::from(count) }
}

/// Mean of the shares of the streams that have one.
fn mean_share(all: &[Measured], of: impl Fn(&Measured) -> Option<f64>) -> Option<f64> {
    let shares: Vec<f64> = all.iter().filter_map(of).collect();
    (!shares.is_empty()).then(|| mean(shares.into_iter()))
}

fn precision(measured: &Measured) -> Option<f64> {
    (measured.alerts > 0).then(|| float(measured.real_alerts) / float(measured.alerts))
}

fn grade(measured: &Measured, grade: Grade) -> Option<f64> {
    measured.by_grade.get(grade.as_str()).and_then(|share| share.share())
}

/// The means over streams: what the table's last line says.
fn means(all: &[Measured]) -> Value {
    let average_precision = mean(all.iter().map(|m| m.average_precision));
    let plain = mean(all.iter().map(|m| m.plain_average_precision));
    json!({
        "auc": mean(all.iter().map(|m| m.auc)),
        "average_precision": average_precision,
        "plain_auc": mean(all.iter().map(|m| m.plain_auc)),
        "plain_average_precision": plain,
        "ratio": average_precision / plain.max(f64::MIN_POSITIVE),
        "alert_share": mean(all.iter().map(|m| float(m.alerts) / float(m.rows.max(1)))),
        "precision": mean_share(all, precision),
        "alerted": mean_share(all, |m| m.alerted.share()),
        "blatant": mean_share(all, |m| grade(m, Grade::Blatant)),
        "medium": mean_share(all, |m| grade(m, Grade::Medium)),
        "subtle": mean_share(all, |m| grade(m, Grade::Subtle)),
        "top": mean_share(all, |m| m.top.share()),
    })
}

/// Everything as one object.
#[must_use]
pub fn json(all: &[Measured]) -> Value {
    json!({ "streams": all, "mean": means(all) })
}

/// Tables: streams and their mean, schemes, honest rows that were alerted.
#[must_use]
pub fn text(all: &[Measured]) -> String {
    let mut out = String::new();
    streams(all, &mut out);
    schemes(all, &mut out);
    confusers(all, &mut out);
    out
}

fn streams(all: &[Measured], out: &mut String) {
    let width = all.iter().map(|m| m.name.chars().count()).max().unwrap_or(4).max(4);
    writeln!(
        out,
        "{:width$} {:>8} {:>7} {:>6} {:>6} {:>10} {:>9} {:>6} {:>8} {:>9} {:>8} {:>8} {:>8} {:>8} {:>7}",
        "", "rows", "fraud", "AUC", "AP", "plain AUC", "plain AP", "ratio", "alerts", "precision", "alerted", "blatant", "medium", "subtle", "top 40"
    )
    .ok();
    for m in all {
        writeln!(
            out,
            "{:width$} {:>8} {:>5.2} % {:>6.3} {:>6.3} {:>10.3} {:>9.4} {:>6.1} {:>6.2} % {:>9} {:>8} {:>8} {:>8} {:>8} {:>7}",
            m.name,
            m.rows,
            100.0 * float(m.fraud) / float(m.rows.max(1)),
            m.auc,
            m.average_precision,
            m.plain_auc,
            m.plain_average_precision,
            m.average_precision / m.plain_average_precision.max(f64::MIN_POSITIVE),
            100.0 * float(m.alerts) / float(m.rows.max(1)),
            shown(precision(m)),
            shown(m.alerted.share()),
            shown(grade(m, Grade::Blatant)),
            shown(grade(m, Grade::Medium)),
            shown(grade(m, Grade::Subtle)),
            shown(m.top.share()),
        )
        .ok();
    }
    if all.len() > 1 {
        let means = means(all);
        let value = |name: &str| means.get(name).and_then(Value::as_f64);
        let number = |name: &str| value(name).unwrap_or(0.0);
        writeln!(
            out,
            "{:width$} {:>8} {:>7} {:>6.3} {:>6.3} {:>10.3} {:>9.4} {:>6.1} {:>6.2} % {:>9} {:>8} {:>8} {:>8} {:>8} {:>7}",
            "mean",
            "",
            "",
            number("auc"),
            number("average_precision"),
            number("plain_auc"),
            number("plain_average_precision"),
            number("ratio"),
            100.0 * number("alert_share"),
            shown(value("precision")),
            shown(value("alerted")),
            shown(value("blatant")),
            shown(value("medium")),
            shown(value("subtle")),
            shown(value("top")),
        )
        .ok();
    }
}

fn schemes(all: &[Measured], out: &mut String) {
    let mut sums: BTreeMap<&str, BTreeMap<&str, Scenario>> = BTreeMap::new();
    for measured in all {
        for (scheme, grades) in &measured.by_scheme {
            for (grade, scenario) in grades {
                let sum = sums.entry(scheme).or_default().entry(grade).or_default();
                sum.alerted.add(scenario.alerted);
                sum.top.add(scenario.top);
            }
        }
    }
    if sums.is_empty() {
        return;
    }
    let grades: Vec<&str> = ["blatant", "medium", "subtle", "all"].into_iter().filter(|grade| sums.values().any(|of| of.contains_key(grade))).collect();
    write!(out, "\n{:22}", "incidents alerted").ok();
    for grade in &grades {
        write!(out, " {grade:>9}").ok();
    }
    writeln!(out, " {:>9}   among the {A_DAY} highest of a day", "share").ok();
    for (scheme, of_grade) in &sums {
        write!(out, "{scheme:22}").ok();
        let mut sum = Scenario::default();
        for grade in &grades {
            let scenario = of_grade.get(grade).copied().unwrap_or_default();
            sum.alerted.add(scenario.alerted);
            sum.top.add(scenario.top);
            write!(out, " {:>9}", of(scenario.alerted)).ok();
        }
        writeln!(out, " {:>9}   {:>9} {:>6}", shown(sum.alerted.share()), of(sum.top), shown(sum.top.share())).ok();
    }
}

fn confusers(all: &[Measured], out: &mut String) {
    let mut sums: BTreeMap<&str, Share> = BTreeMap::new();
    for measured in all {
        for (name, share) in &measured.false_alerts {
            sums.entry(name).or_default().add(*share);
        }
    }
    let mut lines: Vec<(&str, Share)> = sums.into_iter().filter(|(_, share)| share.found > 0).collect();
    if lines.is_empty() {
        return;
    }
    lines.sort_by(|a, b| b.1.found.cmp(&a.1.found).then(a.0.cmp(b.0)));
    writeln!(out, "\n{:22} {:>9} {:>9} {:>9}", "alerts on honest rows", "alerts", "rows", "share").ok();
    for (name, share) in lines {
        writeln!(out, "{name:22} {:>9} {:>9} {:>7.3} %", share.found, share.all, 100.0 * share.share().unwrap_or(0.0)).ok();
    }
}

/// The precision–recall curve, beside the plain baseline's, and the calibration plot, over all streams: file name and SVG.
#[must_use]
pub fn plots(all: &[Measured]) -> Vec<(&'static str, String)> {
    let pooled = |part: fn(&Measured) -> &Vec<f64>| -> Vec<f64> { all.iter().flat_map(|m| part(m).iter().copied()).collect() };
    let (scores, plain) = (pooled(|m| &m.scores), pooled(|m| &m.plain));
    let truth: Vec<bool> = all.iter().flat_map(|m| m.truth.iter().copied()).collect();
    let (ours, theirs) = (figures::precision_recall(&scores, &truth), figures::precision_recall(&plain, &truth));
    vec![
        ("precision_recall.svg", plot::precision_recall(&[("Wardhouse", &ours), ("plain baseline", &theirs)])),
        ("calibration.svg", plot::calibration(&figures::calibration(&scores, &truth, 100.0))),
    ]
}
