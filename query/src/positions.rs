//! How far a store says that it has come.
//!
//! What must stay true: a position is what the store itself published once its rows could be read there, never what a
//! writer has in mind.

/// One position of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// `scorer`, `patterns` or `system-events`.
    pub(crate) stream: String,
    pub(crate) partition: i64,
    /// Every seq below it can be read.
    pub(crate) next_seq: i64,
    /// Offset of the topic from which its sink reads on.
    pub(crate) next_offset: i64,
    pub(crate) stored: i64,
    pub(crate) duplicates: i64,
    pub(crate) dead_letters: i64,
    pub(crate) discarded: i64,
    /// Microseconds UTC.
    pub(crate) updated_at: i64,
    /// Rows below it may have been removed by retention.
    pub(crate) floor_seq: i64,
}
