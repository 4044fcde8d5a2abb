//! Joins that end when they must, however few rows they give.
//!
//! A join whose condition drops nearly everything looks at millions of pairs before it gives a batch, and gives nothing back to its thread
//! meanwhile. What it does call for each batch of pairs is its condition, so that this is the place to look at the time.
//!
//! What must stay true: a condition means what it meant; it is shown as it was; a join over it ends soon after its query has, and leaves
//! its thread's other work to another thread.

use std::cell::Cell;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arrow::datatypes::{DataType, FieldRef, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio_util::sync::CancellationToken;

use crate::errors::QueryError;

/// How long a thread is held before its other work goes elsewhere.
const HELD: Duration = Duration::from_millis(10);
/// How long another thread has to take that work.
const HANDED_OVER: Duration = Duration::from_micros(200);

thread_local! {
    /// When this thread last left its other work to another.
    static LEFT: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// What ends a query.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    pub(crate) stop: CancellationToken,
    pub(crate) deadline: Option<Instant>,
}

impl Watch {
    fn check(&self, now: Instant) -> Result<(), QueryError> {
        if self.stop.is_cancelled() {
            return Err(QueryError::Cancelled);
        }
        if self.deadline.is_some_and(|deadline| deadline < now) { Err(QueryError::Timeout) } else { Ok(()) }
    }

    /// Waits for the end of the query, and says why it is.
    pub(crate) async fn ended(&self) -> QueryError {
        let overdue = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => QueryError::Cancelled,
            () = overdue => QueryError::Timeout,
        }
    }
}

/// A plan whose joins look at the time.
pub(crate) fn watched(plan: Arc<dyn ExecutionPlan>, watch: &Watch) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>()
            && let Some(filter) = join.filter()
        {
            let join = NestedLoopJoinExecBuilder::from(join).with_filter(Some(under(filter, watch))).build()?;
            return Ok(Transformed::yes(Arc::new(join) as Arc<dyn ExecutionPlan>));
        }
        if let Some(join) = node.downcast_ref::<HashJoinExec>()
            && let Some(filter) = join.filter()
        {
            return Ok(Transformed::yes(join.builder().with_filter(Some(under(filter, watch))).build_exec()?));
        }
        Ok(Transformed::no(node))
    })
    .data()
}

fn under(filter: &JoinFilter, watch: &Watch) -> JoinFilter {
    let condition = Watched { condition: Arc::clone(filter.expression()), watch: watch.clone(), began: Arc::default() };
    JoinFilter::new(Arc::new(condition), filter.column_indices().to_vec(), Arc::clone(filter.schema()))
}

/// A join's condition that looks at the time.
#[derive(Clone, Debug)]
struct Watched {
    condition: Arc<dyn PhysicalExpr>,
    watch: Watch,
    /// When it was first asked.
    began: Arc<OnceLock<Instant>>,
}

impl PartialEq for Watched {
    fn eq(&self, other: &Self) -> bool {
        self.condition.as_ref() == other.condition.as_ref()
    }
}

impl Eq for Watched {}

impl Hash for Watched {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.condition.hash(state);
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.condition, f)
    }
}

impl Watched {
    /// Whether this thread's other work has waited long enough.
    fn is_held(&self, now: Instant) -> bool {
        let began = *self.began.get_or_init(|| now);
        LEFT.with(|left| {
            let since = left.get().map_or(began, |left| left.max(began));
            let is_held = now.saturating_duration_since(since) > HELD;
            if is_held {
                left.set(Some(now));
            }
            is_held
        })
    }
}

/// Leaves the other work of this thread to another one, where threads are interchangeable.
fn leave() {
    if Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread) {
        tokio::task::block_in_place(|| std::thread::sleep(HANDED_OVER));
    }
}

impl PhysicalExpr for Watched {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.condition.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.condition.nullable(schema)
    }

    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.condition.return_field(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let now = Instant::now();
        self.watch.check(now)?;
        if self.is_held(now) {
            leave();
        }
        self.condition.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.condition]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let [condition] = <[_; 1]>::try_from(children).map_err(|_| QueryError::internal("a join has one condition"))?;
        Ok(Arc::new(Watched { condition, ..Watched::clone(&self) }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt_sql(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, BooleanArray};
    use datafusion::physical_expr::expressions::Column;

    fn batch() -> RecordBatch {
        RecordBatch::try_from_iter([("a", Arc::new(BooleanArray::from(vec![true, false])) as ArrayRef)]).unwrap()
    }

    fn condition(deadline: Option<Instant>) -> (Watched, CancellationToken) {
        let stop = CancellationToken::new();
        let watch = Watch { stop: stop.clone(), deadline };
        (Watched { condition: Arc::new(Column::new("a", 0)), watch, began: Arc::default() }, stop)
    }

    #[test]
    fn a_condition_is_what_it_was_until_its_query_ends() {
        let (condition, stop) = condition(None);
        assert_eq!(condition.to_string(), "a@0");
        assert!(condition.evaluate(&batch()).is_ok());
        stop.cancel();
        assert_eq!(QueryError::from(condition.evaluate(&batch()).unwrap_err()), QueryError::Cancelled);
    }

    #[test]
    fn a_condition_keeps_the_time_limit() {
        let past = Instant::now().checked_sub(Duration::from_millis(1));
        let (condition, _stop) = condition(past);
        assert_eq!(QueryError::from(condition.evaluate(&batch()).unwrap_err()), QueryError::Timeout);
    }
}
