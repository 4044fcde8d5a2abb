//! `x IN (SELECT …)` where it may be unknown: DataFusion makes a join of it that knows only true and false.
//!
//! A condition keeps the rows of which it is true, so that false and unknown are one there: an IN that is a part of one by AND and OR alone stays as it is,
//! and so does a NOT IN that has to hold by itself, of which DataFusion's anti join knows what NULL means. Anywhere else, as under NOT, IS NULL, CASE or a
//! comparison, the three values are put together (SQL:2016, 8.4 "in predicate"): true where a row is found, unknown where one of the rows, or `x` and there
//! are rows, is NULL, and false otherwise. In conditions each of these is a join; in a select list, which has no joins, `quantified.rs` does it.
//!
//! A subquery that depends on the outer row and gives one row always, as `SELECT count(*) …` does, is compared with instead: a join would have no row for it
//! where there is nothing to count.
//!
//! What must stay true: an expression keeps its name; where nothing can be NULL, nothing is changed.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{BinaryExpr, Case, Exists, InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, Filter, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, binary_expr, lit};
use datafusion::optimizer::AnalyzerRule;

use crate::quantified;

/// Puts what has three values in the place of what has two. Types are the same on both sides before it.
#[derive(Debug)]
pub(crate) struct KnowUnknown;

impl AnalyzerRule for KnowUnknown {
    fn name(&self) -> &'static str {
        "know_unknown"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let mut some = false;
        let rewritten = plan.transform_up_with_subqueries(|node| {
            let node = if has_members(&node)? { rewritten(node)? } else { Transformed::no(node) };
            some |= node.transformed;
            // What was true or false may be NULL now: what stands above has to know.
            if some { node.map_data(LogicalPlan::recompute_schema) } else { Ok(node) }
        })?;
        Ok(rewritten.data)
    }
}

fn has_members(node: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    node.apply_expressions(|expr| {
        found = expr.exists(|part| Ok(matches!(part, Expr::InSubquery(_) | Expr::Exists(_))))?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn rewritten(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = merge_schema(&node.inputs());
    let settled = each(node, |part| Ok(of_one_row(part)))?;
    let valued = with_values(settled.data, &schema)?;
    Ok(Transformed::new_transformed(valued.data, valued.transformed || settled.transformed))
}

/// Changes parts of a node's expressions, which keep their names.
fn each(node: LogicalPlan, mut change: impl FnMut(Expr) -> Result<Transformed<Expr>>) -> Result<Transformed<LogicalPlan>> {
    let names = NamePreserver::new(&node);
    node.map_expressions(|expr| {
        let name = names.save(&expr);
        let changed = expr.transform_up(&mut change)?;
        if changed.transformed { Ok(changed.update_data(|expr| name.restore(expr))) } else { Ok(changed) }
    })
}

/// What is asked of a subquery that always gives one row for each outer row.
fn of_one_row(part: Expr) -> Transformed<Expr> {
    match part {
        Expr::InSubquery(InSubquery { expr, subquery, negated }) if gives_one_row(&subquery) => {
            let op = if negated { Operator::NotEq } else { Operator::Eq };
            Transformed::yes(binary_expr(*expr, op, Expr::ScalarSubquery(subquery)))
        }
        Expr::Exists(Exists { subquery, negated }) if gives_one_row(&subquery) => Transformed::yes(lit(!negated)),
        other => Transformed::no(other),
    }
}

fn gives_one_row(subquery: &Subquery) -> bool {
    let mut plan = subquery.subquery.as_ref();
    loop {
        plan = match plan {
            LogicalPlan::Projection(projection) => projection.input.as_ref(),
            LogicalPlan::SubqueryAlias(alias) => alias.input.as_ref(),
            LogicalPlan::Aggregate(aggregate) => return aggregate.group_expr.is_empty() && !subquery.outer_ref_columns.is_empty(),
            _ => return false,
        };
    }
}

fn with_values(node: LogicalPlan, schema: &DFSchema) -> Result<Transformed<LogicalPlan>> {
    match node {
        LogicalPlan::Filter(Filter { predicate, input, .. }) => {
            let condition = condition(predicate, schema, true)?;
            Ok(Transformed::new_transformed(LogicalPlan::Filter(Filter::try_new(condition.data, input)?), condition.transformed))
        }
        LogicalPlan::Join(mut join) => {
            let mut transformed = false;
            if let Some(filter) = join.filter.take() {
                let condition = condition(filter, schema, true)?;
                transformed = condition.transformed;
                join.filter = Some(condition.data);
            }
            Ok(Transformed::new_transformed(LogicalPlan::Join(join), transformed))
        }
        other => each(other, |part| match part {
            Expr::InSubquery(within) if within.subquery.outer_ref_columns.is_empty() => Ok(Transformed::yes(compared(within)?)),
            other => Ok(Transformed::no(other)),
        }),
    }
}

/// `x IN (…)` as `x = ANY (…)`, and `x NOT IN (…)` as `x <> ALL (…)`.
fn compared(within: InSubquery) -> Result<Expr> {
    let (op, quantifier) = if within.negated { (Operator::NotEq, SetQuantifier::All) } else { (Operator::Eq, SetQuantifier::Any) };
    quantified::compared(SetComparison::new(within.expr, within.subquery, op, quantifier))
}

/// What keeps rows; `must_hold` where nothing else can keep them.
fn condition(expr: Expr, schema: &DFSchema, must_hold: bool) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            let must_hold = must_hold && op == Operator::And;
            let (left, right) = (condition(*left, schema, must_hold)?, condition(*right, schema, must_hold)?);
            let both = Expr::BinaryExpr(BinaryExpr::new(Box::new(left.data), op, Box::new(right.data)));
            Ok(Transformed::new_transformed(both, left.transformed || right.transformed))
        }
        Expr::Not(of) => match *of {
            Expr::InSubquery(InSubquery { expr, subquery, negated }) => condition(Expr::InSubquery(InSubquery::new(expr, subquery, !negated)), schema, must_hold),
            of => valued(Expr::Not(Box::new(of)), schema),
        },
        Expr::InSubquery(within) if !within.negated => Ok(Transformed::no(Expr::InSubquery(within))),
        // An anti join that depends on the outer row knows no NULL.
        Expr::InSubquery(within) if must_hold && within.subquery.outer_ref_columns.is_empty() => Ok(Transformed::no(Expr::InSubquery(within))),
        other => valued(other, schema),
    }
}

/// The same with three values.
fn valued(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    expr.transform_up(|part| match part {
        Expr::InSubquery(within) => of_three(within, schema),
        other => Ok(Transformed::no(other)),
    })
}

fn of_three(within: InSubquery, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let column = quantified::column(&within.subquery)?;
    let is_known = !within.expr.nullable(schema).unwrap_or(true);
    let are_known = !column.nullable(within.subquery.subquery.schema().as_ref()).unwrap_or(true);
    if is_known && are_known {
        return Ok(Transformed::no(Expr::InSubquery(within)));
    }
    let InSubquery { expr, subquery, negated } = within;
    let unknown = || Box::new(Expr::Literal(ScalarValue::Boolean(None), None));
    let mut whens = vec![(Box::new(Expr::InSubquery(InSubquery::new(expr.clone(), subquery.clone(), false))), Box::new(lit(!negated)))];
    if !are_known {
        whens.push((Box::new(exists(&subquery, Some(column.is_null()))?), unknown()));
    }
    if !is_known {
        whens.push((Box::new((*expr).is_null().and(exists(&subquery, None)?)), unknown()));
    }
    Ok(Transformed::yes(Expr::Case(Case::new(None, whens, Some(Box::new(lit(negated)))))))
}

/// Whether it has such rows.
fn exists(subquery: &Subquery, such: Option<Expr>) -> Result<Expr> {
    let mut rows = LogicalPlanBuilder::from(subquery.subquery.as_ref().clone());
    if let Some(such) = such {
        rows = rows.filter(such)?;
    }
    // One is enough, where it is not one for each outer row.
    if subquery.outer_ref_columns.is_empty() {
        rows = rows.limit(0, Some(1))?;
    }
    Ok(Expr::Exists(Exists { subquery: subquery.with_plan(Arc::new(rows.build()?)), negated: false }))
}

#[cfg(test)]
mod tests {
    use arrow::array::RecordBatch;
    use arrow::util::display::array_value_to_string;
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;

    const TABLES: &str = "WITH t(a, c) AS (VALUES (1, 1), (2, 1), (NULL, 1), (1, 2), (2, 2), (NULL, 2), (1, 3), (NULL, 3)), u(b, d) AS (VALUES (1, 1), (NULL, 1), (1, 2), (3, 2)) ";

    fn values(batches: &[RecordBatch]) -> Vec<String> {
        batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|row| array_value_to_string(batch.column(0), row).unwrap())).collect()
    }

    async fn answer(sql: &str) -> Vec<String> {
        let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
        context.add_analyzer_rule(Arc::new(KnowUnknown));
        let batches = context.sql(&format!("{TABLES}{sql}")).await.unwrap().collect().await.unwrap_or_else(|error| panic!("{sql}\n{error}"));
        values(&batches)
    }

    /// What PostgreSQL 15 says of each row of `t`: true, false or unknown.
    const MEMBERS: [(&str, &str); 4] = [
        ("SELECT b FROM u", "t??t??t?"),
        ("SELECT b FROM u WHERE b IS NOT NULL", "tf?tf?t?"),
        ("SELECT b FROM u WHERE false", "ffffffff"),
        ("SELECT b FROM u WHERE u.d = t.c", "t??tf?ff"),
    ];

    #[tokio::test]
    async fn conditions_know_what_is_unknown() {
        for (subquery, told) in MEMBERS {
            let rows = |wanted: &str| told.chars().filter(|value| wanted.contains(*value)).count().to_string();
            for (condition, wanted) in [
                ("a IN (S)", "t"),
                ("NOT (a IN (S))", "f"),
                ("a NOT IN (S)", "f"),
                ("(a IN (S)) IS NULL", "?"),
                ("(a NOT IN (S)) IS NULL", "?"),
                ("(a NOT IN (S)) IS NOT TRUE", "t?"),
                ("(a IN (S)) IS NOT TRUE", "f?"),
                ("NOT (a IN (S) AND c > 0)", "f"),
                ("a NOT IN (S) OR c = 4", "f"),
                ("a IN (S) OR c = 4", "t"),
                ("CASE WHEN a IN (S) THEN false ELSE true END", "f?"),
                ("CASE WHEN a NOT IN (S) THEN false ELSE true END", "t?"),
                ("coalesce(a IN (S), true)", "t?"),
                ("(a IN (S)) = (c < 0)", "f"),
            ] {
                let sql = format!("SELECT count(*) FROM t WHERE {}", condition.replace("(S)", &format!("({subquery})")));
                assert_eq!(answer(&sql).await, [rows(wanted)], "{sql}");
            }
        }
    }

    #[tokio::test]
    async fn so_do_select_lists() {
        for (subquery, told) in MEMBERS.into_iter().filter(|(subquery, _)| !subquery.contains("t.c")) {
            let wanted: Vec<&str> = told
                .chars()
                .map(|value| {
                    if value == 't' {
                        "true"
                    } else if value == 'f' {
                        "false"
                    } else {
                        ""
                    }
                })
                .collect();
            let numbered = "(SELECT a, row_number() OVER (ORDER BY c, a NULLS LAST) AS n FROM t) AS t";
            assert_eq!(answer(&format!("SELECT a IN ({subquery}) AS found FROM {numbered} ORDER BY n")).await, wanted, "{subquery}");
            let cased = wanted.iter().map(|value| if *value == "true" { "1" } else { "0" }).collect::<Vec<_>>();
            assert_eq!(answer(&format!("SELECT CASE WHEN a IN ({subquery}) THEN 1 ELSE 0 END FROM {numbered} ORDER BY n")).await, cased, "{subquery}");
        }
    }

    #[tokio::test]
    async fn one_row_is_there_even_of_nothing() {
        for (condition, rows) in [
            ("0 IN (SELECT count(b) FROM u WHERE u.d = t.c)", "2"),
            ("a NOT IN (SELECT count(b) FROM u WHERE u.d = t.c)", "3"),
            ("a IN (SELECT max(b) FROM u WHERE u.d = t.c) OR c = 9", "1"),
            ("(a NOT IN (SELECT max(b) FROM u WHERE u.d = t.c)) IS NULL", "4"),
            ("EXISTS (SELECT max(b) FROM u WHERE u.d = t.c)", "8"),
            ("NOT EXISTS (SELECT max(b) FROM u WHERE u.d = t.c GROUP BY u.d)", "2"),
        ] {
            let sql = format!("SELECT count(*) FROM t WHERE {condition}");
            assert_eq!(answer(&sql).await, [rows], "{sql}");
        }
    }

    #[tokio::test]
    async fn where_nothing_is_null_nothing_is_changed() {
        let context = SessionContext::new();
        context.add_analyzer_rule(Arc::new(KnowUnknown));
        let plan = context.sql("SELECT value FROM generate_series(1, 3) WHERE value NOT IN (SELECT value FROM generate_series(2, 4)) OR value = 2").await.unwrap();
        let plan = context.state().analyzer().execute_and_check(plan.logical_plan().clone(), &ConfigOptions::default(), |_, _| {}).unwrap();
        assert!(!plan.display_indent().to_string().contains("CASE"), "{}", plan.display_indent());
    }
}
