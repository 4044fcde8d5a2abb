//! What a backup says of itself, in the file [`FILE`]: which log it is of, how far each store has come, how much each holds, and the
//! hash of every file. Pure but for reading and writing that file.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};
use wh_eventlog::incidents::SET_BACK;
use wh_schemas::{Micros, Reaction};

use super::files;

/// Raised when an older Wardhouse could not restore what a newer one wrote.
pub const FORMAT: u32 = 1;
/// Name of the file.
pub const FILE: &str = "backup.json";

/// A backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// See [`FORMAT`].
    pub format: u32,
    /// Version and commit of the program that made it.
    pub wardhouse: String,
    /// When it was begun.
    pub taken_at: Micros,
    /// The log; where it is not in the backup, as it stood then.
    pub log: LogState,
    /// Stores and checkpoints in the backup.
    pub stores: Vec<StoreState>,
    /// Roles that are not in the backup, and where they were.
    pub elsewhere: BTreeMap<String, String>,
    /// Every file of the backup but this one.
    pub files: Vec<FileState>,
}

/// What a log holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogState {
    /// Tells this log from every other.
    pub identity: String,
    /// Its layout; 0 where it is not in the backup.
    pub layout: i64,
    /// Every topic and partition.
    pub topics: Vec<TopicState>,
}

/// What one partition of the log holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicState {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// First offset that is there.
    pub start: u64,
    /// Offset of the next record.
    pub end: u64,
}

/// What a store holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreState {
    /// The role.
    pub role: String,
    /// Its layout.
    pub layout: i64,
    /// How far it has come, by topic and partition that it reads.
    pub positions: Vec<PositionState>,
    /// Rows by table; of the index, its documents.
    pub rows: BTreeMap<String, u64>,
}

/// How far a store has come in one partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PositionState {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// Every `seq` below it is settled there.
    pub next_seq: u64,
    /// Offset from which reading goes on.
    pub next_offset: u64,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileState {
    /// From the backup's folder on, with `/`.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// Reads the manifest of the backup in `folder`.
    ///
    /// # Errors
    /// Fatal where there is none, it is damaged, or a newer Wardhouse wrote it.
    pub fn read(folder: &Path) -> Result<Manifest, Reaction> {
        #[derive(Deserialize)]
        struct Versioned {
            format: u32,
            wardhouse: String,
        }
        let path = folder.join(FILE);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Reaction::fatal(format!("{} is no backup, or one that did not come to its end: it has no {FILE}", folder.display())));
            }
            Err(error) => return Err(files::failed("cannot read", &path, &error)),
        };
        let damaged = |error: serde_json::Error| Reaction::fatal(format!("{} cannot be read ({error}): the backup is damaged, take another one", path.display()));
        let Versioned { format, wardhouse } = serde_json::from_slice(&bytes).map_err(damaged)?;
        if format > FORMAT {
            return Err(Reaction::fatal(format!("{} was written by a newer Wardhouse ({wardhouse}): restore it with that version", path.display())));
        }
        serde_json::from_slice(&bytes).map_err(damaged)
    }

    /// Writes it, whole or not at all.
    pub(super) fn write(&self, folder: &Path) -> Result<(), Reaction> {
        let (path, beside) = (folder.join(FILE), folder.join("backup.json.tmp"));
        let text = serde_json::to_vec_pretty(self).map_err(|error| Reaction::fatal(format!("{}: {error}", path.display())))?;
        std::fs::write(&beside, text).and_then(|()| files::sync(&beside)).map_err(|error| files::failed("cannot write", &beside, &error))?;
        std::fs::rename(&beside, &path).and_then(|()| files::sync(folder)).map_err(|error| files::failed("cannot write", &path, &error))
    }

    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// Positions from which the log cannot go on, a sentence each: it ends before them, or no longer reaches back to them.
#[must_use]
pub fn uncovered(log: &LogState, stores: &[StoreState]) -> Vec<String> {
    let mut told = Vec::new();
    for store in stores {
        for at in &store.positions {
            let place = format!("{} goes on from offset {} of {} partition {}", store.role, at.next_offset, at.topic, at.partition);
            match log.topics.iter().find(|topic| topic.topic == at.topic && topic.partition == at.partition) {
                None => told.push(format!("{place}, and the log has no such partition")),
                Some(topic) if at.next_offset > topic.end => told.push(format!("{place}, and the log ends at {}", topic.end)),
                Some(topic) if at.next_offset < topic.start => told.push(format!("{place}, and the log begins at {}", topic.start)),
                Some(_) => {}
            }
        }
    }
    told
}

/// The first position that lies beyond the end of the log, in a sentence: the log was set back alone, or is another's.
#[must_use]
pub(super) fn set_back(log: &LogState, stores: &[StoreState]) -> Option<String> {
    let beyond = |store: &StoreState, at: &PositionState| {
        let end = log.topics.iter().find(|topic| topic.topic == at.topic && topic.partition == at.partition)?.end;
        let what = if store.role == "baselines" { "the scorer's checkpoint in baselines" } else { store.role.as_str() };
        (at.next_offset > end).then(|| {
            format!(
                "{what} goes on from offset {} of {} partition {}, and the log ends at {end}: the log {SET_BACK} to an earlier state, or is not the one that this store was \
                 written from; no backup of them would go on. Restore the log and its stores from the same backup, or start the store fresh, and back up then",
                at.next_offset, at.topic, at.partition
            )
        })
    };
    stores.iter().find_map(|store| store.positions.iter().find_map(|at| beyond(store, at)))
}

/// The first thing in which what was found is not what the manifest says.
#[must_use]
pub(super) fn difference(manifest: &Manifest, log: Option<&LogState>, stores: &[StoreState]) -> Option<String> {
    if let Some(log) = log
        && *log != manifest.log
    {
        return Some("the log holds other records than the manifest says".to_owned());
    }
    for wanted in &manifest.stores {
        match stores.iter().find(|store| store.role == wanted.role) {
            None => return Some(format!("{} is not there", wanted.role)),
            Some(found) if found.positions != wanted.positions => return Some(format!("{} stands elsewhere than the manifest says", wanted.role)),
            Some(found) if found.rows != wanted.rows => {
                let table = wanted.rows.iter().find(|(table, rows)| found.rows.get(*table) != Some(*rows));
                let (table, rows) = table.map_or(("another table", 0), |(table, rows)| (table.as_str(), *rows));
                return Some(format!("{}: {table} holds {} rows, and the manifest says {rows}", wanted.role, found.rows.get(table).copied().unwrap_or(0)));
            }
            Some(_) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> LogState {
        let topics = (0..2).map(|partition| TopicState { topic: "risk-scores".to_owned(), partition, start: 10, end: 20 }).collect();
        LogState { identity: "x".to_owned(), layout: 1, topics }
    }

    fn store(partition: u32, next_offset: u64) -> StoreState {
        let positions = vec![PositionState { topic: "risk-scores".to_owned(), partition, next_seq: next_offset, next_offset }];
        StoreState { role: "ledger".to_owned(), layout: 1, positions, rows: [("transactions".to_owned(), 7)].into() }
    }

    fn manifest() -> Manifest {
        Manifest { format: FORMAT, wardhouse: "0.1.0".to_owned(), taken_at: Micros(5), log: log(), stores: vec![store(0, 12)], elsewhere: BTreeMap::new(), files: Vec::new() }
    }

    #[test]
    fn the_log_must_reach_from_each_position_on() {
        for (next_offset, told) in [(10, None), (20, None), (21, Some("the log ends at 20")), (9, Some("the log begins at 10"))] {
            let found = uncovered(&log(), &[store(1, next_offset)]);
            assert_eq!(found.is_empty(), told.is_none(), "{next_offset}: {found:?}");
            assert!(told.is_none_or(|told| found[0].contains(told)), "{found:?}");
        }
        assert!(uncovered(&log(), &[store(2, 15)])[0].contains("no such partition"));
    }

    #[test]
    fn a_store_or_a_checkpoint_ahead_of_the_log_is_told_from_what_was_removed() {
        assert_eq!(set_back(&log(), &[store(0, 20), store(1, 9)]), None, "what retention took is another thing");
        let told = set_back(&log(), &[store(0, 20), store(1, 21)]).unwrap();
        assert!(told.starts_with("ledger goes on from offset 21") && told.contains("the log was set back"), "{told}");
        let checkpoint = StoreState { role: "baselines".to_owned(), ..store(0, 25) };
        assert!(set_back(&log(), &[checkpoint]).unwrap().starts_with("the scorer's checkpoint in baselines goes on from offset 25"));
    }

    #[test]
    fn a_manifest_reads_back_and_a_newer_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Manifest::read(folder.path()).unwrap_err().to_string().contains("is no backup"));
        manifest().write(folder.path()).unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap(), manifest());
        std::fs::write(folder.path().join(FILE), r#"{"format":2,"wardhouse":"9.9","new":[]}"#).unwrap();
        assert!(Manifest::read(folder.path()).unwrap_err().to_string().contains("newer Wardhouse (9.9)"));
        std::fs::write(folder.path().join(FILE), r#"{"format":1,"#).unwrap();
        assert!(Manifest::read(folder.path()).unwrap_err().to_string().contains("damaged"));
    }

    #[test]
    fn every_difference_is_told() {
        assert_eq!(difference(&manifest(), Some(&log()), &[store(0, 12)]), None);
        assert!(difference(&manifest(), Some(&LogState { identity: "y".to_owned(), ..log() }), &[store(0, 12)]).unwrap().contains("the log"));
        assert!(difference(&manifest(), None, &[]).unwrap().contains("ledger is not there"));
        assert!(difference(&manifest(), None, &[store(0, 13)]).unwrap().contains("stands elsewhere"));
        let fewer = StoreState { rows: [("transactions".to_owned(), 6)].into(), ..store(0, 12) };
        assert_eq!(difference(&manifest(), None, &[fewer]).unwrap(), "ledger: transactions holds 6 rows, and the manifest says 7");
    }
}
