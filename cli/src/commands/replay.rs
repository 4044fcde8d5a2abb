//! `wardhouse replay`: writes what was recorded into stores again.

use indicatif::{ProgressBar, ProgressStyle};
use wh_ops::replay::{self, Range};
use wh_schemas::layout;
use wh_stores::holder::Holder;

use crate::args::{ReplayArgs, RoleName, StoreName};
use crate::commands::runtime;
use crate::failure::Failure;
use crate::pipeline;
use crate::settings::Settings;

pub(crate) fn run(settings: &Settings, args: &ReplayArgs) -> Result<(), Failure> {
    let role = |store| match store {
        StoreName::Ledger => RoleName::Ledger,
        StoreName::Documents => RoleName::Documents,
        StoreName::Metrics => RoleName::Metrics,
        StoreName::Search => RoleName::Search,
    };
    let all = [RoleName::Ledger, RoleName::Documents, RoleName::Metrics, RoleName::Search];
    let roles = args.store.map_or_else(|| all.to_vec(), |store| vec![role(store)]);
    if args.to.is_some_and(|to| to <= args.from) {
        return Err(Failure::Settings(vec![format!("--to: expected more than --from {}", args.from)]));
    }
    let range = Range { partition: args.partition, from: args.from, to: args.to };
    let runtime = runtime("replay")?;
    let log = wh_eventlog::embedded::open_reader(&settings.log)?;
    if let Some(partition) = args.partition.filter(|p| *p >= settings.partitions) {
        return Err(Failure::Settings(vec![format!("--partition {partition}: expected 0 to {}", settings.partitions - 1)]));
    }
    for role in roles {
        let name = pipeline::name(role);
        // The store has one writer: its sink must not run meanwhile.
        let _holder = Holder::take(&settings.log, name)?;
        let mut store = pipeline::open_store(settings, role)?;
        let bar = ProgressBar::new(0)
            .with_style(ProgressStyle::with_template("{prefix:>10} {wide_bar} {pos}/{len} {per_sec}").unwrap_or_else(|_| ProgressStyle::default_bar()))
            .with_prefix(name);
        let mut progress = |done, whole| {
            bar.set_length(whole);
            bar.set_position(done);
        };
        let done = runtime.block_on(replay::replay(&*log, &mut *store, range, &mut progress))?;
        bar.finish_and_clear();
        let what = if role == RoleName::Metrics { format!("summed again in blocks of {} seqs", layout::METRICS_BLOCK) } else { "written".to_owned() };
        anstream::println!("{name}: {} records read, {} {what}", done.records, done.written);
    }
    Ok(())
}
