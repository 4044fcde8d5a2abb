//! Control records on their way into the log, and the scorer's answer.
//!
//! What must stay true: what is told as recorded the log holds; whoever waits knows for how long, and a scorer that does not run is no failure.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use wh_eventlog::{Log, Reader, Record};
use wh_schemas::control::{ControlChange, ControlRecord};
use wh_schemas::topics::{RISK_SCORES, SCORER_CONTROL, SYSTEM_EVENTS};
use wh_schemas::transaction::SCHEMA_VERSION;
use wh_schemas::{Reaction, ids};
use wh_stores::clock;

use super::SendArgs;
use super::history::said;
use crate::commands::runtime;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::stores;

/// How long the traffic is measured, to choose a position that the scorer has not reached when it reads the record.
const MEASURED: Duration = Duration::from_secs(1);
/// So many times what came meanwhile is left as a margin …
const MARGIN_SECONDS: u64 = 5;
/// … and at least so much, for a partition that is quiet now.
const LEAST_MARGIN: u64 = 50;
const LOOK: Duration = Duration::from_millis(200);
/// What is told where no answer has come.
const LATER: &str = "it takes effect when a scorer of the partition runs, or is refused where that one is beyond the seq by then; `wardhouse rules history` tells";

/// Partition, first `seq` where it is given, and change.
pub(super) type Wanted = (u32, Option<u64>, ControlChange);

/// The partitions that are meant, and from where on where that is said.
pub(super) fn targets(partition: Option<u32>, from_seq: Option<u64>, partitions: u32) -> Result<Vec<(u32, Option<u64>)>, Failure> {
    match partition {
        Some(partition) if partition >= partitions => Err(Failure::Failed(format!("--partition {partition}: the scorer has the partitions 0 to {}", partitions.saturating_sub(1)))),
        Some(partition) => Ok(vec![(partition, from_seq)]),
        None => Ok((0..partitions).map(|partition| (partition, None)).collect()),
    }
}

/// Records each, tells where, and waits for the scorer's answer as long as was asked for.
pub(super) fn send(settings: &Settings, args: &SendArgs, wanted: &dyn Fn(u32) -> Result<Vec<Wanted>, Failure>) -> Result<(), Failure> {
    let runtime = runtime("control")?;
    runtime.block_on(async {
        let log = stores::open_log(settings).await?;
        let wanted = wanted(log.partitions(RISK_SCORES).await?)?;
        let told_from = log.bounds(SYSTEM_EVENTS, 0).await?.end;
        let positions = positions(&*log, &wanted).await?;
        let mut sent = BTreeMap::new();
        let (mut records, mut recorded) = (Vec::new(), Vec::new());
        for ((partition, _, change), from_seq) in wanted.into_iter().zip(positions) {
            let now = clock::now().0.to_string();
            let control_id = ids::event_id(&["control", &now, &std::process::id().to_string(), &partition.to_string()]).to_string();
            let record = ControlRecord {
                schema_version: SCHEMA_VERSION,
                control_id: control_id.clone(),
                partition,
                from_seq,
                principal: "local".to_owned(),
                reason: args.reason.clone(),
                change,
            };
            let value = serde_json::to_vec(&record).map_err(|e| e.to_string())?;
            records.push(Record { key: None, value: value.into(), headers: Vec::new() });
            recorded.push(format!("partition {partition}: recorded {} {control_id}, to count from seq {from_seq} on", record.change.kind()));
            sent.insert(control_id, partition);
        }
        log.produce(SCORER_CONTROL, 0, records).await?;
        for line in recorded {
            anstream::println!("{line}");
        }
        let patience = Duration::from_secs(if args.no_wait { 0 } else { args.wait });
        if patience.is_zero() {
            anstream::eprintln!("recorded in {SCORER_CONTROL}: {LATER}");
            return Ok(());
        }
        anstream::eprintln!(
            "recorded in {SCORER_CONTROL}; it takes effect once a scorer that runs accepts it: waiting up to {} s for that (--wait SECONDS, --no-wait)",
            patience.as_secs()
        );
        decided(&*log, told_from, sent, patience).await
    })
}

/// From where on each is to count.
async fn positions(log: &dyn Log, wanted: &[Wanted]) -> Result<Vec<u64>, Reaction> {
    if wanted.iter().all(|(_, from, _)| from.is_some()) {
        return Ok(wanted.iter().filter_map(|(_, from, _)| *from).collect());
    }
    let mut ends = Vec::new();
    for (partition, _, _) in wanted {
        ends.push(log.bounds(RISK_SCORES, *partition).await?.end);
    }
    tokio::time::sleep(MEASURED).await;
    let mut positions = Vec::new();
    for ((partition, from, _), before) in wanted.iter().zip(ends) {
        // An offset is never below its record's seq.
        let end = log.bounds(RISK_SCORES, *partition).await?.end;
        positions.push(from.unwrap_or(end + (end.saturating_sub(before) * MARGIN_SECONDS).max(LEAST_MARGIN)));
    }
    Ok(positions)
}

/// Waits until each is accepted or refused, or for so long.
async fn decided(log: &dyn Reader, told_from: u64, mut sent: BTreeMap<String, u32>, patience: Duration) -> Result<(), Failure> {
    let (begun, all, mut next, mut refused) = (Instant::now(), sent.len(), told_from, 0);
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()));
    loop {
        let (found, behind) = said(log, next).await?;
        next = behind;
        for (id, said) in found {
            let Some(partition) = sent.remove(&id) else { continue };
            let stands = said.next_seq.map(|seq| format!(", which stands at seq {seq}")).unwrap_or_default();
            if said.accepted {
                bar.suspend(|| anstream::println!("partition {partition}: accepted{stands}"));
            } else {
                refused += 1;
                bar.suspend(|| anstream::println!("partition {partition}: refused: {}", said.why.join("\n  ")));
            }
        }
        let left = patience.saturating_sub(begun.elapsed());
        if sent.is_empty() || left.is_zero() {
            break;
        }
        bar.set_message(format!("{} of {all} partitions have answered, {} s left", all - sent.len(), left.as_secs() + 1));
        bar.tick();
        tokio::time::sleep(LOOK.min(left)).await;
    }
    bar.finish_and_clear();
    if refused > 0 {
        return Err(Failure::Failed(format!("{refused} of the records were refused, and what was in force there stays")));
    }
    if !sent.is_empty() {
        let silent: Vec<String> = sent.into_values().map(|partition| partition.to_string()).collect();
        anstream::eprintln!("no scorer has answered for partition {} within {} s: {LATER}", silent.join(", "), patience.as_secs());
    }
    Ok(())
}
