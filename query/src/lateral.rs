//! `FROM t, unnest(f(t.column)) AS u(x)`: rows of a list beside the row that the list is in.
//!
//! DataFusion plans it as a join with a subquery over nothing that names columns of `t` from outside, which it cannot run. Here it becomes what
//! it means: the list as another column of `t`, unnested in place.
//!
//! What must stay true: the plan's schema is the same before and after. A subquery that is more than projections over one `unnest`, or that
//! names what stands farther out, is left as it is.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, JoinType, NullHandling, Result, ScalarValue};
use datafusion::logical_expr::{EmptyRelation, Expr, Filter, Join, LogicalPlan, LogicalPlanBuilder, Projection, SubqueryAlias};
use datafusion::optimizer::AnalyzerRule;

/// Puts an `unnest` that names columns of the tables before it over these tables.
#[derive(Debug)]
pub(crate) struct UnnestBeside;

impl AnalyzerRule for UnnestBeside {
    fn name(&self) -> &'static str {
        "unnest_beside"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let rewritten = plan.transform_up_with_subqueries(|node| {
            let beside = if let LogicalPlan::Join(join) = &node { beside(join)? } else { None };
            Ok(beside.map_or_else(|| Transformed::no(node), Transformed::yes))
        })?;
        Ok(rewritten.data)
    }
}

/// The same without the join, where it is one with an unnested list.
fn beside(join: &Join) -> Result<Option<LogicalPlan>> {
    let subquery = match join.right.as_ref() {
        LogicalPlan::SubqueryAlias(SubqueryAlias { input, .. }) => input.as_ref(),
        other => other,
    };
    let LogicalPlan::Subquery(subquery) = subquery else { return Ok(None) };
    let keeps_all = match join.join_type {
        JoinType::Inner => false,
        // Rows without a list stay, whatever else is asked of the lists.
        JoinType::Left if join.filter.as_ref().is_none_or(is_true) => true,
        _ => return Ok(None),
    };
    if !join.on.is_empty() || !has_unnest(&subquery.subquery) {
        return Ok(None);
    }
    let own = Own { table: &join.left, keeps_all };
    let Some(unnested) = own.over(&subquery.subquery)? else { return Ok(None) };
    let of_table = join.left.schema().iter().enumerate().map(|(place, (qualifier, field))| own.column(place).alias_qualified(qualifier.cloned(), field.name()));
    let inner = subquery.subquery.schema().columns().into_iter().map(Expr::Column);
    let of_list = inner.zip(join.right.schema().iter()).map(|(column, (qualifier, field))| column.alias_qualified(qualifier.cloned(), field.name()));
    let columns: Vec<Expr> = of_table.chain(of_list).collect();
    let plan = LogicalPlan::Projection(Projection::try_new_with_schema(columns, Arc::new(unnested), Arc::clone(&join.schema))?);
    Ok(Some(match &join.filter {
        Some(filter) if !is_true(filter) => LogicalPlan::Filter(Filter::try_new(filter.clone(), Arc::new(plan))?),
        _ => plan,
    }))
}

fn is_true(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(ScalarValue::Boolean(Some(true)), _))
}

fn has_unnest(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Unnest(_) => true,
        LogicalPlan::Projection(projection) => has_unnest(&projection.input),
        _ => false,
    }
}

/// A subquery over a table instead of over nothing. The table's columns go through it under names of their own, so that they do not
/// meet those of the subquery.
struct Own<'p> {
    table: &'p Arc<LogicalPlan>,
    /// Whether rows without a list stay.
    keeps_all: bool,
}

impl Own<'_> {
    fn column(&self, place: usize) -> Expr {
        Expr::Column(Column::new_unqualified(name(place)))
    }

    fn columns(&self) -> impl Iterator<Item = Expr> {
        (0..self.table.schema().fields().len()).map(move |place| self.column(place))
    }

    /// `None` where the subquery is something else.
    fn over(&self, plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
        match plan {
            LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: true, .. }) => {
                let columns = self.table.schema().columns().into_iter().enumerate().map(|(place, column)| Expr::Column(column).alias(name(place)));
                Ok(Some(LogicalPlan::Projection(Projection::try_new(columns.collect(), Arc::clone(self.table))?)))
            }
            LogicalPlan::Projection(projection) => {
                // What is computed of an element is NULL where there is none only if it is the element itself.
                let is_plain = |expr: &Expr| matches!(expr.clone().unalias(), Expr::Column(_));
                if self.keeps_all && has_unnest(&projection.input) && !projection.expr.iter().all(is_plain) {
                    return Ok(None);
                }
                let Some(input) = self.over(&projection.input)? else { return Ok(None) };
                let mut columns: Vec<Expr> = self.columns().collect();
                for (expr, (qualifier, field)) in projection.expr.iter().zip(projection.schema.iter()) {
                    let Some(expr) = self.inside(expr)? else { return Ok(None) };
                    columns.push(expr.unalias().alias_qualified(qualifier.cloned(), field.name()));
                }
                Ok(Some(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(input))?)))
            }
            LogicalPlan::Unnest(unnest) => {
                let Some(input) = self.over(&unnest.input)? else { return Ok(None) };
                let mut options = unnest.options.clone();
                if self.keeps_all {
                    options = options.with_null_handling(NullHandling::PreserveAndExpandEmpty);
                }
                LogicalPlanBuilder::from(input).unnest_columns_with_options(unnest.exec_columns.clone(), options)?.build().map(Some)
            }
            _ => Ok(None),
        }
    }

    /// An expression with the table's columns, which it names from outside.
    fn inside(&self, expr: &Expr) -> Result<Option<Expr>> {
        let mut is_known = true;
        let moved = expr.clone().transform(|part| match part {
            Expr::OuterReferenceColumn(field, column) => match self.table.schema().maybe_index_of_column(&column) {
                Some(place) => Ok(Transformed::yes(self.column(place))),
                None => {
                    is_known = false;
                    Ok(Transformed::no(Expr::OuterReferenceColumn(field, column)))
                }
            },
            other => Ok(Transformed::no(other)),
        })?;
        Ok(is_known.then_some(moved.data))
    }
}

fn name(place: usize) -> String {
    format!("__beside_{place}")
}
