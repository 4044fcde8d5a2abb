//! Series of numbers between bounds of 4 bytes: `generate_series(1, array_upper(current_schemas(false), 1))`.
//!
//! DataFusion makes a series of integers of 8 bytes only, and asks for them while it plans, before types are made the same.
//!
//! What must stay true: nothing but the width of integers that are written or computed beforehand is changed.

use std::sync::Arc;

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
        let wide: Vec<Expr> = args.exprs().iter().cloned().map(widen).collect();
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
