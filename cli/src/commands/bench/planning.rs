//! `wardhouse bench plan`: what to buy for a rate. The computing is `wh_bench::plan`'s; here it is asked for and told.
//!
//! What must stay true: what cannot come to a plan is refused before anything is measured.

use clap::Args;
use wh_bench::plan::Target;
use wh_bench::schedule::Arrivals;
use wh_bench::{plan, text};

use super::{LoadArgs, judged, options, rate, running, write};
use crate::failure::Failure;
use crate::settings::Settings;

/// Parts of a target that a plan is measured at: far enough apart to tell what grows with the rate from what does not.
/// Four, since two give a line and no interval.
const PLANNED_AT: [f64; 4] = [0.1, 0.2, 0.3, 0.4];
/// Most days that anything is planned to be kept.
const DAYS: f64 = 36_500.0;

/// `bench plan`
#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// Transactions a second to plan for.
    #[arg(long, value_name = "TX_PER_SECOND", allow_negative_numbers = true)]
    target: f64,
    /// Rates to measure unit costs at; three or more give an interval [default: one, two, three and four tenths of the target].
    #[arg(long, value_name = "TX_PER_SECOND", num_args = 1.., allow_negative_numbers = true)]
    measure: Vec<f64>,
    /// Rates that are measured only to check the plan at.
    #[arg(long, value_name = "TX_PER_SECOND", num_args = 1.., allow_negative_numbers = true)]
    check: Vec<f64>,
    /// Days that the stores keep rows: what you must keep, your rules say. The default is a month, to multiply from.
    #[arg(long, value_name = "DAYS", default_value_t = 30.0, allow_negative_numbers = true)]
    keep: f64,
    /// Days that the log keeps records. The default is what its topics are made with.
    #[arg(long, value_name = "DAYS", default_value_t = 7.0, allow_negative_numbers = true)]
    keep_log: f64,
    /// Percent of the cores and of the memory that are to be used at the target; the rest is head room.
    #[arg(long = "use", value_name = "PERCENT", default_value_t = 70.0, allow_negative_numbers = true)]
    use_at_most: f64,
    /// Cores that one instance of the pipeline has.
    #[arg(long, value_name = "CORES", default_value_t = 2.0, allow_negative_numbers = true)]
    cores: f64,
    #[command(flatten)]
    load: LoadArgs,
}

/// Measures at the rates of a plan, and tells it.
pub(super) fn run(settings: &Settings, args: &PlanArgs) -> Result<(), Failure> {
    let arrivals = Arrivals::named(&args.load.arrivals).map_err(|fault| Failure::Settings(vec![fault]))?;
    let mut faults = Vec::new();
    rate("--target", args.target, &mut faults);
    let mut rates = if args.measure.is_empty() { PLANNED_AT.map(|part| (args.target * part).max(1.0)).to_vec() } else { args.measure.clone() };
    rates.extend(&args.check);
    rates.iter().for_each(|tried| rate("--measure and --check", *tried, &mut faults));
    let computed_from = &rates[..rates.len() - args.check.len()];
    for check in args.check.iter().filter(|check| computed_from.iter().any(|rate| plan::same_rate(*rate, **check))) {
        faults.push(format!("--check {check}: the plan is computed from what is measured at that rate: check it at another, or leave it out of --measure"));
    }
    rates.sort_by(f64::total_cmp);
    rates.dedup();
    for (flag, days) in [("--keep", args.keep), ("--keep-log", args.keep_log)] {
        if !(0.0..=DAYS).contains(&days) {
            faults.push(format!("{flag} {days}: expected 0 to {DAYS} days"));
        }
    }
    if !(1.0..=100.0).contains(&args.use_at_most) {
        faults.push(format!("--use {}: expected 1 to 100 percent", args.use_at_most));
    }
    if !(0.1..=1_024.0).contains(&args.cores) {
        faults.push(format!("--cores {}: expected 0.1 to 1024", args.cores));
    }
    let options = options(settings, &args.load, rates, arrivals, false, faults)?;
    let running::Outcome { mut report, broken } = running::measured(settings, &args.load, &options, None)?;
    if broken.is_some() {
        anstream::print!("{}", text::report(&report));
        write(&args.load, &report, None)?;
        return judged(&report, broken);
    }
    let target = Target {
        rate: args.target,
        use_at_most: args.use_at_most / 100.0,
        cores_per_instance: args.cores,
        log_days: args.keep_log,
        keep_days: args.keep,
        check: args.check.clone(),
    };
    let planned = plan::plan(&report, &target);
    report.plan = planned.as_ref().ok().cloned().map(Box::new);
    write(&args.load, &report, planned.as_ref().ok())?;
    let planned = planned.map_err(|error| Failure::Failed(error.to_string()))?;
    if args.load.json {
        anstream::println!("{}", serde_json::to_string_pretty(&planned).map_err(|error| error.to_string())?);
    } else {
        anstream::print!("{}", text::plan(&planned));
    }
    judged(&report, None)
}
