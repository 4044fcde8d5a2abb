//! Series of numbers between bounds of 4 bytes, `generate_series(1, array_upper(current_schemas(false), 1))`, and of times by a step that is a text.
//!
//! DataFusion makes a series of integers of 8 bytes only, and asks for them, and for intervals, while it plans, before types are made the same.
//!
//! What must stay true: nothing but the width of integers that are written or computed beforehand is changed, and the step, which is a text nowhere else.

use std::sync::Arc;

use arrow::datatypes::{DataType, IntervalUnit};
use datafusion::catalog::{TableFunction, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Expr;

/// Names of the functions that give series.
pub(super) const NAMES: [&str; 2] = ["generate_series", "range"];

/// The same function, for integers of 4 bytes too.
pub(super) fn widened(function: &TableFunction) -> Arc<TableFunction> {
    Arc::new(TableFunction::new(function.name().to_owned(), Arc::new(Widened(Arc::clone(function.function())))))
}

#[derive(Debug)]
struct Widened(Arc<dyn TableFunctionImpl>);

impl TableFunctionImpl for Widened {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let mut wide: Vec<Expr> = args.exprs().iter().cloned().map(widen).collect();
        if let Some(step) = wide.get_mut(2)
            && let Expr::Literal(text @ (ScalarValue::Utf8(Some(_)) | ScalarValue::LargeUtf8(Some(_)) | ScalarValue::Utf8View(Some(_))), _) = &*step
        {
            *step = Expr::Literal(text.cast_to(&DataType::Interval(IntervalUnit::MonthDayNano))?, None);
        }
        self.0.call_with_args(TableFunctionArgs::new(&wide, args.session()))
    }
}

fn widen(argument: Expr) -> Expr {
    match argument {
        Expr::Literal(ScalarValue::Int32(Some(number)), metadata) => Expr::Literal(ScalarValue::Int64(Some(i64::from(number))), metadata),
        Expr::Literal(ScalarValue::Int32(None), metadata) => Expr::Literal(ScalarValue::Null, metadata),
        other => other,
    }
}
