//! `SELECT generate_series(1, 5)` gives rows in PostgreSQL; the engine's function of this name gives one list.
//!
//! What must stay true: only a series that is a whole column becomes rows; in FROM it is the engine's function of tables.

use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName, ObjectNamePart, SelectItem,
};

use super::nothing;

const SERIES: &str = "generate_series";

/// Puts `unnest` around it.
pub(super) fn as_rows(columns: &mut [SelectItem]) {
    let mut is_named = false;
    for item in columns {
        match item {
            SelectItem::UnnamedExpr(expr) if is_series(expr) => {
                let rows = unnested(std::mem::replace(expr, nothing()));
                // Two columns of one name are none of the planner's.
                *item = if is_named { SelectItem::UnnamedExpr(rows) } else { SelectItem::ExprWithAlias { expr: rows, alias: Ident::new(SERIES) } };
                is_named = true;
            }
            SelectItem::ExprWithAlias { expr, .. } if is_series(expr) => *expr = unnested(std::mem::replace(expr, nothing())),
            _ => {}
        }
    }
}

fn is_series(expr: &SqlExpr) -> bool {
    let SqlExpr::Function(Function { name, args: FunctionArguments::List(_), over: None, filter: None, .. }) = expr else { return false };
    let [name] = name.0.as_slice() else { return false };
    name.as_ident().is_some_and(|ident| ident.value.eq_ignore_ascii_case(SERIES))
}

fn unnested(list: SqlExpr) -> SqlExpr {
    SqlExpr::Function(Function {
        name: ObjectName(vec![ObjectNamePart::Identifier(Ident::new("unnest"))]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args: vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(list))], clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
