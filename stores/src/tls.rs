//! Whether and how a connection is encrypted: what the URL and the section of a server say of it together.
//!
//! What must stay true: no I/O; where both say something they say the same; certificates that no connection would use are a fault, and
//! are never left out without a word.

use std::path::{Path, PathBuf};

use crate::faults::Faults;
use crate::section::Section;
use crate::server_url::ServerUrl;

/// How a connection is encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificates (PEM) of who may vouch for the server, beside the well-known ones or in their place, as the server's section says.
    pub ca_file: Option<PathBuf>,
    /// Certificate and key (PEM) by which the server knows this client.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// The files that a section names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Files<'a> {
    /// `ca_file`
    pub(crate) ca: Option<&'a Path>,
    /// `cert_file`
    pub(crate) certificate: Option<&'a Path>,
    /// `key_file`
    pub(crate) key: Option<&'a Path>,
}

impl Files<'_> {
    /// Whether there is one.
    pub(crate) fn are_named(&self) -> bool {
        self.ca.is_some() || self.certificate.is_some() || self.key.is_some()
    }

    /// Certificate and key, neither of which is of use alone. `section` is the section's name.
    pub(crate) fn identity(&self, section: &str, faults: &mut Faults) -> Option<(PathBuf, PathBuf)> {
        match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => Some((certificate.to_owned(), key.to_owned())),
            (None, None) => None,
            (Some(_), None) => {
                faults.add(format!("{section}.cert_file: there is a certificate and no key: set {section}.key_file"));
                None
            }
            (None, Some(_)) => {
                faults.add(format!("{section}.key_file: there is a key and no certificate: set {section}.cert_file"));
                None
            }
        }
    }
}

/// What a URL says of encryption, if anything. `setting` is the one that holds the URL.
///
/// # Errors
/// The fault, where it says neither true nor false.
pub(crate) fn said(setting: &str, url: &ServerUrl) -> Result<Option<bool>, String> {
    match url.query("tls") {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(format!("{setting} = {url}: tls: expected true or false")),
    }
}

/// Whether encryption is wanted, `tls` being what the section says. `None`, and a fault, where the URL says neither true nor false.
pub(crate) fn wanted(section: &Section<'_>, tls: bool, faults: &mut Faults) -> Option<bool> {
    let Section { name, setting, url } = *section;
    match said(setting, url) {
        Ok(Some(false)) if tls => {
            faults.add(format!("{setting} = {url}: tls=false, but {name}.tls = true: keep one"));
            Some(false)
        }
        Ok(in_url) => Some(in_url.unwrap_or(tls)),
        Err(fault) => {
            faults.add(fault);
            None
        }
    }
}

/// Encryption by these files, where it is wanted; a fault where they are named and it is not.
pub(crate) fn with_files(section: &Section<'_>, wanted: bool, files: Files<'_>, faults: &mut Faults) -> Option<Tls> {
    let name = section.name;
    let identity = files.identity(name, faults);
    if files.are_named() && !wanted {
        faults.add(format!("{name}.tls = false: there are certificates, which only an encrypted connection uses: set {name}.tls = true, or remove them"));
    }
    wanted.then(|| Tls { ca_file: files.ca.map(Path::to_owned), identity })
}
