//! Integers beyond their type: an error, as in PostgreSQL, where DataFusion wraps around.
//!
//! `+`, `-` (of two, and of one) and `*` of integers become functions that compute the same and fail on what does not fit. They are put in place before types are
//! coerced, and before constants are folded, which has no other way to fail. Whatever has no sign becomes a `bigint`, as everything that is counted is
//! in PostgreSQL: `row_number() - 1`, and the difference of two.
//!
//! What must stay true: what fits has the value, the name and the nullability that it had; a message holds no value.

use std::sync::Arc;

use arrow::array::{ArrayRef, Datum};
use arrow::compute::kernels::numeric::{add, mul, sub};
use arrow::datatypes::{DataType, Field, FieldRef};
use arrow::error::ArrowError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue, internal_err};
use datafusion::logical_expr::expr::{BinaryExpr, Cast};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_expr_common::datum::apply;

/// Puts functions that fail in the place of operators that wrap.
#[derive(Debug)]
pub(crate) struct CheckIntegers;

impl AnalyzerRule for CheckIntegers {
    fn name(&self) -> &str {
        "check_integers"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let mut some = false;
        let rewritten = plan.transform_up_with_subqueries(|node| {
            let node = if computes(&node)? { checked_node(node)? } else { Transformed::no(node) };
            some |= node.transformed;
            // What has no sign is of another type than it was: what stands above has to know.
            if some { node.map_data(LogicalPlan::recompute_schema) } else { Ok(node) }
        })?;
        Ok(rewritten.data)
    }
}

/// Whether something is computed in it that may wrap.
fn computes(node: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    node.apply_expressions(|expr| {
        found = expr.exists(|part| Ok(matches!(part, Expr::Negative(_)) || matches!(part, Expr::BinaryExpr(BinaryExpr { op, .. }) if name(*op).is_some())))?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn checked_node(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = if let LogicalPlan::TableScan(scan) = &node { DFSchema::clone(&scan.projected_schema) } else { merge_schema(&node.inputs()) };
    let names = NamePreserver::new(&node);
    node.map_expressions(|expr| {
        let name = names.save(&expr);
        let rewritten = expr.transform_up(|expr| Ok(checked(expr, &schema)))?;
        if rewritten.transformed { Ok(rewritten.update_data(|expr| name.restore(expr))) } else { Ok(rewritten) }
    })
}

fn checked(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (name(op), common_type(&left, op, &right, schema)) {
            (Some(name), Some(data_type)) => Transformed::yes(call(name, op, cast(*left, &data_type, schema), cast(*right, &data_type, schema))),
            _ => Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })),
        },
        // The least integer has no counterpart.
        Expr::Negative(of) => match common_type(&of, Operator::Minus, &of, schema).and_then(|data_type| Some((ScalarValue::new_zero(&data_type).ok()?, data_type))) {
            Some((zero, data_type)) => Transformed::yes(call("checked_sub", Operator::Minus, Expr::Literal(zero, None), cast(*of, &data_type, schema))),
            None => Transformed::no(Expr::Negative(of)),
        },
        other => Transformed::no(other),
    }
}

fn call(name: &'static str, operator: Operator, left: Expr, right: Expr) -> Expr {
    ScalarUDF::new_from_impl(Checked { name, operator, signature: Signature::any(2, Volatility::Immutable) }).call(vec![left, right])
}

/// The name of the function that is put in an operator's place.
fn name(operator: Operator) -> Option<&'static str> {
    match operator {
        Operator::Plus => Some("checked_add"),
        Operator::Minus => Some("checked_sub"),
        Operator::Multiply => Some("checked_mul"),
        _ => None,
    }
}

/// The type in which two integers are computed; nothing where one of both is none.
fn common_type(left: &Expr, operator: Operator, right: &Expr, schema: &DFSchema) -> Option<DataType> {
    let (left, right) = (left.get_type(schema).ok()?, right.get_type(schema).ok()?);
    if !left.is_integer() || !right.is_integer() {
        return None;
    }
    if left.is_unsigned_integer() || right.is_unsigned_integer() {
        return Some(DataType::Int64);
    }
    let (data_type, _) = BinaryTypeCoercer::new(&left, &operator, &right).get_input_types().ok()?;
    data_type.is_integer().then_some(data_type)
}

fn cast(expr: Expr, data_type: &DataType, schema: &DFSchema) -> Expr {
    if expr.get_type(schema).is_ok_and(|known| known == *data_type) { expr } else { Expr::Cast(Cast::new(Box::new(expr), data_type.clone())) }
}

/// An operator on two integers of one type.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    name: &'static str,
    operator: Operator,
    signature: Signature,
}

type Kernel = fn(&dyn Datum, &dyn Datum) -> Result<ArrayRef, ArrowError>;

impl Checked {
    fn kernel(&self) -> Kernel {
        match self.operator {
            Operator::Plus => add,
            Operator::Minus => sub,
            _ => mul,
        }
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        self.name
    }

    /// That of the operator.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let [left, right] = args else { return internal_err!("{} takes two integers", self.name) };
        Ok(format!("{} {} {}", left.schema_name(), self.operator, right.schema_name()))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [left, right] if left == right => Ok(left.clone()),
            _ => internal_err!("{} takes two integers of one type, not {arguments:?}", self.name),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name, self.return_type(&types)?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else { return internal_err!("{} takes two integers", self.name) };
        apply(left, right, self.kernel()).map_err(|error| {
            let is_beyond = matches!(&error, DataFusionError::ArrowError(arrow, _) if matches!(**arrow, ArrowError::ArithmeticOverflow(_)));
            if is_beyond { DataFusionError::Execution(format!("{} out of range", called(&left.data_type()))) } else { error }
        })
    }
}

/// What PostgreSQL calls a type.
fn called(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Int8 | DataType::Int16 => "smallint",
        DataType::Int32 => "integer",
        _ => "bigint",
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::Schema;
    use datafusion::logical_expr::{LogicalPlanBuilder, col, lit, table_scan};

    use super::*;

    fn table() -> LogicalPlanBuilder {
        let fields = [("small", DataType::Int32), ("whole", DataType::Int64), ("count", DataType::UInt64), ("mean", DataType::Float64)];
        let fields: Vec<Field> = fields.into_iter().map(|(name, data_type)| Field::new(name, data_type, name == "whole")).collect();
        table_scan(Some("t"), &Schema::new(fields), None).unwrap()
    }

    fn analyzed(plan: LogicalPlan) -> LogicalPlan {
        CheckIntegers.analyze(plan, &ConfigOptions::default()).unwrap()
    }

    #[test]
    fn what_is_computed_keeps_name_and_nullability() {
        let plan = table().project([col("small") * lit(2_i64), col("whole") + lit(1_i64), col("small") - col("small"), col("mean") * lit(2_i64)]).unwrap().build().unwrap();
        let checked = analyzed(plan.clone());
        assert_eq!(checked.schema().fields().len(), 4);
        for (was, is) in plan.schema().fields().iter().zip(checked.schema().fields()) {
            assert_eq!((was.name(), was.data_type(), was.is_nullable()), (is.name(), is.data_type(), is.is_nullable()));
        }
        let text = checked.display_indent().to_string();
        assert!(text.contains("checked_mul(CAST(t.small AS Int64), Int64(2))") && text.contains("t.mean * Int64(2)"), "{text}");
    }

    #[test]
    fn what_has_no_sign_gets_one() {
        let plan = table().project([(col("count") - col("count")).alias("apart")]).unwrap().filter(col("apart").lt(lit(0_i64))).unwrap().build().unwrap();
        assert_eq!(plan.schema().field(0).data_type(), &DataType::UInt64);
        assert_eq!(analyzed(plan).schema().field(0).data_type(), &DataType::Int64);
    }

    #[test]
    fn a_plan_without_integers_is_left() {
        let plan = table().project([col("mean") * col("mean")]).unwrap().build().unwrap();
        assert_eq!(analyzed(plan.clone()), plan);
    }
}
