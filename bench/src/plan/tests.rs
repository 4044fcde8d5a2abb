//! Plans from rounds made by hand.

use super::*;
use crate::report::{Kept, Limit, StoreUsed, Verdict};

/// A round whose pipeline costs 0.1 cores and 40 µs, and whose server costs 0.2 cores and 60 µs.
fn round(rate: u64) -> Round {
    let x = rate as f64;
    let process = |name: &str, ours: bool, fixed: f64, us: f64| ProcessUse {
        name: name.to_owned(),
        ours,
        cores: fixed + us * x / 1e6,
        rss_bytes_max: if ours { 300_000_000 } else { 700_000_000 },
        written_bytes: rate * 60 * 100,
        ..ProcessUse::default()
    };
    let generator = ProcessUse { name: "generator".into(), ours: true, cores: 9.0, ..ProcessUse::default() };
    Round { rate: x, seconds: 60.0, sent: rate * 60, processes: vec![process("pipeline", true, 0.1, 40.0), generator, process("postgres", false, 0.2, 60.0)], ..Round::default() }
}

fn store(role: &str, scheme: &str, address: &str) -> StoreUsed {
    StoreUsed { role: role.into(), scheme: scheme.into(), address: address.into(), ..StoreUsed::default() }
}

fn report(rates: &[u64]) -> Report {
    let mut report =
        Report { rounds: rates.iter().map(|rate| round(*rate)).collect(), bytes_per_tx: [("ledger".to_owned(), 500.0), ("log".to_owned(), 1_000.0)].into(), ..Report::default() };
    report.machine.cpus = 2;
    report.settings.partitions = 3;
    report.settings.stores = vec![store("log", "kafka", "elsewhere:9092"), store("ledger", "postgres", "here:5432")];
    report
}

/// A process of a round of 60 s.
fn process(rate: u32, name: &str, ours: bool, cores: f64) -> ProcessUse {
    ProcessUse { name: name.into(), ours, cores, rss_bytes_max: 100_000_000, written_bytes: u64::from(rate) * 60 * 700, ..ProcessUse::default() }
}

/// A process, whether it is ours, and its cores.
type Used<'a> = (&'a str, bool, f64);

/// A report of rounds with these cores for each process.
fn rounds(of: &[(u32, &[Used<'_>])]) -> Report {
    let round = |(rate, used): &(u32, &[(&str, bool, f64)])| Round {
        rate: f64::from(*rate),
        seconds: 60.0,
        sent: u64::from(*rate) * 60,
        processes: used.iter().map(|(name, ours, cores)| process(*rate, name, *ours, *cores)).collect(),
        ..Round::default()
    };
    Report { rounds: of.iter().map(round).collect(), ..Report::default() }
}

fn said(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| format!("{}: {} = {}", step.of, step.calculation, step.result)).collect()
}

fn near(value: f64, wanted: f64) {
    assert!((value - wanted).abs() <= 1e-6 * wanted.abs().max(1.0), "{value} is not {wanted}");
}

#[test]
fn a_target_is_computed_from_the_unit_costs() {
    let plan = plan(&report(&[2_000, 4_000]), &Target::new(10_000.0)).unwrap();
    // 0.1 + 0.4 cores of ours, 0.2 + 0.6 of the server, each by 0.7.
    near(plan.needs.cores_ours, 0.5 / 0.7);
    near(plan.needs.cores_servers, 0.8 / 0.7);
    // 2 of the pipeline, 1.14 of the server; of Kafka nothing is known.
    assert_eq!((plan.needs.cores, plan.needs.instances, plan.needs.partitions), (4, 1, 3));
    let lines: Vec<_> = plan.machines.iter().map(|machine| (machine.of.as_str(), machine.count, machine.cores)).collect();
    assert_eq!(lines, [("pipeline", 1, Some(2)), ("postgres", 1, Some(2)), ("kafka", 1, None)]);
    near(plan.machines[1].disk_bytes.unwrap(), 500.0 * 30.0 * 10_000.0 * 86_400.0);
    near(plan.needs.memory_ours_bytes, 300e6 / 0.7);
    near(plan.needs.memory_servers_bytes, 700e6 / 0.7);
    near(plan.needs.disk_bytes_per_day.unwrap(), 1_500.0 * 10_000.0 * 86_400.0);
    near(plan.needs.disk_bytes_kept.unwrap(), (500.0 * 30.0 + 1_000.0 * 7.0) * 10_000.0 * 86_400.0);
    let said = said(&plan);
    for step in [
        "CPU of pipeline: 0.100 cores at no load + 40.0 µs (no interval) × 10,000/s = 0.50 cores",
        "cores of the servers: (0.200 + 60.0 µs × 10,000/s) ÷ 0.70 = 1.14",
        "written to disks: 200 B × 10,000/s, logs and rewriting included = 2.0 MB/s",
    ] {
        assert!(said.iter().any(|line| line == step), "{step} in {said:#?}");
    }
    assert!(said.iter().any(|line| line.ends_with("= 11,000/s with head room")), "(1.4 - 0.3) / 100 µs: {said:#?}");
    assert!(plan.costs.iter().all(|cost| cost.process != "generator"));
}

#[test]
fn more_than_one_instance_pays_what_is_fixed_more_than_once() {
    let plan = plan(&report(&[2_000, 4_000]), &Target { cores_per_instance: 1.0, ..Target::new(50_000.0) }).unwrap();
    // 2 cores ÷ (0.7 − 0.1) = 3.3 → 4 instances.
    assert_eq!((plan.needs.instances, plan.needs.partitions), (4, 4));
    near(plan.needs.cores_ours, (4.0 * 0.1 + 2.0) / 0.7);
}

#[test]
fn stages_that_were_measured_apart_are_planned_apart() {
    let at = |rate: f64| [("scorer", true, 0.05 + rate * 10e-6), ("ledger", true, 0.02 + rate * 14e-6), ("postgres", false, 0.1)];
    let (low, high) = (at(2_000.0), at(4_000.0));
    let report = rounds(&[(2_000, &low), (4_000, &high)]);
    let plan = plan(&report, &Target { cores_per_instance: 2.0, ..Target::new(120_000.0) }).unwrap();
    // 1.2 ÷ (0.7 − 0.05) = 1.8 and 1.68 ÷ (0.7 − 0.02) = 2.5 processes of one core each.
    assert_eq!(plan.needs.stages, [("scorer".to_owned(), 2), ("ledger".to_owned(), 3)]);
    assert_eq!((plan.needs.instances, plan.needs.partitions), (3, 3));
    near(plan.needs.cores_ours, (2.0 * 0.05 + 3.0 * 0.02 + 2.88) / 0.7);
    near(plan.needs.memory_ours_bytes, 5.0 * 100e6 / 0.7);
    assert_eq!((plan.machines[0].count, plan.machines[0].note.as_str()), (3, "over all of them: 2 × scorer, 3 × ledger"));
    assert!(!plan.assumptions.iter().any(|line| line.contains("--by-stage")), "{:?}", plan.assumptions);
}

#[test]
fn stages_that_were_not_are_not_guessed_from_threads() {
    let mut report = report(&[2_000, 4_000]);
    report.stages = vec![crate::report::StageCost { stage: "pipeline, threads pipeline".into(), cpu_us_per_tx: 900.0, bytes_per_tx: 0.0 }];
    let plan = plan(&report, &Target::new(10_000.0)).unwrap();
    assert_eq!(plan.needs.instances, 1);
    assert!(plan.assumptions.iter().any(|line| line.contains("were not measured apart (`--by-stage`)")), "{:?}", plan.assumptions);
}

#[test]
fn every_store_has_its_line_or_is_not_known() {
    let at = |rate: f64| [("pipeline", true, 0.1 + rate * 40e-6), ("kafka", false, 0.1), ("redis", false, 0.05), ("influxdb", false, 0.2)];
    let (low, high) = (at(2_000.0), at(4_000.0));
    let mut report = rounds(&[(2_000, &low), (4_000, &high)]);
    report.settings.users = 10_000;
    report.settings.stores = vec![
        store("log", "kafka", "h:1"),
        store("ledger", "postgres", "elsewhere:2"),
        store("metrics", "influxdb", "h:3"),
        store("baselines", "redis", "h:4"),
        store("search", "elasticsearch", "h:5"),
    ];
    report.bytes_per_tx = [("search".to_owned(), 3.0)].into();
    report.kept = vec![Kept { role: "search".into(), rows: 40, ..Kept::default() }];
    let plan = plan(&report, &Target::new(10_000.0)).unwrap();
    let said = said(&plan).join("\n");
    for part in [
        "disk of log: 700 B × 10,000/s × 86,400 s, kept 7 days; what kafka wrote: a log only appends = 605 GB a day, 4.2 TB in 7 days",
        "disk of ledger: its size cannot be asked, and its process is not on this machine or may not be looked into = not known",
        "disk of metrics: 700 B × 10,000/s × 86,400 s, kept 30 days; at most: what influxdb wrote, rewriting included",
        "disk of baselines: it keeps users, of which there were 10,000, and no transactions: 2 × its memory = 200 MB",
        "disk of search: 3 B × 10,000/s × 86,400 s, kept 30 days; what it grew by (40 alerts of 360,000 transactions)",
        "without ledger, not known = at least",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert_eq!(plan.needs.disk_not_known, ["ledger"]);
    let doubts = plan.doubts.join("\n");
    assert!(doubts.contains("The disk of ledger is not known") && doubts.contains("Search kept 40 alerts"), "{doubts}");
    assert!(plan.machines.iter().any(|machine| machine.of == "redis" && machine.note.contains("on one thread")), "{:?}", plan.machines);
    assert!(plan.machines.iter().any(|machine| machine.of == "postgres" && machine.cores.is_none()), "{:?}", plan.machines);
}

#[test]
fn too_few_transactions_tell_no_disk() {
    let mut few = report(&[2_000, 4_000]);
    for round in &mut few.rounds {
        round.sent = 1_800;
    }
    let none = plan(&few, &Target::new(10_000.0)).unwrap();
    assert_eq!((none.needs.disk_bytes_kept, none.needs.disk_not_known.len()), (None, 2));
    assert!(none.doubts.iter().any(|line| line.contains("Disk is not known: 3,600 transactions were sent; send 10,000")), "{:?}", none.doubts);
    few.load.sent = 50_000;
    let rough = plan(&few, &Target::new(10_000.0)).unwrap();
    assert!(rough.needs.disk_bytes_kept.is_some() && rough.doubts.iter().any(|line| line.starts_with("Disk is a rough figure")), "{:?}", rough.doubts);
}

#[test]
fn noise_and_what_does_not_spread_are_said() {
    let at = |rate: f64, redis: f64| [("pipeline", true, 0.1 + rate * 40e-6), ("redis", false, redis)];
    let (a, b, c) = (at(300.0, 0.09), at(500.0, 0.06), at(800.0, 0.11));
    let report = rounds(&[(300, &a), (500, &b), (800, &c)]);
    let plan = plan(&report, &Target::new(10_000.0)).unwrap();
    let doubts = plan.doubts.join("\n");
    assert!(doubts.contains("The noise of the measurement is larger than the cost itself for redis ("), "{doubts}");
    assert!(doubts.contains("take it as an order of magnitude"), "{doubts}");
    // Without noise: 100 µs × 10,000/s is one core, all of one thread.
    let (a, b, c) = (at(300.0, 0.03), at(500.0, 0.05), at(800.0, 0.08));
    let plan = super::plan(&rounds(&[(300, &a), (500, &b), (800, &c)]), &Target::new(30_000.0)).unwrap();
    assert!(plan.doubts.iter().any(|line| line.contains("redis would need 3.00 cores at the target and executes commands on one thread")), "{:?}", plan.doubts);
    assert_eq!(plan.machines[1].cores, Some(2), "more do not help");
}

#[test]
fn each_server_is_checked_by_itself() {
    let at = |rate: f64, a: f64, b: f64| [("pipeline", true, rate * 40e-6), ("postgres", false, a), ("redis", false, b)];
    // What one is over, the other is under.
    let (low, high, held_back) = (at(1_000.0, 0.1, 0.1), at(2_000.0, 0.2, 0.2), at(1_500.0, 0.2, 0.1));
    let report = rounds(&[(1_000, &low), (2_000, &high), (1_500, &held_back)]);
    let plan = plan(&report, &Target { check: vec![1_500.0], ..Target::new(3_000.0) }).unwrap();
    let within: Vec<(&str, bool)> = plan.checks.iter().map(|check| (check.of.as_str(), check.within)).collect();
    assert_eq!(within, [("pipeline", true), ("servers", true), ("all", true), ("postgres", false), ("redis", false)]);
    assert!(plan.doubts.iter().any(|line| line.starts_with("The check failed")), "{:?}", plan.doubts);
}

#[test]
fn partitions_that_were_the_limit_are_multiplied() {
    let mut report = report(&[2_000, 4_000]);
    report.limit = Some(Limit { rate: 6_000.0, saturated: "partitions".into(), ..Limit::default() });
    let plan = plan(&report, &Target::new(10_000.0)).unwrap();
    assert_eq!(plan.needs.partitions, 8, "10,000 ÷ (0.7 × 2,000) = 7.1");
}

#[test]
fn a_plan_is_checked_at_a_rate_that_it_is_not_computed_from() {
    let target = Target { check: vec![8_000.0], ..Target::new(10_000.0) };
    let mut report = report(&[2_000, 4_000, 8_000]);
    let plan_of = |report: &Report| plan(report, &target).unwrap();
    let good = plan_of(&report);
    assert_eq!(good.measured, [2_000.0, 4_000.0]);
    assert_eq!(good.checks.iter().map(|check| check.of.as_str()).collect::<Vec<_>>(), ["pipeline", "servers", "all"]);
    for check in &good.checks {
        assert!(check.within && check.error.abs() < 1e-9, "{check:?}");
    }
    report.rounds[2].processes[2].cores *= 1.5;
    let bad = plan_of(&report);
    assert_eq!(bad.needs, good.needs, "what it is checked at changes no plan");
    assert!(bad.checks.iter().any(|check| check.of == "servers" && !check.within), "{bad:?}");
    assert!(bad.doubts.iter().any(|line| line.starts_with("The check failed: at 8,000/s the plan is -33.3 % off")), "{bad:?}");
}

#[test]
fn with_three_rates_each_is_checked_by_the_others() {
    let plan = plan(&report(&[2_000, 4_000, 8_000]), &Target::new(10_000.0)).unwrap();
    assert_eq!(plan.checks.len(), 9);
    assert!(plan.checks.iter().all(|check| check.within), "{:?}", plan.checks);
}

#[test]
fn rounds_that_did_not_hold_count_for_nothing() {
    let mut report = report(&[2_000, 4_000, 8_000]);
    report.rounds[2].verdict = Verdict::LagGrew { by_per_s: 500.0 };
    assert_eq!(plan(&report, &Target::new(10_000.0)).unwrap().measured, [2_000.0, 4_000.0]);
    for round in &mut report.rounds {
        round.verdict = Verdict::Failed { why: "stopped".into() };
    }
    assert_eq!(plan(&report, &Target::new(10_000.0)), Err(NotPlanned::NothingHeld("none".into())));
}

#[test]
fn what_is_taken_for_granted_is_said() {
    let plan = plan(&report(&[2_000]), &Target::new(10_000.0)).unwrap();
    let said = [plan.assumptions, plan.doubts].concat().join("\n");
    for part in ["Measured at one rate", "5.0 times the highest rate measured (2,000/s)", "Not checked", "No interval can be told", "`--keep`"] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[test]
fn nonsense_is_refused() {
    let report = report(&[2_000]);
    assert!(matches!(plan(&report, &Target::new(f64::NAN)), Err(NotPlanned::Rate(_))));
    assert_eq!(plan(&report, &Target { use_at_most: 0.0, ..Target::new(1.0) }), Err(NotPlanned::Use(0.0)));
    assert!(matches!(plan(&report, &Target { cores_per_instance: 0.0, ..Target::new(1.0) }), Err(NotPlanned::Sizes(_))));
    assert!(matches!(plan(&self::report(&[2_000, 4_000]), &Target { cores_per_instance: 0.01, ..Target::new(1.0) }), Err(NotPlanned::InstanceTooSmall { .. })));
    let idle = Report { rounds: vec![Round { rate: 1.0, ..Round::default() }], ..Report::default() };
    assert_eq!(plan(&idle, &Target::new(1.0)), Err(NotPlanned::NoCosts));
}
