//! A backup back into an empty data folder.
//!
//! What must stay true: nothing that is there is written over; what is not as the manifest says is not restored; the log's file gets its
//! name last, so that a restore that was broken off is no data folder that anything goes on with.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use wh_eventlog::Reader;
use wh_schemas::Reaction;
use wh_stores::Role;

use super::manifest::{self, FileState, Manifest};
use super::{BESIDE, Progress, Sources, file_of, files, place_of, survey, version_of};

/// Copies the backup in `from` to where the settings keep everything, which must be empty or not there, and compares it with what the
/// manifest says. `log` is the log where that is on a server.
///
/// # Errors
/// Fatal where a place is not empty, the settings keep roles elsewhere than the backup has them, a newer Wardhouse made it, a file is
/// not what was backed up, or the log on a server is another, or does not reach back to where the stores stand. What was copied
/// until then is removed.
pub async fn restore(from: &Path, to: &Sources, log: Option<&dyn Reader>, progress: &mut Progress<'_>) -> Result<Manifest, Reaction> {
    let manifest = Manifest::read(from)?;
    fits(&manifest, to)?;
    if let Some(log) = log {
        goes_on(&manifest, log).await?;
    }
    for path in [&to.data].into_iter().chain(to.embedded.values()) {
        if !files::is_free(path)? {
            return Err(Reaction::fatal(format!(
                "{} is not empty: a backup is restored into a folder that is not there yet (--data DIR), and writes over nothing",
                path.display()
            )));
        }
    }
    let mut made = Vec::new();
    let restored = match copy(&manifest, from, to, &mut made, progress) {
        Ok(()) => compare(&manifest, to).await,
        Err(reaction) => Err(reaction),
    };
    if let Err(reaction) = restored {
        remove(&made, to);
        return Err(reaction);
    }
    Ok(manifest)
}

/// Removes what was made, and folders that are empty then. What cannot be removed stays, and a second try will say that the place is not empty.
fn remove(made: &[PathBuf], to: &Sources) {
    for path in made {
        drop(std::fs::remove_file(path));
    }
    // Whoever looks into an index leaves this behind.
    if let Some(index) = to.embedded.get(&Role::Search) {
        drop(std::fs::remove_file(index.join(".tantivy-meta.lock")));
    }
    let mut folders: Vec<&Path> = made.iter().filter_map(|path| path.parent()).chain([to.data.as_path()]).collect();
    // The innermost first.
    folders.sort_by_key(|folder| std::cmp::Reverse(folder.components().count()));
    folders.dedup();
    for folder in folders {
        drop(std::fs::remove_dir(folder));
    }
}

/// Whether these settings keep each role as the backup does, and this program knows how.
fn fits(manifest: &Manifest, to: &Sources) -> Result<(), Reaction> {
    for role in to.embedded.keys() {
        if let Some(place) = manifest.elsewhere.get(role.as_str()) {
            return Err(Reaction::fatal(format!(
                "this backup holds no {role}: it was kept on {place}; name that server in stores.{role}, as the settings did when the backup was made"
            )));
        }
    }
    let roles = Role::ALL.into_iter().filter(|role| !to.embedded.contains_key(role));
    for role in roles {
        let held = if role == Role::Log { !manifest.elsewhere.contains_key(role.as_str()) } else { manifest.stores.iter().any(|store| store.role == role.as_str()) };
        if held {
            return Err(Reaction::fatal(format!("this backup holds the {role} as files, and stores.{role} names a server: restore with settings that keep it in files")));
        }
    }
    let stores = manifest.stores.iter().map(|store| (store.role.as_str(), store.layout));
    for (name, layout) in stores.chain([(Role::Log.as_str(), manifest.log.layout)]) {
        let Some(role) = Role::ALL.into_iter().find(|role| role.as_str() == name) else {
            return Err(Reaction::fatal(format!("this backup holds a store {name:?}, which this Wardhouse does not know: restore it with {}", manifest.wardhouse)));
        };
        if layout > version_of(role) {
            return Err(Reaction::fatal(format!(
                "this backup's {role} was written by a newer Wardhouse (layout {layout}, this one knows {}): restore it with {}",
                version_of(role),
                manifest.wardhouse
            )));
        }
    }
    Ok(())
}

/// Whether a log on a server is the one that the stores were filled from, and still reaches back to where they stand.
async fn goes_on(manifest: &Manifest, log: &dyn Reader) -> Result<(), Reaction> {
    let found = survey::log(log, 0).await?;
    if found.identity != manifest.log.identity {
        return Err(Reaction::fatal("the log that stores.log names is not the one that this backup's stores were filled from: their positions mean nothing in it"));
    }
    match manifest::uncovered(&found, &manifest.stores).into_iter().next() {
        Some(first) => Err(Reaction::fatal(format!("{first}: take a younger backup of the stores; the log keeps its records for a time only"))),
        None => Ok(()),
    }
}

/// Where a file of the backup belongs.
fn target(file: &FileState, to: &Sources) -> Option<PathBuf> {
    let path = Path::new(&file.path);
    if !path.components().all(|part| matches!(part, Component::Normal(_))) {
        return None;
    }
    if BESIDE.iter().any(|folder| path.starts_with(folder)) {
        return Some(to.data.join(path));
    }
    to.embedded.iter().find_map(|(role, place)| {
        let rest = path.strip_prefix(place_of(*role)).ok()?;
        match role {
            Role::Log => Some(file_of(*role, place)).filter(|file| file.file_name() == Some(rest.as_os_str())),
            Role::Search => Some(place.join(rest)),
            _ => Some(place.clone()).filter(|_| rest.as_os_str().is_empty()),
        }
    })
}

fn copy(manifest: &Manifest, from: &Path, to: &Sources, made: &mut Vec<PathBuf>, progress: &mut Progress<'_>) -> Result<(), Reaction> {
    let whole = manifest.bytes();
    let mut done = 0;
    let mut last = None;
    for state in &manifest.files {
        let Some(target) = target(state, to) else {
            return Err(Reaction::fatal(format!("{} names a file that no backup holds ({:?}): it is damaged", from.join(manifest::FILE).display(), state.path)));
        };
        if let Some(folder) = target.parent() {
            files::make(folder)?;
        }
        // The log's file under another name, until everything else is there.
        let is_log = to.embedded.get(&Role::Log).is_some_and(|folder| file_of(Role::Log, folder) == target);
        let path = if is_log { target.with_extension("restoring") } else { target.clone() };
        let source = from.join(&state.path);
        let mut file = File::open(&source).map_err(|error| files::failed("cannot read", &source, &error))?;
        let copied = files::copy(&mut file, &path, |bytes| {
            done += bytes;
            progress("restoring", done, whole);
        });
        if !matches!(&copied, Err(error) if error.kind() == ErrorKind::AlreadyExists) {
            made.push(path.clone());
        }
        let (bytes, sha256) = copied.map_err(|error| files::failed("cannot write", &path, &error))?;
        if (bytes, sha256.as_str()) != (state.bytes, state.sha256.as_str()) {
            return Err(Reaction::fatal(format!("{} is not what was backed up ({bytes} bytes, SHA-256 {sha256}): it is damaged, use another backup", source.display())));
        }
        if is_log {
            last = Some((path, target));
        }
    }
    // Their names too, before the log's makes a data folder of it.
    let folders: BTreeSet<&Path> = made.iter().filter_map(|path| path.parent()).collect();
    for folder in folders {
        files::sync(folder).map_err(|error| files::failed("cannot write", folder, &error))?;
    }
    if let Some((path, target)) = last {
        std::fs::rename(&path, &target).map_err(|error| files::failed("cannot write", &target, &error))?;
        made.push(target.clone());
        if let Some(folder) = target.parent() {
            files::sync(folder).map_err(|error| files::failed("cannot write", folder, &error))?;
        }
    }
    Ok(())
}

/// Whether what is there now is what the manifest says: identity, positions, rows.
async fn compare(manifest: &Manifest, to: &Sources) -> Result<(), Reaction> {
    let log = match to.embedded.get(&Role::Log) {
        Some(folder) => Some(survey::embedded_log(folder).await?),
        None => None,
    };
    let held = |role: &Role| manifest.stores.iter().any(|store| store.role == role.as_str());
    let places: BTreeMap<Role, PathBuf> = to.embedded.iter().filter(|(role, _)| held(role)).map(|(role, path)| (*role, path.clone())).collect();
    let stores = survey::stores(&places)?;
    match manifest::difference(manifest, log.as_ref(), &stores) {
        Some(difference) => Err(Reaction::fatal(format!("what was restored is not what was backed up: {difference}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources() -> Sources {
        let embedded = Role::ALL.into_iter().filter(|role| *role != Role::Metrics).map(|role| (role, Path::new("/new").join(place_of(role)))).collect();
        Sources { embedded, elsewhere: [(Role::Metrics, "influxdb://h/o/b".to_owned())].into(), data: "/new".into() }
    }

    fn place(path: &str) -> Option<PathBuf> {
        target(&FileState { path: path.to_owned(), bytes: 0, sha256: String::new() }, &sources())
    }

    #[test]
    fn each_file_goes_to_where_the_settings_keep_it_and_nowhere_else() {
        assert_eq!(place("log/log.db"), Some("/new/log/log.db".into()));
        assert_eq!(place("ledger.db"), Some("/new/ledger.db".into()));
        assert_eq!(place("search/meta.json"), Some("/new/search/meta.json".into()));
        assert_eq!(place("import/a.json"), Some("/new/import/a.json".into()));
        for path in ["metrics.db", "ledger.db/x", "log/other.db", "../ledger.db", "/etc/passwd", "import/../../x", "other"] {
            assert_eq!(place(path), None, "{path}");
        }
    }
}
