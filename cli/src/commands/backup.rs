//! `wardhouse backup`: copies everything that is in files, while it is written.

use std::path::PathBuf;

use anstream::println;
use clap::Args;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use wh_ops::backup::manifest::Manifest;
use wh_ops::backup::{self, Sources};
use wh_stores::Role;
use wh_stores::places::{BaselinesPlace, DocumentsPlace, LedgerPlace, LogPlace, MetricsPlace, SearchPlace};

use crate::build;
use crate::commands::runtime;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::stores;

/// `backup`
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// Where to: a folder that is empty or not there yet.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Where these settings keep everything.
pub(crate) fn sources(settings: &Settings) -> Sources {
    let places = &settings.places;
    let files = [
        (Role::Log, if let LogPlace::Sqlite(path) = &places.log { Some(path) } else { None }),
        (Role::Ledger, if let LedgerPlace::Sqlite(path) = &places.ledger { Some(path) } else { None }),
        (Role::Documents, if let DocumentsPlace::Sqlite(path) = &places.documents { Some(path) } else { None }),
        (Role::Metrics, if let MetricsPlace::Sqlite(path) = &places.metrics { Some(path) } else { None }),
        (Role::Baselines, if let BaselinesPlace::Sqlite(path) = &places.baselines { Some(path) } else { None }),
        (Role::Search, if let SearchPlace::Tantivy(path) = &places.search { Some(path) } else { None }),
    ];
    let mut sources = Sources { data: settings.data.clone(), ..Sources::default() };
    for (role, path) in files {
        match path {
            Some(path) => drop(sources.embedded.insert(role, path.clone())),
            None => drop(sources.elsewhere.insert(role, places.shown(role))),
        }
    }
    sources
}

/// A bar over the bytes of what is copied.
pub(crate) fn bar() -> ProgressBar {
    ProgressBar::new(0).with_style(ProgressStyle::with_template("{prefix:>10} {wide_bar} {bytes}/{total_bytes} {eta}").unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Shows how far it is.
pub(crate) fn show(bar: &ProgressBar, what: &str, done: u64, whole: u64) {
    bar.set_prefix(what.to_owned());
    bar.set_length(whole);
    bar.set_position(done);
}

/// What a backup holds, a line a role.
pub(crate) fn tell(manifest: &Manifest) {
    if manifest.log.layout > 0 {
        let records: u64 = manifest.log.topics.iter().map(|topic| topic.end - topic.start).sum();
        println!("  {:<10} {records} records, log {}", Role::Log.as_str(), manifest.log.identity);
    }
    for store in &manifest.stores {
        let rows: Vec<String> =
            store.rows.iter().filter(|(table, _)| !matches!(table.as_str(), "positions" | "wardhouse_layout")).map(|(table, rows)| format!("{rows} {table}")).collect();
        println!("  {:<10} {}", store.role, rows.join(", "));
    }
}

pub(crate) fn run(settings: &Settings, args: &BackupArgs) -> Result<(), Failure> {
    let sources = sources(settings);
    if sources.embedded.is_empty() {
        return Err(Failure::Failed("everything is on servers, which are backed up by their own means: docs/backup.md says how, and in which order".to_owned()));
    }
    let runtime = runtime("backup")?;
    let log = runtime.block_on(stores::open_reader(settings))?;
    let bar = bar();
    let mut progress = |what: &str, done: u64, whole: u64| show(&bar, what, done, whole);
    let made = runtime.block_on(backup::backup(&sources, &*log, &args.folder, build::VERSION, &mut progress));
    bar.finish_and_clear();
    let manifest = made?;
    println!("{} is a backup of {}: {} files, {}", args.folder.display(), manifest.taken_at, manifest.files.len(), HumanBytes(manifest.bytes()));
    tell(&manifest);
    for (role, place) in &manifest.elsewhere {
        println!("  {role:<10} not in it: {place} (docs/backup.md)");
    }
    Ok(())
}
