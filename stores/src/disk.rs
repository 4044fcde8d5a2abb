//! What is said where a file of ours cannot be written.
//!
//! What must stay true: whoever reads that a disk is full also reads what to do about it, whichever file was the first to find no room.

use std::io::{self, ErrorKind};
use std::path::Path;

/// A sentence with what to do.
#[must_use]
pub fn cannot_write(path: &Path, error: &io::Error) -> String {
    let place = path.display();
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => format!("no space left for {place}: make room and start again, nothing acknowledged is lost"),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => format!("cannot write {place}: {error}; choose a data folder that can be written (--data DIR)"),
        _ => format!("cannot write {place}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_with_what_to_do_and_anything_else_as_it_is() {
        let said = |kind: ErrorKind| cannot_write(Path::new("data/sql-server.json"), &io::Error::from(kind));
        assert_eq!(said(ErrorKind::StorageFull), "no space left for data/sql-server.json: make room and start again, nothing acknowledged is lost");
        assert!(said(ErrorKind::ReadOnlyFilesystem).contains("--data DIR"));
        assert!(said(ErrorKind::Interrupted).starts_with("cannot write data/sql-server.json: "));
    }
}
