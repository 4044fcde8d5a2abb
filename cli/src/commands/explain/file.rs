//! `wardhouse explain --input FILE`: a transaction of a file, without a pipeline.
//!
//! What must stay true: it shows the score that `wardhouse score` writes for the same file, order and ruleset.

use std::path::Path;

use serde_json::Value;
use wh_schemas::ScoreRecord;
use wh_scorer::offline::explain::{self, Provenance, Sought};
use wh_scorer::offline::score::ScoreSettings;

use super::ExplainArgs;
use crate::commands::input;
use crate::failure::Failure;
use crate::settings::Settings;

pub(super) fn run(settings: &Settings, args: &ExplainArgs, path: &Path) -> Result<(), Failure> {
    let score = ScoreSettings { ruleset: settings.ruleset.clone(), reading: settings.reading.clone(), order: args.order.into(), partitions: settings.partitions, threads: 1 };
    let bar = input::bar("scoring");
    let sought = explain::of_file(&mut *input::open(path, Some(&bar))?, &args.id, &score);
    bar.finish_and_clear();
    let name = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    let found = match sought? {
        Sought::Found(found) => found,
        Sought::Missing { why: Some(why), .. } => return Err(Failure::Failed(format!("{} is in {name} and was rejected: {why}", args.id))),
        Sought::Missing { lines, rejected, why: None } => {
            return Err(Failure::Failed(format!(
                "{name} holds no transaction {}: {lines} lines were read, {rejected} of them rejected. An alert of the file is explained by the id of its transaction; \
                 one of a pattern by account stands with members and message on its line of `wardhouse score`",
                args.id
            )));
        }
    };
    if args.json {
        let scored: Value = serde_json::from_slice(&found.record).map_err(|e| e.to_string())?;
        anstream::println!("{:#}", serde_json::json!({ "line": found.line, "scored": scored, "recomputed": found.recomputed }));
        return Ok(());
    }
    let record: ScoreRecord<'_> = serde_json::from_slice(&found.record).map_err(|e| format!("the scored record of {} cannot be read: {e}", args.id))?;
    let provenance = Provenance::File { name: &name, line: found.line };
    anstream::print!("{}", explain::record_text(&record, provenance));
    anstream::print!("{}", explain::recomputed_text(&found.recomputed, provenance));
    Ok(())
}
