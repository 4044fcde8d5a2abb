//! Where a result goes: the screen, a new file, or the end of one.
//!
//! It exists so that every format gets the same two manners. What must stay true: a file that was asked for appears under its
//! name only when it is whole (until then it has a name of its own beside it, which is removed on failure); a reader that has
//! gone (`| head`) is remembered here, because the formats' own errors no longer tell it from a full disk.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const BUFFER_BYTES: usize = 64 * 1024;

/// Where to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Destination {
    /// Standard output.
    Screen,
    /// A file that this one result fills, replacing what was there.
    Replace(PathBuf),
    /// A file to whose end this result is added.
    Append(PathBuf),
}

impl Destination {
    /// The file, if it is one.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Screen => None,
            Self::Replace(path) | Self::Append(path) => Some(path),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path() {
            Some(path) => write!(f, "{}", path.display()),
            None => f.write_str("the screen"),
        }
    }
}

/// Whether the reader of an [`Output`] has gone; shared, since the output itself is moved into a format's writer.
#[derive(Debug, Clone, Default)]
pub(super) struct ReaderGone(Arc<AtomicBool>);

impl ReaderGone {
    /// Whether a write has met a closed pipe.
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A buffered writer to a destination. Writing blocks: the command has nothing else to do meanwhile.
pub(super) struct Output {
    inner: BufWriter<Box<dyn Write + Send>>,
    gone: ReaderGone,
}

impl Output {
    /// A writer over anything.
    pub(super) fn new(inner: Box<dyn Write + Send>) -> Self {
        Self { inner: BufWriter::with_capacity(BUFFER_BYTES, inner), gone: ReaderGone::default() }
    }

    /// Standard output, on which a table's styles show as far as the terminal can.
    pub(super) fn screen(styled: bool) -> Self {
        if styled { Self::new(Box::new(anstream::stdout())) } else { Self::new(Box::new(io::stdout())) }
    }

    /// A handle that stays when the output is moved.
    pub(super) fn reader_gone(&self) -> ReaderGone {
        self.gone.clone()
    }

    fn noted<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        if outcome.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            self.gone.0.store(true, Ordering::Relaxed);
        }
        outcome
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let outcome = self.inner.write(bytes);
        self.noted(outcome)
    }

    fn flush(&mut self) -> io::Result<()> {
        let outcome = self.inner.flush();
        self.noted(outcome)
    }
}

/// What must still happen for the result to stand where it was asked for. Dropped before [`Pending::commit`], it removes
/// what was begun.
#[derive(Debug, Default)]
pub(super) struct Pending {
    unfinished: Option<Unfinished>,
}

#[derive(Debug)]
struct Unfinished {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
}

impl Pending {
    /// Gives the whole file its name, once its bytes are on the disk.
    ///
    /// # Errors
    /// Whatever syncing or renaming gives; the unfinished file is then removed.
    pub(super) fn commit(mut self) -> io::Result<()> {
        if let Some(unfinished) = &self.unfinished {
            unfinished.file.sync_all()?;
            fs::rename(&unfinished.temporary, &unfinished.target)?;
        }
        self.unfinished = None;
        Ok(())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(unfinished) = self.unfinished.take()
            && let Err(error) = fs::remove_file(&unfinished.temporary)
        {
            tracing::warn!(file = %unfinished.temporary.display(), %error, "an unfinished file could not be removed");
        }
    }
}

/// Opens a destination.
///
/// # Errors
/// Whatever opening or creating the file gives.
pub(super) fn open(destination: &Destination, styled: bool) -> io::Result<(Output, Pending)> {
    match destination {
        Destination::Screen => Ok((Output::screen(styled), Pending::default())),
        Destination::Append(path) => {
            let file = OpenOptions::new().append(true).create(true).open(path)?;
            Ok((Output::new(Box::new(file)), Pending::default()))
        }
        Destination::Replace(path) => replace(path),
    }
}

fn replace(path: &Path) -> io::Result<(Output, Pending)> {
    // Through a link to the file itself; and a device or a pipe is written to, never replaced by a file.
    let target = match fs::metadata(path) {
        Ok(found) if found.is_file() => fs::canonicalize(path)?,
        Ok(_) => {
            let file = OpenOptions::new().write(true).open(path)?;
            return Ok((Output::new(Box::new(file)), Pending::default()));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    let Some(name) = target.file_name() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no name for a file"));
    };
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.part", std::process::id()));
    let temporary = target.with_file_name(temporary);
    let file = File::create_new(&temporary)?;
    let writer = file.try_clone();
    // From here on a failure removes the file that was begun.
    let pending = Pending { unfinished: Some(Unfinished { file, temporary, target }) };
    Ok((Output::new(Box::new(writer?)), pending))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own for one test.
    fn folder(test: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("wardhouse-sql-{}-{test}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_file_appears_under_its_name_only_when_it_is_whole() {
        let folder = folder("whole");
        let path = folder.join("result.csv");
        let (mut output, pending) = open(&Destination::Replace(path.clone()), false).unwrap();
        output.write_all(b"a\n").unwrap();
        output.flush().unwrap();
        assert!(!path.exists());
        pending.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"a\n");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_failed_result_leaves_the_old_file_and_no_other() {
        let folder = folder("failed");
        let path = folder.join("result.csv");
        fs::write(&path, "old").unwrap();
        let (mut output, pending) = open(&Destination::Replace(path.clone()), false).unwrap();
        output.write_all(b"new").unwrap();
        drop(output);
        drop(pending);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn results_are_added_to_the_end_of_a_file() {
        let folder = folder("append");
        let path = folder.join("results.csv");
        for line in ["a\n", "b\n"] {
            let (mut output, pending) = open(&Destination::Append(path.clone()), false).unwrap();
            output.write_all(line.as_bytes()).unwrap();
            output.flush().unwrap();
            pending.commit().unwrap();
        }
        assert_eq!(fs::read(&path).unwrap(), b"a\nb\n");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_reader_that_has_gone_is_remembered() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut output = Output::new(Box::new(Closed));
        let gone = output.reader_gone();
        output.write_all(b"buffered").unwrap();
        assert!(!gone.get());
        assert!(output.flush().is_err());
        assert!(gone.get());
    }
}
