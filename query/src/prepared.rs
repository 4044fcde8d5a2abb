//! A statement that was read and planned once, and can be executed many times.
//!
//! What must stay true: it holds no row and no connection; what it was planned under is kept with it, so that it is planned anew where
//! the session's settings have changed.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement as DfStatement;

use crate::settings::Planning;

/// What a statement does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// It reads.
    Query,
    /// It tells how it would read, or how it read.
    Explain,
    /// `COPY (SELECT …) TO STDOUT`: executing it gives the rows of the SELECT; whoever sends them writes them in this format.
    Copy {
        /// How they are written.
        format: CopyFormat,
    },
    /// It sets a setting.
    Set {
        /// Its name.
        name: String,
        /// Its new value.
        value: String,
    },
    /// It shows settings, or lists what there is.
    Show,
    /// A transaction begins, or goes on: SAVEPOINT, RELEASE and ROLLBACK TO are this too.
    Begin,
    /// A transaction ends.
    Commit,
    /// A transaction is given up.
    Rollback,
    /// The session is as it was when it was opened.
    Discard,
    /// A statement is prepared under a name, for `EXECUTE`, which reads as it does.
    Prepare {
        /// The name.
        name: String,
    },
    /// A prepared statement is let go of.
    Deallocate {
        /// Which; `None` is all of them.
        name: Option<String>,
    },
    /// A cursor is opened.
    Declare {
        /// Its name.
        cursor: String,
        /// Its query.
        sql: String,
    },
    /// Rows of a cursor are read.
    Fetch {
        /// Its name.
        cursor: String,
        /// How many rows; `None` is all that are left.
        rows: Option<u64>,
    },
    /// A cursor is closed.
    Close {
        /// Which; `None` is all of them.
        cursor: Option<String>,
    },
    /// Nothing is done.
    Empty,
}

/// In which format COPY writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyKind {
    /// One line a row, escaped with backslashes.
    Text,
    /// Comma-separated values.
    Csv,
    /// PostgreSQL's binary format.
    Binary,
}

/// How COPY writes.
#[derive(Clone, Debug, PartialEq)]
pub struct CopyFormat {
    /// The format.
    pub kind: CopyKind,
    /// Whether the first line names the columns.
    pub header: bool,
    /// Between two values.
    pub delimiter: u8,
    /// What NULL is written as.
    pub null: String,
    /// Around a value that needs it.
    pub quote: u8,
    /// Before a quote within quotes.
    pub escape: u8,
}

/// A statement, ready to be executed. Cheap to clone.
#[derive(Clone)]
pub struct Prepared(pub(crate) Arc<Inner>);

/// What a prepared statement holds.
pub(crate) struct Inner {
    pub(crate) sql: String,
    pub(crate) action: Action,
    pub(crate) schema: SchemaRef,
    pub(crate) parameters: Vec<DataType>,
    /// The same as the columns are that they are compared with.
    pub(crate) columns: Vec<DataType>,
    pub(crate) work: Work,
}

/// What is to be done.
pub(crate) enum Work {
    /// Rows are computed.
    Plan(Box<Planned>),
    /// Rows of what was prepared under a name are computed.
    Call(Box<Call>),
    /// A statement is kept under the name that the action says.
    Keep(Prepared),
    /// One setting, or all of them.
    Show(Option<String>),
    /// What the action says.
    Action,
}

/// What was prepared under a name, and what it is to be run with.
pub(crate) struct Call {
    pub(crate) prepared: Prepared,
    /// A SELECT of the values of its parameters.
    pub(crate) values: Option<DfStatement>,
}

/// A statement that reads, planned.
pub(crate) struct Planned {
    pub(crate) statement: DfStatement,
    /// With placeholders, and not yet optimized.
    pub(crate) plan: LogicalPlan,
    /// Under what.
    pub(crate) under: Planning,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("sql", &self.0.sql).field("action", &self.0.action).field("parameters", &self.0.parameters).finish_non_exhaustive()
    }
}

impl Prepared {
    /// A statement without parameters.
    pub(crate) fn of(sql: &str, action: Action, schema: SchemaRef, work: Work) -> Prepared {
        Prepared(Arc::new(Inner { sql: sql.to_owned(), action, schema, parameters: Vec::new(), columns: Vec::new(), work }))
    }

    /// The statement's text.
    #[must_use]
    pub fn sql(&self) -> &str {
        &self.0.sql
    }

    /// What it does.
    #[must_use]
    pub fn action(&self) -> &Action {
        &self.0.action
    }

    /// Names and types of its columns; none where it gives no rows.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.0.schema)
    }

    /// The types of the columns that `$1`, `$2`, … are compared with: what a client is told that sends exactly the type that it is told. A value in
    /// one of these fits [`Prepared::parameters`].
    #[must_use]
    pub fn parameter_columns(&self) -> &[DataType] {
        &self.0.columns
    }

    /// The types of `$1`, `$2`, …; a value of another type is converted.
    #[must_use]
    pub fn parameters(&self) -> &[DataType] {
        &self.0.parameters
    }
}
