//! Times to the microsecond, as in PostgreSQL.
//!
//! DataFusion takes `timestamp` for nanoseconds, which end in 2262: `'9999-12-31'::timestamp` and `… AT TIME ZONE 'UTC'` of such a time would fail.
//!
//! What must stay true: a time that a statement converts has microseconds; one that it computes otherwise has what it had; no name changes.

use std::borrow::Cow;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::{Cast, TryCast};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// A plan whose conversions to times are to microseconds.
pub(crate) fn coarsened(plan: LogicalPlan) -> Result<LogicalPlan> {
    if !converts(&plan)? {
        return Ok(plan);
    }
    let rewritten = plan.transform_up_with_subqueries(|node| {
        // Its columns have the types that were told of it.
        if matches!(node, LogicalPlan::Values(_)) {
            return Ok(Transformed::no(node));
        }
        let names = NamePreserver::new(&node);
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let rewritten = expr.transform_up(|expr| Ok(with_micros(expr)))?;
            if rewritten.transformed { Ok(rewritten.update_data(|expr| name.restore(expr))) } else { Ok(rewritten) }
        })?;
        node.map_data(LogicalPlan::recompute_schema)
    })?;
    Ok(rewritten.data)
}

fn converts(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            found = found || expr.exists(|part| Ok(target(part).is_some()))?;
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    })?;
    Ok(found)
}

/// What a conversion to a time should convert to.
fn target(expr: &Expr) -> Option<DataType> {
    let (Expr::Cast(Cast { field, .. }) | Expr::TryCast(TryCast { field, .. })) = expr else { return None };
    match field.data_type() {
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => Some(DataType::Timestamp(TimeUnit::Microsecond, zone.clone())),
        _ => None,
    }
}

fn with_micros(expr: Expr) -> Transformed<Expr> {
    let Some(wanted) = target(&expr) else { return Transformed::no(expr) };
    match expr {
        Expr::Cast(Cast { expr, .. }) => Transformed::yes(Expr::Cast(Cast::new(Box::new(whole(*expr)), wanted))),
        Expr::TryCast(TryCast { expr, .. }) => Transformed::yes(Expr::TryCast(TryCast::new(Box::new(whole(*expr)), wanted))),
        other => Transformed::no(other),
    }
}

/// A text that is a time, with its seconds.
fn whole(expr: Expr) -> Expr {
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)), metadata) => Expr::Literal(ScalarValue::Utf8(Some(with_seconds(&text).into_owned())), metadata),
        other => other,
    }
}

/// `2026-01-20 03:00` as `2026-01-20 03:00:00`; whatever has seconds, or is no time, as it is.
pub(crate) fn with_seconds(text: &str) -> Cow<'_, str> {
    const UP_TO_MINUTES: &[u8; 16] = b"0000-00-00 00:00";
    let like = |(byte, wanted): (&u8, &u8)| match wanted {
        b'0' => byte.is_ascii_digit(),
        b' ' => matches!(byte, b' ' | b'T' | b't'),
        wanted => byte == wanted,
    };
    let text = text.trim();
    let is_time = text.len() >= UP_TO_MINUTES.len() && text.as_bytes().iter().zip(UP_TO_MINUTES).all(like);
    match (is_time, text.get(..UP_TO_MINUTES.len()), text.get(UP_TO_MINUTES.len()..)) {
        (true, Some(minutes), Some(rest)) if !rest.starts_with(':') => Cow::Owned(format!("{minutes}:00{rest}")),
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::logical_expr::{LogicalPlanBuilder, cast, lit};

    #[test]
    fn a_time_has_seconds_and_microseconds() {
        let nanos = DataType::Timestamp(TimeUnit::Nanosecond, None);
        let plan = LogicalPlanBuilder::empty(true).project([cast(lit("9999-12-31 03:00"), nanos)]).unwrap().build().unwrap();
        let names = plan.schema().field_names();
        let plan = coarsened(plan).unwrap();
        assert_eq!(plan.schema().field(0).data_type(), &DataType::Timestamp(TimeUnit::Microsecond, None));
        assert_eq!(plan.schema().field_names(), names);
        assert!(plan.display_indent().to_string().contains("9999-12-31 03:00:00"), "{}", plan.display_indent());
    }

    #[test]
    fn seconds_are_put_in_only_where_they_are_missing() {
        for (text, wanted) in [
            ("2026-01-20 03:00", "2026-01-20 03:00:00"),
            ("2026-01-20T03:00Z", "2026-01-20T03:00:00Z"),
            ("2026-01-20 03:00+01:00", "2026-01-20 03:00:00+01:00"),
            ("2026-01-20 03:00:05.5", "2026-01-20 03:00:05.5"),
            ("2026-01-20", "2026-01-20"),
            ("größe 0000-00-00 00:00", "größe 0000-00-00 00:00"),
        ] {
            assert_eq!(with_seconds(text), wanted);
        }
    }
}
