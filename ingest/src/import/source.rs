//! An input as lines: opened, decompressed by its magic bytes, its format told, line ends kept.
//!
//! What must stay true: no line is held beyond [`MAX_LINE_BYTES`], whatever its length, and every line is counted.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use wh_schemas::validate::MAX_RECORD_BYTES;

use super::progress::{Identity, Written};
use super::{Format, ImportError, Input};

/// Bytes of a line, or of a CSV row over several lines, that are held: what is longer is cut and rejected.
pub(super) const MAX_LINE_BYTES: u64 = MAX_RECORD_BYTES as u64 + 1024 * 1024;
const BUFFER_BYTES: usize = 128 * 1024;

/// An open input.
pub(super) struct Source {
    /// For messages.
    pub(super) name: String,
    pub(super) lines: Lines,
    /// Bytes read so far of what is stored.
    pub(super) read: Arc<AtomicU64>,
    /// Size of what is stored, where it has one.
    pub(super) size: Option<u64>,
    /// Where it can be gone on with.
    pub(super) identity: Option<Identity>,
}

impl Source {
    /// Opens an input and looks at its first bytes.
    pub(super) fn open(input: &Input) -> Result<Source, ImportError> {
        let name = match input {
            Input::Path(path) => path.display().to_string(),
            Input::Stdin => "standard input".to_owned(),
        };
        let unreadable = |error: io::Error| ImportError::Unreadable { name: name.clone(), cause: error.to_string() };
        let (stored, identity): (Box<dyn Read>, _) = match input {
            Input::Stdin => (Box::new(io::stdin().lock()), None),
            Input::Path(path) => {
                let (file, identity) = open_file(path).map_err(unreadable)?;
                (Box::new(file), identity)
            }
        };
        let read = Arc::new(AtomicU64::new(0));
        let counted = Counted { inner: stored, read: Arc::clone(&read) };
        let plain = decompressed(Box::new(BufReader::with_capacity(BUFFER_BYTES, counted))).map_err(unreadable)?;
        let (mark, reader) = peek(plain, 3).map_err(unreadable)?;
        if mark.starts_with(&[0xff, 0xfe]) || mark.starts_with(&[0xfe, 0xff]) {
            return Err(ImportError::Utf16 { name });
        }
        let mut lines = Lines::new(reader);
        if mark == [0xef, 0xbb, 0xbf] {
            // The mark says how the file is encoded and is no part of its first record.
            lines.reader.consume(mark.len());
        }
        Ok(Source { name, lines, read, size: identity.as_ref().map(|i| i.size), identity })
    }

    /// How the rows are written: as the settings say, else by the name, else by the first byte.
    pub(super) fn format(&mut self, wanted: Format) -> Result<Written, ImportError> {
        match (wanted, by_name(&self.name)) {
            (Format::Ndjson, _) => return Ok(Written::Ndjson),
            (Format::Csv, _) | (Format::Auto, Some(Written::Csv)) => return Ok(Written::Csv),
            (Format::Auto, Some(Written::Ndjson) | None) => {}
        }
        let mut line = Line::default();
        let mut first = None;
        while first.is_none() {
            if !self.lines.next(&mut line).map_err(|error| ImportError::Unreadable { name: self.name.clone(), cause: error.to_string() })? {
                // Nothing in it: nothing to be read in any format.
                return Ok(Written::Ndjson);
            }
            first = line.text().trim_ascii_start().first().copied();
        }
        self.lines.put_back(line);
        match (first, by_name(&self.name)) {
            (Some(b'['), _) => Err(ImportError::JsonArray { name: self.name.clone() }),
            (Some(b'{'), _) | (_, Some(Written::Ndjson)) => Ok(Written::Ndjson),
            _ => Ok(Written::Csv),
        }
    }
}

fn open_file(path: &Path) -> io::Result<(File, Option<Identity>)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::other("it is a folder; name a file in it"));
    }
    if !metadata.is_file() {
        return Ok((file, None));
    }
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let modified = i64::try_from(modified.as_micros()).unwrap_or(i64::MAX);
    Ok((file, Some(Identity { path: std::fs::canonicalize(path)?, size: metadata.len(), modified })))
}

fn by_name(name: &str) -> Option<Written> {
    let name = name.to_ascii_lowercase();
    let bare = [".gz", ".gzip", ".zst", ".zstd"].iter().find_map(|end| name.strip_suffix(*end)).unwrap_or(&name);
    match bare.rsplit_once('.')?.1 {
        "ndjson" | "jsonl" | "json" => Some(Written::Ndjson),
        "csv" | "tsv" => Some(Written::Csv),
        _ => None,
    }
}

/// The first bytes, and a reader that still begins with them.
fn peek(mut reader: Box<dyn BufRead>, bytes: u64) -> io::Result<(Vec<u8>, Box<dyn BufRead>)> {
    let mut head = Vec::new();
    Read::by_ref(&mut reader).take(bytes).read_to_end(&mut head)?;
    let whole = Cursor::new(head.clone()).chain(reader);
    Ok((head, Box::new(whole)))
}

fn decompressed(stored: Box<dyn BufRead>) -> io::Result<Box<dyn BufRead>> {
    let (magic, stored) = peek(stored, 4)?;
    let plain: Box<dyn BufRead> = match *magic {
        // Members one behind the other are one file, as gzip itself has it.
        [0x1f, 0x8b, ..] => Box::new(BufReader::with_capacity(BUFFER_BYTES, flate2::bufread::MultiGzDecoder::new(stored))),
        // A frame, or one to be skipped before it.
        [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Box::new(BufReader::with_capacity(BUFFER_BYTES, zstd::stream::read::Decoder::with_buffer(stored)?)),
        _ => stored,
    };
    Ok(plain)
}

/// Counts what is read.
struct Counted {
    inner: Box<dyn Read>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.inner.read(into)?;
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(bytes)
    }
}

/// One line with its line end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: u64,
    /// Its first [`MAX_LINE_BYTES`].
    pub(super) bytes: Vec<u8>,
    /// All its bytes, counted.
    pub(super) length: u64,
    /// Was read before, as part of a CSV row that never ended: is a row of its own.
    pub(super) alone: bool,
}

impl Line {
    /// Without the line end.
    pub(super) fn text(&self) -> &[u8] {
        without_line_end(&self.bytes)
    }

    /// Longer than what is held of it.
    pub(super) fn is_cut(&self) -> bool {
        self.length > self.bytes.len() as u64
    }
}

/// `bytes` without `\n` or `\r\n` at their end.
pub(super) fn without_line_end(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

/// The lines of an input.
pub(super) struct Lines {
    reader: Box<dyn BufRead>,
    /// Number of the line that was handed out last.
    passed: u64,
    /// Lines that were put back, in order.
    waiting: VecDeque<Line>,
}

impl Lines {
    /// Those that a reader gives.
    pub(super) fn new(reader: Box<dyn BufRead>) -> Lines {
        Lines { reader, passed: 0, waiting: VecDeque::new() }
    }

    /// Reads the next line into `line`; `false` at the end of the input.
    pub(super) fn next(&mut self, line: &mut Line) -> io::Result<bool> {
        if let Some(waiting) = self.waiting.pop_front() {
            self.passed = waiting.number;
            *line = waiting;
            return Ok(true);
        }
        line.bytes.clear();
        line.alone = false;
        let read = Read::by_ref(&mut self.reader).take(MAX_LINE_BYTES).read_until(b'\n', &mut line.bytes)?;
        if read == 0 {
            return Ok(false);
        }
        line.length = read as u64;
        if line.length == MAX_LINE_BYTES && !line.bytes.ends_with(b"\n") {
            line.length += self.reader.skip_until(b'\n')? as u64;
        }
        self.passed += 1;
        line.number = self.passed;
        Ok(true)
    }

    /// Takes back a line that was handed out: it is the next one again.
    pub(super) fn put_back(&mut self, line: Line) {
        self.passed = line.number.saturating_sub(1);
        self.waiting.push_front(line);
    }

    /// Passes lines until `lines` of them are passed, the input ends or `go_on` says no.
    pub(super) fn skip_to(&mut self, lines: u64, go_on: impl Fn() -> bool) -> io::Result<()> {
        while self.passed < lines && go_on() {
            if let Some(waiting) = self.waiting.pop_front() {
                self.passed = waiting.number;
            } else if self.reader.skip_until(b'\n')? == 0 {
                break;
            } else {
                self.passed += 1;
            }
        }
        Ok(())
    }

    /// Number of the line that was handed out last.
    pub(super) fn passed(&self) -> u64 {
        self.passed
    }
}
