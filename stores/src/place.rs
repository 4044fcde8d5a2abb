//! Where a role's store is: one URL, whose scheme chooses the store.

use std::fmt;
use std::path::PathBuf;

/// The six roles of the design.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The topics.
    Log,
    /// Rows with transactions around them.
    Ledger,
    /// Metadata and explanations.
    Documents,
    /// Aggregates over time.
    Metrics,
    /// The scorer's checkpoint.
    Baselines,
    /// Alert text.
    Search,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 6] = [Role::Log, Role::Ledger, Role::Documents, Role::Metrics, Role::Baselines, Role::Search];

    /// The name in settings and SQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Log => "log",
            Role::Ledger => "ledger",
            Role::Documents => "documents",
            Role::Metrics => "metrics",
            Role::Baselines => "baselines",
            Role::Search => "search",
        }
    }

    /// Scheme of the embedded store.
    #[must_use]
    pub fn embedded_scheme(self) -> &'static str {
        if self == Role::Search { "tantivy" } else { "sqlite" }
    }

    /// Scheme of the server.
    #[must_use]
    pub fn server_scheme(self) -> &'static str {
        match self {
            Role::Log => "kafka",
            Role::Ledger => "postgres",
            Role::Documents => "mongodb",
            Role::Metrics => "influxdb",
            Role::Baselines => "redis",
            Role::Search => "elasticsearch",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a role's embedded store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The role.
    pub role: Role,
    /// File of a SQLite store, folder of the log and of the index.
    pub path: PathBuf,
}

/// Why a URL names no store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// No scheme, or one that this role does not take.
    #[error("stores.{role} = {url:?}: expected a URL such as {embedded}:data/{role}{hint}")]
    Scheme {
        /// The role.
        role: Role,
        /// The URL without what could be a password.
        url: String,
        /// Scheme of the embedded store.
        embedded: &'static str,
        /// What else might be meant.
        hint: String,
    },
    /// The scheme of the server, whose adapter this build does not have.
    #[error("stores.{role} = {url:?}: this version has the embedded store only; use {embedded}:data/{role}")]
    NoAdapter {
        /// The role.
        role: Role,
        /// The URL without what could be a password.
        url: String,
        /// Scheme of the embedded store.
        embedded: &'static str,
    },
    /// Nothing behind the scheme.
    #[error("stores.{role} = {url:?}: expected a path behind {embedded}:")]
    Empty {
        /// The role.
        role: Role,
        /// The URL.
        url: String,
        /// Scheme of the embedded store.
        embedded: &'static str,
    },
}

impl Place {
    /// Reads a role's URL. No I/O.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub fn parse(role: Role, url: &str) -> Result<Place, PlaceError> {
        let embedded = role.embedded_scheme();
        let Some((scheme, rest)) = url.split_once(':') else {
            return Err(PlaceError::Scheme { role, url: redacted(url), embedded, hint: String::new() });
        };
        if scheme == embedded {
            if rest.trim_start_matches('/').is_empty() {
                return Err(PlaceError::Empty { role, url: redacted(url), embedded });
            }
            let path = rest.strip_prefix("//").unwrap_or(rest);
            return Ok(Place { role, path: PathBuf::from(path) });
        }
        let server = role.server_scheme();
        if scheme == server || (role == Role::Ledger && scheme == "postgresql") {
            return Err(PlaceError::NoAdapter { role, url: redacted(url), embedded });
        }
        Err(PlaceError::Scheme { role, url: redacted(url), embedded, hint: format!(", found the scheme {scheme:?}") })
    }
}

/// The URL without user and password.
fn redacted(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(start), Some(end)) if start + 3 <= end => format!("{}…{}", &url[..start + 3], &url[end..]),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_one_store_by_its_scheme() {
        assert_eq!(Place::parse(Role::Ledger, "sqlite:data/ledger.db").unwrap().path, PathBuf::from("data/ledger.db"));
        assert_eq!(Place::parse(Role::Search, "tantivy:///srv/search").unwrap().path, PathBuf::from("/srv/search"));
    }

    #[test]
    fn a_wrong_scheme_is_told_with_what_was_expected() {
        let error = Place::parse(Role::Ledger, "mysql://u:secret@h/db").unwrap_err().to_string();
        assert_eq!(error, "stores.ledger = \"mysql://…@h/db\": expected a URL such as sqlite:data/ledger, found the scheme \"mysql\"");
        assert!(Place::parse(Role::Log, "data/log").is_err());
        assert!(Place::parse(Role::Log, "sqlite:").is_err());
        assert!(matches!(Place::parse(Role::Ledger, "postgres://h/db"), Err(PlaceError::NoAdapter { .. })));
    }
}
