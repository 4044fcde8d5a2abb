//! What is read of an instant is read in the session's zone: its date, its text, its parts.
//!
//! What must stay true: an instant is only seen in another zone, never moved; one that a statement puts into a zone itself (`AT TIME ZONE`) stays
//! there; in UTC nothing changes, so that what stores compute there is computed in them. `date_trunc` and `date_bin` cut in UTC.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::Transformed;
use datafusion::functions::datetime;
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::{Expr, ExprSchemable};

/// An expression that reads an instant, as one that reads it in `zone`.
pub(crate) fn read(expr: Expr, schema: &DFSchema, zone: &str) -> Transformed<Expr> {
    if zone == "UTC" {
        return Transformed::no(expr);
    }
    match expr {
        Expr::Cast(Cast { expr, field }) => match (is_read(field.data_type()), instant(&expr, schema)) {
            (true, Some(unit)) => {
                let seen = seen(*expr, unit, zone);
                // Arrow keeps the number where a zone is left out, and with it UTC.
                let seen = if matches!(field.data_type(), DataType::Timestamp(_, None)) { datetime::to_local_time().call(vec![seen]) } else { seen };
                Transformed::yes(Expr::Cast(Cast::new_from_field(Box::new(seen), field)))
            }
            _ => Transformed::no(Expr::Cast(Cast { expr, field })),
        },
        Expr::ScalarFunction(function) => of_function(function, schema, zone),
        other => Transformed::no(other),
    }
}

fn of_function(mut function: ScalarFunction, schema: &DFSchema, zone: &str) -> Transformed<Expr> {
    let place = match function.func.name() {
        "date_part" => 1,
        "to_char" => 0,
        _ => return Transformed::no(Expr::ScalarFunction(function)),
    };
    let Some((unit, argument)) = function.args.get_mut(place).and_then(|argument| Some((instant(argument, schema)?, argument))) else {
        return Transformed::no(Expr::ScalarFunction(function));
    };
    *argument = seen(argument.clone(), unit, zone);
    Transformed::yes(Expr::ScalarFunction(function))
}

/// Whether a type has a date or a time of day, and no zone.
const fn is_read(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_) | DataType::Timestamp(_, None) | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

/// The unit of an instant that no zone was said for.
fn instant(expr: &Expr, schema: &DFSchema) -> Option<TimeUnit> {
    match (expr, expr.get_type(schema).ok()?) {
        (Expr::Cast(_) | Expr::TryCast(_), _) => None,
        (_, DataType::Timestamp(unit, Some(kept))) if matches!(&*kept, "UTC" | "+00:00") => Some(unit),
        _ => None,
    }
}

fn seen(expr: Expr, unit: TimeUnit, zone: &str) -> Expr {
    Expr::Cast(Cast::new(Box::new(expr), DataType::Timestamp(unit, Some(zone.into()))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{Field, Schema};
    use datafusion::logical_expr::{cast, col, lit};

    fn rewritten(expr: Expr, zone: &str) -> String {
        let schema = DFSchema::try_from(Schema::new(vec![Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false)])).unwrap();
        read(expr, &schema, zone).data.to_string()
    }

    #[test]
    fn a_date_is_of_the_sessions_zone() {
        let date = || cast(col("at"), DataType::Date32);
        assert!(rewritten(date(), "Europe/Berlin").contains("Europe/Berlin"));
        assert_eq!(rewritten(date(), "UTC"), date().to_string());
        let hour = || datetime::date_part().call(vec![lit("hour"), col("at")]);
        assert!(rewritten(hour(), "Europe/Berlin").contains("Europe/Berlin"));
        let local = rewritten(cast(col("at"), DataType::Timestamp(TimeUnit::Microsecond, None)), "Europe/Berlin");
        assert!(local.contains("to_local_time"), "{local}");
    }

    #[test]
    fn an_instant_in_a_zone_of_its_own_stays_there() {
        let tokyo = cast(col("at"), DataType::Timestamp(TimeUnit::Microsecond, Some("Asia/Tokyo".into())));
        let date = cast(tokyo, DataType::Date32);
        assert_eq!(rewritten(date.clone(), "Europe/Berlin"), date.to_string());
    }
}
