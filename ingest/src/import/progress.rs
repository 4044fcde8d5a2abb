//! How far a file is imported, in a small file of its own, so that a second run goes on where the first one ended.
//!
//! What must stay true: it is replaced as a whole or not at all, is never ahead of what the log acknowledged, and is
//! held by one import at a time.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use wh_schemas::ids;
use wh_stores::holder::Holder;

use super::{ImportError, Progress};

/// How the rows of a file turned out to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Written {
    Ndjson,
    Csv,
}

/// What makes a file the one that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// Without links and dots.
    pub(super) path: PathBuf,
    /// Bytes.
    pub(super) size: u64,
    /// Microseconds since 1970 UTC.
    pub(super) modified: i64,
}

/// What is remembered of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    /// The file, for whoever looks into the folder.
    pub(super) path: String,
    /// Its bytes when it was begun.
    pub(super) size: u64,
    /// When it was written last: microseconds since 1970 UTC.
    pub(super) modified: i64,
    pub(super) format: Written,
    /// Lines of which every row is in the log or rejected.
    pub(super) lines_done: u64,
    /// Rows of them in the log.
    pub(super) accepted: u64,
    /// Rows of them that were rejected.
    pub(super) rejected: u64,
    /// By partition: the line up to which its rows are in the log, where a batch beyond `lines_done` was acknowledged in part.
    pub(super) ahead: Vec<u64>,
    pub(super) finished: bool,
}

impl Kept {
    /// Takes over how far the import has come, and which partitions the log holds up to the line `lines`.
    pub(super) fn remember(&mut self, progress: &Progress, acknowledged: &[bool], lines: u64) {
        (self.lines_done, self.accepted, self.rejected, self.finished) = (progress.lines, progress.accepted, progress.rejected, progress.finished);
        self.ahead.resize(self.ahead.len().max(acknowledged.len()), 0);
        for (ahead, _) in self.ahead.iter_mut().zip(acknowledged).filter(|(_, done)| **done) {
            *ahead = lines.max(*ahead);
        }
    }
}

/// The place where a file's progress is kept.
#[derive(Debug)]
pub(super) struct Bookmark {
    path: PathBuf,
    pub(super) kept: Kept,
    _holder: Holder,
}

impl Bookmark {
    /// Finds what is remembered of a file, or begins.
    pub(super) fn open(folder: &Path, name: &str, identity: &Identity, format: Written, restart: bool) -> Result<Bookmark, ImportError> {
        let id = format!("{:016x}", ids::fingerprint(identity.path.as_os_str().as_encoded_bytes()));
        let path = folder.join(format!("{id}.json"));
        let holder = Holder::take(folder, &format!("import-{id}")).map_err(|e| ImportError::Busy { name: name.to_owned(), cause: e.to_string() })?;
        let fresh = Kept {
            path: identity.path.display().to_string(),
            size: identity.size,
            modified: identity.modified,
            format,
            lines_done: 0,
            accepted: 0,
            rejected: 0,
            ahead: Vec::new(),
            finished: false,
        };
        let earlier = if restart { None } else { read(&path)? };
        let kept = match earlier {
            Some(kept) => {
                let changed = |cause: &str| Err(ImportError::Changed { name: name.to_owned(), cause: cause.to_owned(), line: kept.lines_done });
                if (kept.size, kept.modified) != (fresh.size, fresh.modified) {
                    return changed("has changed");
                }
                if kept.format != fresh.format {
                    return changed("is read in another format");
                }
                kept
            }
            None => fresh,
        };
        Ok(Bookmark { path, kept, _holder: holder })
    }

    /// Writes what is remembered, and returns once it is on disk.
    pub(super) async fn save(&self) -> Result<(), ImportError> {
        let (path, kept) = (self.path.clone(), self.kept.clone());
        let saved = tokio::task::spawn_blocking(move || write(&path, &kept)).await.unwrap_or_else(|e| Err(io::Error::other(e)));
        saved.map_err(|error| failed(&self.path, &error))
    }
}

fn failed(path: &Path, error: &io::Error) -> ImportError {
    ImportError::State { path: path.display().to_string(), cause: error.to_string() }
}

fn read(path: &Path) -> Result<Option<Kept>, ImportError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path, &error)),
    };
    let told = |e: serde_json::Error| ImportError::State { path: path.display().to_string(), cause: format!("{e}; import with restart to begin at the first line") };
    serde_json::from_slice(&bytes).map(Some).map_err(told)
}

fn write(path: &Path, kept: &Kept) -> io::Result<()> {
    let temporary = path.with_extension("json.tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec_pretty(kept)?)?;
    file.sync_data()?;
    std::fs::rename(&temporary, path)
}
