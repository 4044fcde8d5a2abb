//! `snippet(column[, max])`: where in a text `match` found its words.
//!
//! What must stay true: it is computed here, from the text, and so the same on both stores of `search.alerts`. The queries are those of the
//! SELECT's own `match(column, …)`, which are put behind its arguments before planning; without one there is nothing to show, and it is
//! refused.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{AsArray, StringBuilder};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr as SqlExpr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Select, SelectItem, Value as SqlValue, VisitMut, VisitorMut,
};

use crate::errors::QueryError;
use crate::excerpt::Words;
use crate::fulltext::{MATCH, idents};
use crate::search::parsed;

/// Its name.
const SNIPPET: &str = "snippet";
/// Characters that it has where nothing is said.
const LENGTH: i64 = 200;
/// Fewest and most characters.
const SHORTEST: i64 = 20;
const LONGEST: i64 = 10_000;
/// Most queries that words are taken from.
const MAX_QUERIES: usize = 8;

fn unbound() -> QueryError {
    QueryError::Refused {
        message: "snippet() shows what match() found: the SELECT that it is in needs match() on the same column, directly in WHERE".to_owned(),
        hint: Some("for example: SELECT alert_id, snippet(message, 120) FROM search.alerts WHERE match(message, 'refund AND night')".to_owned()),
    }
}

/// Gives each `snippet(column[, max])` the queries of the `match(column, …)` in its SELECT's WHERE.
pub(crate) fn bind<T: VisitMut>(statement: &mut T) {
    let ControlFlow::Continue(()) = statement.visit(&mut Binder { selects: Vec::new() });
}

/// A `match` that must, or may, hold.
struct Matched {
    column: Vec<String>,
    query: SqlExpr,
}

struct Binder {
    /// Of each SELECT around, the innermost last.
    selects: Vec<Vec<Matched>>,
}

impl VisitorMut for Binder {
    type Break = std::convert::Infallible;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) = item
                && matches!(called(expr), Some((SNIPPET, _)))
            {
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::new(SNIPPET) };
            }
        }
        self.selects.push(select.selection.as_ref().map(matched).unwrap_or_default());
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _select: &mut Select) -> ControlFlow<Self::Break> {
        self.selects.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut SqlExpr) -> ControlFlow<Self::Break> {
        let Some((SNIPPET, [text, ..])) = called(expr) else { return ControlFlow::Continue(()) };
        let Some(column) = argument(text).and_then(column) else { return ControlFlow::Continue(()) };
        let found = self.selects.last().map(Vec::as_slice).unwrap_or_default();
        let queries: Vec<SqlExpr> = found.iter().filter(|matched| is_same(&matched.column, &column)).map(|matched| matched.query.clone()).take(MAX_QUERIES).collect();
        if let SqlExpr::Function(Function { args: FunctionArguments::List(arguments), .. }) = expr
            && arguments.args.len() <= 2
            && !queries.is_empty()
        {
            let given = |expr: SqlExpr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr));
            if arguments.args.len() == 1 {
                arguments.args.push(given(SqlExpr::value(SqlValue::Number(LENGTH.to_string(), false))));
            }
            arguments.args.extend(queries.into_iter().map(given));
        }
        ControlFlow::Continue(())
    }
}

/// The conditions of a WHERE that are `match`, those under NOT left out.
fn matched(selection: &SqlExpr) -> Vec<Matched> {
    let (mut found, mut open) = (Vec::new(), vec![selection]);
    while let Some(expr) = open.pop() {
        match expr {
            SqlExpr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } => open.extend([right.as_ref(), left.as_ref()]),
            SqlExpr::Nested(inner) => open.push(inner),
            other => {
                if let Some((MATCH, [text, query])) = called(other)
                    && let (Some(column), Some(query)) = (argument(text).and_then(column), argument(query))
                {
                    found.push(Matched { column, query: query.clone() });
                }
            }
        }
    }
    found
}

/// Name and arguments of a plain call of one of the two functions.
fn called(expr: &SqlExpr) -> Option<(&'static str, &[FunctionArg])> {
    let SqlExpr::Function(Function { name, args: FunctionArguments::List(arguments), over: None, filter: None, .. }) = expr else { return None };
    let parts = idents(name)?;
    let [name] = parts.as_slice() else { return None };
    let known = [MATCH, SNIPPET].into_iter().find(|known| known == name)?;
    Some((known, &arguments.args))
}

fn argument(argument: &FunctionArg) -> Option<&SqlExpr> {
    if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = argument { Some(expr) } else { None }
}

/// The parts of a column's name as SQL reads them.
fn column(expr: &SqlExpr) -> Option<Vec<String>> {
    let read = |ident: &Ident| if ident.quote_style.is_none() { ident.value.to_ascii_lowercase() } else { ident.value.clone() };
    match expr {
        SqlExpr::Identifier(ident) => Some(vec![read(ident)]),
        SqlExpr::CompoundIdentifier(parts) => Some(parts.iter().map(read).collect()),
        _ => None,
    }
}

/// Whether two names are of one column, as far as they say of which table.
fn is_same(one: &[String], other: &[String]) -> bool {
    one.iter().rev().zip(other.iter().rev()).all(|(one, other)| one == other)
}

/// The function `snippet(text, max, query, …)`.
pub(crate) fn function() -> ScalarUDF {
    let bound = (0..=MAX_QUERIES).map(|queries| {
        let mut types = vec![DataType::Utf8, DataType::Int64];
        types.resize(2 + queries, DataType::Utf8);
        TypeSignature::Exact(types)
    });
    let signatures = std::iter::once(TypeSignature::Exact(vec![DataType::Utf8])).chain(bound).collect();
    ScalarUDF::new_from_impl(SnippetFunction { signature: Signature::one_of(signatures, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SnippetFunction {
    signature: Signature,
}

impl ScalarUDFImpl for SnippetFunction {
    fn name(&self) -> &str {
        SNIPPET
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        if arguments.len() > 2 { Ok(DataType::Utf8) } else { Err(unbound().into()) }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        if let Some(Some(ScalarValue::Int64(Some(most)))) = args.scalar_arguments.get(1)
            && *most < 1
        {
            return exec_err!("snippet() shows at least one character, not {most}");
        }
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        Ok(Arc::new(Field::new(SNIPPET, self.return_type(&types)?, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let mut arguments = args.args.into_iter();
        let (Some(text), Some(ColumnarValue::Scalar(ScalarValue::Int64(Some(most))))) = (arguments.next(), arguments.next()) else {
            return exec_err!("snippet() takes a column and a number of characters");
        };
        let mut words = Words::new();
        for query in arguments {
            let ColumnarValue::Scalar(ScalarValue::Utf8(Some(query))) = query else { return exec_err!("the query of match() is a text, the same for all rows") };
            words.add(parsed(&query)?);
        }
        let most = usize::try_from(most.clamp(SHORTEST, LONGEST)).unwrap_or_default();
        let texts = text.into_array(rows)?;
        let Some(texts) = texts.as_string_opt::<i32>() else { return exec_err!("snippet() takes text, not {}", texts.data_type()) };
        let mut found = StringBuilder::with_capacity(rows, rows * 64);
        for text in texts {
            found.append_option(text.map(|text| words.excerpt(text, most)));
        }
        Ok(ColumnarValue::Array(Arc::new(found.finish())))
    }
}

#[cfg(test)]
#[path = "snippet_tests.rs"]
mod tests;
