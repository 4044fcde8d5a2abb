//! The operations port: `/healthz`, `/readyz`, `/metrics` in Prometheus's text format. Labels are stages and quantiles: bounded.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;
use wh_eventlog::gauges::Gauges;

use crate::args::RoleName;
use crate::build;
use crate::pipeline;

/// What the port tells of.
pub(crate) struct Operations {
    pub(crate) ready: AtomicBool,
    /// Whether the process was asked to stop: from then on it is not ready, whatever it still does.
    pub(crate) stop: CancellationToken,
    pub(crate) lags: BTreeMap<RoleName, AtomicU64>,
    gauges: BTreeMap<RoleName, Arc<Gauges>>,
}

impl Operations {
    pub(crate) fn new(gauges: &BTreeMap<RoleName, Arc<Gauges>>, stop: CancellationToken) -> Arc<Operations> {
        let lags = gauges.keys().map(|role| (*role, AtomicU64::new(0))).collect();
        Arc::new(Operations { ready: AtomicBool::new(false), stop, lags, gauges: gauges.clone() })
    }

    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed) && !self.stop.is_cancelled()
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Stage {
    stage: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StageQuantile {
    stage: &'static str,
    quantile: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

type Seconds = Gauge<f64, AtomicU64>;

const QUANTILES: [(f64, &str); 3] = [(0.5, "0.5"), (0.99, "0.99"), (1.0, "1")];

fn render(operations: &Operations) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix("wardhouse");
    let counter = |registry: &mut Registry, name: &str, help: &str| {
        let family = Family::<Stage, Counter>::default();
        registry.register(name, help, family.clone());
        family
    };
    let records = counter(&mut registry, "records", "Records settled by a stage since the process started");
    let dead_letters = counter(&mut registry, "dead_letters", "Records that a stage sent to the dead letters since the process started");
    let retries = counter(&mut registry, "retries", "Writes that a stage tried again since the process started");
    let alerts = counter(&mut registry, "alerts", "Alerts raised or stored by a stage since the process started");
    let lag = Family::<Stage, Gauge>::default();
    registry.register("lag_records", "Records that the log holds and a stage has not settled", lag.clone());
    let awaited = Family::<Stage, Gauge>::default();
    registry.register("awaited_partitions", "Partitions of the scorer that may still bring something earlier than what a stage has taken (patterns)", awaited.clone());
    let visible = Family::<StageQuantile, Seconds>::default();
    registry.register("append_to_visible_seconds", "Time from the source record's append until it can be read in the store", visible.clone());
    let write = Family::<StageQuantile, Seconds>::default();
    registry.register("write_seconds", "Time that one write to the store took", write.clone());
    let version = Family::<Build, Gauge>::default();
    registry.register("build_info", "The build", version.clone());
    version.get_or_create(&Build { version: build::VERSION }).set(1);
    for (role, gauges) in &operations.gauges {
        let label = Stage { stage: pipeline::name(*role) };
        for (family, value) in [(&records, &gauges.records), (&dead_letters, &gauges.dead_letters), (&retries, &gauges.retries), (&alerts, &gauges.alerts)] {
            family.get_or_create(&label).inc_by(value.load(Ordering::Relaxed));
        }
        let waiting = operations.lags.get(role).map_or(0, |lag| lag.load(Ordering::Relaxed));
        lag.get_or_create(&label).set(i64::try_from(waiting).unwrap_or(i64::MAX));
        if *role == RoleName::Patterns {
            awaited.get_or_create(&label).set(i64::try_from(gauges.waiting.load(Ordering::Relaxed)).unwrap_or(i64::MAX));
        }
        let quantiles = QUANTILES.map(|(q, _)| q);
        for (family, micros) in [(&visible, gauges.visible_quantiles(&quantiles, false).0), (&write, gauges.write_quantiles(&quantiles))] {
            for ((_, quantile), micros) in QUANTILES.into_iter().zip(micros) {
                #[expect(clippy::cast_precision_loss, reason = "microseconds below ten minutes")]
                family.get_or_create(&StageQuantile { stage: label.stage, quantile }).set(micros as f64 / 1e6);
            }
        }
    }
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// Serves the port until the process ends.
///
/// # Errors
/// A sentence where the address cannot be listened on.
pub(crate) async fn serve(address: SocketAddr, operations: Arc<Operations>) -> Result<SocketAddr, String> {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route(
            "/readyz",
            get(|State(operations): State<Arc<Operations>>| async move {
                if operations.is_ready() { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") }
            }),
        )
        .route(
            "/metrics",
            get(|State(operations): State<Arc<Operations>>| async move {
                match render(&operations) {
                    Ok(text) => ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response(),
                    Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
                }
            }),
        )
        .with_state(operations);
    listen(address, "operations.listen", router).await
}

/// Binds an address and serves a router on it for as long as the process runs.
///
/// # Errors
/// A sentence where the address cannot be listened on.
pub(crate) async fn listen(address: SocketAddr, setting: &str, router: Router) -> Result<SocketAddr, String> {
    let listener = tokio::net::TcpListener::bind(address).await.map_err(|e| format!("cannot listen on {address}: {e}; set {setting} to another address, or to \"\" for none"))?;
    let bound = listener.local_addr().unwrap_or(address);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!("the server on {bound} ended: {error}");
        }
    });
    Ok(bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_asked_to_stop_is_not_ready() {
        let stop = CancellationToken::new();
        let operations = Operations::new(&BTreeMap::new(), stop.clone());
        assert!(!operations.is_ready());
        operations.ready.store(true, Ordering::Relaxed);
        assert!(operations.is_ready());
        stop.cancel();
        assert!(!operations.is_ready());
    }
}
