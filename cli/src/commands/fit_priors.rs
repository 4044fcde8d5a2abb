//! `wardhouse fit-priors`: what amounts are like before a user's own are known, fitted to a history.

use std::path::PathBuf;

use clap::Args;
use wh_scorer::engine::Ruleset;
use wh_scorer::offline::history::History;
use wh_scorer::offline::priors;
use wh_scorer::offline::source::{Lines, Source};
use wh_scorer::rules;

use crate::commands::control::{self, SendArgs};
use crate::commands::{input, runtime};
use crate::failure::Failure;
use crate::settings::Settings;
use crate::stores;

/// `fit-priors`
#[derive(Debug, Args)]
pub(crate) struct FitPriorsArgs {
    /// NDJSON, plain, gzip or zstd, or - for stdin, in place of the log.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Write the ruleset with these priors here instead of to stdout.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Send the priors to the scorer that runs: it puts them into the ruleset in force, from a position on.
    #[arg(long, conflicts_with = "output")]
    apply: bool,
    #[command(flatten)]
    send: SendArgs,
    /// Put the priors into this ruleset file's rules, in place of those in force.
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<PathBuf>,
}

pub(crate) fn run(settings: &Settings, args: &FitPriorsArgs) -> Result<(), Failure> {
    let fit = |source: &mut dyn Source| priors::fit(source, &settings.reading, &settings.ruleset.priors);
    let fitted = match &args.input {
        Some(path) => {
            let bar = input::bar("reading");
            let fitted = fit(&mut Lines::new(input::open(path, Some(&bar))?));
            bar.finish_and_clear();
            fitted?
        }
        None => {
            let runtime = runtime("fit-priors")?;
            let log = runtime.block_on(stores::open_reader(settings))?;
            let history = History::open(log, runtime.handle().clone(), None)?;
            let bar = input::counting_bar("reading", history.records());
            let fitted = fit(&mut input::Followed { source: history, bar: bar.clone() });
            bar.finish_and_clear();
            fitted?
        }
    };
    if fitted.transactions == 0 {
        return Err(Failure::Failed("there is no transaction to fit priors to: name a file with --input, or import one into the log".to_owned()));
    }
    anstream::eprint!("{}", priors::text(&fitted));
    anstream::eprintln!("{} transactions, {} records that are none; a user counts as at most {} rows of a group", fitted.transactions, fitted.unread, priors::A_USER);
    if args.apply {
        return control::apply_priors(settings, &fitted.priors, &args.send);
    }
    let ruleset = Ruleset { priors: fitted.priors, ..settings.ruleset.clone() };
    let text = rules::to_toml(&ruleset);
    match &args.output {
        None => anstream::print!("{text}"),
        Some(path) => {
            std::fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
            anstream::eprintln!("wrote {}: content hash {}; `wardhouse backtest {}` shows what it would change", path.display(), ruleset.content_hash(), path.display());
        }
    }
    Ok(())
}
