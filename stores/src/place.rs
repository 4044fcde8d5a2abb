//! Where a role's store is: one URL, whose scheme chooses the store.

use std::fmt;
use std::path::PathBuf;

use crate::server_url::{ServerUrl, redacted};

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

    /// Schemes of the server's URL.
    #[must_use]
    pub fn server_schemes(self) -> &'static [&'static str] {
        match self {
            Role::Log => &["kafka"],
            Role::Ledger => &["postgres", "postgresql"],
            Role::Documents => &["mongodb", "mongodb+srv"],
            Role::Metrics => &["influxdb"],
            Role::Baselines => &["redis"],
            Role::Search => &["elasticsearch"],
        }
    }

    /// A URL of the server.
    #[must_use]
    pub fn example(self) -> &'static str {
        match self {
            Role::Log => "kafka://broker:9092",
            Role::Ledger => "postgres://user@host/wardhouse",
            Role::Documents => "mongodb://host/wardhouse",
            Role::Metrics => "influxdb://host:8086/org/bucket",
            Role::Baselines => "redis://host:6379/0",
            Role::Search => "elasticsearch://host:9200",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a role's store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// File of a SQLite store, folder of the log and of the index.
    Embedded(PathBuf),
    /// A server. What its URL means is for the server's own settings to say.
    Server(ServerUrl),
}

/// Why a URL names no store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// No scheme, or one that this role does not take.
    #[error("stores.{role} = {url:?}: expected a URL such as {embedded}:data/{role} or {example}{hint}")]
    Scheme {
        /// The role.
        role: Role,
        /// The URL without what could be a password.
        url: String,
        /// Scheme of the embedded store.
        embedded: &'static str,
        /// A URL of the server.
        example: &'static str,
        /// What else might be meant.
        hint: String,
    },
    /// The scheme of the server, in what is no URL.
    #[error("stores.{role} = {url:?}: not a URL ({reason}); expected one such as {example}")]
    Malformed {
        /// The role.
        role: Role,
        /// The URL without what could be a password.
        url: String,
        /// What the parser found.
        reason: String,
        /// A URL of this server.
        example: &'static str,
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
        let (embedded, example) = (role.embedded_scheme(), role.example());
        let Some((scheme, rest)) = url.split_once(':') else {
            return Err(PlaceError::Scheme { role, url: redacted(url), embedded, example, hint: String::new() });
        };
        if scheme == embedded {
            if rest.trim_start_matches('/').is_empty() {
                return Err(PlaceError::Empty { role, url: redacted(url), embedded });
            }
            let path = rest.strip_prefix("//").unwrap_or(rest);
            return Ok(Place::Embedded(PathBuf::from(path)));
        }
        if role.server_schemes().contains(&scheme) {
            return ServerUrl::parse(url).map(Place::Server).map_err(|reason| PlaceError::Malformed { role, url: redacted(url), reason, example });
        }
        Err(PlaceError::Scheme { role, url: redacted(url), embedded, example, hint: format!(", found the scheme {scheme:?}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_one_store_by_its_scheme() {
        assert_eq!(Place::parse(Role::Ledger, "sqlite:data/ledger.db").unwrap(), Place::Embedded(PathBuf::from("data/ledger.db")));
        assert_eq!(Place::parse(Role::Search, "tantivy:///srv/search").unwrap(), Place::Embedded(PathBuf::from("/srv/search")));
        for (role, url) in Role::ALL.map(|role| (role, role.example())) {
            assert!(matches!(Place::parse(role, url), Ok(Place::Server(parsed)) if parsed.expose() == url), "{url}");
        }
    }

    #[test]
    fn a_wrong_scheme_is_told_with_what_was_expected() {
        let error = Place::parse(Role::Ledger, "mysql://u:secret@h/db").unwrap_err().to_string();
        assert_eq!(error, "stores.ledger = \"mysql://…@h/db\": expected a URL such as sqlite:data/ledger or postgres://user@host/wardhouse, found the scheme \"mysql\"");
        assert!(Place::parse(Role::Log, "data/log").is_err());
        assert!(Place::parse(Role::Log, "sqlite:").is_err());
        let malformed = Place::parse(Role::Ledger, "postgres://u:secret@h:port/db").unwrap_err().to_string();
        assert!(malformed.contains("stores.ledger") && !malformed.contains("secret"), "{malformed}");
    }
}
