//! `wardhouse restore`: a backup into a new data folder, compared with what its manifest says and then with the log.

use std::path::PathBuf;

use anstream::println;
use clap::Args;
use wh_ops::backup;
use wh_stores::Role;

use crate::commands::backup::{bar, show, sources, tell};
use crate::commands::reconcile::{self, ReconcileArgs};
use crate::commands::{invocation, runtime};
use crate::failure::Failure;
use crate::settings::Settings;
use crate::stores;

/// `restore`
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The backup.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Do not compare the stores with the log, row by row.
    #[arg(long)]
    no_reconcile: bool,
}

pub(crate) fn run(settings: &Settings, args: &RestoreArgs) -> Result<(), Failure> {
    let sources = sources(settings);
    let runtime = runtime("restore")?;
    let log = if sources.embedded.contains_key(&Role::Log) { None } else { Some(runtime.block_on(stores::open_reader(settings))?) };
    let bar = bar();
    let mut progress = |what: &str, done: u64, whole: u64| show(&bar, what, done, whole);
    let restored = runtime.block_on(backup::restore(&args.folder, &sources, log.as_deref(), &mut progress));
    bar.finish_and_clear();
    let manifest = restored?;
    println!("{} holds what was backed up at {}: every hash, position and count is as it was", settings.data.display(), manifest.taken_at);
    tell(&manifest);
    if !args.no_reconcile {
        // It ends as `wardhouse reconcile` does: what was restored stays, whatever this finds.
        reconcile::run(settings, &ReconcileArgs::whole())?;
    }
    println!("start it as before: {} up --data {}", invocation(), settings.data.display());
    Ok(())
}
