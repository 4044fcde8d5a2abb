//! What a session has set: the settings that PostgreSQL's clients know, and those of Wardhouse.
//!
//! What must stay true: a setting that is not in the list is refused with its nearest name, and so is a value that would not be obeyed:
//! nothing is taken and then ignored that would change what is answered. No statement runs longer than its role allows, whatever is set.

mod known;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::catalog::{DEFAULT_SCHEMA, PATH};
use crate::errors::{QueryError, nearest};
use known::{KNOWN, Kind, Known};

pub(crate) use values::zone;

/// Name of the setting that says as of when tables are read.
const READ: &str = "wardhouse.read";
/// Name of the setting that says what becomes of a query when a store is down.
const UNAVAILABLE: &str = "wardhouse.unavailable";
/// Name of the setting that asks for the result cache.
const CACHE: &str = "wardhouse.cache";
/// Name of the setting that has stores asked for rows only.
const PUSHDOWN: &str = "wardhouse.pushdown";

/// What the settings are when nothing was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Defaults {
    /// IANA name.
    pub(crate) zone: String,
    /// Who asks.
    pub(crate) principal: String,
    /// How long a statement may run.
    pub(crate) timeout: Option<Duration>,
    /// How long the role lets it run at most.
    pub(crate) most: Option<Duration>,
    /// Every schema.
    pub(crate) schemas: Arc<[String]>,
}

/// The settings of one session.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    defaults: Defaults,
    /// By the name in the list.
    set: BTreeMap<&'static str, String>,
}

/// What plans depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Planning {
    /// IANA name.
    pub(crate) zone: String,
    /// The schema in which names without one are looked for.
    pub(crate) schema: String,
}

impl Settings {
    pub(crate) fn new(defaults: Defaults) -> Settings {
        Settings { defaults, set: BTreeMap::new() }
    }

    /// Sets a setting.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), QueryError> {
        let known = named(name)?;
        let value = values::checked(known, value, &self.defaults)?;
        self.set.insert(known.name, value);
        Ok(())
    }

    /// What a setting is when nothing was set, and its name as it is written.
    pub(crate) fn default_of(&self, name: &str) -> Result<(&'static str, String), QueryError> {
        Settings::new(self.defaults.clone()).show(name)
    }

    /// Takes back whatever was set.
    pub(crate) fn reset_all(&mut self) {
        self.set.clear();
    }

    /// The value of a setting, as SHOW gives it, and its name as it is written.
    pub(crate) fn show(&self, name: &str) -> Result<(&'static str, String), QueryError> {
        let known = named(name)?;
        Ok((known.name, self.value(known)))
    }

    /// Name, value and description of every setting.
    pub(crate) fn all(&self) -> Vec<(&'static str, String, &'static str)> {
        KNOWN.iter().map(|known| (known.name, self.value(known), known.description)).collect()
    }

    fn value(&self, known: &Known) -> String {
        match known.kind {
            Kind::Timeout => values::shown(self.timeout().unwrap_or_default()),
            Kind::Principal => self.defaults.principal.clone(),
            Kind::Zone => self.zone().to_owned(),
            _ => self.set.get(known.name).cloned().unwrap_or_else(|| known.default.to_owned()),
        }
    }

    fn said(&self, name: &'static str) -> Option<&str> {
        self.set.get(name).map(String::as_str)
    }

    /// IANA name of the session's zone.
    pub(crate) fn zone(&self) -> &str {
        self.said("TimeZone").unwrap_or(&self.defaults.zone)
    }

    /// How long a statement may run: what was set, but never longer than the role allows.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        let set = self.said("statement_timeout").map_or(self.defaults.timeout, |said| values::duration(said).filter(|timeout| !timeout.is_zero()));
        match (set, self.defaults.most) {
            (Some(set), Some(most)) => Some(set.min(most)),
            (set, most) => set.or(most),
        }
    }

    /// Whether the append-only tables are read as of one cut.
    pub(crate) fn as_of_cut(&self) -> bool {
        self.said(READ) == Some("cut")
    }

    /// Whether a store that is down answers nothing, rather than fails the query.
    pub(crate) fn partial(&self) -> bool {
        self.said(UNAVAILABLE) == Some("partial")
    }

    /// Whether an answer may be one that was given before.
    pub(crate) fn cached(&self) -> bool {
        self.said(CACHE) == Some("on")
    }

    /// Whether stores are asked for more than their rows.
    pub(crate) fn pushed(&self) -> bool {
        self.said(PUSHDOWN) != Some("off")
    }

    /// What plans depend on.
    pub(crate) fn planning(&self) -> Planning {
        let schema = match self.said("search_path") {
            None => DEFAULT_SCHEMA.to_owned(),
            Some(path) => match values::path(path, &self.defaults.schemas).as_slice() {
                [one] => one.clone(),
                several => format!("{PATH}{}", several.join(",")),
            },
        };
        Planning { zone: self.zone().to_owned(), schema }
    }
}

/// The setting of this name, whatever its case.
fn named(name: &str) -> Result<&'static Known, QueryError> {
    KNOWN.iter().find(|known| known.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
        let names: Vec<String> = KNOWN.iter().map(|known| known.name.to_owned()).collect();
        let like = nearest(name, &names);
        let hint = if like.is_empty() { "SHOW ALL lists them".to_owned() } else { format!("did you mean {}?", like.join(", ")) };
        QueryError::Setting { message: format!("there is no setting {name}"), hint: Some(hint), known: false }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(most: Option<Duration>) -> Settings {
        let schemas: Vec<String> = ["ledger", "documents", "search"].iter().map(|name| (*name).to_owned()).collect();
        Settings::new(Defaults { zone: "UTC".into(), principal: "ada".into(), timeout: Some(Duration::from_secs(30)), most, schemas: schemas.into() })
    }

    fn set(name: &str, value: &str) -> Result<String, String> {
        let mut settings = settings(None);
        settings.set(name, value).map_err(|error| format!("{} {error}", error.sqlstate()))?;
        Ok(settings.show(name).unwrap().1)
    }

    #[test]
    fn what_clients_set_is_taken_and_shown() {
        for (name, value, shown) in [
            ("client_encoding", "utf-8", "UTF8"),
            ("CLIENT_ENCODING", "UNICODE", "UTF8"),
            ("DateStyle", "ISO", "ISO, MDY"),
            ("datestyle", "iso, dmy", "ISO, DMY"),
            ("TimeZone", "europe/berlin", "Europe/Berlin"),
            ("extra_float_digits", "3", "3"),
            ("application_name", "DBeaver 24", "DBeaver 24"),
            ("statement_timeout", "5s", "5s"),
            ("statement_timeout", "1500", "1500ms"),
            ("statement_timeout", "120000", "2min"),
            ("statement_timeout", "0", "0"),
            ("standard_conforming_strings", "true", "on"),
            ("transaction_isolation", "Repeatable Read", "repeatable read"),
            ("wardhouse.read", "CUT", "cut"),
            ("wardhouse.unavailable", "partial", "partial"),
            ("wardhouse.cache", "1", "on"),
            ("search_path", "search, ledger, public, \"$user\"", "search, ledger, public, \"$user\""),
        ] {
            assert_eq!(set(name, value).as_deref(), Ok(shown), "{name} = {value}");
        }
    }

    #[test]
    fn what_would_not_be_obeyed_is_refused() {
        for (name, value) in [
            ("client_encoding", "LATIN1"),
            ("DateStyle", "German"),
            ("TimeZone", "Mars/Olympus"),
            ("statement_timeout", "soon"),
            ("statement_timeout", "-1"),
            ("wardhouse.read", "soon"),
            ("server_version", "17"),
            ("search_path", "no_such_schema"),
            ("extra_float_digits", "99"),
            ("standard_conforming_strings", "off"),
        ] {
            let told = set(name, value).unwrap_err();
            assert!(told.starts_with("22023 "), "{name} = {value}: {told}");
        }
        assert_eq!(set("statement_timeou", "1"), Err("42704 there is no setting statement_timeou\ndid you mean statement_timeout?".to_owned()));
        assert!(set("datafusion.execution.batch_size", "1").unwrap_err().starts_with("42704"));
        assert_eq!(set("wardhouse.read", "soon"), Err("22023 wardhouse.read is 'latest' or 'cut'".to_owned()));
    }

    #[test]
    fn no_statement_runs_longer_than_its_role_allows() {
        let mut settings = settings(Some(Duration::from_secs(10)));
        assert_eq!(settings.timeout(), Some(Duration::from_secs(10)));
        settings.set("statement_timeout", "1min").unwrap();
        assert_eq!(settings.show("statement_timeout").unwrap(), ("statement_timeout", "10s".to_owned()));
        settings.set("statement_timeout", "0").unwrap();
        assert_eq!(settings.timeout(), Some(Duration::from_secs(10)));
        settings.set("statement_timeout", "20ms").unwrap();
        assert_eq!(settings.timeout(), Some(Duration::from_millis(20)));
        let mut free = self::settings(None);
        assert_eq!(free.timeout(), Some(Duration::from_secs(30)));
        free.set("statement_timeout", "0").unwrap();
        assert_eq!(free.timeout(), None);
    }

    #[test]
    fn names_are_looked_for_in_the_order_of_the_path() {
        let mut settings = settings(None);
        assert_eq!(settings.planning().schema, "ledger");
        settings.set("search_path", "\"$user\", public, Search").unwrap();
        assert_eq!(settings.planning().schema, "search");
        settings.set("search_path", "search, documents").unwrap();
        assert_eq!(settings.planning().schema, "$path:search,documents");
        settings.set("search_path", "").unwrap();
        assert_eq!(settings.planning().schema, "$path:");
        let (name, default) = settings.default_of("SEARCH_PATH").unwrap();
        settings.set(name, &default).unwrap();
        assert_eq!(settings.planning().schema, "ledger");
    }
}
