//! Long values and large numbers in a plan: what they make of each batch.
//!
//! What must stay true: a long value that stands beside each row is put there for a few rows at a time; a digest is never larger than any
//! answer needs it to be.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::BATCH_BYTES;
use super::function::long;
use crate::errors::QueryError;

/// Most centroids of a digest: DataFusion reserves room for all of them again and again.
const CENTROIDS: i64 = 10_000;

/// How many rows a batch of this plan may have, where that is fewer than `rows`.
pub(crate) fn batch_rows(plan: &LogicalPlan, rows: usize) -> Result<Option<usize>> {
    let mut longest = 0;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if let Expr::Literal(value, _) = part {
                    longest = longest.max(long(value).unwrap_or_default());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    let fitting = usize::try_from(BATCH_BYTES / longest.max(1)).unwrap_or(usize::MAX).max(1);
    Ok((fitting < rows).then_some(fitting))
}

/// Refuses digests that are too large.
pub(crate) fn check(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if let Expr::AggregateFunction(function) = part
                    && function.func.name().starts_with("approx_percentile_cont")
                    && function.params.args.iter().any(is_too_many)
                {
                    let message = format!("{}() takes at most {CENTROIDS} centroids", function.func.name());
                    return Err(QueryError::TooLarge { message }.into());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

fn is_too_many(argument: &Expr) -> bool {
    let Expr::Literal(value, _) = argument else { return false };
    match value {
        ScalarValue::Int64(Some(number)) => *number > CENTROIDS,
        ScalarValue::UInt64(Some(number)) => i64::try_from(*number).unwrap_or(i64::MAX) > CENTROIDS,
        ScalarValue::Int32(Some(number)) => i64::from(*number) > CENTROIDS,
        ScalarValue::UInt32(Some(number)) => i64::from(*number) > CENTROIDS,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::logical_expr::{LogicalPlanBuilder, lit};

    #[test]
    fn long_values_stand_beside_few_rows() {
        let plan = |text: String| LogicalPlanBuilder::empty(true).project([lit(text)]).unwrap().build().unwrap();
        assert_eq!(batch_rows(&plan("x".repeat(1_000)), 8_192).unwrap(), None);
        assert_eq!(batch_rows(&plan("x".repeat(1 << 20)), 8_192).unwrap(), Some(64));
    }
}
