//! Who may connect, and as whom: the same for all three protocols.
//!
//! What must stay true: a wrong user and a wrong password look alike, in words and in the work done for them; passwords are kept only as what
//! they are proven with; where no users are configured, the addresses are loopback ([`ServeSettings::check`]) and everyone is trusted.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pgwire::api::auth::Password;
use pgwire::api::auth::sasl::scram::{SCRAM_ITERATIONS, gen_salted_password};
use secrecy::ExposeSecret;
use tokio_rustls::rustls::ServerConfig;
use wh_query::{Limits, Principal, Way};

use crate::errors::ServeError;
use crate::handle;
use crate::settings::{LOCAL_ROLE, ServeSettings};
use crate::tls;

/// How long a token is good for.
const TOKEN_LIFE: Duration = Duration::from_secs(12 * 3_600);
/// Tokens that are good at a time; beyond, the one that would end first ends.
const MOST_TOKENS: usize = 10_000;
/// Bytes of a salt, as PostgreSQL has them.
const SALT_BYTES: usize = 16;

/// Who may connect, and as whom.
pub struct Access {
    users: BTreeMap<String, User>,
    tls: Option<Arc<ServerConfig>>,
    /// What salts and digests are made with; new at each start.
    secret: Vec<u8>,
    /// What nobody's password gives.
    nobody: Vec<u8>,
    tokens: Mutex<HashMap<String, Token>>,
}

struct User {
    principal: Principal,
    /// What SCRAM proves (RFC 5802: SaltedPassword).
    salted: Vec<u8>,
    /// One keyed hash of the password, for those who send it as it is.
    digest: Vec<u8>,
}

struct Token {
    principal: Principal,
    ends: Instant,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("users", &self.users.keys().collect::<Vec<_>>()).field("tls", &self.tls.is_some()).finish_non_exhaustive()
    }
}

impl Access {
    /// Checks the settings, reads certificate and key, and salts the passwords.
    ///
    /// # Errors
    /// [`ServeError`] for settings that do not belong together and files that cannot be used.
    pub fn new(settings: &ServeSettings) -> Result<Access, ServeError> {
        settings.check()?;
        let tls = settings.tls.as_ref().map(tls::config).transpose()?.map(Arc::new);
        let mut random = [0; 2 * handle::BYTES];
        for half in random.chunks_mut(handle::BYTES) {
            half.copy_from_slice(&handle::random().map_err(|error| ServeError::Settings(error.to_string()))?);
        }
        let (secret, nobody) = (random.to_vec(), gen_salted_password("nobody", &random[handle::BYTES..], 1));
        let mut users = BTreeMap::new();
        for user in &settings.users {
            let password = user.password.expose_secret();
            let limits = settings.roles.get(&user.role).cloned().unwrap_or_default();
            let principal = Principal { name: user.name.clone(), proved: true, role: user.role.clone(), way: Way::Postgres, peer: None, limits };
            let salted = gen_salted_password(password, &salt(&user.name, &secret), SCRAM_ITERATIONS);
            users.insert(user.name.clone(), User { principal, salted, digest: gen_salted_password(password, &secret, 1) });
        }
        Ok(Access { users, tls, secret, nobody, tokens: Mutex::new(HashMap::new()) })
    }

    /// Whether everyone who reaches the address may connect.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.users.is_empty()
    }

    /// Who someone is where everyone may connect.
    #[must_use]
    pub fn trusted(&self, name: &str, way: Way) -> Principal {
        Principal { name: name.to_owned(), proved: false, role: LOCAL_ROLE.to_owned(), way, peer: None, limits: Limits::default() }
    }

    /// Certificate and key, where they are configured; without application protocols.
    #[must_use]
    pub fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.tls.clone()
    }

    /// Who has this name and password. Its `way` and `peer` are the caller's to set.
    #[must_use]
    pub fn basic(&self, name: &str, password: &str) -> Option<Principal> {
        let digest = gen_salted_password(password, &self.secret, 1);
        let user = self.users.get(name);
        let known = user.map_or(&self.nobody, |user| &user.digest);
        let proven = same(known, &digest);
        user.filter(|_| proven).map(|user| user.principal.clone())
    }

    /// Salt and salted password of a user, as SCRAM-SHA-256 proves it; of someone who is not there, ones that no password proves, and the
    /// same salt at each try.
    #[must_use]
    pub fn scram(&self, name: &str) -> Password {
        let salted = self.users.get(name).map_or(&self.nobody, |user| &user.salted);
        Password::new(Some(salt(name, &self.secret)), salted.clone())
    }

    /// The user of this name, once SCRAM has proven it.
    #[must_use]
    pub fn proven(&self, name: &str) -> Option<Principal> {
        self.users.get(name).map(|user| user.principal.clone())
    }

    /// A token that stands for a principal for twelve hours.
    ///
    /// # Errors
    /// Where the operating system gives no randomness.
    pub fn issue(&self, principal: &Principal) -> Result<String, ServeError> {
        let bytes = handle::random().map_err(|error| ServeError::Settings(error.to_string()))?;
        let token = handle::hex(&bytes);
        let now = Instant::now();
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, token| token.ends > now);
        if tokens.len() >= MOST_TOKENS
            && let Some(first) = tokens.iter().min_by_key(|(_, token)| token.ends).map(|(name, _)| name.clone())
        {
            tokens.remove(&first);
        }
        tokens.insert(token.clone(), Token { principal: principal.clone(), ends: now + TOKEN_LIFE });
        Ok(token)
    }

    /// Who a token stands for. Its `way` and `peer` are the caller's to set.
    #[must_use]
    pub fn bearer(&self, token: &str) -> Option<Principal> {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(token).filter(|token| token.ends > Instant::now()).map(|token| token.principal.clone())
    }

    /// Ends a token.
    pub fn revoke(&self, token: &str) {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).remove(token);
    }
}

/// The salt of a name, whether someone has it or not.
fn salt(name: &str, secret: &[u8]) -> Vec<u8> {
    let mut salt = gen_salted_password(name, secret, 1);
    salt.truncate(SALT_BYTES);
    salt
}

/// Compares in a time that does not tell where the two differ.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::UserSettings;

    fn access() -> Access {
        let user = UserSettings { name: "ann".to_owned(), role: "analyst".to_owned(), password: "pencil".to_owned().into() };
        let roles = BTreeMap::from([("analyst".to_owned(), Limits { rows: Some(10), ..Limits::default() })]);
        Access::new(&ServeSettings { users: vec![user], roles, ..ServeSettings::default() }).unwrap()
    }

    #[test]
    fn a_password_gives_its_user_with_the_limits_of_the_role() {
        let access = access();
        let ann = access.basic("ann", "pencil").unwrap();
        assert_eq!((ann.name.as_str(), ann.role.as_str(), ann.limits.rows), ("ann", "analyst", Some(10)));
        assert!(ann.proved && !access.trusted("ann", Way::Postgres).proved);
        assert_eq!(access.basic("ann", "pencils"), None);
        assert_eq!(access.basic("bob", "pencil"), None);
        assert_eq!(access.basic("", ""), None);
        assert!(!access.is_open() && Access::new(&ServeSettings::default()).unwrap().is_open());
    }

    #[test]
    fn an_unknown_user_has_a_salt_too_and_always_the_same() {
        let access = access();
        let of = |name: &str| access.scram(name).salt().map(<[u8]>::to_vec);
        assert_eq!(of("bob"), of("bob"));
        assert_ne!(of("bob"), of("ann"));
        assert_eq!(of("bob").unwrap().len(), of("ann").unwrap().len());
        assert!(access.proven("bob").is_none());
    }

    #[test]
    fn a_token_stands_for_whoever_it_was_issued_to() {
        let access = access();
        let ann = access.basic("ann", "pencil").unwrap();
        let token = access.issue(&ann).unwrap();
        assert_eq!(access.bearer(&token), Some(ann));
        access.revoke(&token);
        assert_eq!(access.bearer(&token), None);
        assert_eq!(access.bearer(""), None);
    }
}
