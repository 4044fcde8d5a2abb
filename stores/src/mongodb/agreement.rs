//! What the URL and the section `[mongodb]` say together: users, encryption, when a write counts.
//!
//! What must stay true: pure; where both say something they must say the same, and no message repeats a secret.

use std::path::Path;
use std::time::Duration;

use ::mongodb::error::{Error, ErrorKind};
use ::mongodb::options::{Acknowledgment, ConnectionString, ReadConcern, ReadPreference, Tls, TlsOptions, WriteConcern};
use secrecy::SecretString;

use super::settings::RawMongodb;
use crate::{Durability, Faults, Secret};

/// What the client says of a URL, unless it repeats what may be a part of a password.
pub(super) fn told(error: &Error) -> String {
    match error.kind.as_ref() {
        ErrorKind::InvalidArgument { message, .. } if !message.contains('@') => message.clone(),
        _ => "it cannot be read; are @ : / ? % in user or password written as %40 %3A %2F %3F %25?".to_owned(),
    }
}

/// Takes what the section says where the URL says nothing; both must agree.
pub(super) fn agree<T: Clone + PartialEq>(setting: &str, option: &str, ours: &T, theirs: &mut Option<T>, faults: &mut Faults) {
    if theirs.get_or_insert_with(|| ours.clone()) != ours {
        faults.add(format!("{setting} and {option} in stores.documents are not the same: keep one"));
    }
}

/// Who we are: the user goes into the client's options, the password stays apart.
pub(super) fn credentials(connection: &mut ConnectionString, source_in_url: Option<&str>, raw: &RawMongodb, faults: &mut Faults) -> Secret {
    let section = faults.take(Secret::try_new("mongodb.password", raw.password.as_ref(), raw.password_file.as_deref()));
    let mut credential = connection.credential.take().unwrap_or_default();
    let in_url = credential.password.take();
    // The driver's parser drops it where the URL names no user.
    if credential.source.is_none() {
        credential.source = source_in_url.map(str::to_owned);
    }
    if let Some(user) = &raw.user {
        agree("mongodb.user", "the user", user, &mut credential.username, faults);
    }
    if let Some(source) = &raw.auth_source {
        agree("mongodb.auth_source", "authSource", source, &mut credential.source, faults);
    }
    let password = match in_url {
        Some(_) if section.is_some() => {
            faults.add("mongodb.password and the password in stores.documents are both set: keep one");
            section
        }
        Some(password) => Secret::Value(SecretString::from(password)),
        None => section,
    };
    if credential.username.is_none() && password.is_some() {
        faults.add("mongodb.password is set, but no user: add mongodb.user");
    }
    if credential.username.is_some() && credential.mechanism.is_none() && !password.is_some() {
        faults.add("mongodb.user is set, but no password: add mongodb.password_file, or set it in the environment");
    }
    if credential.username.is_some() || credential.mechanism.is_some() {
        connection.credential = Some(credential);
    } else if raw.auth_source.is_some() {
        faults.add("mongodb.auth_source is set, but no user: add mongodb.user");
    }
    password
}

/// Whether and how the connection is encrypted.
pub(super) fn encryption(connection: &mut ConnectionString, raw: &RawMongodb, faults: &mut Faults) {
    if raw.tls && matches!(connection.tls, Some(Tls::Disabled)) {
        faults.add("mongodb.tls = true, but stores.documents says tls=false: keep one");
    }
    if raw.tls && connection.tls.is_none() {
        connection.tls = Some(Tls::Enabled(TlsOptions::default()));
    }
    let files: [(&str, &str, Option<&Path>); 2] =
        [("mongodb.ca_file", "tlsCAFile", raw.ca_file.as_deref()), ("mongodb.cert_key_file", "tlsCertificateKeyFile", raw.cert_key_file.as_deref())];
    for (setting, option, file) in files {
        let Some(file) = file else { continue };
        match &mut connection.tls {
            Some(Tls::Enabled(options)) => {
                let theirs = if option == "tlsCAFile" { &mut options.ca_file_path } else { &mut options.cert_key_file_path };
                agree(setting, option, &file.to_owned(), theirs, faults);
            }
            _ => faults.add(format!("{setting} is set, but the connection is not encrypted: add mongodb.tls = true")),
        }
    }
}

/// When a write counts.
pub(super) fn acknowledgement(connection: &mut ConnectionString, raw: &RawMongodb, timeout: Duration, durability: Durability, faults: &mut Faults) {
    let word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let members = match (raw.write_concern.as_str(), raw.write_concern.parse::<u32>()) {
        (_, Ok(members @ 1..=50)) => Acknowledgment::Nodes(members),
        (text, Err(_)) if word(text) => Acknowledgment::from(text),
        _ => {
            faults.add(format!("mongodb.write_concern = {:?}: expected majority, 1 to 50, or the name of a rule", raw.write_concern));
            Acknowledgment::Majority
        }
    };
    let mut concern = connection.write_concern.take().unwrap_or_default();
    if concern.w == Some(Acknowledgment::Nodes(0)) {
        faults.add("stores.documents: w=0 would lose rows without a word: remove it");
    }
    // What the URL says counts, unless the section says something else than its default.
    if raw.write_concern == "majority" {
        concern.w.get_or_insert(members);
    } else {
        agree("mongodb.write_concern", "w", &members, &mut concern.w, faults);
    }
    if raw.journal {
        concern.journal.get_or_insert(true);
    } else {
        agree("mongodb.journal", "journal", &false, &mut concern.journal, faults);
    }
    concern.w_timeout.get_or_insert(timeout);
    if durability == Durability::Strict {
        for weakness in weaknesses(Some(&concern)) {
            faults.add(format!("mongodb: {weakness}, which stores.durability = \"strict\" does not allow: keep write_concern = \"majority\" and journal = true"));
        }
    }
    connection.write_concern = Some(concern);
}

/// What makes a write count before it is safe.
pub(super) fn weaknesses(concern: Option<&WriteConcern>) -> Vec<&'static str> {
    let mut weaknesses = Vec::new();
    if concern.is_some_and(|concern| matches!(concern.w, Some(Acknowledgment::Nodes(0 | 1)))) {
        weaknesses.push("a write counts when one member has it: what it acknowledged is lost when another member takes over");
    }
    if concern.is_some_and(|concern| concern.journal == Some(false)) {
        weaknesses.push("a write counts before it is in the journal: what was acknowledged may be lost with the server's power");
    }
    weaknesses
}

/// From where, and how sure, it is read.
pub(super) fn reading(connection: &mut ConnectionString, faults: &mut Faults) {
    if connection.read_preference.as_ref().is_some_and(|preference| !matches!(preference, ReadPreference::Primary)) {
        faults.add("stores.documents: readPreference must be primary, or a position may be read from one member and its rows from another that has them later: remove it");
    }
    if connection.read_concern.as_ref().is_some_and(|concern| *concern != ReadConcern::majority()) {
        faults.add("stores.documents: readConcernLevel must be majority, or what is read may be gone when another member takes over: remove it");
    }
    connection.read_concern = Some(ReadConcern::majority());
}
