//! `wardhouse rules`: the ruleset in force as a file, whether a file is one, and what differs between two.

use std::path::Path;

use wh_scorer::engine::Ruleset;
use wh_scorer::rules;

use crate::args::RulesCommand;
use crate::commands::control;
use crate::failure::Failure;
use crate::ruleset;
use crate::settings::Settings;

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
        RulesCommand::Check { file } => check(file),
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
