//! What an operator did with a letter, written behind it: the same stage, store and origin, and no bytes.
//!
//! What must stay true: a disposition stands in its letter's partition, behind it, so that it outlives the letter; nothing is removed by it.

use bytes::Bytes;
use wh_schemas::Reaction;
use wh_schemas::dead_letter as header;
use wh_schemas::topics::DEAD_LETTERS;

use super::{Found, KEY_BYTES};
use crate::{Offset, Producer, Record, Stored};

/// What became of a letter by an operator's hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// It was sent again.
    Retried,
    /// Nobody will send it again.
    Discarded,
}

impl Disposition {
    /// Its name in headers, SQL and `wardhouse status`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Disposition::Retried => header::RETRIED,
            Disposition::Discarded => header::DISCARDED,
        }
    }

    /// The disposition that a record of the topic is; `None` for a letter. One of a later version that this one does not know counts as
    /// sent again: it is no letter in any case.
    #[must_use]
    pub fn of(record: &Stored) -> Option<Disposition> {
        record.header(header::DISPOSITION).map(|said| if said == header::DISCARDED { Disposition::Discarded } else { Disposition::Retried })
    }
}

/// The record that says so of a letter. `remark`: why, or where it went.
#[must_use]
pub fn disposition_record(found: &Found, disposition: Disposition, principal: &str, remark: &str) -> Record {
    // As they stand there: a header that could not be read is repeated as it is missing.
    let same = [header::STAGE, header::STORE, header::ORIGIN, header::ERROR_CLASS, header::FINGERPRINT];
    let mut headers: Vec<(String, Bytes)> = same.iter().filter_map(|name| Some(((*name).to_owned(), Bytes::from(found.record.header(name)?.to_owned())))).collect();
    for (name, value) in [(header::DISPOSITION, disposition.as_str()), (header::PRINCIPAL, principal), (header::REMARK, remark)] {
        headers.push((name.to_owned(), Bytes::from(value.to_owned())));
    }
    Record { key: found.record.key.clone().filter(|key| key.len() <= KEY_BYTES), value: Bytes::new(), headers }
}

/// Writes dispositions of letters of one partition; returns once the log holds them.
///
/// # Errors
/// What the log says.
pub async fn dispose(producer: &dyn Producer, partition: u32, dispositions: Vec<Record>) -> Result<Offset, Reaction> {
    producer.produce(DEAD_LETTERS, partition, dispositions).await
}
