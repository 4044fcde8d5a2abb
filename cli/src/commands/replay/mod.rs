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
    /// What is written again: scored records, or patterns by account (into ledger and search). Both where none is named; with --from or --to,
    /// which count the seqs of one of them, scored records.
    #[arg(long, value_enum)]
    stream: Option<StreamName>,
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
    let chosen: Vec<(StoreName, &str)> = chosen.filter(|(_, store, _)| !streams(args, *store).is_empty()).map(|(_, store, name)| (store, name)).collect();
    if chosen.is_empty() {
        return Err(Failure::Settings(vec!["--stream patterns: expected --store ledger, search or all".to_owned()]));
    }
    let range = range(settings, args)?;
    let runtime = runtime("replay")?;
    let log = runtime.block_on(stores::open_reader(settings))?;
    // All of them before the first row: a store that cannot be written now is told before any other is.
    let shared: Vec<(Pace, Option<Holder>)> = chosen.iter().map(|(store, name)| share(settings, *store, name)).collect::<Result<_, _>>()?;
    for ((store, name), (pace, _holder)) in chosen.into_iter().zip(shared) {
        let mut opened = runtime.block_on(stores::open_store(settings, store))?;
        let bar = ProgressBar::new(0)
            .with_style(ProgressStyle::with_template("{prefix:>10} {wide_bar} {pos}/{len} {per_sec} {eta}").unwrap_or_else(|_| ProgressStyle::default_bar()))
            .with_prefix(name);
        let mut progress = |done, whole| {
            bar.set_length(whole);
            bar.set_position(done);
        };
        for stream in streams(args, store) {
            let done = runtime.block_on(replay::replay(&*log, &mut *opened, stream, range, pace, &mut progress));
            bar.finish_and_clear();
            let done = done?;
            let of = if stream == Stream::Patterns { "patterns" } else { "records" };
            let what = if store == StoreName::Metrics { format!("summed again in blocks of {} seqs", layout::METRICS_BLOCK) } else { "written".to_owned() };
            anstream::println!("{name}: {} {of} read, {} {what}", done.records, done.written);
        }
    }
    Ok(())
}

/// What is written again into a store: documents and metrics hold no patterns.
fn streams(args: &ReplayArgs, store: StoreName) -> Vec<Stream> {
    let both = args.from.is_none() && args.to.is_none();
    let (scorer, patterns) = match args.stream {
        Some(StreamName::Scorer) => (true, false),
        Some(StreamName::Patterns) => (false, true),
        None => (true, both),
    };
    let takes_patterns = matches!(store, StoreName::Ledger | StoreName::Search);
    [(Stream::Scorer, scorer), (Stream::Patterns, patterns && takes_patterns)].into_iter().filter(|(_, is_wanted)| *is_wanted).map(|(stream, _)| stream).collect()
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
        Err(reaction) => Err(Failure::Failed(format!(
            "{reaction} (an index in a folder has one writer: only a search server is written beside its sink); nothing was written into any store: stop its stage, or name the others \
             one by one (--store ledger)"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ReplayArgs,
    }

    #[test]
    fn both_streams_are_written_again_unless_one_is_named_or_seqs_are() {
        let of = |line: &[&str], store| streams(&Line::parse_from(std::iter::once("replay").chain(line.iter().copied())).args, store);
        assert_eq!(of(&[], StoreName::Search), [Stream::Scorer, Stream::Patterns]);
        assert_eq!(of(&["--since", "2026-03-01"], StoreName::Ledger), [Stream::Scorer, Stream::Patterns]);
        assert_eq!(of(&[], StoreName::Documents), [Stream::Scorer]);
        assert_eq!(of(&["--from", "7"], StoreName::Ledger), [Stream::Scorer]);
        assert_eq!(of(&["--stream", "patterns", "--to", "7"], StoreName::Ledger), [Stream::Patterns]);
        assert!(of(&["--stream", "patterns"], StoreName::Metrics).is_empty());
    }
}
