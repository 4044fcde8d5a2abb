//! Names that nobody can guess: of statements, tickets, and of this process.
//!
//! What must stay true: each is new randomness of the operating system; without randomness there is no name.

use std::sync::LazyLock;

use tokio_rustls::rustls::crypto::ring;

/// Bytes of a name.
pub(crate) const BYTES: usize = 16;

/// The operating system gave no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no randomness")]
pub(crate) struct NoRandomness;

/// A new name.
pub(crate) fn random() -> Result<[u8; BYTES], NoRandomness> {
    let mut name = [0; BYTES];
    ring::default_provider().secure_random.fill(&mut name).map_err(|_| NoRandomness)?;
    Ok(name)
}

/// The name of this process among all that may ever answer at its address: new with each start.
///
/// Whoever finds an address in a file compares this with what stands beside it, and so knows that the server is still that one.
#[must_use]
pub fn instance() -> &'static str {
    static INSTANCE: LazyLock<String> = LazyLock::new(|| match random() {
        Ok(name) => hex(&name),
        Err(error) => {
            tracing::warn!("{error}: this process is named by its number");
            format!("process-{}", std::process::id())
        }
    });
    &INSTANCE
}

/// A name as text.
pub(crate) fn hex(name: &[u8]) -> String {
    use std::fmt::Write;
    name.iter().fold(String::with_capacity(name.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        if write!(text, "{byte:02x}").is_err() {
            text.push('?');
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_the_process_keeps_its_own() {
        assert_ne!(random(), random());
        assert_eq!(instance(), instance());
        assert_eq!(hex(&[0, 10, 255]), "000aff");
    }
}
