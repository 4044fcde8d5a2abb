//! What processes use: CPU, memory, files and bytes written, read from `/proc`; and which local process serves an address.
//!
//! What must stay true: a process is counted with its descendants, those that ended included (a database's backends come and go), but
//! never with a descendant that is watched by itself; what may not be looked into is left out and never guessed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Ticks of a second in `/proc`: `USER_HZ`, which Linux keeps at 100 for programs whatever the kernel counts in.
const TICKS: f64 = 100.0;
/// Bytes of a page, as `/proc` counts resident memory in KiB in `status`.
const KIB: u64 = 1_024;

/// A process that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Its name in a report.
    pub name: String,
    /// Its number.
    pub pid: u32,
    /// Whether it is of this project.
    pub ours: bool,
    /// Whether its descendants count with it.
    pub with_descendants: bool,
}

/// What a process has used so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Used {
    /// CPU seconds.
    pub cpu_s: f64,
    /// Resident memory.
    pub rss_bytes: u64,
    /// Open files.
    pub fds: u64,
    /// Bytes that reached the disk.
    pub written_bytes: u64,
    /// CPU seconds of each thread, by its name and number.
    pub threads: BTreeMap<(String, u32), f64>,
}

/// One line of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    own: u64,
    children: u64,
}

fn stat(text: &str) -> Option<Stat> {
    // The name, in parentheses, may hold anything.
    let behind = &text[text.rfind(')')? + 1..];
    let fields: Vec<&str> = behind.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Stat { parent: fields.get(1)?.parse().ok()?, own: number(11)? + number(12)?, children: number(13)? + number(14)? })
}

/// Every process that can be seen.
fn all() -> BTreeMap<u32, Stat> {
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers.filter_map(|pid| Some((pid, stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?))).collect()
}

/// A process and its descendants, but for those of `others`.
fn tree(all: &BTreeMap<u32, Stat>, root: u32, others: &BTreeSet<u32>) -> Vec<u32> {
    let mut found = vec![root];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        at += 1;
        found.extend(all.iter().filter(|(pid, stat)| stat.parent == parent && **pid != root && !others.contains(pid)).map(|(pid, _)| *pid));
    }
    found
}

#[expect(clippy::cast_precision_loss, reason = "ticks of a process")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / TICKS
}

/// What each of them has used so far; one that is gone is left out.
#[must_use]
pub fn used(watched: &[Watched]) -> BTreeMap<String, Used> {
    let all = all();
    let roots: BTreeSet<u32> = watched.iter().map(|one| one.pid).collect();
    let mut found = BTreeMap::new();
    for one in watched.iter().filter(|one| all.contains_key(&one.pid)) {
        let mut used = Used::default();
        let pids = if one.with_descendants { tree(&all, one.pid, &roots) } else { vec![one.pid] };
        let (mut anonymous, mut shared) = (0, 0);
        for pid in &pids {
            let Some(stat) = all.get(pid) else { continue };
            used.cpu_s += seconds(stat.own + if one.with_descendants { stat.children } else { 0 });
            let (own, mapped) = memory(*pid);
            anonymous += own;
            // What processes of one server share is counted once.
            shared = shared.max(mapped);
            used.fds += fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |files| files.count() as u64);
            used.written_bytes += written(*pid);
        }
        used.rss_bytes = anonymous + shared;
        used.threads = threads(one.pid);
        found.insert(one.name.clone(), used);
    }
    found
}

/// Resident memory of its own, and shared.
fn memory(pid: u32) -> (u64, u64) {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0);
    (kib("RssAnon:") * KIB, (kib("RssFile:") + kib("RssShmem:")) * KIB)
}

fn written(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.trim().parse().ok()).unwrap_or(0)
}

/// CPU seconds of each thread of a process, by its name and number.
fn threads(pid: u32) -> BTreeMap<(String, u32), f64> {
    let mut found = BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let (path, number) = (task.path(), task.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
        let (Some(number), Ok(name), Ok(text)) = (number, fs::read_to_string(path.join("comm")), fs::read_to_string(path.join("stat"))) else { continue };
        if let Some(stat) = stat(&text) {
            found.insert((name.trim_end().to_owned(), number), seconds(stat.own));
        }
    }
    found
}

/// CPU seconds that each thread used between two looks.
fn grown<'a>(before: &'a Used, after: &'a Used) -> impl Iterator<Item = (&'a (String, u32), f64)> {
    after.threads.iter().map(move |(thread, cpu)| (thread, (cpu - before.threads.get(thread).copied().unwrap_or(0.0)).max(0.0)))
}

/// The thread that was busiest between two looks, and how many cores it kept busy: one that is near 1 goes no faster by more cores.
#[must_use]
pub fn busiest(before: &Used, after: &Used, elapsed_s: f64) -> (String, f64) {
    let found = grown(before, after).max_by(|one, other| one.1.total_cmp(&other.1));
    found.map_or_else(|| (String::new(), 0.0), |((name, _), cpu)| (name.clone(), if elapsed_s > 0.0 { cpu / elapsed_s } else { 0.0 }))
}

/// CPU seconds between two looks by the names of threads; those of one name count together.
#[must_use]
pub fn by_name(before: &Used, after: &Used) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    for ((name, _), cpu) in grown(before, after) {
        *found.entry(name.clone()).or_insert(0.0) += cpu;
    }
    found
}

/// The process that listens on a port of this machine; `None` where nobody does, or it may not be looked into (another user's, or in a
/// container).
#[must_use]
pub fn listening(port: u16) -> Option<u32> {
    let mut sockets = BTreeSet::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        sockets.extend(fs::read_to_string(table).unwrap_or_default().lines().filter_map(|line| listener(line, port)));
    }
    let wanted: BTreeSet<String> = sockets.into_iter().map(|inode| format!("socket:[{inode}]")).collect();
    if wanted.is_empty() {
        return None;
    }
    let all = all();
    let holds = |pid: u32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        files.filter_map(|file| fs::read_link(file.path()).ok()).any(|link| link.to_str().is_some_and(|link| wanted.contains(link)))
    };
    let holders: BTreeSet<u32> = all.keys().copied().filter(|pid| holds(*pid)).collect();
    // A server that forks leaves the socket to its children: the first of them is meant.
    holders.iter().copied().find(|pid| all.get(pid).is_none_or(|stat| !holders.contains(&stat.parent)))
}

/// The socket of a line of `/proc/net/tcp`, where it listens on the port.
fn listener(line: &str, port: u16) -> Option<u64> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (_, local) = fields.get(1)?.rsplit_once(':')?;
    let listens = *fields.get(3)? == "0A" && u16::from_str_radix(local, 16).ok()? == port;
    listens.then(|| fields.get(9)?.parse().ok()).flatten()
}

/// Microseconds in which some task of the machine waited for its disks, so far; `None` where the kernel does not tell.
#[must_use]
pub fn disk_waits_us() -> Option<u64> {
    let text = fs::read_to_string("/proc/pressure/io").ok()?;
    text.lines().find(|line| line.starts_with("some"))?.split_once("total=")?.1.trim().parse().ok()
}

/// CPU seconds that all processes of the machine have used so far, and what its host took from it; `None` where it is not told.
#[must_use]
pub fn machine_busy_s() -> Option<f64> {
    busy(&fs::read_to_string("/proc/stat").ok()?)
}

/// Everything but waiting, of the first line of `/proc/stat`: user, nice, system, idle, waiting for disks, interrupts (two), stolen.
fn busy(text: &str) -> Option<f64> {
    let ticks: Vec<u64> = text.lines().next()?.strip_prefix("cpu ")?.split_whitespace().map_while(|field| field.parse().ok()).collect();
    let at = |place: usize| ticks.get(place).copied();
    Some(seconds(at(0)? + at(1)? + at(2)? + at(5)? + at(6)? + at(7)?))
}

/// What the machine is.
#[must_use]
pub fn machine() -> crate::report::Machine {
    let (cpus, memory) = (fs::read_to_string("/proc/cpuinfo").unwrap_or_default(), fs::read_to_string("/proc/meminfo").unwrap_or_default());
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim().to_owned()));
    let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok());
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let os = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).map(|name| name.trim_matches('"').to_owned());
    crate::report::Machine {
        cpus: std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX)),
        cpu_model: model.unwrap_or_default(),
        memory_bytes: total.unwrap_or(0) * KIB,
        kernel: format!("Linux {}", fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim()),
        os: os.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_stat_is_read_whatever_the_name_is() {
        let text = "42 (a) b) S 7 42 42 0 -1 4194304 1 2 3 4 100 20 30 4 20 0 1 0 100 1000 10";
        assert_eq!(stat(text), Some(Stat { parent: 7, own: 120, children: 34 }));
    }

    #[test]
    fn a_machine_is_busy_with_all_but_waiting() {
        assert_eq!(busy("cpu  100 20 30 9999 8888 4 5 6 0 0\ncpu0 1"), Some(1.65));
        assert_eq!(busy("intr 1"), None);
    }

    #[test]
    fn a_listener_is_told_from_a_connection() {
        let line = |state: &str| format!("   0: 0100007F:1F90 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 31337 1 0000000000000000 100 0 0 10 0");
        assert_eq!((listener(&line("0A"), 8_080), listener(&line("01"), 8_080), listener(&line("0A"), 8_081)), (Some(31_337), None, None));
    }

    #[test]
    fn descendants_count_with_a_process_unless_they_are_watched_themselves() {
        let process = |parent| Stat { parent, own: 1, children: 0 };
        let all = BTreeMap::from([(1, process(0)), (2, process(1)), (3, process(2)), (4, process(1)), (5, process(4))]);
        assert_eq!(tree(&all, 1, &BTreeSet::from([1, 4])), [1, 2, 3]);
    }

    #[test]
    fn this_process_is_seen_and_found_by_its_port() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let me = std::process::id();
        assert_eq!(listening(socket.local_addr().unwrap().port()), Some(me));
        let watched = Watched { name: "me".to_owned(), pid: me, ours: true, with_descendants: false };
        let used = used(&[watched]);
        assert!(used["me"].rss_bytes > 0 && used["me"].fds > 0, "{used:?}");
        assert!(machine().memory_bytes > 0);
    }
}
