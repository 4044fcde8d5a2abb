//! Backup of what is kept in files while it is written, and restore.
//!
//! A copy is shaped like a data folder, with a [`manifest`] beside it. What must stay true: every file is copied as it stood at one
//! moment, those moments lie close together, and the log's is the last, so that the log's copy reaches as far as every store's; the
//! manifest is written last, so that a copy without one is no backup; nothing of the data folder is changed.

mod files;
mod index;
pub mod manifest;
mod restore;
mod sqlite;
mod survey;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use wh_eventlog::Reader;
use wh_schemas::Reaction;
use wh_schemas::layout::{self, Layout};
use wh_stores::{Role, clock};

pub use manifest::Manifest;
pub use restore::restore;

/// Told while files are copied: which, and how many bytes of how many.
pub type Progress<'a> = dyn FnMut(&str, u64, u64) + Send + 'a;

/// Where everything is kept.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// What is in files: the log's folder, the index's folder, a store's file.
    pub embedded: BTreeMap<Role, PathBuf>,
    /// What is on a server, and which, without secrets.
    pub elsewhere: BTreeMap<Role, String>,
    /// The data folder.
    pub data: PathBuf,
}

/// Folders of the data folder that hold how far imports and the generator have come.
const BESIDE: [&str; 2] = ["generator", "import"];

/// The scorer and the sinks in any order, then the log.
const ORDER: [Role; 6] = [Role::Baselines, Role::Ledger, Role::Documents, Role::Metrics, Role::Search, Role::Log];

/// Where a role stands in a backup.
fn place_of(role: Role) -> &'static str {
    match role {
        Role::Log => "log",
        Role::Ledger => "ledger.db",
        Role::Documents => "documents.db",
        Role::Metrics => "metrics.db",
        Role::Baselines => "baselines.db",
        Role::Search => "search",
    }
}

/// The tables of a role that is kept in a SQLite file; none of the index.
fn layout_of(role: Role) -> Option<&'static Layout> {
    match role {
        Role::Log => Some(&layout::LOG),
        Role::Ledger => Some(&layout::LEDGER),
        Role::Documents => Some(&layout::DOCUMENTS),
        Role::Metrics => Some(&layout::METRICS),
        Role::Baselines => Some(&layout::BASELINES),
        Role::Search => None,
    }
}

/// The layout's version that this program reads and writes.
fn version_of(role: Role) -> i64 {
    layout_of(role).map_or(layout::SEARCH_VERSION, |layout| layout.version)
}

/// The file of a role that is kept in one; of the log, the one in its folder.
fn file_of(role: Role, path: &Path) -> PathBuf {
    if role == Role::Log { wh_eventlog::embedded::file_of(path) } else { path.to_owned() }
}

/// A role as it stood at one moment.
enum Held {
    File(sqlite::Snapshot),
    Index(index::Snapshot),
}

impl Held {
    /// Nothing where the store is not there yet.
    fn take(role: Role, path: &Path) -> Result<Option<Held>, Reaction> {
        match layout_of(role) {
            Some(layout) => {
                let file = file_of(role, path);
                if file.exists() { sqlite::Snapshot::take(&file, layout).map(|held| Some(Held::File(held))) } else { Ok(None) }
            }
            None if path.join(index::META).exists() => index::Snapshot::take(path).map(|held| Some(Held::Index(held))),
            None => Ok(None),
        }
    }

    /// Copies it, and lets it go.
    fn copy(self, role: Role, to: &Path, progress: &mut Progress<'_>) -> Result<(), Reaction> {
        let mut told = |done, whole| progress(role.as_str(), done, whole);
        match self {
            Held::File(held) => {
                let file = file_of(role, to);
                if let Some(folder) = file.parent() {
                    files::make(folder)?;
                }
                held.copy(&file, &mut told)
            }
            Held::Index(held) => held.copy(to, &mut told),
        }
    }
}

/// Copies everything that is in files into the folder `to`, which must be empty or not there, while all of it may be written. `log`
/// is the log wherever it is. `build` is this program's version.
///
/// # Errors
/// Fatal where something cannot be read or written, or is damaged, or the log was set back behind a store. Transient where records were removed meanwhile that a copy still
/// needs: another run may succeed. What was copied until then is left, without a manifest.
pub async fn backup(sources: &Sources, log: &dyn Reader, to: &Path, build: &str, progress: &mut Progress<'_>) -> Result<Manifest, Reaction> {
    if let Some(folder) = sources.embedded.get(&Role::Log)
        && !file_of(Role::Log, folder).exists()
    {
        return Err(Reaction::fatal(format!("there is no log in {}: start `wardhouse up` on this data folder first, or name another (--data DIR)", folder.display())));
    }
    files::claim(to)?;
    let taken_at = clock::now();
    // Before the log: what they say to be in it must be in its copy.
    for folder in BESIDE {
        files::copy_folder(&sources.data.join(folder), &to.join(folder))?;
    }
    let mut held = Vec::new();
    for role in ORDER {
        if let Some(path) = sources.embedded.get(&role)
            && let Some(snapshot) = Held::take(role, path)?
        {
            held.push((role, snapshot));
        }
    }
    // A log that is elsewhere is not copied: what it holds after all that was copied.
    let elsewhere = if sources.embedded.contains_key(&Role::Log) { None } else { Some(survey::log(log, 0).await?) };
    let mut copied = BTreeMap::new();
    for (role, snapshot) in held {
        let place = to.join(place_of(role));
        snapshot.copy(role, &place, progress)?;
        copied.insert(role, place);
    }
    let log = match elsewhere {
        Some(log) => log,
        None => survey::embedded_log(&to.join(place_of(Role::Log))).await?,
    };
    let stores = survey::stores(&copied)?;
    if let Some(told) = manifest::set_back(&log, &stores) {
        return Err(Reaction::fatal(format!("{told}; what was copied into {} is no backup: remove it", to.display())));
    }
    if let Some(first) = manifest::uncovered(&log, &stores).into_iter().next() {
        return Err(Reaction::transient(format!("{first}: it was removed while the backup was made; remove {} and run it again", to.display())));
    }
    let elsewhere = sources.elsewhere.iter().map(|(role, place)| (role.to_string(), place.clone())).collect();
    let files = files::facts_of_all(to, progress)?;
    files::sync_names(to)?;
    let manifest = Manifest { format: manifest::FORMAT, wardhouse: build.to_owned(), taken_at, log, stores, elsewhere, files };
    manifest.write(to)?;
    Ok(manifest)
}
