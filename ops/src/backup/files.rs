//! Files of a backup: copied with their hash, and on disk before anybody says so.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wh_schemas::Reaction;

use super::Progress;
use super::manifest::{FILE, FileState};

const CHUNK: usize = 1 << 20;

/// What failed on a file, in words.
pub(super) fn failed(doing: &str, path: &Path, error: &io::Error) -> Reaction {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Reaction::fatal(format!("no space left for {}: make room, or name a folder on another disk", path.display())),
        _ => Reaction::fatal(format!("{doing} {}: {error}", path.display())),
    }
}

/// Makes a folder and those above it.
pub(super) fn make(folder: &Path) -> Result<(), Reaction> {
    std::fs::create_dir_all(folder).map_err(|error| failed("cannot make", folder, &error))
}

/// Whether nothing is there, or an empty folder.
pub(super) fn is_free(path: &Path) -> Result<bool, Reaction> {
    match std::fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotADirectory => Ok(false),
        Err(error) => Err(failed("cannot read", path, &error)),
    }
}

/// Makes the folder of a backup; one that holds anything is refused.
pub(super) fn claim(folder: &Path) -> Result<(), Reaction> {
    if !is_free(folder)? {
        return Err(Reaction::fatal(format!("{} is not empty: a backup wants a folder of its own", folder.display())));
    }
    make(folder)
}

/// Returns once a file, or the names in a folder, are on disk.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Returns once the names in a folder, and in all below it, are on disk: a file that is there may have no name yet.
pub(super) fn sync_names(folder: &Path) -> Result<(), Reaction> {
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let told = |error: io::Error| failed("cannot write", &folder, &error);
        for entry in std::fs::read_dir(&folder).map_err(told)? {
            let entry = entry.map_err(told)?;
            if entry.file_type().map_err(told)?.is_dir() {
                open.push(entry.path());
            }
        }
        sync(&folder).map_err(told)?;
    }
    Ok(())
}

/// Copies what can be read into a new file, and gives its size and SHA-256 once it is on disk.
pub(super) fn copy(from: &mut impl Read, to: &Path, mut told: impl FnMut(u64)) -> io::Result<(u64, String)> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(to)?;
    let facts = read_all(from, |bytes| {
        told(bytes.len() as u64);
        file.write_all(bytes)
    })?;
    file.sync_all()?;
    Ok(facts)
}

/// Reads to the end; gives the number of bytes and their SHA-256.
fn read_all(from: &mut impl Read, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<(u64, String)> {
    let (mut digest, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; CHUNK]);
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        digest.update(&buffer[..count]);
        each(&buffer[..count])?;
        bytes += count as u64;
    }
    let text = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((bytes, text))
}

/// Whether a file is not worth a copy: locks, and what is half written.
fn is_passing(name: &str) -> bool {
    name.ends_with(".tmp") || name.ends_with(".lock")
}

/// Files below a folder, in order of their names; none where it is not there.
fn below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut open, mut found) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = open.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Copies the files of a folder, but for what is passing. One that goes away meanwhile is not missed.
pub(super) fn copy_folder(from: &Path, to: &Path) -> Result<(), Reaction> {
    for path in below(from).map_err(|error| failed("cannot read", from, &error))? {
        let Ok(name) = path.strip_prefix(from) else { continue };
        if is_passing(&name.to_string_lossy()) {
            continue;
        }
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(failed("cannot read", &path, &error)),
        };
        let target = to.join(name);
        if let Some(folder) = target.parent() {
            make(folder)?;
        }
        copy(&mut file, &target, |_| ()).map_err(|error| failed("cannot write", &target, &error))?;
    }
    Ok(())
}

/// Size and hash of every file of a backup, read back from where it is.
pub(super) fn facts_of_all(folder: &Path, progress: &mut Progress<'_>) -> Result<Vec<FileState>, Reaction> {
    let paths = below(folder).map_err(|error| failed("cannot read", folder, &error))?;
    let size = |path: &PathBuf| std::fs::metadata(path).map_or(0, |facts| facts.len());
    let whole: u64 = paths.iter().map(size).sum();
    let mut done = 0;
    let mut files = Vec::new();
    for path in paths {
        let Ok(name) = path.strip_prefix(folder) else { continue };
        let name: Vec<_> = name.iter().map(|part| part.to_string_lossy()).collect();
        let name = name.join("/");
        if name == FILE || is_passing(&name) {
            continue;
        }
        let mut read = |file: &mut File| {
            read_all(file, |bytes| {
                done += bytes.len() as u64;
                progress("hashes", done, whole);
                Ok(())
            })
        };
        let (bytes, sha256) = File::open(&path).and_then(|mut file| read(&mut file)).map_err(|error| failed("cannot read", &path, &error))?;
        files.push(FileState { path: name, bytes, sha256 });
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_tells_what_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let (bytes, sha256) = copy(&mut &b"abc"[..], &path, |_| ()).unwrap();
        assert_eq!((bytes, sha256.as_str()), (3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
        assert_eq!(copy(&mut &b"abc"[..], &path, |_| ()).unwrap_err().kind(), ErrorKind::AlreadyExists);
        make(&folder.path().join("b/c")).unwrap();
        sync_names(folder.path()).unwrap();
        let facts = facts_of_all(folder.path(), &mut |_, _, _| ()).unwrap();
        assert_eq!(facts, [FileState { path: "a".to_owned(), bytes, sha256 }]);
    }

    #[test]
    fn locks_and_half_written_files_are_left_out() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for name in ["locks/up.lock", "progress.json", "progress.tmp", "deep/er/kept.ndjson"] {
            make(from.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(from.path().join(name), name).unwrap();
        }
        copy_folder(from.path(), to.path()).unwrap();
        let found: Vec<String> = facts_of_all(to.path(), &mut |_, _, _| ()).unwrap().into_iter().map(|file| file.path).collect();
        assert_eq!(found, ["deep/er/kept.ndjson", "progress.json"]);
        copy_folder(&from.path().join("nothing"), to.path()).unwrap();
    }

    #[test]
    fn a_folder_that_holds_something_is_not_free() {
        let folder = tempfile::tempdir().unwrap();
        assert!(is_free(folder.path()).unwrap() && is_free(&folder.path().join("none")).unwrap());
        std::fs::write(folder.path().join("x"), "").unwrap();
        assert!(!is_free(folder.path()).unwrap() && !is_free(&folder.path().join("x")).unwrap());
        assert!(claim(folder.path()).unwrap_err().to_string().contains("not empty"));
    }
}
