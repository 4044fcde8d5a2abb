//! The search index as it stood at one commit, copied while its sink writes.
//!
//! What must stay true: the copy holds every file that its `meta.json` names, and each is as its own checksum says. Files of an index are
//! never changed, only added and removed: what is open when the snapshot is taken can be read to its end.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tantivy::directory::META_LOCK;
use tantivy::{Directory, Index, TantivyError};
use wh_schemas::Reaction;

use super::files;

/// The file that says what the index consists of.
pub(super) const META: &str = "meta.json";
/// The file that says what the index may remove one day.
const MANAGED: &str = ".managed.json";

/// What is needed of [`META`].
#[derive(Deserialize)]
struct Meta {
    segments: Vec<Segment>,
}

#[derive(Deserialize)]
struct Segment {
    segment_id: String,
}

/// An index, held as it is until it is copied.
pub(super) struct Snapshot {
    meta: Vec<u8>,
    /// Name, what can be read, and its size.
    files: Vec<(String, File, u64)>,
}

fn told(folder: &Path, error: &TantivyError) -> Reaction {
    let said: String = error.to_string().chars().take(200).collect();
    Reaction::fatal(format!("search: the index {} cannot be read ({said})", folder.display()))
}

impl Snapshot {
    /// Takes it. Whoever writes waits only while the files are opened.
    pub(super) fn take(folder: &Path) -> Result<Snapshot, Reaction> {
        let index = Index::open_in_dir(folder).map_err(|error| told(folder, &error))?;
        // Under this lock nobody says which files can go; a `meta.json` that is read under it names files that are there.
        let _lock = index.directory().acquire_lock(&META_LOCK).map_err(|error| Reaction::fatal(format!("search: {}: {error}", folder.display())))?;
        let path = folder.join(META);
        let meta = std::fs::read(&path).map_err(|error| files::failed("cannot read", &path, &error))?;
        let named: Meta = serde_json::from_slice(&meta).map_err(|error| Reaction::fatal(format!("search: {} cannot be read: {error}", path.display())))?;
        let segments: BTreeSet<String> = named.segments.into_iter().map(|segment| segment.segment_id.replace('-', "")).collect();
        let unreadable = |path: &Path, error: std::io::Error| files::failed("cannot read", path, &error);
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(|error| unreadable(folder, error))? {
            let entry = entry.map_err(|error| unreadable(folder, error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.split_once('.').is_some_and(|(segment, _)| segments.contains(segment)) {
                let file = File::open(entry.path()).map_err(|error| unreadable(&entry.path(), error))?;
                let size = file.metadata().map_err(|error| unreadable(&entry.path(), error))?.len();
                files.push((name, file, size));
            }
        }
        Ok(Snapshot { meta, files })
    }

    /// Copies it into a new folder, and lets it go. `progress` is told bytes done and the whole.
    pub(super) fn copy(self, to: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<(), Reaction> {
        files::make(to)?;
        let whole: u64 = self.files.iter().map(|(_, _, size)| size).sum();
        let (mut done, mut managed) = (0, vec![META.to_owned()]);
        for (name, mut file, _) in self.files {
            let path = to.join(&name);
            let copied = files::copy(&mut file, &path, |bytes| {
                done += bytes;
                progress(done, whole);
            });
            copied.map_err(|error| files::failed("cannot write", &path, &error))?;
            managed.push(name);
        }
        let managed = serde_json::to_vec(&managed).map_err(|error| Reaction::fatal(format!("search: {error}")))?;
        // What the index consists of last.
        for (name, bytes) in [(MANAGED, managed), (META, self.meta)] {
            let path = to.join(name);
            let written = File::create_new(&path).and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()));
            written.map_err(|error| files::failed("cannot write", &path, &error))?;
        }
        files::sync(to).map_err(|error| files::failed("cannot write", to, &error))
    }
}

/// Documents of an index, each of whose files is as its checksum says.
pub(super) fn documents(folder: &Path) -> Result<u64, Reaction> {
    let index = Index::open_in_dir(folder).map_err(|error| told(folder, &error))?;
    let damaged = index.validate_checksum().map_err(|error| told(folder, &error))?;
    let mut damaged: Vec<PathBuf> = damaged.into_iter().collect();
    damaged.sort();
    if let Some(first) = damaged.first() {
        return Err(Reaction::fatal(format!(
            "search: {} is damaged: move the index away and start again, and the log will fill it anew as far as it reaches back",
            folder.join(first).display()
        )));
    }
    // Opens every file of it.
    index.reader().map_err(|error| told(folder, &error))?;
    let segments = index.searchable_segment_metas().map_err(|error| told(folder, &error))?;
    Ok(segments.iter().map(|segment| u64::from(segment.num_docs())).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tantivy::schema::{STRING, Schema};
    use tantivy::{IndexWriter, TantivyDocument, doc};

    #[test]
    fn a_copy_is_of_one_commit_though_files_come_and_go() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut schema = Schema::builder();
        let field = schema.add_text_field("id", STRING);
        let index = Index::create_in_dir(from.path(), schema.build()).unwrap();
        let mut writer: IndexWriter<TantivyDocument> = index.writer_with_num_threads(1, 20_000_000).unwrap();
        let mut commit = |from: u64, count: u64| {
            for id in from..from + count {
                writer.add_document(doc!(field => id.to_string())).unwrap();
            }
            writer.commit().unwrap();
        };
        for part in 0..3 {
            commit(part * 100, 100);
        }
        let held = Snapshot::take(from.path()).unwrap();
        // Enough commits for merges, after which the files that are held are removed.
        for part in 3..30 {
            commit(part * 100, 100);
        }
        let place = to.path().join("search");
        let mut last = (0, 0);
        held.copy(&place, &mut |done, whole| last = (done, whole)).unwrap();
        assert!(last.0 == last.1 && last.1 > 0, "{last:?}");
        assert_eq!(documents(&place).unwrap(), 300);
        // A flipped bit is found.
        let store = std::fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.extension().is_some_and(|kind| kind == "store")).unwrap();
        let mut bytes = std::fs::read(&store).unwrap();
        bytes[10] ^= 1;
        std::fs::write(&store, bytes).unwrap();
        assert!(documents(&place).unwrap_err().to_string().contains("is damaged"));
    }
}
