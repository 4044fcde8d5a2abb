//! The parameters of a prepared statement: which type each has, and its value in that type.
//!
//! What must stay true: a type that the client names is kept; else a parameter has the type of what it is compared with, or text. A value
//! never becomes part of a statement's text: it is a literal of its own in the plan, so that a store is asked for it as a bound value.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, IntervalUnit};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::{BinaryExpr, Placeholder, ScalarFunction};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};

use crate::catalog::type_name;
use crate::errors::QueryError;
use crate::json::array_texts;
use crate::zone;

/// The types of `$1` to `$count`.
pub(crate) fn types(plan: &LogicalPlan, named: &[Option<DataType>], count: usize) -> Result<Vec<DataType>, QueryError> {
    inferred(plan, named, count, roomy)
}

/// The types of the columns that `$1`, `$2`, … are compared with, where `types` holds what they are compared as.
pub(crate) fn columns(plan: &LogicalPlan, named: &[Option<DataType>], types: &[DataType]) -> Result<Vec<DataType>, QueryError> {
    let exact = |data_type: &DataType| if matches!(data_type, DataType::Decimal128(_, _)) { data_type.clone() } else { roomy(data_type) };
    inferred(plan, named, types.len(), exact)
}

fn inferred(plan: &LogicalPlan, named: &[Option<DataType>], count: usize, of: impl Fn(&DataType) -> DataType) -> Result<Vec<DataType>, QueryError> {
    let mut inferred: BTreeMap<usize, DataType> = BTreeMap::new();
    let mut found = |placeholder: &Placeholder, data_type: Option<&DataType>| {
        let Some(number) = number(&placeholder.id) else { return };
        let Some(data_type) = data_type.map(&of) else { return };
        inferred.entry(number).and_modify(|known| *known = wider(known, &data_type)).or_insert(data_type);
    };
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Limit(limit) = node {
            for bound in [&limit.fetch, &limit.skip].into_iter().flatten() {
                if let Expr::Placeholder(placeholder) = &**bound {
                    found(placeholder, Some(&DataType::Int64));
                }
            }
        }
        let schema = merge_schema(&node.inputs());
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if let Some((placeholder, element)) = of_array(part)
                    && let Ok(data_type) = element.get_type(&schema)
                {
                    found(placeholder, Some(&DataType::new_list(roomy(&data_type), true)));
                }
                match part {
                    Expr::Placeholder(placeholder) => found(placeholder, placeholder.field.as_ref().map(|field| field.data_type())),
                    Expr::Cast(cast) => {
                        if let Expr::Placeholder(placeholder) = &*cast.expr {
                            found(placeholder, Some(cast.field.data_type()));
                        }
                    }
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    let count = count.max(named.len());
    let chosen = |place: usize| match (named.get(place).cloned().flatten(), inferred.get(&(place + 1)).cloned()) {
        // A client that sends an array as a text.
        (Some(named), Some(array)) if is_text(&named) && matches!(array, DataType::List(_)) => array,
        (named, inferred) => named.or(inferred).unwrap_or(DataType::Utf8),
    };
    Ok((0..count).map(chosen).collect())
}

/// A parameter that is an array, and what its elements are compared with: what `x = ANY($1)` and its like are planned as.
fn of_array(expr: &Expr) -> Option<(&Placeholder, &Expr)> {
    fn call(expr: &Expr) -> Option<(&str, &[Expr])> {
        if let Expr::ScalarFunction(ScalarFunction { func, args }) = expr { Some((func.name(), args.as_slice())) } else { None }
    }
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, right, .. }) => [(left, right), (right, left)].into_iter().find_map(|(bound, element)| match call(bound.as_ref()) {
            Some(("array_min" | "array_max", [Expr::Placeholder(placeholder)])) => Some((placeholder, element.as_ref())),
            _ => None,
        }),
        expr => match call(expr) {
            Some(("array_has", [Expr::Placeholder(placeholder), element])) => Some((placeholder, element)),
            _ => None,
        },
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn number(id: &str) -> Option<usize> {
    id.strip_prefix('$')?.parse().ok()
}

/// A type that holds what a client may compare with a column of this one: more places after the point, no dictionary, no view.
fn roomy(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Decimal128(_, _) | DataType::Decimal32(_, _) | DataType::Decimal64(_, _) => DataType::Decimal128(38, 10),
        DataType::Utf8View | DataType::LargeUtf8 | DataType::Null => DataType::Utf8,
        DataType::Dictionary(_, value) => roomy(value),
        DataType::Interval(_) => DataType::Interval(IntervalUnit::MonthDayNano),
        other => other.clone(),
    }
}

/// The type of a parameter that is compared with both.
fn wider(one: &DataType, other: &DataType) -> DataType {
    let rank = |data_type: &DataType| match data_type {
        DataType::Int8 | DataType::UInt8 => Some(1),
        DataType::Int16 | DataType::UInt16 => Some(2),
        DataType::Int32 | DataType::UInt32 => Some(3),
        DataType::Int64 | DataType::UInt64 => Some(4),
        DataType::Decimal128(_, _) => Some(5),
        DataType::Float32 => Some(6),
        DataType::Float64 => Some(7),
        _ => None,
    };
    if matches!((one, other), (DataType::Decimal128(_, _), DataType::Decimal128(_, _))) && one != other {
        return roomy(one);
    }
    match (rank(one), rank(other)) {
        (Some(first), Some(second)) if second > first => other.clone(),
        (None, Some(_)) if *one == DataType::Utf8 => other.clone(),
        _ if matches!(other, DataType::List(_)) && !matches!(one, DataType::List(_)) => other.clone(),
        _ => one.clone(),
    }
}

/// The values in the types of their parameters.
pub(crate) fn values(given: Vec<ScalarValue>, types: &[DataType], zone: &str) -> Result<Vec<ScalarValue>, QueryError> {
    if given.len() != types.len() {
        return Err(QueryError::Invalid {
            message: format!("the statement has parameters up to ${}, and {} values were given", types.len(), given.len()),
            line: None,
            column: None,
            hint: None,
        });
    }
    given.into_iter().zip(types).enumerate().map(|(place, (value, wanted))| converted(value, wanted, zone, place + 1)).collect()
}

fn converted(value: ScalarValue, wanted: &DataType, zone: &str, number: usize) -> Result<ScalarValue, QueryError> {
    if value.data_type() == *wanted {
        return Ok(value);
    }
    let fault = |error: &dyn std::fmt::Display| {
        let why = error.to_string();
        // The value is the client's own: it may be told again.
        let why = why.lines().next().unwrap_or_default();
        QueryError::Invalid { message: format!("Cannot parse the parameter ${number} as {}: {why}", type_name(wanted)), line: None, column: None, hint: None }
    };
    if value.is_null() {
        return ScalarValue::try_new_null(wanted).map_err(|error| fault(&error));
    }
    let is_text = matches!(value, ScalarValue::Utf8(_) | ScalarValue::Utf8View(_) | ScalarValue::LargeUtf8(_));
    if let (ScalarValue::Utf8(Some(text)), DataType::List(field)) = (&value, wanted) {
        let Some(texts) = array_texts(text) else { return Err(fault(&"it is no array, like {a,b}")) };
        let element = |text: Option<String>| converted(ScalarValue::Utf8(text), field.data_type(), zone, number);
        let elements = texts.into_iter().map(element).collect::<Result<Vec<_>, _>>()?;
        return Ok(ScalarValue::List(ScalarValue::new_list_nullable(&elements, field.data_type())));
    }
    let value = match (value, wanted) {
        // PostgreSQL's own spellings.
        (ScalarValue::Utf8(Some(text)), DataType::Boolean) => match text.trim().to_ascii_lowercase().as_str() {
            "t" | "true" | "yes" | "y" | "on" | "1" => ScalarValue::Boolean(Some(true)),
            "f" | "false" | "no" | "n" | "off" | "0" => ScalarValue::Boolean(Some(false)),
            _ => return Err(fault(&format!("{text:?} is neither true nor false"))),
        },
        (ScalarValue::Utf8(Some(text)), wanted) if wanted.is_numeric() => ScalarValue::Utf8(Some(text.trim().to_owned())),
        (value, _) => value,
    };
    let cast = if is_text { zone::instant(&value, wanted, zone) } else { value.cast_to(wanted) };
    cast.map_err(|error| fault(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::TimeUnit;
    use datafusion::prelude::SessionContext;

    async fn inferred(sql: &str, named: &[Option<DataType>], count: usize) -> Vec<DataType> {
        let context = SessionContext::new();
        context.sql("CREATE TABLE t AS SELECT 'a' AS name, 1::int AS n, 1.50::decimal(15,2) AS money, '2026-01-01'::timestamptz AS moment").await.unwrap().collect().await.unwrap();
        let plan = context.state().create_logical_plan(sql).await.unwrap();
        types(&plan, named, count).unwrap()
    }

    #[tokio::test]
    async fn a_parameter_has_the_type_of_what_it_is_compared_with() {
        let exact = DataType::Decimal128(38, 10);
        assert_eq!(inferred("SELECT $1 FROM t WHERE n = $2 AND money > $3 LIMIT $4", &[], 4).await, [DataType::Utf8, DataType::Int32, exact.clone(), DataType::Int64]);
        assert_eq!(inferred("SELECT * FROM t WHERE n > $1 AND money > $1", &[], 1).await, [exact]);
        assert_eq!(inferred("SELECT $1::bigint, $3", &[None, Some(DataType::Boolean)], 3).await, [DataType::Int64, DataType::Boolean, DataType::Utf8]);
        assert_eq!(inferred("SELECT * FROM t WHERE n IN ($1, $2)", &[Some(DataType::Int64)], 2).await, [DataType::Int64, DataType::Int32]);
        let array = |data_type| DataType::new_list(data_type, true);
        assert_eq!(inferred("SELECT * FROM t WHERE name = ANY($1) AND n <> ALL($2)", &[], 2).await, [array(DataType::Utf8), array(DataType::Int32)]);
        assert_eq!(inferred("SELECT * FROM t WHERE n = ANY($1)", &[Some(DataType::Utf8)], 1).await, [array(DataType::Int32)]);
        assert_eq!(inferred("SELECT * FROM t WHERE n > ANY($1)", &[], 1).await, [array(DataType::Int32)]);
        assert!(matches!(inferred("SELECT * FROM t WHERE moment BETWEEN $1 AND now()", &[], 1).await[0], DataType::Timestamp(_, _)));
    }

    #[tokio::test]
    async fn a_client_is_told_the_columns_that_its_parameters_are_compared_with() {
        let context = SessionContext::new();
        context.sql("CREATE TABLE t AS SELECT 1::int AS n, 1.50::decimal(15,2) AS money").await.unwrap().collect().await.unwrap();
        let plan = context.state().create_logical_plan("SELECT * FROM t WHERE n = $1 AND money > $2").await.unwrap();
        let compared = types(&plan, &[], 2).unwrap();
        assert_eq!(columns(&plan, &[], &compared).unwrap(), [DataType::Int32, DataType::Decimal128(15, 2)]);
    }

    #[test]
    fn values_come_in_the_type_of_their_parameter_or_not_at_all() {
        let text = |text: &str| ScalarValue::from(text);
        let one = |value: ScalarValue, wanted: DataType| values(vec![value], &[wanted], "Europe/Berlin").map(|values| values[0].clone()).map_err(|error| error.sqlstate());
        assert_eq!(one(text(" 7 "), DataType::Int32), Ok(ScalarValue::Int32(Some(7))));
        assert_eq!(one(text("t"), DataType::Boolean), Ok(ScalarValue::Boolean(Some(true))));
        assert_eq!(one(text("100.005"), DataType::Decimal128(38, 10)), Ok(ScalarValue::Decimal128(Some(1_000_050_000_000), 38, 10)));
        assert_eq!(one(text("O'Brien\"; --"), DataType::Utf8), Ok(text("O'Brien\"; --")));
        assert_eq!(one(ScalarValue::Int64(Some(5)), DataType::Int32), Ok(ScalarValue::Int32(Some(5))));
        assert_eq!(one(ScalarValue::Utf8(None), DataType::Int32), Ok(ScalarValue::Int32(None)));
        let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        assert_eq!(one(text("2026-03-01T01:00:00"), instant), Ok(ScalarValue::TimestampMicrosecond(Some(1_772_323_200_000_000), Some("UTC".into()))));
        let numbers = DataType::new_list(DataType::Int32, true);
        let list = ScalarValue::List(ScalarValue::new_list_nullable(&[ScalarValue::Int32(Some(1)), ScalarValue::Int32(None)], &DataType::Int32));
        assert_eq!(one(text("{1,NULL}"), numbers.clone()), Ok(list));
        assert_eq!(one(text("1"), numbers.clone()), Err("22P02"));
        assert_eq!(one(text("{a}"), numbers), Err("22P02"));
        assert_eq!(one(text("seven"), DataType::Int32), Err("22P02"));
        assert_eq!(one(text("maybe"), DataType::Boolean), Err("22P02"));
        assert!(values(Vec::new(), &[DataType::Utf8], "UTC").is_err());
    }
}
