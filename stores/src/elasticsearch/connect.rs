//! From settings to a client whose server is known to be an Elasticsearch that Wardhouse knows.
//!
//! What must stay true: every request has a timeout; no credentials show in what is printed; a request goes to another node only where
//! none was sent.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use elasticsearch::http::Method;

use elasticsearch::auth::{ClientCertificate, Credentials};
use elasticsearch::cert::{Certificate, CertificateValidation};
use elasticsearch::http::headers::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use elasticsearch::http::response::Response;
use elasticsearch::http::transport::{BuildError, MultiNodeConnectionPool, Transport, TransportBuilder};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use wh_schemas::Reaction;

use super::errors::{self, Failure};
use super::settings::{ElasticsearchSettings, Login};
use crate::secret::Secret;
use crate::tls::Tls;

/// Oldest major version that is supported.
pub const OLDEST: u64 = 8;

/// A cluster that was found to be what it should be. Its clones share their connections.
#[derive(Clone)]
pub struct Client {
    transport: Transport,
    nodes: usize,
    timeout: Duration,
    place: Arc<str>,
    version: Arc<str>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("place", &self.place).field("version", &self.version).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Hello {
    version: Version,
}

#[derive(Deserialize)]
struct Version {
    number: String,
}

/// Connects and looks whom it has reached.
///
/// # Errors
/// Transient where the server is away, fatal on wrong credentials, certificates, versions, or a server of another kind.
pub async fn connect(settings: &ElasticsearchSettings) -> Result<Client, Reaction> {
    open(settings).await.map_err(|failure| failure.reaction(&settings.place()))
}

/// [`connect`], with the failure in its parts.
///
/// # Errors
/// As [`connect`].
pub async fn open(settings: &ElasticsearchSettings) -> Result<Client, Failure> {
    let transport = transport(settings)?;
    let nodes = settings.nodes.len();
    let answer = match send(&transport, nodes, settings.connect_timeout, Method::Get, "/", &[], None).await {
        Ok(answer) => answer,
        Err(error) => {
            let (failure, closed) = (errors::unanswered(&error), errors::is_closed(&error));
            if closed && settings.tls.is_none() && speaks_tls(settings).await {
                return Err(Failure::fatal("it takes encrypted connections only", "add ?tls=true to stores.search, and name by elasticsearch.ca_file who made its certificate"));
            }
            return Err(failure);
        }
    };
    let is_elasticsearch = answer.headers().get("x-elastic-product").is_some_and(|product| product == "Elasticsearch");
    let status = answer.status_code().as_u16();
    let body = read(answer).await;
    if !is_elasticsearch && !matches!(status, 401 | 403 | 429 | 500..=599) {
        return Err(Failure::fatal(
            "a server of another kind answers there",
            "name an Elasticsearch in stores.search, such as elasticsearch://host:9200; relatives of it such as OpenSearch are not supported",
        ));
    }
    let body = body?;
    let Hello { version: Version { number } } = decode(&body)?;
    let major = number.split('.').next().and_then(|major| major.parse::<u64>().ok());
    match major {
        Some(major) if major >= OLDEST => Ok(Client { transport, nodes, timeout: settings.request_timeout, place: settings.place().into(), version: number.into() }),
        Some(_) => Err(Failure::fatal(format!("it is Elasticsearch {number}"), format!("Wardhouse needs {OLDEST}.0 or newer: upgrade the cluster, or name another"))),
        None => Err(Failure::fatal("it does not say its version as Elasticsearch does", "name an Elasticsearch in stores.search")),
    }
}

impl Client {
    /// Where the cluster is, without secrets.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The reaction to a failure of this cluster.
    #[must_use]
    pub fn reaction(&self, failure: &Failure) -> Reaction {
        failure.reaction(&self.place)
    }

    /// Sends a request; the body is JSON, or one JSON a line.
    ///
    /// # Errors
    /// Where there is no answer, or one whose status is not of success.
    pub async fn send(&self, method: Method, path: &str, query: &[(&str, &str)], body: Option<&[u8]>) -> Result<Vec<u8>, Failure> {
        match send(&self.transport, self.nodes, self.timeout, method, path, query, body).await {
            Ok(answer) => read(answer).await,
            Err(error) => Err(errors::unanswered(&error)),
        }
    }

    /// Sends a request whose body is a value, and reads the answer as another.
    ///
    /// # Errors
    /// As [`Client::send`], and where the answer is not what was expected.
    pub async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, query: &[(&str, &str)], body: Option<&serde_json::Value>) -> Result<T, Failure> {
        let body = body.map(serde_json::to_vec).transpose().map_err(|error| Failure::fatal(format!("a request cannot be written: {error}"), ""))?;
        let answer = self.send(method, path, query, body.as_deref()).await?;
        decode(&answer)
    }
}

/// Reads an answer's body.
///
/// # Errors
/// Where it is not what was expected.
pub fn decode<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, Failure> {
    // What serde says may quote a document.
    serde_json::from_slice(body).map_err(|error| {
        Failure::fatal(
            format!("its answer cannot be read (at line {}, column {})", error.line(), error.column()),
            "check that this is an Elasticsearch, and whatever stands between it and here",
        )
    })
}

async fn send(
    transport: &Transport,
    nodes: usize,
    timeout: Duration,
    method: Method,
    path: &str,
    query: &[(&str, &str)],
    body: Option<&[u8]>,
) -> Result<Response, elasticsearch::Error> {
    // The pool gives the nodes in turn.
    for _ in 1..nodes {
        match transport.send(method, path, HeaderMap::new(), Some(query), body, Some(timeout)).await {
            Err(error) if errors::is_unsent(&error) => {}
            answer => return answer,
        }
    }
    transport.send(method, path, HeaderMap::new(), Some(query), body, Some(timeout)).await
}

async fn read(answer: Response) -> Result<Vec<u8>, Failure> {
    let status = answer.status_code();
    let retry_after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body: Vec<u8> = Vec::from(answer.bytes().await.map_err(|error| errors::unanswered(&error))?);
    if status.is_success() { Ok(body) } else { Err(errors::answered(status.as_u16(), retry_after.as_deref(), &body)) }
}

fn transport(settings: &ElasticsearchSettings) -> Result<Transport, Failure> {
    let pool = MultiNodeConnectionPool::round_robin(settings.nodes.clone(), None);
    let mut builder = TransportBuilder::new(pool).disable_proxy().request_body_compression(settings.compression);
    if !settings.compression {
        builder = builder.header(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    if let Some(Tls { ca_file, identity }) = &settings.tls {
        if let Some(ca_file) = ca_file {
            let certificates = Certificate::from_pem(&file("elasticsearch.ca_file", ca_file)?)
                .map_err(|error| Failure::fatal(format!("elasticsearch.ca_file: {} holds no certificate: {error}", ca_file.display()), "name a file of certificates (PEM)"))?;
            builder = builder.cert_validation(CertificateValidation::Full(certificates));
        }
        if let Some((certificate, key)) = identity {
            let mut pem = file("elasticsearch.cert_file", certificate)?;
            pem.push(b'\n');
            pem.extend(file("elasticsearch.key_file", key)?);
            builder = builder.auth(Credentials::Certificate(ClientCertificate::Pem(pem)));
        }
    }
    let transport = builder.build().map_err(|error| unbuilt(&error))?;
    if let Some(credentials) = credentials(&settings.login)? {
        // A certificate of the client is built in by now.
        transport.set_auth(credentials);
    }
    Ok(transport)
}

fn unbuilt(error: &BuildError) -> Failure {
    Failure::fatal(format!("the client cannot be set up: {error}"), "check elasticsearch.ca_file, elasticsearch.cert_file and elasticsearch.key_file: each a file of PEM")
}

fn file(setting: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::fatal(format!("{setting}: {} cannot be read: {error}", path.display()), "check its path and who may read it"))
}

fn credentials(login: &Login) -> Result<Option<Credentials>, Failure> {
    let read = |secret: &Secret| secret.read().map_err(|reaction| Failure::fatal(reaction.to_string(), "")).map(Option::unwrap_or_default);
    Ok(match login {
        Login::Nobody => None,
        Login::User { name, password } => Some(Credentials::Basic(name.clone(), read(password)?.expose_secret().to_owned())),
        Login::ApiKey(key) => {
            let key: SecretString = read(key)?;
            // Whatever else would stand in a header as it is.
            if !key.expose_secret().bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_')) {
                return Err(Failure::fatal("elasticsearch.api_key is none", "take the field `encoded` of what the server answered when it made the key"));
            }
            Some(Credentials::EncodedApiKey(key.expose_secret().to_owned()))
        }
    })
}

/// Whether the server would answer over TLS, whoever vouches for it. No credentials are sent.
async fn speaks_tls(settings: &ElasticsearchSettings) -> bool {
    let mut nodes = settings.nodes.clone();
    if nodes.iter_mut().any(|node| node.set_scheme("https").is_err()) {
        return false;
    }
    let pool = MultiNodeConnectionPool::round_robin(nodes, None);
    let Ok(transport) = TransportBuilder::new(pool).disable_proxy().cert_validation(CertificateValidation::None).build() else { return false };
    send(&transport, 1, settings.connect_timeout, Method::Get, "/", &[], None).await.is_ok()
}
