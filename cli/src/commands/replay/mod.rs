//! `wardhouse replay`: writes what was recorded into stores again, beside the live stream too, and lets a store that was added later begin.

mod begin;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use wh_ops::replay::{self, Begin, Pace, Range, Stream};
use wh_schemas::{Micros, layout};
use wh_stores::holder::Holder;

use crate::args::StoreName;
use crate::commands::runtime;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::stores;

/// `replay`
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The store.
    #[arg(long, value_enum, default_value_t = Target::All)]
    store: Target,
    /// What is written again: scored records, or patterns by account (into ledger and search).
    #[arg(long, value_enum, default_value_t = StreamName::Scorer)]
    stream: StreamName,
    /// One partition; all where none is named.
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    /// First seq; where none is named, as far back as the log reaches.
    #[arg(long, value_name = "SEQ")]
    from: Option<u64>,
    /// The seq behind the last.
    #[arg(long, value_name = "SEQ")]
    to: Option<u64>,
    /// Only what the log took at this time or later, such as 2026-03-01 or 2026-03-01T08:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only what the log took before this time.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Let a store that was added later, and holds nothing yet, begin at the oldest record that the log still has, or at its end: then start
    /// its stage, and fill what lies before by a replay while it runs.
    #[arg(long, value_enum, value_name = "WHERE", conflicts_with_all = ["stream", "partition", "from", "to", "since", "until"])]
    begin: Option<BeginName>,
}

/// Where records are written again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    /// All that take them.
    All,
    /// Transactions, alerts.
    Ledger,
    /// Metadata and explanations.
    Documents,
    /// Aggregates.
    Metrics,
    /// Alert text.
    Search,
}

/// A numbered stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StreamName {
    /// Scored records.
    Scorer,
    /// Patterns by account, with their alerts.
    Patterns,
}

/// Where a store begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BeginName {
    /// At the oldest record that the log still has.
    Oldest,
    /// At the end of the log.
    Newest,
}

/// Every store, with the name of its stage.
const STORES: [(Target, StoreName, &str); 4] = [
    (Target::Ledger, StoreName::Ledger, "ledger"),
    (Target::Documents, StoreName::Documents, "documents"),
    (Target::Metrics, StoreName::Metrics, "metrics"),
    (Target::Search, StoreName::Search, "search"),
];

/// A time as people write it: a day begins at midnight in the hospital's zone.
fn time(flag: &str, text: Option<&str>, settings: &Settings) -> Result<Option<i64>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let whole = if text.len() == 10 { format!("{text}T00:00:00") } else { text.to_owned() };
    match Micros::parse(&whole, settings.zone) {
        Some(time) => Ok(Some(time.0)),
        None => Err(Failure::Settings(vec![format!("{flag} {text:?}: expected a time such as 2026-03-01 or 2026-03-01T08:00:00Z")])),
    }
}

/// What the flags ask for.
fn range(settings: &Settings, args: &ReplayArgs) -> Result<Range, Failure> {
    let (since, until) = (time("--since", args.since.as_deref(), settings)?, time("--until", args.until.as_deref(), settings)?);
    let mut faults = Vec::new();
    if let (from, Some(to)) = (args.from.unwrap_or(0), args.to)
        && to <= from
    {
        faults.push(format!("--to {to}: expected more than --from {from}"));
    }
    if let (Some(since), Some(until)) = (since, until)
        && until <= since
    {
        faults.push("--until: expected a time later than --since".to_owned());
    }
    if let Some(partition) = args.partition.filter(|partition| *partition >= settings.partitions) {
        faults.push(format!("--partition {partition}: expected 0 to {}", settings.partitions - 1));
    }
    if faults.is_empty() { Ok(Range { partition: args.partition, from: args.from, to: args.to, since, until }) } else { Err(Failure::Settings(faults)) }
}

pub(crate) fn run(settings: &Settings, args: &ReplayArgs) -> Result<(), Failure> {
    let chosen = STORES.into_iter().filter(|(target, _, _)| args.store == Target::All || args.store == *target);
    if let Some(begin) = args.begin {
        let begin = match begin {
            BeginName::Oldest => Begin::Oldest,
            BeginName::Newest => Begin::Newest,
        };
        let (Some((_, store, name)), true) = (chosen.clone().next(), args.store != Target::All) else {
            return Err(Failure::Settings(vec!["--begin: expected one store (--store ledger, documents, metrics or search)".to_owned()]));
        };
        return begin::run(settings, store, name, begin);
    }
    let stream = match args.stream {
        StreamName::Scorer => Stream::Scorer,
        StreamName::Patterns => Stream::Patterns,
    };
    // The other stores hold no patterns.
    let takes = |store: StoreName| stream == Stream::Scorer || matches!(store, StoreName::Ledger | StoreName::Search);
    let chosen: Vec<(StoreName, &str)> = chosen.filter(|(_, store, _)| takes(*store)).map(|(_, store, name)| (store, name)).collect();
    if chosen.is_empty() {
        return Err(Failure::Settings(vec!["--stream patterns: expected --store ledger, search or all".to_owned()]));
    }
    let range = range(settings, args)?;
    let runtime = runtime("replay")?;
    let log = runtime.block_on(stores::open_reader(settings))?;
    for (store, name) in chosen {
        let (pace, _holder) = share(settings, store, name)?;
        let mut opened = runtime.block_on(stores::open_store(settings, store))?;
        let bar = ProgressBar::new(0)
            .with_style(ProgressStyle::with_template("{prefix:>10} {wide_bar} {pos}/{len} {per_sec} {eta}").unwrap_or_else(|_| ProgressStyle::default_bar()))
            .with_prefix(name);
        let mut progress = |done, whole| {
            bar.set_length(whole);
            bar.set_position(done);
        };
        let done = runtime.block_on(replay::replay(&*log, &mut *opened, stream, range, pace, &mut progress));
        bar.finish_and_clear();
        let done = done?;
        let what = if store == StoreName::Metrics { format!("summed again in blocks of {} seqs", layout::METRICS_BLOCK) } else { "written".to_owned() };
        anstream::println!("{name}: {} records read, {} {what}", done.records, done.written);
    }
    Ok(())
}

/// How a store is shared with its sink. A SQLite file may be written by two processes in turn; the index has one writer, and there is no
/// replay beside its sink.
fn share(settings: &Settings, store: StoreName, name: &str) -> Result<(Pace, Option<Holder>), Failure> {
    if !settings.places.is_embedded(store.into()) {
        return Ok((Pace::Full, None));
    }
    match Holder::take(settings.places.locks(), name) {
        Ok(holder) => Ok((Pace::Full, Some(holder))),
        Err(_) if store != StoreName::Search => {
            anstream::eprintln!("{name}: its sink runs: written beside it, and slower for that");
            Ok((Pace::Gentle, None))
        }
        Err(reaction) => Err(Failure::Failed(format!("{reaction} (an index in a folder has one writer: only a search server is written beside its sink)"))),
    }
}
