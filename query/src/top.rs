//! The first rows in an order, asked of the store: `ORDER BY … LIMIT n` over a scan becomes a scan that gives these n rows.
//!
//! An order alone is asked of a store only where an index has it (`Scan::sorts`): otherwise DataFusion sorts as well as the store does, and
//! spills. Of a few first rows a store keeps no more than those, and sends no others, whatever index it has (`Scan::ranks`).
//!
//! What must stay true: between the sort and the scan stands nothing but names; a store is asked for no more rows than it holds without
//! effort; the rows are those that the sort would have given, and in its order.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_expr::PhysicalSortExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use crate::exec::ScanExec;

/// Most rows that a store is asked to sort.
const MOST: usize = 10_000;

/// Pushes sorts with a limit down into stores.
#[derive(Debug)]
pub(crate) struct PushDownTop;

impl PhysicalOptimizerRule for PushDownTop {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let replaced = |node: Arc<dyn ExecutionPlan>| -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
            Ok(match pushed(&node)? {
                Some(scan) => Transformed::yes(scan),
                None => Transformed::no(node),
            })
        };
        plan.transform_down(replaced).data()
    }

    fn name(&self) -> &str {
        "push_down_top"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn pushed(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    // Parts that are sorted each by itself, and merged.
    if let Some(merge) = node.downcast_ref::<SortPreservingMergeExec>() {
        let (Some(sort), Some(rows)) = (merge.input().downcast_ref::<SortExec>(), merge.fetch()) else { return Ok(None) };
        let is_same = merge.expr() == sort.expr() && sort.fetch().is_none_or(|each| each >= rows);
        return if is_same { first(sort.input(), sort.expr(), rows) } else { Ok(None) };
    }
    let Some(sort) = node.downcast_ref::<SortExec>() else { return Ok(None) };
    let is_whole = !sort.preserve_partitioning() || sort.input().output_partitioning().partition_count() == 1;
    match sort.fetch() {
        Some(rows) if is_whole => first(sort.input(), sort.expr(), rows),
        _ => Ok(None),
    }
}

/// A plan that gives the first rows of `plan` in an order, and in it; `None` where its store is not asked for them.
fn first(plan: &Arc<dyn ExecutionPlan>, order: &[PhysicalSortExpr], rows: usize) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if rows > MOST {
        return Ok(None);
    }
    if let Some(scan) = plan.downcast_ref::<ScanExec>() {
        return scan.first(order, rows);
    }
    // The first rows come in one part.
    if let Some(parts) = plan.downcast_ref::<CoalescePartitionsExec>() {
        return if parts.fetch().is_none() { first(parts.input(), order, rows) } else { Ok(None) };
    }
    let Some(projection) = plan.downcast_ref::<ProjectionExec>() else { return Ok(None) };
    let Some(below) = order.iter().map(|by| under(by, projection)).collect::<Option<Vec<_>>>() else { return Ok(None) };
    let Some(scan) = first(projection.input(), &below, rows)? else { return Ok(None) };
    Ok(Some(Arc::new(ProjectionExec::try_new(projection.expr().to_vec(), scan)?)))
}

/// The same order of what is under a projection, where it is that of a column there.
fn under(by: &PhysicalSortExpr, projection: &ProjectionExec) -> Option<PhysicalSortExpr> {
    let column = by.expr.downcast_ref::<Column>()?;
    let below = projection.expr().get(column.index())?.expr.downcast_ref::<Column>()?;
    Some(PhysicalSortExpr::new(Arc::new(below.clone()), by.options))
}
