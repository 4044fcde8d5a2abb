//! Conditions that a join learns while it runs: what its build side holds is all that its probe side can need.
//!
//! What must stay true: a late condition only removes rows that the join drops anyway, so a part of it that cannot be
//! translated is left out; whatever is kept is exact.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, DynamicFilterPhysicalExpr, InListExpr, Literal};

use crate::predicate::{Op, Predicate};
use crate::pushdown;
use crate::table::{Scan, Support};

/// Whether a condition fills itself while the query runs.
pub(crate) fn is_late(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.is::<DynamicFilterPhysicalExpr>()
}

/// What is known of the late conditions now, over the columns of `scan`, of which `projection` are the scan's output.
pub(crate) fn known(late: &[Arc<dyn PhysicalExpr>], projection: &[usize], scan: &dyn Scan) -> Result<Vec<Predicate>> {
    let mut predicates = Vec::new();
    if late.is_empty() {
        return Ok(predicates);
    }
    let schema = scan.schema();
    for expr in late {
        if let Some(dynamic) = expr.downcast_ref::<DynamicFilterPhysicalExpr>() {
            collect(&dynamic.current()?, projection, &schema, &mut predicates);
        }
    }
    let mut kept = Vec::with_capacity(predicates.len());
    for predicate in predicates {
        if scan.support(&predicate)? != Support::No {
            kept.push(predicate);
        }
    }
    Ok(kept)
}

/// The members of a conjunction that can be translated.
fn collect(expr: &Arc<dyn PhysicalExpr>, projection: &[usize], schema: &Schema, out: &mut Vec<Predicate>) {
    if let Some(both) = expr.downcast_ref::<BinaryExpr>()
        && *both.op() == Operator::And
    {
        collect(both.left(), projection, schema, out);
        collect(both.right(), projection, schema, out);
    } else {
        out.extend(translate(expr, projection, schema));
    }
}

fn translate(expr: &Arc<dyn PhysicalExpr>, projection: &[usize], schema: &Schema) -> Option<Predicate> {
    let column = |expr: &Arc<dyn PhysicalExpr>| expr.downcast_ref::<Column>().and_then(|column| projection.get(column.index()).copied());
    if let Some(literal) = expr.downcast_ref::<Literal>() {
        return (*literal.value() == ScalarValue::Boolean(Some(false))).then(|| Predicate::Or(Vec::new()));
    }
    if let Some(list) = expr.downcast_ref::<InListExpr>() {
        if list.negated() || list.len() > 4 * pushdown::MAX_LIST {
            return None;
        }
        let literals = list.list().iter().map(|item| item.downcast_ref::<Literal>().map(Literal::value));
        return pushdown::one_of(column(list.expr())?, literals, schema);
    }
    let both = expr.downcast_ref::<BinaryExpr>()?;
    let op = match both.op() {
        Operator::Eq => Op::Eq,
        Operator::Lt => Op::Lt,
        Operator::LtEq => Op::LtEq,
        Operator::Gt => Op::Gt,
        Operator::GtEq => Op::GtEq,
        _ => return None,
    };
    let literal = both.right().downcast_ref::<Literal>()?;
    pushdown::compare(column(both.left())?, op, literal.value(), schema)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::physical_expr::expressions::lit;

    fn binary(left: Arc<dyn PhysicalExpr>, op: Operator, right: Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
        Arc::new(BinaryExpr::new(left, op, right))
    }

    #[test]
    fn bounds_and_lists_of_a_build_side_become_predicates() {
        let schema = wh_schemas::arrow::transactions();
        let column = || -> Arc<dyn PhysicalExpr> { Arc::new(Column::new("transaction_id", 0)) };
        let output = schema.project(&[0]).unwrap();
        let list: Arc<dyn PhysicalExpr> = Arc::new(InListExpr::try_new(column(), vec![lit("a"), lit("b"), lit("a")], false, &output).unwrap());
        let bounds = binary(binary(column(), Operator::GtEq, lit("a")), Operator::And, binary(column(), Operator::LtEq, lit("b")));
        let foreign = binary(column(), Operator::Eq, column());
        let mut predicates = Vec::new();
        collect(&binary(binary(bounds, Operator::And, foreign), Operator::And, list), &[0], &schema, &mut predicates);
        let shown: Vec<String> = predicates.iter().map(|p| p.display(&schema).to_string()).collect();
        assert_eq!(shown, ["transaction_id >= 'a'", "transaction_id <= 'b'", "transaction_id IN ('a', 'b')"]);
    }
}
