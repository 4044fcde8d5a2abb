//! `wardhouse run ROLE…`: any stages in this process, until stopped.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::args::{RoleName, RunArgs};
use crate::commands::{asked_to_stop, runtime, ticker::Ticker};
use crate::failure::Failure;
use crate::operations::{self, Operations};
use crate::pipeline::{self, Pipeline};
use crate::settings::Settings;

/// Serves HTTP intake, where it is switched on.
pub(crate) async fn serve_http(settings: &Settings, pipeline: &Pipeline) -> Result<Option<std::net::SocketAddr>, Failure> {
    let Some(address) = settings.http else { return Ok(None) };
    let (max_body_bytes, max_rows, max_lag_records) = settings.http_sizes;
    let http = wh_ingest::http::HttpSettings { max_body_bytes, max_rows, reading: settings.reading.clone(), max_lag_records };
    let router = wh_ingest::http::router(pipeline.log.clone(), http);
    Ok(Some(operations::listen(address, "http.listen", router).await?))
}

pub(crate) fn run(settings: &Settings, args: &RunArgs) -> Result<(), Failure> {
    let roles: Vec<RoleName> = args.roles.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let names = roles.iter().map(|role| pipeline::name(*role)).collect::<Vec<_>>().join(", ");
    let runtime = runtime("pipeline")?;
    let outcome = runtime.block_on(async {
        let mut pipeline = Pipeline::start(settings, &roles, args.cold_start).await?;
        let operations = Operations::new(&pipeline.gauges);
        if roles.contains(&RoleName::Http)
            && let Some(address) = serve_http(settings, &pipeline).await?
        {
            anstream::println!("taking transactions on http://{address}/v1/transactions");
        }
        if let Some(address) = settings.operations {
            let bound = operations::serve(address, operations.clone()).await?;
            anstream::println!("health and metrics on http://{bound}");
        }
        anstream::println!("running {names}; Ctrl-C stops");
        pipeline::audit(&*pipeline.log, "stages_started", "run", "info", serde_json::json!({ "roles": names })).await?;
        operations.ready.store(true, Ordering::Relaxed);
        let mut ticker = Ticker::new(&pipeline, operations.clone()).await?;
        let stop = asked_to_stop();
        tokio::pin!(stop);
        let failure = loop {
            tokio::select! {
                () = &mut stop => break None,
                failure = pipeline.failed(), if !pipeline.gauges.is_empty() => break Some(failure),
                () = tokio::time::sleep(Duration::from_secs(1)) => ticker.tick(&pipeline, false).await?,
            }
        };
        operations.ready.store(false, Ordering::Relaxed);
        ticker.finish();
        // Whoever asks twice does not want to wait.
        tokio::spawn(async {
            asked_to_stop().await;
            std::process::exit(1);
        });
        if failure.is_none() {
            pipeline::audit(&*pipeline.log, "stages_stopping", "run", "info", serde_json::json!({ "roles": names })).await?;
        }
        let stopped = pipeline.stop().await;
        match (failure, stopped) {
            (Some(failure), _) | (None, Err(failure)) => Err(Failure::Failed(failure)),
            (None, Ok(())) => Ok(()),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    outcome
}
