//! `sum(x), sum(x::bigint)`: DataFusion names both alike, since the name of an expression leaves its casts out, and refuses two columns of one name.
//!
//! A statement that is refused for it is planned again with each cast inside as many `coalesce()` as its type is among the statement's: of one value
//! that is the value itself.
//!
//! What must stay true: only a statement that could not be planned is changed; equal expressions stay equal.

use std::ops::ControlFlow;

use datafusion::common::DataFusionError;
use datafusion::sql::parser::{ExplainStatement, Statement as DfStatement};
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName, ObjectNamePart, Value, VisitMut, VisitorMut,
};

/// Whether a plan was refused because expressions have one name.
pub(crate) fn is_refused(error: &DataFusionError) -> bool {
    error.to_string().contains("Schema contains duplicate unqualified field name")
}

/// The statement with its casts told apart.
pub(crate) fn told_apart(mut statement: DfStatement) -> DfStatement {
    match &mut statement {
        DfStatement::Statement(sql) => {
            let ControlFlow::Continue(()) = VisitMut::visit(&mut **sql, &mut Casts(Vec::new()));
        }
        DfStatement::Explain(ExplainStatement { statement, .. }) => **statement = told_apart(DfStatement::clone(statement)),
        _ => {}
    }
    statement
}

/// The types that were met.
struct Casts(Vec<String>);

impl VisitorMut for Casts {
    type Break = std::convert::Infallible;

    fn post_visit_expr(&mut self, expr: &mut SqlExpr) -> ControlFlow<Self::Break> {
        let SqlExpr::Cast { data_type, expr: of, .. } = &*expr else { return ControlFlow::Continue(()) };
        // What is written as a value may have to be one.
        if matches!(**of, SqlExpr::Value(_)) {
            return ControlFlow::Continue(());
        }
        let named = data_type.to_string().to_lowercase();
        let found = self.0.iter().position(|known| *known == named);
        let place = found.unwrap_or(self.0.len());
        if found.is_none() {
            self.0.push(named);
        }
        for _ in 0..=place {
            let inner = std::mem::replace(expr, SqlExpr::Value(Value::Null.with_empty_span()));
            *expr = itself(inner);
        }
        ControlFlow::Continue(())
    }
}

fn itself(expr: SqlExpr) -> SqlExpr {
    SqlExpr::Function(Function {
        name: ObjectName(vec![ObjectNamePart::Identifier(Ident::new("coalesce"))]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args: vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))], clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
