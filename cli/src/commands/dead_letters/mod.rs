//! `wardhouse dead-letters`: what a stage could not take, why, and what is to become of it.
//!
//! What must stay true: more than one letter is touched only where that was asked for; what was done is told by letter, recorded behind it,
//! and known to the audit log.

mod chosen;
mod discard;
mod known;
mod list;
mod retry;
mod show;
pub(crate) mod time;

use clap::{Args, Subcommand};
use wh_eventlog::Reader;
use wh_eventlog::dead_letters::Filter;
use wh_ops::letters;
use wh_stores::clock;

use crate::commands::runtime;
use crate::failure::Failure;
use crate::settings::Settings;

/// `dead-letters`
#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// A line each, newest last: those of which nobody has done anything yet.
    List(ListArgs),
    /// One with its original bytes, and what was done with it.
    Show {
        /// partition/offset, as `list` prints it.
        letter: String,
    },
    /// Send again: to where the record came from, or into the store that could not take it. Doing it twice changes nothing.
    Retry(RetryArgs),
    /// Say that nobody will send it again. It stays where it is, and `status` counts it.
    Discard(DiscardArgs),
}

/// Classes that one message names.
const CLASSES: usize = 40;

/// Which letters are meant.
#[derive(Debug, Default, Args)]
pub(crate) struct Which {
    /// Only of this stage: intake, scorer, patterns, sink, or a store's name.
    #[arg(long)]
    stage: Option<String>,
    /// Only those that this store could not take: ledger, documents, metrics, search.
    #[arg(long)]
    store: Option<String>,
    /// Only where the error class contains this, such as amount or missing.
    #[arg(long)]
    class: Option<String>,
    /// Only with this fingerprint (16 characters): records that fail alike have the same.
    #[arg(long)]
    fingerprint: Option<String>,
    /// Only those written since then: 2026-03-01T08:00:00Z, 2026-03-01, or 15m, 2h, 7d ago.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only those written before then.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl Which {
    /// The conditions; every fault at once. The log says which classes there are.
    async fn filter(&self, log: &dyn Reader) -> Result<Filter, Failure> {
        let (now, mut faults) = (clock::now().0, Vec::new());
        let mut at = |flag: &str, text: Option<&str>| {
            let text = text?;
            let found = time::read(text, now);
            if found.is_none() {
                faults.push(format!("{flag} {text}: expected a time such as 2026-03-01T08:00:00Z or 2026-03-01, or 15m, 2h, 7d for so long ago"));
            }
            found
        };
        let (since, until) = (at("--since", self.since.as_deref()), at("--until", self.until.as_deref()));
        let Which { stage, store, class, fingerprint, .. } = self;
        faults.extend(stage.as_deref().and_then(known::stage));
        faults.extend(store.as_deref().and_then(known::store));
        faults.extend(fingerprint.as_deref().and_then(known::fingerprint));
        if let Some(part) = class.as_deref().filter(|part| !known::may_be_class(part)) {
            faults.extend(known::class(part, &letters::classes(log, CLASSES).await?));
        }
        if !faults.is_empty() {
            return Err(Failure::Settings(faults));
        }
        Ok(Filter { stage: stage.clone(), store: store.clone(), class: class.clone(), fingerprint: fingerprint.clone(), since, until })
    }
}

/// `dead-letters list`
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    which: Which,
    /// At most so many, the newest; the same that `retry` and `discard` take under it.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Those too that were sent again or discarded.
    #[arg(long)]
    settled: bool,
    /// One JSON object a line, with the original bytes.
    #[arg(long)]
    json: bool,
}

/// The letters that something is done with.
#[derive(Debug, Args)]
pub(crate) struct Meant {
    /// partition/offset, as `list` prints it; none where a filter says which.
    letters: Vec<String>,
    #[command(flatten)]
    which: Which,
    /// At most so many, the newest, the oldest of them first: those that `list` shows under it.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// All that are meant, where that is more than one.
    #[arg(long)]
    all: bool,
}

impl Meant {
    /// Which were meant, for the audit log.
    fn told(&self) -> serde_json::Value {
        let Which { stage, store, class, fingerprint, since, until } = &self.which;
        serde_json::json!({
            "letters": self.letters, "stage": stage, "store": store, "class": class, "fingerprint": fingerprint, "since": since, "until": until, "limit": self.limit, "all": self.all,
        })
    }
}

/// `dead-letters retry`
#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    #[command(flatten)]
    meant: Meant,
}

/// `dead-letters discard`
#[derive(Debug, Args)]
pub(crate) struct DiscardArgs {
    #[command(flatten)]
    meant: Meant,
    /// Why, for the audit log.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

pub(crate) fn run(settings: &Settings, command: &DeadLettersCommand) -> Result<(), Failure> {
    let runtime = runtime("dead-letters")?;
    match command {
        DeadLettersCommand::List(args) => runtime.block_on(list::list(settings, args)),
        DeadLettersCommand::Show { letter } => runtime.block_on(show::show(settings, letter)),
        DeadLettersCommand::Retry(args) => runtime.block_on(retry::retry(settings, args)),
        DeadLettersCommand::Discard(args) => runtime.block_on(discard::discard(settings, args)),
    }
}
