//! From the client's messages to records.
//!
//! What must stay true: whatever a foreign producer wrote can be taken: no value, no headers, bytes of any kind.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Header, Headers as _, OwnedHeaders};

use crate::{Headers, Record, Stored};

/// Name of a header whose own is not UTF-8.
const UNREADABLE: &str = "\u{fffd}";

/// The record that a message holds. A missing value is an empty one.
pub(super) fn stored(message: &BorrowedMessage<'_>) -> Stored {
    Stored {
        offset: u64::try_from(message.offset()).unwrap_or(0),
        append_time: message.timestamp().to_millis().unwrap_or(0).saturating_mul(1_000),
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map_or_else(Bytes::new, Bytes::copy_from_slice),
        headers: headers(message),
    }
}

fn headers(message: &BorrowedMessage<'_>) -> Headers {
    let Some(headers) = message.headers() else { return Headers::new() };
    let read = |index| {
        // The client panics on a name that is not UTF-8. A stranger's header must not end a stage.
        let header = catch_unwind(AssertUnwindSafe(|| headers.try_get(index).map(|header| (header.key.to_owned(), header.value.map_or_else(Bytes::new, Bytes::copy_from_slice)))));
        header.unwrap_or_else(|_| Some((UNREADABLE.to_owned(), Bytes::new())))
    };
    (0..headers.count()).filter_map(read).collect()
}

/// Headers as the client writes them.
pub(super) fn written(headers: &[(String, Bytes)]) -> Option<OwnedHeaders> {
    if headers.is_empty() {
        return None;
    }
    let with = |written: OwnedHeaders, (name, value): &(String, Bytes)| written.insert(Header { key: name, value: Some(&value[..]) });
    Some(headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), with))
}

/// About how many bytes a record takes in the log.
pub(super) fn size(record: &Record) -> usize {
    /// Framing of a batch that holds nothing else.
    const FRAME: usize = 128;
    let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
    record.key.as_ref().map_or(0, Bytes::len) + record.value.len() + headers + FRAME
}

/// About how many bytes a record takes in memory.
pub(super) fn weight(record: &Stored) -> usize {
    record.value.len() + record.key.as_ref().map_or(0, Bytes::len) + 64
}
