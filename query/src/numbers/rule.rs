//! The rule of analysis: before types are coerced, operators, casts and functions of numbers become those of this folder.
//!
//! What must stay true: names and nullability stay; types too, but for the places of quotients; whatever is no number is left.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::functions::math;
use datafusion::logical_expr::expr::{BinaryExpr, Cast, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator};
use datafusion::optimizer::AnalyzerRule;

use super::operators::{Kind, call};
use super::rounding::{rounded, rounds};

/// Puts PostgreSQL's arithmetic in the place of DataFusion's.
#[derive(Debug)]
pub(crate) struct PostgresNumbers;

impl AnalyzerRule for PostgresNumbers {
    fn name(&self) -> &str {
        "postgres_numbers"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let mut some = false;
        let rewritten = plan.transform_up_with_subqueries(|node| {
            let node = if concerns(&node)? { mended_node(node)? } else { Transformed::no(node) };
            some |= node.transformed;
            // A quotient has more places than it had: what stands above has to know.
            if some { node.map_data(LogicalPlan::recompute_schema) } else { Ok(node) }
        })?;
        Ok(rewritten.data)
    }
}

fn concerns(node: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    node.apply_expressions(|expr| {
        found = expr.exists(|part| {
            Ok(match part {
                Expr::Cast(_) | Expr::BinaryExpr(BinaryExpr { op: Operator::Divide | Operator::Multiply, .. }) => true,
                Expr::ScalarFunction(function) => matches!(function.name(), "log" | "round"),
                _ => false,
            })
        })?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn mended_node(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = if let LogicalPlan::TableScan(scan) = &node { DFSchema::clone(&scan.projected_schema) } else { merge_schema(&node.inputs()) };
    let names = NamePreserver::new(&node);
    let keeps_types = matches!(node, LogicalPlan::Values(_));
    node.map_expressions(|expr| {
        let name = names.save(&expr);
        // The columns of VALUES have the types that were told of them.
        let told = if keeps_types { expr.get_type(&schema).ok() } else { None };
        let rewritten = expr.transform_up(|expr| Ok(mended(expr, &schema)))?;
        if !rewritten.transformed {
            return Ok(rewritten);
        }
        Ok(rewritten.update_data(|expr| match told {
            Some(told) if expr.get_type(&schema).is_ok_and(|is| is != told) => Expr::Cast(Cast::new(Box::new(expr), told)),
            _ => name.restore(expr),
        }))
    })
}

fn mended(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::Divide | Operator::Multiply), right }) => match computed(&left, op, &right, schema) {
            Some((kind, first, second)) => Transformed::yes(call(kind, cast(*left, first, schema), cast(*right, second, schema))),
            None => Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })),
        },
        Expr::Cast(Cast { expr, field }) => match expr.get_type(schema) {
            Ok(from) if rounds(&from, field.data_type()) => Transformed::yes(rounded(*expr, field.data_type().clone())),
            _ => Transformed::no(Expr::Cast(Cast { expr, field })),
        },
        Expr::ScalarFunction(function) => mended_function(function, schema),
        other => Transformed::no(other),
    }
}

fn mended_function(mut function: ScalarFunction, schema: &DFSchema) -> Transformed<Expr> {
    let is_double = |expr: &Expr| matches!(expr.get_type(schema), Ok(DataType::Float32 | DataType::Float64));
    match (function.name(), function.args.as_slice()) {
        ("round", [of]) if is_double(of) => match (of.get_type(schema), function.args.pop()) {
            (Ok(data_type), Some(of)) => Transformed::yes(rounded(of, data_type)),
            (_, of) => Transformed::no(Expr::ScalarFunction(ScalarFunction { args: of.into_iter().collect(), ..function })),
        },
        // The quotient of two logarithms is not exact at the powers of ten.
        ("log", [of]) if kind(of, schema).is_some() => to_ten(function),
        ("log", [base, of]) if is_ten(base) && kind(of, schema).is_some() => to_ten(function),
        _ => Transformed::no(Expr::ScalarFunction(function)),
    }
}

fn to_ten(mut function: ScalarFunction) -> Transformed<Expr> {
    match function.args.pop() {
        Some(of) => Transformed::yes(math::log10().call(vec![Expr::Cast(Cast::new(Box::new(of), DataType::Float64))])),
        None => Transformed::no(Expr::ScalarFunction(function)),
    }
}

fn is_ten(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value, _) => value.cast_to(&DataType::Float64).is_ok_and(|value| value == ScalarValue::Float64(Some(10.0))),
        Expr::Cast(Cast { expr, .. }) => is_ten(expr),
        _ => false,
    }
}

/// What a number is.
enum Number {
    Double,
    Decimal(u8, i8),
    /// Digits of the largest.
    Integer(u8),
}

fn kind(expr: &Expr, schema: &DFSchema) -> Option<Number> {
    match expr.get_type(schema).ok()? {
        DataType::Float64 | DataType::Float32 => Some(Number::Double),
        DataType::Decimal128(precision, scale) if scale >= 0 => Some(Number::Decimal(precision, scale)),
        DataType::Int8 | DataType::UInt8 => Some(Number::Integer(3)),
        DataType::Int16 | DataType::UInt16 => Some(Number::Integer(5)),
        DataType::Int32 | DataType::UInt32 => Some(Number::Integer(10)),
        DataType::Int64 => Some(Number::Integer(19)),
        DataType::UInt64 => Some(Number::Integer(20)),
        _ => None,
    }
}

/// What is put in an operator's place, and the types in which it is computed.
fn computed(left: &Expr, op: Operator, right: &Expr, schema: &DFSchema) -> Option<(Kind, DataType, DataType)> {
    let of = |number: &Number| match number {
        Number::Double => None,
        Number::Decimal(precision, scale) => Some((*precision, *scale)),
        Number::Integer(digits) => Some((*digits, 0)),
    };
    let decimal = |(precision, scale): (u8, i8)| DataType::Decimal128(precision, scale);
    match (kind(left, schema)?, op, kind(right, schema)?) {
        (Number::Integer(_), _, Number::Integer(_)) => None,
        (Number::Double, Operator::Divide, _) | (_, Operator::Divide, Number::Double) => Some((Kind::OfDoubles, DataType::Float64, DataType::Float64)),
        (left, Operator::Divide, right) => Some((Kind::Quotient, decimal(of(&left)?), decimal(of(&right)?))),
        (left, _, right) => {
            let (left, right) = (of(&left)?, of(&right)?);
            // Of few places, DataFusion's product is exact.
            let is_long = left.1 + right.1 > 20 && u16::from(left.0) + u16::from(right.0) >= 38;
            is_long.then(|| (Kind::Product, decimal(left), decimal(right)))
        }
    }
}

fn cast(expr: Expr, data_type: DataType, schema: &DFSchema) -> Expr {
    if expr.get_type(schema).is_ok_and(|known| known == data_type) { expr } else { Expr::Cast(Cast::new(Box::new(expr), data_type)) }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::{Field, Schema};
    use datafusion::logical_expr::{LogicalPlanBuilder, col, lit, table_scan};

    use super::*;

    fn table() -> LogicalPlanBuilder {
        let fields = [("amount", DataType::Decimal128(15, 2)), ("mean", DataType::Float64), ("whole", DataType::Int64)];
        let fields: Vec<Field> = fields.into_iter().map(|(name, data_type)| Field::new(name, data_type, name == "whole")).collect();
        table_scan(Some("t"), &Schema::new(fields), None).unwrap()
    }

    fn analyzed(plan: LogicalPlan) -> LogicalPlan {
        PostgresNumbers.analyze(plan, &ConfigOptions::default()).unwrap()
    }

    #[test]
    fn names_stay_and_quotients_have_more_places() {
        let cast = |name: &str, data_type: DataType| Expr::Cast(Cast::new(Box::new(col(name)), data_type));
        let given = [col("amount") / col("whole"), col("mean") / col("whole"), cast("amount", DataType::Int32), col("whole") / lit(2_i64), col("amount") * col("amount")];
        let plan = table().project(given).unwrap().build().unwrap();
        let mended = analyzed(plan.clone());
        assert_eq!(plan.schema().field_names(), mended.schema().field_names());
        let types: Vec<DataType> = mended.schema().fields().iter().map(|field| field.data_type().clone()).collect();
        assert_eq!(types, [DataType::Decimal128(33, 20), DataType::Float64, DataType::Int32, DataType::Int64, DataType::Decimal128(31, 4)]);
        let text = mended.display_indent().to_string();
        assert!(text.contains("exact_div(t.amount, CAST(t.whole AS Decimal128(19, 0)))") && text.contains("rounded(t.amount)"), "{text}");
    }

    #[test]
    fn what_is_compared_is_rounded_first() {
        let cast = Expr::Cast(Cast::new(Box::new(col("amount")), DataType::Int32));
        let plan = table().filter(cast.eq(lit(733_i32))).unwrap().build().unwrap();
        assert!(analyzed(plan).display_indent().to_string().contains("rounded(t.amount) = Int32(733)"));
    }
}
