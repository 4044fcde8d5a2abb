//! `||` between texts, as a function that measures first: PostgreSQL's own name for it is `textcat`.
//!
//! What must stay true: NULL with anything is NULL; a value that is no text is put in as its text; the heading of a column is what the
//! statement says.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::kernels::concat_elements::concat_elements_utf8;
use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, ScalarValue, exec_err};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::measure::Measure;
use super::{BATCH_BYTES, VALUE_BYTES, too_large};

/// The function.
pub(crate) fn function() -> ScalarUDF {
    ScalarUDF::new_from_impl(TextCat { signature: Signature::user_defined(Volatility::Immutable) })
}

/// Plans the operator as the function.
pub(crate) fn operator() -> Arc<dyn ExprPlanner> {
    Arc::new(Operator { function: Arc::new(function()) })
}

#[derive(Debug)]
struct Operator {
    function: Arc<ScalarUDF>,
}

impl ExprPlanner for Operator {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let kinds = |expr: &Expr| expr.get_type(schema).ok();
        let is_joined = expr.op == BinaryOperator::StringConcat
            && match (kinds(&expr.left), kinds(&expr.right)) {
                (Some(left), Some(right)) => (is_text(&left) && has_text(&right)) || (is_text(&right) && has_text(&left)),
                _ => false,
            };
        if is_joined { Ok(PlannerResult::Planned(self.function.call(vec![expr.left, expr.right]))) } else { Ok(PlannerResult::Original(expr)) }
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Whether values of a type have a text that is put in.
fn has_text(data_type: &DataType) -> bool {
    is_text(data_type) || data_type.is_numeric() || data_type.is_temporal() || matches!(data_type, DataType::Boolean | DataType::Null)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TextCat {
    signature: Signature,
}

impl ScalarUDFImpl for TextCat {
    fn name(&self) -> &'static str {
        "textcat"
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let [left, right] = args else { return exec_err!("textcat takes two texts") };
        Ok(format!("{} || {}", left.schema_name(), right.schema_name()))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if types.len() == 2 { Ok(vec![DataType::Utf8, DataType::Utf8]) } else { exec_err!("textcat takes two texts") }
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_one = args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let rows = if is_one { 1 } else { args.number_rows };
        let estimates = Measure::Concat.rows(&args.args, rows);
        let (most, all) = estimates.iter().fold((0, 0_u64), |(most, all), bytes| (*bytes.max(&most), all.saturating_add(*bytes)));
        if most > VALUE_BYTES {
            return Err(too_large("||", most, VALUE_BYTES, "in one value").into());
        }
        if all > BATCH_BYTES {
            return Err(too_large("||", all, BATCH_BYTES, "for a few thousand rows").into());
        }
        let [left, right] = args.args.as_slice() else { return exec_err!("textcat takes two texts") };
        let (left, right) = (left.to_array(rows)?, right.to_array(rows)?);
        let joined = concat_elements_utf8(left.as_string::<i32>(), right.as_string::<i32>())?;
        if is_one { Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&joined, 0)?)) } else { Ok(ColumnarValue::Array(Arc::new(joined))) }
    }
}
