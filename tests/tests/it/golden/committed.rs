//! The committed files, and how they are compared with what this version reads and writes.
//!
//! What must stay true: a file that is there is only read; one that is missing fails the run, also the one that writes it.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::Format;

/// Asks for what is missing to be written.
const WRITE: &str = "WARDHOUSE_WRITE_GOLDEN";
const COMMAND: &str = "WARDHOUSE_WRITE_GOLDEN=1 cargo test -p wh-tests --test it golden";

fn folder() -> PathBuf {
    // Asked while running: clones that share a target folder share the compiled test.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.join("tests/it/golden")
}

fn path(version: u32, name: &str) -> PathBuf {
    folder().join(format!("v{version}")).join(name)
}

/// Name of the file with what is read of a format.
fn read_name(name: &str) -> String {
    format!("{name}.read")
}

fn bytes_at(path: &Path) -> Option<Vec<u8>> {
    match std::fs::read(path) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

/// What was committed last of a format, up to a version.
pub(super) fn last(version: u32, name: &str) -> Option<Vec<u8>> {
    (1..=version).rev().find_map(|version| bytes_at(&path(version, name)))
}

/// A file's bytes; where it is missing and that was asked for, it is written, and told.
fn committed(path: &Path, make: impl FnOnce() -> Vec<u8>, written: &mut Vec<String>) -> Vec<u8> {
    if let Some(bytes) = bytes_at(path) {
        return bytes;
    }
    assert!(
        std::env::var_os(WRITE).is_some(),
        "there is no {}: was it deleted? Get it back. Is the format new, or a form of it? Run {COMMAND}, and commit what it writes",
        path.display()
    );
    let bytes = make();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    // Two tests of a format may write the same file at once: each its own, which takes the place as a whole.
    let own = path.with_extension(format!("{:?}.tmp", std::thread::current().id()));
    std::fs::write(&own, &bytes).unwrap();
    std::fs::rename(&own, path).unwrap();
    written.push(path.display().to_string());
    bytes
}

fn must_be_committed(written: &[String]) {
    assert!(written.is_empty(), "written: {}. Look at it, commit it, and run the tests without {WRITE}", written.join(", "));
}

/// Where two texts or bytes begin to differ, with what stands there.
fn difference(found: &[u8], wanted: &[u8]) -> String {
    let at = found.iter().zip(wanted).take_while(|(a, b)| a == b).count();
    let line = wanted.iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
    let around = |bytes: &[u8]| String::from_utf8_lossy(bytes.get(at.saturating_sub(60)..bytes.len().min(at + 60)).unwrap_or_default()).into_owned();
    format!("they differ from byte {at} on (line {line}), of {} and {} bytes:\n  now       …{:?}\n  committed …{:?}", found.len(), wanted.len(), around(found), around(wanted))
}

/// What was committed of a format, in every version of it, is read as it was.
pub(super) fn is_read(format: &Format) {
    let mut written = Vec::new();
    for version in 1..=format.version {
        let place = path(version, format.name);
        let bytes = committed(
            &place,
            || {
                assert!(version == format.version, "{} is gone: no version but the last can be written any more, get it back", place.display());
                (format.write)()
            },
            &mut written,
        );
        let found = (format.read)(&bytes);
        let wanted = committed(&path(version, &read_name(format.name)), || found.clone().into_bytes(), &mut written);
        assert!(
            found.as_bytes() == wanted,
            "{}: it is not read as it was committed; {}\nWhat earlier versions wrote stands in logs and stores, and comes from instances that are not replaced yet: mend the reading. Only where it is read \
             as it was, and this text shows more or says it otherwise (a field that was added, with its default): delete {} and run {COMMAND}",
            place.display(),
            difference(found.as_bytes(), &wanted),
            read_name(format.name)
        );
    }
    must_be_committed(&written);
}

/// What is written today is what was committed, and reads back.
pub(super) fn is_written(format: &Format) {
    let mut written = Vec::new();
    let today = (format.write)();
    let found = (format.read)(&today);
    let place = path(format.version, format.name);
    let bytes = committed(&place, || today.clone(), &mut written);
    let (now, then) = ((format.lasting)(&today), (format.lasting)(&bytes));
    let next = format.version + 1;
    assert!(
        now == then,
        "{}: this version writes something else than was committed; {}\nInstances of the version before read it too, while an upgrade goes on, and after a way back. Was it not meant: mend the writing. Was it: \
         make {} version {next} of the format in tests/tests/it/golden, run {COMMAND}, commit v{next}, and leave v{} as it is: it must be read on",
        place.display(),
        difference(&now, &then),
        format.name,
        format.version
    );
    let wanted = committed(&path(format.version, &read_name(format.name)), || found.clone().into_bytes(), &mut written);
    assert!(found.as_bytes() == wanted, "{}: what is written today is not read back; {}", place.display(), difference(found.as_bytes(), &wanted));
    must_be_committed(&written);
}

/// No file is left of what is no format any more, and none is beyond its version.
pub(super) fn are_all_known(formats: &[Format]) {
    let mut strangers = BTreeSet::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let entry = entry.unwrap();
        let Some(version) = entry.file_name().to_string_lossy().strip_prefix('v').and_then(|number| number.parse::<u32>().ok()) else { continue };
        for file in std::fs::read_dir(entry.path()).unwrap() {
            let name = file.unwrap().file_name().to_string_lossy().into_owned();
            let is_known = formats.iter().any(|format| version <= format.version && (name == format.name || name == read_name(format.name)));
            // One that another test writes at this moment is none yet.
            if !is_known && !name.ends_with(".tmp") {
                strangers.insert(format!("v{version}/{name}"));
            }
        }
    }
    assert!(strangers.is_empty(), "of no format: {strangers:?}. Where a format is no longer read, say so in CHANGELOG.md and delete its files");
}
