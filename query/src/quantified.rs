//! `x > ALL (SELECT …)`, `x = ANY (SELECT …)` and their like.
//!
//! DataFusion makes EXISTS of them, with a comparison inside in which a column of the outer row and one of the subquery have one name as soon as both
//! read the same table: the inner one is then compared with itself. Here a subquery that does not depend on the outer row is asked for its least and its
//! greatest value, and for whether it has rows and NULLs (SQL:2016, 8.9 "quantified comparison predicate"): those say as much as all of its values do.
//! One that depends on the outer row stays with DataFusion, its column under a name that nothing else has.
//!
//! What must stay true: true, false and NULL are those of SQL, without rows and with NULLs among them; an expression keeps its name; what could still be
//! taken for a column of another table is refused.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result, ScalarValue, not_impl_err};
use datafusion::functions_aggregate::expr_fn::{array_agg, count, max, min};
use datafusion::functions_nested::expr_fn::array_has;
use datafusion::logical_expr::expr::{Case, InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, binary_expr, lit};
use datafusion::optimizer::AnalyzerRule;

use crate::errors::QueryError;

/// The name of a column that is compared, where its subquery depends on the outer row.
const COMPARED: &str = "__compared";

/// What a subquery's rows are: none, some with NULL among them, some without.
const NO_ROWS: i64 = 0;
const WITH_NULLS: i64 = 1;
const WITHOUT_NULLS: i64 = 2;

/// Puts what the values of a subquery say together in the place of comparisons with each of them. Types are the same on both sides before it.
#[derive(Debug)]
pub(crate) struct CompareWithAll;

impl AnalyzerRule for CompareWithAll {
    fn name(&self) -> &'static str {
        "compare_with_all"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let rewritten = plan.transform_up_with_subqueries(|node| if compares(&node)? { rewritten(node) } else { Ok(Transformed::no(node)) })?;
        Ok(rewritten.data)
    }
}

fn compares(node: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    node.apply_expressions(|expr| {
        found = expr.exists(|part| Ok(matches!(part, Expr::SetComparison(_))))?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn rewritten(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    // A condition that must hold can be a join.
    let node = match node {
        LogicalPlan::Filter(Filter { predicate, input, .. }) => {
            let conditions = split_conjunction_owned(predicate).into_iter().map(listed).collect::<Vec<_>>();
            LogicalPlan::Filter(Filter::try_new(conjunction(conditions).unwrap_or_else(|| lit(true)), input)?)
        }
        other => other,
    };
    let names = NamePreserver::new(&node);
    let compared = node.map_expressions(|expr| {
        let name = names.save(&expr);
        let compared = expr.transform_up(|part| match part {
            Expr::SetComparison(comparison) => Ok(Transformed::yes(compared(comparison)?)),
            other => Ok(Transformed::no(other)),
        })?;
        if compared.transformed { Ok(compared.update_data(|expr| name.restore(expr))) } else { Ok(compared) }
    })?;
    Ok(Transformed::yes(compared.data))
}

/// `x = ANY (…)` as `x IN (…)`. Its counterpart, `x <> ALL (…)`, is no join: a NULL makes it unknown for every row.
fn listed(condition: Expr) -> Expr {
    match condition {
        Expr::SetComparison(SetComparison { expr, subquery, op: Operator::Eq, quantifier: SetQuantifier::Any }) if is_alone(&subquery) => {
            Expr::InSubquery(InSubquery::new(expr, subquery, false))
        }
        other => other,
    }
}

/// Whether a subquery is the same for each outer row.
fn is_alone(subquery: &Subquery) -> bool {
    subquery.outer_ref_columns.is_empty()
}

/// What it is, put together of what the subquery's values say.
pub(crate) fn compared(comparison: SetComparison) -> Result<Expr> {
    if !is_alone(&comparison.subquery) {
        return Ok(Expr::SetComparison(renamed(comparison)?));
    }
    let SetComparison { expr, subquery, op, quantifier } = comparison;
    let left = *expr;
    let is_any = matches!(quantifier, SetQuantifier::Any);
    let (least, greatest) = (|| scalar(&subquery, min), || scalar(&subquery, max));
    // What decides it, whatever else is among the values: a value for which it holds, or one for which it does not.
    let decides = match (op, is_any) {
        (Operator::Gt | Operator::GtEq, true) => binary_expr(left.clone(), op, least()?),
        (Operator::Lt | Operator::LtEq, true) => binary_expr(left.clone(), op, greatest()?),
        (Operator::Gt | Operator::GtEq, false) => Expr::Not(Box::new(binary_expr(left.clone(), op, greatest()?))),
        (Operator::Lt | Operator::LtEq, false) => Expr::Not(Box::new(binary_expr(left.clone(), op, least()?))),
        (Operator::NotEq, true) | (Operator::Eq, false) => left.clone().not_eq(least()?).or(left.clone().not_eq(greatest()?)),
        (Operator::Eq, true) | (Operator::NotEq, false) => array_has(scalar(&subquery, array_agg)?, left.clone()),
        (other, _) => return not_impl_err!("{other} with ANY or ALL of a subquery"),
    };
    let unknown = || Expr::Literal(ScalarValue::Boolean(None), None);
    let whens =
        vec![(state(&subquery)?.eq(lit(NO_ROWS)), lit(!is_any)), (left.clone().is_null(), unknown()), (decides, lit(is_any)), (state(&subquery)?.eq(lit(WITH_NULLS)), unknown())];
    Ok(case(whens, lit(!is_any)))
}

fn case(whens: Vec<(Expr, Expr)>, otherwise: Expr) -> Expr {
    Expr::Case(Case::new(None, whens.into_iter().map(|(when, then)| (Box::new(when), Box::new(then))).collect(), Some(Box::new(otherwise))))
}

/// The one column of a subquery.
pub(crate) fn column(subquery: &Subquery) -> Result<Expr> {
    match subquery.subquery.schema().columns().as_slice() {
        [column] => Ok(Expr::Column(Column::clone(column))),
        columns => {
            let message = format!("the subquery of ANY or ALL gives {} columns, and has to give one", columns.len());
            Err(QueryError::Invalid { message, line: None, column: None, hint: None }.into())
        }
    }
}

fn scalar(subquery: &Subquery, aggregate: fn(Expr) -> Expr) -> Result<Expr> {
    let plan = LogicalPlanBuilder::from(subquery.subquery.as_ref().clone()).aggregate(Vec::<Expr>::new(), vec![aggregate(column(subquery)?)])?.build()?;
    Ok(Expr::ScalarSubquery(subquery.with_plan(Arc::new(plan))))
}

/// What its rows are.
fn state(subquery: &Subquery) -> Result<Expr> {
    let rows = count(lit(1_i64)).alias("rows");
    let values = count(column(subquery)?).alias("values");
    let [has_rows, has_values] = ["rows", "values"].map(|name| Expr::Column(Column::new_unqualified(name)));
    let kind = case(vec![(has_rows.clone().eq(lit(0_i64)), lit(NO_ROWS)), (has_rows.gt(has_values), lit(WITH_NULLS))], lit(WITHOUT_NULLS));
    let plan = LogicalPlanBuilder::from(subquery.subquery.as_ref().clone()).aggregate(Vec::<Expr>::new(), vec![rows, values])?;
    Ok(Expr::ScalarSubquery(subquery.with_plan(Arc::new(plan.project(vec![kind.alias("kind")])?.build()?))))
}

/// The same with another name for the subquery's column.
fn renamed(comparison: SetComparison) -> Result<SetComparison> {
    let SetComparison { expr, subquery, op, quantifier } = comparison;
    let mut inside = Vec::new();
    subquery.subquery.as_ref().apply(|node| {
        inside.extend(node.schema().columns());
        // What stands under an alias is not seen above it.
        Ok(if matches!(node, LogicalPlan::SubqueryAlias(_)) { TreeNodeRecursion::Jump } else { TreeNodeRecursion::Continue })
    })?;
    if let Some(taken) = expr.column_refs().into_iter().find(|outside| inside.contains(outside)) {
        let message = format!("{} is compared with ANY or ALL of a subquery that reads the same table and depends on the outer row", taken.name);
        return Err(QueryError::Refused { message, hint: Some("give the table another alias in the subquery".to_owned()) }.into());
    }
    let plan = LogicalPlanBuilder::from(subquery.subquery.as_ref().clone()).project(vec![column(&subquery)?.alias(COMPARED)])?.build()?;
    Ok(SetComparison::new(expr, subquery.with_plan(Arc::new(plan)), op, quantifier))
}

#[cfg(test)]
mod tests {
    use arrow::array::RecordBatch;
    use arrow::util::display::array_value_to_string;
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;

    const TABLES: &str = "WITH t(a) AS (VALUES (1), (2), (3), (NULL)), u(a) AS (VALUES (1), (2)), n(a) AS (VALUES (2), (NULL)) ";

    fn values(batches: &[RecordBatch]) -> Vec<String> {
        batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|row| array_value_to_string(batch.column(0), row).unwrap())).collect()
    }

    #[tokio::test]
    async fn it_is_true_false_or_null_as_in_sql() {
        let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
        context.add_analyzer_rule(Arc::new(CompareWithAll));
        for (comparison, wanted) in [
            ("t.a > ALL (SELECT u.a FROM u)", ["false", "false", "true", ""]),
            ("t.a >= ALL (SELECT u.a FROM u)", ["false", "true", "true", ""]),
            ("t.a < ALL (SELECT u.a FROM u)", ["false", "false", "false", ""]),
            ("t.a <= ANY (SELECT u.a FROM u)", ["true", "true", "false", ""]),
            ("t.a > ANY (SELECT u.a FROM u)", ["false", "true", "true", ""]),
            ("t.a = ANY (SELECT u.a FROM u)", ["true", "true", "false", ""]),
            ("t.a <> ALL (SELECT u.a FROM u)", ["false", "false", "true", ""]),
            ("t.a <> ANY (SELECT u.a FROM u)", ["true", "true", "true", ""]),
            ("t.a = ALL (SELECT u.a FROM u WHERE u.a = 1)", ["true", "false", "false", ""]),
            ("t.a > ANY (SELECT n.a FROM n)", ["", "", "true", ""]),
            ("t.a > ALL (SELECT n.a FROM n)", ["false", "false", "", ""]),
            ("t.a = ANY (SELECT n.a FROM n)", ["", "true", "", ""]),
            ("t.a <> ALL (SELECT n.a FROM n)", ["", "false", "", ""]),
            ("t.a > ALL (SELECT n.a FROM n WHERE false)", ["true", "true", "true", "true"]),
            ("t.a > ANY (SELECT n.a FROM n WHERE false)", ["false", "false", "false", "false"]),
            ("t.a = ANY (SELECT n.a FROM n WHERE false)", ["false", "false", "false", "false"]),
            ("t.a <> ALL (SELECT n.a FROM n WHERE false)", ["true", "true", "true", "true"]),
            ("t.a >= ALL (SELECT a FROM t WHERE a < 3)", ["false", "true", "true", ""]),
            ("1 < ANY (SELECT column1 FROM (VALUES (1), (2)) AS x) AND 3 > ALL (SELECT column1 FROM (VALUES (1), (2)) AS y)", ["true", "true", "true", "true"]),
        ] {
            let sql = format!("{TABLES} SELECT {comparison} AS c FROM t ORDER BY t.a NULLS LAST");
            let batches = context.sql(&sql).await.unwrap().collect().await.unwrap_or_else(|error| panic!("{comparison}\n{error}"));
            assert_eq!(values(&batches), wanted, "{comparison}");
            let kept = wanted.iter().filter(|value| **value == "true").count().to_string();
            let sql = format!("{TABLES} SELECT count(*) AS c FROM t WHERE {comparison}");
            let batches = context.sql(&sql).await.unwrap().collect().await.unwrap_or_else(|error| panic!("{comparison}\n{error}"));
            assert_eq!(values(&batches), [kept], "WHERE {comparison}");
        }
    }
}
