//! `wardhouse dead-letters`: what a stage could not take, why, and sending it again.

use anstream::println;
use wh_eventlog::dead_letters::{self, Found};

use crate::args::DeadLetters;
use crate::commands::runtime;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::stores;

pub(crate) fn run(settings: &Settings, command: DeadLetters) -> Result<(), Failure> {
    let runtime = runtime("dead-letters")?;
    let reader = runtime.block_on(stores::open_reader(settings))?;
    let mut all = runtime.block_on(dead_letters::read_all(&*reader))?;
    all.sort_by_key(|found| (found.record.append_time, found.partition, found.offset));
    match command {
        DeadLetters::List { stage, class, fingerprint, limit, json } => {
            let wanted = |found: &&Found| {
                stage.as_ref().is_none_or(|s| *s == found.letter.stage || found.letter.store.as_ref() == Some(s))
                    && class.as_ref().is_none_or(|c| found.letter.error_class.contains(c.as_str()))
                    && fingerprint.as_ref().is_none_or(|f| *f == found.letter.fingerprint)
            };
            let chosen: Vec<&Found> = all.iter().filter(wanted).collect();
            let skipped = chosen.len().saturating_sub(limit);
            for found in &chosen[skipped..] {
                if json {
                    println!("{}", as_json(found));
                } else {
                    let stage = found.letter.store.as_ref().map_or_else(|| found.letter.stage.clone(), |store| format!("{}/{store}", found.letter.stage));
                    println!(
                        "{:>8}  {}  {stage}  {}  {}",
                        format!("{}/{}", found.partition, found.offset),
                        wh_schemas::Micros(found.record.append_time),
                        found.letter.origin,
                        found.letter.error_message
                    );
                }
            }
            if !json {
                let more = if skipped > 0 { format!(" ({skipped} older ones not shown: --limit)") } else { String::new() };
                anstream::eprintln!("{} dead letters{more}", chosen.len());
            }
        }
        DeadLetters::Show { letter } => {
            let found = find(&all, &letter)?;
            let told = &found.letter;
            println!("dead letter   {}/{}", found.partition, found.offset);
            println!("origin        {}", told.origin);
            println!("stage         {}{}", told.stage, told.store.as_ref().map(|s| format!(" into {s}")).unwrap_or_default());
            println!("error class   {}", told.error_class);
            println!("error         {}", told.error_message);
            println!("fingerprint   {}", told.fingerprint);
            println!("attempts      {}", told.attempts);
            for (name, value) in &found.record.headers {
                println!("header        {name}: {}", String::from_utf8_lossy(value));
            }
            println!("key           {}", found.record.key.as_deref().map_or_else(|| "none".into(), String::from_utf8_lossy));
            println!("original bytes ({}):", found.record.value.len());
            use std::io::Write;
            let mut out = std::io::stdout().lock();
            out.write_all(&found.record.value)?;
            out.write_all(b"\n")?;
        }
        DeadLetters::Retry { letters } => {
            let chosen: Vec<&Found> = letters.iter().map(|letter| find(&all, letter)).collect::<Result<_, _>>()?;
            let log = runtime.block_on(stores::open_log(settings))?;
            for found in chosen {
                let offset = runtime.block_on(dead_letters::retry(&*log, found))?;
                println!("{}/{} is in hospital-transactions again, at offset {offset}", found.partition, found.offset);
            }
        }
    }
    Ok(())
}

fn find<'a>(all: &'a [Found], name: &str) -> Result<&'a Found, Failure> {
    let place = name.split_once('/').and_then(|(partition, offset)| Some((partition.parse::<u32>().ok()?, offset.parse::<u64>().ok()?)));
    let Some((partition, offset)) = place else {
        return Err(Failure::Settings(vec![format!("{name:?}: expected partition/offset, as `wardhouse dead-letters list` prints it")]));
    };
    all.iter().find(|f| f.partition == partition && f.offset == offset).ok_or_else(|| Failure::Failed(format!("there is no dead letter {name}")))
}

fn as_json(found: &Found) -> serde_json::Value {
    serde_json::json!({
        "letter": format!("{}/{}", found.partition, found.offset),
        "origin": found.letter.origin.to_string(),
        "stage": found.letter.stage,
        "store": found.letter.store,
        "error_class": found.letter.error_class,
        "error_message": found.letter.error_message,
        "fingerprint": found.letter.fingerprint,
        "attempts": found.letter.attempts,
        "value": String::from_utf8_lossy(&found.record.value),
    })
}
