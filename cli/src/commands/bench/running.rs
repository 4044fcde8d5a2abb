//! A measurement as a command: where its report goes is known to be writable before it begins, it is stopped when that is asked for, and
//! whoever does not wait learns what is left.
//!
//! What must stay true: one request to stop that arrives twice is one request; what was measured is told whatever ended it.

use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wh_bench::places::{Maker, maker};
use wh_bench::{Live, Options, Own, Report, Unmeasured, measure};

use super::{Against, LoadArgs, own};
use crate::commands::{LAST_THREADS, asked_to_stop, counted, invocation, runtime};
use crate::failure::Failure;
use crate::settings::Settings;

/// Within it, a second signal is the first: `timeout` sends one to the process and one to its group.
const SAME: Duration = Duration::from_secs(1);

/// What came of it.
pub(super) struct Outcome {
    pub(super) report: Report,
    /// What ended it before its end.
    pub(super) broken: Option<String>,
}

/// That a report can be written there, before an hour is spent on it.
pub(super) fn writable(folder: &Path) -> Result<(), Failure> {
    let told = |error: std::io::Error| Failure::Failed(format!("--report: cannot write into {}: {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(told)?;
    let tried = folder.join(".whbench");
    std::fs::write(&tried, []).map_err(told)?;
    std::fs::remove_file(&tried).map_err(told)
}

/// Measures, until it ends or is told to stop; what was made is removed by then.
pub(super) fn measured(settings: &Settings, load: &LoadArgs, options: &Options, against: Option<Against>) -> Result<Outcome, Failure> {
    if cfg!(debug_assertions) {
        anstream::eprintln!("this is a debug build: what it measures says nothing of a release build");
    }
    if let Some(folder) = &load.report {
        writable(folder)?;
    }
    let own::Prepared { setup, places } = own::prepare(settings, load.partitions)?;
    tell_stale(&setup.own);
    let runtime = runtime("bench")?;
    let (name, folder) = (setup.own.name.clone(), setup.own.folder.display().to_string());
    let outcome = runtime.block_on(async {
        let stop = CancellationToken::new();
        let asked = stop.clone();
        tokio::spawn(async move {
            asked_to_stop().await;
            anstream::eprintln!("\nstopping, and removing what was made; again to end at once");
            asked.cancel();
            tokio::time::sleep(SAME).await;
            asked_to_stop().await;
            anstream::eprintln!("ended at once. What the stores hold by the name {name}, and {folder}, are left: `{} bench clean` removes them", invocation());
            // The measured processes end with this one: see `wh_bench::child`.
            std::process::exit(1);
        });
        let live = Live::on_stderr();
        let mut report = measure(&setup, options, &live, &stop).await?;
        if against == Some(Against::Raw) {
            let beside = setup.own.folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            wh_bench::against::against_raw(&places, beside, &mut report, &live, &stop).await;
        }
        Ok::<Report, Unmeasured>(report)
    });
    runtime.shutdown_timeout(LAST_THREADS);
    match outcome {
        Ok(report) => Ok(Outcome { report, broken: None }),
        Err(Unmeasured::Broken { report, why }) => Ok(Outcome { report: *report, broken: Some(why) }),
        Err(why) => Err(Failure::Failed(why.to_string())),
    }
}

/// Tells of measurements that never came to their end, as far as that is known without asking a store.
fn tell_stale(own: &Own) {
    let stale = own.folders().iter().filter(|name| maker(name) == Some(Maker::Gone)).count();
    if stale > 0 {
        let stale = counted(u64::try_from(stale).unwrap_or(u64::MAX), "measurement before this one", "measurements before this one");
        anstream::eprintln!("{stale} did not come to an end and left something behind: `{} bench clean` removes it", invocation());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_takes_no_report_is_told_and_one_that_does_is_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("a/b");
        assert!(writable(&out).is_ok() && std::fs::read_dir(&out).unwrap().next().is_none());
        std::fs::write(folder.path().join("file"), "x").unwrap();
        assert!(matches!(writable(&folder.path().join("file")), Err(Failure::Failed(told)) if told.starts_with("--report: cannot write into")));
    }
}
