//! A plan on the page.
//!
//! What must stay true: why not to buy by it stands before what to buy.

use std::fmt::Write as _;

use super::{escape, table};
use crate::plan::Plan;
use crate::text::number::{count, signed_percent};
use crate::text::planned::{disk, instances, machine};

// Writing to a string cannot fail, so the results of `writeln!` are dropped with `ok`.

pub(super) fn planned(out: &mut String, plan: &Plan) {
    let (target, needs) = (&plan.target, &plan.needs);
    writeln!(out, "<h2>For {}/s at {:.0} % use</h2>", count(target.rate), target.use_at_most * 100.0).ok();
    for line in &plan.doubts {
        writeln!(out, "<p class=\"bad\">{}</p>", escape(line)).ok();
    }
    let told = format!("{} cores on the machines below, instances: {}, {} partitions, disk: {}", needs.cores, instances(plan), needs.partitions, disk(plan));
    writeln!(out, "<p><strong>{}</strong></p>", escape(&told)).ok();
    // The note is text and stands behind the numbers: it is put first, beside what it is of.
    let bought = plan.machines.iter().map(|bought| {
        let mut row = machine(bought);
        if let Some(note) = row.pop() {
            row.insert(1, note);
        }
        row
    });
    out.push_str("<h3>What to buy, as machines or as shares of them</h3>\n");
    table(out, &["of", "to know", "how many", "cores each", "memory each", "disk each"], 4, &bought.collect::<Vec<_>>());
    out.push_str("<h3>How that is computed</h3>\n");
    let steps = plan.steps.iter().map(|step| vec![step.of.clone(), step.calculation.clone(), step.result.clone()]);
    table(out, &["what", "calculation", "gives"], 1, &steps.collect::<Vec<_>>());
    let checks = plan.checks.iter().map(|check| {
        let [planned, measured] = [check.predicted_cores, check.measured_cores].map(|cores| format!("{cores:.2}"));
        vec![check.of.clone(), count(check.rate), planned, measured, signed_percent(check.error)]
    });
    table(out, &["checked", "at a rate of", "cores planned", "cores measured", "error"], 4, &checks.collect::<Vec<_>>());
    for line in &plan.assumptions {
        writeln!(out, "<p class=\"note\">{}</p>", escape(line)).ok();
    }
}
