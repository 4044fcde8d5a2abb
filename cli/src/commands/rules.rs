//! `wardhouse rules`: the ruleset in force as a file, whether a file is one and how often its own rules hold, and what differs between two.
//!
//! What must stay true: whether a file is a ruleset depends on that file alone.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use wh_scorer::engine::Ruleset;
use wh_scorer::offline::source::Lines;
use wh_scorer::offline::{pass, trial};
use wh_scorer::rules;

use crate::commands::control::{self, ApplyArgs};
use crate::commands::input;
use crate::failure::Failure;
use crate::ruleset;
use crate::settings::Settings;

/// `rules`
#[derive(Debug, Subcommand)]
pub(crate) enum RulesCommand {
    /// Print the ruleset in force as a file, every setting with its meaning.
    Show {
        /// This ruleset file, in place of the one that the settings name.
        #[arg(long, value_name = "FILE", conflicts_with = "default")]
        rules: Option<PathBuf>,
        /// The one that Wardhouse comes with.
        #[arg(long)]
        default: bool,
        /// What the scorer scores by, partition by partition, as its checkpoints have it.
        #[arg(long, conflicts_with_all = ["rules", "default"])]
        running: bool,
    },
    /// Let the scorer that runs go on under another ruleset, from a position on. Where none runs, it is recorded for the next.
    #[command(after_help = "Example: wardhouse rules apply rules.toml --reason \"fewer alerts at month-end\"")]
    Apply(ApplyArgs),
    /// Tell what was sent to the scorer (rulesets, priors, releases), and what became of it.
    History,
    /// Say whether a file is a valid ruleset, every fault at once with its line; and on transactions, how often each rule of its own holds.
    #[command(after_help = "Example: wardhouse rules check rules.toml\n         wardhouse rules check rules.toml --input my.ndjson")]
    Check {
        /// The ruleset file.
        file: PathBuf,
        /// Try its own rules on these transactions: NDJSON, plain, gzip or zstd, or - for stdin.
        #[arg(long, value_name = "FILE")]
        input: Option<PathBuf>,
    },
    /// Tell what differs between two ruleset files, or between the ruleset in force and one file.
    Diff {
        /// A ruleset file; where it is the only one, it is compared with the ruleset in force.
        before: PathBuf,
        /// The other.
        after: Option<PathBuf>,
    },
}

/// Whether a file is a ruleset, whatever the settings are: they are not read.
pub(crate) fn check(file: &Path) -> Result<(), Failure> {
    match ruleset::read(file) {
        Ok(ruleset) => {
            let enabled = ruleset.rules.iter().filter(|rule| rule.enabled).count();
            anstream::println!("{} is a valid ruleset: {:?}, content hash {}, {enabled} rules of its own in force", file.display(), ruleset.name, ruleset.content_hash());
            Ok(())
        }
        Err(faults) => {
            for fault in &faults {
                anstream::eprintln!("{fault}");
            }
            Err(Failure::Failed(format!("{} is no valid ruleset: {} faults", file.display(), faults.len())))
        }
    }
}

pub(crate) fn run(settings: &Settings, command: &RulesCommand) -> Result<(), Failure> {
    match command {
        RulesCommand::Check { file, input: None } => check(file),
        RulesCommand::Check { input: Some(input), .. } => tried(settings, input),
        RulesCommand::Apply(args) => control::apply(settings, args),
        RulesCommand::History => control::history(settings),
        RulesCommand::Show { running: true, .. } => control::running(settings),
        RulesCommand::Show { default: true, .. } => {
            anstream::print!("{}", rules::to_toml(&Ruleset::default()));
            Ok(())
        }
        RulesCommand::Show { .. } => {
            anstream::print!("{}", rules::to_toml(&settings.ruleset));
            Ok(())
        }
        RulesCommand::Diff { before, after: Some(after) } => differ(&before.display().to_string(), &read(before)?, &after.display().to_string(), &read(after)?),
        RulesCommand::Diff { before: after, after: None } => differ("in force", &settings.ruleset, &after.display().to_string(), &read(after)?),
    }
}

/// How often each rule of the ruleset's own gives points on transactions, and how often it has no answer.
fn tried(settings: &Settings, path: &Path) -> Result<(), Failure> {
    let bar = input::bar("scoring");
    let trial = trial::run(&mut Lines::new(input::open(path, Some(&bar))?), &settings.ruleset, &settings.reading, settings.partitions, input::cores());
    bar.finish_and_clear();
    let trial = trial?;
    anstream::println!("{}: {} rows scored, {} rejected, {} duplicates", path.display(), trial.passed.scored, trial.passed.rejected, trial.passed.duplicates);
    if trial.gave.is_empty() {
        anstream::println!("it has no rule of its own in force");
    } else {
        anstream::println!("{:<40} {:>12} {:>12}", "rule", "gave points", "no answer");
    }
    for (rule, gave) in &trial.gave {
        let none: u64 = trial.passed.unanswered.iter().filter(|of| of.rule == *rule).map(|of| of.rows).sum();
        anstream::println!("{rule:<40} {gave:>12} {none:>12}");
    }
    for sentence in pass::sentences(&trial.passed.unanswered, trial.passed.scored, &[]) {
        anstream::eprintln!("{sentence}");
    }
    Ok(())
}

fn read(path: &Path) -> Result<Ruleset, Failure> {
    ruleset::read(path).map_err(|faults| Failure::Failed(faults.join("\n")))
}

fn differ(before: &str, old: &Ruleset, after: &str, new: &Ruleset) -> Result<(), Failure> {
    anstream::println!("--- {before} ({})\n+++ {after} ({})", old.content_hash(), new.content_hash());
    let changes = rules::changes(old, new);
    for change in &changes {
        anstream::println!("{}", change.path);
        if let Some(value) = &change.before {
            anstream::println!("  - {value}");
        }
        if let Some(value) = &change.after {
            anstream::println!("  + {value}");
        }
    }
    match changes.len() {
        0 => anstream::eprintln!("no setting differs"),
        1 => anstream::eprintln!("1 setting differs"),
        many => anstream::eprintln!("{many} settings differ"),
    }
    Ok(())
}
