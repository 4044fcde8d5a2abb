//! What a store holds, row by row from its stored fields, and what the records of the log say that it should hold, in the same form.
//!
//! `ops` compares the two range by range; each store's folder brings `reconcile.rs`, which reads, and `repair.rs`, which writes past the
//! fence. Both sides of a comparison are made by what the sink itself writes with, so that neither a store's own way of keeping a value
//! nor a change of a sink looks like a difference.
//!
//! What must stay true: nothing is taken from a stored hash; two rows are equal exactly when every stored field is; what legitimately
//! changes later (an alert's status) is in no row; reading writes nothing.

mod ledger;
mod number;
mod points;
pub mod row;

use async_trait::async_trait;
use wh_eventlog::Stored;
use wh_schemas::Reaction;
use wh_schemas::position::{Seq, SeqPosition};

use crate::delivery::{Batch, Store};

pub(crate) use ledger::{ALERTS, TRANSACTIONS, as_text, rows as ledger_rows};
pub(crate) use number::{meaning, normal};
pub(crate) use points::{PointKey, Points};
pub use row::{Checksum, Difference, Field, Row};

/// How far a store can be read in one partition of a stream, by its own word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// Partition of the stream.
    pub partition: u32,
    /// Rows of every `seq` below it can be read.
    pub visible: Seq,
    /// Rows below it may have been removed by retention.
    pub floor: Seq,
}

/// Rows of one partition of a stream, by their `seq`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Partition of the stream.
    pub partition: u32,
    /// Partition under which the store keeps the rows.
    pub rows: u32,
    /// First `seq`.
    pub from: Seq,
    /// The `seq` behind the last.
    pub to: Seq,
}

/// Where a row stands that has no position of ours: no span looks there.
pub const NOWHERE: SeqPosition = SeqPosition { partition: u32::MAX, seq: 0 };

/// The position of a key.
pub(crate) fn position_of(pos: i64) -> SeqPosition {
    if pos < 0 { NOWHERE } else { SeqPosition::unpacked(pos) }
}

/// Where rows are looked at span by span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Partition under which the store keeps the rows.
    pub rows: u32,
    /// Every row below this `seq` has its place.
    pub below: Seq,
}

/// What records say that a store holds. Taken in the order of `seq`.
pub trait Expected: Send {
    /// Takes a record. One that the dead letters hold may be in the store or not.
    fn take(&mut self, record: &Stored, buried: bool);

    /// About how many bytes it holds.
    fn bytes(&self) -> usize;

    /// The rows of the records since this was last called.
    fn rows(&mut self) -> Vec<Row>;
}

/// A store whose rows can be read back by their position.
#[async_trait]
pub trait StoredRows: Send {
    /// The role.
    fn role(&self) -> &'static str;

    /// The topics whose rows are read back.
    fn topics(&self) -> &'static [&'static str];

    /// How many seqs become rows together: 1, or the size of a block whose rows are sums. A span begins at a multiple of it.
    fn grain(&self) -> u64;

    /// Before a partition is read: makes everything that was written one that can be found.
    ///
    /// # Errors
    /// Where the store cannot be read.
    async fn refresh(&mut self) -> Result<(), Reaction>;

    /// How far the store has come with a topic.
    ///
    /// # Errors
    /// Where the store cannot be read.
    async fn reached(&mut self, topic: &str) -> Result<Vec<Reached>, Reaction>;

    /// Rows whose time lies before it (microseconds UTC) may have been removed by the store itself, or never taken; `None` where it keeps all.
    ///
    /// # Errors
    /// Where the store cannot be read.
    async fn kept_since(&mut self, now: i64) -> Result<Option<i64>, Reaction>;

    /// What records of a topic will say.
    fn expected(&self, topic: &'static str) -> Box<dyn Expected>;

    /// The rows of a span; a store that is not ordered by `seq` is asked by what the expected ones say.
    ///
    /// # Errors
    /// Where the store cannot be read.
    async fn stored(&mut self, topic: &'static str, span: &Span, expected: &[Row]) -> Result<Vec<Row>, Reaction>;

    /// Where rows with these ids stand: of a transaction that was sent again beyond the scorer's horizon the first one alone is kept, and of a pattern
    /// that was completed twice.
    ///
    /// # Errors
    /// Where the store cannot be read.
    async fn elsewhere(&mut self, ids: &[&str]) -> Result<Vec<(String, SeqPosition)>, Reaction>;

    /// At most `limit` rows that stand where no span looks.
    ///
    /// # Errors
    /// Where the store cannot be read.
    async fn strays(&mut self, known: &[Known], limit: usize) -> Result<Vec<Row>, Reaction>;
}

/// A store that can be put right.
#[async_trait]
pub trait Repair: Store {
    /// Removes these stored rows, then writes the records of a batch again past the fence; no position moves, and an alert keeps its status. Where the store
    /// has transactions, both are one. For sums the batch is whole blocks.
    ///
    /// # Errors
    /// As [`crate::delivery::Store::replay`].
    async fn repair(&mut self, remove: &[Row], batch: Batch) -> Result<(), Reaction>;
}

/// Makes the rows of a record of a topic.
type MakeRows = Box<dyn Fn(&str, &Stored, &mut Vec<Row>) + Send>;

/// The rows that single records become, one after another.
pub(crate) struct Plain {
    topic: &'static str,
    make: MakeRows,
    rows: Vec<Row>,
    bytes: usize,
}

impl Plain {
    /// Of records of a topic, by what `make` makes of each; of a record that is none of the store's it makes nothing.
    pub(crate) fn new(topic: &'static str, make: impl Fn(&str, &Stored, &mut Vec<Row>) + Send + 'static) -> Plain {
        Plain { topic, make: Box::new(make), rows: Vec::new(), bytes: 0 }
    }
}

impl Expected for Plain {
    fn take(&mut self, record: &Stored, buried: bool) {
        let before = self.rows.len();
        (self.make)(self.topic, record, &mut self.rows);
        for row in self.rows.iter_mut().skip(before) {
            row.optional = buried;
            self.bytes += row.bytes();
        }
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn rows(&mut self) -> Vec<Row> {
        self.bytes = 0;
        std::mem::take(&mut self.rows)
    }
}
