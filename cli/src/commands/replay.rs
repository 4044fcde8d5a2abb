//! `wardhouse replay`: writes what was recorded into stores again.

use indicatif::{ProgressBar, ProgressStyle};
use wh_ops::replay::{self, Range, Stream};
use wh_schemas::layout;
use wh_stores::holder::Holder;

use crate::args::{ReplayArgs, StoreName, StreamName};
use crate::commands::runtime;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::stores;

pub(crate) fn run(settings: &Settings, args: &ReplayArgs) -> Result<(), Failure> {
    let all = [(StoreName::Ledger, "ledger"), (StoreName::Documents, "documents"), (StoreName::Metrics, "metrics"), (StoreName::Search, "search")];
    if args.to.is_some_and(|to| to <= args.from) {
        return Err(Failure::Settings(vec![format!("--to: expected more than --from {}", args.from)]));
    }
    let stream = match args.stream {
        StreamName::Scorer => Stream::Scorer,
        StreamName::Patterns => Stream::Patterns,
    };
    // The other stores hold no patterns.
    let takes = |store: StoreName| stream == Stream::Scorer || matches!(store, StoreName::Ledger | StoreName::Search);
    if let Some(store) = args.store.filter(|store| !takes(*store)) {
        return Err(Failure::Settings(vec![format!("--stream patterns: expected --store ledger or search, found {}", format!("{store:?}").to_lowercase())]));
    }
    let chosen = all.into_iter().filter(|(store, _)| args.store.is_none_or(|wanted| wanted == *store) && takes(*store));
    let range = Range { partition: args.partition, from: args.from, to: args.to };
    let runtime = runtime("replay")?;
    let log = runtime.block_on(stores::open_reader(settings))?;
    if let Some(partition) = args.partition.filter(|p| *p >= settings.partitions) {
        return Err(Failure::Settings(vec![format!("--partition {partition}: expected 0 to {}", settings.partitions - 1)]));
    }
    for (role, name) in chosen {
        // An embedded store has one writer: its sink must not run meanwhile.
        let _holder = if settings.places.is_embedded(role.into()) { Some(Holder::take(settings.places.locks(), name)?) } else { None };
        let mut store = runtime.block_on(stores::open_store(settings, role))?;
        let bar = ProgressBar::new(0)
            .with_style(ProgressStyle::with_template("{prefix:>10} {wide_bar} {pos}/{len} {per_sec}").unwrap_or_else(|_| ProgressStyle::default_bar()))
            .with_prefix(name);
        let mut progress = |done, whole| {
            bar.set_length(whole);
            bar.set_position(done);
        };
        let done = runtime.block_on(replay::replay(&*log, &mut *store, stream, range, &mut progress))?;
        bar.finish_and_clear();
        let what = if role == StoreName::Metrics { format!("summed again in blocks of {} seqs", layout::METRICS_BLOCK) } else { "written".to_owned() };
        anstream::println!("{name}: {} records read, {} {what}", done.records, done.written);
    }
    Ok(())
}
