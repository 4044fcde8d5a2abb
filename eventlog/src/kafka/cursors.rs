//! Clients that read one partition each for whoever asks, kept for the next question.
//!
//! What must stay true: a client that reached the end asks the brokers for nothing more until it is used again; no more than a few
//! are kept, and not for long; a read returns what there is and waits for nothing that is not.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::{Message, Offset, TopicPartitionList};

use super::events::ClientEvents;
use super::{errors, records};
use crate::Stored;

/// Clients that are kept.
const KEPT: usize = 6;
/// How long one is kept.
const KEPT_FOR: Duration = Duration::from_secs(30);
/// How long a read that has something waits for more that has been announced.
const MORE: Duration = Duration::from_millis(20);
/// A read of at most so much looks at a place; a larger one is likely followed by another from where it ended.
const A_LOOK: usize = 4 * 1024;

/// What is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The topic's name in the cluster.
    pub(super) topic: String,
    /// The partition.
    pub(super) partition: i32,
    /// First offset.
    pub(super) from: i64,
    /// The offset behind the last one that is there.
    pub(super) end: i64,
    /// About how many bytes at most.
    pub(super) max_bytes: usize,
}

/// Where a client would go on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct At {
    topic: String,
    partition: i32,
    offset: i64,
}

/// A client that reads one partition at a time.
pub(super) struct Cursor {
    client: BaseConsumer<ClientEvents>,
    at: Option<At>,
    used: Instant,
}

/// The clients that are kept.
#[derive(Default)]
pub(super) struct Cursors {
    idle: Mutex<Vec<Cursor>>,
}

impl Cursors {
    /// A client for a read, the one that stands there if there is one.
    pub(super) fn take(&self, wanted: &Wanted) -> Option<Cursor> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let stands = |cursor: &Cursor| cursor.at.as_ref().is_some_and(|at| at.topic == wanted.topic && at.partition == wanted.partition && at.offset == wanted.from);
        // Else one that stands nowhere: others may be in the middle of something. To make one takes longer than to move one, so beyond a few the
        // one that has been left alone for longest is moved.
        let oldest = || if idle.len() < KEPT { None } else { idle.iter().enumerate().min_by_key(|(_, cursor)| cursor.used).map(|(at, _)| at) };
        let found = idle.iter().position(stands).or_else(|| idle.iter().position(|cursor| cursor.at.is_none())).or_else(oldest)?;
        Some(idle.swap_remove(found))
    }

    /// Keeps a client for the next read.
    pub(super) fn keep(&self, cursor: Cursor) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(cursor);
        let oldest = if idle.len() > KEPT { idle.iter().enumerate().min_by_key(|(_, cursor)| cursor.used).map(|(at, _)| at) } else { None };
        let closed = oldest.map(|at| idle.swap_remove(at));
        drop(idle);
        // Closing waits for threads.
        drop(closed);
    }

    /// Closes the clients that nobody has used for a while, and those that know no broker any more.
    pub(super) fn prune(&self, now: Instant) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let old = |cursor: &mut Cursor| now.saturating_duration_since(cursor.used) >= KEPT_FOR || cursor.client.context().is_lost();
        let closed: Vec<Cursor> = idle.extract_if(.., old).collect();
        drop(idle);
        drop(closed);
    }
}

impl Cursor {
    /// A cursor that stands nowhere.
    pub(super) fn new(client: BaseConsumer<ClientEvents>) -> Cursor {
        Cursor { client, at: None, used: Instant::now() }
    }

    /// Reads on this thread, waiting at most `timeout`. At least one record where there is one.
    ///
    /// # Errors
    /// What the client says; the cursor is of no use then.
    pub(super) fn read(&mut self, wanted: &Wanted, timeout: Duration) -> Result<Vec<Stored>, KafkaError> {
        self.stand(wanted)?;
        let deadline = Instant::now() + timeout;
        let (mut found, mut next, mut bytes) = (Vec::new(), wanted.from, 0);
        let mut ended = false;
        while !ended && next < wanted.end && bytes < wanted.max_bytes {
            let patience = deadline.saturating_duration_since(Instant::now());
            let patience = if found.is_empty() { patience } else { patience.min(MORE) };
            match self.client.poll(patience) {
                Some(Ok(message)) if message.partition() == wanted.partition && message.topic() == wanted.topic && message.offset() >= next => {
                    let record = records::stored(&message);
                    bytes += records::weight(&record);
                    next = message.offset() + 1;
                    found.push(record);
                }
                Some(Ok(_)) => {}
                // Offsets behind the last record may hold none: what was compacted away, or a transaction's end.
                Some(Err(KafkaError::PartitionEOF(_))) => ended = true,
                Some(Err(error)) if lasting(&error) && !self.client.context().broke_off(&error) => return Err(error),
                Some(Err(error)) if Instant::now() >= deadline => return Err(error),
                Some(Err(_)) => {}
                None if !found.is_empty() => break,
                None if Instant::now() >= deadline => return Err(KafkaError::MessageConsumption(Code::OperationTimedOut)),
                None => {}
            }
        }
        self.used = Instant::now();
        if ended || next >= wanted.end || wanted.max_bytes <= A_LOOK {
            // Nothing is asked of the brokers while nobody reads.
            self.client.unassign()?;
        } else {
            self.at = Some(At { topic: wanted.topic.clone(), partition: wanted.partition, offset: next });
        }
        Ok(found)
    }

    fn stand(&mut self, wanted: &Wanted) -> Result<(), KafkaError> {
        let stands = self.at.take().is_some_and(|at| at.topic == wanted.topic && at.partition == wanted.partition && at.offset == wanted.from);
        if stands {
            return Ok(());
        }
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(&wanted.topic, wanted.partition, Offset::Offset(wanted.from))?;
        self.client.assign(&list)
    }
}

/// Whether an error ends a read: one of the group, whose name this client only lends, does not.
fn lasting(error: &KafkaError) -> bool {
    match errors::code_of(error) {
        None | Some(Code::GroupAuthorizationFailed) => false,
        Some(code) => errors::of_code("", code).class() == "fatal",
    }
}
