//! What a comparison says, to people and to programs.

use anstream::{eprintln, println};
use indicatif::{ProgressBar, ProgressStyle};
use wh_ops::reconcile::{Finding, RangeResult, Summary, Told, What};

use crate::commands::counted;

/// Longest value that people are shown.
const WIDTH: usize = 80;

/// Shows one run.
pub(super) struct Show {
    json: bool,
    /// Findings that are shown of each store; programs are given all.
    most: u64,
    shown: u64,
    held_back: u64,
    bar: Option<ProgressBar>,
}

impl Show {
    pub(super) fn new(json: bool, most: u64, store: &'static str) -> Show {
        let style = || ProgressStyle::with_template("{prefix:>10} {wide_bar} {pos}/{len} {per_sec}").unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = (!json).then(|| ProgressBar::new(0).with_style(style()).with_prefix(store));
        Show { json, most, shown: 0, held_back: 0, bar }
    }

    /// One that draws nothing but lines.
    pub(super) fn lines(json: bool, most: u64) -> Show {
        Show { json, most, shown: 0, held_back: 0, bar: None }
    }

    fn line(&self, line: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(line),
            None => line(),
        }
    }

    pub(super) fn told(&mut self, told: &Told<'_>) {
        match told {
            Told::Progress(done, whole) => {
                if let Some(bar) = &self.bar {
                    bar.set_length(*whole);
                    bar.set_position(*done);
                }
            }
            Told::Note(note) => self.line(|| if self.json { println!("{}", serde_json::json!({ "note": note })) } else { eprintln!("{note}") }),
            Told::Finding(finding) if self.json => println!("{}", finding_json(finding)),
            Told::Finding(finding) => {
                if self.shown < self.most {
                    self.shown += 1;
                    self.line(|| say(finding));
                } else {
                    self.held_back += 1;
                }
            }
            Told::Range(range) if self.json => println!("{}", range_json(range)),
            Told::Range(range) if range.findings() > 0 => self.line(|| say_range(range)),
            Told::Range(_) => {}
        }
    }

    /// The last line of a store; `beside` is what of it was not compared.
    pub(super) fn end(self, store: &str, summary: &Summary, repair: bool, beside: Option<&str>) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if self.json {
            println!(
                "{}",
                serde_json::json!({ "store": store, "ranges": summary.ranges, "rows": summary.rows, "missing": summary.missing, "different": summary.different, "extra": summary.extra, "left": summary.left, "not_compared": beside })
            );
            return;
        }
        if self.held_back > 0 {
            eprintln!("{store}: {} more are not shown (--limit N, or --json for all)", self.held_back);
        }
        let beside = beside.map(|what| format!("; {what}")).unwrap_or_default();
        let whole = format!("{} in {}", counted(summary.rows, "row", "rows"), counted(summary.ranges, "range", "ranges"));
        if summary.findings() == 0 {
            println!("{store}: {whole}, all as the log says{beside}");
            return;
        }
        let found = format!("{} missing, {} different, {} extra", summary.missing, summary.different, summary.extra);
        match (repair, summary.left) {
            (true, 0) => println!("{store}: {whole}: {found}; all put right{beside}"),
            (true, left) => println!("{store}: {whole}: {found}; {left} could not be put right{beside}"),
            (false, _) => println!("{store}: {whole}: {found} (--repair puts them right from the log){beside}"),
        }
    }
}

fn cut(value: Option<&str>) -> String {
    match value {
        None => "nothing".to_owned(),
        Some(value) if value.chars().count() > WIDTH => format!("{:?} …", value.chars().take(WIDTH).collect::<String>()),
        Some(value) => format!("{value:?}"),
    }
}

/// Where a row stands, as its store has it where that is no position.
fn place(finding: &Finding) -> String {
    match finding.nowhere.as_deref() {
        None => finding.at.to_string(),
        Some("") => "at no position".to_owned(),
        Some(stands) => format!("at {stands} (no position)"),
    }
}

fn say(finding: &Finding) {
    let what = match finding.what {
        What::Missing => "is missing",
        What::Extra => "is not in the log",
        What::Different => "is not as the log says",
    };
    println!("{}.{} {} {}: {what}", finding.store, finding.table, place(finding), finding.id);
    for difference in &finding.differences {
        println!("    {}: stored {}, expected {}", difference.field, cut(difference.stored.as_deref()), cut(difference.expected.as_deref()));
    }
}

fn say_range(range: &RangeResult) {
    let place = match range.partition {
        Some(partition) => format!("{} partition {partition} seq {} to {}", range.stream, range.from, range.to.saturating_sub(1)),
        None => "outside of every partition".to_owned(),
    };
    println!("{}: {place}: {} missing, {} different, {} extra, {} put right", range.store, range.missing, range.different, range.extra, range.repaired);
}

fn finding_json(finding: &Finding) -> serde_json::Value {
    let differences: Vec<serde_json::Value> =
        finding.differences.iter().map(|difference| serde_json::json!({ "field": difference.field, "stored": difference.stored, "expected": difference.expected })).collect();
    let at = finding.nowhere.is_none().then_some(finding.at);
    serde_json::json!({
        "finding": finding.what.as_str(), "store": finding.store, "table": finding.table, "partition": at.map(|at| at.partition), "seq": at.map(|at| at.seq),
        "stands_at": finding.nowhere, "id": finding.id, "differences": differences,
    })
}

fn range_json(range: &RangeResult) -> serde_json::Value {
    serde_json::json!({
        "range": { "from": range.from, "to": range.to }, "store": range.store, "stream": range.stream, "partition": range.partition,
        "expected": { "rows": range.expected.rows, "checksum": format!("{:016x}", range.expected.sum) },
        "stored": { "rows": range.stored.rows, "checksum": format!("{:016x}", range.stored.sum) },
        "missing": range.missing, "different": range.different, "extra": range.extra, "repaired": range.repaired,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wh_schemas::SeqPosition;

    #[test]
    fn a_row_at_no_position_of_ours_is_told_as_it_stands() {
        let at = SeqPosition { partition: u32::MAX, seq: 0 };
        let finding = Finding { store: "ledger", table: "transactions", at, id: "T".into(), what: What::Extra, differences: Vec::new(), nowhere: Some("-5".into()) };
        assert_eq!(place(&finding), "at -5 (no position)");
        let told = finding_json(&finding);
        assert!(told["partition"].is_null() && told["seq"].is_null() && told["stands_at"] == "-5", "{told}");
        assert_eq!(place(&Finding { nowhere: Some(String::new()), ..finding.clone() }), "at no position");
        assert_eq!(place(&Finding { nowhere: None, at: SeqPosition { partition: 1, seq: 7 }, ..finding }), "1:7");
    }
}
