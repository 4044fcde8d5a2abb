//! What each store answers, found out by asking its translator.
//!
//! What must stay true: every kind of condition is said as the SQL planner says it and goes the way that a query's own conditions go; what has
//! several forms (`<` and `>=`) is answered as the worst of them is.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::{Expr, lit};

use super::meanings;
use crate::aggregate::{Aggregation, Bin, CalendarUnit, DAY, Function, Group, Measure};
use crate::fulltext::match_function;
use crate::json;
use crate::pushdown::translate;
use crate::table::{Order, Relation, Request, Scan, Support};

/// What is asked of each column, in the order of the reference's headings.
pub(super) const HEADINGS: [&str; 21] = [
    "`=`",
    "`<>`",
    "`<` `>`",
    "`IN`",
    "`LIKE 'a%'`",
    "`LIKE '%a%'`",
    "`IS NULL`",
    "`NOT` `OR`",
    "`match`",
    "`->>` `=`",
    "`@>`",
    "`ORDER BY`",
    "`ORDER BY` `LIMIT`",
    "`GROUP BY`",
    "by day",
    "by month",
    "`count(x)`",
    "`count(DISTINCT x)`",
    "`sum`",
    "`min` `max`",
    "join key",
];

/// How a column of a relation is answered under each heading; `None` where it makes no sense.
pub(super) fn answers(relation: &Relation, others: &[Arc<Relation>], column: usize) -> Vec<Option<Support>> {
    let scan = &*relation.scan;
    let schema = scan.schema();
    let field = schema.field(column);
    let conditions = conditions(&relation.qualified_name(), field);
    let mut answers: Vec<Option<Support>> = conditions.into_iter().map(|asked| asked.map(|forms| condition(scan, &schema, &forms))).collect();
    answers.push(Some(exact(both_ways(column, |order| scan.sorts(order)))));
    answers.push(Some(exact(both_ways(column, |order| scan.ranks(order)))));
    answers.push(Some(exact(computes(scan, &schema, vec![Group::Column(column)], rows()))));
    let is_time = matches!(field.data_type(), DataType::Timestamp(..));
    let bins = [Bin::Every { micros: DAY, origin: 0 }, Bin::Calendar(CalendarUnit::Month)];
    answers.extend(bins.map(|bin| is_time.then(|| exact(computes(scan, &schema, vec![Group::Time { column, bin }], rows())))));
    let measures: [&[Function]; 4] = [&[Function::Count], &[Function::CountDistinct], &[Function::Sum], &[Function::Min, Function::Max]];
    answers.extend(measures.map(|functions| measured(scan, &schema, column, functions)));
    answers.push(joins(relation, others, column).map(exact));
    answers
}

/// Whether rows are counted in the store.
pub(super) fn counts_rows(scan: &dyn Scan) -> bool {
    computes(scan, &scan.schema(), Vec::new(), rows())
}

fn exact(answer: bool) -> Support {
    if answer { Support::Exact } else { Support::No }
}

fn rows() -> Vec<Measure> {
    vec![Measure { function: Function::Count, column: None }]
}

/// The worst that a store says of these conditions.
fn condition(scan: &dyn Scan, schema: &Schema, forms: &[Expr]) -> Support {
    let mut worst = Support::Exact;
    for form in forms {
        // What is refused with an error cannot be asked at all.
        let support = translate(form, schema).map_or(Support::No, |predicate| scan.support(&predicate).unwrap_or(Support::No));
        worst = match (worst, support) {
            (Support::No, _) | (_, Support::No) => Support::No,
            (Support::Inexact, _) | (_, Support::Inexact) => Support::Inexact,
            (Support::Exact, Support::Exact) => Support::Exact,
        };
    }
    worst
}

/// A value that a column may have, and another one.
fn literals(data_type: &DataType) -> Option<[Expr; 2]> {
    let pair = |one: ScalarValue, other: ScalarValue| Some([lit(one), lit(other)]);
    match data_type {
        DataType::Utf8 => pair(ScalarValue::from("a"), ScalarValue::from("b")),
        DataType::Int32 => pair(ScalarValue::Int32(Some(2)), ScalarValue::Int32(Some(3))),
        DataType::Int64 => pair(ScalarValue::Int64(Some(2)), ScalarValue::Int64(Some(3))),
        DataType::Float64 => pair(ScalarValue::Float64(Some(2.5)), ScalarValue::Float64(Some(3.5))),
        DataType::Decimal128(precision, scale) => pair(ScalarValue::Decimal128(Some(250), *precision, *scale), ScalarValue::Decimal128(Some(350), *precision, *scale)),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) => {
            // Days of 2026.
            let at = |micros: i64| ScalarValue::TimestampMicrosecond(Some(micros), Some(Arc::clone(zone)));
            pair(at(1_772_323_200_000_000), at(1_772_409_600_000_000))
        }
        _ => None,
    }
}

/// The forms of each kind of condition, up to `@>`.
fn conditions(table: &str, field: &Field) -> [Option<Vec<Expr>>; 11] {
    let column = || Expr::Column(Column::from_name(field.name()));
    let negated = |condition: Expr| Expr::Not(Box::new(condition));
    let is_text = *field.data_type() == DataType::Utf8;
    let text = |pattern: &str| is_text.then(|| vec![column().like(lit(pattern)), negated(column().like(lit(pattern)))]);
    let compared = |forms: fn(Expr, [Expr; 2]) -> Vec<Expr>| literals(field.data_type()).map(|values| forms(column(), values));
    let is_flag = *field.data_type() == DataType::Boolean;
    let meaning = meanings::meaning(table, field.name()).unwrap_or_default();
    let is_object = meaning.starts_with("JSON object");
    let key = if is_object { Some(lit("key")) } else { meaning.starts_with("JSON array").then(|| lit(0_i64)) };
    let called = |name: &str, arguments: Vec<Expr>| json::functions().into_iter().find(|function| function.name() == name).map(|function| function.call(arguments));
    [
        if is_flag { Some(vec![column()]) } else { compared(|column, [one, _]| vec![column.eq(one)]) },
        if is_flag { Some(vec![negated(column())]) } else { compared(|column, [one, _]| vec![column.not_eq(one)]) },
        compared(|column, [one, other]| {
            let below = [column.clone().lt(one.clone()), column.clone().lt_eq(one.clone())];
            let above = [column.clone().gt(one.clone()), column.clone().gt_eq(one.clone()), column.between(one, other)];
            below.into_iter().chain(above).collect()
        }),
        compared(|column, values| vec![column.in_list(values.to_vec(), false)]),
        text("a%"),
        text("%a%"),
        field.is_nullable().then(|| vec![column().is_null(), column().is_not_null()]),
        compared(|column, [one, other]| vec![Expr::Not(Box::new(column.clone().eq(one.clone()))), column.clone().eq(one).or(column.gt(other))]),
        is_text.then(|| vec![match_function().call(vec![column(), lit("refund")])]),
        key.and_then(|key| called("json_get_text", vec![column(), key])).map(|member| vec![member.eq(lit("a"))]),
        is_object.then(|| called("json_contains", vec![column(), lit(r#"{"key":"a"}"#)])).flatten().map(|contains| vec![contains]),
    ]
}

/// Whether a store does it for an order by a column, upwards and downwards as SQL sorts by itself.
fn both_ways(column: usize, does: impl Fn(&[Order]) -> bool) -> bool {
    [false, true].into_iter().all(|descending| does(&[Order { column, descending, nulls_first: descending }]))
}

/// Whether a store computes these of the rows of these groups.
fn computes(scan: &dyn Scan, schema: &SchemaRef, groups: Vec<Group>, measures: Vec<Measure>) -> bool {
    let mut fields = Vec::with_capacity(groups.len() + measures.len());
    for group in &groups {
        let (Group::Column(column) | Group::Time { column, .. }) = group;
        let of = schema.field(*column);
        fields.push(Field::new(group.display(schema), of.data_type().clone(), of.is_nullable()));
    }
    for measure in &measures {
        let Some(data_type) = measure.data_type(schema) else { return false };
        fields.push(Field::new(measure.display(schema), data_type, measure.is_nullable()));
    }
    let request = Request { projection: Vec::new(), predicates: Vec::new(), order: Vec::new(), limit: None, parts: 1 };
    scan.aggregates(&request, &Aggregation { groups, measures, schema: Arc::new(Schema::new(fields)) })
}

/// How functions of a column are answered; `None` where they are none that a store is ever asked for.
fn measured(scan: &dyn Scan, schema: &SchemaRef, column: usize, functions: &[Function]) -> Option<Support> {
    let measures: Vec<Measure> = functions.iter().map(|function| Measure { function: *function, column: Some(column) }).collect();
    if measures.iter().any(|measure| measure.data_type(schema).is_none()) {
        return None;
    }
    Some(exact(measures.into_iter().all(|measure| computes(scan, schema, Vec::new(), vec![measure]))))
}

/// Whether the store joins this relation with another of its own by this column; `None` where no other has a column of that name and type.
fn joins(relation: &Relation, others: &[Arc<Relation>], column: usize) -> Option<bool> {
    let schema = relation.scan.schema();
    let field = schema.field(column);
    let mut answers = Vec::new();
    for other in others.iter().filter(|other| other.schema_name == relation.schema_name && other.name != relation.name) {
        let theirs = other.scan.schema();
        if let Ok(index) = theirs.index_of(field.name())
            && theirs.field(index).data_type() == field.data_type()
        {
            answers.push(relation.scan.joined(&other.scan, &[(column, index)]).is_some());
        }
    }
    (!answers.is_empty()).then(|| answers.contains(&true))
}
