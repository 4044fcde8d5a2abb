//! Who asks, through which way, and what they may take.
//!
//! What must stay true: every session has a principal and a role; who is on this machine's own command line is `local`. Where nobody proves who they
//! are, a name is no more than what a client says: there, all are one person.

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
    /// Whether it has proven that this is its name.
    pub proved: bool,
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
        Principal { name: "local".to_owned(), proved: false, role: "local".to_owned(), way, peer: None, limits: Limits::default() }
    }

    /// Whether both are one person: of one proven name, or neither proven.
    #[must_use]
    pub fn is_same(&self, other: &Principal) -> bool {
        self.is_person(&other.name, other.proved)
    }

    /// Whether it may read what a query asks, and end it: its own, and as `admin` everyone's.
    #[must_use]
    pub fn may_read(&self, query: &QueryInfo) -> bool {
        self.role == ADMIN || self.is_person(&query.principal, query.proved)
    }

    fn is_person(&self, name: &str, proved: bool) -> bool {
        self.proved == proved && (!proved || self.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, proved: bool) -> Principal {
        Principal { name: name.to_owned(), proved, ..Principal::local(Way::Postgres) }
    }

    #[test]
    fn a_name_counts_where_it_was_proven() {
        for (one, other, same) in [
            (named("ann", true), named("ann", true), true),
            (named("ann", true), named("ben", true), false),
            (named("ann", false), named("ben", false), true),
            (named("ann", false), Principal::local(Way::Http), true),
            (named("ann", true), named("ann", false), false),
        ] {
            assert!(one.is_same(&other) == same && other.is_same(&one) == same, "{one:?} {other:?}");
        }
    }
}
