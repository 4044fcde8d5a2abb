//! What the terminal prints at the end: a report, a comparison, a plan.
//!
//! What must stay true: what went wrong is printed first and never left out; a text of a report, which anyone may have written, moves no
//! cursor; nothing here needs colour or a wide terminal to be understood.

pub(crate) mod answer;
pub(crate) mod number;
pub(crate) mod planned;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use self::number::{bytes, count, latency, printable};
use crate::compare::{Basis, Comparison, Figure, Group};
use crate::load::LATE;
use crate::report::{Limit, Report, Round, Verdict};

pub use self::planned::plan;

// Writing to a string cannot fail, so the results of `writeln!` are dropped with `ok`.

/// Rows with their headings, columns two blanks apart; the first `left` columns are text, the others numbers.
fn table(left: usize, head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let lines: Vec<Vec<String>> = std::iter::once(&head).chain(rows).map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let widest = |column: usize| lines.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(widest).collect();
    let mut out = String::new();
    for row in lines.iter().filter(|row| row.iter().any(|cell| !cell.is_empty())) {
        let cell = |(column, (cell, width)): (usize, (&String, usize))| if column < left { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
        let cells: Vec<String> = row.iter().zip(widths.iter().copied()).enumerate().map(cell).collect();
        writeln!(out, "  {}", cells.join("  ").trim_end()).ok();
    }
    out
}

/// A report.
#[must_use]
pub fn report(report: &Report) -> String {
    let mut out = String::new();
    let (machine, settings) = (&report.machine, &report.settings);
    if report.lost > 0 || report.doubled > 0 {
        writeln!(out, "LOST {} transactions, DOUBLED {}.\n", count(report.lost as f64), count(report.doubled as f64)).ok();
    }
    out.push_str(&late(report));
    for fault in &report.faults {
        writeln!(out, "! {}", printable(fault)).ok();
    }
    if let Some(answer) = answer::answer(report) {
        writeln!(out, "{}\n", printable(&answer)).ok();
    }
    let what = format!(
        "wardhouse {} ({}) on {} cores of {}, {}, {}",
        report.wardhouse,
        report.profile,
        machine.cpus,
        machine.cpu_model,
        bytes(machine.memory_bytes as f64),
        machine.kernel
    );
    writeln!(out, "{}\n", printable(&what)).ok();
    let stores: Vec<Vec<String>> = settings.stores.iter().map(|store| vec![store.role.clone(), store.scheme.clone(), store.server.clone(), store.durability.clone()]).collect();
    out.push_str(&table(4, &["role", "store", "server", "acknowledged when"], &stores));
    let shape = format!(
        "\n{} arrivals{}, {} partitions, {} users, seed {}; rounds of {} s after {} s of warm-up",
        settings.arrivals,
        entrance(&settings.entrance),
        settings.partitions,
        settings.users,
        settings.seed,
        settings.duration_s,
        settings.warmup_s
    );
    writeln!(out, "{}\n", shape.lines().map(printable).collect::<Vec<_>>().join("\n")).ok();
    if report.rounds.len() > 1 {
        out.push_str(&rounds(report));
        out.push('\n');
    }
    if let Some(round) = telling(report) {
        out.push_str(&self::round(round));
    }
    let stages: Vec<Vec<String>> =
        report.stages.iter().map(|stage| vec![stage.stage.clone(), format!("{:.1}", stage.cpu_us_per_tx), format!("{:.0}", stage.bytes_per_tx)]).collect();
    if !stages.is_empty() {
        writeln!(out, "\n{}", table(1, &["unit costs", "CPU-µs a transaction", "bytes a transaction"], &stages).trim_end()).ok();
    }
    let raw = |raw: &crate::report::RawRate| {
        let or_none = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), count);
        let ratio = raw.ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
        vec![raw.store.clone(), raw.way.clone(), count(raw.rows_per_s), or_none(raw.pipeline_rows_per_s), ratio]
    };
    let raws: Vec<Vec<String>> = report.raw.iter().map(raw).collect();
    if !raws.is_empty() {
        writeln!(out, "\n{}", table(2, &["store", "its own bulk way", "rows/s", "pipeline/s", "pipeline ÷ raw"], &raws).trim_end()).ok();
    }
    if let Some(limit) = &report.limit {
        let failed = limit.failed_rate.map_or_else(String::new, |rate| format!(" ({}/s was not)", count(rate)));
        let carried = if answer::is_short(report) { "Highest rate that held while it was measured" } else { "Highest rate carried" };
        writeln!(out, "\n{carried}: {}/s{failed}. Saturated first: {}.", count(limit.rate), printable(&limit.saturated)).ok();
        for line in limit_lines(limit) {
            writeln!(out, "  {}", printable(&line)).ok();
        }
    }
    out
}

/// How the load came in, which is part of what it costs.
pub(crate) fn entrance(entrance: &str) -> &'static str {
    match entrance {
        "http" => " posted to the pipeline's own HTTP intake",
        "kafka" => " produced into Kafka",
        _ => "",
    }
}

/// What is told of a limit beside its rate, each with what it is of.
pub(crate) fn limit_lines(limit: &Limit) -> Vec<String> {
    let told = [("", &limit.why), ("One more core buys ", &limit.one_more_core), ("One more partition buys ", &limit.one_more_partition)];
    told.into_iter().filter(|(_, line)| !line.is_empty()).map(|(what, line)| format!("{what}{line}")).collect()
}

/// What is told where the generator was late: of which rounds nothing is known, and what helps.
fn late(report: &Report) -> String {
    let late: Vec<String> = report.rounds.iter().filter(|round| is_late(round)).map(|round| format!("{}/s", count(round.rate))).collect();
    let told = if late.is_empty() || late.len() == report.rounds.len() {
        if !report.load.limited_by_generator {
            return String::new();
        }
        "The load generator could not keep its schedule: no figure below is the pipeline's limit.".to_owned()
    } else {
        format!("At {} the load generator could not keep its schedule, which says nothing of the pipeline.", late.join(", "))
    };
    format!("{told}\n(More than one transaction in a hundred was handed over {} ms late or later: ask for less, or measure where nothing else takes the cores.)\n\n", LATE / 1_000)
}

fn is_late(round: &Round) -> bool {
    matches!(round.verdict, Verdict::GeneratorLimited { .. })
}

/// The round that tells the most: the limit's, else the last that was carried, else the last.
pub(crate) fn telling(report: &Report) -> Option<&Round> {
    let at_limit = report.limit.as_ref().and_then(|limit| report.rounds.iter().rev().find(|round| round.rate == limit.rate && round.verdict.is_sustained()));
    at_limit.or_else(|| report.rounds.iter().rev().find(|round| round.verdict.is_sustained())).or(report.rounds.last())
}

/// p99 of the slowest latency of a round, of those whose samples bear one where any do.
pub(crate) fn slowest_p99(round: &Round) -> Option<u64> {
    let slowest = |least: u64| round.latencies.iter().filter(|latency| latency.count >= least).map(|latency| latency.p99_us).max();
    slowest(100).or_else(|| slowest(0))
}

fn rounds(report: &Report) -> String {
    let row = |round: &Round| {
        let cores: f64 = round.processes.iter().filter(|process| process.name != "generator").map(|process| process.cores).sum();
        let p99 = slowest_p99(round).map_or_else(|| "–".to_owned(), |us| latency(us as f64));
        vec![count(round.rate), count(round.scored_rate), p99, count(round.lag_end), format!("{cores:.2}"), round.verdict.to_string()]
    };
    // The verdict is text and stands last, where alignment does not matter.
    table(0, &["offered/s", "scored/s", "p99", "lag", "cores", "verdict"], &report.rounds.iter().map(row).collect::<Vec<_>>())
}

fn round(round: &Round) -> String {
    let mut out = String::new();
    let (named, mean) = (count(round.rate), round.load.intended_rate);
    // A shape may have another mean than the rate by which it is named: a ramp's is its end.
    let rate = if mean > 0.0 && (mean - round.rate).abs() > 0.01 * round.rate { format!("{}/s in the mean, for a rate of {named}/s,", count(mean)) } else { format!("{named}/s") };
    writeln!(
        out,
        "At {rate} for {:.0} s: {} sent; of {} with the warm-up {} were scored; {}; lag {} at the start, {} at the end ({:+.1}/s).\n",
        round.seconds,
        count(round.sent as f64),
        count(round.load.sent as f64),
        count(round.scored as f64),
        printable(&round.verdict.to_string()),
        count(round.lag_start),
        count(round.lag_end),
        round.lag_slope_per_s
    )
    .ok();
    out.push_str(&table(1, &["from the intended time", "samples", "p50", "p90", "p99", "p99.9", "max"], &answer::rows(round)));
    for line in answer::unmeasured(round) {
        writeln!(out, "  {}", printable(&line)).ok();
    }
    out.push('\n');
    let processes: Vec<Vec<String>> = round
        .processes
        .iter()
        .map(|p| {
            vec![
                p.name.clone(),
                if is_late(round) { "–".to_owned() } else { format!("{:.1}", p.cpu_us_per_tx) },
                format!("{:.2}", p.cores),
                bytes(p.rss_bytes_max as f64),
                p.fds.to_string(),
            ]
        })
        .collect();
    out.push_str(&table(1, &["process", "CPU-µs a transaction", "cores", "memory, most", "open files"], &processes));
    out
}

/// Two reports side by side.
#[must_use]
pub fn comparison(comparison: &Comparison) -> String {
    let mut out = String::new();
    for (name, side) in [("first ", &comparison.a), ("second", &comparison.b)] {
        writeln!(out, "{name}: {}", printable(&format!("wardhouse {}, {}, {}", side.wardhouse, side.started, side.machine))).ok();
    }
    for warning in &comparison.warnings {
        writeln!(out, "! {}", printable(warning)).ok();
    }
    out.push('\n');
    let row = |figure: &Figure| {
        let interval = figure.interval.map_or_else(
            || if figure.basis == Basis::TooFew { "too few".to_owned() } else { "one number".to_owned() },
            |interval| format!("{:.3} to {:.3}", interval.low, interval.high),
        );
        let rate = figure.rate.map_or_else(String::new, |rate| format!("{}/s", count(rate)));
        vec![figure.name.clone(), rate, value(figure, figure.a), value(figure, figure.b), format!("{:.3}", figure.ratio), interval, figure.says.to_string()]
    };
    let rows: Vec<Vec<String>> = comparison.figures.iter().map(row).collect();
    out.push_str(&table(1, &["figure", "at", "first", "second", "ratio", "95 %", ""], &rows));
    out.push_str(
        "\nThe intervals hold what varied within the two runs, not what varies from one run to the next: repeat what matters. With one number a run, less than 10 % is noise.\n",
    );
    out
}

fn value(figure: &Figure, value: f64) -> String {
    match figure.group {
        Group::Limit | Group::Rate => format!("{}/s", count(value)),
        Group::Latency => latency(value),
        Group::Cpu => format!("{value:.1} µs"),
        Group::Memory | Group::Disk => bytes(value),
        Group::Raw => format!("{value:.2}"),
    }
}
