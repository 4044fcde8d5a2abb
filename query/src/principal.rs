//! Who asks, through which way, and what they may take.
//!
//! What must stay true: every session has a principal and a role; who is on this machine's own command line is `local`.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::queries::QueryInfo;

/// The way by which a session came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// The command line of this machine.
    Cli,
    /// PostgreSQL's wire protocol.
    Postgres,
    /// Arrow Flight SQL.
    Flight,
    /// HTTP.
    Http,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Way::Cli => "cli",
            Way::Postgres => "postgres",
            Way::Flight => "flight",
            Way::Http => "http",
        })
    }
}

/// What a role may take. `None` is no limit but the engine's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Rows of one result.
    pub rows: Option<u64>,
    /// Bytes that sorting, grouping and joining of one query may hold.
    pub memory_bytes: Option<usize>,
    /// How long one statement may run, from planning to its last row.
    pub statement_timeout: Option<Duration>,
    /// Queries of the role that run at the same time, over all its sessions.
    pub queries: Option<usize>,
}

/// The role that may read and end everyone's queries.
const ADMIN: &str = "admin";

/// Who a session is.
#[derive(Clone, Debug, PartialEq)]
pub struct Principal {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: String,
    /// How it came.
    pub way: Way,
    /// From where, where it came over a network.
    pub peer: Option<SocketAddr>,
    /// What its role may take.
    pub limits: Limits,
}

impl Principal {
    /// Whoever runs commands on this machine: name and role `local`, without limits.
    #[must_use]
    pub fn local(way: Way) -> Principal {
        Principal { name: "local".to_owned(), role: "local".to_owned(), way, peer: None, limits: Limits::default() }
    }

    /// Whether it may read what a query asks, and end it: its own, and as `admin` everyone's.
    #[must_use]
    pub fn may_read(&self, query: &QueryInfo) -> bool {
        self.role == ADMIN || self.name == query.principal
    }
}
