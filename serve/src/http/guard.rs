//! Keeps pages of a browser away: one from elsewhere must not read a server that trusts whoever reaches its loopback address.
//!
//! What must stay true: a request that a page sent is answered only where this server itself is the page's origin; a server on a
//! loopback address answers only to loopback's own names, so that no name of elsewhere that is made to point here (DNS rebinding)
//! is one of its origins. There are no CORS headers: what a page may not read it is not told.

use std::net::IpAddr;

use axum::http::{HeaderMap, StatusCode, Uri, header};

use super::errors::Fault;

/// How this server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    /// Whether its address is a loopback one.
    pub(super) loopback: bool,
    /// Whether TLS is spoken.
    pub(super) encrypted: bool,
}

fn refused(message: &str) -> Fault {
    Fault::new(StatusCode::FORBIDDEN, "28000", message)
}

/// Refuses a request that must not be answered.
pub(super) fn check(reach: Reach, uri: &Uri, headers: &HeaderMap) -> Result<(), Fault> {
    let mut hosts = headers.get_all(header::HOST).iter();
    // HTTP/2 has it in the address.
    let host = match (uri.authority(), hosts.next(), hosts.next()) {
        (Some(authority), _, None) => authority.as_str(),
        (None, Some(host), None) => host.to_str().unwrap_or_default(),
        _ => return Err(Fault::new(StatusCode::BAD_REQUEST, "08P01", "a request needs one Host header")),
    };
    if reach.loopback && !is_loopback(host) {
        return Err(refused("this server listens on this machine alone: ask it as localhost or 127.0.0.1, not by another name"));
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        let scheme = if reach.encrypted { "https://" } else { "http://" };
        let own = origin.to_str().ok().and_then(|origin| origin.strip_prefix(scheme)).is_some_and(|authority| authority.eq_ignore_ascii_case(host));
        if !own {
            return Err(refused("pages of another origin are not answered"));
        }
    }
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    if matches!(site, Some(b"cross-site" | b"same-site")) {
        return Err(refused("pages of another origin are not answered"));
    }
    Ok(())
}

/// Whether a host, with or without its port, is this machine by its own names.
fn is_loopback(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, "")) => (name, ""),
            Some((name, after)) if after.starts_with(':') => (name, &after[1..]),
            _ => return false,
        },
        None => host.split_once(':').unwrap_or((host, "")),
    };
    let named = name.trim_end_matches('.').eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    named && port.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(reach: Reach, told: &[(&str, &str)]) -> Option<u16> {
        let mut headers = HeaderMap::new();
        for (name, value) in told {
            headers.append(axum::http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let uri = Uri::from_static("/v1/sql");
        check(reach, &uri, &headers).err().map(|fault| axum::response::IntoResponse::into_response(fault).status().as_u16())
    }

    const LOOPBACK: Reach = Reach { loopback: true, encrypted: false };

    #[test]
    fn a_name_of_elsewhere_that_points_here_is_refused() {
        for host in ["localhost:8081", "LOCALHOST", "localhost.:80", "127.0.0.1:8081", "127.9.9.9", "[::1]:8081", "[::1]"] {
            assert_eq!(told(LOOPBACK, &[("host", host)]), None, "{host}");
        }
        for host in ["evil.example:8081", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::1]x", "", "localhost:8081@evil.example"] {
            assert_eq!(told(LOOPBACK, &[("host", host)]), Some(403), "{host}");
        }
        assert_eq!(told(LOOPBACK, &[]), Some(400));
        assert_eq!(told(LOOPBACK, &[("host", "localhost"), ("host", "evil.example")]), Some(400));
        assert_eq!(told(Reach { loopback: false, encrypted: true }, &[("host", "wardhouse.example")]), None);
    }

    #[test]
    fn only_the_servers_own_pages_are_answered() {
        let host = ("host", "localhost:8081");
        assert_eq!(told(LOOPBACK, &[host, ("origin", "http://localhost:8081")]), None);
        assert_eq!(told(LOOPBACK, &[host, ("sec-fetch-site", "none")]), None);
        for other in ["http://evil.example", "null", "https://localhost:8081", "http://localhost:8082", "http://127.0.0.1:8081"] {
            assert_eq!(told(LOOPBACK, &[host, ("origin", other)]), Some(403), "{other}");
        }
        assert_eq!(told(LOOPBACK, &[host, ("sec-fetch-site", "cross-site")]), Some(403));
        assert_eq!(told(LOOPBACK, &[host, ("sec-fetch-site", "same-site")]), Some(403));
    }
}
