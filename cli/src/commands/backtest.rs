//! `wardhouse backtest`: what another ruleset would change.

use std::fs::File;
use std::io::{LineWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::ProgressBar;
use tokio_util::sync::CancellationToken;
use wh_schemas::Micros;
use wh_scorer::offline::backtest::{self, BacktestSettings, Change, Told};
use wh_scorer::offline::history::{History, Live};
use wh_scorer::offline::labels::Labels;
use wh_scorer::offline::source::Lines;
use wh_stores::clock;

use crate::commands::{asked_to_stop, control, dead_letters, input, runtime};
use crate::failure::Failure;
use crate::ruleset;
use crate::settings::Settings;
use crate::stores;

/// Rows after which the line of a shadow is shown anew.
const SHOWN_EVERY: u64 = 64;

/// `backtest`
#[derive(Debug, Args)]
pub(crate) struct BacktestArgs {
    /// The candidate: a ruleset file.
    #[arg(value_name = "RULES")]
    candidate: PathBuf,
    /// NDJSON, plain, gzip or zstd, or - for stdin, in place of the log.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// First event time that is counted: 2026-03-01T08:00:00Z, 2026-03-01, or 15m, 2h, 7d ago; rows before it teach the baselines.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// The event time behind the last that is counted.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Which transactions were fraud, NDJSON or CSV; without it, labels that came with the data are used.
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Examples of alerts gained and lost, of each.
    #[arg(long, default_value_t = 10, value_name = "N")]
    examples: usize,
    /// Compare with this ruleset file, in place of the one that the settings name.
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<PathBuf>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    /// Run the candidate beside the present ruleset on the live stream, until stopped: from what the log holds on, to learn, then on what comes.
    #[arg(long, conflicts_with_all = ["input", "from", "to", "labels"])]
    shadow: bool,
    /// Where alerts that only one of the two raises are written, an object a line.
    #[arg(long, short, value_name = "FILE", requires = "shadow")]
    output: Option<PathBuf>,
    /// Threads; what is shown does not depend on it [default: one a core].
    #[arg(long)]
    threads: Option<usize>,
}

/// A time as people write it: a day begins at midnight in the hospital's zone.
fn time(flag: &str, text: Option<&str>, settings: &Settings) -> Result<Option<Micros>, Failure> {
    let Some(text) = text else { return Ok(None) };
    if let Some(ago) = dead_letters::time::ago(text) {
        return Ok(Some(Micros(clock::now().0.saturating_sub(ago))));
    }
    let whole = if text.len() == 10 { format!("{text}T00:00:00") } else { text.to_owned() };
    match Micros::parse(&whole, settings.zone) {
        Some(time) => Ok(Some(time)),
        None => Err(Failure::Settings(vec![format!("{flag} {text:?}: expected a time such as 2026-03-01T08:00:00Z or 2026-03-01, or 15m, 2h, 7d for so long ago")])),
    }
}

pub(crate) fn run(settings: &Settings, args: &BacktestArgs) -> Result<(), Failure> {
    let candidate = ruleset::read(&args.candidate).map_err(Failure::Settings)?;
    let backtest = BacktestSettings {
        // Beside a scorer that runs, what that scores by.
        present: if args.shadow && args.rules.is_none() { control::in_force(settings)? } else { settings.ruleset.clone() },
        candidate,
        reading: settings.reading.clone(),
        partitions: settings.partitions,
        dedup_horizon: settings.dedup_horizon,
        threads: args.threads.unwrap_or_else(input::cores).max(1),
        from: time("--from", args.from.as_deref(), settings)?,
        to: time("--to", args.to.as_deref(), settings)?,
        examples: args.examples,
    };
    let truth = match &args.labels {
        Some(path) => Some(Labels::read(input::open(path, None)?)?),
        None => None,
    };
    let shown = match args.input.as_deref() {
        None if args.shadow => shadow(settings, backtest, args.output.as_deref())?,
        Some(path) => from_file(path, &backtest, truth.as_ref())?,
        None => from_log(settings, &backtest, truth.as_ref())?,
    };
    for sentence in shown.unanswered() {
        anstream::eprintln!("{sentence}");
    }
    if let (Some(truth), Some(known)) = (&truth, &shown.outcomes)
        && known.named == 0
    {
        anstream::eprintln!(
            "warning: none of the {} transactions that --labels names is among the {} rows counted: precision and recall mean nothing here",
            truth.len(),
            known.rows
        );
    }
    if args.json {
        anstream::println!("{}", serde_json::to_string_pretty(&shown).map_err(|e| e.to_string())?);
    } else {
        anstream::print!("{}", backtest::text(&shown));
    }
    Ok(())
}

/// Scores what the log holds and what comes under both, beside the pipeline, until stopped. Nothing is written but the comparison.
fn shadow(settings: &Settings, backtest: BacktestSettings, output: Option<&Path>) -> Result<backtest::Backtest, Failure> {
    let mut lines = match output {
        Some(path) => Some(LineWriter::new(File::create(path).map_err(|e| format!("cannot write {}: {e}", path.display()))?)),
        None => None,
    };
    let runtime = runtime("shadow")?;
    let log = runtime.block_on(stores::open_reader(settings))?;
    let history = History::open(log, runtime.handle().clone(), None)?;
    anstream::eprintln!("{}; then what comes, until Ctrl-C. A row is compared once no pattern by account can be completed by it any more", history.told());
    let partitions = u32::try_from(history.reach().len()).unwrap_or(backtest.partitions);
    let backtest = BacktestSettings { partitions, ..backtest };
    let stop = CancellationToken::new();
    let asked = stop.clone();
    let waiting = runtime.spawn(async move {
        asked_to_stop().await;
        asked.cancel();
    });
    let bar = ProgressBar::new_spinner();
    let shown = backtest::follow(&mut Live::new(history, stop), &backtest, None, &mut |told: Told<'_>| {
        if let (Some(example), Some(lines)) = (told.differs, &mut lines) {
            let change = if told.gained { "gained" } else { "lost" };
            let line = serde_json::json!({ "alert": change, "present": backtest.present.content_hash(), "candidate": backtest.candidate.content_hash(), "row": example });
            writeln!(lines, "{line}")?;
        }
        if told.rows.is_multiple_of(SHOWN_EVERY) || told.differs.is_some() {
            let Change { present, candidate, gained, lost } = told.alerts;
            bar.set_message(format!("{} rows, {} scores differ; alerts {present} → {candidate}: {gained} gained, {lost} lost", told.rows, told.scores_changed));
            bar.tick();
        }
        Ok(())
    });
    waiting.abort();
    bar.finish_and_clear();
    Ok(shown?)
}

fn from_file(path: &Path, settings: &BacktestSettings, truth: Option<&Labels>) -> Result<backtest::Backtest, Failure> {
    let bar = input::bar("scoring twice");
    let mut lines = Lines::new(input::open(path, Some(&bar))?);
    let shown = backtest::run(&mut lines, settings, truth);
    bar.finish_and_clear();
    anstream::eprintln!("{}: baselines begin empty at its first line", path.display());
    Ok(shown?)
}

fn from_log(settings: &Settings, backtest: &BacktestSettings, truth: Option<&Labels>) -> Result<backtest::Backtest, Failure> {
    let runtime = runtime("backtest")?;
    let log = runtime.block_on(stores::open_reader(settings))?;
    let history = History::open(log, runtime.handle().clone(), None)?;
    anstream::eprintln!("{}", history.told());
    // A partition of the log is scored as one, however many the settings name.
    let partitions = u32::try_from(history.reach().len()).unwrap_or(settings.partitions);
    let backtest = &BacktestSettings { partitions, ..backtest.clone() };
    let bar = input::counting_bar("scoring twice", history.records());
    let mut followed = input::Followed { source: history, bar: bar.clone() };
    let shown = backtest::run(&mut followed, backtest, truth);
    bar.finish_and_clear();
    Ok(shown?)
}
