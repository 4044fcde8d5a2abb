//! Layouts of the embedded stores: the DDL files and their versions.

/// An embedded store's tables.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Name of the role, as in SQL.
    pub role: &'static str,
    /// Raised by each change; a file with a higher one was written by a newer Wardhouse.
    pub version: i64,
    /// Statements that create it in an empty file.
    pub ddl: &'static str,
}

/// The log.
pub const LOG: Layout = Layout { role: "log", version: 1, ddl: include_str!("../sqlite/log.sql") };
/// The ledger.
pub const LEDGER: Layout = Layout { role: "ledger", version: 1, ddl: include_str!("../sqlite/ledger.sql") };
/// The documents.
pub const DOCUMENTS: Layout = Layout { role: "documents", version: 1, ddl: include_str!("../sqlite/documents.sql") };
/// The metrics.
pub const METRICS: Layout = Layout { role: "metrics", version: 1, ddl: include_str!("../sqlite/metrics.sql") };
/// The baselines.
pub const BASELINES: Layout = Layout { role: "baselines", version: 1, ddl: include_str!("../sqlite/baselines.sql") };
/// What every store says of itself: `wardhouse_layout` and `positions`.
pub const POSITIONS_DDL: &str = include_str!("../sqlite/positions.sql");
/// Version of the search index's fields and analyser.
pub const SEARCH_VERSION: i64 = 2;

/// How many seqs one block of the metrics store aggregates.
pub const METRICS_BLOCK: u64 = 1_000;
