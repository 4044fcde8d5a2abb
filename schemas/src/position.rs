//! Where a row came from: the source record's origin and the emitting stage's position.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Header of an accepted record with the [`Origin`] of its source record.
pub const ORIGIN_HEADER: &str = "wh-origin";
/// Header of accepted and scored records with the append time of the source record, microseconds since 1970 UTC.
pub const ORIGIN_TIME_HEADER: &str = "wh-origin-time";

/// Name in a store's positions under which it keeps which log they are of: partition 0, and for an offset the log's
/// [mark](crate::ids::log_mark). A row of its own, since a layout that is there has no other place for it, and a rolling upgrade must not
/// need another layout.
pub const LOG_STREAM: &str = "log";
/// Name in a store's positions under which it keeps what the last record was that it has taken of each partition: see
/// [`witness_place`]. For an offset the record's, for a `seq` its fingerprint.
pub const WITNESS_STREAM: &str = "witness";

/// The partition of [`WITNESS_STREAM`] for a partition of the topic that a store takes as its `index`th.
#[must_use]
pub fn witness_place(index: usize, partition: u32) -> u32 {
    (u32::try_from(index).unwrap_or(0) << 20) | (partition & 0xf_ffff)
}

/// What [`witness_place`] was made from.
#[must_use]
pub fn witnessed(place: u32) -> (usize, u32) {
    ((place >> 20) as usize, place & 0xf_ffff)
}

/// Place of a record in a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Origin {
    /// The topic's name.
    pub topic: String,
    /// Partition of that topic.
    pub partition: u32,
    /// Offset in that partition.
    pub offset: u64,
}

impl Origin {
    /// Reads what [`fmt::Display`] writes: `topic/partition/offset`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Origin> {
        let mut parts = text.rsplitn(3, '/');
        let offset = parts.next()?.parse().ok()?;
        let partition = parts.next()?.parse().ok()?;
        let topic = parts.next().filter(|t| !t.is_empty())?.to_owned();
        Some(Origin { topic, partition, offset })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

/// Partition and offset of the `hospital-transactions` record behind a scored one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// Partition of the source topic.
    pub partition: u32,
    /// Offset in it.
    pub offset: u64,
}

/// Number of an emitted record within its partition: dense, from 0.
pub type Seq = u64;

/// Bits of a packed position that hold the `seq`.
pub const SEQ_BITS: u32 = 40;

/// Position of a record that a stage emitted: partition and `seq`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct SeqPosition {
    /// Partition of the emitting stage.
    pub partition: u32,
    /// Number of the record in it.
    pub seq: Seq,
}

impl SeqPosition {
    /// One integer that orders by partition, then `seq`: the embedded stores' row key.
    /// Valid for partitions below 2^23 and seqs below 2^40 (a trillion records a partition).
    #[must_use]
    pub fn packed(self) -> i64 {
        (i64::from(self.partition) << SEQ_BITS) | i64::try_from(self.seq & ((1 << SEQ_BITS) - 1)).unwrap_or(0)
    }

    /// The position that [`SeqPosition::packed`] made.
    #[must_use]
    pub fn unpacked(packed: i64) -> SeqPosition {
        SeqPosition { partition: u32::try_from(packed >> SEQ_BITS).unwrap_or(0), seq: u64::try_from(packed & ((1 << SEQ_BITS) - 1)).unwrap_or(0) }
    }
}

impl fmt::Display for SeqPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.partition, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_and_positions_read_back() {
        let origin = Origin { topic: "hospital-transactions".into(), partition: 2, offset: 77 };
        assert_eq!(Origin::parse(&origin.to_string()), Some(origin));
        assert_eq!(Origin::parse("a/b/c"), None);
        let position = SeqPosition { partition: 5, seq: 1_234_567_890_123 & ((1 << SEQ_BITS) - 1) };
        assert_eq!(SeqPosition::unpacked(position.packed()), position);
    }
}
