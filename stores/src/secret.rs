//! Passwords, tokens and keys: from the settings, the environment or a file; never in a message.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use wh_schemas::Reaction;

/// Where a secret comes from.
#[derive(Clone, Debug, Default)]
pub enum Secret {
    /// There is none.
    #[default]
    None,
    /// It stands in the settings or the environment.
    Value(SecretString),
    /// It is the first line of a file, which is read anew for each connection.
    File(PathBuf),
}

impl Secret {
    /// A value, or a file, or neither. No I/O.
    ///
    /// # Errors
    /// Both at once; `name` is the setting's, e.g. `postgres.password`.
    pub fn try_new(name: &str, value: Option<&SecretString>, file: Option<&Path>) -> Result<Secret, String> {
        match (value, file) {
            (Some(_), Some(_)) => Err(format!("{name} and {name}_file are both set: keep one")),
            (Some(value), None) => Ok(Secret::Value(value.clone())),
            (None, Some(file)) => Ok(Secret::File(file.to_owned())),
            (None, None) => Ok(Secret::None),
        }
    }

    /// Whether there is one.
    #[must_use]
    pub fn is_some(&self) -> bool {
        !matches!(self, Secret::None)
    }

    /// The secret itself. Reads the file, where it is in one.
    ///
    /// # Errors
    /// Fatal where the file cannot be read or is empty.
    pub fn read(&self) -> Result<Option<SecretString>, Reaction> {
        match self {
            Secret::None => Ok(None),
            Secret::Value(value) => Ok(Some(value.clone())),
            Secret::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| Reaction::fatal(format!("the secret in {} cannot be read: {error}", path.display())))?;
                match text.lines().next().map(str::trim_end) {
                    Some(line) if !line.is_empty() => Ok(Some(SecretString::from(line))),
                    _ => Err(Reaction::fatal(format!("the first line of {} is empty: put the secret there", path.display()))),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn a_secret_is_read_from_the_first_line_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "s3cret \n\nmore").unwrap();
        let secret = Secret::try_new("x.password", None, Some(&path)).unwrap();
        assert_eq!(secret.read().unwrap().unwrap().expose_secret(), "s3cret");
        std::fs::write(&path, "").unwrap();
        assert!(secret.read().is_err());
        assert!(Secret::try_new("x.password", Some(&"a".into()), Some(&path)).unwrap_err().contains("x.password_file"));
        assert!(!format!("{:?}", Secret::Value("s3cret".into())).contains("s3cret"));
    }
}
