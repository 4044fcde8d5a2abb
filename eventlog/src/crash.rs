//! Named points at which a drill kills this process: where the order of two effects decides whether something is lost or doubled.
//!
//! `WARDHOUSE_CRASH_AT=sink.written:3` ends the process by SIGKILL when it passes `sink.written` for the third time. The file that
//! `WARDHOUSE_CRASH_FILE` names gets a line `point pid` before, on the disk, so that whoever counts the kills counts those that happened there.
//!
//! What must stay true: a release build holds nothing of this; where no point is asked for, passing one costs a load; a kill that cannot be
//! told is not made.

/// Every point, in the order of the data's way: before and after what is written, acknowledged, checkpointed, committed, or buried.
pub const POINTS: [&str; 20] = [
    "intake.read",
    "intake.buried",
    "intake.produced",
    "intake.committed",
    "log.written",
    "log.durable",
    "scorer.buried",
    "scorer.producing",
    "scorer.produced",
    "scorer.checkpointed",
    "scorer.committed",
    "patterns.produced",
    "patterns.checkpointed",
    "sink.read",
    "sink.rows",
    "sink.written",
    "sink.published",
    "sink.committed",
    "sink.refused",
    "sink.buried",
];

/// Passes a point.
#[cfg(debug_assertions)]
pub fn point(name: &'static str) {
    armed::pass(name);
}

/// Passes a point: nothing, in a release build.
#[cfg(not(debug_assertions))]
#[inline]
pub fn point(_name: &'static str) {}

#[cfg(debug_assertions)]
mod armed {
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::path::{Path, PathBuf};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    /// The point at which this process is to be killed.
    struct Armed {
        point: String,
        /// How often it is passed before.
        left: AtomicU64,
        told: Option<PathBuf>,
    }

    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

    pub(super) fn pass(name: &str) {
        let Some(armed) = ARMED.get_or_init(from_environment) else { return };
        if armed.point == name && armed.left.fetch_sub(1, Ordering::Relaxed) == 0 {
            die(armed);
        }
    }

    fn from_environment() -> Option<Armed> {
        let asked = std::env::var("WARDHOUSE_CRASH_AT").ok().filter(|asked| !asked.is_empty())?;
        let told = std::env::var_os("WARDHOUSE_CRASH_FILE").map(PathBuf::from);
        let Some((point, left)) = parse(&asked) else {
            tracing::error!("WARDHOUSE_CRASH_AT={asked}: expected one of {}, and behind a colon the time at which it is passed", super::POINTS.join(", "));
            return None;
        };
        Some(Armed { point: point.to_owned(), left: AtomicU64::new(left), told })
    }

    /// The point, and how often it is passed before.
    pub(super) fn parse(asked: &str) -> Option<(&str, u64)> {
        let (point, time) = asked.split_once(':').unwrap_or((asked, "1"));
        let before = time.parse::<u64>().ok()?.checked_sub(1)?;
        super::POINTS.contains(&point).then_some((point, before))
    }

    fn die(armed: &Armed) {
        if let Some(told) = &armed.told
            && let Err(error) = tell(told, &armed.point)
        {
            tracing::error!("not killed at {}: {} cannot be written: {error}", armed.point, told.display());
            return;
        }
        if let Err(error) = kill(Pid::this(), Signal::SIGKILL) {
            tracing::error!("not killed at {}: {error}", armed.point);
        }
    }

    fn tell(file: &Path, point: &str) -> std::io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(file)?;
        file.write_all(format!("{point} {}\n", std::process::id()).as_bytes())?;
        file.sync_all()
    }
}

#[cfg(debug_assertions)]
#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn a_point_is_asked_for_by_name_and_time() {
        assert_eq!(armed::parse("sink.written"), Some(("sink.written", 0)));
        assert_eq!(armed::parse("sink.written:3"), Some(("sink.written", 2)));
        for asked in ["", "sink.gone:1", "sink.written:0", "sink.written:x", "sink.written:"] {
            assert_eq!(armed::parse(asked), None, "{asked}");
        }
    }

    /// Points that the Rust files below a folder pass.
    fn passed(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                passed(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.extend(text.split(concat!("crash::", "point(\"")).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned));
            }
        }
    }

    #[test]
    fn the_points_that_are_named_are_those_that_are_passed() {
        let root = std::env::var_os("CARGO_MANIFEST_DIR").unwrap();
        let mut found = BTreeSet::new();
        for part in ["eventlog/src", "ingest/src", "scorer/src", "sinks/src"] {
            passed(&Path::new(&root).join("..").join(part), &mut found);
        }
        assert_eq!(found, POINTS.iter().map(|name| (*name).to_owned()).collect());
    }
}
