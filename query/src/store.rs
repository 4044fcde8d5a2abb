//! What the engine needs of a store, whichever it is. One implementation a store, in its folder.
//!
//! What must stay true: making one does no I/O, so that a store that is away is told when it is read; everything that blocks
//! says so and is called on a blocking thread of a runtime.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use crate::errors::QueryError;
use crate::positions::Position;
use crate::table::Relation;

/// A store of any role.
pub(crate) trait RoleStore: Debug + Send + Sync {
    /// What it is: `sqlite`, `postgres`, …
    fn kind(&self) -> &'static str;

    /// Where it is, without secrets.
    fn place(&self) -> String;

    /// Version of its layout, where it has one yet. Blocks.
    fn layout(&self) -> Result<Option<i64>, QueryError>;

    /// Bytes that it takes, where it can be told. Blocks.
    fn bytes(&self) -> Option<u64>;

    /// Its tables and views.
    fn relations(self: Arc<Self>) -> Vec<Relation>;
}

/// A store that a sink writes.
pub(crate) trait SinkStore: RoleStore {
    /// How far it says that it has come. Blocks.
    fn positions(&self) -> Result<Vec<Position>, QueryError>;
}

/// The store of the scorer's checkpoints.
pub(crate) trait BaselinesStore: RoleStore {
    /// The next seq of each partition in the checkpoint. Blocks.
    fn reached(&self) -> Result<BTreeMap<i64, i64>, QueryError>;

    /// The next seq of patterns by account in their checkpoint, where there is one. Blocks.
    fn patterns(&self) -> Result<Option<i64>, QueryError>;
}

/// Waits on this blocking thread for what a store's client answers. Not to be called on a runtime's own thread; where rows are
/// on their way, [`crate::exec::Sink::wait`] ends with the query.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Handle::current().block_on(future)
}
