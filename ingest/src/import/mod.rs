//! Import of files into `hospital-transactions`: NDJSON or CSV, plain, gzip or zstd, a file or standard input.
//!
//! A thread reads, decodes and validates (`reader`, from a `source`, a CSV by `csv`, into a `batch`); this side produces
//! the batches (`deliver`), keeps what was rejected (`rejects`) and how far it has come (`progress`).
//!
//! What must stay true: memory does not grow with the input; every row is either in the log or rejected, and counted;
//! `progress` is never ahead of the log's acknowledgement. So an import that is stopped or fails goes on without loss and
//! without doubles. One that is killed may produce its last batch again: same ids and bytes, which the scorer recognises.

mod batch;
mod csv;
mod deliver;
mod held;
mod progress;
mod reader;
#[cfg(test)]
pub(crate) mod refusing;
mod rejects;
mod source;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wh_eventlog::Log;
use wh_schemas::Reaction;
use wh_schemas::topics::HOSPITAL_TRANSACTIONS;
use wh_schemas::validate::Reading;

use batch::Batch;
#[doc(hidden)]
pub use held::{CsvOutcome, CsvRead, CsvRow, read_csv};
use reader::Opened;
use rejects::Rejects;

/// Where the rows come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A file. A regular one can be gone on with; a pipe or device is read like standard input.
    Path(PathBuf),
    /// Standard input, which cannot be gone on with.
    Stdin,
}

/// How rows are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Ndjson,
    /// A header row that names the fields, then one row a transaction; separated by comma, semicolon or tab.
    Csv,
    /// By the file's name (`.ndjson`, `.jsonl`, `.json`, `.csv`, `.tsv`), else by the first byte: `{` is NDJSON, any other CSV.
    #[default]
    Auto,
}

/// What an import does.
#[derive(Clone, Debug)]
pub struct ImportSettings {
    /// What is read.
    pub input: Input,
    /// How it is written.
    pub format: Format,
    /// File to which rejected rows are appended, one JSON object a line: `line`, `reason`, `class`, `raw`; `raw_hex` where
    /// the row is not UTF-8, `raw_bytes` (its whole length) where it is too long to be kept whole. `None`: only counted.
    pub rejects: Option<PathBuf>,
    /// Folder that remembers how far each file is imported. `None`: every run begins at the first line.
    pub state_folder: Option<PathBuf>,
    /// Zone and labels for the validation.
    pub reading: Reading,
    /// Most rows of one batch: what is produced, acknowledged and remembered at a time. 2,000 is a good number.
    pub batch_records: usize,
    /// `true`: forget what is remembered of this file and begin at its first line.
    pub restart: bool,
}

impl ImportSettings {
    /// The usual settings: format by itself, nothing remembered, rejected rows only counted.
    #[must_use]
    pub fn new(input: Input) -> ImportSettings {
        ImportSettings { input, format: Format::Auto, rejects: None, state_folder: None, reading: Reading::default(), batch_records: 2_000, restart: false }
    }
}

/// How far an import has come, earlier runs on the same file included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Lines passed, blank ones and a CSV's header included.
    pub lines: u64,
    /// Rows that the log holds.
    pub accepted: u64,
    /// Rows that were rejected.
    pub rejected: u64,
    /// Bytes read of the file as it is stored (compressed ones of a compressed file).
    pub bytes_read: u64,
    /// Its size in bytes, where it has one.
    pub bytes_total: Option<u64>,
    /// The whole input is done; `false` where the import was stopped.
    pub finished: bool,
    /// An earlier run had imported all of it: this one did nothing.
    pub already: bool,
    /// How the rows are written, once that is known.
    pub format: Format,
}

impl Progress {
    /// Lines that are no row of their own: blank ones; of a CSV also its header, and what a row has beyond its first line.
    #[must_use]
    pub fn between(&self) -> u64 {
        self.lines.saturating_sub(self.accepted).saturating_sub(self.rejected)
    }
}

/// Why an import cannot be done or not go on. What the log had acknowledged stays there, and a regular file is gone on
/// with by the same command.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ImportError {
    /// Not there, not readable, a folder, or damaged in its first bytes.
    #[error("cannot read {name}: {cause}")]
    Unreadable {
        /// The input.
        name: String,
        /// What the operating system or the decompressor says.
        cause: String,
    },
    /// Reading failed on the way.
    #[error("{name} cannot be read beyond line {line} ({cause}): what stands before is imported; mend the file and import it with restart, the scorer recognises what comes twice")]
    Damaged {
        /// The input.
        name: String,
        /// The last line that was read.
        line: u64,
        /// What the operating system or the decompressor says.
        cause: String,
    },
    /// UTF-16, of which no line would pass.
    #[error("{name} is UTF-16: convert it first, e.g. `iconv -f UTF-16 -t UTF-8`")]
    Utf16 {
        /// The input.
        name: String,
    },
    /// One JSON array where one object a line is expected.
    #[error("{name} begins with `[`, expected one JSON object a line: convert an array first, e.g. `jq -c '.[]'`, or name the format")]
    JsonArray {
        /// The input.
        name: String,
    },
    /// A CSV's header row that cannot be used.
    #[error("the header row of {name} {cause}")]
    Header {
        /// The input.
        name: String,
        /// What is wrong with it.
        cause: String,
    },
    /// Not the file that an earlier run has begun.
    #[error("{name} {cause} since it was imported up to line {line}: import it with restart to begin again at its first line, the scorer recognises what comes twice")]
    Changed {
        /// The input.
        name: String,
        /// What is another.
        cause: String,
        /// Last line of the earlier run.
        line: u64,
    },
    /// Another process imports the same file, or the state folder cannot be written.
    #[error("{name} cannot be imported now: {cause}")]
    Busy {
        /// The input.
        name: String,
        /// Who holds it.
        cause: String,
    },
    /// What is remembered of the file cannot be read or written.
    #[error("cannot keep the progress of the import in {path}: {cause}")]
    State {
        /// The file that remembers.
        path: String,
        /// What the operating system says.
        cause: String,
    },
    /// The file of rejected rows cannot be written.
    #[error("cannot write rejected rows to {path}: {cause}")]
    Rejects {
        /// The file.
        path: String,
        /// What the operating system says.
        cause: String,
    },
    /// The log refused for good.
    #[error("the import stopped: {0}")]
    Log(Reaction),
    /// The thread that reads could not start, or ended by a fault of ours.
    #[error("the thread that reads the input {0}")]
    Reader(&'static str),
}

/// Imports one input.
///
/// `on_progress` is called once before the first batch and after each one that the log acknowledged. When `stop` is cancelled the
/// batch in flight is brought to an end and the progress so far returned, with `finished` false.
///
/// # Errors
/// See [`ImportError`]; a log that is full or busy is none, it is waited for.
pub async fn import(log: &dyn Log, settings: &ImportSettings, on_progress: &mut (dyn FnMut(Progress) + Send), stop: CancellationToken) -> Result<Progress, ImportError> {
    let partitions = log.partitions(HOSPITAL_TRANSACTIONS).await.map_err(ImportError::Log)?;
    let (opened, mut batches) = reader::start(settings.clone(), partitions)?;
    let opened = tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(Progress::default()),
        opened = opened => opened.unwrap_or(Err(ImportError::Reader("ended without a word")))?,
    };
    let Opened { mut bookmark, bytes_total, format } = opened;
    let mut progress = Progress { bytes_total, format, ..Progress::default() };
    if let Some(kept) = bookmark.as_ref().map(|b| &b.kept) {
        (progress.lines, progress.accepted, progress.rejected) = (kept.lines_done, kept.accepted, kept.rejected);
        if kept.finished {
            return Ok(Progress { bytes_read: kept.size, finished: true, already: true, ..progress });
        }
    }
    let mut rejects = match &settings.rejects {
        Some(path) => Some(Rejects::open(path, &settings.input).await?),
        None => None,
    };
    on_progress(progress);
    let mut reasons = BTreeMap::new();
    while let Some(batch) = next(&mut batches, &stop).await? {
        let delivery = deliver::deliver(log, &batch.records, &stop).await;
        let mut outcome = Ok(());
        if delivery.is_complete() {
            if let Some(rejects) = &mut rejects {
                outcome = rejects.append(&batch.rejects).await;
            }
            if outcome.is_ok() {
                advance(&mut progress, &mut reasons, &batch);
            }
        }
        if let Some(bookmark) = &mut bookmark {
            bookmark.kept.remember(&progress, &delivery.acknowledged, batch.lines);
            bookmark.save().await?;
        }
        outcome?;
        if let Some(reaction) = delivery.failure {
            return Err(ImportError::Log(reaction));
        }
        if delivery.stopped {
            break;
        }
        on_progress(progress);
        if progress.finished {
            break;
        }
    }
    if progress.rejected > 0 {
        tracing::warn!(
            lines = progress.lines,
            accepted = progress.accepted,
            rejected = progress.rejected,
            ?reasons,
            finished = progress.finished,
            "import: some rows were rejected"
        );
    } else {
        tracing::info!(lines = progress.lines, accepted = progress.accepted, finished = progress.finished, "import: no row was rejected");
    }
    Ok(progress)
}

/// The next batch; `None` when the import is to stop.
async fn next(batches: &mut mpsc::Receiver<Result<Batch, ImportError>>, stop: &CancellationToken) -> Result<Option<Batch>, ImportError> {
    tokio::select! {
        biased;
        () = stop.cancelled() => Ok(None),
        batch = batches.recv() => batch.unwrap_or(Err(ImportError::Reader("ended before the input did: see the message before this one"))).map(Some),
    }
}

fn advance(progress: &mut Progress, reasons: &mut BTreeMap<&'static str, u64>, batch: &Batch) {
    progress.lines = batch.lines;
    progress.accepted += batch.accepted;
    progress.rejected += batch.rejected;
    progress.bytes_read = batch.bytes_read;
    progress.finished = batch.last;
    for (reason, count) in &batch.reasons {
        *reasons.entry(*reason).or_insert(0) += count;
    }
}
