//! The session's time zone: of times that a statement writes without an offset, and of times that it is shown.
//!
//! What must stay true: only the way changes in which a time is read or shown, never the instant that a store holds. In UTC too a time that is
//! written has the unit of what it is compared with: DataFusion would take both for nanoseconds, which end in 2262.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Between, BinaryExpr, Cast, InList};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};

use crate::{headings, instants, local};

/// The zone in which stores keep times.
const UTC: &str = "UTC";

/// Columns of times as they are shown in `zone`.
pub(crate) fn shown(schema: &SchemaRef, zone: &str) -> SchemaRef {
    let schema = headings::shown(Arc::clone(schema));
    if !schema.fields().iter().any(|field| shown_type(field.data_type(), zone).is_some()) {
        return schema;
    }
    let field = |field: &Arc<Field>| match shown_type(field.data_type(), zone) {
        Some(data_type) => Arc::new(Field::clone(field).with_data_type(data_type)),
        None => Arc::clone(field),
    };
    Arc::new(Schema::new_with_metadata(schema.fields().iter().map(field).collect::<Vec<_>>(), schema.metadata().clone()))
}

fn shown_type(data_type: &DataType, zone: &str) -> Option<DataType> {
    match data_type {
        DataType::Timestamp(unit, Some(kept)) if **kept != *zone => Some(DataType::Timestamp(*unit, Some(zone.into()))),
        _ => None,
    }
}

/// A batch whose times are shown as in `schema`. The instants are the same.
pub(crate) fn show(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let is_shown = |(given, wanted): (&Arc<Field>, &Arc<Field>)| given.data_type() == wanted.data_type() && given.name() == wanted.name();
    if batch.schema_ref().fields().iter().zip(schema.fields()).all(is_shown) {
        return Ok(batch);
    }
    let column = |(column, field): (&ArrayRef, &Arc<Field>)| -> Result<ArrayRef> {
        if column.data_type() == field.data_type() { Ok(Arc::clone(column)) } else { Ok(arrow::compute::cast(column, field.data_type())?) }
    };
    let columns = batch.columns().iter().zip(schema.fields()).map(column).collect::<Result<Vec<_>>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// A text as an instant: without an offset it is of `zone`.
pub(crate) fn instant(value: &ScalarValue, wanted: &DataType, zone: &str) -> Result<ScalarValue> {
    let whole;
    let value = match text(value) {
        Some(text) if matches!(wanted, DataType::Timestamp(_, _)) => {
            whole = ScalarValue::Utf8(Some(instants::with_seconds(text).into_owned()));
            &whole
        }
        _ => value,
    };
    match wanted {
        DataType::Timestamp(unit, Some(_)) => value.cast_to(&DataType::Timestamp(*unit, Some(zone.into())))?.cast_to(wanted),
        wanted => value.cast_to(wanted),
    }
}

/// The text of a value that is one.
fn text(value: &ScalarValue) -> Option<&str> {
    match value {
        ScalarValue::Utf8(text) | ScalarValue::Utf8View(text) | ScalarValue::LargeUtf8(text) => text.as_deref(),
        _ => None,
    }
}

/// A plan in which times that are written without an offset, and compared with instants, are of `zone`.
pub(crate) fn localized(plan: LogicalPlan, zone: &str) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| {
        let schema = if let LogicalPlan::TableScan(scan) = &node { DFSchema::clone(&scan.projected_schema) } else { merge_schema(&node.inputs()) };
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let rewritten = expr.transform_up(|expr| compared(expr, &schema, zone))?;
            if rewritten.transformed { Ok(rewritten.update_data(|expr| name.restore(expr))) } else { Ok(rewritten) }
        })
    })?;
    Ok(rewritten.data)
}

fn compared(expr: Expr, schema: &DFSchema, zone: &str) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if op.supports_propagation() => {
            let of_left = instant_type(&left, schema);
            let of_right = instant_type(&right, schema);
            let (left, right, changed) = match (of_left, of_right) {
                (Some(wanted), None) if written(&right, schema, zone) => (left, Box::new(placed(*right, &wanted, zone)), true),
                (None, Some(wanted)) if written(&left, schema, zone) => (Box::new(placed(*left, &wanted, zone)), right, true),
                _ => (left, right, false),
            };
            Ok(Transformed::new_transformed(Expr::BinaryExpr(BinaryExpr { left, op, right }), changed))
        }
        Expr::Between(Between { expr, negated, low, high }) => {
            let Some(wanted) = instant_type(&expr, schema) else { return Ok(Transformed::no(Expr::Between(Between { expr, negated, low, high }))) };
            let place = |bound: Box<Expr>| if written(&bound, schema, zone) { Box::new(placed(*bound, &wanted, zone)) } else { bound };
            Ok(Transformed::yes(Expr::Between(Between { expr, negated, low: place(low), high: place(high) })))
        }
        Expr::InList(InList { expr, list, negated }) => {
            let Some(wanted) = instant_type(&expr, schema) else { return Ok(Transformed::no(Expr::InList(InList { expr, list, negated }))) };
            let list = list.into_iter().map(|item| if written(&item, schema, zone) { placed(item, &wanted, zone) } else { item }).collect();
            Ok(Transformed::yes(Expr::InList(InList { expr, list, negated })))
        }
        other => Ok(local::read(other, schema, zone)),
    }
}

/// The type of an expression that is an instant.
fn instant_type(expr: &Expr, schema: &DFSchema) -> Option<DataType> {
    expr.get_type(schema).ok().filter(|data_type| matches!(data_type, DataType::Timestamp(_, Some(_))))
}

/// Whether an expression is a time that has no zone: one that the statement writes, and beside UTC any.
fn written(expr: &Expr, schema: &DFSchema, zone: &str) -> bool {
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(_)) | ScalarValue::Utf8View(Some(_)) | ScalarValue::LargeUtf8(Some(_)), _) => true,
        Expr::Literal(ScalarValue::Date32(Some(_)), _) => true,
        // Also what is computed of such times: `DATE '2026-10-01' + 1`.
        expr => (zone != UTC || !expr.any_column_refs()) && expr.get_type(schema).is_ok_and(|data_type| matches!(data_type, DataType::Timestamp(_, None) | DataType::Date32)),
    }
}

/// The instant that a time is in `zone`, of the type that it is compared with.
fn placed(expr: Expr, wanted: &DataType, zone: &str) -> Expr {
    let cast = |expr: Expr, to: DataType| Expr::Cast(Cast::new(Box::new(expr), to));
    let of_zone = |unit: TimeUnit| DataType::Timestamp(unit, Some(zone.into()));
    let unit = if let DataType::Timestamp(unit, _) = wanted { *unit } else { TimeUnit::Microsecond };
    if zone == UTC
        && let Expr::Literal(value, metadata) = &expr
        && text(value).is_some()
        && let Ok(value) = instant(value, wanted, zone)
    {
        return Expr::Literal(value, metadata.clone());
    }
    let local = match expr {
        Expr::Literal(value, metadata) if text(&value).is_some() => {
            let whole = text(&value).map(|text| instants::with_seconds(text).into_owned());
            Expr::Literal(ScalarValue::Utf8(whole), metadata)
        }
        // A date is its midnight.
        expr => cast(expr, DataType::Timestamp(unit, None)),
    };
    let of_session = of_zone(unit);
    let placed = cast(local, of_session.clone());
    if of_session == *wanted { placed } else { cast(placed, wanted.clone()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::TimestampMicrosecondArray;
    use datafusion::logical_expr::{col, lit};

    fn schema() -> DFSchema {
        DFSchema::try_from(Schema::new(vec![Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false)])).unwrap()
    }

    fn rewritten(expr: Expr) -> String {
        compared(expr, &schema(), "Europe/Berlin").unwrap().data.to_string()
    }

    #[test]
    fn a_time_without_an_offset_is_of_the_session() {
        let berlin = rewritten(col("at").gt(lit("2026-03-01 01:00")));
        assert!(berlin.contains("Europe/Berlin"), "{berlin}");
        assert_eq!(rewritten(col("at").gt(col("at"))), "at > at");
        assert_eq!(rewritten(lit("a").eq(lit("b"))), "Utf8(\"a\") = Utf8(\"b\")");
    }

    #[test]
    fn a_time_beyond_nanoseconds_is_an_instant() {
        let last = compared(col("at").lt_eq(lit("9999-12-31T23:59:59.999999Z")), &schema(), UTC).unwrap().data.to_string();
        assert!(last.contains("TimestampMicrosecond(253402300799999999"), "{last}");
        let listed = compared(col("at").in_list(vec![lit("2026-01-20 03:00")], false), &schema(), UTC).unwrap().data.to_string();
        assert!(listed.contains("TimestampMicrosecond(1768878000000000"), "{listed}");
    }

    #[test]
    fn what_a_text_means_depends_on_the_zone_where_it_has_no_offset() {
        let wanted = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let of = |text: &str, zone: &str| instant(&ScalarValue::from(text), &wanted, zone).unwrap();
        assert_eq!(of("2026-03-01T01:00:00", "Europe/Berlin"), of("2026-03-01T00:00:00Z", "UTC"));
        assert_eq!(of("2026-03-01T01:00:00Z", "Europe/Berlin"), of("2026-03-01T01:00:00", "UTC"));
    }

    #[test]
    fn an_instant_is_shown_in_the_sessions_zone_and_stays_the_same() {
        let array: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1_772_323_200_000_000]).with_timezone("UTC"));
        let batch = RecordBatch::try_from_iter([("at", array)]).unwrap();
        let wanted = shown(&batch.schema(), "Europe/Berlin");
        let batch = show(batch, &wanted).unwrap();
        assert_eq!(arrow::util::display::array_value_to_string(batch.column(0), 0).unwrap(), "2026-03-01T01:00:00+01:00");
        assert_eq!(shown(&batch.schema(), "Europe/Berlin"), batch.schema());
    }
}
