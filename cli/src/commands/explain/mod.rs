//! `wardhouse explain`: why a transaction, or a pattern alert, has its score: as the log has it, or as a file gives it.
//!
//! What must stay true: nothing is written; with a file, no store is opened.

mod file;

use std::path::PathBuf;

use clap::Args;
use futures::StreamExt;
use serde_json::Value;
use wh_eventlog::Reader;
use wh_schemas::{Alert, ScoreRecord, SeqPosition};
use wh_scorer::offline::explain::{self, Provenance, Recomputed};
use wh_scorer::offline::history::History;

use crate::args::OrderName;
use crate::commands::{engine, input, runtime};
use crate::failure::Failure;
use crate::settings::Settings;
use crate::stores;

/// `explain`
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// A transaction, or an alert by its id; with --input a transaction.
    #[arg(value_name = "TRANSACTION_ID")]
    id: String,
    /// Take it from this file, in place of the log: NDJSON, plain, gzip or zstd, or - for stdin; scored from its first line on as `score` does.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["stored", "recompute"])]
    input: Option<PathBuf>,
    /// Order of scoring of --input.
    #[arg(long, value_enum, default_value_t = OrderName::File, requires = "input")]
    order: OrderName,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    /// Fail where the score cannot be computed again from the log, or differs from what was stored.
    #[arg(long, conflicts_with = "stored")]
    recompute: bool,
    /// Show what was stored only, without computing it again.
    #[arg(long)]
    stored: bool,
    /// Compute it again under this ruleset file, in place of the one that the settings name.
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<PathBuf>,
}

/// The rows of a statement as JSON objects; none where the store cannot be asked, which is told.
async fn rows(engine: &wh_query::Engine, sql: &str) -> Vec<Value> {
    let asked = async {
        let session = engine.session(wh_query::Principal::local(wh_query::Way::Cli));
        let mut result = session.query(sql).await.map_err(|e| e.to_string())?;
        let mut writer = arrow::json::LineDelimitedWriter::new(Vec::new());
        while let Some(batch) = result.stream.next().await {
            writer.write(&batch.map_err(|e| wh_query::QueryError::from(e).to_string())?).map_err(|e| e.to_string())?;
        }
        writer.finish().map_err(|e| e.to_string())?;
        Ok::<Vec<Value>, String>(writer.into_inner().split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
    };
    asked.await.unwrap_or_else(|error| {
        tracing::warn!("{error}");
        Vec::new()
    })
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

pub(crate) fn run(settings: &Settings, args: &ExplainArgs) -> Result<(), Failure> {
    if let Some(path) = &args.input {
        return file::run(settings, args, path);
    }
    let runtime = runtime("explain")?;
    let outcome = told(settings, args, &runtime);
    // A query that was given up may still hold a blocking thread: do not wait for it.
    runtime.shutdown_background();
    outcome
}

fn told(settings: &Settings, args: &ExplainArgs, runtime: &tokio::runtime::Runtime) -> Result<(), Failure> {
    let log = runtime.block_on(stores::open_reader(settings))?;
    let engine = engine(settings)?;
    let mut id = args.id.clone();
    // A transaction first: an id may look like anything.
    let mut found = runtime.block_on(scored(&*log, &engine, &id))?;
    if found.is_none() {
        let alert = runtime.block_on(explain::alert_record(&*log, &id))?;
        if let Some(bytes) = alert {
            let alert: Alert<'_> = serde_json::from_slice(&bytes).map_err(|e| format!("the record of the alert {id} cannot be read: {e}"))?;
            if alert.pattern.is_some() {
                return pattern(&alert, &engine, args, runtime);
            }
            id = alert.transaction_id.as_str().to_owned();
            found = runtime.block_on(scored(&*log, &engine, &id))?;
        }
    }
    let Some(bytes) = found else { return from_documents(&id, &engine, args, runtime) };
    let record: ScoreRecord<'_> = serde_json::from_slice(&bytes).map_err(|e| format!("the scored record of {id} cannot be read: {e}"))?;
    let recomputed = if args.stored || record.risk_score.is_none() {
        None
    } else {
        let history = History::open(log, runtime.handle().clone(), Some(record.partition))?;
        let bar = input::counting_bar("computing again", history.records());
        let mut followed = input::Followed { source: history, bar: bar.clone() };
        let recomputed = explain::recompute(&mut followed, &record, &settings.ruleset, settings.dedup_horizon);
        bar.finish_and_clear();
        recomputed?
    };
    let mut members: Vec<String> = record.patterns.iter().flat_map(|pattern| pattern.members.iter().map(|member| member.as_str().to_owned())).collect();
    members.extend(recomputed.iter().flat_map(|again| again.patterns.iter().filter(|seen| seen.strength >= 1.0).flat_map(|seen| seen.members.iter().cloned())));
    members.sort_unstable();
    members.dedup();
    let members = runtime.block_on(transactions(&engine, &members));
    if args.json {
        let stored: Value = serde_json::from_slice(&bytes).map_err(|e| e.to_string())?;
        anstream::println!("{:#}", serde_json::json!({ "stored": stored, "recomputed": recomputed, "members": members }));
    } else {
        anstream::print!("{}", explain::record_text(&record, Provenance::Log));
        print_members(&members);
        match &recomputed {
            Some(again) => anstream::print!("{}", explain::recomputed_text(again, Provenance::Log)),
            None if args.stored || record.risk_score.is_none() => {}
            None => anstream::println!("\nthe log no longer holds its accepted record: the baseline as it was cannot be computed again"),
        }
    }
    verdict(args, recomputed.as_ref())
}

fn verdict(args: &ExplainArgs, recomputed: Option<&Recomputed>) -> Result<(), Failure> {
    match recomputed {
        _ if !args.recompute => Ok(()),
        Some(again) if again.equal => Ok(()),
        Some(_) => Err(Failure::Failed("the score that was computed again is not the one that was stored".to_owned())),
        None => Err(Failure::Failed("the score could not be computed again".to_owned())),
    }
}

/// The scored record of the log, sought where the ledger says that it stands.
async fn scored(log: &dyn Reader, engine: &wh_query::Engine, id: &str) -> Result<Option<wh_eventlog::Bytes>, Failure> {
    let rows = rows(engine, &format!("SELECT \"partition\", seq FROM transactions WHERE transaction_id = {}", quoted(id))).await;
    let hint = rows.first().and_then(|row| Some(SeqPosition { partition: u32::try_from(row.get("partition")?.as_u64()?).ok()?, seq: row.get("seq")?.as_u64()? }));
    Ok(explain::scored_record(log, id, hint).await?)
}

/// What the ledger says of transactions.
async fn transactions(engine: &wh_query::Engine, ids: &[String]) -> Vec<Value> {
    if ids.is_empty() {
        return Vec::new();
    }
    let list: Vec<String> = ids.iter().map(|id| quoted(id)).collect();
    let sql = format!(
        "SELECT transaction_id, \"timestamp\", user_id, account_id, counterparty_account, department, transaction_type, amount, risk_score FROM transactions WHERE transaction_id IN ({}) ORDER BY \"timestamp\", transaction_id",
        list.join(", ")
    );
    rows(engine, &sql).await
}

fn print_members(members: &[Value]) {
    for member in members {
        let text = |name: &str| match member.get(name) {
            None | Some(Value::Null) => "-".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        anstream::println!(
            "  {} {} {} by {} in {}, {} to {}: score {}",
            text("timestamp"),
            text("transaction_id"),
            text("amount"),
            text("user_id"),
            text("department"),
            text("account_id"),
            text("counterparty_account"),
            text("risk_score")
        );
    }
}

fn pattern(alert: &Alert<'_>, engine: &wh_query::Engine, args: &ExplainArgs, runtime: &tokio::runtime::Runtime) -> Result<(), Failure> {
    let ids: Vec<String> = alert.members.iter().map(|member| member.as_str().to_owned()).collect();
    let members = runtime.block_on(transactions(engine, &ids));
    if args.json {
        anstream::println!("{:#}", serde_json::json!({ "alert": alert, "members": members }));
        return Ok(());
    }
    anstream::print!("{}", explain::pattern_text(alert));
    anstream::println!("members: {}", ids.join(", "));
    print_members(&members);
    Ok(())
}

/// The stored explanation, where the log no longer holds the record.
fn from_documents(id: &str, engine: &wh_query::Engine, args: &ExplainArgs, runtime: &tokio::runtime::Runtime) -> Result<(), Failure> {
    let sql = format!("SELECT * FROM documents.explanations WHERE transaction_id = {}", quoted(id));
    let mut rows = runtime.block_on(rows(engine, &sql));
    let Some(mut row) = rows.pop() else {
        return Err(Failure::Failed(format!("nothing is known of {id}: neither the log nor the documents hold a transaction or an alert of that id")));
    };
    // They stand there as JSON text.
    for name in ["dimensions", "reasons", "alerts"] {
        if let Some(value) = row.get_mut(name)
            && let Some(parsed) = value.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok())
        {
            *value = parsed;
        }
    }
    if args.json {
        anstream::println!("{:#}", serde_json::json!({ "stored": row, "recomputed": Value::Null }));
    } else {
        anstream::println!("{row:#}\n\nfrom the stored explanation: the log no longer holds this record, so that the baseline as it was cannot be computed again");
    }
    verdict(args, None)
}
