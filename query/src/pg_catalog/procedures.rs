//! Columns that hold functions: `regproc` in PostgreSQL, which is a number that shows itself as a name. Here they are the names.
//!
//! What must stay true: such a column gives names, and is compared with names as one; with anything that is a number it is compared as the number
//! (`typinput = 'array_in'::regproc`, `p.oid = t.typinput`).

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Value, VisitMut, VisitorMut};

use super::functions::FUNCTION_NUMBER;
use super::session::{call, function_name, type_name};

/// The columns: of `pg_type`, `pg_am`, `pg_operator`, `pg_aggregate`, `pg_range`, `pg_conversion`, `pg_proc`, `pg_ts_parser` and `pg_ts_template`.
const COLUMNS: [&str; 32] = [
    "typsubscript",
    "typinput",
    "typoutput",
    "typreceive",
    "typsend",
    "typmodin",
    "typmodout",
    "typanalyze",
    "amhandler",
    "oprcode",
    "oprrest",
    "oprjoin",
    "aggfnoid",
    "aggtransfn",
    "aggfinalfn",
    "aggcombinefn",
    "aggserialfn",
    "aggdeserialfn",
    "aggmtransfn",
    "aggminvtransfn",
    "aggmfinalfn",
    "rngcanonical",
    "rngsubdiff",
    "conproc",
    "prosupport",
    "prsstart",
    "prstoken",
    "prsend",
    "prsheadline",
    "prslextype",
    "tmplinit",
    "tmpllexize",
];
/// Types of numbers of objects.
const NUMBERS: [&str; 14] = ["oid", "regproc", "regprocedure", "regclass", "regtype", "regnamespace", "int", "integer", "int4", "int8", "bigint", "smallint", "int2", "xid"];

/// Puts numbers in the places of functions that are compared with numbers.
pub(super) fn rewrite<T: VisitMut>(statement: &mut T) {
    let ControlFlow::Continue(()) = statement.visit(&mut Numbered);
}

struct Numbered;

impl VisitorMut for Numbered {
    type Break = std::convert::Infallible;

    // What is inside has its numbers.
    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        match expr {
            Expr::Cast { expr: operand, data_type, .. } if is_function(operand) => {
                let name = type_name(data_type);
                if ["regproc", "regprocedure"].contains(&name.as_str()) {
                    *expr = operand.as_ref().clone();
                } else if NUMBERS.contains(&name.as_str()) {
                    *expr = number(operand);
                }
            }
            Expr::BinaryOp { left, op, right } if compares(op) => {
                if is_function(left) && is_number(right) {
                    **left = number(left);
                } else if is_number(left) && is_function(right) {
                    **right = number(right);
                }
            }
            Expr::InList { expr: left, list, .. } if is_function(left) && list.iter().all(is_number) => **left = number(left),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn compares(operator: &BinaryOperator) -> bool {
    matches!(operator, BinaryOperator::Eq | BinaryOperator::NotEq | BinaryOperator::Lt | BinaryOperator::LtEq | BinaryOperator::Gt | BinaryOperator::GtEq)
}

fn number(function: &Expr) -> Expr {
    call(FUNCTION_NUMBER, vec![function.clone()])
}

/// The name of a column, in small letters.
fn column(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(ident) => Some(ident.value.to_lowercase()),
        Expr::CompoundIdentifier(idents) => idents.last().map(|ident| ident.value.to_lowercase()),
        Expr::Nested(inner) => column(inner),
        _ => None,
    }
}

fn is_function(expr: &Expr) -> bool {
    column(expr).is_some_and(|name| COLUMNS.contains(&name.as_str()))
}

/// Whether it is a number of an object, as far as that is written.
fn is_number(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => matches!(value.value, Value::Number(..)),
        Expr::Cast { data_type, .. } => NUMBERS.contains(&type_name(data_type).as_str()),
        Expr::Function(function) => function_name(function).is_some_and(|name| name.starts_with("to_reg")),
        Expr::Nested(inner) => is_number(inner),
        other => column(other).is_some_and(|name| name.ends_with("oid") && !COLUMNS.contains(&name.as_str())),
    }
}
