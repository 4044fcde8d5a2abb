//! `dead-letters discard`: nobody will send them again. They stay in the log, and are counted.

use anstream::println;
use wh_eventlog::dead_letters::{Disposition, dispose, disposition_record};
use wh_eventlog::{Log, Reader, Record};

use super::DiscardArgs;
use super::chosen::Chosen;
use crate::commands::counted;
use crate::failure::Failure;
use crate::pipeline;
use crate::settings::Settings;
use crate::stores;

/// Letters of a partition that are discarded at once.
const TOGETHER: usize = 500;

pub(super) async fn discard(settings: &Settings, args: &DiscardArgs) -> Result<(), Failure> {
    let log = stores::open_log(settings).await?;
    let reader: &dyn Reader = &*log;
    let mut chosen = Chosen::of(reader, &args.meant, "discard").await?;
    let (mut partition, mut waiting, mut done) = (0, Vec::new(), 0_u64);
    let outcome = async {
        while let Some(found) = chosen.next().await? {
            if waiting.len() >= TOGETHER || found.partition != partition {
                done += write(&*log, partition, std::mem::take(&mut waiting)).await?;
                partition = found.partition;
            }
            waiting.push(disposition_record(&found, Disposition::Discarded, "local", &args.reason));
            println!("{}/{} is discarded: {}  {}", found.partition, found.offset, found.letter.origin, found.letter.error_class);
        }
        done += write(&*log, partition, std::mem::take(&mut waiting)).await?;
        Ok::<(), Failure>(())
    };
    let outcome = outcome.await;
    if done > 0 {
        let data = serde_json::json!({ "letters": done, "reason": args.reason, "meant": args.meant.told() });
        pipeline::audit(&*log, "dead_letters_discarded", "dead-letters", "info", data).await?;
    }
    outcome?;
    anstream::eprintln!("{} discarded", counted(done, "dead letter", "dead letters"));
    Ok(())
}

async fn write(log: &dyn Log, partition: u32, records: Vec<Record>) -> Result<u64, Failure> {
    if records.is_empty() {
        return Ok(0);
    }
    let count = records.len() as u64;
    dispose(log, partition, records).await?;
    Ok(count)
}
