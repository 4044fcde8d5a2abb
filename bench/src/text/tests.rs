//! What is printed of reports made by hand.

use super::*;
use crate::compare::compare;
use crate::plan::Target;
use crate::report::{Latency, Limit, ProcessUse, RawRate, StageCost, StoreUsed, VERSION};

fn made() -> Report {
    let latency = Latency { name: "published→ledger".into(), count: 1_000, p50_us: 90_000, p99_us: 253_000, ..Latency::default() };
    let pipeline = ProcessUse { name: "pipeline".into(), ours: true, cpu_us_per_tx: 48.5, cores: 0.485, rss_bytes_max: 324_000_000, ..ProcessUse::default() };
    let round = Round { rate: 10_000.0, seconds: 60.0, sent: 600_000, scored: 600_000, latencies: vec![latency], processes: vec![pipeline], ..Round::default() };
    let mut report = Report { version: VERSION, rounds: vec![round], ..Report::default() };
    (report.machine.cpus, report.machine.kernel) = (2, "Linux 6.1".into());
    report.settings.stores = vec![StoreUsed { role: "ledger".into(), scheme: "postgres".into(), server: "15.1".into(), ..StoreUsed::default() }];
    report.stages = vec![StageCost { stage: "scorer".into(), cpu_us_per_tx: 9.0, bytes_per_tx: 512.0 }];
    report.raw = vec![RawRate { store: "postgres".into(), way: "COPY".into(), rows_per_s: 160_000.0, ratio: Some(0.81), ..RawRate::default() }];
    report
}

#[test]
fn a_report_tells_its_figures() {
    let text = report(&made());
    for part in ["10,000/s for 60 s: 600,000 sent", "253 ms", "48.5", "324 MB", "scorer", "0.81", "sustained"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(text.lines().all(|line| line == line.trim_end()), "{text}");
}

#[test]
fn what_went_wrong_comes_first() {
    let mut made = made();
    made.lost = 3;
    made.load.limited_by_generator = true;
    made.faults = vec!["the search store\u{1b}[2J could not be read".into()];
    let text = report(&made);
    assert!(text.starts_with("LOST 3 transactions, DOUBLED 0."), "{text}");
    assert!(text.contains("no figure below is the pipeline's limit") && text.contains("! the search store\u{FFFD}[2J"), "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn where_the_generator_was_late_nothing_is_told_of_the_pipeline() {
    let mut made = made();
    made.rounds.push(Round { rate: 40_000.0, verdict: Verdict::GeneratorLimited { behind_us: 200_000 }, ..Round::default() });
    made.load.limited_by_generator = true;
    let text = report(&made);
    assert!(text.starts_with("At 40,000/s the load generator could not keep its schedule") && text.contains("100 ms late"), "{text}");
    made.rounds[0].verdict = Verdict::GeneratorLimited { behind_us: 200_000 };
    made.rounds.truncate(1);
    let text = report(&made);
    assert!(text.contains("no figure below is the pipeline's limit") && !text.contains("48.5"), "{text}");
}

#[test]
fn a_shape_of_another_mean_is_told_by_it() {
    let mut made = made();
    made.rounds[0].load.intended_rate = 5_500.0;
    assert!(report(&made).contains("At 5,500/s in the mean, for a rate of 10,000/s, for 60 s"), "{}", report(&made));
    let limit = Limit { one_more_core: "little: 1".into(), one_more_partition: "nothing: 2".into(), ..Limit::default() };
    assert_eq!(limit_lines(&limit), ["One more core buys little: 1", "One more partition buys nothing: 2"]);
}

#[test]
fn an_empty_report_is_printed() {
    assert!(report(&Report::default()).contains("wardhouse"));
}

#[test]
fn the_round_at_the_limit_is_the_one_that_tells() {
    let mut made = made();
    made.rounds.push(Round { rate: 12_000.0, ..Round::default() });
    made.rounds.push(Round { rate: 14_000.0, verdict: crate::report::Verdict::LagGrew { by_per_s: 900.0 }, ..Round::default() });
    assert_eq!(telling(&made).unwrap().rate, 12_000.0);
    made.limit = Some(Limit { rate: 10_000.0, failed_rate: Some(14_000.0), saturated: "machine".into(), why: "1.98 of 2 cores".into(), ..Limit::default() });
    assert_eq!(telling(&made).unwrap().rate, 10_000.0);
    let text = report(&made);
    assert!(text.contains("Highest rate carried: 10,000/s (14,000/s was not). Saturated first: machine.\n  1.98 of 2 cores\n"), "{text}");
    assert!(text.contains("the lag grew by 900 a second"), "{text}");
}

#[test]
fn a_comparison_is_one_line_a_figure() {
    let mut slower = made();
    slower.rounds[0].processes[0].cpu_us_per_tx = 60.0;
    slower.machine.cpus = 16;
    let text = comparison(&compare(&made(), &slower).unwrap());
    let line = text.lines().find(|line| line.trim_start().starts_with("pipeline ")).unwrap();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["pipeline", "10,000/s", "48.5", "µs", "60.0", "µs", "1.237", "one", "number", "worse"], "{text}");
    assert!(text.contains("! Other machines"), "{text}");
}

#[test]
fn a_plan_shows_how_it_is_computed() {
    let text = plan(&crate::plan::plan(&made(), &Target::new(20_000.0)).unwrap());
    for part in [
        "For 20,000/s at 70 % use:",
        "CPU of pipeline",
        "48.5 µs (no interval) × 20,000/s = 0.97 cores",
        "What to buy",
        "one rate gives none",
        "not known: no store's size",
        "Not checked",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}
