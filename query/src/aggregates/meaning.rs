//! What an expression over a plan is in the columns of the relation under it.
//!
//! What must stay true: pure; between the expression and the relation there is nothing but names: projections, aliases, the scan itself.

use arrow::datatypes::{DataType, Schema, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};

use super::time;
use crate::aggregate::{Bin, Group};

/// The scan under a plan that only renames and picks columns, and computes what [`meaning`] understands.
pub(crate) fn scan_under(plan: &LogicalPlan) -> Option<&TableScan> {
    match plan {
        LogicalPlan::TableScan(scan) => Some(scan),
        LogicalPlan::Projection(projection) => scan_under(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => scan_under(&alias.input),
        _ => None,
    }
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Meaning {
    /// A column as it stands.
    Column(usize),
    /// A column in another type.
    Cast(usize, DataType),
    /// The bin of a time.
    Time { column: usize, bin: Bin },
    /// A value that is not NULL, the same for all rows.
    Constant,
}

impl Meaning {
    /// The group that it makes.
    pub(super) fn group(self) -> Option<Group> {
        match self {
            Meaning::Column(column) => Some(Group::Column(column)),
            Meaning::Time { column, bin } => Some(Group::Time { column, bin }),
            Meaning::Cast(..) | Meaning::Constant => None,
        }
    }
}

/// What `expr` over the output of `plan` is in the columns of a relation with this schema.
pub(crate) fn meaning(expr: &Expr, plan: &LogicalPlan, schema: &Schema) -> Option<Meaning> {
    match expr {
        Expr::Alias(alias) => meaning(&alias.expr, plan, schema),
        Expr::Literal(value, _) => (!value.is_null()).then_some(Meaning::Constant),
        Expr::Column(column) => match plan {
            LogicalPlan::TableScan(scan) => {
                let index = scan.projected_schema.maybe_index_of_column(column)?;
                let index = scan.projection.as_ref().map_or(Some(index), |projection| projection.get(index).copied())?;
                (index < schema.fields().len()).then_some(Meaning::Column(index))
            }
            LogicalPlan::Projection(projection) => meaning(projection.expr.get(projection.schema.maybe_index_of_column(column)?)?, &projection.input, schema),
            LogicalPlan::SubqueryAlias(alias) => {
                let below = alias.input.schema().columns().into_iter().nth(alias.schema.maybe_index_of_column(column)?)?;
                meaning(&Expr::Column(below), &alias.input, schema)
            }
            _ => None,
        },
        Expr::Cast(cast) => match meaning(&cast.expr, plan, schema)? {
            Meaning::Column(column) => Some(Meaning::Cast(column, cast.field.data_type().clone())),
            _ => None,
        },
        Expr::ScalarFunction(function) => in_bins(function, plan, schema),
        _ => None,
    }
}

fn in_bins(function: &ScalarFunction, plan: &LogicalPlan, schema: &Schema) -> Option<Meaning> {
    let Meaning::Column(column) = meaning(function.args.get(1)?, plan, schema)? else { return None };
    let DataType::Timestamp(TimeUnit::Microsecond, zone) = schema.field(column).data_type() else { return None };
    let bin = match (function.name(), function.args.as_slice()) {
        (time::TRUNCATE, [unit, _]) => time::truncating(literal(unit)?, zone.as_deref())?,
        (time::BIN, [stride, _]) => time::binning(literal(stride)?, None)?,
        (time::BIN, [stride, _, origin]) => time::binning(literal(stride)?, Some(literal(origin)?))?,
        _ => return None,
    };
    Some(Meaning::Time { column, bin })
}

fn literal(expr: &Expr) -> Option<&ScalarValue> {
    if let Expr::Literal(value, _) = expr { Some(value) } else { None }
}
