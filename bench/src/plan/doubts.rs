//! Why a plan is not to be bought by as it stands, and what it takes for granted.
//!
//! What must stay true: whatever makes the answer worth less than its digits is said in a plain sentence with what to do about it.

use super::fit::{LEAST_SPREAD, Way};
use super::{ERROR_ALLOWED, LEAST_CORES, Plan, disk, machines};
use crate::report::Report;
use crate::text::number::{count, signed_percent};

/// A target beyond the highest measured rate by this factor is told to be far out.
const FAR: f64 = 2.0;
/// Beyond it the plan is an order of magnitude.
const VERY_FAR: f64 = 5.0;
/// Alerts below which what search keeps of one is a rough figure.
const FEW_ALERTS: u64 = 1_000;

/// Sentences, the weightiest first.
pub(super) fn doubts(report: &Report, plan: &Plan) -> Vec<String> {
    let mut out = Vec::new();
    of_the_check(&mut out, plan);
    of_the_fit(&mut out, plan);
    of_the_distance(&mut out, plan);
    of_the_rounds(&mut out, report, plan);
    of_the_disk(&mut out, report, plan);
    of_what_does_not_spread(&mut out, report, plan);
    out
}

fn of_the_check(out: &mut Vec<String>, plan: &Plan) {
    if let Some(worst) = plan.checks.iter().filter(|check| !check.within).max_by(|a, b| a.error.abs().total_cmp(&b.error.abs())) {
        out.push(format!(
            "The check failed: at {}/s the plan is {} off for {} (allowed: ±{:.0} %). Do not buy by it; measure nearer to the target.",
            count(worst.rate),
            signed_percent(worst.error),
            worst.of,
            ERROR_ALLOWED * 100.0
        ));
    }
}

fn of_the_fit(out: &mut Vec<String>, plan: &Plan) {
    let noisy = |error: f64, cores: f64| error > cores && cores + error >= LEAST_CORES;
    let told: Vec<String> = plan
        .costs
        .iter()
        .filter_map(|cost| {
            cost.cores_error.filter(|error| noisy(*error, cost.cores_at_target)).map(|error| format!("{} ({:.2} ± {error:.2} cores)", cost.process, cost.cores_at_target))
        })
        .collect();
    if !told.is_empty() {
        out.push(format!(
            "The noise of the measurement is larger than the cost itself for {}: those figures are not known. Measure longer, at more rates, nearer to the target, with nothing else on the machine.",
            told.join(", ")
        ));
    }
    if plan.costs.iter().any(|cost| cost.cores_error.is_none()) {
        out.push(
            "No interval can be told: a line through two rates meets both, whatever their noise, and one rate gives none. Measure at three or more (`--measure A B C`).".to_owned(),
        );
    }
}

fn of_the_distance(out: &mut Vec<String>, plan: &Plan) {
    let Some(highest) = plan.measured.last().filter(|highest| plan.target.rate > **highest * FAR) else { return };
    let factor = plan.target.rate / highest;
    let so = if factor > VERY_FAR { "take it as an order of magnitude" } else { "measure nearer to it before buying" };
    let checked = plan.checks.iter().map(|check| check.rate).fold(0.0, f64::max);
    let check = if checked > 0.0 { format!(" The check reaches to {}/s, and says nothing of what lies beyond.", count(checked)) } else { String::new() };
    out.push(format!(
        "The target is {factor:.1} times the highest rate measured ({}/s): caches, indexes and locks that start to matter in between are not in it; {so}.{check}",
        count(*highest)
    ));
}

fn of_the_rounds(out: &mut Vec<String>, report: &Report, plan: &Plan) {
    let short: Vec<String> = report.rounds.iter().filter(|round| round.verdict.is_too_short()).map(|round| format!("{}/s", count(round.rate))).collect();
    if !short.is_empty() {
        out.push(format!(
            "The rounds at {} were too short to tell whether their rates are sustained, and hold no merge, checkpoint or compaction. Measure a minute or more.",
            short.join(", ")
        ));
    }
    if report.lost > 0 || report.doubled > 0 {
        out.push(format!("The run lost {} and doubled {} transactions: its costs are those of a run that failed.", report.lost, report.doubled));
    }
    if plan.checks.is_empty() {
        out.push("Not checked: no other rate was measured (`--check RATE`).".to_owned());
    }
}

fn of_the_disk(out: &mut Vec<String>, report: &Report, plan: &Plan) {
    let sent = disk::sent(report);
    let so_many = |wanted: u64| format!("{} transactions were sent; send {} (longer, or faster)", count(sent as f64), count(wanted as f64));
    if sent < disk::FEWEST {
        out.push(format!("Disk is not known: {} for a rough figure, {} for one to buy by.", so_many(disk::FEWEST), count(disk::ENOUGH as f64)));
    } else if sent < disk::ENOUGH {
        out.push(format!("Disk is a rough figure: {} for one to buy by.", so_many(disk::ENOUGH)));
    }
    if sent >= disk::FEWEST && !plan.needs.disk_not_known.is_empty() {
        out.push(format!("The disk of {} is not known and in no sum.", plan.needs.disk_not_known.join(", ")));
    }
    if let Some(alerts) = report.kept.iter().find(|kept| kept.role == "search" && kept.rows < FEW_ALERTS) {
        out.push(format!("Search kept {} alerts: too few to tell what one takes; it grows by the alerts that your data raises.", count(alerts.rows as f64)));
    }
}

fn of_what_does_not_spread(out: &mut Vec<String>, report: &Report, plan: &Plan) {
    for cost in plan.costs.iter().filter(|cost| machines::is_one_thread(cost) && cost.cores_at_target > plan.target.use_at_most) {
        out.push(format!(
            "{} would need {:.2} cores at the target and executes commands on one thread: one server does not carry it at {:.0} % use, whatever cores it has.",
            cost.process,
            cost.cores_at_target,
            plan.target.use_at_most * 100.0
        ));
    }
    let embedded: Vec<&str> = report.settings.stores.iter().filter(|store| store.address.is_empty()).map(|store| store.role.as_str()).collect();
    if plan.needs.instances > 1 && !embedded.is_empty() {
        out.push(format!("{} instances need servers: the embedded {} are files of one machine.", plan.needs.instances, embedded.join(", ")));
    }
}

/// Sentences.
pub(super) fn assumptions(report: &Report, plan: &Plan) -> Vec<String> {
    let target = &plan.target;
    let mut out = vec![format!("Cores like those measured on ({}), and the same settings, stores and kind of data.", report.machine.cpu_model)];
    if plan.costs.iter().any(|cost| cost.fit.way == Way::OneRate) {
        out.push(format!(
            "Measured at one rate (or rates within a factor of {LEAST_SPREAD}): what a process needs at no load counts as if it grew with the rate, too much for a higher target, too little for a lower."
        ));
    }
    if plan.needs.stages.is_empty() {
        out.push("The stages were not measured apart (`--by-stage`): an instance is taken to use all of its cores, though one stage of it may be full before.".to_owned());
    }
    match report.settings.entrance.as_str() {
        "http" => out.push("The load was posted to the pipeline's own HTTP intake: taking it there is part of the pipeline's cost. Fed by Kafka it costs less.".to_owned()),
        "kafka" => out.push("The load was produced into Kafka by the generator, whose cost is not in it: sources that post over HTTP cost the pipeline more.".to_owned()),
        _ => {}
    }
    out.push(format!(
        "Rows are kept {} days (`--keep`) and the log {} (`--keep-log`): what you must keep, your rules say; 30 days is a month to multiply from, and 7 what the topics are made with. Nothing of the settings is read for it.",
        target.keep_days, target.log_days
    ));
    out.push("The target is a peak: disk is for it held all day, and one copy of everything; multiply by the copies that a server keeps.".to_owned());
    out.push("Memory is resident memory as measured; what grows with the number of users, and the page cache that keeps indexes fast, come on top.".to_owned());
    out
}
