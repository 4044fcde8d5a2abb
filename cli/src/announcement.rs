//! The file by which a SQL server tells others on this machine that it runs: `sql-server.json` in the data folder.
//!
//! What must stay true: it stands there while the server runs and is removed by whoever wrote it; it is never half written; what it
//! says is believed only once the server at that address gives the same instance.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use wh_stores::disk;

const FILE: &str = "sql-server.json";

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Announcement {
    /// The process.
    pub(crate) pid: u32,
    /// Where it answers HTTP, as a URL.
    pub(crate) http: Option<String>,
    /// What names the process among all that may ever answer there.
    pub(crate) instance: String,
    /// When it began, RFC 3339.
    pub(crate) started_at: String,
}

/// Removes the file when the server ends.
#[derive(Debug)]
pub(crate) struct Announced {
    path: PathBuf,
    announcement: Announcement,
}

impl Announcement {
    /// What stands in a data folder.
    pub(crate) fn read(data: &Path) -> Option<Announcement> {
        serde_json::from_slice(&std::fs::read(data.join(FILE)).ok()?).ok()
    }

    /// Writes the file.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn write(self, data: &Path) -> Result<Announced, String> {
        let path = data.join(FILE);
        let beside = path.with_extension("tmp");
        let written = std::fs::create_dir_all(data)
            .and_then(|()| serde_json::to_vec(&self).map_err(std::io::Error::other))
            .and_then(|bytes| std::fs::write(&beside, bytes))
            .and_then(|()| std::fs::rename(&beside, &path));
        written.map_err(|error| disk::cannot_write(&path, &error))?;
        Ok(Announced { path, announcement: self })
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        // Another server may have begun since.
        let ours = self.path.parent().and_then(Announcement::read).is_some_and(|there| there == self.announcement);
        if ours && let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!("{} could not be removed: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_goes_with_the_server_that_wrote_it() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let of = |pid| Announcement { pid, http: Some("http://127.0.0.1:8081".into()), instance: format!("i{pid}"), started_at: "2026-03-01T00:00:00Z".into() };
        let first = of(1).write(&data).unwrap();
        assert_eq!(Announcement::read(&data), Some(of(1)));
        let second = of(2).write(&data).unwrap();
        drop(first);
        assert_eq!(Announcement::read(&data), Some(of(2)));
        drop(second);
        assert_eq!(Announcement::read(&data), None);
        assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0);
    }
}
