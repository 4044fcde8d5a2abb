//! How a Redis server is reached, and what is there: version and kind are looked at on every connection.
//!
//! What must stay true: nothing waits longer than the settings say; what no trying again can mend is told as such, a server that
//! speaks TLS where none was given and the reverse included; the password goes into the connection and nowhere else.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, RedisError, RedisResult, TlsCertificates, Value, cmd,
    from_redis_value_ref,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;
use wh_schemas::Reaction;

use super::errors::{Failure, failure, reaction};
use super::settings::RedisSettings;
use crate::tls::Tls;

/// Oldest Redis that will do: `ZRANGE … BYLEX`, `XTRIM … MINID` and open ranges of streams came with it.
pub const OLDEST: (u32, u32) = (6, 2);
/// Longest wait between two attempts to reach a server that is away.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// First such wait.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// `redis`, `valkey`, …
    pub server: String,
    /// `7.0.15`
    pub version: String,
    /// `standalone`, `cluster` or `sentinel`.
    pub mode: String,
    /// `master` or `replica`.
    pub role: String,
}

/// Connects.
///
/// # Errors
/// Transient where it cannot be reached; fatal where it does not take the credentials, the encryption is not as set, or it is too old.
pub async fn connect(settings: &RedisSettings) -> Result<MultiplexedConnection, Reaction> {
    open(settings).await.map(|(connection, _)| connection).map_err(|failure| failure.reaction(&settings.place()))
}

/// Connects, and says what is there.
///
/// # Errors
/// As [`connect`].
pub async fn open(settings: &RedisSettings) -> Result<(MultiplexedConnection, Greeting), Failure> {
    let client = client(settings, settings.tls.as_ref())?;
    let password = settings.password.read().map_err(|told| Failure::fatal(told.to_string(), "check redis.password_file"))?;
    let (connection, greeting) = match greet(&client, settings, password.as_ref()).await {
        Ok(greeted) => greeted,
        Err(broken) => return Err(explained(settings, &broken).await),
    };
    let text = |key: &str| greeting.get(key).and_then(|value| from_redis_value_ref::<String>(value).ok()).unwrap_or_default();
    let greeting = Greeting { server: text("server"), version: text("version"), mode: text("mode"), role: text("role") };
    suitable(&greeting)?;
    Ok((connection, greeting))
}

/// A greeting that did not come to its end.
struct Broken {
    /// Whether there was a connection by then.
    connected: bool,
    error: RedisError,
}

async fn greet(client: &Client, settings: &RedisSettings, password: Option<&SecretString>) -> Result<(MultiplexedConnection, HashMap<String, Value>), Broken> {
    let connected = client.get_multiplexed_async_connection_with_config(&config(settings)).await;
    let mut connection = connected.map_err(|error| Broken { connected: false, error })?;
    let broken = |error: RedisError| Broken { connected: true, error };
    // A server that takes a connection and then says nothing is as good as away.
    connection.set_response_timeout(settings.connect_timeout);
    if let Some(password) = password {
        // By hand: the client's own way would forget why it was refused.
        let mut auth = cmd("AUTH");
        if let Some(user) = &settings.user {
            auth.arg(user);
        }
        auth.arg(password.expose_secret()).exec_async(&mut connection).await.map_err(broken)?;
    }
    let greeting: RedisResult<HashMap<String, Value>> = cmd("HELLO").query_async(&mut connection).await;
    let greeting = greeting.map_err(broken)?;
    if settings.database != 0 {
        cmd("SELECT").arg(settings.database).exec_async(&mut connection).await.map_err(broken)?;
    }
    // For who looks at the server's list of clients; a server that forbids it is as good.
    let named = cmd("CLIENT").arg("SETNAME").arg("wardhouse").exec_async(&mut connection).await;
    if named.is_err_and(|error| error.is_io_error()) {
        return Err(broken(RedisError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe))));
    }
    connection.set_response_timeout(settings.response_timeout);
    Ok((connection, greeting))
}

fn config(settings: &RedisSettings) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(Some(settings.connect_timeout)).set_response_timeout(Some(settings.connect_timeout))
}

fn client(settings: &RedisSettings, tls: Option<&Tls>) -> Result<Client, Failure> {
    let unusable = |error: RedisError| Failure::fatal(format!("the connection cannot be set up ({error})"), "check redis.ca_file, redis.cert_file and redis.key_file");
    let (host, port) = (settings.host.clone(), settings.port);
    let address = match tls {
        None => ConnectionAddr::Tcp(host, port),
        Some(_) => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
    };
    let tcp = TcpSettings::default().set_nodelay(true);
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(settings.response_timeout);
    // User, password and database are given by hand in `greet`.
    let own = RedisConnectionInfo::default().set_skip_set_lib_name();
    let info = address.into_connection_info().map_err(unusable)?.set_redis_settings(own).set_tcp_settings(tcp);
    match tls {
        None => Client::open(info),
        Some(tls) => Client::build_with_tls(info, certificates(tls)?),
    }
    .map_err(unusable)
}

fn certificates(tls: &Tls) -> Result<TlsCertificates, Failure> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| Failure::fatal(format!("{} cannot be read ({error})", path.display()), "check redis.ca_file, redis.cert_file and redis.key_file"))
    };
    let client_tls = match &tls.identity {
        Some((certificate, key)) => Some(ClientTlsConfig { client_cert: read(certificate)?, client_key: read(key)? }),
        None => None,
    };
    let root_cert = tls.ca_file.as_deref().map(read).transpose()?;
    Ok(TlsCertificates { client_tls, root_cert })
}

/// Why a greeting failed: what the error says, unless the two sides speak of different things.
async fn explained(settings: &RedisSettings, broken: &Broken) -> Failure {
    let found = failure(&broken.error);
    let answered = broken.error.clone().into_server_errors().is_some();
    if answered || broken.error.is_connection_refusal() {
        return found;
    }
    match &settings.tls {
        None if broken.connected && speaks_tls(settings).await => {
            Failure::fatal("it speaks TLS on this port", "set redis.tls = true, and redis.ca_file where no well-known authority made its certificate")
        }
        Some(_) if found.transient && speaks_plainly(settings).await => {
            Failure::fatal("it does not speak TLS on this port", "remove tls from stores.baselines and [redis], or name its tls-port")
        }
        _ if broken.connected && found.transient => Failure::transient(
            format!("{} before it answered anything", found.message),
            "check that this is a Redis server, that it runs, and what stands between it and here; it is tried again",
        ),
        _ => found,
    }
}

async fn speaks_tls(settings: &RedisSettings) -> bool {
    let Ok(client) = client(settings, Some(&Tls::default())) else { return false };
    match client.get_multiplexed_async_connection_with_config(&config(settings)).await {
        Ok(_) => true,
        Err(error) => {
            let text = error.to_string();
            text.contains("invalid peer certificate") || text.contains("received fatal alert")
        }
    }
}

async fn speaks_plainly(settings: &RedisSettings) -> bool {
    let Ok(client) = client(settings, None) else { return false };
    let Ok(mut connection) = client.get_multiplexed_async_connection_with_config(&config(settings)).await else { return false };
    let answer: RedisResult<Value> = cmd("PING").query_async(&mut connection).await;
    answer.map_or_else(|error| error.into_server_errors().is_some(), |_| true)
}

/// Whether what is there will do.
fn suitable(greeting: &Greeting) -> Result<(), Failure> {
    let Greeting { server, version, mode, .. } = greeting;
    if mode == "sentinel" {
        return Err(Failure::fatal("it is a Sentinel, which holds no data", "name the server that it watches in stores.baselines"));
    }
    let mut parts = version.split('.').map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else {
        return Err(Failure::fatal(format!("it says that it is {server:?} of version {version:?}"), "expected a Redis server"));
    };
    if (major, minor) < OLDEST {
        return Err(Failure::fatal(format!("{server} {version} is too old"), format!("expected {}.{} or newer", OLDEST.0, OLDEST.1)));
    }
    Ok(())
}

/// One connection that is made anew after it broke. While the server is away most attempts fail at once, so that who asks often
/// does not wait each time.
pub struct Link {
    settings: RedisSettings,
    connection: Option<MultiplexedConnection>,
    away: Option<Away>,
}

/// Since when nothing answers.
struct Away {
    until: Instant,
    wait: Duration,
    message: String,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("place", &self.settings.place()).field("connected", &self.connection.is_some()).finish()
    }
}

impl Link {
    /// No I/O.
    #[must_use]
    pub fn new(settings: RedisSettings) -> Link {
        Link { settings, connection: None, away: None }
    }

    /// What it connects by.
    #[must_use]
    pub fn settings(&self) -> &RedisSettings {
        &self.settings
    }

    /// The connection, made where there is none.
    ///
    /// # Errors
    /// As [`connect`].
    pub async fn connection(&mut self) -> Result<MultiplexedConnection, Reaction> {
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let now = Instant::now();
        if let Some(away) = self.away.as_ref().filter(|away| now < away.until) {
            return Err(Reaction::Transient { message: away.message.clone(), retry_after: Some(away.until - now) });
        }
        match connect(&self.settings).await {
            Ok(connection) => {
                self.away = None;
                self.connection = Some(connection.clone());
                Ok(connection)
            }
            Err(Reaction::Transient { message, retry_after }) => {
                let wait = self.away.as_ref().map_or(FIRST_WAIT, |away| (away.wait * 2).min(LONGEST_WAIT));
                self.away = Some(Away { until: Instant::now() + wait, wait, message: message.clone() });
                Err(Reaction::Transient { message, retry_after })
            }
            Err(other) => Err(other),
        }
    }

    /// What became of a command; a connection that broke is let go.
    ///
    /// # Errors
    /// What the failure asks for.
    pub fn settled<T>(&mut self, result: RedisResult<T>) -> Result<T, Reaction> {
        result.map_err(|error| {
            if error.is_io_error() || error.is_unrecoverable_error() {
                self.connection = None;
            }
            reaction(&self.settings.place(), &error)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting(server: &str, version: &str, mode: &str) -> Greeting {
        Greeting { server: server.to_owned(), version: version.to_owned(), mode: mode.to_owned(), role: "master".to_owned() }
    }

    #[test]
    fn old_servers_and_sentinels_are_refused() {
        for (server, version) in [("redis", "6.2.0"), ("redis", "7.0.15"), ("valkey", "8.1.1"), ("redis", "10.0.0")] {
            assert!(suitable(&greeting(server, version, "standalone")).is_ok(), "{version}");
        }
        assert_eq!(suitable(&greeting("redis", "6.0.16", "standalone")).unwrap_err().message, "redis 6.0.16 is too old");
        assert!(suitable(&greeting("redis", "7.0.15", "sentinel")).unwrap_err().message.contains("Sentinel"));
        assert!(suitable(&greeting("", "", "")).is_err());
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_not_asked_each_time() {
        use crate::finding::Durability;
        use crate::redis::settings::RawRedis;
        use crate::server_url::ServerUrl;
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let url = ServerUrl::parse(&format!("redis://{nobody}")).unwrap();
        let mut link = Link::new(RedisSettings::try_new(&url, &RawRedis::default(), Durability::Warn).unwrap());
        let Err(Reaction::Transient { message, retry_after: None }) = link.connection().await else { panic!("it is away") };
        assert!(message.contains("refuses the connection"), "{message}");
        assert!(matches!(link.connection().await, Err(Reaction::Transient { retry_after: Some(_), .. })));
    }
}
