//! Who connects: what the URL and the section of a server say of it together.
//!
//! What must stay true: no I/O; where both say something they say the same; no message repeats a secret.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use crate::faults::Faults;
use crate::secret::Secret;
use crate::section::Section;

/// The user and the password, of the URL or of the section.
pub(crate) fn user_and_password(
    section: &Section<'_>,
    user: Option<&str>,
    password: Option<&SecretString>,
    password_file: Option<&Path>,
    faults: &mut Faults,
) -> (Option<String>, Secret) {
    let Section { name, setting, url } = *section;
    let user = match (url.user(), user) {
        (Some(one), Some(other)) if one != other => {
            faults.add(format!("{name}.user: {setting} names another user: keep one"));
            None
        }
        (one, other) => one.or(other).map(str::to_owned),
    };
    let own = faults.take(Secret::try_new(&format!("{name}.password"), password, password_file));
    (user, one_secret(section, "password", own, faults))
}

/// The section's own secret, or what stands in the URL where a password does. `what` is the name of the setting in the section.
pub(crate) fn one_secret(section: &Section<'_>, what: &str, own: Secret, faults: &mut Faults) -> Secret {
    let Section { name, setting, url } = *section;
    match (url.password(), own) {
        (Some(password), Secret::None) => Secret::Value(password),
        (Some(one), Secret::Value(other)) if one.expose_secret() == other.expose_secret() => Secret::Value(one),
        (Some(_), _) => {
            faults.add(format!("{name}.{what}: {setting} has a {what} too: keep one"));
            Secret::None
        }
        (None, own) => own,
    }
}
