//! `wardhouse up`: everything in one process. A history on the first start, an answer from five stores, then live traffic.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio_util::sync::CancellationToken;
use wh_schemas::Reaction;
use wh_schemas::topics::HOSPITAL_TRANSACTIONS;

use crate::args::{InputFormat, RoleName, UpArgs};
use crate::commands::import::{import, import_settings, rejects_file, told};
use crate::commands::{LAST_THREADS, engine, invocation, question, run::serve_http, runtime, stop_when_asked, ticker::Ticker};
use crate::failure::Failure;
use crate::operations::{self, Operations};
use crate::pipeline::{self, Pipeline, STAGES};
use crate::servers::Servers;
use crate::settings::Settings;
use crate::sql;
use crate::world::LoggedWorld;

/// How long the first question waits for the history to be in every store before it is asked all the same.
const ASK_AT_LATEST: Duration = Duration::from_secs(40);
/// Transactions that the history appends at a time.
const HISTORY_BATCH: u64 = 4_000;
/// How long a source may take to end what it is at when it is stopped; the log may be away.
pub(crate) const LAST_INPUT: Duration = Duration::from_secs(1);

/// What feeds the pipeline, on a task of its own.
enum Source {
    World { world: Box<LoggedWorld>, rate: f64 },
    None,
}

pub(crate) fn run(settings: &Settings, args: &UpArgs) -> Result<(), Failure> {
    if !(args.rate >= 0.0 && args.rate <= 1_000_000.0) {
        return Err(Failure::Settings(vec![format!("--rate {}: expected 0 to 1000000", args.rate)]));
    }
    if let Some(file) = args.input.as_deref().filter(|file| *file != std::path::Path::new("-"))
        && let Err(error) = std::fs::File::open(file)
    {
        return Err(Failure::Failed(format!("cannot read {}: {error}", file.display())));
    }
    let pipeline_runtime = runtime("pipeline")?;
    // SQL has threads of its own: a long query must not hold up the stream.
    let sql_runtime = runtime("sql")?;
    let outcome = pipeline_runtime.block_on(up(settings, args, sql_runtime.handle()));
    sql_runtime.shutdown_background();
    pipeline_runtime.shutdown_timeout(LAST_THREADS);
    outcome
}

async fn up(settings: &Settings, args: &UpArgs, sql_runtime: &tokio::runtime::Handle) -> Result<(), Failure> {
    let started = Instant::now();
    let stop = stop_when_asked();
    let Some(begun) = stop.run_until_cancelled(Pipeline::start(settings, &STAGES, false)).await else { return Ok(()) };
    let mut pipeline = begun?;
    let operations = Operations::new(&pipeline.gauges, stop.clone());
    let first = first_start(&pipeline).await?;
    anstream::println!("wardhouse {} on {} ({})", crate::build::VERSION, settings.data.display(), if first { "first start" } else { "going on where it ended" });
    if let Some(address) = serve_http(settings, &pipeline).await? {
        anstream::println!("taking transactions on http://{address}/v1/transactions");
    }
    if let Some(address) = settings.operations {
        let bound = operations::serve(address, operations.clone()).await?;
        anstream::println!("health and metrics on http://{bound}");
    }
    // One engine, and so one memory, for the servers and the first question.
    let engine = engine(settings)?;
    let mut servers = Servers::start(settings, &engine, sql_runtime).await?;
    for line in servers.told() {
        anstream::println!("{line}");
    }
    pipeline::audit(&*pipeline.log, "started", "up", "info", serde_json::json!({ "build": crate::build::VERSION })).await?;
    operations.ready.store(true, Ordering::Relaxed);
    let mut ticker = Ticker::new(&pipeline, operations.clone()).await?;
    let outcome = tokio::select! {
        outcome = feed_and_watch(settings, args, &mut pipeline, &mut ticker, first, started, (&engine, sql_runtime), &stop) => outcome,
        failure = servers.failed() => Err(Failure::Failed(failure)),
    };
    operations.ready.store(false, Ordering::Relaxed);
    ticker.finish();
    let last = outcome.is_ok().then(|| pipeline::audited("stopping", "up", serde_json::json!({})));
    let ((), stopped) = tokio::join!(servers.stop(), pipeline.stop(last));
    match (outcome, stopped) {
        (Err(failure), _) => Err(failure),
        (Ok(()), Err(failure)) => Err(Failure::Failed(failure)),
        (Ok(()), Ok(())) => {
            anstream::println!("stopped; everything acknowledged is kept, the next `wardhouse up` goes on from here");
            Ok(())
        }
    }
}

async fn first_start(pipeline: &Pipeline) -> Result<bool, Reaction> {
    for partition in 0..pipeline.log.partitions(HOSPITAL_TRANSACTIONS).await? {
        if pipeline.log.bounds(HOSPITAL_TRANSACTIONS, partition).await?.end > 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

#[expect(clippy::too_many_arguments, reason = "the parts of `up`, used once")]
async fn feed_and_watch(
    settings: &Settings,
    args: &UpArgs,
    pipeline: &mut Pipeline,
    ticker: &mut Ticker,
    first: bool,
    started: Instant,
    sql: (&wh_query::Engine, &tokio::runtime::Handle),
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let mut ask = first;
    if let Some(file) = &args.input {
        std::fs::create_dir_all(settings.data.join("import")).map_err(|e| format!("cannot create {}: {e}", settings.data.join("import").display()))?;
        let import_settings = import_settings(settings, file, InputFormat::Auto, args.rejects.as_deref(), false);
        let log = pipeline.log.clone();
        let importing = tokio::spawn(import(log, import_settings, stop.clone()));
        let given_up = given_up(stop);
        tokio::pin!(importing, given_up);
        let done = loop {
            tokio::select! {
                done = &mut importing => break done.map_err(|e| e.to_string())??,
                failure = pipeline.failed() => return Err(Failure::Failed(failure)),
                // Nobody can interrupt what reads standard input.
                () = &mut given_up => return Ok(()),
                () = tokio::time::sleep(Duration::from_secs(1)) => ticker.tick(pipeline, false).await?,
            }
        };
        ticker.say(&told(&done, &rejects_file(settings, file, args.rejects.as_deref())));
    }
    let history = if first && !args.no_history && args.input.is_none() { settings.generator.history } else { 0 };
    let world = if history > 0 || args.rate > 0.0 || settings.data.join("generator/progress.json").exists() {
        Some(LoggedWorld::open(settings, pipeline.log.clone(), history).await?)
    } else {
        None
    };
    let source = match world {
        Some(mut world) => {
            if world.history_left() > 0 {
                make_history(&mut world, pipeline, stop).await?;
                ask = true;
            }
            Source::World { world: Box::new(world), rate: args.rate }
        }
        None => Source::None,
    };
    if stop.is_cancelled() {
        return Ok(());
    }
    if first || args.until_idle {
        let begun = settle(pipeline, ticker, if args.until_idle { None } else { Some(started) }, stop).await?;
        if let Some(seconds) = begun {
            let records: u64 = pipeline.gauges.get(&RoleName::Intake).map_or(0, |g| g.records.load(Ordering::Relaxed));
            if records > 0 {
                let elapsed = started.elapsed().as_secs_f64();
                #[expect(clippy::cast_precision_loss, reason = "a number of records")]
                let rate = records as f64 / elapsed;
                ticker
                    .say(&format!("{records} transactions are in all five stores after {elapsed:.1} s ({rate:.0} a second; the last stage ended {seconds:.1} s after the input)"));
            }
        }
    }
    if args.until_idle {
        settle_patterns(pipeline, ticker, stop).await?;
    }
    // Without a transaction there is nothing to ask for.
    let any = pipeline.gauges.get(&RoleName::Intake).is_some_and(|g| g.records.load(Ordering::Relaxed) > 0);
    if ask && any && !stop.is_cancelled() {
        ticker.finish();
        if let Some(Err(Failure::Failed(sentence))) = stop.run_until_cancelled(answer(settings, started, sql)).await {
            // The pipeline goes on: a question that cannot be answered is no failure of it.
            anstream::eprintln!("the question could not be answered: {sentence}");
        }
        ticker.resume();
    }
    if args.until_idle || stop.is_cancelled() {
        return Ok(());
    }
    ticker.skip_alerts(pipeline).await?;
    for gauges in pipeline.gauges.values() {
        // Latencies from here on are of live traffic.
        gauges.visible_quantiles(&[], true);
    }
    live(source, pipeline, ticker, stop).await
}

/// Appends the history with a bar; the stages work on it meanwhile.
async fn make_history(world: &mut LoggedWorld, pipeline: &mut Pipeline, stop: &CancellationToken) -> Result<(), Failure> {
    let whole = world.history();
    let bar = ProgressBar::with_draw_target(Some(whole), ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template("making a history {wide_bar} {pos}/{len} {per_sec} {eta}").unwrap_or_else(|_| ProgressStyle::default_bar()));
    while world.history_left() > 0 && !stop.is_cancelled() {
        bar.set_position(whole - world.history_left());
        let count = world.history_left().min(HISTORY_BATCH);
        let emitted = tokio::select! {
            emitted = world.emit(count) => emitted?,
            failure = pipeline.failed() => return Err(Failure::Failed(failure)),
            () = given_up(stop) => break,
        };
        if emitted == 0 {
            break;
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// Waits until everything is in every store; returns the seconds that took. With `started`, no longer than the first question can wait.
async fn settle(pipeline: &mut Pipeline, ticker: &mut Ticker, started: Option<Instant>, stop: &CancellationToken) -> Result<Option<f64>, Failure> {
    let begun = Instant::now();
    let mut ticked = Instant::now();
    loop {
        if pipeline.is_idle().await? {
            return Ok(Some(begun.elapsed().as_secs_f64()));
        }
        if stop.is_cancelled() || started.is_some_and(|started| started.elapsed() >= ASK_AT_LATEST) {
            return Ok(None);
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
            failure = pipeline.failed() => return Err(Failure::Failed(failure)),
        }
        if ticked.elapsed() >= Duration::from_secs(1) {
            ticked = Instant::now();
            ticker.tick(pipeline, false).await?;
        }
    }
}

/// Waits until patterns by account have seen, for some seconds, that nobody brings anything any more, and what they found then is in the stores.
async fn settle_patterns(pipeline: &mut Pipeline, ticker: &mut Ticker, stop: &CancellationToken) -> Result<(), Failure> {
    while !stop.is_cancelled() {
        // Asked first: what was found by then is in the log.
        let quiet = pipeline.is_quiet();
        if pipeline.is_idle().await? && quiet {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
            failure = pipeline.failed() => return Err(Failure::Failed(failure)),
        }
        ticker.tick_if_due(pipeline).await?;
    }
    Ok(())
}

/// Asks the five stores, and says what to try next.
async fn answer(settings: &Settings, started: Instant, (engine, sql_runtime): (&wh_query::Engine, &tokio::runtime::Handle)) -> Result<(), Failure> {
    anstream::println!("\nOne question to five stores: which alerts speak of refunds or payments, and how do they compare?\n\n{}\n", question::FIVE_STORES);
    let connection = sql::Connection::own(engine);
    let options = sql::RunOptions { format: sql::Format::Table, output: None, timing: true };
    let asked = sql_runtime.spawn(async move { sql::run_once(&connection, question::FIVE_STORES, &options).await });
    asked.await.map_err(|e| e.to_string())??;
    let mut data = settings.file.as_ref().map(|file| format!(" --config {}", file.display())).unwrap_or_default();
    if settings.data != std::path::Path::new(crate::settings::DEFAULT_DATA) {
        data.push_str(&format!(" --data {}", settings.data.display()));
    }
    anstream::println!("\n(answered {:.1} s after the start)\n\nTry next, in another terminal:", started.elapsed().as_secs_f64());
    let wardhouse = invocation();
    anstream::println!("  {wardhouse} sql{data}                        a shell: \\d lists the tables of all stores");
    anstream::println!("  {wardhouse} sql{data} \"SELECT severity, title FROM search.alerts WHERE match(message, 'refund AND counterparty') LIMIT 5\"");
    anstream::println!("  {wardhouse} status{data}                     how far every store is, in lines that add up\n");
    Ok(())
}

/// Live traffic until stopped, with a status line a second.
async fn live(source: Source, pipeline: &mut Pipeline, ticker: &mut Ticker, stop: &CancellationToken) -> Result<(), Failure> {
    let feeding = stop.child_token();
    let mut feeder = match source {
        Source::World { world, rate } if rate > 0.0 => {
            let until = feeding.clone();
            Some(tokio::spawn(feed(world, rate, until)))
        }
        _ => None,
    };
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    let outcome = loop {
        tokio::select! {
            () = stop.cancelled() => break Ok(()),
            failure = pipeline.failed() => break Err(Failure::Failed(failure)),
            _ = seconds.tick() => ticker.tick(pipeline, true).await?,
        }
        if feeder.as_ref().is_some_and(tokio::task::JoinHandle::is_finished)
            && let Some(ended) = feeder.take()
        {
            ended.await.map_err(|e| e.to_string())??;
        }
    };
    feeding.cancel();
    if let Some(mut feeder) = feeder {
        match tokio::time::timeout(LAST_INPUT, &mut feeder).await {
            Ok(ended) => ended.map_err(|e| e.to_string())??,
            Err(_) => feeder.abort(),
        }
    }
    outcome
}

/// Resolves when a source that was stopped has had its time to end.
async fn given_up(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(LAST_INPUT).await;
}

/// Appends transactions at a rate, never one whose event time is later than now.
async fn feed(mut world: Box<LoggedWorld>, rate: f64, stop: CancellationToken) -> Result<(), Reaction> {
    let mut ticks = tokio::time::interval(Duration::from_millis(if rate >= 200.0 { 20 } else { 100 }));
    let begun = Instant::now();
    let mut emitted = 0_u64;
    let mut caught_up = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = ticks.tick() => {}
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number of transactions")]
        let due = (begun.elapsed().as_secs_f64() * rate) as u64;
        // After a stall the missed ones are made up for in steps, not in one.
        let wanted = due.saturating_sub(emitted).min(10_000);
        if wanted > 0 {
            let made = world.emit(wanted).await?;
            if made < wanted {
                if !caught_up {
                    caught_up = true;
                    tracing::warn!(
                        "the made-up world has caught up with now: from here on it sends as much as its users do, not {rate} a second; a new data folder begins 30 days back"
                    );
                }
                emitted = due;
            } else {
                emitted += made;
            }
        }
    }
}
