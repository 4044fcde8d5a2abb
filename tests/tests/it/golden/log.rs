//! The embedded log: the bytes of a block, and a whole file with topics, groups and what they committed.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use wh_eventlog::embedded::{EmbeddedLog, Settings, block, file_of};
use wh_eventlog::{Bytes, Commit, Event, Log, Producer, Reader, Record};
use wh_ingest::intake::{self, Counts};
use wh_schemas::topics::{self, HOSPITAL_TRANSACTIONS, RISK_SCORES};

use super::wire::AT;
use super::{Format, sqlite_text, wait};

pub(super) const PLAIN: Format = Format::new("block-plain.bin", 1, || block::encode(&few()).unwrap(), read_block);
/// What zstd makes of the same records may change with its version, and is read by each: of such a block the records and the header last.
pub(super) const COMPRESSED: Format = Format { lasting: lasting_of_block, ..Format::new("block-compressed.bin", 1, || block::encode(&alike()).unwrap(), read_block) };
pub(super) const FILE: Format = Format::new("log.sql", 1, write_file, read_file);

/// What the clock and chance had a part in.
const MASKS: &str = "UPDATE identity SET id = '0123456789abcdef0123456789abcdef'; UPDATE batches SET append_time = 1772350200000000 + base_offset; \
     UPDATE group_offsets SET updated_at = 1772350200000000 WHERE updated_at <> 0;";

/// A log of one partition a topic, of which one topic holds these records.
pub(super) async fn holding(topic: &str, records: &[Record]) -> (TempDir, Arc<EmbeddedLog>) {
    let folder = tempfile::tempdir().unwrap();
    let log = opened(folder.path()).await;
    log.produce(topic, 0, records.to_vec()).await.unwrap();
    (folder, log)
}

async fn opened(folder: &Path) -> Arc<EmbeddedLog> {
    let log = EmbeddedLog::open(folder, Settings::default()).unwrap();
    log.ensure_topics(&topics::ALL, 1).await.unwrap();
    log
}

/// So few that they are not compressed.
fn few() -> Vec<Record> {
    vec![
        Record::new("key", "value").with_header("wh-origin", "hospital-transactions/0/7").with_header("", Bytes::from_static(b"\x00\xff")),
        Record { key: None, value: Bytes::new(), headers: Vec::new() },
        Record::new(Bytes::new(), Bytes::from(vec![0_u8; 130])),
    ]
}

/// So much alike that they are compressed.
fn alike() -> Vec<Record> {
    (0..12).map(|number| Record::new(format!("key {number}"), "the same value again, ".repeat(4)).with_header("n", number.to_string())).collect()
}

fn read_block(bytes: &[u8]) -> String {
    let codec = bytes.get(1).copied().unwrap_or_default();
    let mut text = format!("codec {codec}\n");
    for stored in block::decode(bytes, 1_000, AT).unwrap() {
        writeln!(text, "{stored:?}").unwrap();
    }
    text
}

/// Version, codec, count and raw length; then what is read.
fn lasting_of_block(bytes: &[u8]) -> Vec<u8> {
    [&bytes[..10], read_block(bytes).as_bytes()].concat()
}

fn write_file() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    wait(async {
        let log = opened(folder.path()).await;
        for records in [few(), few()[..1].to_vec()] {
            log.produce(HOSPITAL_TRANSACTIONS, 0, records).await.unwrap();
        }
        log.produce(RISK_SCORES, 0, few()[..2].to_vec()).await.unwrap();
        // With a note as intake writes it; another group is registered and has committed nothing.
        let note = serde_json::to_string(&Counts { accepted: 2, dead_letters: 1, gaps: 0, last: None }).unwrap();
        let mut consumer = log.subscribe(intake::GROUP, &[HOSPITAL_TRANSACTIONS]).await.unwrap();
        consumer.poll(Duration::ZERO).await.unwrap();
        consumer.commit(vec![Commit { topic: HOSPITAL_TRANSACTIONS.into(), partition: 0, next_offset: 3, metadata: note }]).await.unwrap();
        drop(log.subscribe("ledger", &[RISK_SCORES]).await.unwrap());
    });
    sqlite_text::dump(&file_of(folder.path()), MASKS)
}

fn read_file(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    sqlite_text::load(bytes, &file_of(folder.path()));
    wait(async {
        let log = opened(folder.path()).await;
        let mut text = format!("{}\n", log.identity().await.unwrap());
        for topic in topics::ALL {
            let bounds = log.bounds(topic.name, 0).await.unwrap();
            writeln!(text, "{} with {} partitions: {bounds:?}", topic.name, log.partitions(topic.name).await.unwrap()).unwrap();
            for stored in log.read(topic.name, 0, bounds.start, usize::MAX).await.unwrap() {
                writeln!(text, "  {stored:?}").unwrap();
            }
        }
        for (group, topic) in [(intake::GROUP, HOSPITAL_TRANSACTIONS), ("ledger", RISK_SCORES)] {
            for (partition, offset, note) in log.committed(group, topic).await.unwrap() {
                writeln!(text, "{group} has committed {offset} of {topic}/{partition}: {:?}", Counts::parse(&note)).unwrap();
            }
            let mut consumer = log.subscribe(group, &[topic]).await.unwrap();
            let assigned = consumer.poll(Duration::ZERO).await.unwrap();
            writeln!(text, "{group} goes on: {assigned:?}").unwrap();
            if let Event::Records(records) = consumer.poll(Duration::from_secs(10)).await.unwrap() {
                writeln!(text, "{group} reads {} records from {:?} on", records.records.len(), records.records.first().map(|record| record.offset)).unwrap();
            }
        }
        writeln!(text, "the next record gets offset {}", log.produce(RISK_SCORES, 0, few()).await.unwrap()).unwrap();
        text
    })
}
