//! `wardhouse status`: lines that add up, read from the log and from each store's own word.

use anstream::println;
use wh_ops::status::{Status, status};

use crate::commands::runtime;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::stores;

/// How the pipeline on this data folder stands.
pub(crate) fn read(settings: &Settings, runtime: &tokio::runtime::Runtime) -> Result<Status, Failure> {
    runtime.block_on(async {
        let log = stores::open_reader(settings).await?;
        let scorer = stores::scorer(settings).await?;
        let patterns = stores::patterns(settings).await?;
        let sinks = stores::sinks(settings).await?;
        Ok(status(&*log, &scorer, patterns, &sinks).await?)
    })
}

pub(crate) fn run(settings: &Settings, json: bool) -> Result<(), Failure> {
    let status = read(settings, &runtime("status")?)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&status).map_err(|e| e.to_string())?);
        return status.set_back().map_or(Ok(()), |told| Err(Failure::Failed(told)));
    }
    println!("{:<15} {:>12} {:>12} {:>10}   what became of them", "stage", "records", "settled", "waiting");
    for stage in &status.stages {
        let parts: Vec<String> = stage.parts.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let verdict = if stage.adds_up() { "" } else { "   (in motion: ask again; where it stays so, `wardhouse reconcile` tells what is missing)" };
        println!("{:<15} {:>12} {:>12} {:>10}   {}{verdict}", stage.stage, stage.input, stage.settled, stage.lag(), parts.join(" + "));
    }
    println!();
    let letters = status.letters;
    println!("{} alerts (patterns of an alert's score included) in the log", status.alerts);
    println!(
        "{} dead letters in the log = {} waiting + {} sent again + {} discarded{}",
        letters.written,
        letters.waiting,
        letters.retried,
        letters.discarded,
        if letters.waiting > 0 { ": see `wardhouse dead-letters list`" } else { "" }
    );
    if let Some(told) = status.set_back() {
        return Err(Failure::Failed(told));
    }
    println!("{}", if status.settled() { "everything adds up, nothing waits" } else { "not everything is settled yet" });
    Ok(())
}
