//! An explanation for people. Pure.

use std::fmt::Write;

use wh_schemas::scored::{ALERT_SCORE, Dimension, Reason};
use wh_schemas::{Alert, ScoreRecord};

use super::Recomputed;

/// Where a record was found.
#[derive(Clone, Copy, Debug)]
pub enum Provenance<'a> {
    /// In the log, where it was scored.
    Log,
    /// In a file, which no scorer that runs has seen.
    File {
        /// Its name.
        name: &'a str,
        /// The record's line, from one on.
        line: u64,
    },
}

// Writing to a string cannot fail: `ok` drops nothing, here and below.

fn reasons(dimensions: wh_schemas::Dimensions, reasons: &[Reason<'_>], out: &mut String) {
    for dimension in Dimension::ALL {
        writeln!(out, "  {:<10} {:>3} of {}", dimension.as_str(), dimensions.get(dimension), dimension.cap()).ok();
        for reason in reasons.iter().filter(|reason| reason.dimension == dimension) {
            writeln!(out, "    {:>+4}  {:<22} {}", reason.points, reason.rule.as_str(), reason.evidence).ok();
        }
    }
}

/// The record as it was scored: what it is, its score with the arithmetic, its patterns.
#[must_use]
pub fn record_text(record: &ScoreRecord<'_>, provenance: Provenance<'_>) -> String {
    let mut out = String::new();
    let towards = record.counterparty_account.as_ref().map(|c| format!(" to {c}")).unwrap_or_default();
    writeln!(
        out,
        "{}: {} of {} by {} in {} on {}{towards} at {}",
        record.transaction_id,
        record.transaction_type,
        record.amount.grouped(),
        record.user_id,
        record.department,
        record.account_id,
        record.timestamp
    )
    .ok();
    let source = record.source;
    match provenance {
        Provenance::Log => writeln!(out, "position {}, from hospital-transactions/{}/{}", record.position(), source.partition, source.offset).ok(),
        Provenance::File { name, line } => writeln!(out, "line {line} of {name}, scored with baselines that begin empty at its first line").ok(),
    };
    if let Some(first) = record.duplicate_of {
        writeln!(out, "a duplicate of the record at {first}: it has no score of its own").ok();
        return out;
    }
    let (Some(score), Some(level), Some(dimensions)) = (record.risk_score, record.risk_level, record.dimensions) else { return out };
    let alert = if score >= ALERT_SCORE { ", an alert" } else { "" };
    let ruleset = record.ruleset.as_ref().map_or("unknown", |ruleset| ruleset.as_str());
    writeln!(out, "score {score}, {}{alert}, under the ruleset {ruleset}", level.as_str()).ok();
    if record.late {
        writeln!(out, "late: its time lies more than an hour behind the newest of its partition when it came; it is judged by its own time all the same").ok();
    }
    reasons(dimensions, &record.reasons, &mut out);
    let sum: Vec<String> = Dimension::ALL.iter().map(|dimension| dimensions.get(*dimension).to_string()).collect();
    writeln!(out, "  {} = {score}", sum.join(" + ")).ok();
    for alert in &record.alerts {
        writeln!(out, "alert {} ({}): {}", alert.alert_id, alert.severity.as_str(), alert.message).ok();
    }
    for pattern in &record.patterns {
        writeln!(out, "pattern {}: {}", pattern.pattern_type, pattern.description).ok();
        let members: Vec<&str> = pattern.members.iter().map(|member| member.as_str()).collect();
        writeln!(out, "  members: {}", members.join(", ")).ok();
    }
    out
}

/// A pattern alert: what it consists of, and its arithmetic.
#[must_use]
pub fn pattern_text(alert: &Alert<'_>) -> String {
    let mut out = String::new();
    writeln!(out, "{}\n{}", alert.title, alert.message).ok();
    writeln!(out, "alert {}, {} of {} points, completed by {}", alert.alert_id, alert.alert_type, alert.risk_score, alert.transaction_id).ok();
    for reason in &alert.reasons {
        writeln!(out, "    {:>+4}  {:<10} {:<22} {}", reason.points, reason.dimension.as_str(), reason.rule.as_str(), reason.evidence).ok();
    }
    if let Some(pattern) = &alert.pattern {
        let accounts: Vec<&str> = pattern.accounts.iter().map(|account| account.as_str()).collect();
        writeln!(out, "accounts: {}", accounts.join(", ")).ok();
        writeln!(out, "{} to {}", pattern.first_event, pattern.last_event).ok();
    }
    out
}

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// What was computed again: the baseline as it was, whether the score agrees with what the log holds, what would have changed the level.
#[must_use]
pub fn recomputed_text(recomputed: &Recomputed, provenance: Provenance<'_>) -> String {
    let mut out = String::new();
    baseline(recomputed, provenance, &mut out);
    if matches!(provenance, Provenance::Log) {
        agreement(recomputed, &mut out);
    }
    turns(recomputed, &mut out);
    out
}

fn baseline(recomputed: &Recomputed, provenance: Provenance<'_>, out: &mut String) {
    let b = &recomputed.baseline;
    let held = match provenance {
        Provenance::Log => "records of the log",
        Provenance::File { .. } => "lines of users of its partition",
    };
    writeln!(out, "\nbaseline before it, from {} {held}", recomputed.records_before).ok();
    writeln!(
        out,
        "  {} events of this user in {:.1} days, {} learnt ({:.0} % of a mature baseline's weight), {:.1} a working day, the last {:.1} hours before",
        b.events,
        b.days_known,
        b.learnt,
        100.0 * b.maturity,
        b.events_a_day,
        b.idle_hours
    )
    .ok();
    writeln!(
        out,
        "  usual amount of this type {:.2}, × or ÷ {:.2} for two of three ({} learnt); this one lies {:+.1} scales off",
        b.usual_amount, b.usual_factor, b.amounts_learnt, b.amount_z
    )
    .ok();
    let day = DAYS.get(usize::from(b.hour_of_week) / 24).copied().unwrap_or_default();
    writeln!(out, "  {day} {:02}:00 has {:.0} % of an average hour's events of this user", b.hour_of_week % 24, 100.0 * b.hour_likelihood).ok();
    for ((name, events), usual) in ["10 minutes", "1 hour", "24 hours"].into_iter().zip(b.events_in_windows).zip(b.usual_in_windows) {
        writeln!(out, "  {events} events within {name}, {usual:.1} are usual").ok();
    }
    writeln!(
        out,
        "  account seen {} times before ({} known), counterparty {} times in {:.1} days ({} known)",
        b.account_rows, b.accounts, b.counterparty_rows, b.counterparty_days, b.counterparties
    )
    .ok();
    writeln!(out, "  this type on {:.0} % of the user's days, this department on {:.0} %; mostly in {}", 100.0 * b.type_share, 100.0 * b.department_share, b.home_department).ok();
    for seen in &recomputed.patterns {
        let told = if seen.strength >= 1.0 { "confirmed" } else { "half seen" };
        writeln!(
            out,
            "  pattern {}, {told} (strength {:.2}): {}; rows before: {}",
            seen.pattern,
            seen.strength,
            seen.evidence,
            if seen.members.is_empty() { "none".to_owned() } else { seen.members.join(", ") }
        )
        .ok();
    }
    for none in &recomputed.unanswered {
        writeln!(out, "  rule {} had no answer for this row and gave it no points: {}", none.rule, none.why).ok();
    }
}

fn agreement(recomputed: &Recomputed, out: &mut String) {
    if recomputed.equal {
        writeln!(out, "\ncomputed again from the log under the ruleset {}: the same score {}, the same reasons", recomputed.ruleset, recomputed.risk_score).ok();
    } else {
        writeln!(out, "\ncomputed again from the log under the ruleset {}: score {}, which DIFFERS from what was stored", recomputed.ruleset, recomputed.risk_score).ok();
        for why in &recomputed.why_not {
            writeln!(out, "  {why}").ok();
        }
        if recomputed.why_not.is_empty() {
            writeln!(out, "  ruleset and reach of the log are the same: the ruleset may have changed before this record, or a quarantined row was released").ok();
        }
        reasons(recomputed.dimensions, &recomputed.reasons, out);
    }
}

fn turns(recomputed: &Recomputed, out: &mut String) {
    if recomputed.turns.is_empty() {
        let told = if recomputed.risk_score < 31 {
            "its level is low: there is nothing to fall below"
        } else {
            "what would have lowered its level: no other amount, hour, party or place alone"
        };
        writeln!(out, "\n{told}").ok();
    } else {
        writeln!(out, "\nwhat would have lowered its level or taken its alert away, each change alone").ok();
        for turn in &recomputed.turns {
            writeln!(out, "  {}: score {}, {}{}", turn.what, turn.risk_score, turn.risk_level.as_str(), if turn.alert { ", an alert" } else { ", no alert" }).ok();
        }
    }
}
