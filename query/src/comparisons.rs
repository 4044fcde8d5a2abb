//! Comparisons of what cannot be compared, told before a row is read.
//!
//! DataFusion compares a text with a number by making numbers of all texts, and fails at the first that is none, whose content its message holds. As in
//! PostgreSQL there is no such operator here. A text that the statement writes has the type of what it is compared with, and must be one of it.
//!
//! What must stay true: nothing is changed; a message holds what the statement says, never what a row does. What clients ask of PostgreSQL's own catalog is
//! left as it is.

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Between, BinaryExpr, InList, InSubquery};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator};
use datafusion::optimizer::AnalyzerRule;

use crate::errors::QueryError;
use crate::sentences::TIMES;
use crate::spelling::sql_type;
use crate::zone;

/// Refuses what cannot be compared.
#[derive(Debug)]
pub(crate) struct CheckComparisons;

impl AnalyzerRule for CheckComparisons {
    fn name(&self) -> &str {
        "check_comparisons"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        if asks_the_catalog(&plan)? {
            return Ok(plan);
        }
        plan.apply_with_subqueries(|node| {
            check_node(node)?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(plan)
    }
}

/// Whether tables are read that describe PostgreSQL itself, whose numbers clients compare as they like.
fn asks_the_catalog(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            found |= scan.table_name.table().starts_with("pg_") || matches!(scan.table_name.schema(), Some("pg_catalog" | "information_schema"));
        }
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn check_node(node: &LogicalPlan) -> Result<()> {
    if let LogicalPlan::Join(join) = node {
        for (left, right) in &join.on {
            pair(left, join.left.schema(), Operator::Eq, right, join.right.schema())?;
        }
    }
    let mut schema: Option<DFSchema> = None;
    node.apply_expressions(|expr| {
        expr.apply(|part| {
            if matches!(part, Expr::BinaryExpr(_) | Expr::Between(_) | Expr::InList(_) | Expr::InSubquery(_)) {
                let schema =
                    schema.get_or_insert_with(|| if let LogicalPlan::TableScan(scan) = node { DFSchema::clone(&scan.projected_schema) } else { merge_schema(&node.inputs()) });
                check(part, schema)?;
            }
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(())
}

fn check(expr: &Expr, schema: &DFSchema) -> Result<()> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if compares(*op) => pair(left, schema, *op, right, schema),
        Expr::Between(Between { expr, low, high, .. }) => {
            pair(expr, schema, Operator::GtEq, low, schema)?;
            pair(expr, schema, Operator::LtEq, high, schema)
        }
        Expr::InList(InList { expr, list, .. }) => list.iter().try_for_each(|item| pair(expr, schema, Operator::Eq, item, schema)),
        Expr::InSubquery(InSubquery { expr, subquery, .. }) => match (expr.get_type(schema), subquery.subquery.schema().fields().first()) {
            (Ok(left), Some(field)) if apart(&left, field.data_type()) && written(expr).is_none() => {
                Err(no_operator(expr, &sql_type(&left), Operator::Eq, &sql_type(field.data_type()), None).into())
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn compares(op: Operator) -> bool {
    matches!(op, Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq | Operator::IsDistinctFrom | Operator::IsNotDistinctFrom)
}

fn pair(left: &Expr, of_left: &DFSchema, op: Operator, right: &Expr, of_right: &DFSchema) -> Result<()> {
    // What has no type yet is told elsewhere.
    let (Ok(left_type), Ok(right_type)) = (left.get_type(of_left), right.get_type(of_right)) else { return Ok(()) };
    match (written(left), written(right)) {
        (Some(_), Some(_)) => Ok(()),
        (Some(text), None) => fits(text, &right_type, right),
        (None, Some(text)) => fits(text, &left_type, left),
        (None, None) if apart(&left_type, &right_type) => {
            Err(no_operator(left, &called(left, &left_type), op, &called(right, &right_type), number(left).or_else(|| number(right))).into())
        }
        (None, None) => Ok(()),
    }
}

/// The text that the statement itself writes.
fn written(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)) | ScalarValue::LargeUtf8(Some(text)), _) => Some(text.as_str()),
        Expr::Alias(alias) => written(&alias.expr),
        _ => None,
    }
}

/// The number that the statement itself writes.
fn number(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal(value, _) if value.data_type().is_numeric() && !value.is_null() => Some(value.to_string()),
        _ => None,
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8)
}

/// Whether one is a text, and the other a number or a truth.
fn apart(left: &DataType, right: &DataType) -> bool {
    let other = |data_type: &DataType| data_type.is_numeric() || *data_type == DataType::Boolean;
    (is_text(left) && other(right)) || (other(left) && is_text(right))
}

/// A whole number that a statement writes is an integer as far as it is one.
fn called(expr: &Expr, data_type: &DataType) -> String {
    match expr {
        Expr::Literal(ScalarValue::Int64(Some(number)), _) if i32::try_from(*number).is_ok() => "integer".to_owned(),
        _ => sql_type(data_type),
    }
}

/// Whether a text that is written can be read as a value of the type that it is compared with.
fn fits(text: &str, wanted: &DataType, beside: &Expr) -> Result<()> {
    let value = ScalarValue::Utf8(Some(text.to_owned()));
    let (reads, hint) = match wanted {
        DataType::Timestamp(_, Some(_)) => (zone::instant(&value, wanted, "UTC").is_ok(), Some(TIMES.to_owned())),
        // As wide as what DataFusion compares it in.
        DataType::Decimal128(..) => (value.cast_to(&DataType::Decimal128(38, 10)).is_ok(), None),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Float32 | DataType::Float64 => (value.cast_to(wanted).is_ok(), None),
        DataType::Boolean => (value.cast_to(wanted).is_ok(), Some("write true or false".to_owned())),
        _ => return Ok(()),
    };
    if reads {
        return Ok(());
    }
    let (line, column) = place(beside);
    Err(QueryError::Invalid { message: format!("invalid input syntax for type {}: \"{text}\"", sql_type(wanted)), line, column, hint }.into())
}

fn no_operator(at: &Expr, left: &str, op: Operator, right: &str, number: Option<String>) -> QueryError {
    let (line, column) = place(at);
    let hint = match number {
        Some(number) => format!("write the number in quotes to compare texts, '{number}'; or cast the text to compare numbers, ::numeric"),
        None => "cast one of them, for example with ::text".to_owned(),
    };
    QueryError::Invalid { message: format!("operator does not exist: {left} {op} {right}"), line, column, hint: Some(hint) }
}

/// Where the statement names the first column of an expression.
fn place(expr: &Expr) -> (Option<u64>, Option<u64>) {
    let mut found = None;
    let walked = expr.apply(|part| {
        if let Expr::Column(column) = part
            && let Some(span) = column.spans.first()
            && span.start.line > 0
        {
            found = Some(span.start);
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    match (walked, found) {
        (Ok(_), Some(start)) => (Some(start.line), Some(start.column)),
        _ => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{Field, Schema, TimeUnit};
    use datafusion::logical_expr::{col, lit, table_scan};

    use super::*;

    fn said(condition: Expr) -> Option<QueryError> {
        let types = [
            ("name", DataType::Utf8),
            ("n", DataType::Int32),
            ("money", DataType::Decimal128(15, 2)),
            ("moment", DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")))),
        ];
        let fields: Vec<Field> = types.into_iter().map(|(name, data_type)| Field::new(name, data_type, true)).collect();
        let plan = table_scan(Some("t"), &Schema::new(fields), None).unwrap().filter(condition).unwrap().build().unwrap();
        CheckComparisons.analyze(plan, &ConfigOptions::default()).err().map(QueryError::from)
    }

    #[test]
    fn a_text_is_not_compared_with_a_number() {
        for condition in [
            col("name").eq(lit(5_i64)),
            lit(5_i64).lt(col("name")),
            col("name").between(lit(1_i64), lit(2_i64)),
            col("name").in_list(vec![lit("a"), lit(2_i64)], false),
            col("name").eq(col("money")),
        ] {
            let error = said(condition.clone()).unwrap();
            assert!(error.sqlstate() == "42883" && error.headline().starts_with("operator does not exist: "), "{condition}: {error}");
        }
        assert_eq!(said(col("name").eq(lit(5_i64))).unwrap().headline(), "operator does not exist: text = integer");
    }

    #[test]
    fn what_is_written_must_be_of_its_type() {
        assert_eq!(said(col("money").eq(lit("abc"))).unwrap().headline(), "invalid input syntax for type numeric: \"abc\"");
        let error = said(col("moment").gt(lit("01.10.2026"))).unwrap();
        assert!(error.sqlstate() == "22007" && error.hint().is_some_and(|hint| hint.contains("2026-10-01")), "{error}");
        for condition in [
            col("money").eq(lit("5.10")),
            col("n").eq(lit("5")),
            col("moment").gt(lit("2026-10-01")),
            col("moment").gt(lit("2026-10-01 03:00")),
            col("name").eq(lit("5")),
            col("n").eq(lit(5.5_f64)),
            col("name").eq(lit(ScalarValue::Utf8(None))),
        ] {
            assert_eq!(said(condition.clone()), None, "{condition}");
        }
    }
}
