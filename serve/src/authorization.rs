//! Who a request comes from, by its `Authorization` header: of gRPC and of HTTP alike (RFC 7617, RFC 6750).
//!
//! What must stay true: where users are configured, a request without a password or token that is right has no principal; where none
//! are, everyone who reaches the address is `local`, whatever the header says; a password is compared on a blocking thread, since that is
//! made to take long.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use wh_query::{Principal, Way};

use crate::access::Access;

/// What a header claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// There is no header, or one that is neither of the two.
    None,
    /// A name and its password.
    Basic { name: String, password: String },
    /// A token that was issued before.
    Bearer(String),
}

/// Reads the header.
pub(crate) fn claim(header: Option<&[u8]>) -> Claim {
    let Some((scheme, rest)) = header.and_then(|bytes| std::str::from_utf8(bytes).ok()).and_then(|text| text.trim().split_once(' ')) else { return Claim::None };
    if scheme.eq_ignore_ascii_case("bearer") {
        return Claim::Bearer(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Claim::None;
    }
    // Arrow's Go client, and ADBC's driver with it, leaves out the padding.
    let decoded = BASE64_STANDARD_NO_PAD.decode(rest.trim().trim_end_matches('=')).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded.as_deref().and_then(|text| text.split_once(':')) {
        Some((name, password)) => Claim::Basic { name: name.to_owned(), password: password.to_owned() },
        None => Claim::None,
    }
}

/// The principal behind a claim; `None` where it must be refused.
pub(crate) async fn principal(access: &Arc<Access>, claim: Claim, way: Way, peer: SocketAddr) -> Option<Principal> {
    let found = if access.is_open() {
        Principal::local(way)
    } else {
        match claim {
            Claim::None => return None,
            Claim::Bearer(token) => access.bearer(&token)?,
            Claim::Basic { name, password } => {
                let access = Arc::clone(access);
                match tokio::task::spawn_blocking(move || access.basic(&name, &password)).await {
                    Ok(found) => found?,
                    Err(error) => {
                        tracing::error!("a password could not be compared: {error}");
                        return None;
                    }
                }
            }
        }
    };
    Some(Principal { way, peer: Some(peer), ..found })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_schemes_are_read_whatever_their_case_and_nothing_else_is() {
        // "ann:p:w" — only the first colon divides.
        assert_eq!(claim(Some(b"basic YW5uOnA6dw==")), Claim::Basic { name: "ann".into(), password: "p:w".into() });
        assert_eq!(claim(Some(b"BEARER abc")), Claim::Bearer("abc".into()));
        for other in [&b"Basic !!!"[..], b"Basic YW5u", b"Digest x", b"", b"\xff\xfe a"] {
            assert_eq!(claim(Some(other)), Claim::None);
        }
        assert_eq!(claim(None), Claim::None);
    }
}
