//! `wardhouse bench clean`: removes what measurements left behind that never came to their end.
//!
//! What must stay true: nothing is removed whose name is not a measurement's, nor what one that still runs works on; what may be another
//! machine's is removed only where that is asked for.

use clap::Args;
use wh_bench::Own;
use wh_bench::places::{Found, Maker, maker};

use super::own;
use crate::commands::{LAST_THREADS, counted, runtime};
use crate::failure::Failure;
use crate::settings::Settings;

/// `bench clean`
#[derive(Debug, Args)]
pub(super) struct CleanArgs {
    /// Only tell what is left.
    #[arg(long)]
    list: bool,
    /// Remove also what a measurement on another machine made: make sure first that none runs there.
    #[arg(long)]
    all: bool,
}

/// What is done with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Removed,
    /// A process works on it.
    InUse(u32),
    /// It may be another machine's.
    Unknown,
}

fn fate(name: &str, all: bool) -> Option<Fate> {
    Some(match maker(name)? {
        Maker::Gone => Fate::Removed,
        Maker::Elsewhere if all => Fate::Removed,
        Maker::Elsewhere => Fate::Unknown,
        Maker::Runs(process) => Fate::InUse(process),
    })
}

pub(super) fn run(settings: &Settings, args: &CleanArgs) -> Result<(), Failure> {
    let looking = own::prepare(settings, None)?.setup.own;
    let runtime = runtime("bench")?;
    let outcome = runtime.block_on(clean(settings, args, &looking));
    runtime.shutdown_timeout(LAST_THREADS);
    outcome
}

async fn clean(settings: &Settings, args: &CleanArgs, looking: &Own) -> Result<(), Failure> {
    let Found { by_name, unread } = looking.found().await;
    let (mut removed, mut left) = (0_u64, unread);
    for (name, what) in &by_name {
        let what = what.iter().copied().collect::<Vec<_>>().join(", ");
        match fate(name, args.all) {
            None => {}
            Some(Fate::InUse(process)) => anstream::println!("{name} ({what}): process {process} measures on it; it is left alone"),
            Some(Fate::Unknown) => anstream::println!("{name} ({what}): of another machine, or of an older version; --all removes it"),
            Some(Fate::Removed) if args.list => anstream::println!("{name} ({what}): its process is gone"),
            Some(Fate::Removed) => {
                let faults = own::prepare_as(settings, None, name.clone())?.setup.own.remove().await;
                if faults.is_empty() {
                    removed += 1;
                    anstream::println!("{name} ({what}): removed");
                }
                left.extend(faults);
            }
        }
    }
    if by_name.is_empty() && left.is_empty() {
        anstream::println!("no measurement left anything behind");
    } else if !args.list {
        anstream::println!("removed what {} left behind", counted(removed, "measurement", "measurements"));
    }
    if left.is_empty() { Ok(()) } else { Err(Failure::Failed(left.join("\n"))) }
}

#[cfg(test)]
mod tests {
    use wh_bench::places::own_name;

    use super::*;

    #[test]
    fn only_what_is_surely_nobodys_is_removed_unasked() {
        let (gone, mine) = (own_name(1, 0x7fff_fff0), own_name(1, std::process::id()));
        assert_eq!((fate(&gone, false), fate(&gone, true)), (Some(Fate::Removed), Some(Fate::Removed)));
        assert_eq!((fate("whbench_19abc12", false), fate("whbench_19abc12", true)), (Some(Fate::Unknown), Some(Fate::Removed)));
        assert_eq!(fate("wardhouse", true), None);
        // Whether this process counts as one that measures is its command line's to say: nobody asks for what is its own.
        assert!(fate(&mine, true).is_some());
    }
}
