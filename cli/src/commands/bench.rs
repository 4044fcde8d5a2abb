//! `wardhouse bench`: what the pipeline carries on these stores. The measuring is `wh_bench`'s; here it is asked for and told.

mod clean;
mod own;
mod planning;
mod running;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use wh_bench::report::Verdict;
use wh_bench::schedule::Arrivals;
use wh_bench::{Options, Report, compare, html, text};

use crate::failure::Failure;
use crate::settings::Settings;

/// Rate where neither a flag nor a file says one.
const RATE: f64 = 10_000.0;
/// Where a search begins.
const SEARCH_FROM: f64 = 1_000.0;
/// How long a round is measured, and one of a search: long enough for a lag that grows for half a minute.
const DURATION: Duration = Duration::from_secs(60);
const SEARCHED: Duration = Duration::from_secs(40);
/// Most transactions a second that can be asked for.
const MOST: f64 = 10_000_000.0;

/// `bench`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    command: Option<BenchCommand>,
    /// Transactions a second [default: 10000, or as a file of arrivals has them; with --find-limit where it begins, 1000].
    #[arg(long, value_name = "TX_PER_SECOND", allow_negative_numbers = true)]
    rate: Option<f64>,
    /// Find the highest rate that is carried: the lag does not grow for 30 s, and p99 stays below 1 s.
    #[arg(long)]
    find_limit: bool,
    /// Measure also what each store takes by its own fastest way, of the same rows, and compare.
    #[arg(long, value_enum)]
    against: Option<Against>,
    #[command(flatten)]
    load: LoadArgs,
}

/// What is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Against {
    /// COPY, unordered bulk, `_bulk`, line protocol, pipelines, a plain producer.
    Raw,
}

/// The load, whatever it is for.
#[derive(Debug, Args)]
struct LoadArgs {
    /// Shape of the arrivals: constant, poisson, ramp, burst, or file:PATH (one number a line, arrivals in each second; or transactions as NDJSON, whose timestamps are counted).
    #[arg(long, default_value = "constant", value_name = "SHAPE")]
    arrivals: String,
    /// How long a round is measured, such as 90s or 10m [default: 60s; in a search for the limit 40s].
    #[arg(long, value_parser = duration, allow_hyphen_values = true, value_name = "TIME")]
    duration: Option<Duration>,
    /// How long the same load runs before that.
    #[arg(long, value_parser = duration, allow_hyphen_values = true, default_value = "5s", value_name = "TIME")]
    warmup: Duration,
    /// Users that the transactions are of.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=500_000))]
    users: u32,
    /// The same seed gives the same transactions and the same random arrivals.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Partitions of the topics [default: log.partitions].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    partitions: Option<u32>,
    /// Run each stage as a process of its own, so that CPU and bytes are told by stage.
    #[arg(long)]
    by_stage: bool,
    /// Milliseconds between two looks at a store.
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u64).range(10..=1_000), value_name = "MS")]
    poll_ms: u64,
    /// Write report.json and report.html into this folder.
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What else there is.
#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Compare two reports: what became better or worse, and what is noise.
    Compare {
        /// The report of before: its report.json, or the folder of it.
        a: PathBuf,
        /// The one of after.
        b: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Measure unit costs here, and compute cores, partitions, instances and disk for a rate.
    #[command(after_help = "Example: wardhouse bench plan --target 10000 --measure 1000 2000 4000 --check 3000 --keep 365 --by-stage --report report/")]
    Plan(Box<planning::PlanArgs>),
    /// Remove what measurements left behind that were killed; nothing that another name has.
    Clean(clean::CleanArgs),
}

/// `500ms`, `90s`, `10m`, `1h`; a plain number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a time from 1s to 7 days, such as 90s, 10m or 1h".to_owned();
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "ms" => number / 1_000.0,
        "" | "s" => number,
        "m" => number * 60.0,
        "h" => number * 3_600.0,
        _ => return Err(wrong()),
    };
    if (seconds == 0.0) || (1.0..=604_800.0).contains(&seconds) { Ok(Duration::from_secs_f64(seconds)) } else { Err(wrong()) }
}

/// A rate that can be tried.
fn rate(flag: &str, rate: f64, faults: &mut Vec<String>) {
    if !(1.0..=MOST).contains(&rate) {
        faults.push(format!("{flag} {rate}: expected 1 to {MOST} transactions a second"));
    }
}

pub(crate) fn run(settings: &Settings, args: &BenchArgs) -> Result<(), Failure> {
    match &args.command {
        Some(BenchCommand::Compare { a, b, json }) => run_compare(a, b, *json),
        Some(BenchCommand::Plan(args)) => planning::run(settings, args),
        Some(BenchCommand::Clean(args)) => clean::run(settings, args),
        None => run_measure(settings, args),
    }
}

fn run_compare(a: &Path, b: &Path, json: bool) -> Result<(), Failure> {
    let told = |error: compare::Unreadable| Failure::Failed(error.to_string());
    let (a, b) = (compare::read(a).map_err(told)?, compare::read(b).map_err(told)?);
    let comparison = compare::compare(&a, &b).map_err(|error| Failure::Failed(error.to_string()))?;
    if json {
        anstream::println!("{}", serde_json::to_string_pretty(&comparison).map_err(|error| error.to_string())?);
    } else {
        anstream::print!("{}", text::comparison(&comparison));
    }
    Ok(())
}

/// What a load asks for, every fault at once.
fn options(settings: &Settings, load: &LoadArgs, rates: Vec<f64>, arrivals: Arrivals, find_limit: bool, mut faults: Vec<String>) -> Result<Options, Failure> {
    let duration = load.duration.unwrap_or(if find_limit { SEARCHED } else { DURATION });
    if duration.is_zero() {
        faults.push("--duration 0: expected at least 1s".to_owned());
    }
    if find_limit && matches!(arrivals, Arrivals::Ramp) {
        faults.push("--find-limit: a ramp has no one rate: use --arrivals constant, poisson, burst or file:PATH".to_owned());
    }
    if !faults.is_empty() {
        return Err(Failure::Settings(faults));
    }
    Ok(Options {
        rates,
        arrivals,
        duration,
        warmup: load.warmup,
        users: load.users,
        anomaly_rate: settings.generator.anomaly_rate,
        seed: load.seed,
        find_limit,
        by_stage: load.by_stage,
        poll: Duration::from_millis(load.poll_ms),
    })
}

fn run_measure(settings: &Settings, args: &BenchArgs) -> Result<(), Failure> {
    let arrivals = Arrivals::named(&args.load.arrivals).map_err(|fault| Failure::Settings(vec![fault]))?;
    let asked = args.rate.or(arrivals.recorded_rate()).unwrap_or(if args.find_limit { SEARCH_FROM } else { RATE });
    let mut faults = Vec::new();
    let from = if args.rate.is_none() && arrivals.recorded_rate().is_some() { format!("--arrivals {}, whose mean is", args.load.arrivals) } else { "--rate".to_owned() };
    rate(&from, asked, &mut faults);
    let options = options(settings, &args.load, vec![asked], arrivals, args.find_limit, faults)?;
    let running::Outcome { report, broken } = running::measured(settings, &args.load, &options, args.against)?;
    if args.load.json {
        anstream::println!("{}", serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?);
    } else {
        anstream::print!("{}", text::report(&report));
    }
    write(&args.load, &report, None)?;
    judged(&report, broken)
}

/// Writes the report, where that was asked for.
fn write(load: &LoadArgs, report: &Report, plan: Option<&wh_bench::plan::Plan>) -> Result<(), Failure> {
    let Some(folder) = &load.report else { return Ok(()) };
    let (data, page) = (folder.join("report.json"), folder.join("report.html"));
    let told = |path: &Path, error: std::io::Error| Failure::Failed(format!("cannot write {}: {error}", path.display()));
    std::fs::create_dir_all(folder).map_err(|error| told(folder, error))?;
    std::fs::write(&data, serde_json::to_vec_pretty(report).map_err(|error| error.to_string())?).map_err(|error| told(&data, error))?;
    html::write(&page, report, plan).map_err(|error| told(&page, error))?;
    anstream::eprintln!("wrote {} and {}", data.display(), page.display());
    Ok(())
}

/// A rate that is not carried is an answer; what is lost, doubled or broken, or says nothing at all, is a failure.
fn judged(report: &Report, broken: Option<String>) -> Result<(), Failure> {
    if let Some(why) = broken {
        return Err(Failure::Failed(why));
    }
    if report.lost > 0 || report.doubled > 0 {
        return Err(Failure::Failed(format!("{} transactions are missing in stores, and {} are there too often", report.lost, report.doubled)));
    }
    let failed = report.rounds.iter().find_map(|round| match &round.verdict {
        Verdict::Failed { why } => Some(format!("at {:.0} tx/s: {why}", round.rate)),
        _ => None,
    });
    if report.rounds.iter().all(|round| matches!(round.verdict, Verdict::GeneratorLimited { .. })) {
        let why = "the load generator kept no schedule, so that nothing is known of the pipeline: ask for a lower rate, or measure where nothing else takes the cores";
        return Err(Failure::Failed(why.to_owned()));
    }
    failed.map_or(Ok(()), |why| Err(Failure::Failed(why)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_with_its_unit() {
        for (text, seconds) in [("90s", 90.0), ("10m", 600.0), ("1.5h", 5_400.0), ("3", 3.0), ("2500ms", 2.5), ("0s", 0.0)] {
            assert_eq!(duration(text), Ok(Duration::from_secs_f64(seconds)), "{text}");
        }
        for text in ["", "s", "never", "10d", "-5s", "500ms", "1000h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
