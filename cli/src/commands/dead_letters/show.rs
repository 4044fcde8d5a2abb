//! `dead-letters show`: everything that is known of one, and its bytes as they are.

use std::io::Write;

use anstream::println;
use wh_eventlog::dead_letters::Dispositions;
use wh_schemas::Micros;
use wh_schemas::dead_letter as header;

use super::chosen;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::stores;

pub(super) async fn show(settings: &Settings, name: &str) -> Result<(), Failure> {
    let log = stores::open_reader(settings).await?;
    let found = chosen::find(&*log, name).await?;
    let told = &found.letter;
    println!("dead letter   {}/{}", found.partition, found.offset);
    println!("written       {}", Micros(found.record.append_time));
    println!("origin        {}", told.origin);
    println!("stage         {}{}", told.stage, told.store.as_ref().map(|s| format!(" into {s}")).unwrap_or_default());
    if let Some(position) = &told.position {
        println!("position      {position}");
    }
    println!("error class   {}", told.error_class);
    println!("error         {}", told.error_message);
    println!("fingerprint   {}", told.fingerprint);
    println!("attempts      {}", told.attempts);
    let done = Dispositions::read(&*log).await?.of(told);
    println!("state         {}", done.map_or("waits", |done| done.as_str()));
    for (name, value) in &found.record.headers {
        println!("header        {name}: {}", String::from_utf8_lossy(value));
    }
    println!("key           {}", found.record.key.as_deref().map_or_else(|| "none".into(), String::from_utf8_lossy));
    if let Some(bytes) = found.record.header(header::VALUE_LEFT_OUT) {
        println!("original bytes: {bytes}, left out, since the log takes no letter so large; they stand at the origin for as long as the log keeps it");
        return Ok(());
    }
    println!("original bytes ({}):", found.record.value.len());
    let mut out = std::io::stdout().lock();
    out.write_all(&found.record.value)?;
    out.write_all(b"\n")?;
    Ok(())
}
