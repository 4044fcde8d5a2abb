//! Settings of SQL: how it computes, where it is served, and to whom.
//!
//! What must stay true: no I/O but the reading of password files, when the servers start; no password is ever shown; what
//! the servers would refuse is a fault of the settings.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use wh_query::Limits;
use wh_serve::{LOCAL_ROLE, ServeSettings, TlsFiles, UserSettings};
use wh_stores::{Faults, Secret};

const POSTGRES: &str = "127.0.0.1:5433";
const FLIGHT: &str = "127.0.0.1:50051";
const HTTP: &str = "127.0.0.1:8081";

/// `[sql]` as it is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawSql {
    memory_mib: u64,
    statement_timeout_ms: u64,
    pub(crate) postgres: String,
    pub(crate) flight: String,
    pub(crate) http: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_cert_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_key_file: Option<PathBuf>,
    plain_on_loopback: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    users: Vec<RawUser>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    roles: BTreeMap<String, RawRole>,
}

impl Default for RawSql {
    fn default() -> Self {
        RawSql {
            memory_mib: 256,
            statement_timeout_ms: 0,
            postgres: POSTGRES.to_owned(),
            flight: FLIGHT.to_owned(),
            http: HTTP.to_owned(),
            tls_cert_file: None,
            tls_key_file: None,
            plain_on_loopback: false,
            users: Vec::new(),
            roles: BTreeMap::new(),
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUser {
    name: String,
    #[serde(default = "local")]
    role: String,
    #[serde(default, skip_serializing)]
    password: Option<SecretString>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password_file: Option<PathBuf>,
}

fn local() -> String {
    LOCAL_ROLE.to_owned()
}

/// What is absent is without a limit.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawRole {
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_mib: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    statement_timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queries: Option<u64>,
}

/// Settings of SQL.
#[derive(Clone, Debug)]
pub(crate) struct SqlSettings {
    /// What sorting, grouping and joining of all queries may hold.
    pub(crate) memory_bytes: usize,
    /// How long a statement may run, where its session says nothing else.
    pub(crate) statement_timeout: Option<Duration>,
    /// Where it is served, and to whom; passwords are not in it.
    ways: ServeSettings,
    users: Vec<(String, String, Secret)>,
}

fn mebibytes(mib: u64) -> usize {
    usize::try_from(mib.saturating_mul(1 << 20)).unwrap_or(usize::MAX)
}

fn address(name: &str, text: &str, faults: &mut Faults) -> Option<SocketAddr> {
    if text.is_empty() {
        return None;
    }
    let parsed = text.parse().ok();
    if parsed.is_none() {
        faults.add(format!("{name} = {text:?}: expected an address such as 127.0.0.1:8081, or \"\" for none"));
    }
    parsed
}

impl RawSql {
    /// The settings that these are; what is wrong with them is added to `faults`.
    pub(crate) fn checked(&self, faults: &mut Faults) -> SqlSettings {
        const DAY_MS: u64 = 86_400_000;
        let memory_mib = faults.within("sql.memory_mib", self.memory_mib, 16, 1 << 20);
        let timeout_ms = faults.within("sql.statement_timeout_ms", self.statement_timeout_ms, 0, DAY_MS);
        let mut roles = BTreeMap::new();
        for (name, role) in &self.roles {
            let mut within = |what: &str, value: Option<u64>, from: u64, to: u64| value.map(|value| faults.within(&format!("sql.roles.{name}.{what}"), value, from, to));
            let limits = Limits {
                rows: within("rows", role.rows, 1, u64::MAX),
                memory_bytes: within("memory_mib", role.memory_mib, 1, 1 << 20).map(mebibytes),
                statement_timeout: within("statement_timeout_ms", role.statement_timeout_ms, 1, DAY_MS).map(Duration::from_millis),
                queries: within("queries", role.queries, 1, 10_000).map(|queries| usize::try_from(queries).unwrap_or(usize::MAX)),
            };
            roles.insert(name.clone(), limits);
        }
        let tls = match (&self.tls_cert_file, &self.tls_key_file) {
            (Some(cert_file), Some(key_file)) => Some(TlsFiles { cert_file: cert_file.clone(), key_file: key_file.clone() }),
            (None, None) => None,
            _ => {
                faults.add("sql.tls_cert_file and sql.tls_key_file belong together: set both, or neither");
                None
            }
        };
        let ways = ServeSettings {
            postgres: address("sql.postgres", &self.postgres, faults),
            flight: address("sql.flight", &self.flight, faults),
            http: address("sql.http", &self.http, faults),
            users: Vec::new(),
            roles,
            tls,
            plain_on_loopback: self.plain_on_loopback,
        };
        let mut users = Vec::with_capacity(self.users.len());
        for user in &self.users {
            let secret = faults.take(Secret::try_new("sql.users.password", user.password.as_ref(), user.password_file.as_deref()));
            if !secret.is_some() {
                faults.add(format!("sql.users: {} has no password: set password or password_file", user.name));
            }
            users.push((user.name.clone(), user.role.clone(), secret));
        }
        let settings = SqlSettings { memory_bytes: mebibytes(memory_mib), statement_timeout: (timeout_ms > 0).then(|| Duration::from_millis(timeout_ms)), ways, users };
        // Whether users, roles, addresses and certificate belong together does not depend on the passwords.
        let unproven = settings.with_users(|_| Ok(SecretString::from("unproven")));
        if let Err(fault) = unproven.and_then(|ways| ways.check().map_err(|error| error.to_string())) {
            faults.add(fault);
        }
        settings
    }
}

impl SqlSettings {
    fn with_users(&self, password: impl Fn(&Secret) -> Result<SecretString, String>) -> Result<ServeSettings, String> {
        let users = self
            .users
            .iter()
            .map(|(name, role, secret)| {
                let password = password(secret).map_err(|error| format!("sql.users: {name}: {error}"))?;
                Ok(UserSettings { name: name.clone(), role: role.clone(), password })
            })
            .collect::<Result<Vec<_>, String>>()?;
        Ok(ServeSettings { users, ..self.ways.clone() })
    }

    /// What the servers are told. Reads the password files.
    ///
    /// # Errors
    /// A sentence where a password cannot be read.
    pub(crate) fn served(&self) -> Result<ServeSettings, String> {
        self.with_users(|secret| secret.read().map_err(|error| error.to_string())?.ok_or_else(|| "there is no password".to_owned()))
    }

    /// Where it is served: names of the settings, and addresses.
    pub(crate) fn addresses(&self) -> [(&'static str, Option<SocketAddr>); 3] {
        [("sql.postgres", self.ways.postgres), ("sql.flight", self.ways.flight), ("sql.http", self.ways.http)]
    }
}

/// Whether an address is the one that a setting has where nobody sets it.
pub(crate) fn is_default(setting: &str, address: SocketAddr) -> bool {
    let default = match setting {
        "sql.postgres" => POSTGRES,
        "sql.flight" => FLIGHT,
        "sql.http" => HTTP,
        _ => return false,
    };
    default.parse().is_ok_and(|default: SocketAddr| default == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<SqlSettings, String> {
        let raw: RawSql = toml::from_str(text).unwrap();
        let mut faults = Faults::new();
        let settings = raw.checked(&mut faults);
        faults.unless_any(settings).map_err(|faults| faults.join("\n"))
    }

    #[test]
    fn the_defaults_serve_on_loopback_without_users() {
        let settings = checked("").unwrap();
        assert!(settings.addresses().iter().all(|(name, address)| address.is_some_and(|address| address.ip().is_loopback() && is_default(name, address))));
        assert!(settings.served().unwrap().users.is_empty());
        assert!(checked("postgres = \"\"").unwrap().addresses()[0].1.is_none());
    }

    #[test]
    fn users_have_passwords_and_roles_that_there_are() {
        let settings = checked("[[users]]\nname = \"ann\"\nrole = \"analyst\"\npassword = \"s3cret\"\n[roles.analyst]\nrows = 10\nmemory_mib = 1").unwrap();
        let served = settings.served().unwrap();
        assert_eq!((served.users.len(), served.roles["analyst"].rows, served.roles["analyst"].memory_bytes), (1, Some(10), Some(1 << 20)));
        assert!(!format!("{settings:?}").contains("s3cret"));
        assert!(checked("[[users]]\nname = \"ann\"").unwrap_err().contains("ann has no password"));
        assert!(checked("[[users]]\nname = \"ann\"\nrole = \"nobody\"\npassword = \"x\"").unwrap_err().contains("nobody"));
        assert!(checked("[roles.a]\nrows = 0").unwrap_err().contains("sql.roles.a.rows = 0"));
    }

    #[test]
    fn an_address_for_others_wants_users_and_a_certificate() {
        let told = checked("http = \"0.0.0.0:8081\"").unwrap_err();
        assert!(told.contains("sql.http") && told.contains("sql.users") && told.contains("sql.tls_cert_file"), "{told}");
        assert!(checked("tls_cert_file = \"a.pem\"").unwrap_err().contains("belong together"));
        assert!(checked("flight = \"nowhere\"").unwrap_err().contains("sql.flight"));
    }

    #[test]
    fn a_shown_setting_has_no_password() {
        let raw: RawSql = toml::from_str("[[users]]\nname = \"ann\"\npassword = \"s3cret\"").unwrap();
        let shown = format!("{}{raw:?}", toml::to_string(&raw).unwrap());
        assert!(shown.contains("ann") && !shown.contains("s3cret"), "{shown}");
    }
}
