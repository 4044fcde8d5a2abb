//! `wardhouse status`: lines that add up, read from the log and from each store's own word.

use anstream::println;
use wh_ops::status::{ScorerPartition, Status, status};
use wh_schemas::layout;
use wh_sinks::{sqlite, tantivy};

use crate::commands::runtime;
use crate::failure::Failure;
use crate::settings::Settings;

/// How the pipeline on this data folder stands.
pub(crate) fn read(settings: &Settings, runtime: &tokio::runtime::Runtime) -> Result<Status, Failure> {
    let log = wh_eventlog::embedded::open_reader(&settings.log)?;
    let scorer: Vec<ScorerPartition> =
        wh_scorer::state::sqlite::read_partitions(&settings.baselines)?.into_iter().map(|(next_offset, record)| ScorerPartition { next_offset, counts: record.counts }).collect();
    let sinks = [
        ("ledger", sqlite::file::read_positions(&settings.ledger, &layout::LEDGER, "scorer")?),
        ("documents", sqlite::file::read_positions(&settings.documents, &layout::DOCUMENTS, "scorer")?),
        ("metrics", sqlite::file::read_positions(&settings.metrics, &layout::METRICS, "scorer")?),
        ("search", tantivy::read_positions(&settings.search, "scorer")?),
    ];
    Ok(runtime.block_on(status(&*log, &scorer, &sinks))?)
}

pub(crate) fn run(settings: &Settings, json: bool) -> Result<(), Failure> {
    let status = read(settings, &runtime("status")?)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&status).map_err(|e| e.to_string())?);
        return Ok(());
    }
    println!("{:<10} {:>12} {:>12} {:>10}   what became of them", "stage", "records", "settled", "waiting");
    for stage in &status.stages {
        let parts: Vec<String> = stage.parts.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let verdict = if stage.adds_up() { "" } else { "   (in motion: ask again, or run `wardhouse replay`)" };
        println!("{:<10} {:>12} {:>12} {:>10}   {}{verdict}", stage.stage, stage.input, stage.settled, stage.lag(), parts.join(" + "));
    }
    println!();
    println!("{} alerts and {} dead letters in the log{}", status.alerts, status.dead_letters, if status.dead_letters > 0 { ": see `wardhouse dead-letters list`" } else { "" });
    println!("{}", if status.settled() { "everything adds up, nothing waits" } else { "not everything is settled yet" });
    Ok(())
}
