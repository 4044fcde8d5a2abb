//! The generator is what it was when detectors began to be tuned on it: its sources have the hash that was committed then.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn the_generator_has_the_hash_that_was_committed() {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap());
    let mut files = Vec::new();
    for folder in ["world", "work", "confusers", "schemes"] {
        sources(&root.join("src").join(folder), &mut files);
    }
    files.extend(["config.rs", "dice.rs", "finish.rs", "row.rs", "transaction.rs"].map(|file| root.join("src").join(file)));
    files.sort();
    let mut digest = Sha256::new();
    for file in files {
        digest.update(file.strip_prefix(&root).unwrap().to_string_lossy().as_bytes());
        digest.update([0]);
        digest.update(fs::read(&file).unwrap());
    }
    let found: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let committed = fs::read_to_string(root.join("generator.sha256")).unwrap();
    assert_eq!(found, committed.trim(), "the generator was changed after detectors were tuned on it: tune anew, or take the change back");
}
