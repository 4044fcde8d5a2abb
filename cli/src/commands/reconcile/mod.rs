//! `wardhouse reconcile`: proves stores equal to the log, says where they are not, and puts them right.
//!
//! What must stay true: nothing is written into a store without `--repair`; what a run came to is in `system-events` whatever it came to.

pub(crate) mod open;
mod show;

use std::time::Duration;

use clap::{Args, ValueEnum};
use wh_eventlog::Log;
use wh_ops::reconcile::baselines::{self, Scoring};
use wh_ops::reconcile::report::{self, Journal};
use wh_ops::reconcile::watch::{WatchSettings, watch};
use wh_ops::reconcile::{Options, Summary, Told, reconcile};
use wh_sinks::reconcile::{Repair, StoredRows};
use wh_stores::holder::Holder;

use crate::args::{RoleName, StoreName};
use crate::commands::{asked_to_stop, counted, runtime};
use crate::failure::Failure;
use crate::settings::Settings;
use crate::stores;
use show::Show;

/// Seconds of a round of --watch.
const EVERY: u64 = 3_600;
/// Findings that are shown of each store.
const SHOWN: u64 = 50;

/// `reconcile`
#[derive(Debug, Args)]
pub(crate) struct ReconcileArgs {
    /// The store; may be given several times [default: all five].
    #[arg(long, value_enum)]
    store: Vec<Target>,
    /// One partition; all where none is named.
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    /// First seq [default: as far back as the log and the store reach].
    #[arg(long, value_name = "SEQ")]
    from: Option<u64>,
    /// The seq behind the last [default: as far as the store can be read].
    #[arg(long, value_name = "SEQ")]
    to: Option<u64>,
    /// Put right what is found: from the log; what the log knows nothing of is removed. The stage of a store in files must not run meanwhile.
    #[arg(long, conflicts_with = "watch")]
    repair: bool,
    /// Go on until stopped, round after round, gently, behind the live stream; the baselines are left out.
    #[arg(long, conflicts_with_all = ["partition", "from", "to"])]
    watch: bool,
    /// Seconds from the beginning of one round of --watch to that of the next.
    #[arg(long, value_name = "SECONDS", default_value_t = EVERY, requires = "watch")]
    every: u64,
    /// Rows a second at most; 0: as fast as it goes [default: 0, with --watch 2000].
    #[arg(long, value_name = "ROWS")]
    rate: Option<u64>,
    /// Findings that are shown of each store.
    #[arg(long, value_name = "N", default_value_t = SHOWN)]
    limit: u64,
    /// One JSON object a line: every range, every finding, a summary for each store.
    #[arg(long)]
    json: bool,
}

impl ReconcileArgs {
    /// Every row of all five stores; nothing is put right.
    pub(crate) fn whole() -> ReconcileArgs {
        ReconcileArgs { store: Vec::new(), partition: None, from: None, to: None, repair: false, watch: false, every: EVERY, rate: None, limit: SHOWN, json: false }
    }
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    /// Transactions and alerts.
    Ledger,
    /// Metadata and explanations.
    Documents,
    /// Aggregates, by block.
    Metrics,
    /// Alert text.
    Search,
    /// What the scorer has learnt of each user, worked out from the log again.
    Baselines,
}

impl Target {
    const ALL: [Target; 5] = [Target::Ledger, Target::Documents, Target::Metrics, Target::Search, Target::Baselines];

    /// The store that a sink writes; `None` for the baselines.
    fn store(self) -> Option<StoreName> {
        Some(match self {
            Target::Ledger => StoreName::Ledger,
            Target::Documents => StoreName::Documents,
            Target::Metrics => StoreName::Metrics,
            Target::Search => StoreName::Search,
            Target::Baselines => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Target::Ledger => "ledger",
            Target::Documents => "documents",
            Target::Metrics => "metrics",
            Target::Search => "search",
            Target::Baselines => "baselines",
        }
    }

    /// The role that writes it.
    fn role(self) -> RoleName {
        self.store().map_or(RoleName::Scorer, RoleName::from)
    }
}

pub(crate) fn run(settings: &Settings, args: &ReconcileArgs) -> Result<(), Failure> {
    if let (Some(from), Some(to)) = (args.from, args.to)
        && to <= from
    {
        return Err(Failure::Settings(vec![format!("--to: expected more than --from {from}")]));
    }
    if let Some(partition) = args.partition.filter(|partition| *partition >= settings.partitions) {
        return Err(Failure::Settings(vec![format!("--partition {partition}: expected 0 to {}", settings.partitions - 1)]));
    }
    let mut targets = if args.store.is_empty() { Target::ALL.to_vec() } else { args.store.clone() };
    targets.dedup();
    runtime("reconcile")?.block_on(async {
        if args.watch {
            return watched(settings, args, &targets).await;
        }
        let log = stores::open_log(settings).await?;
        let mut left = 0;
        let mut unanswered = Vec::new();
        for target in targets {
            match one(settings, args, &*log, target).await {
                Ok(summary) => left += summary.left,
                // One store that does not answer keeps no other from being compared.
                Err(Failure::Failed(sentence)) => unanswered.push(sentence),
                Err(other) => return Err(other),
            }
        }
        match (unanswered.is_empty(), left) {
            (true, 0) => Ok(()),
            (true, left) => Err(Failure::Differs(format!("{} not as the log says", counted(left, "row is", "rows are")))),
            (false, _) => Err(Failure::Failed(unanswered.join("\n"))),
        }
    })
}

/// Compares one store.
async fn one(settings: &Settings, args: &ReconcileArgs, log: &dyn Log, target: Target) -> Result<Summary, Failure> {
    // A store in files has one writer.
    let _holder = if args.repair && settings.places.is_embedded(target.role()) { Some(Holder::take(settings.places.locks(), stage(target))?) } else { None };
    let options = Options { partition: args.partition, from: args.from, to: args.to, retention: settings.retention, rate: args.rate.filter(|rate| *rate > 0) };
    let (mut show, mut journal) = (Show::new(args.json, args.limit, target.name()), Journal::begin());
    let mut tell = |told: Told<'_>| {
        journal.take(&told);
        show.told(&told);
    };
    let compared = match target.store() {
        Some(store) => {
            let mut rows = open::rows(settings, store).await?;
            let mut writing: Option<Box<dyn Repair>> = if args.repair { Some(open::repair(settings, store).await?) } else { None };
            reconcile(log, &mut *rows, writing.as_deref_mut(), options, &mut tell).await
        }
        None => {
            let scoring = Scoring { ruleset: settings.ruleset.clone(), dedup_horizon: settings.dedup_horizon };
            let mut users = open::users(settings).await?;
            baselines::reconcile(log, &mut *users, &scoring, options, args.repair, &mut tell).await
        }
    };
    // What was found before a failure is kept too.
    if let Err(reaction) = report::write(log, journal.events()).await {
        tracing::warn!("what the comparison of the {} came to is not in the audit log: {reaction}", target.name());
    }
    let summary = compared?;
    let beside = if target == Target::Baselines { Some(open::patterns(settings).await?) } else { None };
    show.end(target.name(), &summary, args.repair, beside.as_deref());
    Ok(summary)
}

/// The name by which a stage holds its store.
fn stage(target: Target) -> &'static str {
    if target == Target::Baselines { "scorer" } else { target.name() }
}

async fn watched(settings: &Settings, args: &ReconcileArgs, targets: &[Target]) -> Result<(), Failure> {
    const RATE: u64 = 2_000;
    let log = stores::open_log(settings).await?;
    let mut rows: Vec<Box<dyn StoredRows>> = Vec::new();
    for store in targets.iter().filter_map(|target| target.store()) {
        rows.push(open::rows(settings, store).await?);
    }
    if rows.is_empty() {
        return Err(Failure::Settings(vec!["--watch: the baselines are compared without it, while the stream is quiet".to_owned()]));
    }
    let watching = WatchSettings { every: Duration::from_secs(args.every), rate: args.rate.filter(|rate| *rate > 0).unwrap_or(RATE), retention: settings.retention };
    if !args.json {
        anstream::eprintln!("comparing {} rows a second at most, a round each {} s; findings are shown here and in system.reconciliation", watching.rate, args.every);
    }
    let mut show = Show::lines(args.json, u64::MAX);
    let mut tell = |told: Told<'_>| show.told(&told);
    tokio::select! {
        () = asked_to_stop() => Ok(()),
        ended = watch(&*log, &mut rows, watching, &mut tell) => ended.map_err(Failure::from),
    }
}
