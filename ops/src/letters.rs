//! What operators do with dead letters: see them, send them again, discard them.
//!
//! What must stay true: memory is bounded by what is shown, whatever the topic holds; a letter that was sent again, or discarded, is so by a
//! record behind it and by an event that says who did it; sending one again twice changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use wh_eventlog::dead_letters::{self, DeadLetter, Disposition, Dispositions, Filter, Found, Letters};
use wh_eventlog::{Offset, Producer, Reader, Record, Stored};
use wh_schemas::Reaction;
use wh_schemas::alert::PATTERN_ROWS;
use wh_schemas::dead_letter as header;
use wh_schemas::layout::METRICS_BLOCK;
use wh_schemas::position::Seq;
use wh_schemas::topics::{RISK_ALERTS, SYSTEM_EVENTS};
use wh_sinks::delivery::identity::Binding;
use wh_sinks::delivery::{Batch, Store};
use wh_sinks::reconcile::{Checksum, Span, StoredRows};

const READ_BYTES: usize = 4 * 1024 * 1024;

/// A letter without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Partition of `dead-letters`.
    pub partition: u32,
    /// Offset in it.
    pub offset: Offset,
    /// When it was written: microseconds since 1970 UTC.
    pub written: i64,
    /// What is known of it.
    pub letter: DeadLetter,
    /// What was done with it; `None` where it waits.
    pub disposition: Option<Disposition>,
}

/// Letters to be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// The newest, the oldest of them first.
    pub lines: Vec<Line>,
    /// How many there are of the kind.
    pub all: u64,
}

/// The newest letters that a filter takes. Those that something was done with are among them only where `settled` is set.
///
/// # Errors
/// Where the log cannot be read.
pub async fn list(log: &dyn Reader, filter: &Filter, settled: bool, limit: usize) -> Result<Listed, Reaction> {
    let dispositions = Dispositions::read(log).await?;
    let (mut letters, mut newest, mut all) = (Letters::new(log).await?, BTreeMap::new(), 0);
    while let Some(found) = letters.next().await? {
        let disposition = dispositions.of(&found.letter);
        if !filter.takes(&found) || (disposition.is_some() && !settled) {
            continue;
        }
        all += 1;
        let Found { partition, offset, letter, record } = found;
        newest.insert((record.append_time, partition, offset), Line { partition, offset, written: record.append_time, letter, disposition });
        if newest.len() > limit {
            newest.pop_first();
        }
    }
    Ok(Listed { lines: newest.into_values().collect(), all })
}

/// Where the newest waiting letters stand that a filter takes, the oldest of them first: those that [`list`] shows under the same limit.
///
/// # Errors
/// Where the log cannot be read.
pub async fn newest(log: &dyn Reader, filter: &Filter, limit: usize) -> Result<Vec<(u32, Offset)>, Reaction> {
    let (mut letters, mut newest) = (Waiting::new(log, filter.clone()).await?, BTreeSet::new());
    while let Some(found) = letters.next().await? {
        newest.insert((found.record.append_time, found.partition, found.offset));
        if newest.len() > limit {
            newest.pop_first();
        }
    }
    Ok(newest.into_iter().map(|(_, partition, offset)| (partition, offset)).collect())
}

/// The classes of the letters that the log holds, each once, the first so many; those of which something was done too.
///
/// # Errors
/// Where the log cannot be read.
pub async fn classes(log: &dyn Reader, most: usize) -> Result<BTreeSet<String>, Reaction> {
    let (mut letters, mut classes) = (Letters::new(log).await?, BTreeSet::new());
    while let Some(found) = letters.next().await? {
        if classes.len() < most || classes.contains(&found.letter.error_class) {
            classes.insert(found.letter.error_class);
        }
    }
    Ok(classes)
}

/// How many letters wait that a filter takes.
///
/// # Errors
/// Where the log cannot be read.
pub async fn waiting(log: &dyn Reader, filter: &Filter) -> Result<u64, Reaction> {
    list(log, filter, false, 0).await.map(|listed| listed.all)
}

/// The waiting letters that a filter takes, one at a time, the oldest of each partition first.
pub struct Waiting<'l> {
    letters: Letters<'l>,
    filter: Filter,
    dispositions: Dispositions,
}

impl<'l> Waiting<'l> {
    /// From the first one on.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub async fn new(log: &'l dyn Reader, filter: Filter) -> Result<Waiting<'l>, Reaction> {
        Ok(Waiting { letters: Letters::new(log).await?, filter, dispositions: Dispositions::read(log).await? })
    }

    /// The next one.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub async fn next(&mut self) -> Result<Option<Found>, Reaction> {
        while let Some(found) = self.letters.next().await? {
            if self.filter.takes(&found) && self.dispositions.of(&found.letter).is_none() {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// Writes behind a letter what was done with it.
///
/// # Errors
/// What the log says.
pub async fn mark(log: &dyn Producer, found: &Found, disposition: Disposition, principal: &str, remark: &str) -> Result<(), Reaction> {
    let said: Record = dead_letters::disposition_record(found, disposition, principal, remark);
    dead_letters::dispose(log, found.partition, vec![said]).await.map(drop)
}

/// Writes the record of a sink's letter into its store again, past the fence: the store's keys alone decide. Returns how many rows that
/// changed, 0 where the store holds it already or still cannot take it. `binding` is what is known of the store and this log: it is looked at
/// with the first letter, which is enough for those that follow at once.
///
/// # Errors
/// Rejected where it cannot be sent again; fatal where the store was filled from another log; what the store says.
pub async fn rewrite(log: &dyn Reader, store: &mut dyn Store, binding: &mut Binding, found: &Found) -> Result<u64, Reaction> {
    let origin = &found.letter.origin;
    if origin.topic == SYSTEM_EVENTS || !store.topics().iter().any(|topic| *topic == origin.topic) {
        return Err(Reaction::Rejected(format!("the {} store takes no record of {} again: discard the letter", store.role(), origin.topic)));
    }
    if !binding.is_kept() {
        binding.check(log, store).await?;
    }
    let reached = store.positions(&origin.topic).await?.into_iter().find(|position| position.partition == origin.partition).map_or(0, |position| position.visible_seq);
    let seq = seq_of(&found.letter);
    if seq.is_some_and(|seq| seq >= reached) {
        return Err(Reaction::Rejected(format!("the {} store has come to seq {reached} only: its sink will write the record when it comes there", store.role())));
    }
    // The store's sums have counted no row that it refused; those of the metrics are worked out anew from whole blocks.
    let mut buried = BTreeSet::from([origin.offset]);
    let records = match (store.role(), seq) {
        ("metrics", Some(seq)) => {
            buried.clear();
            block(log, found, seq, reached).await?
        }
        ("metrics", None) => return Err(Reaction::Rejected("a record without a position is in no block of the metrics: discard the letter".to_owned())),
        _ => vec![original(log, found).await?],
    };
    let batch = Batch { topic: origin.topic.as_str().into(), partition: origin.partition, records: Arc::new(records), buried };
    let written = store.replay(batch).await?;
    store.publish().await?;
    Ok(written)
}

/// Whether a store holds what the record of a sink's letter becomes, as it should be: a stage that stopped behind its letter, and read the
/// record again once the store took it, has stored it.
///
/// # Errors
/// Where the log or the store cannot be read.
pub async fn holds(log: &dyn Reader, rows: &mut dyn StoredRows, found: &Found) -> Result<bool, Reaction> {
    let origin = &found.letter.origin;
    let topic = rows.topics().iter().copied().find(|topic| *topic == origin.topic);
    let (Some(topic), Some(from), 1) = (topic, seq_of(&found.letter), rows.grain()) else { return Ok(false) };
    let record = original(log, found).await?;
    let mut expected = rows.expected(topic);
    expected.take(&record, false);
    let wanted = expected.rows();
    rows.refresh().await?;
    let under = if topic == RISK_ALERTS { PATTERN_ROWS + origin.partition } else { origin.partition };
    let span = Span { partition: origin.partition, rows: under, from, to: from + 1 };
    let stored = rows.stored(topic, &span, &wanted).await?;
    Ok(!wanted.is_empty() && Checksum::of(&wanted) == Checksum::of(&stored))
}

/// The `seq` in a letter's position.
fn seq_of(letter: &DeadLetter) -> Option<Seq> {
    letter.position.as_ref()?.split_once(':')?.1.parse().ok()
}

/// The record of a letter: as the log has it, else as the letter does.
async fn original(log: &dyn Reader, found: &Found) -> Result<Stored, Reaction> {
    let origin = &found.letter.origin;
    let bounds = log.bounds(&origin.topic, origin.partition).await?;
    if (bounds.start..bounds.end).contains(&origin.offset) {
        let records = log.read(&origin.topic, origin.partition, origin.offset, 1).await?;
        if let Some(record) = records.into_iter().find(|record| record.offset == origin.offset) {
            return Ok(record);
        }
    }
    if !found.has_value() {
        return Err(Reaction::Rejected(format!("the record {origin} is no longer in the log, and the letter was written without its bytes")));
    }
    let append_time = found.record.header(header::ORIGIN_TIME).and_then(|time| time.parse().ok()).unwrap_or(found.record.append_time);
    Ok(Stored { offset: origin.offset, append_time, key: found.record.key.clone(), value: found.record.value.clone(), headers: Vec::new() })
}

/// What is read of a scored record to know its place.
#[derive(serde::Deserialize)]
struct Numbered {
    seq: Seq,
}

/// The records of the block of the metrics that a `seq` is in, as far as the store has come.
async fn block(log: &dyn Reader, found: &Found, seq: Seq, reached: Seq) -> Result<Vec<Stored>, Reaction> {
    let origin = &found.letter.origin;
    let first = seq / METRICS_BLOCK * METRICS_BLOCK;
    let behind = first.saturating_add(METRICS_BLOCK).min(reached);
    let bounds = log.bounds(&origin.topic, origin.partition).await?;
    // An offset is never below its record's seq.
    let (mut offset, mut next, mut records) = (first.clamp(bounds.start, bounds.end), first, Vec::new());
    while next < behind && offset < bounds.end {
        let some = log.read(&origin.topic, origin.partition, offset, READ_BYTES).await?;
        let Some(last) = some.last() else { break };
        offset = last.offset + 1;
        for record in some {
            let Ok(Numbered { seq }) = serde_json::from_slice::<Numbered>(&record.value) else { continue };
            if seq > first && records.is_empty() && bounds.start > 0 && record.offset == bounds.start {
                return Err(Reaction::Rejected(format!("the log no longer holds the whole block of seq {seq}: the metrics cannot be summed again")));
            }
            if seq >= next && seq < behind {
                next = seq + 1;
                records.push(record);
            }
        }
    }
    Ok(records)
}
