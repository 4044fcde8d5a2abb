//! What to buy, machine by machine (or as shares of machines that run more than one of them).
//!
//! What must stay true: the cores in all are those of these lines; a server that was not seen has a line that says so; more cores are never
//! advised to a server that does its work on one thread.

use super::needs::whole;
use super::{Cost, Disk, Machines, Needs, Target, disk};
use crate::report::Report;

/// Servers that execute commands on one thread, whatever cores they have.
const ONE_THREAD: [&str; 1] = ["redis"];
/// Cores of such a server: the one for commands, and one for snapshots, rewriting and the kernel.
const CORES_OF_ONE_THREAD: u32 = 2;
/// Part of its CPU from which on a process is said to do its work on one thread.
const ON_ONE: f64 = 0.9;

/// Whether the server executes commands on one thread.
pub(super) fn is_one_thread(cost: &Cost) -> bool {
    !cost.ours && disk::parts(&cost.process).all(|part| ONE_THREAD.contains(&part))
}

/// Cores of all machines.
pub(super) fn cores(machines: &[Machines]) -> u32 {
    machines.iter().map(|machine| machine.count.saturating_mul(machine.cores.unwrap_or(0))).fold(0, u32::saturating_add)
}

pub(super) fn machines(report: &Report, target: &Target, costs: &[Cost], needs: &Needs, disks: &[Disk]) -> Vec<Machines> {
    let mut found: Vec<Machines> = costs.iter().any(|cost| cost.ours).then(|| pipeline(report, target, needs, disks)).into_iter().collect();
    found.extend(costs.iter().filter(|cost| !cost.ours).map(|cost| server(report, target, cost, costs, disks)));
    for store in report.settings.stores.iter().filter(|store| !store.address.is_empty()) {
        if disk::serves(report, &store.role, costs).is_none() && !found.iter().any(|machine| machine.of == store.scheme) {
            let note = "not known: it is not on this machine, or may not be looked into; measure it there".to_owned();
            found.push(Machines { of: store.scheme.clone(), count: 1, cores: None, memory_bytes: None, disk_bytes: kept(disks, &[store.role.as_str()]), note });
        }
    }
    found
}

/// What the roles keep; `None` where one is not known, or nothing is kept.
fn kept(disks: &[Disk], roles: &[&str]) -> Option<f64> {
    let of: Vec<&Disk> = disks.iter().filter(|disk| roles.contains(&disk.role.as_str())).collect();
    let sum: Option<f64> = of.iter().map(|disk| disk.kept).sum();
    sum.filter(|_| !of.is_empty())
}

fn pipeline(report: &Report, target: &Target, needs: &Needs, disks: &[Disk]) -> Machines {
    let count = if needs.stages.is_empty() { needs.instances.max(1) } else { whole(needs.cores_ours / target.cores_per_instance).max(1) };
    let embedded: Vec<&str> = report.settings.stores.iter().filter(|store| store.address.is_empty()).map(|store| store.role.as_str()).collect();
    let stages: Vec<String> = needs.stages.iter().map(|(stage, processes)| format!("{processes} × {stage}")).collect();
    let mut note = if stages.is_empty() { String::new() } else { format!("over all of them: {}", stages.join(", ")) };
    if !embedded.is_empty() {
        note = [note, format!("with the embedded {}", embedded.join(", "))].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
    }
    Machines {
        of: "pipeline".to_owned(),
        count,
        cores: Some(whole(target.cores_per_instance).max(1)),
        memory_bytes: Some(needs.memory_ours_bytes / f64::from(count)),
        disk_bytes: kept(disks, &embedded),
        note,
    }
}

fn server(report: &Report, target: &Target, cost: &Cost, costs: &[Cost], disks: &[Disk]) -> Machines {
    let cores = whole(cost.cores_at_target / target.use_at_most).max(1);
    let roles: Vec<&str> = report
        .settings
        .stores
        .iter()
        .map(|store| store.role.as_str())
        .filter(|role| disk::serves(report, role, costs).is_some_and(|serving| serving.process == cost.process))
        .collect();
    let mut notes = Vec::new();
    if let Some(error) = cost.cores_error {
        let [low, high] = [(cost.cores_at_target - error).max(0.0), cost.cores_at_target + error].map(|cores| cores / target.use_at_most);
        notes.push(format!("95 %: {low:.2} to {high:.2} cores"));
    }
    if is_one_thread(cost) {
        notes.push("executes commands on one thread: more cores do not help, faster ones do".to_owned());
    } else if cost.busiest_thread_part >= ON_ONE {
        notes.push(format!("{:.0} % of its work here was done by one thread: more cores may not help", cost.busiest_thread_part * 100.0));
    }
    Machines {
        of: cost.process.clone(),
        count: 1,
        cores: Some(if is_one_thread(cost) { cores.min(CORES_OF_ONE_THREAD) } else { cores }),
        memory_bytes: Some(cost.rss_bytes / target.use_at_most),
        disk_bytes: kept(disks, &roles),
        note: notes.join("; "),
    }
}
