//! `y <> 0 AND x / y > 2`, and `CASE WHEN y <> 0 THEN x / y > 2 END`: what is divided by is looked at only where the rest lets it.
//!
//! DataFusion computes conditions for all rows of a batch, in an order of its own, and makes AND and OR of a CASE that is a condition. So the divisor becomes
//! NULL where a condition beside the quotient has made its value meaningless: the row is dropped there, or kept, whatever the quotient is.
//!
//! What must stay true: where the value of a quotient has a meaning, it is what it was; only conditions on the divisor's own columns are asked twice.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{BinaryExpr, Case};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, disjunction, merge_schema, split_binary_owned};
use datafusion::logical_expr::{Expr, ExprSchemable, Filter, LogicalPlan, Operator, lit};
use datafusion::optimizer::AnalyzerRule;

/// How many conditions are looked at for one divisor.
const MOST: usize = 32;

/// Guards divisors. It stands before the rules that make functions of operators.
#[derive(Debug)]
pub(crate) struct GuardDivisors;

impl AnalyzerRule for GuardDivisors {
    fn name(&self) -> &'static str {
        "guard_divisors"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let mut some = false;
        let rewritten = plan.transform_up_with_subqueries(|node| {
            let node = if divides(&node)? { guarded_node(node)? } else { Transformed::no(node) };
            some |= node.transformed;
            if some { node.map_data(LogicalPlan::recompute_schema) } else { Ok(node) }
        })?;
        Ok(rewritten.data)
    }
}

fn divides(node: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    node.apply_expressions(|expr| {
        found = has_quotient(expr)?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// Whether it divides by something else than a constant.
fn has_quotient(expr: &Expr) -> Result<bool> {
    expr.exists(|part| Ok(matches!(part, Expr::BinaryExpr(BinaryExpr { op: Operator::Divide | Operator::Modulo, right, .. }) if !right.column_refs().is_empty())))
}

fn guarded_node(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = merge_schema(&node.inputs());
    let names = NamePreserver::new(&node);
    let cased = node.map_expressions(|expr| {
        let name = names.save(&expr);
        let cased = expr.transform_up(|part| match part {
            Expr::Case(case) => guarded_case(case, &schema),
            other => Ok(Transformed::no(other)),
        })?;
        if cased.transformed { Ok(cased.update_data(|expr| name.restore(expr))) } else { Ok(cased) }
    })?;
    match cased.data {
        LogicalPlan::Filter(Filter { predicate, input, .. }) => {
            let kept = kept(predicate)?;
            Ok(Transformed::new_transformed(LogicalPlan::Filter(Filter::try_new(kept.data, input)?), cased.transformed || kept.transformed))
        }
        other => Ok(Transformed::new_transformed(other, cased.transformed)),
    }
}

/// A CASE of conditions. Others are computed for the rows that they are for.
fn guarded_case(case: Case, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let given = Expr::Case(case);
    if !matches!(given.get_type(schema), Ok(DataType::Boolean)) {
        return Ok(Transformed::no(given));
    }
    let (when_then_expr, else_expr) = match given {
        Expr::Case(Case { expr: None, when_then_expr, else_expr }) => (when_then_expr, else_expr),
        other => return Ok(Transformed::no(other)),
    };
    let (mut transformed, mut before, mut whens) = (false, Vec::<Expr>::new(), Vec::with_capacity(when_then_expr.len()));
    for (when, then) in when_then_expr {
        let when = guarded(*when, &before)?;
        let then = guarded(*then, std::slice::from_ref(&when.data))?;
        transformed |= when.transformed || then.transformed;
        if before.len() < MOST {
            before.push(Expr::IsNotTrue(Box::new(when.data.clone())));
        }
        whens.push((Box::new(when.data), Box::new(then.data)));
    }
    let otherwise = match else_expr {
        None => None,
        Some(otherwise) => {
            let otherwise = guarded(*otherwise, &before)?;
            transformed |= otherwise.transformed;
            Some(Box::new(otherwise.data))
        }
    };
    Ok(Transformed::new_transformed(Expr::Case(Case::new(None, whens, otherwise)), transformed))
}

/// What keeps rows: beside AND the others have to be true for it to matter, beside OR none of them may be.
fn kept(condition: Expr) -> Result<Transformed<Expr>> {
    let Expr::BinaryExpr(BinaryExpr { op: op @ (Operator::And | Operator::Or), .. }) = &condition else { return Ok(Transformed::no(condition)) };
    let op = *op;
    let parts = split_binary_owned(condition, op);
    let mut known = Vec::new();
    for part in &parts {
        if known.len() < MOST && is_safe(part)? {
            known.push(if op == Operator::And { part.clone() } else { Expr::IsNotTrue(Box::new(part.clone())) });
        }
    }
    let (mut transformed, mut all) = (false, Vec::with_capacity(parts.len()));
    for part in parts {
        let inner = kept(part)?;
        // What divides is none of those that are known.
        let part = guarded(inner.data, &known)?;
        transformed |= inner.transformed || part.transformed;
        all.push(part.data);
    }
    let all = if op == Operator::And { conjunction(all) } else { disjunction(all) };
    Ok(Transformed::new_transformed(all.unwrap_or_else(|| lit(true)), transformed))
}

/// The same with divisors that are NULL where not all of this is true.
fn guarded(expr: Expr, known: &[Expr]) -> Result<Transformed<Expr>> {
    expr.transform_up(|part| {
        let (left, op, right) = match part {
            Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::Divide | Operator::Modulo), right }) => (left, op, right),
            other => return Ok(Transformed::no(other)),
        };
        let guard = {
            let columns = right.column_refs();
            let mut of_it = Vec::new();
            for one in known {
                if one.column_refs().iter().any(|column| columns.contains(column)) && is_safe(one)? {
                    of_it.push(one.clone());
                }
            }
            conjunction(of_it)
        };
        Ok(match guard {
            Some(guard) => {
                let divisor = Expr::Case(Case::new(None, vec![(Box::new(guard), right)], None));
                Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(left, op, Box::new(divisor))))
            }
            None => Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })),
        })
    })
}

/// Whether it can be asked twice, and does not divide itself.
fn is_safe(condition: &Expr) -> Result<bool> {
    let is_more = condition.exists(|part| Ok(matches!(part, Expr::InSubquery(_) | Expr::Exists(_) | Expr::ScalarSubquery(_) | Expr::SetComparison(_))))?;
    Ok(!is_more && !condition.is_volatile() && !has_quotient(condition)?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::util::display::array_value_to_string;
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;

    /// The first column, by integers, of which DataFusion's own quotient fails.
    async fn answer(sql: &str) -> Result<Vec<String>> {
        let mut rules = datafusion::optimizer::Analyzer::new().rules;
        rules.insert(0, Arc::new(GuardDivisors));
        let state = datafusion::execution::SessionStateBuilder::new()
            .with_default_features()
            .with_config(SessionConfig::new().with_target_partitions(1))
            .with_analyzer_rules(rules)
            .build();
        let sql = format!("WITH t(x, y) AS (VALUES (1, 0), (8, 2), (3, NULL), (1, 4)) {sql}");
        let batches = SessionContext::new_with_state(state).sql(&sql).await?.collect().await?;
        let shown = |batch: &arrow::array::RecordBatch| (0..batch.num_rows()).map(|row| array_value_to_string(batch.column(0), row).unwrap()).collect::<Vec<_>>();
        Ok(batches.iter().flat_map(shown).collect())
    }

    #[tokio::test]
    async fn a_condition_beside_it_keeps_zeros_out() {
        for (sql, wanted) in [
            ("SELECT x FROM t WHERE y <> 0 AND x / y > 2", vec!["8"]),
            ("SELECT x FROM t WHERE x / y > 2 AND y <> 0", vec!["8"]),
            ("SELECT x FROM t WHERE y > 0 AND (x / y > 2 OR x % y = 1)", vec!["8", "1"]),
            ("SELECT x FROM t WHERE y = 0 OR x / y > 2", vec!["1", "8"]),
            ("SELECT x FROM t WHERE CASE WHEN y <> 0 THEN x / y > 2 ELSE x = 3 END", vec!["8", "3"]),
            ("SELECT x FROM t WHERE CASE WHEN y = 0 THEN true ELSE x / y > 2 END", vec!["1", "8"]),
            ("SELECT CASE WHEN y <> 0 THEN x / y > 2 ELSE false END FROM t", vec!["false", "true", "false", "false"]),
        ] {
            assert_eq!(answer(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}")), wanted, "{sql}");
        }
    }

    #[tokio::test]
    async fn what_nothing_keeps_out_is_an_error() {
        for sql in ["SELECT x FROM t WHERE x / y > 2", "SELECT x FROM t WHERE x > 0 AND x / y > 2", "SELECT x FROM t WHERE y >= 0 AND x / y > 2"] {
            assert!(answer(sql).await.unwrap_err().to_string().contains("by zero"), "{sql}");
        }
    }
}
