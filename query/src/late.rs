//! Conditions that a join learns while it runs: what its build side holds is all that its probe side can need.
//!
//! What must stay true: a late condition only removes rows that the join drops anyway, so a part of it that cannot be
//! translated is left out; whatever is kept is exact. A list of values goes to a store up to a length, and beyond it only the least and
//! the greatest; of a list of tuples the values of each column; where a join divides its build side, a store is asked for what any of its
//! parts needs. No list has a value twice: a store may give its row twice.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, CaseExpr, CastExpr, Column, DynamicFilterPhysicalExpr, InListExpr, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};

use crate::predicate::{Op, Predicate, Value};
use crate::pushdown;
use crate::table::{Scan, Support};

/// Most values of a list.
pub(crate) const MAX_VALUES: usize = 4_000;
/// Bytes of such a list.
pub(crate) const MAX_BYTES: usize = 4 << 20;
/// What a join on several columns makes one value of them with.
const TUPLE: &str = "struct";
/// Most values that are looked at for those that differ: a build side may have the same ones often.
const MAX_SEEN: usize = 200_000;

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
            predicates.extend(collect(&dynamic.current()?, projection, &schema));
        }
    }
    let mut kept = Vec::with_capacity(predicates.len());
    for predicate in predicates {
        if scan.support(&predicate)? != Support::No {
            kept.push(predicate);
        }
    }
    // A list says all that its bounds say; a store that goes by the bounds would read whatever lies between them.
    let listed: Vec<usize> = kept.iter().filter_map(|kept| if let Predicate::In { column, .. } = kept { Some(*column) } else { None }).collect();
    kept.retain(|kept| !matches!(kept, Predicate::Compare { column, op: Op::Lt | Op::LtEq | Op::Gt | Op::GtEq, .. } if listed.contains(column)));
    Ok(kept)
}

/// The members of a conjunction that can be translated.
fn collect(expr: &Arc<dyn PhysicalExpr>, projection: &[usize], schema: &Schema) -> Vec<Predicate> {
    if let Some(both) = expr.downcast_ref::<BinaryExpr>()
        && *both.op() == Operator::And
    {
        let mut members = collect(both.left(), projection, schema);
        members.extend(collect(both.right(), projection, schema));
        return members;
    }
    if let Some(case) = expr.downcast_ref::<CaseExpr>() {
        // By a hash of its own the join tells which part of the build side a row meets; a store does not know it.
        let parts = case.when_then_expr().iter().map(|(_, then)| then).chain(case.else_expr());
        let parts = parts.map(|part| collect(part, projection, schema)).filter(|members| !members.contains(&Predicate::Or(Vec::new())));
        return parts.reduce(either).unwrap_or_else(|| vec![Predicate::Or(Vec::new())]);
    }
    if let Some(list) = expr.downcast_ref::<InListExpr>()
        && let Some(tuple) = list.expr().downcast_ref::<ScalarFunctionExpr>()
        && tuple.name() == TUPLE
    {
        return one_of_tuples(tuple, list, projection, schema);
    }
    translate(expr, projection, schema).into_iter().collect()
}

/// What each column of a tuple must be so that the tuple can be one of a list. That they are so together is for the join to tell.
fn one_of_tuples(tuple: &ScalarFunctionExpr, list: &InListExpr, projection: &[usize], schema: &Schema) -> Vec<Predicate> {
    if list.negated() || list.len() > MAX_SEEN {
        return Vec::new();
    }
    let of = |place: usize, expr: &Arc<dyn PhysicalExpr>| -> Option<Predicate> {
        let column = column_of(expr, projection, schema)?;
        let value = |item: &Arc<dyn PhysicalExpr>| match item.downcast_ref::<Literal>()?.value() {
            ScalarValue::Struct(tuple) => ScalarValue::try_from_array(tuple.columns().get(place)?.as_ref(), 0).ok(),
            _ => None,
        };
        let values = list.list().iter().map(value).collect::<Option<Vec<ScalarValue>>>()?;
        one_of(column, values.iter().map(Some), schema)
    };
    tuple.args().iter().enumerate().filter_map(|(place, expr)| of(place, expr)).collect()
}

/// What two conjunctions have in common, made wide enough for both.
fn either(one: Vec<Predicate>, other: Vec<Predicate>) -> Vec<Predicate> {
    one.into_iter().filter_map(|predicate| other.iter().find_map(|other| wider(&predicate, other))).collect()
}

/// What holds wherever one of two conditions of the same kind on the same column does.
fn wider(one: &Predicate, other: &Predicate) -> Option<Predicate> {
    match (one, other) {
        (Predicate::In { column, values }, Predicate::In { column: same, values: more }) if column == same => {
            // A value is met by one part of the build side only, unless it is a part of a tuple.
            let known: HashSet<String> = values.iter().map(ToString::to_string).collect();
            let values: Vec<Value> = values.iter().chain(more.iter().filter(|value| !known.contains(&value.to_string()))).cloned().collect();
            (values.len() <= MAX_VALUES).then_some(Predicate::In { column: *column, values })
        }
        (Predicate::Compare { column, op, value }, Predicate::Compare { column: same, op: like, value: far }) if column == same && op == like => {
            let order = compared(value, far)?;
            let first = match op {
                Op::Gt | Op::GtEq => order != Ordering::Greater,
                Op::Lt | Op::LtEq => order != Ordering::Less,
                Op::Eq | Op::NotEq if order == Ordering::Equal => true,
                Op::Eq | Op::NotEq => return None,
            };
            Some(if first { one.clone() } else { other.clone() })
        }
        _ => None,
    }
}

fn compared(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::Int(one), Value::Int(other)) => Some(one.cmp(other)),
        (Value::Float(one), Value::Float(other)) => one.partial_cmp(other),
        (Value::Text(one), Value::Text(other)) => Some(one.cmp(other)),
        _ => None,
    }
}

/// The column that an expression is, as it stands or under a cast that changes neither value nor order.
fn column_of(expr: &Arc<dyn PhysicalExpr>, projection: &[usize], schema: &Schema) -> Option<usize> {
    if let Some(cast) = expr.downcast_ref::<CastExpr>() {
        let column = cast.expr().downcast_ref::<Column>().and_then(|column| projection.get(column.index()).copied())?;
        return pushdown::widens(schema.field(column).data_type(), cast.cast_type()).then_some(column);
    }
    expr.downcast_ref::<Column>().and_then(|column| projection.get(column.index()).copied())
}

fn translate(expr: &Arc<dyn PhysicalExpr>, projection: &[usize], schema: &Schema) -> Option<Predicate> {
    if let Some(literal) = expr.downcast_ref::<Literal>() {
        return (*literal.value() == ScalarValue::Boolean(Some(false))).then(|| Predicate::Or(Vec::new()));
    }
    if let Some(list) = expr.downcast_ref::<InListExpr>() {
        if list.negated() || list.len() > MAX_SEEN {
            return None;
        }
        let values = list.list().iter().map(|item| item.downcast_ref::<Literal>().map(Literal::value));
        return one_of(column_of(list.expr(), projection, schema)?, values, schema);
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
    pushdown::compare(column_of(both.left(), projection, schema)?, op, literal.value(), schema)
}

/// `column IN (literals)`: NULL, to which nothing is equal, is left out.
fn one_of<'v>(column: usize, literals: impl Iterator<Item = Option<&'v ScalarValue>>, schema: &Schema) -> Option<Predicate> {
    let (mut seen, mut values) = (HashSet::new(), Vec::new());
    for literal in literals {
        let literal = literal?;
        if literal.is_null() || !seen.insert(literal) {
            continue;
        }
        let Some(Predicate::Compare { value, .. }) = pushdown::compare(column, Op::Eq, literal, schema) else { return None };
        values.push(value);
        if values.len() > MAX_VALUES {
            return None;
        }
    }
    Some(if values.is_empty() { Predicate::Or(Vec::new()) } else { Predicate::In { column, values } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, ArrayRef, StringArray, StructArray};
    use arrow::datatypes::{DataType, Field};
    use datafusion::functions::core::r#struct::StructFunc;
    use datafusion::logical_expr::ScalarUDF;
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
        let predicates = collect(&binary(binary(bounds, Operator::And, foreign), Operator::And, list), &[0], &schema);
        let shown: Vec<String> = predicates.iter().map(|p| p.display(&schema).to_string()).collect();
        assert_eq!(shown, ["transaction_id >= 'a'", "transaction_id <= 'b'", "transaction_id IN ('a', 'b')"]);
    }

    #[test]
    fn a_list_of_tuples_says_what_each_column_is_one_of() {
        let schema = wh_schemas::arrow::transactions();
        let output = schema.project(&[0, 2]).unwrap();
        let columns: Vec<Arc<dyn PhysicalExpr>> = vec![Arc::new(Column::new("user_id", 1)), Arc::new(Column::new("transaction_id", 0))];
        let tuples = StructArray::from(vec![
            (Arc::new(Field::new("c0", DataType::Utf8, true)), Arc::new(StringArray::from(vec![Some("u"), Some("u"), None])) as ArrayRef),
            (Arc::new(Field::new("c1", DataType::Utf8, true)), Arc::new(StringArray::from(vec!["a", "b", "c"])) as ArrayRef),
        ]);
        let field = Arc::new(Field::new(TUPLE, tuples.data_type().clone(), true));
        let function = Arc::new(ScalarUDF::new_from_impl(StructFunc::new()));
        let tuple: Arc<dyn PhysicalExpr> = Arc::new(ScalarFunctionExpr::new(TUPLE, function, columns, field, Arc::default()));
        let list: Arc<dyn PhysicalExpr> = Arc::new(InListExpr::try_new_from_array(tuple, Arc::new(tuples), false, &output).unwrap());
        let shown: Vec<String> = collect(&list, &[0, 2], &schema).iter().map(|p| p.display(&schema).to_string()).collect();
        assert_eq!(shown, ["user_id IN ('u')", "transaction_id IN ('a', 'b', 'c')"]);
    }

    /// Least, greatest and list, as a part of a build side says them.
    fn part(column: &Arc<dyn PhysicalExpr>, output: &Schema, values: &[&str]) -> Arc<dyn PhysicalExpr> {
        let list = InListExpr::try_new(Arc::clone(column), values.iter().map(|value| lit(*value)).collect(), false, output).unwrap();
        let (first, last) = (lit(*values.first().unwrap()), lit(*values.last().unwrap()));
        let bounds = binary(binary(Arc::clone(column), Operator::GtEq, first), Operator::And, binary(Arc::clone(column), Operator::LtEq, last));
        binary(bounds, Operator::And, Arc::new(list))
    }

    #[test]
    fn the_parts_of_a_divided_build_side_are_one_again() {
        let schema = wh_schemas::arrow::transactions();
        let output = schema.project(&[2]).unwrap();
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new("user_id", 0));
        let case = |parts: Vec<Arc<dyn PhysicalExpr>>| -> Vec<String> {
            let parts = parts.into_iter().enumerate().map(|(number, part)| (lit(u64::try_from(number).unwrap()), part)).collect();
            let case: Arc<dyn PhysicalExpr> = Arc::new(CaseExpr::try_new(Some(lit(0_u64)), parts, Some(lit(false))).unwrap());
            collect(&case, &[2], &schema).iter().map(|predicate| predicate.display(&schema).to_string()).collect()
        };
        let shown = case(vec![part(&column, &output, &["b", "d"]), part(&column, &output, &["a", "b", "c"]), lit(false)]);
        assert_eq!(shown, ["user_id >= 'a'", "user_id <= 'd'", "user_id IN ('b', 'd', 'a', 'c')"]);
        // Of one part nothing is known.
        assert_eq!(case(vec![part(&column, &output, &["b", "d"]), lit(true)]), [""; 0]);
        assert_eq!(case(vec![lit(false)]), ["FALSE"]);
    }

    #[test]
    fn lists_are_taken_up_to_a_length_of_different_values_and_without_nulls() {
        let schema = wh_schemas::arrow::transactions();
        let output = schema.project(&[9]).unwrap();
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new("risk_score", 0));
        let list = |values: Vec<Option<i32>>| {
            let items = values.into_iter().map(|value| lit(ScalarValue::Int32(value))).collect();
            let list: Arc<dyn PhysicalExpr> = Arc::new(InListExpr::try_new(Arc::clone(&column), items, false, &output).unwrap());
            collect(&list, &[9], &schema)
        };
        let most = i32::try_from(MAX_VALUES).unwrap();
        assert!(matches!(list((0..3 * most).map(|value| Some(value % most)).collect()).as_slice(), [Predicate::In { values, .. }] if values.len() == MAX_VALUES));
        assert!(list((0..=most).map(Some).collect()).is_empty());
        assert_eq!(list(vec![None, Some(7)]), [Predicate::In { column: 9, values: vec![Value::Int(7)] }]);
        assert_eq!(list(vec![None]), [Predicate::Or(Vec::new())]);
    }
}
