//! What was saturated first, and what one more core or partition would buy, from what the processes used. Pure.
//!
//! What must stay true: each sentence holds the figures that it rests on, and says what it does not know; a prediction is an upper bound
//! by the unit costs that were measured, and says so.

use crate::report::{Limit, ProcessUse, Round, Verdict};

/// Part of the machine's cores from which on it counts as full: the rest is the kernel's own and what the sampling misses.
const FULL: f64 = 0.90;
/// Part of the machine's cores from which on what others used is told.
const DISTURBED: f64 = 0.10;
/// Part of the slowest store's p99 from which on what is only scored is as late: then it is no store that is waited for.
const BEFORE_STORES: f64 = 0.5;
/// Part of a core from which on one thread counts as full.
const THREAD_FULL: f64 = 0.85;
/// Part of the time in which something waited for the disks, from which on they count as what is in the way.
const DISK_FULL: f64 = 0.40;

/// What is known of a search that ended.
pub struct Known<'k> {
    /// The round of the highest rate that held.
    pub held: Option<&'k Round>,
    /// The round of the lowest rate that did not.
    pub failed: Option<&'k Round>,
    /// Cores of the machine.
    pub cpus: u32,
    /// Partitions of the topics.
    pub partitions: u32,
    /// The rate that the generator could not send, where that ended the search.
    pub by_generator: Option<f64>,
}

/// The limit in words and figures.
#[must_use]
pub fn limit(known: &Known<'_>) -> Limit {
    let rate = known.held.map_or(0.0, |round| round.rate);
    let failed_rate = known.failed.map(|round| round.rate);
    // Where it failed, what was full shows best.
    let Some(round) = known.failed.or(known.held) else {
        if let Some(asked) = known.by_generator {
            let why =
                format!("the load generator could not send {asked:.0} tx/s on this machine, so that nothing is known of the pipeline: begin lower (--rate), on a quieter machine");
            return Limit { saturated: "generator".to_owned(), why, ..Limit::default() };
        }
        return Limit { rate, failed_rate, saturated: "unknown".to_owned(), why: "no round came to its end".to_owned(), ..Limit::default() };
    };
    let (saturated, why) = match (known.failed, known.by_generator) {
        (None, Some(asked)) => {
            let why = format!("at {rate:.0} tx/s the pipeline still kept up; the load generator could not send {asked:.0} on this machine, which is no limit of the pipeline");
            ("generator".to_owned(), why)
        }
        (Some(failed), Some(asked)) => {
            let (saturated, why) = saturated(round, known.cpus);
            let above = format!("{why}; the load generator could not send {asked:.0} tx/s, which ended the search: the limit is somewhere from {rate:.0} to {:.0}", failed.rate);
            (saturated, above)
        }
        (_, None) => saturated(round, known.cpus),
    };
    let costed = known.held.unwrap_or(round);
    Limit { rate, failed_rate, why, one_more_core: core(&saturated, round, costed, known.cpus), one_more_partition: partition(&saturated, round, known.partitions), saturated }
}

#[expect(clippy::cast_precision_loss, reason = "a latency for people")]
fn millis(micros: u64) -> f64 {
    micros as f64 / 1e3
}

fn used(round: &Round) -> f64 {
    round.processes.iter().map(|process| process.cores).sum()
}

fn greatest(round: &Round) -> Option<&ProcessUse> {
    round.processes.iter().max_by(|one, other| one.cores.total_cmp(&other.cores))
}

/// What was full first, by the plainest evidence that there is.
fn saturated(round: &Round, cpus: u32) -> (String, String) {
    let (used, rate, all) = (used(round), round.rate, f64::from(cpus.max(1)));
    let listed = || {
        let mut sorted: Vec<&ProcessUse> = round.processes.iter().collect();
        sorted.sort_by(|one, other| other.cores.total_cmp(&one.cores));
        sorted.iter().map(|process| format!("{} {:.2}", process.name, process.cores)).collect::<Vec<_>>().join(", ")
    };
    if let Verdict::Failed { why } = &round.verdict {
        return ("failure".to_owned(), format!("at {rate:.0} tx/s it failed: {why}"));
    }
    let others = round.other_cores;
    if used + others >= all * FULL {
        let disturbed =
            if others >= all * DISTURBED { format!("; {others:.2} more went to what is not part of the measurement: measure again on a quiet machine") } else { String::new() };
        let most = greatest(round).map_or_else(String::new, |process| format!("; most of it took {} ({:.2} cores)", process.name, process.cores));
        return ("machine".to_owned(), format!("at {rate:.0} tx/s the processes used {used:.2} of {cpus} cores ({}){most}{disturbed}", listed()));
    }
    if let Some(process) = round.processes.iter().find(|process| process.busiest_thread_cores >= THREAD_FULL) {
        let thread = &process.busiest_thread;
        let why = format!(
            "at {rate:.0} tx/s the thread {thread:?} of {} used {:.2} of one core, while all used {used:.2} of {cpus}: one thread goes no faster by more cores",
            process.name, process.busiest_thread_cores
        );
        return (format!("{} (one thread)", process.name), why);
    }
    if round.disk_waits >= DISK_FULL {
        let why =
            format!("at {rate:.0} tx/s something waited for the disks in {:.0} % of the time, while {used:.2} of {cpus} cores were used: it is fsync", round.disk_waits * 100.0);
        return ("disk".to_owned(), why);
    }
    let slowest = round.latencies.iter().max_by_key(|latency| latency.p99_us);
    let scored = round.latencies.iter().find(|latency| latency.name.ends_with("→scored"));
    if let (Some(slowest), Some(scored)) = (slowest, scored)
        && millis(scored.p99_us) >= millis(slowest.p99_us) * BEFORE_STORES
    {
        let why = format!(
            "at {rate:.0} tx/s neither the cores ({used:.2} of {cpus}: {}), nor one thread, nor the disks (waited for in {:.0} % of the time) were full; what was only scored was late already (p99 {:.0} of {:.0} ms), so that it is the way to there: the log, intake and the scorer, which wait for each other's batches",
            listed(),
            round.disk_waits * 100.0,
            millis(scored.p99_us),
            millis(slowest.p99_us)
        );
        return ("log, intake and scorer".to_owned(), why);
    }
    let store = slowest.map_or("a store", |latency| latency.name.rsplit('→').next().unwrap_or("a store"));
    let why = format!(
        "at {rate:.0} tx/s neither the cores ({used:.2} of {cpus}: {}), nor one thread, nor the disks (waited for in {:.0} % of the time) were full; slowest was {store}: its answers were waited for",
        listed(),
        round.disk_waits * 100.0
    );
    (format!("answers of {store}"), why)
}

/// CPU of one transaction over all processes on this machine but the generator's, in microseconds.
fn cost(round: &Round) -> f64 {
    round.processes.iter().filter(|process| process.name != "generator").map(|process| process.cpu_us_per_tx).sum()
}

fn core(saturated: &str, round: &Round, costed: &Round, cpus: u32) -> String {
    let cost = cost(costed);
    if cost <= 0.0 {
        return "nothing that is known: no process on this machine could be looked into".to_owned();
    }
    let all: f64 = costed.processes.iter().map(|process| process.cpu_us_per_tx).sum();
    let generator = all - cost;
    match saturated {
        "machine" => format!(
            "at most {:.0} tx/s more: a transaction takes {cost:.1} CPU-µs in all processes but the generator's ({generator:.1} more), so that {FULL} of a core carries {:.0}; on {} cores {:.0} tx/s by the same cost, if nothing else is full before",
            FULL * 1e6 / all,
            FULL * 1e6 / cost,
            cpus + 1,
            f64::from(cpus + 1) * FULL * 1e6 / all
        ),
        "generator" => {
            format!(
                "nothing that is known: the pipeline's own limit was not reached; by its cost of {cost:.1} CPU-µs a transaction, a core carries at most {:.0} tx/s",
                FULL * 1e6 / cost
            )
        }
        _ => format!(
            "little: {:.2} of {cpus} cores were used when {saturated} was in the way; a transaction takes {cost:.1} CPU-µs, of which a core would carry {:.0} tx/s once that is mended",
            used(round),
            FULL * 1e6 / cost
        ),
    }
}

fn partition(saturated: &str, round: &Round, partitions: u32) -> String {
    let each = round.rate / f64::from(partitions.max(1));
    match saturated {
        "machine" => format!("nothing: a partition adds no core, and the {partitions} that there are ({each:.0} tx/s each) keep every core busy"),
        "disk" => {
            format!("little: each partition's batches are made durable by themselves, and the disk is what is full; larger batches help more than a partition beyond {partitions}")
        }
        thread if thread.ends_with("(one thread)") && (thread.starts_with("scorer") || thread.starts_with("pipeline")) => format!(
            "at most {each:.0} tx/s: the scorer takes a partition's records one after the other, {each:.0} a second each of {partitions}; with {} it would be one more of them, while cores are left",
            partitions + 1
        ),
        "log, intake and scorer" => format!(
            "at most {each:.0} tx/s: the scorer takes a partition's records one after the other and waits until each batch is in the log; with {} partitions one more is under way at a time",
            partitions + 1
        ),
        store if store.starts_with("answers of") => format!(
            "at most {each:.0} tx/s: each sink writes a partition's batches one after the other and waits for each answer; with {} partitions one more is under way at a time, while the store takes it",
            partitions + 1
        ),
        "generator" => "nothing that is known: the pipeline's own limit was not reached".to_owned(),
        other => format!("nothing that is known: {other} was in the way, which {partitions} or {} partitions share", partitions + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Latency;

    fn process(name: &str, cores: f64, thread: f64, rate: f64) -> ProcessUse {
        ProcessUse { name: name.to_owned(), cores, cpu_us_per_tx: cores / rate * 1e6, busiest_thread: "t".to_owned(), busiest_thread_cores: thread, ..ProcessUse::default() }
    }

    fn round(rate: f64, processes: Vec<ProcessUse>, verdict: Verdict) -> Round {
        let latencies = vec![Latency { name: "published→documents".to_owned(), p99_us: 2_000_000, ..Latency::default() }];
        Round { rate, processes, verdict, latencies, ..Round::default() }
    }

    fn told(held: &Round, failed: &Round) -> Limit {
        limit(&Known { held: Some(held), failed: Some(failed), cpus: 2, partitions: 3, by_generator: None })
    }

    #[test]
    fn a_full_machine_is_told_with_who_filled_it() {
        let held =
            round(5_000.0, vec![process("pipeline", 0.5, 0.2, 5_000.0), process("postgres", 0.5, 0.4, 5_000.0), process("generator", 0.1, 0.1, 5_000.0)], Verdict::Sustained);
        let failed = round(
            9_000.0,
            vec![process("pipeline", 0.8, 0.3, 9_000.0), process("postgres", 1.0, 0.9, 9_000.0), process("generator", 0.15, 0.1, 9_000.0)],
            Verdict::LagGrew { by_per_s: 90.0 },
        );
        let limit = told(&held, &failed);
        assert_eq!((limit.rate, limit.failed_rate, limit.saturated.as_str()), (5_000.0, Some(9_000.0), "machine"));
        assert!(limit.why.contains("postgres (1.00 cores)"), "{}", limit.why);
        assert!(limit.one_more_core.contains("200.0 CPU-µs") && limit.one_more_partition.starts_with("nothing"), "{limit:?}");
    }

    #[test]
    fn one_thread_the_disk_and_a_store_are_told_apart() {
        let held = round(100.0, vec![process("pipeline", 0.2, 0.1, 100.0)], Verdict::Sustained);
        let grew = || Verdict::LagGrew { by_per_s: 9.0 };
        let thread = told(&held, &round(200.0, vec![process("redis", 0.95, 0.95, 200.0)], grew()));
        assert_eq!(thread.saturated, "redis (one thread)");
        let disk = told(&held, &Round { disk_waits: 0.7, ..round(200.0, vec![process("pipeline", 0.3, 0.1, 200.0)], grew()) });
        assert!(disk.saturated == "disk" && disk.why.contains("70 %"), "{disk:?}");
        let store = told(&held, &round(200.0, vec![process("pipeline", 0.3, 0.1, 200.0)], grew()));
        assert!(store.saturated == "answers of documents" && store.one_more_core.starts_with("little"), "{store:?}");
        let mut late = round(200.0, vec![process("pipeline", 0.3, 0.1, 200.0)], grew());
        late.latencies.push(Latency { name: "published→scored".to_owned(), p99_us: 1_900_000, ..Latency::default() });
        assert_eq!(told(&held, &late).saturated, "log, intake and scorer");
        let disturbed = told(&held, &Round { other_cores: 1.6, ..late });
        assert!(disturbed.saturated == "machine" && disturbed.why.contains("1.60 more"), "{disturbed:?}");
    }

    #[test]
    fn what_the_generator_could_not_send_is_no_limit() {
        let held = round(100.0, vec![process("pipeline", 0.2, 0.1, 100.0)], Verdict::Sustained);
        let limit = limit(&Known { held: Some(&held), failed: None, cpus: 2, partitions: 3, by_generator: Some(200.0) });
        assert!(limit.saturated == "generator" && limit.why.contains("no limit of the pipeline"), "{limit:?}");
        let failed = round(300.0, vec![process("pipeline", 0.3, 0.1, 300.0)], Verdict::LagGrew { by_per_s: 9.0 });
        let both = super::limit(&Known { held: Some(&held), failed: Some(&failed), cpus: 2, partitions: 3, by_generator: Some(200.0) });
        assert!(both.saturated != "generator" && both.why.contains("somewhere from 100 to 300"), "{both:?}");
        let none = super::limit(&Known { held: None, failed: None, cpus: 2, partitions: 3, by_generator: Some(200.0) });
        assert!(none.saturated == "generator" && none.why.contains("could not send 200"), "{none:?}");
    }
}
