//! A report, and a plan where there is one, as one page of HTML.
//!
//! What must stay true: the page is whole in itself (no script, nothing from elsewhere), is read in light, in dark and on paper; every text
//! of a report is escaped; what went wrong stands at the top.

mod planned;
mod plot;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use self::plot::{Line, Scale};
use crate::plan::Plan;
use crate::report::{Latency, Report, Round, Second, Settings};
use crate::text::number::{bytes, count, latency};
use crate::text::{answer, entrance, slowest_p99, telling};

const STYLE: &str = include_str!("html/page.css");

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// Writes the page of a report.
///
/// # Errors
/// What the system says of the file.
pub fn write(path: &Path, report: &Report, plan: Option<&Plan>) -> std::io::Result<()> {
    std::fs::write(path, page(report, plan))
}

// Writing to a string cannot fail, so the results of `writeln!` are dropped with `ok`.

/// The page itself.
#[must_use]
pub fn page(report: &Report, plan: Option<&Plan>) -> String {
    let mut out = String::from("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n");
    let title = telling(report).map_or_else(|| "Wardhouse bench".to_owned(), |round| format!("Wardhouse bench: {}/s, {}", count(round.rate), round.verdict));
    writeln!(out, "<title>{0}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{0}</h1>", escape(&title)).ok();
    faults(&mut out, report);
    if let Some(answer) = answer::answer(report) {
        writeln!(out, "<p><strong>{}</strong></p>", escape(&answer)).ok();
    }
    if let Some(limit) = &report.limit {
        let failed = limit.failed_rate.map_or_else(String::new, |rate| format!(" {}/s was not.", count(rate)));
        let carried = if answer::is_short(report) { "held while it was measured" } else { "was carried" };
        writeln!(out, "<p><strong>{}/s</strong> {carried}.{failed} Saturated first: {}.</p>", count(limit.rate), escape(&limit.saturated)).ok();
        for line in crate::text::limit_lines(limit) {
            writeln!(out, "<p>{}</p>", escape(&line)).ok();
        }
    }
    if report.rounds.len() > 1 {
        overview(&mut out, report);
    }
    if let Some(plan) = plan {
        planned::planned(&mut out, plan);
    }
    for round in &report.rounds {
        self::round(&mut out, round);
    }
    costs(&mut out, report);
    circumstances(&mut out, report);
    out.push_str("</body>\n</html>\n");
    out
}

/// Columns of text first, then `numbers` of numbers.
fn table(out: &mut String, head: &[&str], numbers: usize, rows: &[Vec<String>]) {
    if rows.is_empty() {
        return;
    }
    let class = |column: usize| if column + numbers >= head.len() { " class=\"n\"" } else { "" };
    out.push_str("<div class=\"wide\"><table>\n<tr>");
    for (i, cell) in head.iter().enumerate() {
        write!(out, "<th{}>{}</th>", class(i), escape(cell)).ok();
    }
    out.push_str("</tr>\n");
    for row in rows {
        out.push_str("<tr>");
        for (i, cell) in row.iter().enumerate() {
            write!(out, "<td{}>{}</td>", class(i), escape(cell)).ok();
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table></div>\n");
}

fn faults(out: &mut String, report: &Report) {
    if report.lost > 0 || report.doubled > 0 {
        writeln!(out, "<p class=\"bad\">Lost {} transactions, doubled {}.</p>", count(report.lost as f64), count(report.doubled as f64)).ok();
    }
    if report.load.limited_by_generator {
        out.push_str("<p class=\"bad\">The load generator could not keep its schedule: no figure here is the pipeline’s limit.</p>\n");
    }
    for fault in &report.faults {
        writeln!(out, "<p class=\"bad\">{}</p>", escape(fault)).ok();
    }
}

fn overview(out: &mut String, report: &Report) {
    out.push_str("<h2>Rates tried</h2>\n");
    let row = |round: &Round| {
        let p99 = slowest_p99(round).map_or_else(|| "–".to_owned(), |us| latency(us as f64));
        vec![round.verdict.to_string(), count(round.rate), count(round.scored_rate), p99, count(round.lag_end), format!("{:+.1}", round.lag_slope_per_s)]
    };
    table(out, &["verdict", "offered/s", "scored/s", "p99 of the slowest", "lag at the end", "lag a second"], 5, &report.rounds.iter().map(row).collect::<Vec<_>>());
}

fn round(out: &mut String, round: &Round) {
    writeln!(out, "<h2>{}/s: {}</h2>", count(round.rate), escape(&round.verdict.to_string())).ok();
    let told =
        format!("{:.0} s measured; {} sent, {} scored; drained {:.1} s after the last.", round.seconds, count(round.sent as f64), count(round.scored as f64), round.drained_s);
    writeln!(out, "<p class=\"note\">{told}</p>").ok();
    let line = |name: &str, of: &dyn Fn(&Second) -> Option<f64>| Line {
        name: name.to_owned(),
        points: round.series.iter().filter_map(|second| Some((second.t_s, of(second)?))).collect(),
        dashed: false,
    };
    let mut rates = vec![line("acknowledged", &|second: &Second| Some(second.sent as f64)), line("scored", &|second: &Second| Some(second.scored as f64))];
    let roles: BTreeSet<&String> = round.series.iter().flat_map(|second| second.by_store.keys()).collect();
    for role in roles {
        rates.push(line(role, &|second: &Second| second.by_store.get(role).map(|positions| *positions as f64)));
    }
    rates.push(Line { dashed: true, ..line("asked for", &|_: &Second| Some(round.rate)) });
    let lag = [line("not yet in every store", &|second: &Second| Some(second.lag))];
    let slow = [line("p99 of the second", &|second: &Second| second.p99_us.map(|us| us as f64))];
    let time = ("seconds", Scale::Linear);
    let curves: Vec<Line> = round.latencies.iter().filter_map(curve).collect();
    let plots = [
        ("Rates", plot::lines("Rates over time", time, ("transactions a second", Scale::Linear), &rates)),
        ("Lag", plot::lines("Lag over time", time, ("records", Scale::Linear), &lag)),
        ("Latency over time, slowest store", plot::lines("p99 by second", time, ("p99", Scale::Latency), &slow)),
        ("Latency by percentile, from the intended time", plot::lines("Latency by percentile", ("percentile", Scale::Quantile), ("latency", Scale::Latency), &curves)),
        ("CPU of a transaction", plot::bars("CPU of a transaction", &cpu(round))),
    ];
    for (title, plot) in plots {
        if let Some(plot) = plot {
            writeln!(out, "<h3>{title}</h3>\n{plot}").ok();
        }
    }
    table(out, &["from the intended time", "samples", "p50", "p90", "p99", "p99.9", "longest"], 6, &answer::rows(round));
    for line in answer::unmeasured(round) {
        writeln!(out, "<p class=\"note\">{}</p>", escape(&line)).ok();
    }
    out.push_str("<p class=\"note\">The generator sends the load and reads it back; it takes part of the machine, and no cost of the pipeline counts it.</p>\n");
    let processes = round.processes.iter().map(|p| {
        vec![p.name.clone(), format!("{:.1}", p.cpu_us_per_tx), format!("{:.2}", p.cores), bytes(p.rss_bytes_max as f64), bytes(p.written_bytes as f64), p.fds.to_string()]
    });
    table(out, &["process", "CPU-µs a transaction", "cores", "memory, most", "written to disk", "open files"], 5, &processes.collect::<Vec<_>>());
}

/// What part of the samples was slower than what.
fn curve(of: &Latency) -> Option<Line> {
    let histogram = of.histogram().filter(|histogram| !histogram.is_empty())?;
    let all = histogram.len() as f64;
    let mut seen = 0_u64;
    let mut points = Vec::new();
    for step in histogram.iter_recorded() {
        // From the part that is not faster than this value; the slowest sample is one of all.
        points.push(((all - seen as f64) / all, step.value_iterated_to() as f64));
        seen += step.count_at_value();
    }
    Some(Line { name: of.name.clone(), points, dashed: false })
}

fn cpu(round: &Round) -> Vec<(String, f64, String)> {
    let name = |name: &str| if name == "generator" { "generator (not counted)".to_owned() } else { name.to_owned() };
    let told = |us: f64, cores: f64| format!("{us:.1} µs, {cores:.2} cores");
    round.processes.iter().map(|p| (name(&p.name), p.cpu_us_per_tx, told(p.cpu_us_per_tx, p.cores))).collect()
}

fn costs(out: &mut String, report: &Report) {
    out.push_str("<h2>Unit costs</h2>\n");
    let bars: Vec<_> = report.stages.iter().map(|stage| (stage.stage.clone(), stage.cpu_us_per_tx, format!("{:.1} µs", stage.cpu_us_per_tx))).collect();
    out.push_str(&plot::bars("CPU of a transaction by stage", &bars).unwrap_or_default());
    let stages = report.stages.iter().map(|stage| vec![stage.stage.clone(), format!("{:.1}", stage.cpu_us_per_tx), format!("{:.0}", stage.bytes_per_tx)]);
    table(out, &["stage", "CPU-µs a transaction", "bytes a transaction"], 2, &stages.collect::<Vec<_>>());
    let kept = report.bytes_per_tx.iter().map(|(role, bytes)| vec![role.clone(), format!("{bytes:.0}")]);
    table(out, &["store", "bytes that it keeps of a transaction"], 1, &kept.collect::<Vec<_>>());
    let or_none = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"));
    let raw = report.raw.iter().map(|raw| vec![raw.store.clone(), raw.way.clone(), count(raw.rows_per_s), or_none(raw.server_cpu_us), or_none(raw.ratio)]);
    table(out, &["store", "its own bulk way", "rows a second", "server’s CPU-µs a row", "pipeline ÷ raw"], 3, &raw.collect::<Vec<_>>());
}

/// Whether a setting is of something that was measured: those of a server that was not used are left out.
fn is_used(settings: &Settings, name: &str) -> bool {
    let section = name.split('.').next().unwrap_or(name);
    let is_server = ["kafka", "postgres", "mongodb", "influxdb", "redis", "elasticsearch"].contains(&section);
    !is_server || settings.stores.iter().any(|store| store.scheme == section)
}

fn circumstances(out: &mut String, report: &Report) {
    let (machine, s) = (&report.machine, &report.settings);
    out.push_str("<h2>Machine, versions, settings, data</h2>\n");
    let stores = s.stores.iter().map(|store| vec![store.role.clone(), store.scheme.clone(), store.address.clone(), store.server.clone(), store.durability.clone()]);
    table(out, &["role", "store", "address", "server", "acknowledged when"], 0, &stores.collect::<Vec<_>>());
    let mut rows: Vec<(String, String)> = vec![
        ("wardhouse".into(), format!("{} ({})", report.wardhouse, report.profile)),
        ("measured".into(), report.started.clone()),
        ("machine".into(), format!("{} cores of {}, {}", machine.cpus, machine.cpu_model, bytes(machine.memory_bytes as f64))),
        ("system".into(), format!("{}, {}", machine.os, machine.kernel)),
        ("load".into(), format!("{} arrivals{}, {:.0} bytes a transaction", s.arrivals, entrance(&s.entrance), s.bytes_sent_per_tx)),
        ("data".into(), format!("seed {}, {} users, {} partitions", s.seed, s.users, s.partitions)),
        ("rounds".into(), format!("{} s measured after {} s of warm-up", s.duration_s, s.warmup_s)),
        ("read back".into(), format!("one of {} transactions, looked for every {} ms", s.sample_every, s.poll_ms)),
    ];
    rows.extend(s.pipeline.iter().filter(|(name, _)| is_used(s, name)).map(|(name, value)| (name.clone(), value.clone())));
    table(out, &["", ""], 0, &rows.into_iter().map(|(name, value)| vec![name, value]).collect::<Vec<_>>());
}
