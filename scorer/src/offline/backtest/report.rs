//! A backtest for people. Pure.

use std::fmt::Write;

use super::{Backtest, Change, Example, Outcome};

// Writing to a string cannot fail: `ok` drops nothing, here and below.

/// Everything as text.
#[must_use]
pub fn text(backtest: &Backtest) -> String {
    let mut out = String::new();
    let span = backtest.span.map_or_else(String::new, |(first, last)| format!(", {first} to {last}"));
    writeln!(out, "{} rows on {} days{span}; present ruleset {}, candidate {}", backtest.rows, backtest.days, backtest.present, backtest.candidate).ok();
    if backtest.passed.rejected + backtest.passed.duplicates > 0 {
        writeln!(out, "{} records were rejected, {} were duplicates", backtest.passed.rejected, backtest.passed.duplicates).ok();
    }
    let (before, after) = backtest.a_day();
    let Change { present, candidate, gained, lost } = backtest.alerts;
    writeln!(
        out,
        "\nalerts {present} → {candidate}: {gained} gained, {lost} lost; {before:.1} → {after:.1} a day, {} → {} on the busiest",
        backtest.busiest_day.0, backtest.busiest_day.1
    )
    .ok();
    writeln!(out, "{} scores differ", backtest.scores_changed).ok();
    outcomes(backtest, &mut out);
    changes("by rule or pattern", backtest.by_rule.iter().filter(|(_, change)| change.present + change.candidate > 0), &mut out);
    changes("by department", backtest.by_department.iter().filter(|(_, change)| change.present + change.candidate > 0), &mut out);
    levels(backtest, &mut out);
    examples("gained", &backtest.gained, gained, &mut out);
    examples("lost", &backtest.lost, lost, &mut out);
    out
}

fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"))
}

fn outcomes(backtest: &Backtest, out: &mut String) {
    let Some(known) = backtest.outcomes else {
        out.push_str("no row has a label: precision and recall are not known (--labels)\n");
        return;
    };
    let labelled = if known.named == known.rows {
        format!("{} rows with a label", known.rows)
    } else {
        format!("{} of {} rows have a label, the others count as honest", known.named, known.rows)
    };
    writeln!(out, "\n{labelled}; {} are fraud, in {} named incidents", known.fraud, known.incidents).ok();
    writeln!(out, "{:<12} {:>10} {:>10} {:>10} {:>10} {:>10}", "", "alerts", "real", "precision", "recall", "incidents").ok();
    for (name, Outcome { alerts, real, precision, recall, incidents }) in [("present", known.present), ("candidate", known.candidate)] {
        writeln!(out, "{name:<12} {alerts:>10} {real:>10} {:>10} {:>10} {incidents:>10}", share(precision), share(recall)).ok();
    }
}

fn changes<'a>(what: &str, lines: impl Iterator<Item = (&'a String, &'a Change)>, out: &mut String) {
    let mut lines: Vec<_> = lines.collect();
    if lines.is_empty() {
        return;
    }
    lines.sort_by(|a, b| (b.1.gained + b.1.lost).cmp(&(a.1.gained + a.1.lost)).then(b.1.present.cmp(&a.1.present)).then(a.0.cmp(b.0)));
    writeln!(out, "\n{what:<28} {:>10} {:>10} {:>8} {:>8}", "present", "candidate", "gained", "lost").ok();
    for (name, Change { present, candidate, gained, lost }) in lines {
        writeln!(out, "{name:<28} {present:>10} {candidate:>10} {gained:>8} {lost:>8}").ok();
    }
}

fn levels(backtest: &Backtest, out: &mut String) {
    const NAMES: [&str; 3] = ["low", "medium", "high"];
    writeln!(out, "\n{:<28} {:>10} {:>10} {:>10}", "level: present ↓ candidate →", "low", "medium", "high").ok();
    for (name, row) in NAMES.into_iter().zip(backtest.levels) {
        writeln!(out, "{name:<28} {:>10} {:>10} {:>10}", row[0], row[1], row[2]).ok();
    }
}

fn examples(what: &str, examples: &[Example], all: u64, out: &mut String) {
    if examples.is_empty() {
        return;
    }
    writeln!(out, "\n{what}: {} of {all}, the largest differences first", examples.len()).ok();
    for example in examples {
        let known = match example.fraud {
            Some(true) => ", fraud",
            Some(false) => ", honest",
            None => "",
        };
        writeln!(
            out,
            "  {} by {}, {}: {} → {}{known}\n      {}",
            example.transaction_id,
            example.user_id,
            example.amount.grouped(),
            example.present,
            example.candidate,
            example.difference
        )
        .ok();
    }
}
