//! What was sent to the scorer and what became of it: `rules history`, `rules show --running`.
//!
//! What must stay true: what is told is what scorers said in `system-events` or keep in their checkpoints; nothing is inferred.

use std::collections::BTreeMap;

use serde_json::Value;
use wh_eventlog::Reader;
use wh_schemas::Reaction;
use wh_schemas::control::{ControlChange, ControlRecord};
use wh_schemas::event::SystemEvent;
use wh_schemas::topics::{SCORER_CONTROL, SYSTEM_EVENTS};
use wh_scorer::control::ruleset_of;
use wh_scorer::engine::Ruleset;
use wh_scorer::rules;

use super::READ_BYTES;
use crate::commands::runtime;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::stores;

/// What a scorer has said of a record.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) partition: Option<u64>,
    pub(super) accepted: bool,
    pub(super) next_seq: Option<u64>,
    pub(super) why: Vec<String>,
}

/// What scorers have said from an offset of `system-events` on, by control id; and the offset behind it.
pub(super) async fn said(log: &dyn Reader, from: u64) -> Result<(BTreeMap<String, Said>, u64), Reaction> {
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
