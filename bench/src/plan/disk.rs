//! What the stores grow by: each that keeps bytes has its line, or one that says that it is not known.
//!
//! What must stay true: what an empty store takes is no transaction's; a figure of too few transactions is none; a sum says what is not in it.

use super::needs::Steps;
use super::{Cost, Disk, Needs, Target};
use crate::report::Report;
use crate::text::number::{bytes, count};

const DAY_S: f64 = 86_400.0;
/// Transactions below which a store's size says nothing: it grows by pages, segments and extents that hold thousands of them.
pub(super) const FEWEST: u64 = 10_000;
/// Transactions from which on it is more than a rough figure.
pub(super) const ENOUGH: u64 = 100_000;
/// Bytes on disk by bytes in memory of what is kept in memory: the file, and the one that replaces it while it is rewritten.
const REWRITTEN: f64 = 2.0;

/// Transactions that the sizes are of.
pub(super) fn sent(report: &Report) -> u64 {
    report.load.sent.max(report.rounds.iter().map(|round| round.sent).sum())
}

/// The process that serves a role, where it is one of this machine and was seen.
pub(super) fn serves<'c>(report: &Report, role: &str, costs: &'c [Cost]) -> Option<&'c Cost> {
    let scheme = &report.settings.stores.iter().find(|store| store.role == role).filter(|store| !store.address.is_empty())?.scheme;
    costs.iter().filter(|cost| !cost.ours).find(|cost| parts(&cost.process).any(|part| part == scheme))
}

/// The kinds of server in the name of a process: `kafka+postgres`, `kafka 2`.
pub(super) fn parts(process: &str) -> impl Iterator<Item = &str> {
    process.split('+').map(|part| part.split(' ').next().unwrap_or(part))
}

/// Roles in the order of a report, those of sizes that it names no store of behind them.
fn roles(report: &Report) -> Vec<&str> {
    let mut roles: Vec<&str> = report.settings.stores.iter().map(|store| store.role.as_str()).collect();
    for role in report.bytes_per_tx.keys() {
        if !roles.contains(&role.as_str()) {
            roles.push(role);
        }
    }
    roles
}

/// Bytes of a transaction in a store, and where that is from; or why they are not known.
fn of_one(report: &Report, role: &str, costs: &[Cost]) -> Result<(f64, String), String> {
    let sent = sent(report);
    if sent < FEWEST {
        return Err(format!("{} transactions are too few: its pages and segments hold thousands; measure at least {}", count(sent as f64), count(FEWEST as f64)));
    }
    if let Some(bytes) = report.bytes_per_tx.get(role) {
        let alerts = report.kept.iter().find(|kept| kept.role == role && role == "search");
        let share = alerts.map_or_else(String::new, |kept| format!(" ({} alerts of {} transactions)", count(kept.rows as f64), count(sent as f64)));
        return Ok((*bytes, format!("what it grew by{share}")));
    }
    let Some(cost) = serves(report, role, costs) else {
        return Err("its size cannot be asked, and its process is not on this machine or may not be looked into".to_owned());
    };
    match (cost.written_bytes_per_tx > 0.0, parts(&cost.process).count()) {
        (true, 1) if role == "log" => Ok((cost.written_bytes_per_tx, format!("what {} wrote: a log only appends", cost.process))),
        (true, 1) => Ok((cost.written_bytes_per_tx, format!("at most: what {} wrote, rewriting included", cost.process))),
        _ => Err(format!("its size cannot be asked, and what {} wrote is not its alone or could not be read", cost.process)),
    }
}

pub(super) fn disk(steps: &mut Steps, needs: &mut Needs, report: &Report, target: &Target, costs: &[Cost]) -> Vec<Disk> {
    let (rate, told) = (target.rate, count(target.rate));
    let mut found = Vec::new();
    for role in roles(report) {
        let name = format!("disk of {role}");
        if role == "baselines" {
            let kept = report.kept.iter().find(|kept| kept.role == role).map(|kept| kept.bytes as f64);
            let kept = kept.or_else(|| serves(report, role, costs).map(|cost| cost.rss_bytes * REWRITTEN));
            let from = if report.kept.iter().any(|kept| kept.role == role) { "its size".to_owned() } else { format!("{REWRITTEN:.0} × its memory") };
            let users = count(f64::from(report.settings.users));
            steps.say(&name, format!("it keeps users, of which there were {users}, and no transactions: {from}"), kept.map_or_else(|| "not known".to_owned(), bytes));
            found.push(Disk { role: role.to_owned(), a_day: kept.map(|_| 0.0), kept });
            continue;
        }
        let days = if role == "log" { target.log_days } else { target.keep_days };
        match of_one(report, role, costs) {
            Ok((of_one, from)) => {
                let a_day = of_one * rate * DAY_S;
                let result = format!("{} a day, {} in {days} days", bytes(a_day), bytes(a_day * days));
                steps.say(&name, format!("{of_one:.0} B × {told}/s × 86,400 s, kept {days} days; {from}"), result);
                found.push(Disk { role: role.to_owned(), a_day: Some(a_day), kept: Some(a_day * days) });
            }
            Err(why) => {
                steps.say(&name, why, "not known".to_owned());
                found.push(Disk { role: role.to_owned(), a_day: None, kept: None });
            }
        }
    }
    sum(steps, needs, &found);
    let written: f64 = costs.iter().map(|cost| cost.written_bytes_per_tx).sum();
    if written > 0.0 {
        steps.say("written to disks", format!("{written:.0} B × {told}/s, logs and rewriting included"), format!("{}/s", bytes(written * rate)));
    }
    found
}

fn sum(steps: &mut Steps, needs: &mut Needs, disks: &[Disk]) {
    needs.disk_not_known = disks.iter().filter(|disk| disk.kept.is_none()).map(|disk| disk.role.clone()).collect();
    // A store of users alone is no disk of transactions.
    if !disks.iter().any(|disk| disk.a_day.is_some_and(|a_day| a_day > 0.0)) {
        return;
    }
    let (a_day, kept): (f64, f64) = (disks.iter().filter_map(|disk| disk.a_day).sum(), disks.iter().filter_map(|disk| disk.kept).sum());
    (needs.disk_bytes_per_day, needs.disk_bytes_kept) = (Some(a_day), Some(kept));
    let named: Vec<&str> = disks.iter().filter(|disk| disk.kept.is_some()).map(|disk| disk.role.as_str()).collect();
    let without = if needs.disk_not_known.is_empty() { String::new() } else { format!("; without {}, not known", needs.disk_not_known.join(", ")) };
    let least = if needs.disk_not_known.is_empty() { "" } else { "at least " };
    steps.say("disk in all", format!("{}{without}", named.join(" + ")), format!("{least}{} a day, {} kept", bytes(a_day), bytes(kept)));
}
