//! The rule of the optimizer: a join of two scans becomes one scan, under a projection that gives the columns their names.
//!
//! What must stay true: the plan's schema is the same before and after; every filter of both scans is exact, and asked of the same columns.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, JoinType, NullEquality, Result, TableReference};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::{Expr, Filter, Join, LogicalPlan, Projection, TableScan, TableScanBuilder};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use super::{JoinedTable, LEFT, RIGHT};
use crate::aggregates::{Meaning, exactly_filtered, meaning, scan_under, told_apart};
use crate::table::Relation;

/// Pushes joins down into stores.
#[derive(Debug)]
pub(crate) struct PushDownJoin;

impl OptimizerRule for PushDownJoin {
    fn name(&self) -> &'static str {
        "push_down_join"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        if let LogicalPlan::Join(join) = &plan
            && let Some(pushed) = pushed(join)?
        {
            return Ok(Transformed::yes(pushed));
        }
        Ok(Transformed::no(plan))
    }
}

/// One side of a join: a scan of a relation, whose columns it only renames and picks.
struct Side<'p> {
    plan: &'p LogicalPlan,
    scan: &'p TableScan,
    relation: Relation,
}

impl<'p> Side<'p> {
    fn of(plan: &'p LogicalPlan) -> Result<Option<Side<'p>>> {
        let Some(scan) = scan_under(plan) else { return Ok(None) };
        let relation = source_as_provider(&scan.source).ok().and_then(|provider| provider.downcast_ref::<Relation>().cloned());
        let (Some(relation), Some(_)) = (relation, exactly_filtered(scan)?) else { return Ok(None) };
        Ok(Some(Side { plan, scan, relation }))
    }

    /// The relation's column that an expression is.
    fn column(&self, expr: &Expr) -> Option<usize> {
        match meaning(expr, self.plan, &self.scan.source.schema())? {
            Meaning::Column(column) => Some(column),
            _ => None,
        }
    }

    /// The relation's columns that the plan gives, in its order.
    fn columns(&self) -> Option<Vec<usize>> {
        self.plan.schema().columns().into_iter().map(|column| self.column(&Expr::Column(column))).collect()
    }

    /// The scan's filters, over the columns of the join.
    fn filters(&self, name: &TableReference, alias: &str) -> Result<Vec<Expr>> {
        let moved = |expr: Expr| -> Result<Transformed<Expr>> {
            Ok(match expr {
                Expr::Column(column) => Transformed::yes(Expr::Column(Column::new(Some(name.clone()), format!("{alias}.{}", column.name)))),
                other => Transformed::no(other),
            })
        };
        self.scan.filters.iter().map(|filter| -> Result<Expr> { Ok(filter.clone().transform(moved)?.data) }).collect()
    }
}

fn pushed(join: &Join) -> Result<Option<LogicalPlan>> {
    if join.join_type != JoinType::Inner || join.null_equality != NullEquality::NullEqualsNothing || join.on.is_empty() {
        return Ok(None);
    }
    let (Some(left), Some(right)) = (Side::of(&join.left)?, Side::of(&join.right)?) else { return Ok(None) };
    let on: Option<Vec<(usize, usize)>> = join.on.iter().map(|(of_left, of_right)| Some((left.column(of_left)?, right.column(of_right)?))).collect();
    let (Some(on), Some(mut columns), Some(of_right)) = (on, left.columns(), right.columns()) else { return Ok(None) };
    if !on.iter().any(|(of_left, of_right)| left.relation.scan.is_unique(*of_left) || right.relation.scan.is_unique(*of_right)) {
        return Ok(None);
    }
    let Some(table) = JoinedTable::new(&left.relation, &right.relation, &on) else { return Ok(None) };
    let behind = left.relation.scan.schema().fields().len();
    columns.extend(of_right.into_iter().map(|column| behind + column));
    let schema = table.origin.scan.schema();
    if !keeps_types(&columns, &schema, &join.schema) {
        return Ok(None);
    }
    let name = told_apart("join", &left.scan.table_name, &(&right.scan.table_name, &on));
    let mut filters = left.filters(&name, LEFT)?;
    filters.extend(right.filters(&name, RIGHT)?);
    let named = columns
        .iter()
        .zip(join.schema.iter())
        .map(|(column, (qualifier, field))| Expr::Column(Column::new(Some(name.clone()), schema.field(*column).name())).alias_qualified(qualifier.cloned(), field.name()));
    let projected = named.collect();
    let scan = TableScanBuilder::new(name, provider_as_source(Arc::new(table))).with_filters(filters).build()?;
    let plan = LogicalPlan::Projection(Projection::try_new_with_schema(projected, Arc::new(LogicalPlan::TableScan(scan)), Arc::clone(&join.schema))?);
    Ok(Some(match &join.filter {
        Some(filter) => LogicalPlan::Filter(Filter::try_new(filter.clone(), Arc::new(plan))?),
        None => plan,
    }))
}

/// Whether the join's columns are these of the tables, type by type.
fn keeps_types(columns: &[usize], schema: &Schema, wanted: &DFSchema) -> bool {
    let same = |(column, wanted): (&usize, &Arc<arrow::datatypes::Field>)| {
        schema.fields().get(*column).is_some_and(|field| field.data_type() == wanted.data_type() && field.is_nullable() == wanted.is_nullable() && wanted.metadata().is_empty())
    };
    columns.len() == wanted.fields().len() && columns.iter().zip(wanted.fields()).all(same)
}
