//! Reports made by hand, compared.

use hdrhistogram::Histogram;

use super::figures::says;
use super::*;
use crate::report::{Latency, Limit, ProcessUse, Round, Second, StageCost, StoreUsed, Verdict};

fn report(rate: u64, latency_us: u64, cpu_us: f64) -> Report {
    let mut histogram = Histogram::<u64>::new(3).unwrap();
    for i in 0..20_000 {
        histogram.record(latency_us + i % 100 * latency_us / 100).unwrap();
    }
    let series = (0..60_u32)
        .map(|t| {
            let sent = rate - 5 + u64::from(t % 11);
            let cpu_ours = cpu_us * sent as f64 / 1e6;
            Second {
                t_s: f64::from(t),
                sent,
                scored: sent,
                by_store: [("ledger".to_owned(), sent)].into(),
                lag: 10.0,
                p99_us: Some(latency_us),
                cpu_ours,
                cpu_servers: 0.0,
                rss_bytes: 1_000_000,
            }
        })
        .collect();
    let pipeline = ProcessUse { name: "pipeline".into(), ours: true, cpu_us_per_tx: cpu_us, cores: cpu_us * rate as f64 / 1e6, rss_bytes_max: 2_000_000, ..ProcessUse::default() };
    let round = Round {
        rate: rate as f64,
        seconds: 60.0,
        sent: rate * 60,
        latencies: vec![Latency::of("published→ledger", &histogram)],
        processes: vec![pipeline],
        series,
        ..Round::default()
    };
    let mut report = Report { version: VERSION, rounds: vec![round], ..Report::default() };
    report.settings.stores = vec![StoreUsed { role: "ledger".into(), scheme: "postgres".into(), server: "15.1".into(), ..StoreUsed::default() }];
    report.machine.cpus = 2;
    report
}

fn said<'c>(comparison: &'c Comparison, name: &str) -> &'c Figure {
    comparison.figures.iter().find(|figure| figure.name == name).unwrap_or_else(|| panic!("no figure {name} in {:?}", comparison.figures))
}

#[test]
fn a_report_differs_from_itself_in_nothing() {
    let a = report(1_000, 10_000, 50.0);
    let comparison = compare(&a, &a).unwrap();
    assert!(comparison.warnings.is_empty() && comparison.figures.len() >= 9, "{comparison:?}");
    for figure in &comparison.figures {
        assert_eq!((figure.ratio, figure.says), (1.0, Says::WithinNoise), "{figure:?}");
    }
}

#[test]
fn what_is_slower_and_cheaper_is_told_as_that() {
    let comparison = compare(&report(1_000, 10_000, 50.0), &report(1_000, 20_000, 40.0)).unwrap();
    let p99 = said(&comparison, "published→ledger p99");
    assert_eq!((p99.says, p99.basis, p99.rate), (Says::Worse, Basis::Samples, Some(1_000.0)));
    assert!(p99.interval.unwrap().holds(2.0) && p99.interval.unwrap().low > 1.9, "{p99:?}");
    let ours = said(&comparison, "all of ours");
    assert_eq!((ours.says, ours.basis), (Says::Better, Basis::Seconds));
    assert!((ours.ratio - 0.8).abs() < 1e-9, "{ours:?}");
    let pipeline = said(&comparison, "pipeline");
    assert_eq!((pipeline.says, pipeline.basis, pipeline.interval), (Says::Better, Basis::OneNumber, None));
    assert_eq!(said(&comparison, "scored").says, Says::WithinNoise);
}

#[test]
fn a_store_that_stopped_is_worse() {
    let (a, mut b) = (report(1_000, 10_000, 50.0), report(1_000, 10_000, 50.0));
    for second in &mut b.rounds[0].series {
        second.by_store.clear();
    }
    assert_eq!(said(&compare(&a, &b).unwrap(), "visible in ledger").says, Says::Worse);
    let comparison = compare(&b, &a).unwrap();
    assert!(comparison.figures.iter().all(|figure| figure.name != "visible in ledger"));
}

#[test]
fn the_warm_up_counts_in_no_figure() {
    let (a, mut b) = (report(1_000, 10_000, 50.0), report(1_000, 10_000, 50.0));
    b.rounds[0].series.insert(0, Second { t_s: -1.0, sent: 1_000_000, ..Second::default() });
    b.rounds[0].series.push(Second { t_s: 60.0, sent: 0, ..Second::default() });
    assert_eq!(said(&compare(&a, &b).unwrap(), "acknowledged by the log").ratio, 1.0);
}

#[test]
fn other_stores_versions_and_rates_are_refused() {
    let a = report(1_000, 10_000, 50.0);
    let mut b = a.clone();
    b.settings.stores[0].scheme = "sqlite".into();
    let refused = compare(&a, &b).unwrap_err();
    assert_eq!(refused, Incomparable::Stores { role: "ledger".into(), a: "postgres".into(), b: "sqlite".into() });
    assert!(refused.to_string().contains("ledger was on postgres, then on sqlite"), "{refused}");
    b.settings.stores.clear();
    assert!(matches!(compare(&b, &a), Err(Incomparable::Stores { b, .. }) if b == "postgres"));
    let b = Report { version: VERSION + 1, ..a.clone() };
    assert_eq!(compare(&a, &b), Err(Incomparable::Versions { a: VERSION, b: VERSION + 1 }));
    assert!(matches!(compare(&a, &report(2_000, 10_000, 50.0)), Err(Incomparable::Rates { .. })));
    let mut b = a.clone();
    b.rounds[0].verdict = Verdict::GeneratorLimited { behind_us: 5 };
    assert_eq!(compare(&a, &b), Err(Incomparable::Rates { a: "1000/s".into(), b: "none that counts".into() }));
}

#[test]
fn other_machines_and_failed_runs_are_warned_of() {
    let a = report(1_000, 10_000, 50.0);
    let mut b = a.clone();
    b.machine.cpus = 16;
    b.settings.stores[0].server = "16.0".into();
    b.settings.pipeline.insert("sinks.publish_ms".into(), "50".into());
    b.lost = 3;
    let warnings = compare(&a, &b).unwrap().warnings.join("\n");
    for part in ["Other machines", "Other versions of the ledger (15.1; 16.0)", "`sinks.publish_ms` (not told; 50)", "second report lost 3"] {
        assert!(warnings.contains(part), "{part} in {warnings}");
    }
}

#[test]
fn limits_are_compared_by_the_rates_that_they_lie_between() {
    let with = |rate: f64, failed: Option<f64>| {
        let mut report = report(1_000, 10_000, 50.0);
        report.limit = Some(Limit { rate, failed_rate: failed, ..Limit::default() });
        report
    };
    let near = compare(&with(10_000.0, Some(11_000.0)), &with(10_500.0, Some(11_500.0))).unwrap();
    assert_eq!((near.figures[0].group, near.figures[0].says, near.figures[0].basis), (Group::Limit, Says::WithinNoise, Basis::Bracket));
    let far = compare(&with(10_000.0, Some(11_000.0)), &with(12_000.0, Some(13_000.0))).unwrap();
    assert_eq!(far.figures[0].says, Says::Better);
    let open = compare(&with(10_000.0, None), &with(10_500.0, None)).unwrap();
    assert_eq!((open.figures[0].says, open.figures[0].basis), (Says::WithinNoise, Basis::OneNumber));
}

#[test]
fn a_sure_difference_that_matters_to_nobody_is_noise() {
    let narrow = Some(Interval { low: 1.001, high: 1.003 });
    assert_eq!(says(Group::Rate, 1.002, narrow, Basis::Seconds), Says::WithinNoise);
    assert_eq!(says(Group::Rate, 1.02, Some(Interval { low: 1.01, high: 1.03 }), Basis::Seconds), Says::Better);
    assert_eq!(says(Group::Latency, 2.0, None, Basis::TooFew), Says::CannotTell);
    assert_eq!(says(Group::Cpu, 1.05, None, Basis::OneNumber), Says::WithinNoise);
    assert_eq!(says(Group::Cpu, 1.2, None, Basis::OneNumber), Says::Worse);
}

#[test]
fn rounds_of_another_load_are_no_pair_and_what_only_one_measured_is_told() {
    let (a, mut b) = (report(1_000, 10_000, 50.0), report(1_000, 10_000, 50.0));
    b.rounds[0].load.intended_rate = 600.0;
    assert!(compare(&a, &b).is_ok(), "the first does not tell");
    let mut told = a.clone();
    told.rounds[0].load.intended_rate = 1_000.0;
    let refused = compare(&told, &b).unwrap_err();
    assert_eq!(refused, Incomparable::Rates { a: "1000/s".into(), b: "1000/s, of which 600/s in the mean".into() });
    let stage = |cpu_us_per_tx: f64| vec![StageCost { stage: "pipeline".into(), cpu_us_per_tx, bytes_per_tx: 1.0 }];
    let (mut one, mut several) = (a.clone(), a.clone());
    one.stages = stage(50.0);
    several.stages = stage(20.0);
    several.rounds.push(report(5_000, 10_000, 20.0).rounds.remove(0));
    let comparison = compare(&one, &several).unwrap();
    assert!(comparison.figures.iter().all(|figure| figure.name != "pipeline, unit cost"), "{comparison:?}");
    let warnings = comparison.warnings.join("\n");
    assert!(warnings.contains("first: none; second: 5000/s") && warnings.contains("Unit costs are of 1000/s in the first report and of 5000/s"), "{warnings}");
}

#[test]
fn of_search_nothing_is_called_visible() {
    let mut a = report(1_000, 10_000, 50.0);
    for second in &mut a.rounds[0].series {
        second.by_store.insert("search".to_owned(), 7);
    }
    assert!(compare(&a, &a).unwrap().figures.iter().all(|figure| figure.name != "visible in search"));
}

#[test]
fn of_a_folder_its_report_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let report = report(1_000, 10_000, 50.0);
    std::fs::write(folder.path().join("report.json"), serde_json::to_vec(&report).unwrap()).unwrap();
    assert_eq!(read(folder.path()).unwrap().rounds[0].rate, 1_000.0);
}

#[test]
fn a_file_that_is_no_report_is_named() {
    let missing = read(Path::new("no/such/report.json")).unwrap_err();
    assert!(missing.to_string().starts_with("no/such/report.json cannot be read"), "{missing}");
}
