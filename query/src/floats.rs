//! Floats beside decimals: both as floats, as in PostgreSQL.
//!
//! DataFusion would make the float a decimal of fixed scale, which cuts what is small, and fails on what is large, infinite or not a number.
//! A number with a point in a statement is a decimal, so that `amount_mean > 0.5` is such a pair.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Between, BinaryExpr, Cast, InList};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator};

use crate::fractions;

/// A plan in which decimals that meet floats are floats.
pub(crate) fn widened(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| {
        let schema = if let LogicalPlan::TableScan(scan) = &node { DFSchema::clone(&scan.projected_schema) } else { merge_schema(&node.inputs()) };
        let names = NamePreserver::new(&node);
        let is_values = matches!(node, LogicalPlan::Values(_));
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            // The columns of VALUES have the types that were told of them.
            let is_left = |expr: &Expr| is_values && matches!(expr, Expr::ScalarFunction(_));
            let rewritten = expr.transform_up(|expr| Ok(if is_left(&expr) { Transformed::no(expr) } else { with_floats(expr, &schema) }))?;
            if rewritten.transformed { Ok(rewritten.update_data(|expr| name.restore(expr))) } else { Ok(rewritten) }
        })?;
        // A product with a float is a float: what stands above has to know.
        node.map_data(LogicalPlan::recompute_schema)
    })?;
    Ok(rewritten.data)
}

fn with_floats(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_numeric(op) => {
            let (left, right, is_changed) = match (kind(&left, schema), kind(&right, schema)) {
                (Some(Kind::Float), Some(Kind::Decimal)) => (left, Box::new(float(*right)), true),
                (Some(Kind::Decimal), Some(Kind::Float)) => (Box::new(float(*left)), right, true),
                _ => (left, right, false),
            };
            Transformed::new_transformed(Expr::BinaryExpr(BinaryExpr { left, op, right }), is_changed)
        }
        Expr::Between(Between { expr, negated, low, high }) if [&expr, &low, &high].iter().any(|part| kind(part, schema) == Some(Kind::Float)) => {
            let part = |part: Box<Expr>| if kind(&part, schema) == Some(Kind::Decimal) { Box::new(float(*part)) } else { part };
            Transformed::yes(Expr::Between(Between { expr: part(expr), negated, low: part(low), high: part(high) }))
        }
        Expr::InList(InList { expr, list, negated }) if kind(&expr, schema) == Some(Kind::Float) => {
            let list = list.into_iter().map(|item| if kind(&item, schema) == Some(Kind::Decimal) { float(item) } else { item }).collect();
            Transformed::yes(Expr::InList(InList { expr, list, negated }))
        }
        // What is extracted of a time has to be known before it meets a float.
        Expr::ScalarFunction(function) => fractions::kept(function, schema),
        other => Transformed::no(other),
    }
}

const fn is_numeric(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
            | Operator::Plus
            | Operator::Minus
            | Operator::Multiply
            | Operator::Divide
            | Operator::Modulo
    )
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Float,
    Decimal,
}

fn kind(expr: &Expr, schema: &DFSchema) -> Option<Kind> {
    match expr.get_type(schema).ok()? {
        DataType::Float16 | DataType::Float32 | DataType::Float64 => Some(Kind::Float),
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => Some(Kind::Decimal),
        _ => None,
    }
}

fn float(expr: Expr) -> Expr {
    if let Expr::Literal(value, metadata) = &expr
        && let Ok(value @ ScalarValue::Float64(_)) = value.cast_to(&DataType::Float64)
    {
        return Expr::Literal(value, metadata.clone());
    }
    Expr::Cast(Cast::new(Box::new(expr), DataType::Float64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::datatypes::{Field, Schema};
    use datafusion::logical_expr::{LogicalPlanBuilder, col, lit, table_scan};

    fn plan() -> LogicalPlanBuilder {
        let schema = Schema::new(vec![Field::new("mean", DataType::Float64, true), Field::new("amount", DataType::Decimal128(15, 2), true)]);
        table_scan(Some("t"), &schema, None).unwrap()
    }

    fn half() -> Expr {
        lit(ScalarValue::Decimal128(Some(5), 1, 1))
    }

    #[test]
    fn a_decimal_beside_a_float_is_a_float() {
        let plan = plan().filter(col("mean").gt(half()).and(col("amount").gt(half()))).unwrap().build().unwrap();
        let text = widened(plan).unwrap().display_indent().to_string();
        assert!(text.contains("t.mean > Float64(0.5) AND t.amount > Decimal128(0.5,1,1)"), "{text}");
    }

    #[test]
    fn what_is_computed_of_both_keeps_its_name() {
        let plan = plan().project([col("mean") * col("amount")]).unwrap().build().unwrap();
        let names = plan.schema().field_names();
        let plan = LogicalPlanBuilder::from(widened(plan).unwrap()).build().unwrap();
        assert_eq!(plan.schema().field_names(), names);
        assert_eq!(plan.schema().field(0).data_type(), &DataType::Float64);
    }

    #[test]
    fn lists_and_ranges_too() {
        let plan = plan().filter(col("mean").in_list(vec![half()], false).and(col("mean").between(half(), half()))).unwrap().build().unwrap();
        let text = widened(plan).unwrap().display_indent().to_string();
        assert!(!text.contains("Decimal"), "{text}");
    }
}
