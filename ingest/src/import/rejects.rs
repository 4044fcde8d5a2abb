//! The file of rejected rows: appended to, one JSON object a line, on disk before the import counts the rows as done.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tokio::io::AsyncWriteExt;

use super::{ImportError, Input};

/// An open file of rejected rows.
pub(super) struct Rejects {
    path: PathBuf,
    file: tokio::fs::File,
}

impl Rejects {
    /// Opens the file, made with its folder when it is not there.
    pub(super) async fn open(path: &Path, input: &Input) -> Result<Rejects, ImportError> {
        let (place, input) = (path.to_owned(), input.clone());
        let opened = tokio::task::spawn_blocking(move || open_to_append(&place, &input)).await.unwrap_or_else(|e| Err(io::Error::other(e)));
        match opened {
            Ok(file) => Ok(Rejects { path: path.to_owned(), file: tokio::fs::File::from_std(file) }),
            Err(error) => Err(failed(path, &error)),
        }
    }

    /// Appends whole lines and returns once they are on disk.
    pub(super) async fn append(&mut self, lines: &str) -> Result<(), ImportError> {
        if lines.is_empty() {
            return Ok(());
        }
        let written = async {
            self.file.write_all(lines.as_bytes()).await?;
            self.file.flush().await?;
            self.file.sync_data().await
        }
        .await;
        written.map_err(|error| failed(&self.path, &error))
    }
}

fn failed(path: &Path, error: &io::Error) -> ImportError {
    ImportError::Rejects { path: path.display().to_string(), cause: error.to_string() }
}

fn open_to_append(path: &Path, input: &Input) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    if let Input::Path(input) = input
        && std::fs::canonicalize(input)? == std::fs::canonicalize(path)?
    {
        return Err(io::Error::other("it is the file that is imported; name another"));
    }
    // What a killed run left unfinished must not spoil our first line.
    if file.metadata()?.is_file() && file.metadata()?.len() > 0 {
        let mut end = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut end)?;
        if end != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}
