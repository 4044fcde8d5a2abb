//! `wardhouse run ROLE…`: any stages, and the servers of SQL, in this process, until stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::args::{RoleName, RunArgs};
use crate::commands::{LAST_THREADS, engine, runtime, stop_when_asked, ticker::Ticker};
use crate::failure::Failure;
use crate::operations::{self, Operations};
use crate::pipeline::{self, Pipeline};
use crate::servers::Servers;
use crate::settings::Settings;

/// Serves HTTP intake, where it is switched on.
pub(crate) async fn serve_http(settings: &Settings, pipeline: &Pipeline) -> Result<Option<std::net::SocketAddr>, Failure> {
    let Some(address) = settings.http else { return Ok(None) };
    let (max_body_bytes, max_rows, max_lag_records) = settings.http_sizes;
    let http = wh_ingest::http::HttpSettings { max_body_bytes, max_rows, reading: settings.reading.clone(), max_lag_records };
    let router = wh_ingest::http::router(pipeline.log.clone(), http);
    Ok(Some(operations::listen(address, "http.listen", router).await?))
}

/// The servers of SQL, told of; nothing else is opened.
async fn serve_sql(settings: &Settings, runtime: &tokio::runtime::Handle) -> Result<Servers, Failure> {
    let servers = Servers::start(settings, &engine(settings)?, runtime).await?;
    for line in servers.told() {
        anstream::println!("{line}");
    }
    if servers.serve_anything() {
        return Ok(servers);
    }
    Err(Failure::Failed("there is no way into SQL: set sql.postgres, sql.flight or sql.http to an address that is free".to_owned()))
}

/// SQL alone: no stage runs, and nothing is written.
fn run_sql(settings: &Settings) -> Result<(), Failure> {
    let runtime = runtime("sql")?;
    let outcome = runtime.block_on(async {
        let stop = stop_when_asked();
        let mut servers = serve_sql(settings, runtime.handle()).await?;
        let operations = Operations::new(&BTreeMap::new(), stop.clone());
        if let Some(address) = settings.operations {
            let bound = operations::serve(address, operations.clone()).await?;
            anstream::println!("health and metrics on http://{bound}");
        }
        anstream::println!("running sql; Ctrl-C stops");
        operations.ready.store(true, Ordering::Relaxed);
        let failure = tokio::select! {
            () = stop.cancelled() => None,
            failure = servers.failed() => Some(failure),
        };
        operations.ready.store(false, Ordering::Relaxed);
        servers.stop().await;
        failure.map_or(Ok(()), |failure| Err(Failure::Failed(failure)))
    });
    runtime.shutdown_timeout(LAST_THREADS);
    outcome
}

/// Resolves when servers of SQL end that should not; never where there are none.
async fn ended(servers: &mut Option<Servers>) -> String {
    match servers {
        Some(servers) => servers.failed().await,
        None => std::future::pending().await,
    }
}

/// Ends this process when standard input does, which is when whoever holds its other end is gone, however that came about. At once: what it
/// works on is to be thrown away, and nobody is left who would wait.
fn end_with_input() -> Result<(), Failure> {
    fn read_to_its_end() {
        // An input that cannot be read is as good as ended.
        let _copied = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(1)
    }
    std::thread::Builder::new().name("input".to_owned()).spawn(read_to_its_end).map_err(|error| Failure::Failed(format!("cannot start a thread: {error}")))?;
    Ok(())
}

pub(crate) fn run(settings: &Settings, args: &RunArgs) -> Result<(), Failure> {
    if args.until_input_ends {
        end_with_input()?;
    }
    let roles: Vec<RoleName> = args.roles.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    if roles == [RoleName::Sql] {
        return run_sql(settings);
    }
    let names = roles.iter().map(|role| pipeline::name(*role)).collect::<Vec<_>>().join(", ");
    // SQL has threads of its own: a long query must not hold up the stream.
    let sql_runtime = if roles.contains(&RoleName::Sql) { Some(runtime("sql")?) } else { None };
    let runtime = runtime("pipeline")?;
    let outcome = runtime.block_on(async {
        let stop = stop_when_asked();
        let Some(started) = stop.run_until_cancelled(Pipeline::start(settings, &roles, args.cold_start)).await else { return Ok(()) };
        let mut pipeline = started?;
        let operations = Operations::new(&pipeline.gauges, stop.clone());
        if roles.contains(&RoleName::Http)
            && let Some(address) = serve_http(settings, &pipeline).await?
        {
            anstream::println!("taking transactions on http://{address}/v1/transactions");
        }
        if let Some(address) = settings.operations {
            let bound = operations::serve(address, operations.clone()).await?;
            anstream::println!("health and metrics on http://{bound}");
        }
        let mut servers = match &sql_runtime {
            Some(runtime) => Some(serve_sql(settings, runtime.handle()).await?),
            None => None,
        };
        anstream::println!("running {names}; Ctrl-C stops");
        pipeline::audit(&*pipeline.log, "stages_started", "run", "info", serde_json::json!({ "roles": names })).await?;
        operations.ready.store(true, Ordering::Relaxed);
        let mut ticker = Ticker::new(&pipeline, operations.clone()).await?;
        let failure = loop {
            tokio::select! {
                () = stop.cancelled() => break None,
                failure = pipeline.failed(), if !pipeline.gauges.is_empty() => break Some(failure),
                failure = ended(&mut servers) => break Some(failure),
                () = tokio::time::sleep(Duration::from_secs(1)) => ticker.tick(&pipeline, false).await?,
            }
        };
        operations.ready.store(false, Ordering::Relaxed);
        ticker.finish();
        let last = failure.is_none().then(|| pipeline::audited("stages_stopping", "run", serde_json::json!({ "roles": names })));
        let servers_stop = async {
            if let Some(servers) = servers {
                servers.stop().await;
            }
        };
        let ((), stopped) = tokio::join!(servers_stop, pipeline.stop(last));
        match (failure, stopped) {
            (Some(failure), _) | (None, Err(failure)) => Err(Failure::Failed(failure)),
            (None, Ok(())) => Ok(()),
        }
    });
    if let Some(runtime) = sql_runtime {
        runtime.shutdown_background();
    }
    runtime.shutdown_timeout(LAST_THREADS);
    outcome
}
