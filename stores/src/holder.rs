//! Who holds a role on embedded files: at most one process at a time, told by an advisory lock on a file that the
//! operating system releases when the process ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use wh_schemas::Reaction;

use crate::disk;

/// A held role; dropping it lets it go.
#[derive(Debug)]
pub struct Holder {
    _file: File,
}

impl Holder {
    /// Takes the role `name` of the data under `folder`.
    ///
    /// # Errors
    /// Fatal when another process holds it (named by its process id), or when the lock file cannot be written.
    pub fn take(folder: &Path, name: &str) -> Result<Holder, Reaction> {
        let locks = folder.join("locks");
        std::fs::create_dir_all(&locks).map_err(|e| Reaction::fatal(format!("cannot create {}: {e}; choose a data folder that can be written (--data DIR)", locks.display())))?;
        let path = locks.join(format!("{name}.lock"));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| Reaction::fatal(format!("cannot open {}: {e}; choose a data folder that can be written (--data DIR)", path.display())))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                let known = file.read_to_string(&mut owner).is_ok() && !owner.trim().is_empty();
                let who = if known { format!("process {}", owner.trim()) } else { "another process".to_owned() };
                return Err(Reaction::fatal(format!(
                    "{who} already runs `{name}` on {}: stop it first, or use another data folder (--data DIR); reading with `wardhouse sql` is always possible",
                    folder.display()
                )));
            }
            Err(TryLockError::Error(e)) => return Err(Reaction::fatal(format!("cannot lock {}: {e}", path.display()))),
        }
        let written = file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).and_then(|_| write!(file, "{}", std::process::id()));
        written.map_err(|e| Reaction::fatal(disk::cannot_write(&path, &e)))?;
        Ok(Holder { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_has_one_holder_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = Holder::take(folder.path(), "scorer").unwrap();
        let refused = Holder::take(folder.path(), "scorer").unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        assert!(Holder::take(folder.path(), "intake").is_ok());
        drop(first);
        assert!(Holder::take(folder.path(), "scorer").is_ok());
    }
}
