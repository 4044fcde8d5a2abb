//! Full text in SQL: `match(column, 'query')` and `score()`.
//!
//! What must stay true: `match` is answered by the index or not at all. It has no meaning that DataFusion could compute, so
//! a plan in which it stands anywhere but in a scan that took it is refused before it runs. `score()` is the column
//! `_score` of `search.alerts`, put in its place before planning; `SELECT *` from that table alone leaves the column out.

use std::ops::ControlFlow;

use arrow::array::Array;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::sql::sqlparser::ast::{
    ExceptSelectItem, Expr as SqlExpr, Function, FunctionArguments, Ident, ObjectName, ObjectNamePart, Select, SelectItem, TableFactor, VisitMut, VisitorMut,
};
use wh_schemas::arrow::SCORE_COLUMN;
use wh_stores::alerts;

use crate::errors::QueryError;

/// Name of the condition.
pub(crate) const MATCH: &str = "match";
/// Name of the relevance.
const SCORE: &str = "score";

/// Why a `match` is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misuse {
    /// It looks in what is not of the index.
    Column,
    /// What it looks for differs from row to row.
    Query,
    /// It stands elsewhere than in WHERE.
    Place,
}

/// What is said of it.
pub(crate) fn misplaced(misuse: Misuse) -> QueryError {
    let message = match misuse {
        Misuse::Column => "match() looks in the columns title and message of search.alerts, and in no other",
        Misuse::Query => "the query of match() must be a text or a parameter, the same for all rows",
        Misuse::Place => "match() must stand directly in WHERE, joined by AND with what is not of search.alerts",
    };
    QueryError::Refused {
        message: message.to_owned(),
        hint: Some("for example: SELECT alert_id, score() FROM search.alerts WHERE match(message, 'refund AND counterparty') ORDER BY score() DESC LIMIT 10".to_owned()),
    }
}

/// The function `match(text, query)`.
pub(crate) fn match_function() -> ScalarUDF {
    ScalarUDF::new_from_impl(MatchFunction { signature: Signature::exact(vec![DataType::Utf8, DataType::Utf8], Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct MatchFunction {
    signature: Signature,
}

impl ScalarUDFImpl for MatchFunction {
    fn name(&self) -> &str {
        MATCH
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    // So that an outer join under `WHERE match(…)` becomes an inner one, through which the condition reaches the index.
    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        // The optimizer asks what becomes of NULL; nobody else gets an answer here.
        let unknown = args.args.iter().any(|argument| match argument {
            ColumnarValue::Scalar(value) => value.is_null(),
            ColumnarValue::Array(values) => values.null_count() == values.len(),
        });
        if unknown { Ok(ColumnarValue::Scalar(ScalarValue::Boolean(None))) } else { Err(misplaced(Misuse::Place).into()) }
    }
}

fn is_match(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(function) if function.name() == MATCH)
}

/// Refuses an optimized plan in which `match` stands outside a scan that took it.
pub(crate) fn check(plan: &LogicalPlan) -> Result<(), QueryError> {
    let (mut stray, mut alerts) = (None, false);
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            alerts |= scan.source.schema().column_with_name(SCORE_COLUMN).is_some();
        } else {
            node.apply_expressions(|expr| {
                expr.apply(|part| {
                    if stray.is_none() && is_match(part) {
                        stray = Some(misuse(part));
                    }
                    Ok(TreeNodeRecursion::Continue)
                })
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(|error: DataFusionError| QueryError::from(error))?;
    match stray {
        Some(_) if !alerts => Err(misplaced(Misuse::Column)),
        Some(misuse) => Err(misplaced(misuse)),
        None => Ok(()),
    }
}

/// Why a call of `match` was not taken.
fn misuse(call: &Expr) -> Misuse {
    let Expr::ScalarFunction(function) = call else { return Misuse::Place };
    match function.args.as_slice() {
        [Expr::Column(column), _] if ![alerts::TITLE, alerts::MESSAGE].contains(&column.name.as_str()) => Misuse::Column,
        [Expr::Column(_), Expr::Literal(..)] => Misuse::Place,
        [Expr::Column(_), _] => Misuse::Query,
        _ => Misuse::Column,
    }
}

/// Puts `_score` in the place of each `score()`, and leaves it out of `SELECT *` from `search.alerts`.
pub(crate) fn rewrite_score<T: VisitMut>(statement: &mut T) {
    let ControlFlow::Continue(()) = statement.visit(&mut ScoreRewriter);
}

struct ScoreRewriter;

impl VisitorMut for ScoreRewriter {
    type Break = std::convert::Infallible;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        let only_alerts = only_alerts(select);
        for item in &mut select.projection {
            match item {
                SelectItem::UnnamedExpr(expr) if is_score(expr) => *item = SelectItem::ExprWithAlias { expr: score_column(), alias: Ident::new(SCORE) },
                SelectItem::Wildcard(options) if only_alerts && options.opt_except.is_none() && options.opt_exclude.is_none() => {
                    options.opt_except = Some(ExceptSelectItem { first_element: Ident::new(SCORE_COLUMN), additional_elements: Vec::new() });
                }
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut SqlExpr) -> ControlFlow<Self::Break> {
        if is_score(expr) {
            *expr = score_column();
        }
        ControlFlow::Continue(())
    }
}

fn score_column() -> SqlExpr {
    SqlExpr::Identifier(Ident::new(SCORE_COLUMN))
}

fn is_score(expr: &SqlExpr) -> bool {
    let SqlExpr::Function(Function { name, args: FunctionArguments::List(arguments), over: None, filter: None, .. }) = expr else { return false };
    arguments.args.is_empty() && idents(name).as_deref() == Some([SCORE.to_owned()].as_slice())
}

/// The parts of a name as SQL reads them: unquoted ones in lower case.
pub(crate) fn idents(name: &ObjectName) -> Option<Vec<String>> {
    name.0
        .iter()
        .map(|part| match part {
            ObjectNamePart::Identifier(ident) if ident.quote_style.is_none() => Some(ident.value.to_ascii_lowercase()),
            ObjectNamePart::Identifier(ident) => Some(ident.value.clone()),
            ObjectNamePart::Function(_) => None,
        })
        .collect()
}

/// Whether `search.alerts` is all that this SELECT reads from.
fn only_alerts(select: &Select) -> bool {
    let [from] = select.from.as_slice() else { return false };
    let TableFactor::Table { name, args: None, .. } = &from.relation else { return false };
    let Some(name) = idents(name) else { return false };
    let name: Vec<&str> = name.iter().map(String::as_str).collect();
    from.joins.is_empty() && matches!(name.as_slice(), ["search", "alerts"] | ["wardhouse", "search", "alerts"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    fn rewritten(sql: &str) -> String {
        let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap();
        rewrite_score(&mut statements);
        statements[0].to_string()
    }

    #[test]
    fn score_becomes_the_hidden_column() {
        assert_eq!(
            rewritten("SELECT alert_id, score() FROM search.alerts WHERE match(message, 'x') AND SCORE() > 1 ORDER BY score() DESC"),
            "SELECT alert_id, _score AS score FROM search.alerts WHERE match(message, 'x') AND _score > 1 ORDER BY _score DESC"
        );
        assert_eq!(rewritten("SELECT score(a), \"SCORE\"() FROM t"), "SELECT score(a), \"SCORE\"() FROM t");
    }

    #[test]
    fn the_star_of_search_alerts_alone_has_no_score() {
        assert_eq!(rewritten("SELECT * FROM search.alerts a"), "SELECT * EXCEPT (_score) FROM search.alerts a");
        assert_eq!(rewritten("SELECT * FROM ledger.transactions"), "SELECT * FROM ledger.transactions");
        assert_eq!(rewritten("SELECT * FROM search.alerts JOIN t USING (x)"), "SELECT * FROM search.alerts JOIN t USING(x)");
    }
}
