//! What operators tell a scorer that runs: `rules apply`, `rules history`, `rules show --running`, `release`, `fit-priors --apply`. Each is a
//! record of `scorer-control`; whether it counts is the scorer's to say, and its audit event is waited for.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;
use wh_eventlog::{Log, Reader, Record};
use wh_schemas::control::{ControlChange, ControlRecord};
use wh_schemas::event::SystemEvent;
use wh_schemas::scored::ALERT_SCORE;
use wh_schemas::topics::{RISK_SCORES, SCORER_CONTROL, SYSTEM_EVENTS};
use wh_schemas::transaction::SCHEMA_VERSION;
use wh_schemas::{AcceptedTransaction, Reaction, ScoreRecord, ids};
use wh_scorer::control::ruleset_of;
use wh_scorer::engine::Ruleset;
use wh_scorer::engine::ruleset::Priors;
use wh_scorer::offline::explain;
use wh_scorer::rules;
use wh_stores::clock;

use crate::commands::runtime;
use crate::failure::Failure;
use crate::ruleset;
use crate::settings::Settings;
use crate::stores;

/// How long the traffic is measured, to choose a position that the scorer has not reached when it reads the record.
const MEASURED: Duration = Duration::from_secs(1);
/// So many times what came meanwhile is left as a margin …
const MARGIN_SECONDS: u64 = 5;
/// … and at least so much, for a partition that is quiet now.
const LEAST_MARGIN: u64 = 50;
/// How long a decision is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(200);
const READ_BYTES: usize = 1 << 20;

/// Where and why.
#[derive(Clone, Debug, Args)]
pub(crate) struct SendArgs {
    /// Why, for the audit log.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Do not wait until it is accepted or refused.
    #[arg(long)]
    no_wait: bool,
}

/// `rules apply`
#[derive(Clone, Debug, Args)]
pub(crate) struct ApplyArgs {
    /// The ruleset file.
    file: PathBuf,
    /// This partition only [default: each].
    #[arg(long)]
    partition: Option<u32>,
    /// First seq scored under it [default: behind what the partition is to score in 5 s, at least 50 behind what it has scored].
    #[arg(long, value_name = "SEQ", requires = "partition")]
    from_seq: Option<u64>,
    #[command(flatten)]
    send: SendArgs,
}

/// `release`
#[derive(Clone, Debug, Args)]
pub(crate) struct ReleaseArgs {
    /// The transaction.
    transaction_id: String,
    #[command(flatten)]
    send: SendArgs,
}

/// `rules apply`
pub(crate) fn apply(settings: &Settings, args: &ApplyArgs) -> Result<(), Failure> {
    let candidate = ruleset::read(&args.file).map_err(Failure::Settings)?;
    let text = std::fs::read_to_string(&args.file).map_err(|e| format!("cannot read {}: {e}", args.file.display()))?;
    if candidate.account_rules() != settings.ruleset.account_rules() {
        anstream::eprintln!(
            "[accounts], limits or below_limit differ from the settings' ruleset: patterns by account take theirs from the settings at the start of their stage. \
             Name {} in the settings too, and start that stage again",
            args.file.display()
        );
    }
    anstream::eprintln!("{:?}, content hash {}", candidate.name, candidate.content_hash());
    let change = ControlChange::Ruleset { ruleset: text };
    send(settings, &args.send, &|partitions| Ok(targets(args.partition, args.from_seq, partitions)?.into_iter().map(|(p, from)| (p, from, change.clone())).collect()))
}

/// `fit-priors --apply`
pub(crate) fn apply_priors(settings: &Settings, priors: &Priors, args: &SendArgs) -> Result<(), Failure> {
    let text = toml::to_string(&BTreeMap::from([("priors", priors)])).map_err(|e| format!("the priors cannot be written: {e}"))?;
    let change = ControlChange::Priors { priors: text };
    send(settings, args, &|partitions| Ok((0..partitions).map(|p| (p, None, change.clone())).collect()))
}

/// `release`
pub(crate) fn release(settings: &Settings, args: &ReleaseArgs) -> Result<(), Failure> {
    let id = &args.transaction_id;
    let found = {
        let runtime = runtime("release")?;
        runtime.block_on(async {
            let log = stores::open_reader(settings).await?;
            explain::scored_record(&*log, id, None).await
        })?
    };
    let bytes = found.ok_or_else(|| format!("the log holds no scored record of {id}: the scorer can learn only from what the log still has"))?;
    let record: ScoreRecord<'_> = serde_json::from_slice(&bytes).map_err(|e| format!("the scored record of {id} cannot be read: {e}"))?;
    let risk = record.risk_score.unwrap_or(0);
    if risk < ALERT_SCORE {
        return Err(Failure::Failed(format!("{id} has a score of {risk}: what scores below {ALERT_SCORE} was learnt when it came, there is nothing to release")));
    }
    let transaction = serde_json::to_string(&AcceptedTransaction::of(&record)).map_err(|e| e.to_string())?;
    let change = ControlChange::Release { transaction_id: id.clone(), transaction };
    let partition = record.partition;
    send(settings, &args.send, &|_| Ok(vec![(partition, None, change.clone())]))
}

/// Partition, first `seq` where it is given, and change.
type Wanted = (u32, Option<u64>, ControlChange);

fn targets(partition: Option<u32>, from_seq: Option<u64>, partitions: u32) -> Result<Vec<(u32, Option<u64>)>, Failure> {
    match partition {
        Some(partition) if partition >= partitions => Err(Failure::Failed(format!("--partition {partition}: the scorer has the partitions 0 to {}", partitions.saturating_sub(1)))),
        Some(partition) => Ok(vec![(partition, from_seq)]),
        None => Ok((0..partitions).map(|partition| (partition, None)).collect()),
    }
}

fn send(settings: &Settings, args: &SendArgs, wanted: &dyn Fn(u32) -> Result<Vec<Wanted>, Failure>) -> Result<(), Failure> {
    let runtime = runtime("control")?;
    runtime.block_on(async {
        let log = stores::open_log(settings).await?;
        let wanted = wanted(log.partitions(RISK_SCORES).await?)?;
        let told_from = log.bounds(SYSTEM_EVENTS, 0).await?.end;
        let positions = positions(&*log, &wanted).await?;
        let mut sent = BTreeMap::new();
        let mut records = Vec::new();
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
            anstream::println!("partition {partition}: sent {} {control_id}, to count from seq {from_seq} on", record.change.kind());
            sent.insert(control_id, partition);
        }
        log.produce(SCORER_CONTROL, 0, records).await?;
        if args.no_wait { Ok(()) } else { decided(&*log, told_from, sent).await }
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

/// What a scorer has said of a record.
#[derive(Clone, Debug)]
struct Said {
    partition: Option<u64>,
    accepted: bool,
    next_seq: Option<u64>,
    why: Vec<String>,
}

/// What scorers have said from an offset of `system-events` on, by control id; and the offset behind it.
async fn said(log: &dyn Reader, from: u64) -> Result<(BTreeMap<String, Said>, u64), Reaction> {
    let bounds = log.bounds(SYSTEM_EVENTS, 0).await?;
    let (mut found, mut next) = (BTreeMap::new(), from.max(bounds.start));
    while next < bounds.end {
        let records = log.read(SYSTEM_EVENTS, 0, next, READ_BYTES).await?;
        let Some(last) = records.last() else { break };
        next = last.offset + 1;
        for record in &records {
            let Ok(SystemEvent::Audit { event_type, data, .. }) = serde_json::from_slice(&record.value) else { continue };
            let accepted = event_type == "control_accepted";
            if !accepted && event_type != "control_refused" {
                continue;
            }
            let Some(id) = data.get("control_id").and_then(Value::as_str) else { continue };
            let why = data.get("refused").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
            let number = |name: &str| data.get(name).and_then(Value::as_u64);
            found.insert(id.to_owned(), Said { partition: number("partition"), accepted, next_seq: number("next_seq"), why });
        }
    }
    Ok((found, next))
}

/// Waits until each is accepted or refused.
async fn decided(log: &dyn Reader, told_from: u64, mut sent: BTreeMap<String, u32>) -> Result<(), Failure> {
    let (begun, mut next, mut refused) = (Instant::now(), told_from, 0);
    loop {
        let (found, behind) = said(log, next).await?;
        next = behind;
        for (id, said) in found {
            let Some(partition) = sent.remove(&id) else { continue };
            let stands = said.next_seq.map(|seq| format!(", which stands at seq {seq}")).unwrap_or_default();
            if said.accepted {
                anstream::println!("partition {partition}: accepted{stands}");
            } else {
                refused += 1;
                anstream::println!("partition {partition}: refused: {}", said.why.join("\n  "));
            }
        }
        if sent.is_empty() {
            break;
        }
        if begun.elapsed() >= PATIENCE {
            return Err(Failure::Failed(format!(
                "{} of the records are not decided after {} s: they wait in {SCORER_CONTROL} until a scorer of their partitions runs; `wardhouse rules history` tells what became of them",
                sent.len(),
                PATIENCE.as_secs()
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
    if refused == 0 { Ok(()) } else { Err(Failure::Failed(format!("{refused} of the records were refused, and what was in force there stays"))) }
}

/// `rules history`
pub(crate) fn history(settings: &Settings) -> Result<(), Failure> {
    let runtime = runtime("history")?;
    runtime.block_on(async {
        let log = stores::open_reader(settings).await?;
        let (mut said, _) = said(&*log, 0).await?;
        // What is older than the events, the checkpoints may still know.
        for (partition, _, record) in stores::checkpoints(settings).await? {
            for decided in record.control.decided {
                let kept = Said { partition: Some(u64::from(partition)), accepted: decided.refused.is_empty(), next_seq: Some(decided.next_seq), why: decided.refused };
                said.entry(decided.control_id).or_insert(kept);
            }
        }
        let bounds = log.bounds(SCORER_CONTROL, 0).await?;
        let mut next = bounds.start;
        if next >= bounds.end {
            anstream::println!("no control record was ever sent: the settings' ruleset is in force");
        }
        while next < bounds.end {
            let records = log.read(SCORER_CONTROL, 0, next, READ_BYTES).await?;
            let Some(last) = records.last() else { break };
            next = last.offset + 1;
            for record in &records {
                anstream::println!("{}", line(record.offset, record.append_time, &record.value, &said));
            }
        }
        Ok(())
    })
}

fn line(offset: u64, append_time: i64, value: &[u8], said: &BTreeMap<String, Said>) -> String {
    let at = wh_schemas::Micros(append_time);
    let Ok(record) = serde_json::from_slice::<ControlRecord>(value) else { return format!("{offset:>6}  {at}  cannot be read") };
    let subject = match &record.change {
        ControlChange::Ruleset { ruleset } => {
            rules::parse(ruleset).map_or_else(|_| "no valid ruleset".to_owned(), |ruleset| format!("{:?} {}", ruleset.name, ruleset.content_hash()))
        }
        ControlChange::Priors { .. } => String::new(),
        ControlChange::Release { transaction_id, .. } => transaction_id.clone(),
    };
    let became = match said.get(&record.control_id) {
        Some(said) if said.accepted => "accepted".to_owned(),
        Some(said) => format!("refused (partition {} stood at seq {}): {}", said.partition.unwrap_or(0), said.next_seq.unwrap_or(0), said.why.join("; ")),
        None => "not decided yet, or longer ago than the audit events reach back".to_owned(),
    };
    let reason = if record.reason.is_empty() { String::new() } else { format!(", because {:?}", record.reason) };
    format!("{offset:>6}  {at}  partition {} from seq {}: {} {subject}, by {}{reason}: {became}", record.partition, record.from_seq, record.change.kind(), record.principal)
}

/// `rules show --running`: what is in force by each partition's checkpoint, then each ruleset as a file.
pub(crate) fn running(settings: &Settings) -> Result<(), Failure> {
    let checkpoints = runtime("running")?.block_on(stores::checkpoints(settings))?;
    if checkpoints.is_empty() {
        return Err(Failure::Failed("no scorer has written a checkpoint yet: `wardhouse rules show` shows what the settings name".to_owned()));
    }
    let mut rulesets: BTreeMap<String, String> = BTreeMap::new();
    for (partition, position, record) in checkpoints {
        let Some(in_force) = record.control.in_force else {
            anstream::println!("# partition {partition}: {}, from a version that kept no more than the hash", record.ruleset);
            continue;
        };
        let by = in_force.control_id.map_or_else(|| "by the settings".to_owned(), |id| format!("by the control record {id}"));
        anstream::println!("# partition {partition}: {} from seq {} on, {by}; it stands at seq {}", in_force.hash, in_force.from_seq, position.next_seq);
        for pending in &record.control.pending {
            let id = pending.control_id.as_deref().unwrap_or("a change of the settings");
            anstream::println!("#   from seq {} on: {id}", pending.from_seq);
        }
        rulesets.insert(in_force.hash, in_force.toml);
    }
    for text in rulesets.into_values() {
        let ruleset = ruleset_of(&text).map_err(|why| format!("a ruleset in force cannot be read by this version: {why}"))?;
        anstream::print!("\n{}", rules::to_toml(&ruleset));
    }
    Ok(())
}

/// The ruleset that a scorer scores by, where one has checkpointed; else that of the settings.
pub(crate) fn in_force(settings: &Settings) -> Result<Ruleset, Failure> {
    // Where nothing was ever run there is nothing to ask.
    let checkpoints = runtime("running")?.block_on(stores::checkpoints(settings))?;
    let first = checkpoints.into_iter().find_map(|(_, _, record)| record.control.in_force);
    Ok(first.and_then(|in_force| ruleset_of(&in_force.toml).ok()).unwrap_or_else(|| settings.ruleset.clone()))
}
