//! The search index, opened once and followed from commit to commit.
//!
//! What must stay true: nothing is written; a query sees one commit as a whole, the last one at the time of its scan.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ::tantivy::index::SegmentId;
use ::tantivy::{Index, IndexReader, ReloadPolicy, Searcher, TantivyError};
use wh_stores::tantivy::layout;

use crate::errors::QueryError;

struct Open {
    index: Index,
    reader: IndexReader,
    /// What the reader shows: the commit, and the segments into which it was merged since.
    commit: (u64, Vec<SegmentId>),
}

/// The index of `search.alerts`.
pub(crate) struct SearchIndex {
    /// Its folder.
    pub(crate) path: PathBuf,
    open: Mutex<Option<Open>>,
}

impl fmt::Debug for SearchIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SearchIndex").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SearchIndex {
    pub(crate) fn new(path: PathBuf) -> SearchIndex {
        SearchIndex { path, open: Mutex::new(None) }
    }

    /// What a failure says.
    pub(crate) fn failed(&self, what: &dyn fmt::Display) -> QueryError {
        QueryError::Store {
            role: "search",
            // Without the file that it may quote.
            message: format!("{}: {}", self.path.display(), what.to_string().split(" Content: ").next().unwrap_or_default().chars().take(200).collect::<String>()),
            remedy: "stop `wardhouse up`, move the folder away and start again: the log fills it anew as far as it reaches back".to_owned(),
        }
    }

    /// The index and a view of its last commit. Blocks.
    pub(crate) fn searcher(&self) -> Result<(Index, Searcher), QueryError> {
        self.with_open(|open| Ok((open.index.clone(), open.reader.searcher())))
    }

    /// The payload of the last commit. Blocks.
    pub(crate) fn payload(&self) -> Result<Option<String>, QueryError> {
        self.with_open(|open| Ok(open.index.load_metas()?.payload))
    }

    fn with_open<T>(&self, work: impl FnOnce(&Open) -> Result<T, TantivyError>) -> Result<T, QueryError> {
        if !self.path.join("meta.json").exists() {
            return Err(QueryError::Store {
                role: "search",
                message: format!("there is no index in {} yet", self.path.display()),
                remedy: "start `wardhouse up` on this data folder, or name another by --data".to_owned(),
            });
        }
        let mut held = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let followed = match held.as_mut() {
            Some(open) => open.follow(),
            None => Open::new(&self.path).map(|open| *held = Some(open)),
        };
        let done = followed.and_then(|()| held.as_ref().map(work).transpose());
        match done {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(QueryError::internal("the search index was not opened")),
            Err(error) => {
                // Whatever it was, the next query opens it anew.
                *held = None;
                Err(self.failed(&error))
            }
        }
    }
}

impl Open {
    fn new(path: &Path) -> Result<Open, TantivyError> {
        let index = Index::open_in_dir(path)?;
        layout::register_analyzer(&index);
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let commit = commit_of(&index)?;
        Ok(Open { index, reader, commit })
    }

    fn follow(&mut self) -> Result<(), TantivyError> {
        let commit = commit_of(&self.index)?;
        if commit != self.commit {
            self.reader.reload()?;
            self.commit = commit;
        }
        Ok(())
    }
}

fn commit_of(index: &Index) -> Result<(u64, Vec<SegmentId>), TantivyError> {
    let metas = index.load_metas()?;
    Ok((metas.opstamp, metas.segments.iter().map(|segment| segment.id()).collect()))
}
