//! Relations whose stores are asked for rows only, so that what DataFusion makes of them can be compared with what the stores do.
//!
//! What must stay true: what only a store can tell is asked of it still: `match()`. Everything else is computed above.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::LogicalPlan;

use crate::errors::QueryError;
use crate::predicate::Predicate;
use crate::table::{Order, Prepared, Pushdown, Relation, Request, Scan, Support, Survey};

impl Pushdown {
    /// The plan with the relations that this asks for: to be called before a plan is optimized.
    pub(crate) fn applied(self, plan: LogicalPlan) -> Result<LogicalPlan> {
        if self.0 {
            return Ok(plan);
        }
        let unpushed = plan.transform_down_with_subqueries(|node| match node {
            LogicalPlan::TableScan(mut scan) => {
                let relation = source_as_provider(&scan.source).ok().and_then(|provider| provider.downcast_ref::<Relation>().cloned());
                let Some(relation) = relation else { return Ok(Transformed::no(LogicalPlan::TableScan(scan))) };
                let only_rows = Arc::new(Unpushed { of: Arc::clone(&relation.scan) });
                scan.source = provider_as_source(Arc::new(Relation { scan: only_rows, ..relation }));
                Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(unpushed.data)
    }
}

/// A scan that is asked for rows only.
#[derive(Debug)]
struct Unpushed {
    of: Arc<dyn Scan>,
}

impl Scan for Unpushed {
    fn schema(&self) -> SchemaRef {
        self.of.schema()
    }

    fn support(&self, predicate: &Predicate) -> Result<Support, QueryError> {
        // Also for what it says of what can never be answered.
        let support = self.of.support(predicate)?;
        Ok(if predicate.has_match() { support } else { Support::No })
    }

    fn sorts(&self, _order: &[Order]) -> bool {
        false
    }

    fn is_unique(&self, column: usize) -> bool {
        self.of.is_unique(column)
    }

    fn survey(&self) -> Result<Survey, QueryError> {
        self.of.survey()
    }

    fn surveyed(&self) -> Option<Survey> {
        self.of.surveyed()
    }

    fn prepare(&self, request: &Request, survey: &Survey) -> Result<Arc<dyn Prepared>, QueryError> {
        self.of.prepare(request, survey)
    }
}
