//! From unit costs to what is needed, each number with its calculation.
//!
//! What must stay true: head room is taken once for each resource; what is fixed and what grows with the rate are used together or not at
//! all; no more instances than partitions, since a partition has one owner; a stage that was measured by itself is never planned to use
//! more than one core in one process, and what was not measured apart is not guessed from threads.

use super::fit::Way;
use super::{Cost, Disk, Needs, NotPlanned, Step, Target, disk};
use crate::report::Report;
use crate::text::number::{bytes, count};

/// What is computed from whom.
struct Sums {
    fixed_ours: f64,
    us_ours: f64,
    fixed_servers: f64,
    us_servers: f64,
}

pub(super) fn compute(report: &Report, target: &Target, costs: &[Cost]) -> Result<(Needs, Vec<Disk>, Vec<Step>), NotPlanned> {
    let mut steps = Steps(Vec::new());
    let mut needs = Needs::default();
    let sum = |ours: bool, of: &dyn Fn(&Cost) -> f64| -> f64 { costs.iter().filter(|cost| cost.ours == ours).map(of).sum() };
    let sums = Sums {
        fixed_ours: sum(true, &|cost: &Cost| cost.fit.fixed_us_per_s / 1e6),
        us_ours: sum(true, &|cost: &Cost| cost.fit.us_per_tx),
        fixed_servers: sum(false, &|cost: &Cost| cost.fit.fixed_us_per_s / 1e6),
        us_servers: sum(false, &|cost: &Cost| cost.fit.us_per_tx),
    };
    unit_costs(&mut steps, target, costs);
    let stages: Vec<&Cost> = costs.iter().filter(|cost| cost.ours).collect();
    if stages.len() > 1 {
        by_stage(&mut steps, &mut needs, target, &stages)?;
    } else {
        as_one(&mut steps, &mut needs, target, &sums)?;
    }
    partitions(&mut steps, &mut needs, report, target);
    cores(&mut steps, &mut needs, report, target, &sums, &stages);
    memory(&mut steps, &mut needs, target, costs);
    let disks = disk::disk(&mut steps, &mut needs, report, target, costs);
    Ok((needs, disks, steps.0))
}

/// The calculation so far.
pub(super) struct Steps(Vec<Step>);

impl Steps {
    pub(super) fn say(&mut self, of: &str, calculation: String, result: String) {
        self.0.push(Step { of: of.to_owned(), calculation, result });
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded up and clamped before")]
pub(super) fn whole(value: f64) -> u32 {
    // A hair above a whole number is that number: 1.4 / 0.7 is not quite 2.
    (value - 1e-9).ceil().clamp(0.0, f64::from(u32::MAX)) as u32
}

fn unit_costs(steps: &mut Steps, target: &Target, costs: &[Cost]) {
    for cost in costs {
        let (fit, rate) = (&cost.fit, count(target.rate));
        let spread = fit.us_per_tx_error().map_or_else(|| "no interval".to_owned(), |error| format!("±{error:.1}"));
        let calculation = match fit.way {
            Way::FixedAndPerTransaction => format!("{:.3} cores at no load + {:.1} µs ({spread}) × {rate}/s", fit.fixed_us_per_s / 1e6, fit.us_per_tx),
            Way::OneRate | Way::ThroughZero => format!("{:.1} µs ({spread}) × {rate}/s", fit.us_per_tx),
        };
        let interval = cost.cores_error.map_or_else(String::new, |error| format!(", 95 %: {:.2} to {:.2}", (cost.cores_at_target - error).max(0.0), cost.cores_at_target + error));
        steps.say(&format!("CPU of {}", cost.process), calculation, format!("{:.2} cores{interval}", cost.cores_at_target));
    }
}

/// Processes of each stage, where each was measured as one.
fn by_stage(steps: &mut Steps, needs: &mut Needs, target: &Target, stages: &[&Cost]) -> Result<(), NotPlanned> {
    let (rate, used) = (target.rate, target.use_at_most);
    for cost in stages {
        let fixed = cost.fit.fixed_us_per_s / 1e6;
        let room = used - fixed;
        if room <= 0.0 {
            return Err(NotPlanned::InstanceTooSmall { cores: 1.0, fixed });
        }
        let processes = whole(cost.fit.us_per_tx * rate / 1e6 / room).max(1);
        let calculation = format!("{:.1} µs × {}/s ÷ ({used:.2} of a core − {fixed:.3} at no load): one task goes no faster by more cores", cost.fit.us_per_tx, count(rate));
        steps.say(&format!("processes of {}", cost.process), calculation, processes.to_string());
        needs.stages.push((cost.process.clone(), processes));
        needs.instances = needs.instances.max(processes);
    }
    steps.say("instances", "of the stage that needs most".to_owned(), needs.instances.to_string());
    Ok(())
}

/// Instances, where all stages were one process.
fn as_one(steps: &mut Steps, needs: &mut Needs, target: &Target, sums: &Sums) -> Result<(), NotPlanned> {
    let (rate, used, cores) = (target.rate, target.use_at_most, target.cores_per_instance);
    let room = used * cores - sums.fixed_ours;
    if room <= 0.0 {
        return Err(NotPlanned::InstanceTooSmall { cores, fixed: sums.fixed_ours });
    }
    needs.instances = whole(sums.us_ours * rate / 1e6 / room).max(1);
    let calculation = format!("{:.1} µs × {}/s ÷ ({used:.2} × {cores} cores − {:.3} cores at no load)", sums.us_ours, count(rate), sums.fixed_ours);
    steps.say("instances", calculation, needs.instances.to_string());
    Ok(())
}

fn partitions(steps: &mut Steps, needs: &mut Needs, report: &Report, target: &Target) {
    let (rate, used) = (target.rate, target.use_at_most);
    let mut partitions = needs.instances.max(report.settings.partitions);
    let mut calculation = format!("one owner each, so no fewer than instances ({}), nor than were measured with ({})", needs.instances, report.settings.partitions);
    if let Some(limit) = report.limit.as_ref().filter(|limit| limit.saturated.contains("partition") && limit.rate > 0.0 && report.settings.partitions > 0) {
        let each = limit.rate / f64::from(report.settings.partitions);
        let by_limit = whole(rate / (used * each));
        calculation = format!("{calculation}; partitions were the limit here, at {}/s each: {}/s ÷ ({used:.2} × {0}/s) = {by_limit}", count(each), count(rate));
        partitions = partitions.max(by_limit);
    }
    // Shares of one size: else the instance with one partition more is full while the others are not.
    needs.partitions = partitions.div_ceil(needs.instances.max(1)).saturating_mul(needs.instances.max(1));
    steps.say("partitions", format!("{calculation}; a multiple of the instances"), needs.partitions.to_string());
}

/// How many processes of a cost there will be.
pub(super) fn processes(needs: &Needs, cost: &Cost) -> u32 {
    let staged = needs.stages.iter().find(|(stage, _)| *stage == cost.process).map(|(_, processes)| *processes);
    if cost.ours { staged.unwrap_or(needs.instances).max(1) } else { 1 }
}

fn cores(steps: &mut Steps, needs: &mut Needs, report: &Report, target: &Target, sums: &Sums, stages: &[&Cost]) {
    let (rate, used) = (target.rate, target.use_at_most);
    let fixed: f64 = stages.iter().map(|cost| f64::from(processes(needs, cost)) * cost.fit.fixed_us_per_s / 1e6).sum();
    let ours = fixed + sums.us_ours * rate / 1e6;
    needs.cores_ours = ours / used;
    steps.say(
        "cores of the pipeline",
        format!("({fixed:.3} at no load of all its processes + {:.1} µs × {}/s) ÷ {used:.2}", sums.us_ours, count(rate)),
        format!("{:.2}", needs.cores_ours),
    );
    let servers = sums.fixed_servers + sums.us_servers * rate / 1e6;
    needs.cores_servers = servers / used;
    if servers > 0.0 {
        let calculation = format!("({:.3} + {:.1} µs × {}/s) ÷ {used:.2}", sums.fixed_servers, sums.us_servers, count(rate));
        steps.say("cores of the servers", calculation, format!("{:.2}", needs.cores_servers));
    }
    let (fixed, us, here) = (sums.fixed_ours + sums.fixed_servers, sums.us_ours + sums.us_servers, f64::from(report.machine.cpus));
    if us > 0.0 && here > 0.0 {
        let carries = ((used * here - fixed) * 1e6 / us).max(0.0);
        let full = (ours + servers) / here * 100.0;
        steps.say(
            "the machine measured on, with everything on it",
            format!("({used:.2} × {here} cores − {fixed:.3}) ÷ {us:.1} µs; at {}/s it would be {full:.0} % busy", count(rate)),
            format!("{}/s with head room", count(carries)),
        );
    }
}

fn memory(steps: &mut Steps, needs: &mut Needs, target: &Target, costs: &[Cost]) {
    let used = target.use_at_most;
    let ours: Vec<(u32, &Cost)> = costs.iter().filter(|cost| cost.ours).map(|cost| (processes(needs, cost), cost)).collect();
    needs.memory_ours_bytes = ours.iter().map(|(processes, cost)| f64::from(*processes) * cost.rss_bytes).sum::<f64>() / used;
    let told: Vec<String> = ours.iter().map(|(processes, cost)| format!("{processes} × {} ({})", bytes(cost.rss_bytes), cost.process)).collect();
    steps.say("memory of the pipeline", format!("({}) ÷ {used:.2}", told.join(" + ")), bytes(needs.memory_ours_bytes));
    let servers: Vec<&Cost> = costs.iter().filter(|cost| !cost.ours).collect();
    needs.memory_servers_bytes = servers.iter().map(|cost| cost.rss_bytes).sum::<f64>() / used;
    if !servers.is_empty() {
        let told: Vec<String> = servers.iter().map(|cost| format!("{} ({})", bytes(cost.rss_bytes), cost.process)).collect();
        steps.say("memory of the servers", format!("({}) ÷ {used:.2}", told.join(" + ")), bytes(needs.memory_servers_bytes));
    }
}
