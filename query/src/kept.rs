//! What `PREPARE` has prepared on a session, for `EXECUTE` to run with values.
//!
//! What must stay true: it is bounded in number and bytes; the values of `EXECUTE` are computed of nothing that is stored, and reach the statement as
//! the values of its parameters do that a protocol sends.

use std::collections::HashMap;

use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::logical_expr::{EmptyRelation, Expr, LogicalPlan, Projection};
use datafusion::physical_plan::collect;
use datafusion::sql::parser::Statement as DfStatement;

use crate::bounded;
use crate::engine::Shared;
use crate::errors::QueryError;
use crate::floats;
use crate::prepared::Prepared;
use crate::settings::Planning;
use crate::zone;

/// Statements of one session.
const MOST: usize = 1_000;
/// Bytes of their texts together.
const MOST_BYTES: usize = 8 << 20;

/// The statements that a session keeps, by their names.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    statements: HashMap<String, Prepared>,
    bytes: usize,
}

impl Kept {
    /// Keeps a statement under a name that none has.
    pub(crate) fn keep(&mut self, name: &str, prepared: Prepared) -> Result<(), QueryError> {
        if self.statements.contains_key(name) {
            return Err(QueryError::Exists { what: "prepared statement", name: name.to_owned(), remedy: "DEALLOCATE it first" });
        }
        let bytes = self.bytes + prepared.sql().len();
        if self.statements.len() >= MOST || bytes > MOST_BYTES {
            let message = format!("a session has at most {MOST} prepared statements of {} MiB together: DEALLOCATE those that are not used any more", MOST_BYTES >> 20);
            return Err(QueryError::TooLarge { message });
        }
        self.bytes = bytes;
        self.statements.insert(name.to_owned(), prepared);
        Ok(())
    }

    /// The statement of a name.
    pub(crate) fn find(&self, name: &str) -> Result<Prepared, QueryError> {
        self.statements.get(name).cloned().ok_or_else(|| nothing(name))
    }

    /// Lets go of a statement. Returns whether there was one.
    pub(crate) fn forget(&mut self, name: &str) -> bool {
        let gone = self.statements.remove(name);
        self.bytes -= gone.as_ref().map_or(0, |prepared| prepared.sql().len());
        gone.is_some()
    }
}

/// What is said of a name that no statement has.
pub(crate) fn nothing(name: &str) -> QueryError {
    QueryError::Unknown { what: "prepared statement", name: name.to_owned(), nearest: Vec::new(), line: None, column: None }
}

impl Shared {
    /// The values of `statement`, a SELECT of what EXECUTE is given.
    pub(crate) async fn values(&self, planning: &Planning, statement: DfStatement) -> Result<Vec<ScalarValue>, QueryError> {
        let told = |error: DataFusionError| self.told(&error);
        let plan = self.logical(planning, statement).await?;
        if !is_of_nothing(&plan).map_err(told)? {
            return Err(QueryError::Refused { message: "EXECUTE takes values".to_owned(), hint: Some("what is to be looked up belongs into the statement itself".to_owned()) });
        }
        let mut state = self.state(planning)?;
        state.mark_start_execution();
        let plan = floats::widened(zone::localized(plan, &planning.zone).map_err(told)?).map_err(told)?;
        let plan = state.optimize(&plan).map_err(told)?;
        bounded::check(&plan).map_err(told)?;
        let physical = state.query_planner().create_physical_plan(&plan, &state).await.map_err(told)?;
        let rows = collect(physical, state.task_ctx()).await.map_err(told)?;
        let Some(row) = rows.iter().find(|batch| batch.num_rows() == 1) else { return Err(QueryError::internal("the values of EXECUTE are no row")) };
        row.columns().iter().map(|column| ScalarValue::try_from_array(column, 0).map_err(told)).collect()
    }
}

/// Whether it is a row of values that are computed of nothing.
fn is_of_nothing(plan: &LogicalPlan) -> Result<bool, DataFusionError> {
    let LogicalPlan::Projection(Projection { expr, input, .. }) = plan else { return Ok(false) };
    if !matches!(input.as_ref(), LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: true, .. })) {
        return Ok(false);
    }
    for expr in expr {
        if expr.exists(|part| Ok(matches!(part, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_))))? {
            return Ok(false);
        }
    }
    Ok(true)
}
