//! What the terminal prints of a plan.
//!
//! What must stay true: why not to buy by it stands before what to buy; the calculation stands behind it.

use std::fmt::Write as _;

use super::number::{bytes, count, printable, signed_percent};
use super::table;
use crate::plan::{ERROR_ALLOWED, Machines, Plan};

// Writing to a string cannot fail, so the results of `writeln!` are dropped with `ok`.

/// A plan, with its calculation.
#[must_use]
pub fn plan(plan: &Plan) -> String {
    let (target, needs) = (&plan.target, &plan.needs);
    let mut out = format!("For {}/s at {:.0} % use:\n", count(target.rate), target.use_at_most * 100.0);
    for line in &plan.doubts {
        writeln!(out, "! {}", printable(line)).ok();
    }
    let rows = [
        (
            "cores",
            format!(
                "{} on the machines below; busy to {:.0} %: {:.2} for the pipeline, {:.2} for the servers",
                needs.cores,
                target.use_at_most * 100.0,
                needs.cores_ours,
                needs.cores_servers
            ),
        ),
        ("instances", instances(plan)),
        ("partitions", needs.partitions.to_string()),
        ("memory", format!("{} for the pipeline, {} for the servers", bytes(needs.memory_ours_bytes), bytes(needs.memory_servers_bytes))),
        ("disk", disk(plan)),
    ];
    for (name, text) in rows {
        writeln!(out, "  {name:<10}  {}", printable(&text)).ok();
    }
    out.push_str("\nWhat to buy, as machines or as shares of them:\n");
    out.push_str(&table(1, &["", "how many", "cores each", "memory each", "disk each", ""], &plan.machines.iter().map(machine).collect::<Vec<_>>()));
    out.push_str("\nHow that is computed:\n");
    let steps: Vec<Vec<String>> = plan.steps.iter().map(|step| vec![step.of.clone(), format!("{} = {}", step.calculation, step.result)]).collect();
    out.push_str(&table(2, &["", ""], &steps));
    let measured: Vec<String> = plan.measured.iter().map(|rate| format!("{}/s", count(*rate))).collect();
    writeln!(out, "  measured at {}", measured.join(", ")).ok();
    if !plan.checks.is_empty() {
        writeln!(out, "\nChecked at rates that it was not computed from (allowed: ±{:.0} %):", ERROR_ALLOWED * 100.0).ok();
        let rows: Vec<Vec<String>> = plan
            .checks
            .iter()
            .map(|check| {
                let says = if check.within { "within" } else { "MISSED" };
                let [predicted, measured] = [check.predicted_cores, check.measured_cores].map(|cores| format!("{cores:.2}"));
                vec![check.of.clone(), format!("{}/s", count(check.rate)), predicted, measured, signed_percent(check.error), says.to_owned()]
            })
            .collect();
        out.push_str(&table(1, &["", "at", "cores planned", "measured", "error", ""], &rows));
    }
    out.push_str("\nTaken for granted:\n");
    for line in &plan.assumptions {
        writeln!(out, "  - {}", printable(line)).ok();
    }
    out
}

/// How many run, and of what.
pub(crate) fn instances(plan: &Plan) -> String {
    let needs = &plan.needs;
    if needs.stages.is_empty() {
        return format!("{} of {} cores", needs.instances, plan.target.cores_per_instance);
    }
    let stages: Vec<String> = needs.stages.iter().map(|(stage, processes)| format!("{processes} × {stage}")).collect();
    format!("by stage: {}", stages.join(", "))
}

/// What grows, as far as it is known.
pub(crate) fn disk(plan: &Plan) -> String {
    let needs = &plan.needs;
    let Some((day, kept)) = needs.disk_bytes_per_day.zip(needs.disk_bytes_kept) else {
        return "not known: no store's size could be read, or too little was sent".to_owned();
    };
    let (least, without) = if needs.disk_not_known.is_empty() { ("", String::new()) } else { ("at least ", format!("; {} not known", needs.disk_not_known.join(", "))) };
    let (days, log_days) = (plan.target.keep_days, plan.target.log_days);
    format!("{least}{} a day, {} once {days} days of rows and {log_days} of the log are kept{without}", bytes(day), bytes(kept))
}

/// A line of what to buy.
pub(crate) fn machine(machine: &Machines) -> Vec<String> {
    let known = |value: Option<String>| value.unwrap_or_else(|| "not known".to_owned());
    let disk = machine.disk_bytes.map_or_else(|| "–".to_owned(), bytes);
    vec![machine.of.clone(), machine.count.to_string(), known(machine.cores.map(|cores| cores.to_string())), known(machine.memory_bytes.map(bytes)), disk, machine.note.clone()]
}
