//! Pages of reports made by hand.

use hdrhistogram::Histogram;

use super::*;
use crate::plan::{Target, plan};
use crate::report::{Limit, ProcessUse, StageCost, StoreUsed};

fn made() -> Report {
    let mut histogram = Histogram::<u64>::new(3).unwrap();
    for value in 1..=10_000_u64 {
        histogram.record(value * 20).unwrap();
    }
    let series = (-5..60_i32)
        .map(|t| Second {
            t_s: f64::from(t),
            sent: 1_000,
            scored: 990,
            by_store: [("ledger".to_owned(), 980)].into(),
            lag: 100.0,
            p99_us: (t > 0).then_some(200_000),
            ..Second::default()
        })
        .collect();
    let process = |name: &str, ours| ProcessUse { name: name.into(), ours, cpu_us_per_tx: 48.5, cores: 0.05, rss_bytes_max: 1_000_000, ..ProcessUse::default() };
    let processes = vec![process("pipeline", true), process("generator", true), process("postgres", false)];
    let round = Round { rate: 1_000.0, seconds: 60.0, sent: 60_000, latencies: vec![Latency::of("published→ledger", &histogram)], processes, series, ..Round::default() };
    let mut report = Report { rounds: vec![round], ..Report::default() };
    report.settings.stores = vec![StoreUsed { role: "ledger".into(), scheme: "postgres".into(), server: "<script>alert(1)</script>".into(), ..StoreUsed::default() }];
    report.stages = vec![StageCost { stage: "scorer".into(), cpu_us_per_tx: 9.0, bytes_per_tx: 512.0 }];
    report
}

#[test]
fn a_page_is_whole_in_itself_and_everything_is_escaped() {
    let page = page(&made(), None);
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    for absent in ["<script", "http:", "https:", "src=", "href=", "NaN", "@import", "url("] {
        assert!(!page.contains(absent), "{absent}");
    }
    for present in
        ["prefers-color-scheme: dark", "@media print", "<h3>Rates</h3>", "<h3>Lag</h3>", "<h3>Latency by percentile, from the intended time</h3>", "generator (not counted)"]
    {
        assert!(page.contains(present), "{present}");
    }
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    assert_eq!(page.matches("<svg").count(), 6, "rates, lag, p99, percentiles, CPU, stages");
}

#[test]
fn what_went_wrong_and_the_limit_stand_at_the_top() {
    let mut made = made();
    made.lost = 7;
    made.faults = vec!["search <was> away".into()];
    made.limit = Some(Limit { rate: 1_000.0, saturated: "machine".into(), why: "2 of 2 cores".into(), ..Limit::default() });
    let page = page(&made, None);
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("no {text}"));
    assert!(at("Lost 7 transactions") < at("Saturated first: machine") && at("search &lt;was&gt; away") < at("<svg"));
}

#[test]
fn a_plan_stands_on_the_page_with_its_calculation() {
    let made = made();
    let page = page(&made, Some(&plan(&made, &Target::new(10_000.0)).unwrap()));
    assert!(page.contains("For 10,000/s at 70 % use") && page.contains("50.0 µs × 10,000/s") && page.contains("Not checked"), "{page}");
}

#[test]
fn an_empty_report_is_a_page() {
    assert!(page(&Report::default(), None).contains("</html>"));
}

#[test]
fn the_curve_ends_at_the_slowest_sample() {
    let curve = curve(&made().rounds[0].latencies[0]).unwrap();
    assert_eq!(curve.points[0].0, 1.0);
    let (slower, value) = *curve.points.last().unwrap();
    assert!((199_000.0..201_000.0).contains(&value) && slower < 0.002, "{slower} {value}");
}
