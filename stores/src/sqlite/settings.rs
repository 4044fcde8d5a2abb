//! What an embedded SQLite store takes.

/// Sizes of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Page cache in KiB.
    pub cache_kib: u32,
    /// Pages in the write-ahead log before it is copied back.
    pub checkpoint_pages: u32,
    /// `true`: a commit returns after an fsync of the write-ahead log. `false`: a commit may be lost with the machine's power,
    /// never with the process; for stores whose rows the log can send again.
    pub sync_each_commit: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { cache_kib: 32 * 1024, checkpoint_pages: 4_000, sync_each_commit: true }
    }
}
