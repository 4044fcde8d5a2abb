//! How an InfluxDB server is reached, and what is there: kind and version are looked at, and whether the token is known.
//!
//! What must stay true: nothing waits longer than the settings say; the server is asked directly, not through a proxy that the
//! environment names; what no trying again can mend is told as such.

use influxdb2::RequestError;
use influxdb2::models::{HealthCheck, Status};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, ClientBuilder, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use wh_schemas::Reaction;

use super::client::Client;
use super::errors;
use super::settings::{InfluxdbSettings, Tls};

/// Oldest InfluxDB that will do, and the only major version: 3 has neither buckets nor tasks. Tried with 2.7; buckets are
/// databases of InfluxQL without being mapped by hand there.
pub const OLDEST: (u32, u32) = (2, 7);

/// Connects.
///
/// # Errors
/// Transient where the server cannot be reached or is not ready; fatal where it is none of InfluxDB 2, does not know the token or
/// the organisation, or the encryption is not as set.
pub async fn connect(settings: &InfluxdbSettings) -> Result<Client, Reaction> {
    let place = settings.place();
    let Some(token) = settings.token.read()? else {
        return Err(Reaction::fatal(format!("{place}: there is no token: set influxdb.token or influxdb.token_file to one that may read and write the bucket")));
    };
    let failed = |error: reqwest::Error| errors::of_transport(&place, &error);
    let http = builder(settings)?.default_headers(headers(&place, &token)?).build().map_err(failed)?;
    let admin = influxdb2::ClientBuilder::with_builder(builder(settings)?.timeout(settings.request_timeout), settings.base(), settings.org.clone(), token.expose_secret())
        .build()
        .map_err(|error| Reaction::fatal(format!("{place}: the client cannot be set up ({error}): check influxdb.ca_file")))?;
    let health = match admin.health().await {
        Ok(health) => health,
        // The crate takes what a proxy says of a server that is away for an answer that cannot be read.
        Err(RequestError::ReqwestProcessing { source }) if source.is_decode() && is_away(&http, settings).await => {
            return Err(Reaction::transient(format!("{place} is not ready (503)")));
        }
        Err(error) => return Err(unhealthy(&place, &error)),
    };
    suitable(&place, &health)?;
    let client = Client::new(http, admin, settings.clone());
    // Whether the token and the organisation are known; the bucket may not be there yet.
    client.bucket().await?;
    Ok(client)
}

fn builder(settings: &InfluxdbSettings) -> Result<ClientBuilder, Reaction> {
    let builder = ClientBuilder::new()
        .no_proxy()
        .no_gzip()
        .redirect(Policy::none())
        .user_agent(concat!("wardhouse/", env!("CARGO_PKG_VERSION")))
        .tcp_nodelay(true)
        .connect_timeout(settings.connect_timeout)
        .pool_max_idle_per_host(settings.idle_connections);
    let Some(Tls { ca_file: Some(path) }) = &settings.tls else { return Ok(builder) };
    let unusable = |why: String| Reaction::fatal(format!("influxdb.ca_file = {:?}: {why}", path.display().to_string()));
    let pem = std::fs::read(path).map_err(|error| unusable(format!("it cannot be read: {error}")))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|_| unusable("expected certificates in PEM".to_owned()))?;
    if certificates.is_empty() {
        return Err(unusable("expected certificates in PEM, found none".to_owned()));
    }
    Ok(certificates.into_iter().fold(builder, ClientBuilder::add_root_certificate))
}

fn headers(place: &str, token: &SecretString) -> Result<HeaderMap, Reaction> {
    let mut value = HeaderValue::from_str(&format!("Token {}", token.expose_secret()))
        .map_err(|_| Reaction::fatal(format!("{place}: the token has characters that no token has: check influxdb.token")))?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}

async fn is_away(http: &reqwest::Client, settings: &InfluxdbSettings) -> bool {
    let asked = http.get(format!("{}/health", settings.base())).timeout(settings.request_timeout).send().await;
    asked.is_ok_and(|answer| answer.status() == StatusCode::SERVICE_UNAVAILABLE)
}

/// Why a server does not say how it is.
fn unhealthy(place: &str, error: &RequestError) -> Reaction {
    match error {
        RequestError::Http { status, text } if text.contains("HTTPS server") || status.is_redirection() || status.is_server_error() => {
            errors::reaction(place, "connecting", &errors::Refusal::new(status.as_u16(), None, text))
        }
        RequestError::Http { status, .. } => Reaction::fatal(format!("{place} is no InfluxDB 2 (it answers {} to /health): check the address in stores.metrics", status.as_u16())),
        RequestError::ReqwestProcessing { source } if source.is_decode() => Reaction::fatal(format!(
            "{place} is no InfluxDB 2 (its answer to /health is another's; InfluxDB 3 answers so too): expected InfluxDB {}.{} or newer, below 3",
            OLDEST.0, OLDEST.1
        )),
        other => errors::of_request(place, "connecting", other),
    }
}

/// Whether what is there will do.
fn suitable(place: &str, health: &HealthCheck) -> Result<(), Reaction> {
    let version = version(health);
    let mut parts = version.split('.').map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else {
        return Err(Reaction::fatal(format!("{place} is {:?} of version {version:?}: expected InfluxDB {}.{} or newer, below 3", health.name, OLDEST.0, OLDEST.1)));
    };
    if (major, minor) < OLDEST || major > OLDEST.0 {
        return Err(Reaction::fatal(format!("{place} is InfluxDB {version}: expected {}.{} or newer, below 3", OLDEST.0, OLDEST.1)));
    }
    if health.status == Status::Fail {
        return Err(Reaction::transient(format!("{place} is not ready: {}", health.message.as_deref().unwrap_or("it says no more"))));
    }
    Ok(())
}

/// `2.7.12`
fn version(health: &HealthCheck) -> String {
    health.version.as_deref().unwrap_or_default().trim_start_matches('v').to_owned()
}

/// The version of the server behind a client.
///
/// # Errors
/// Where it cannot be asked.
pub async fn version_of(client: &Client) -> Result<String, Reaction> {
    let health = client.admin().health().await.map_err(|error| unhealthy(client.place(), &error))?;
    Ok(version(&health))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Durability;
    use crate::influxdb::settings::RawInfluxdb;
    use crate::server_url::ServerUrl;

    fn said(version: &str) -> Result<(), Reaction> {
        suitable("p", &HealthCheck { version: Some(version.to_owned()), ..HealthCheck::new("influxdb".to_owned(), Status::Pass) })
    }

    #[test]
    fn other_versions_are_refused() {
        for version in ["v2.7.12", "2.7.0", "v2.10.1"] {
            assert!(said(version).is_ok(), "{version}");
        }
        assert_eq!(said("1.8.10").unwrap_err().to_string(), "p is InfluxDB 1.8.10: expected 2.7 or newer, below 3");
        for version in ["v2.6.1", "v3.0.0", "nightly", ""] {
            assert_eq!(said(version).unwrap_err().class(), "fatal", "{version}");
        }
        let starting = HealthCheck { version: Some("v2.7.12".to_owned()), ..HealthCheck::new("influxdb".to_owned(), Status::Fail) };
        assert_eq!(suitable("p", &starting).unwrap_err().class(), "transient");
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_waited_for_and_one_without_token_is_not_asked() {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let url = ServerUrl::parse(&format!("influxdb://{nobody}/o/b")).unwrap();
        let open = |raw: &RawInfluxdb| InfluxdbSettings::try_new(&url, raw, Durability::Warn).unwrap();
        let away = connect(&open(&RawInfluxdb { token: Some("t".into()), ..RawInfluxdb::default() })).await.unwrap_err();
        assert!(away.class() == "transient" && away.to_string().contains("cannot be reached"), "{away}");
        let nameless = connect(&open(&RawInfluxdb::default())).await.unwrap_err().to_string();
        assert!(nameless.contains("influxdb.token"), "{nameless}");
    }

    #[tokio::test]
    async fn certificates_that_are_none_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, "no certificate").unwrap();
        let raw = RawInfluxdb { token: Some("t".into()), tls: true, ca_file: Some(path), ..RawInfluxdb::default() };
        let url = ServerUrl::parse("influxdb://h/o/b").unwrap();
        let error = connect(&InfluxdbSettings::try_new(&url, &raw, Durability::Warn).unwrap()).await.unwrap_err().to_string();
        assert!(error.contains("found none"), "{error}");
    }
}
