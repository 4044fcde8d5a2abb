//! The thread that reads, decodes and validates: from an input to a bounded channel of batches.
//!
//! A thread of its own and not the runtime's: nothing can interrupt a read of standard input, and a runtime waits at its
//! end for what it has lent. It ends when the input does, or when nobody takes its batches any more.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, oneshot};
use wh_schemas::validate::FaultCode;

use super::batch::{Batch, Builder, Reason};
use super::csv::{Columns, Row, RowFault, Rows};
use super::progress::{Bookmark, Written};
use super::source::{Line, Lines, Source};
use super::{Format, ImportError, ImportSettings};

/// Batches that wait to be produced while the next one is made.
const WAITING_BATCHES: usize = 2;

/// What is known of an input before its first row.
pub(super) struct Opened {
    /// Where to go on, where progress is kept.
    pub(super) bookmark: Option<Bookmark>,
    /// Size of the input in bytes, where it has one.
    pub(super) bytes_total: Option<u64>,
    /// How its rows are written; never [`Format::Auto`].
    pub(super) format: Format,
}

/// Told once, before the first batch.
type Told = oneshot::Receiver<Result<Opened, ImportError>>;
/// In order, the last one marked so.
type Batches = mpsc::Receiver<Result<Batch, ImportError>>;

/// Starts reading.
pub(super) fn start(settings: ImportSettings, partitions: u32) -> Result<(Told, Batches), ImportError> {
    let (tell, told) = oneshot::channel();
    let (sender, batches) = mpsc::channel(WAITING_BATCHES);
    let read = move || match open(&settings, partitions, &sender) {
        Err(error) => drop(tell.send(Err(error))),
        Ok((opened, job)) => {
            if tell.send(Ok(opened)).is_ok()
                && let Some(job) = job
            {
                job.run();
            }
        }
    };
    std::thread::Builder::new().name("import-reader".to_owned()).spawn(read).map_err(|_| ImportError::Reader("cannot be started: the system has no thread left"))?;
    Ok((told, batches))
}

enum Content {
    Ndjson(Lines),
    Csv(Rows, Columns),
}

struct Job<'a> {
    name: String,
    content: Content,
    /// Lines that an earlier run has done.
    done: u64,
    feed: Feed<'a>,
}

/// Opens the input; nothing is to be read where an earlier run has finished it.
fn open<'a>(settings: &ImportSettings, partitions: u32, batches: &'a mpsc::Sender<Result<Batch, ImportError>>) -> Result<(Opened, Option<Job<'a>>), ImportError> {
    let mut source = Source::open(&settings.input)?;
    let written = source.format(settings.format)?;
    let bookmark = match (&settings.state_folder, &source.identity) {
        (Some(folder), Some(identity)) => Some(Bookmark::open(folder, &source.name, identity, written, settings.restart)?),
        _ => None,
    };
    let Source { name, lines, read, size, .. } = source;
    let (mut done, mut ahead, mut finished) = (0, Vec::new(), false);
    if let Some(kept) = bookmark.as_ref().map(|b| &b.kept) {
        (done, ahead, finished) = (kept.lines_done, kept.ahead.clone(), kept.finished);
    }
    let format = match written {
        Written::Ndjson => Format::Ndjson,
        Written::Csv => Format::Csv,
    };
    let opened = Opened { bookmark, bytes_total: size, format };
    if finished {
        return Ok((opened, None));
    }
    let content = match written {
        Written::Ndjson => Content::Ndjson(lines),
        Written::Csv => with_header(&name, lines)?,
    };
    let builder = Builder::new(settings.reading.clone(), partitions, settings.batch_records, settings.rejects.is_some(), ahead, done);
    Ok((opened, Some(Job { name, content, done, feed: Feed { builder, read, batches } })))
}

fn with_header(name: &str, mut lines: Lines) -> Result<Content, ImportError> {
    let mut header = Line::default();
    while header.text().trim_ascii().is_empty() {
        let is_there = lines.next(&mut header).map_err(|error| ImportError::Unreadable { name: name.to_owned(), cause: error.to_string() })?;
        if !is_there {
            return Err(ImportError::Header { name: name.to_owned(), cause: "is not there: the file is empty".to_owned() });
        }
    }
    let columns = Columns::of(header.text()).map_err(|cause| ImportError::Header { name: name.to_owned(), cause })?;
    Ok(Content::Csv(Rows::new(lines, columns.delimiter), columns))
}

impl Job<'_> {
    fn run(mut self) {
        let ended = match self.content {
            Content::Ndjson(lines) => ndjson(lines, self.done, &mut self.feed),
            Content::Csv(rows, columns) => csv(rows, &columns, self.done, &mut self.feed),
        };
        // What cannot be sent has nobody who waits for it.
        match ended {
            Ok(()) => drop(self.feed.send(true)),
            Err(Stop::NobodyWaits) => {}
            Err(Stop::Failed(error)) => {
                let damaged = ImportError::Damaged { name: self.name, line: self.feed.lines(), cause: error.to_string() };
                if self.feed.builder.is_empty() || self.feed.send(false).is_ok() {
                    drop(self.feed.batches.blocking_send(Err(damaged)));
                }
            }
        }
    }
}

/// Why reading ends before the input does.
enum Stop {
    Failed(io::Error),
    NobodyWaits,
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Failed(error)
    }
}

/// Where rows go.
struct Feed<'a> {
    builder: Builder,
    read: Arc<AtomicU64>,
    batches: &'a mpsc::Sender<Result<Batch, ImportError>>,
}

impl Feed<'_> {
    fn is_awaited(&self) -> bool {
        !self.batches.is_closed()
    }

    fn lines(&self) -> u64 {
        self.builder.lines()
    }

    /// Notes that every row up to the line `lines` was handed to the builder.
    fn passed(&mut self, lines: u64) -> Result<(), Stop> {
        self.builder.passed(lines);
        if self.builder.is_full() {
            self.send(false)
        } else if self.is_awaited() {
            Ok(())
        } else {
            Err(Stop::NobodyWaits)
        }
    }

    fn send(&mut self, last: bool) -> Result<(), Stop> {
        let batch = self.builder.take(self.read.load(Ordering::Relaxed), last);
        self.batches.blocking_send(Ok(batch)).map_err(|_| Stop::NobodyWaits)
    }
}

fn ndjson(mut lines: Lines, done: u64, feed: &mut Feed<'_>) -> Result<(), Stop> {
    lines.skip_to(done, || feed.is_awaited())?;
    let mut line = Line::default();
    while lines.next(&mut line)? {
        let text = line.text();
        if line.is_cut() {
            feed.builder.too_long(line.number, text, line.length);
        } else if !text.trim_ascii().is_empty() {
            feed.builder.row(line.number, text, text);
        }
        feed.passed(line.number)?;
    }
    Ok(())
}

fn csv(mut rows: Rows, columns: &Columns, done: u64, feed: &mut Feed<'_>) -> Result<(), Stop> {
    rows.lines().skip_to(done, || feed.is_awaited())?;
    let (mut row, mut json) = (Row::default(), String::new());
    while rows.next(&mut row)? {
        let raw = row.text();
        let rejected = |code: &'static str, message: &str, builder: &mut Builder| {
            builder.reject(row.line, &Reason { code, class: &format!("record:{code}"), message }, raw, raw.len() as u64);
        };
        match (row.fault, std::str::from_utf8(raw)) {
            (Some(RowFault::TooLong), _) => feed.builder.too_long(row.line, raw, row.length),
            (Some(RowFault::OpenQuote), _) => rejected("open_quote", "record: expected a closing quote, found none", &mut feed.builder),
            (None, _) if raw.trim_ascii().is_empty() => {}
            (None, Err(error)) => {
                let message = format!("record: expected UTF-8, found byte {} that is none", error.valid_up_to());
                rejected(FaultCode::InvalidUtf8.as_str(), &message, &mut feed.builder);
            }
            (None, Ok(text)) => match columns.write_json(text, &mut json) {
                Ok(()) => feed.builder.row(row.line, json.as_bytes(), raw),
                Err(found) => {
                    let message = format!("record: expected {} cells as in the header, found {found}", columns.len());
                    rejected("ragged_row", &message, &mut feed.builder);
                }
            },
        }
        feed.passed(rows.lines().passed())?;
    }
    // A header without rows is a line, too.
    feed.builder.passed(rows.lines().passed());
    Ok(())
}
