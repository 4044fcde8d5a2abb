//! What a failure of the index asks for: another disk, more room, or another index. Pure.
//!
//! What must stay true: an index that cannot be read for what is in its files is never blamed on the disk; no content of a file is passed on.

use std::io::{self, ErrorKind};

use tantivy::TantivyError;
use tantivy::directory::error::{OpenDirectoryError, OpenReadError, OpenWriteError};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Another process writes.
    Held,
    /// Its files are not as they were written, or another version wrote them.
    Damaged,
    /// There is no room.
    Full,
    /// The disk, or rights on it.
    Disk,
}

/// What a failure means.
pub(super) fn fault(error: &TantivyError) -> Fault {
    match error {
        TantivyError::LockFailure(..) => Fault::Held,
        TantivyError::IoError(error)
        | TantivyError::OpenReadError(OpenReadError::IoError { io_error: error, .. })
        | TantivyError::OpenWriteError(OpenWriteError::IoError { io_error: error, .. })
        | TantivyError::OpenDirectoryError(OpenDirectoryError::IoError { io_error: error, .. }) => of_files(error),
        TantivyError::DataCorruption(_)
        | TantivyError::OpenReadError(_)
        | TantivyError::IncompatibleIndex(_)
        | TantivyError::SchemaError(_)
        | TantivyError::DeserializeError(_)
        | TantivyError::FieldNotFound(_) => Fault::Damaged,
        _ => Fault::Disk,
    }
}

/// What reading bytes that make no sense says is of these kinds; so is a file that is too short, or is not there.
fn of_files(error: &io::Error) -> Fault {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Fault::Full,
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof | ErrorKind::InvalidInput | ErrorKind::NotFound => Fault::Damaged,
        // Not the operating system's: a dictionary of terms, of a kind or version that there is not.
        ErrorKind::Other if error.raw_os_error().is_none() => Fault::Damaged,
        _ => Fault::Disk,
    }
}

/// A failure in words, without the file that it may quote.
pub(super) fn told(error: &TantivyError) -> String {
    let whole = error.to_string();
    let said = whole.split(" Content: ").next().and_then(|said| said.split(" Error(").next()).unwrap_or_default();
    said.chars().take(200).collect::<String>().trim_end_matches([' ', '.', ',']).to_owned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::tantivy::SearchStore;

    fn files(kind: ErrorKind) -> Fault {
        fault(&TantivyError::IoError(Arc::new(io::Error::new(kind, "said"))))
    }

    #[test]
    fn what_is_in_the_files_is_not_blamed_on_the_disk() {
        for kind in [ErrorKind::InvalidData, ErrorKind::UnexpectedEof, ErrorKind::NotFound, ErrorKind::Other] {
            assert_eq!(files(kind), Fault::Damaged, "{kind}");
        }
        assert_eq!((files(ErrorKind::StorageFull), files(ErrorKind::PermissionDenied)), (Fault::Full, Fault::Disk));
    }

    /// What opening an index says of which one file holds these bytes.
    fn opened_with(folder: &Path, name: &str, content: &[u8]) -> String {
        drop(SearchStore::open(folder).unwrap());
        std::fs::write(folder.join(name), content).unwrap();
        SearchStore::open(folder).err().unwrap().to_string()
    }

    #[test]
    fn a_damaged_index_is_told_with_what_to_do_and_without_its_content() {
        for content in [&b"{\"secret\": 1, "[..], b"", b"\xff\xfe"] {
            let folder = tempfile::tempdir().unwrap();
            let said = opened_with(folder.path(), "meta.json", content);
            assert!(said.contains("is damaged") && said.contains("move the folder away") && !said.contains("check the disk"), "{said}");
            assert!(!said.contains("secret") && !said.contains("Content"), "{said}");
        }
    }
}
