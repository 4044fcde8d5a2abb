//! A server's URL, taken apart once for every client: user, several hosts, path, query.
//!
//! What must stay true: its `Debug` and `Display` hold no password.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::SecretString;
use url::Url;

/// The URL of a server, as it stands in the settings.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl {
    text: String,
    scheme: String,
    user: Option<String>,
    password: Option<String>,
    hosts: Vec<Host>,
    path: Vec<String>,
    query: BTreeMap<String, String>,
}

/// One host of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name or address.
    pub name: String,
    /// Its port, where one is written.
    pub port: Option<u16>,
}

impl Host {
    /// `name:port`
    #[must_use]
    pub fn with_port(&self, default: u16) -> String {
        let port = self.port.unwrap_or(default);
        if self.name.contains(':') && !self.name.starts_with('[') { format!("[{}]:{port}", self.name) } else { format!("{}:{port}", self.name) }
    }
}

impl ServerUrl {
    /// Takes a URL apart. No I/O.
    ///
    /// # Errors
    /// What is wrong with it, without the URL itself.
    pub fn parse(text: &str) -> Result<ServerUrl, String> {
        let (scheme, rest) = text.split_once("://").ok_or("no :// behind the scheme")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, behind) = rest.split_at(end);
        if !authority.contains('@') && behind.split('?').next().is_some_and(|path| path.contains('@')) {
            return Err("a / in the user or the password must be written as %2F (and ? as %3F, # as %23, @ as %40)".to_owned());
        }
        let (user_info, hosts) = authority.rsplit_once('@').map_or((None, authority), |(user, hosts)| (Some(user), hosts));
        let hosts = hosts.split(',').map(host).collect::<Result<Vec<_>, _>>()?;
        let user_info = user_info.map(|user| format!("{user}@")).unwrap_or_default();
        // The hosts are known; the rest is read by a parser that knows about percent signs.
        let parsed = Url::parse(&format!("http://{user_info}host{behind}")).map_err(|error| error.to_string())?;
        let decoded = |text: &str| url::form_urlencoded::parse(format!("v={}", text.replace('+', "%2B")).as_bytes()).next().map(|(_, value)| value.into_owned());
        let path = parsed.path_segments().into_iter().flatten().filter(|segment| !segment.is_empty()).filter_map(decoded).collect();
        let mut names: Vec<_> = parsed.query_pairs().map(|(name, _)| name.into_owned()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("{} stands twice behind the ?: keep one", pair[0]));
        }
        let query = parsed.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        let user = (!parsed.username().is_empty()).then(|| decoded(parsed.username())).flatten();
        let password = parsed.password().and_then(decoded);
        Ok(ServerUrl { text: text.to_owned(), scheme: scheme.to_owned(), user, password, hosts, path, query })
    }

    /// The whole URL with its password, for a client that takes it apart itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The URL with its user and without its password, as settings are shown.
    #[must_use]
    pub fn without_password(&self) -> String {
        match (self.text.find("://"), self.text.rfind('@')) {
            (Some(start), Some(end)) if start + 3 <= end => {
                let user = self.text[start + 3..end].split(':').next().unwrap_or_default();
                format!("{}{user}{}", &self.text[..start + 3], &self.text[end..])
            }
            _ => self.text.clone(),
        }
    }

    /// What stands before `://`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The user.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The password.
    #[must_use]
    pub fn password(&self) -> Option<SecretString> {
        self.password.clone().map(SecretString::from)
    }

    /// The hosts; at least one.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The segments of the path that are not empty.
    #[must_use]
    pub fn path(&self) -> &[String] {
        &self.path
    }

    /// A value of the query.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// Names in the query that are none of `known`, for a message.
    #[must_use]
    pub fn unknown_query(&self, known: &[&str]) -> Vec<&str> {
        self.query.keys().map(String::as_str).filter(|name| !known.contains(name)).collect()
    }
}

fn host(text: &str) -> Result<Host, String> {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port.parse::<u16>().map_err(|_| "what stands behind the host's colon is no port".to_owned())?)),
        _ => (text, None),
    };
    if name.is_empty() { Err("no host".to_owned()) } else { Ok(Host { name: name.to_owned(), port }) }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redacted(&self.text))
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", redacted(&self.text))
    }
}

/// A URL without user and password, for whoever reads a message.
#[must_use]
pub fn redacted(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(start), Some(end)) if start + 3 <= end => format!("{}…{}", &url[..start + 3], &url[end..]),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn every_part_of_a_url_is_found() {
        let url = ServerUrl::parse("kafka://us%40er:p%2Fw+1@a:9092,b,[::1]:9093/x/y?namespace=t1&tls=true").unwrap();
        assert_eq!((url.scheme(), url.user(), url.path(), url.query("namespace")), ("kafka", Some("us@er"), ["x".to_owned(), "y".to_owned()].as_slice(), Some("t1")));
        assert_eq!(url.password().unwrap().expose_secret(), "p/w+1");
        let hosts: Vec<String> = url.hosts().iter().map(|host| host.with_port(1)).collect();
        assert_eq!(hosts, ["a:9092", "b:1", "[::1]:9093"]);
        assert_eq!(url.unknown_query(&["tls"]), ["namespace"]);
        assert!(!format!("{url} {url:?}").contains("p%2F"));
    }

    #[test]
    fn what_is_no_url_is_told() {
        for (text, why) in [
            ("kafka://", "no host"),
            ("kafka:a", "no ://"),
            ("postgres://h:port/db", "no port"),
            ("kafka://h?namespace=a&namespace=b", "twice"),
            ("postgres://u:pa/s3@h/db", "%2F"),
        ] {
            assert!(ServerUrl::parse(text).unwrap_err().contains(why), "{text}");
        }
    }
}
