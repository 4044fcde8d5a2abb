//! Why the servers do not start, or end.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the servers do not start, or end.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Settings that do not belong together.
    #[error("{0}")]
    Settings(String),
    /// A certificate or key that cannot be used.
    #[error("{setting}: {}: {message}", .file.display())]
    Tls {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// An address that cannot be listened on.
    #[error("{setting}: {address} cannot be listened on: {source}")]
    Bind {
        /// The setting that names the address.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A listener that no longer takes connections.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A server whose task is gone.
    #[error("a server was lost: {0}")]
    Lost(String),
}
