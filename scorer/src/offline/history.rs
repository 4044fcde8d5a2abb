//! The log's accepted transactions as a source: partition by partition in the order in which the log took them, as far as they reach back.
//!
//! What must stay true: the same log up to the same ends gives the same records in the same order; nothing is written, no position kept.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use wh_eventlog::{Offset, Reader, Stored};
use wh_schemas::position::{ORIGIN_HEADER, Origin};
use wh_schemas::topics::ACCEPTED_TRANSACTIONS;
use wh_schemas::{Micros, Reaction};

use super::source::{Input, Logged, Source};

/// Bytes that one read asks for.
const READ_BYTES: usize = 1 << 20;
/// How often a log that had nothing new is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// How far a partition of the log reaches back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// The partition.
    pub partition: u32,
    /// Its first offset: 0 where nothing was removed.
    pub start: Offset,
    /// The offset behind its last record.
    pub end: Offset,
    /// When the log took the first.
    pub since: Option<Micros>,
}

#[derive(Debug)]
struct Head {
    partition: u32,
    next: Offset,
    end: Offset,
    waiting: VecDeque<Stored>,
}

/// Accepted transactions of the log. Reads block: it must be read outside the runtime's own threads.
pub struct History {
    log: Arc<dyn Reader>,
    runtime: Handle,
    heads: Vec<Head>,
    reach: Vec<Reach>,
}

impl History {
    /// All partitions, or one, up to where they end now.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub fn open(log: Arc<dyn Reader>, runtime: Handle, only: Option<u32>) -> Result<History, Reaction> {
        let (mut heads, mut reach) = (Vec::new(), Vec::new());
        let partitions = match only {
            Some(partition) => partition..partition + 1,
            None => 0..runtime.block_on(log.partitions(ACCEPTED_TRANSACTIONS))?,
        };
        for partition in partitions {
            let bounds = runtime.block_on(log.bounds(ACCEPTED_TRANSACTIONS, partition))?;
            let mut head = Head { partition, next: bounds.start, end: bounds.end, waiting: VecDeque::new() };
            fill(&*log, &runtime, &mut head)?;
            reach.push(Reach { partition, start: bounds.start, end: bounds.end, since: head.waiting.front().map(|record| Micros(record.append_time)) });
            heads.push(head);
        }
        Ok(History { log, runtime, heads, reach })
    }

    /// How far it reaches back, by partition.
    #[must_use]
    pub fn reach(&self) -> &[Reach] {
        &self.reach
    }

    /// Whether nothing was removed from its beginning, so that baselines begin as the live ones did.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.reach.iter().all(|reach| reach.start == 0)
    }

    /// How many records there are.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.reach.iter().map(|reach| reach.end - reach.start).sum()
    }

    /// Goes on to where the log ends now.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub fn extend(&mut self) -> Result<(), Reaction> {
        for head in &mut self.heads {
            let bounds = self.runtime.block_on(self.log.bounds(ACCEPTED_TRANSACTIONS, head.partition))?;
            head.end = head.end.max(bounds.end);
        }
        Ok(())
    }

    /// A sentence on how far it reaches back.
    #[must_use]
    pub fn told(&self) -> String {
        if self.is_whole() {
            return format!("{} records of {ACCEPTED_TRANSACTIONS}, from its beginning on", self.records());
        }
        let since = self.reach.iter().filter_map(|reach| reach.since).max();
        let starts: Vec<String> = self.reach.iter().filter(|reach| reach.start > 0).map(|reach| format!("{} from offset {}", reach.partition, reach.start)).collect();
        format!(
            "{} records of {ACCEPTED_TRANSACTIONS}, which reaches back to what the log took at {} (partition {}): baselines begin empty there, so that the first weeks score lower than they did",
            self.records(),
            since.map_or_else(|| "an unknown time".to_owned(), |at| at.to_string()),
            starts.join(", ")
        )
    }
}

/// Reads on, where nothing of a partition waits.
fn fill(log: &dyn Reader, runtime: &Handle, head: &mut Head) -> Result<(), Reaction> {
    if head.waiting.is_empty() && head.next < head.end {
        let records = runtime.block_on(log.read(ACCEPTED_TRANSACTIONS, head.partition, head.next, READ_BYTES))?;
        head.next = records.last().map_or(head.end, |last| last.offset + 1);
        let end = head.end;
        head.waiting.extend(records.into_iter().filter(|record| record.offset < end));
    }
    Ok(())
}

/// The log's accepted transactions from their beginning, and whatever comes, until told to stop.
pub struct Live {
    history: History,
    stop: CancellationToken,
}

impl Live {
    /// Goes on behind a history.
    #[must_use]
    pub fn new(history: History, stop: CancellationToken) -> Live {
        Live { history, stop }
    }
}

impl Source for Live {
    fn read(&mut self, most: usize) -> io::Result<Vec<Input>> {
        while !self.stop.is_cancelled() {
            let read = self.history.read(most)?;
            if !read.is_empty() {
                return Ok(read);
            }
            std::thread::sleep(LOOK);
            match self.history.extend() {
                Ok(()) => {}
                // A log that is away for a while is asked again.
                Err(Reaction::Transient { message, .. }) => tracing::warn!("{message}"),
                Err(other) => return Err(io::Error::other(other.to_string())),
            }
        }
        Ok(Vec::new())
    }
}

impl Source for History {
    fn read(&mut self, most: usize) -> io::Result<Vec<Input>> {
        let mut read = Vec::with_capacity(most);
        while read.len() < most {
            for head in &mut self.heads {
                fill(&*self.log, &self.runtime, head).map_err(|reaction| io::Error::other(reaction.to_string()))?;
            }
            // The partition whose next record the log took first; of equal times the lower one.
            let first = self.heads.iter_mut().filter_map(|head| Some((head.waiting.front()?.append_time, head))).min_by_key(|(at, head)| (*at, head.partition));
            let Some((_, head)) = first else { break };
            let Some(record) = head.waiting.pop_front() else { break };
            let origin = record.header(ORIGIN_HEADER).and_then(Origin::parse).map(|origin| (origin.partition, origin.offset));
            read.push(Input { number: record.offset, text: record.value, logged: Some(Logged { partition: head.partition, origin }) });
        }
        Ok(read)
    }
}
