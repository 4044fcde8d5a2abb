//! The ways into SQL, as this process serves them: where, and until when.
//!
//! What must stay true: they run on the runtime of SQL, never on the pipeline's; a port that is taken takes away only a way in that
//! nobody asked for, and is told; others on this machine learn of the server by its file for as long as it runs.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wh_query::Engine;
use wh_serve::ServeError;
use wh_stores::clock;

use crate::announcement::{Announced, Announcement};
use crate::failure::Failure;
use crate::settings::Settings;
use crate::sql_settings::is_default;

/// How long the servers may take to end.
const END: Duration = Duration::from_secs(5);

/// The servers of this process.
pub(crate) struct Servers {
    stop: CancellationToken,
    task: Option<JoinHandle<Result<(), ServeError>>>,
    told: Vec<String>,
    serves: bool,
    _announced: Option<Announced>,
}

/// The address by which this machine reaches a listener.
fn reached(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

impl Servers {
    /// Binds the addresses and begins to serve, on `runtime`.
    ///
    /// # Errors
    /// A sentence: an address that was set is taken, a certificate cannot be read.
    pub(crate) async fn start(settings: &Settings, engine: &Engine, runtime: &Handle) -> Result<Servers, Failure> {
        let stop = CancellationToken::new();
        let mut wanted = settings.sql.served()?;
        let encrypted = wanted.tls.is_some();
        let mut told = Vec::new();
        let running = loop {
            let begin = wh_serve::start(engine.clone(), wanted.clone(), stop.clone());
            match runtime.spawn(begin).await.map_err(|error| error.to_string())? {
                Ok(running) => break running,
                Err(ServeError::Bind { setting, address, source }) if source.kind() == ErrorKind::AddrInUse && is_default(setting, address) => {
                    let (way, place) = match setting {
                        "sql.postgres" => ("PostgreSQL's protocol", &mut wanted.postgres),
                        "sql.flight" => ("Flight SQL", &mut wanted.flight),
                        _ => ("SQL over HTTP", &mut wanted.http),
                    };
                    *place = None;
                    told.push(format!("{address} is taken: going on without {way}; set {setting} to another address for it"));
                }
                Err(error) => return Err(Failure::Failed(error.to_string())),
            }
        };
        let http = running.http.map(|address| format!("{}://{}", if encrypted { "https" } else { "http" }, reached(address)));
        let ways = [
            running.postgres.map(|address| format!("postgres://{}/wardhouse", reached(address))),
            running.flight.map(|address| format!("Flight SQL on {}", reached(address))),
            http.as_ref().map(|http| format!("{http}/v1/sql")),
        ];
        let ways: Vec<String> = ways.into_iter().flatten().collect();
        let serves = !ways.is_empty();
        let announced = if serves {
            told.push(format!("answering SQL: {}", ways.join(", ")));
            let announcement = Announcement { pid: std::process::id(), http, instance: wh_serve::instance().to_owned(), started_at: clock::now().to_string() };
            Some(announcement.write(&settings.data)?)
        } else {
            None
        };
        let task = serves.then(|| runtime.spawn(running.join()));
        Ok(Servers { stop, task, told, serves, _announced: announced })
    }

    /// What to tell of them.
    pub(crate) fn told(&self) -> &[String] {
        &self.told
    }

    /// Whether there is any way in.
    pub(crate) fn serve_anything(&self) -> bool {
        self.serves
    }

    /// Resolves when they end without having been asked to, with a sentence; never where there are none.
    pub(crate) async fn failed(&mut self) -> String {
        let Some(task) = self.task.as_mut() else { return std::future::pending().await };
        let ended = task.await;
        self.task = None;
        match ended {
            Ok(Ok(())) => "the servers of SQL ended".to_owned(),
            Ok(Err(error)) => format!("the servers of SQL ended: {error}"),
            Err(error) => format!("the servers of SQL ended in a fault: {error}"),
        }
    }

    /// Ends them, and waits for what they are about to send for a moment.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let Some(task) = self.task.take() else { return };
        match tokio::time::timeout(END, task).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!("while the servers of SQL ended: {error}"),
            Ok(Err(error)) => tracing::warn!("while the servers of SQL ended: {error}"),
            Err(_) => tracing::warn!("the servers of SQL took too long to end"),
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_everyone_is_reached_by_loopback() {
        assert_eq!(reached("0.0.0.0:80".parse().unwrap()).to_string(), "127.0.0.1:80");
        assert_eq!(reached("[::]:80".parse().unwrap()).to_string(), "[::1]:80");
        assert_eq!(reached("10.0.0.1:80".parse().unwrap()).to_string(), "10.0.0.1:80");
    }
}
