//! What the servers are told: addresses, users, roles, certificate.
//!
//! What must stay true: no I/O here; what does not belong together is refused in one sentence that names the settings.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use wh_query::Limits;

use crate::errors::ServeError;

/// The role of whoever comes over loopback where no users are configured, and of users without a role of their own.
pub const LOCAL_ROLE: &str = "local";

/// What the servers are told.
#[derive(Clone, Debug, Default)]
pub struct ServeSettings {
    /// Where PostgreSQL's protocol is spoken; `None` for nowhere.
    pub postgres: Option<SocketAddr>,
    /// Where Flight SQL is spoken.
    pub flight: Option<SocketAddr>,
    /// Where HTTP is spoken.
    pub http: Option<SocketAddr>,
    /// Who may connect. Nobody: whoever reaches a loopback address may.
    pub users: Vec<UserSettings>,
    /// What a user of each role may take. The role `local` needs no entry and has no limits without one.
    pub roles: BTreeMap<String, Limits>,
    /// Certificate and key.
    pub tls: Option<TlsFiles>,
    /// Whether clients of PostgreSQL's protocol that do not encrypt are let in on loopback where there are users and a certificate. By default they are not,
    /// as with PostgreSQL's `hostssl`; on an address that others reach they never are.
    pub plain_on_loopback: bool,
}

/// Someone who may connect.
#[derive(Clone, Debug)]
pub struct UserSettings {
    /// The name.
    pub name: String,
    /// One of the roles.
    pub role: String,
    /// The password.
    pub password: SecretString,
}

/// Certificate and key, both in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, then those that vouch for it.
    pub cert_file: PathBuf,
    /// Its key.
    pub key_file: PathBuf,
}

impl ServeSettings {
    /// Whether clients of PostgreSQL's protocol that do not encrypt are refused on this address.
    #[must_use]
    pub fn only_encrypted(&self, address: SocketAddr) -> bool {
        !address.ip().is_loopback() || (self.tls.is_some() && !self.users.is_empty() && !self.plain_on_loopback)
    }

    /// Whether these belong together: an address that others reach has users and a certificate, each user has a role that there is.
    ///
    /// # Errors
    /// [`ServeError::Settings`], a sentence that names the settings.
    pub fn check(&self) -> Result<(), ServeError> {
        let open = [("sql.postgres", self.postgres), ("sql.flight", self.flight), ("sql.http", self.http)]
            .into_iter()
            .filter_map(|(name, address)| address.map(|address| (name, address)))
            .find(|(_, address)| !address.ip().is_loopback());
        if let Some((name, address)) = open {
            let missing: Vec<&str> = [
                (self.users.is_empty(), "sql.users (names, roles and passwords)"),
                (self.tls.is_none(), "sql.tls_cert_file and sql.tls_key_file (a certificate and its key in PEM)"),
            ]
            .into_iter()
            .filter_map(|(missing, what)| missing.then_some(what))
            .collect();
            if !missing.is_empty() {
                return Err(ServeError::Settings(format!(
                    "{name} = \"{address}\" can be reached from other machines and is not served without credentials and encryption: set {}, or use a loopback address such as 127.0.0.1:{}",
                    missing.join(", and "),
                    address.port()
                )));
            }
        }
        let mut names = BTreeSet::new();
        for user in &self.users {
            if user.name.is_empty() || user.name.contains([':', '\0']) {
                return Err(ServeError::Settings(format!("sql.users: {:?} is no name: one has at least one character and neither a colon nor a zero byte", user.name)));
            }
            if !names.insert(&user.name) {
                return Err(ServeError::Settings(format!("sql.users: {} is there twice", user.name)));
            }
            if user.password.expose_secret().is_empty() {
                return Err(ServeError::Settings(format!("sql.users: {} has no password", user.name)));
            }
            if user.role != LOCAL_ROLE && !self.roles.contains_key(&user.role) {
                return Err(ServeError::Settings(format!("sql.users: {} has the role {}, which sql.roles does not have", user.name, user.role)));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, role: &str) -> UserSettings {
        UserSettings { name: name.to_owned(), role: role.to_owned(), password: "secret".to_owned().into() }
    }

    fn fault(settings: &ServeSettings) -> String {
        settings.check().unwrap_err().to_string()
    }

    #[test]
    fn an_open_address_wants_users_and_tls_and_says_so() {
        let mut settings = ServeSettings { postgres: Some("0.0.0.0:5433".parse().unwrap()), ..ServeSettings::default() };
        let told = fault(&settings);
        assert!(told.contains("sql.postgres") && told.contains("sql.users") && told.contains("sql.tls_cert_file") && told.contains("127.0.0.1:5433"), "{told}");
        settings.users.push(user("ann", LOCAL_ROLE));
        assert!(!fault(&settings).contains("sql.users ("), "{}", fault(&settings));
        settings.tls = Some(TlsFiles { cert_file: "c".into(), key_file: "k".into() });
        assert!(settings.check().is_ok());
        let loopback = ServeSettings { postgres: Some("[::1]:5433".parse().unwrap()), http: Some("127.0.0.1:8080".parse().unwrap()), ..ServeSettings::default() };
        assert!(loopback.check().is_ok());
    }

    #[test]
    fn a_password_is_asked_for_without_encryption_only_where_a_setting_says_so() {
        let (inside, outside) = ("127.0.0.1:5433".parse().unwrap(), "10.0.0.1:5433".parse().unwrap());
        let tls = Some(TlsFiles { cert_file: "c".into(), key_file: "k".into() });
        let open = ServeSettings { tls: tls.clone(), ..ServeSettings::default() };
        assert!(!open.only_encrypted(inside) && open.only_encrypted(outside), "where everyone is trusted there is no password to be read");
        let known = ServeSettings { users: vec![user("ann", LOCAL_ROLE)], ..open };
        assert!(known.only_encrypted(inside));
        let plain = ServeSettings { plain_on_loopback: true, ..known.clone() };
        assert!(!plain.only_encrypted(inside) && plain.only_encrypted(outside));
        assert!(!ServeSettings { tls: None, ..known }.only_encrypted(inside), "without a certificate nobody could come in");
    }

    #[test]
    fn users_have_one_name_a_password_and_a_role_that_is_there() {
        let of = |users: Vec<UserSettings>| ServeSettings { users, ..ServeSettings::default() };
        assert!(fault(&of(vec![user("ann", LOCAL_ROLE), user("ann", LOCAL_ROLE)])).contains("ann is there twice"));
        assert!(fault(&of(vec![user("ann", "analyst")])).contains("sql.roles does not have"));
        assert!(fault(&of(vec![user("a:b", LOCAL_ROLE)])).contains("is no name"));
        let mut unsafe_user = user("ann", LOCAL_ROLE);
        unsafe_user.password = String::new().into();
        assert!(fault(&of(vec![unsafe_user])).contains("has no password"));
    }
}
