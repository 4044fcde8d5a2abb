//! `dead-letters list`.

use anstream::println;
use wh_eventlog::dead_letters::{Disposition, letter_at};
use wh_ops::letters::{self, Line};
use wh_schemas::Micros;

use super::ListArgs;
use crate::commands::counted;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::stores;

pub(super) async fn list(settings: &Settings, args: &ListArgs) -> Result<(), Failure> {
    let log = stores::open_reader(settings).await?;
    let listed = letters::list(&*log, &args.which.filter(&*log).await?, args.settled, args.limit).await?;
    for line in &listed.lines {
        if args.json {
            // One at a time: a letter may be large.
            let record = letter_at(&*log, line.partition, line.offset).await?.map(|found| found.record);
            println!("{}", as_json(line, record.as_ref().map(|record| String::from_utf8_lossy(&record.value).into_owned())));
        } else {
            println!("{}", as_text(line));
        }
    }
    if !args.json {
        let hidden = listed.all - listed.lines.len() as u64;
        let more = if hidden > 0 { format!(" ({} not shown: --limit)", counted(hidden, "older one", "older ones")) } else { String::new() };
        let told = if args.settled { counted(listed.all, "dead letter", "dead letters") } else { counted(listed.all, "dead letter waits", "dead letters wait") };
        anstream::eprintln!("{told}{more}");
    }
    Ok(())
}

fn as_text(line: &Line) -> String {
    let letter = &line.letter;
    let stage = letter.store.as_ref().map_or_else(|| letter.stage.clone(), |store| format!("{}/{store}", letter.stage));
    let done = line.disposition.map(|done| format!("[{}] ", done.as_str())).unwrap_or_default();
    format!("{:>8}  {}  {stage}  {}  {done}{}", format!("{}/{}", line.partition, line.offset), Micros(line.written), letter.origin, letter.error_message)
}

fn as_json(line: &Line, value: Option<String>) -> serde_json::Value {
    let letter = &line.letter;
    serde_json::json!({
        "letter": format!("{}/{}", line.partition, line.offset),
        "written": Micros(line.written).to_string(),
        "origin": letter.origin.to_string(),
        "stage": letter.stage,
        "store": letter.store,
        "position": letter.position,
        "error_class": letter.error_class,
        "error_message": letter.error_message,
        "fingerprint": letter.fingerprint,
        "attempts": letter.attempts,
        "disposition": line.disposition.map(Disposition::as_str),
        "value": value,
    })
}
